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
    assert "load" not in emitted(f"{begin}popq %rdx\njmp h@PLT", Options())
    assert "load" not in emitted(f"pushq %rbx\n{begin}popq %rcx\npopq %rbx\nretq", Options())
    assert "load i64" in emitted(f"{begin}popq %rax\nincq %rax\nretq", Options())


def test_a_block_behind_a_call_is_reached_by_its_other_ways_first() -> None:
    """The call does not come back: what it was given in memory is not there at .L1."""
    body = "pushq %rax\ntestl %edi, %edi\nje .L2\ntestl %esi, %esi\nje .L3\npushq $1\npushq $2\ncallq fail@PLT\n"
    body += ".L1:\nmovl $3, (%rdx)\ntestl %ecx, %ecx\njne .L2\nmovl $4, (%rdx)\n.L2:\npopq %rax\nretq\n"
    long = [f"testl %r8d, %r8d\nje .L{n}\nmovl ${n}, (%rdx)\n.L{n}:\n" for n in (4, 5, 6, 7)]
    body += f".L3:\n{''.join(long)}jmp .L1"
    assert "unreachable" in emitted(body, Options())
