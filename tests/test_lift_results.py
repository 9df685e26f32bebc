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


def test_a_byte_that_is_loaded_over_what_a_call_left_is_a_result_of_a_byte() -> None:
    body = "pushq %rbx\nmovq %rdi, %rbx\ncallq g@PLT\ntestl %eax, %eax\nje .L1\n{} 8(%rbx), {}\njmp .L2\n.L1:\n"
    body += "movl 12(%rbx), %eax\n.L2:\npopq %rbx\nretq"
    assert lifted(body.format("movb", "%al")).functions["f"].signature.returns == [("rax", "i8")]
    assert lifted(body.format("movzbl", "%eax")).functions["f"].signature.returns == [("rax", "i32")]


def test_what_is_loaded_to_be_tested_is_an_argument_too() -> None:
    """If nobody else wanted it, the comparison would be one with memory."""
    body = "{}\nje .L1\nmovq (%rsi), %rsi\njmp g@PLT\n.L1:\nretq"
    for text, wanted in (("movl 8(%rsi), %edx\ntestl %edx, %edx", ["rdi", "rsi", "rdx"]),
                         ("movl 8(%rsi), %edx\nnotl %edx\ntestl %edx, %edx", ["rdi", "rsi"]),
                         ("cmpl $0, 8(%rsi)", ["rdi", "rsi"])):  # fmt: skip
        assert [unit for unit, _ in lifted(body.format(text)).externals["g"].params] == wanted


def test_a_zero_that_is_made_once_for_two_arguments_is_as_wide_as_the_other() -> None:
    body = "pushq %rbx\nxorl %ebx, %ebx\nmovl %ebx, %edi\n{}\nmovl %ebx, %edx\ncallq g@PLT\n"
    body += "movl %ebx, n(%rip)\npopq %rbx\nretq"
    for copy, wanted in (("movq %rdi, %rsi", "i64"), ("movl %ebx, %esi", "i32")):
        assert lifted(body.format(copy)).externals["g"].params[0][1] == wanted
