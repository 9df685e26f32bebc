"""Signatures at calls, where prototypes and the other calls of a callee do not decide alone."""

from __future__ import annotations

from lifted_text import lifted, soundly_lifted


def test_a_target_that_is_loaded_before_the_jump_takes_two_arguments() -> None:
    body = "movq {}(%rdi), %rax\nmovq 104(%rdi), %rdi\njmpq *%rax"
    assert [unit for unit, _ in lifted(body.format(96)).functions["f"].signature.params] == ["rdi", "rsi"]
    tested = body.format(96).replace("\njmpq", "\ntestq %rax, %rax\njmpq")
    assert [unit for unit, _ in lifted(tested).functions["f"].signature.params] == ["rdi"]


def test_what_is_put_into_al_says_that_there_is_no_prototype_here() -> None:
    """One call counts its vector registers for `g`, the other knows what it takes."""
    counted = "pushq %rbx\nmovl $1, %edi\nmovsd n(%rip), %xmm0\nmovb $1, %al\ncallq g@PLT\npopq %rbx\nretq"
    lifter = soundly_lifted(f=counted, h=counted.replace("movb $1, %al\n", "").replace("$1", "$2"))
    signatures = [next(iter(lifter.functions[name].call_signatures.values())) for name in ("f", "h")]
    assert [one.is_variadic for one in signatures] == [True, False]
    assert signatures[0].params[-1] == ("xmm0", "double")


def test_a_push_makes_room_where_registers_are_not_used_up() -> None:
    body = "pushq %rbx\nmovq %rdi, %rbx\npushq $5\n{}callq g@PLT\npopq %rcx\npopq %rbx\nretq"
    few = lifted(body.format("movl $1, %edi\n"))
    assert [unit for unit, _ in few.externals["g"].params] == ["rdi"]
    registers = "".join(f"movl $1, %{name}\n" for name in ("edi", "esi", "edx", "ecx", "r8d", "r9d"))
    (signature,) = lifted(body.format(registers)).functions["f"].call_signatures.values()
    assert [unit for unit, _ in signature.params][6:] == ["stack.0"]
