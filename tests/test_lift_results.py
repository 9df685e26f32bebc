"""What functions give back."""

from __future__ import annotations

from lifted_text import lifted


def test_what_a_call_left_over_is_no_result() -> None:
    left = "pushq %rbx\nmovq n@GOTPCREL(%rip), %rax\ncmpl $0, (%rax)\nje .L1\ncallq g@PLT\n.L1:\npopq %rbx\nretq"
    assert lifted(left).functions["f"].signature.returns == []
    meant = "pushq %rbx\nmovl $5, %eax\ntestl %edi, %edi\nje .L1\ncallq g@PLT\n.L1:\npopq %rbx\nretq"
    assert [unit for unit, _ in lifted(meant).functions["f"].signature.returns] == ["rax"]


def test_what_is_read_for_a_result_is_none_itself() -> None:
    body = "subsd %xmm0, %xmm1\nmovsd n(%rip), %xmm0\nxorl %eax, %eax\nucomisd %xmm1, %xmm0\nseta %al\nretq"
    assert lifted(body).functions["f"].signature.returns == [("rax", "i32")]


def test_an_instruction_for_its_flags_leaves_no_result() -> None:
    body = "testq %rdi, %rdi\nsete %dl\ncmpl $10, %esi\nsetae %cl\norb %cl, %dl\nje .L1\ncallq g@PLT\n.L1:\nretq"
    assert lifted(f"pushq %rax\n{body}").functions["f"].signature.returns == []
