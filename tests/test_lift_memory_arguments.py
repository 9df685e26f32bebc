"""Structs by value and other arguments in memory, at calls and in functions, as both compilers pass them."""

from __future__ import annotations

from pathlib import Path

import pytest

from irwright.lift.verdicts import Verdict
from lifted_programs import kept, same_after_lifting
from lifted_text import lifted, soundly_lifted


@pytest.mark.parametrize(
    ("compiler", "level"), [("clang", "-Oz"), ("clang", "-O2"), ("clang", "-O0"), ("gcc", "-O2"), ("gcc", "-Os")]
)
def test_arguments_in_memory(compiler: str, level: str, tmp_path: Path) -> None:
    result = same_after_lifting("by_value.c", compiler, [level], tmp_path)
    assert kept(result) == {}


def test_plain_words_stay_arguments_of_their_own(tmp_path: Path) -> None:
    result = same_after_lifting("by_value.c", "clang", ["-Oz"], tmp_path)
    many = next(one for one in result.functions if one.function == "many")
    assert many.verdict is Verdict.EXACT
    assert "byval" not in many.ir


def test_half_of_the_room_that_a_push_made_is_an_argument() -> None:
    registers = "".join(f"movl $7, %{name}\n" for name in ("edi", "esi", "edx", "ecx", "r8d", "r9d"))
    lifter = lifted(f"pushq %rax\nmovl $1, (%rsp)\n{registers}callq g@PLT\npopq %rax\nretq")
    (signature,) = lifter.functions["f"].call_signatures.values()
    assert signature.params[-1] == ("stack.0", "i32")


def test_what_lies_at_a_multiple_of_16_does_so_behind_an_argument() -> None:
    registers = "\n".join(f"movl $1, %{name}" for name in ("esi", "edx", "ecx", "r8d", "r9d"))
    body = f"subq $40, %rsp\nmovaps %xmm0, 16(%rsp)\nleaq 16(%rsp), %rdi\n{registers}\nmovq $7, (%rsp)\n"
    frame = soundly_lifted(f=f"{body}callq g@PLT\naddq $40, %rsp\nretq").functions["f"].frame
    assert frame is not None and frame.outgoing == {0: [-40]}
    assert (frame.base + 8) % 16 == 0
