"""The stack pointer, block fills and control flow of whole programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from lifted_programs import kept, same_after_lifting


@pytest.mark.parametrize(("compiler", "level"), [("clang", "-O2"), ("clang", "-Oz"), ("gcc", "-O2"), ("gcc", "-O0")])
def test_arrays_of_sizes_known_at_run_time(compiler: str, level: str, tmp_path: Path) -> None:
    result = same_after_lifting("../programs/dynamic_arrays.c", compiler, [level], tmp_path)
    # alloca of a constant size in a loop; a stack pointer kept in the frame over a call
    assert kept(result).keys() <= {"on_stack", "fresh_each_round"}


@pytest.mark.parametrize(("compiler", "level"), [("gcc", "-Os"), ("gcc", "-O2"), ("clang", "-Oz")])
def test_functions_that_never_come_back(compiler: str, level: str, tmp_path: Path) -> None:
    result = same_after_lifting("never_back.c", compiler, [level], tmp_path)
    assert kept(result) == {}


def test_a_call_before_code_with_another_stack_depth_does_not_come_back() -> None:
    text = """
.globl f
.type f,@function
f:
        testl   %edi, %edi
        jns     .L1
        pushq   %rax
        call    die
.L1:
        leal    1(%rdi), %eax
        ret
.size f, .-f
"""
    result = disassemble(text, name="f.s", settings=LiftSettings(budget=1, verify=False))
    assert kept(result) == {}
    assert "unreachable" in result.ir


@pytest.mark.parametrize(("compiler", "level"), [("clang", "-Oz"), ("clang", "-O2"), ("gcc", "-O2"), ("gcc", "-Os")])
def test_what_is_not_lifted_stays_and_the_file_works(compiler: str, level: str, tmp_path: Path) -> None:
    result = same_after_lifting("islands.c", compiler, [level], tmp_path)
    reasons = kept(result)
    assert {"run", "vendor", "exchange"} <= reasons.keys()
    # gcc keeps a value in r8 over the computed goto, which leaves it alone: main has to stay with it.
    assert compiler == "gcc" or not {"word", "main"} & reasons.keys()
