"""Memory accesses that must stay: setjmp's frames, loops that wait, and other self-checking programs, lifted."""

from __future__ import annotations

from pathlib import Path

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from lifted_programs import kept, same_after_lifting

PROGRAMS = "../programs"


@pytest.mark.parametrize(("compiler", "level"), [("clang", "-Oz"), ("clang", "-O2"), ("gcc", "-O2")])
@pytest.mark.parametrize("name", ["setjmp_retry.c", "vectors.c"])
def test_self_checking_programs(name: str, compiler: str, level: str, tmp_path: Path) -> None:
    assert kept(same_after_lifting(f"{PROGRAMS}/{name}", compiler, [level], tmp_path)) == {}


def test_a_loop_that_waits_loads_every_time() -> None:
    text = ".globl f\n.type f,@function\nf:\n.L1:\n\tmovl\tready(%rip), %eax\n\ttestl\t%eax, %eax\n\tje\t.L1\n\tretq\n"
    text += ".size f, .-f\n.comm ready,4,4\n"
    (one,) = disassemble(text, name="f.s", settings=LiftSettings(budget=1, verify=False)).functions
    assert "load volatile i32" in one.ir
