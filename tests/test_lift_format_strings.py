"""Arguments by format strings."""

from __future__ import annotations

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.format_strings import printed, scanned


@pytest.mark.parametrize(
    ("text", "types"),
    [
        (b"100 %% done\n", []),
        (b"%d %5u %-3x %c", ["i32", "i32", "i32", "i32"]),
        (b"%ld %zu %llx", ["i64", "i64", "i64"]),
        (b"%s%p", ["ptr", "ptr"]),
        (b"%*d %.*s", ["i32", "i32", "i32", "ptr"]),
        (b"%.2f %d", ["double", "i32"]),
        (b"%Lf", None),
    ],
)
def test_printed(text: bytes, types: list[str] | None) -> None:
    assert printed(text) == types


def test_scanned() -> None:
    assert scanned(b"%d %*d %[^\n] %%") == ["ptr", "ptr"]


PROGRAM = """
    .text
    .globl f
    .type f,@function
f:
    movq (%rdi), %rdx
    testq %rdx, %rdx
    je .LBB0_1
    movq stdout@GOTPCREL(%rip), %rax
    movq (%rax), %rdi
    leaq .L.str(%rip), %rsi
    xorl %eax, %eax
    jmp fprintf@PLT
.LBB0_1:
    retq
    .size f, .-f
    .section .rodata.str1.1,"aMS",@progbits,1
.L.str:
    .asciz "%s\\n"
"""


def test_an_argument_that_was_tested_before_is_found() -> None:
    result = disassemble(PROGRAM, settings=LiftSettings(budget=4, verify=False))
    call = next(line for line in result.ir.split("\n") if "@fprintf(" in line and "call" in line)
    assert call.endswith("%v2) #1") and call.count(", ptr ") >= 2
    assert result.functions[0].verdict == "exact"
