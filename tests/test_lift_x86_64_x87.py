"""Long doubles: programs that check themselves, and what of the x87 is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from lifted_programs import kept, same_after_lifting


@pytest.mark.parametrize(
    ("compiler", "level"), [("clang", "-Oz"), ("clang", "-O2"), ("gcc", "-O2"), ("gcc", "-Os"), ("gcc", "-O0")]
)
@pytest.mark.parametrize("name", ["../programs/long_doubles.c", "long_double_calls.c"])
def test_long_doubles(name: str, compiler: str, level: str, tmp_path: Path) -> None:
    assert kept(same_after_lifting(name, compiler, [level], tmp_path)) == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("fldcw (%rdi)", "fldcw of an unknown control word"),
        ("fld1\n\tcallq other", "a call with values on the x87 stack"),
        ("fxch %st(1)\n\tfstp %st(0)", "fxch of an empty x87 register"),
    ],
)
def test_what_is_refused(body: str, reason: str) -> None:
    text = f".globl f\n.type f,@function\nf:\n\tpushq %rax\n\t{body}\n\tpopq %rcx\n\tretq\n.size f, .-f\n"
    (one,) = disassemble(text, name="f.s", settings=LiftSettings(budget=1, verify=False)).functions
    assert one.reason == reason
