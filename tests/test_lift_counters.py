"""Counters of loops over tables: kept as a number of steps, compared with how many there are."""

from __future__ import annotations

from irwright.lift.options import Options
from lifted_text import emitted

SEARCH = """
xorl %ecx, %ecx
leaq table(%rip), %rdx
.L1:
leaq 16(%rcx), %rsi
cmpq $64, %rsi
je .L2
cmpl %edi, 8(%rdx,%rcx)
movq %rsi, %rcx
jne .L1
.L2:
movq %rsi, %rax
retq"""


def test_the_counter_of_a_table_counts_its_entries() -> None:
    text = emitted(SEARCH, Options(counted="tables"))
    assert ", 3\n" in next(line for line in text.splitlines(keepends=True) if "icmp eq i64" in line)
    assert "mul nsw i64" in text


def test_without_the_option_the_sum_is_compared() -> None:
    text = emitted(SEARCH, Options())
    assert ", 64\n" in next(line for line in text.splitlines(keepends=True) if "icmp eq i64" in line)
    assert "mul" not in text


def test_a_pointer_that_goes_on_is_a_start_and_a_count_where_all_are() -> None:
    body = ".L1:\nmovl $0, (%rdi)\naddq $24, %rdi\ncmpq %rsi, %rdi\njne .L1\nretq"
    assert "mul nsw i64" in emitted(body, Options(counted="all"))
    assert "mul" not in emitted(body, Options(counted="tables"))
