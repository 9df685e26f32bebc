"""Jump tables found where their address and their bound do not stand just before the jump."""

from __future__ import annotations

from irwright.lift.blocks import Flow
from lifted_text import lifted


def table(label: str, *targets: str) -> str:
    entries = "\n".join(f".long {target}-{label}" for target in targets)
    return f".section .rodata\n.p2align 2\n{label}:\n{entries}\n.text\n"


def jump(base: str) -> str:
    return f"movslq ({base},%rcx,4), %rax\naddq {base}, %rax\njmpq *%rax\n"


ENDS = ".L1:\nmovl $1, %eax\nretq\n.L2:\nmovl $2, %eax\nretq\n.L3:\nmovl $3, %eax\nretq\n"


def flow(body: str) -> Flow:
    one = lifted(body).functions["f"]
    assert one.problem == ""
    assert one.flow is not None
    return one.flow


def test_a_table_whose_address_is_loaded_further_down() -> None:
    start = "movl %edi, %ecx\njmp .L9\n"
    body = f"{start}.L8:\n{jump('%r8')}{ENDS}.L9:\ncmpl $1, %ecx\nja .L3\nleaq .LT(%rip), %r8\njmp .L8\n"
    assert [len(one.targets) for one in flow(body + table(".LT", ".L1", ".L2")).tables] == [2]


def test_a_register_that_gets_several_places_is_not_guessed() -> None:
    other = "leaq .LU(%rip), %r8\nmovq %r8, (%rsi)\n"
    body = f"movl %edi, %ecx\njmp .L9\n.L8:\n{jump('%r8')}{ENDS}.L9:\n{other}leaq .LT(%rip), %r8\njmp .L8\n"
    assert flow(body + table(".LT", ".L1", ".L2") + table(".LU", ".L1")).tables == []


def test_a_bound_before_a_jump_elsewhere_is_no_bound() -> None:
    first = f"leaq .LT(%rip), %rdx\n{jump('%rdx')}"
    second = f"leaq .LU(%rip), %rdx\n{jump('%rdx')}"
    body = "movl %edi, %ecx\ncmpl $1, %ecx\njbe .L8\nleal -10(%rdi), %ecx\ncmpl $2, %ecx\nja .L3\n"
    text = f"{body}{first}.L8:\n{second}{ENDS}" + table(".LT", ".L1", ".L2", ".L3") + table(".LU", ".L2", ".L1")
    assert sorted(len(one.targets) for one in flow(text).tables) == [2, 3]
