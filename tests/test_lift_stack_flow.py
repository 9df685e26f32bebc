"""Pushes that only make room, and pops that only give it back."""

from __future__ import annotations

from irwright.lift.options import Options
from lifted_text import emitted


def test_a_push_of_rax_behind_a_save_only_makes_room() -> None:
    call = "movq %rsp, %rdi\ncallq g@PLT\n"
    saved = (
        f"movl $7, %eax\npushq %rbx\npushq %rax\nmovl %edi, %ebx\n{call}movl %ebx, %eax\naddq $8, %rsp\npopq %rbx\nretq"
    )
    assert "store" not in emitted(saved, Options())
    assert "store i64 7" in emitted(f"movl $7, %eax\npushq %rax\n{call}popq %rcx\nretq", Options())


def test_a_pop_on_the_way_out_reads_nothing() -> None:
    begin = "pushq %rax\nmovq %rdi, (%rsp)\nmovq %rsp, %rdi\ncallq g@PLT\n"
    assert "load" not in emitted(f"{begin}popq %rcx\nretq", Options())
    assert "load" not in emitted(f"pushq %rbx\n{begin}popq %rcx\npopq %rbx\nretq", Options())
    assert "load i64" in emitted(f"{begin}popq %rax\nincq %rax\nretq", Options())
