"""What functions give back, and how wide the arguments of unknown callees are."""

from __future__ import annotations

from lifted_text import lifted


def test_what_a_call_left_over_is_no_result() -> None:
    left = "pushq %rbx\nmovq n@GOTPCREL(%rip), %rax\ncmpl $0, (%rax)\nje .L1\ncallq g@PLT\n.L1:\npopq %rbx\nretq"
    assert lifted(left).functions["f"].signature.returns == []
    meant = "pushq %rbx\nmovl $5, %eax\ntestl %edi, %edi\nje .L1\ncallq g@PLT\n.L1:\npopq %rbx\nretq"
    assert [unit for unit, _ in lifted(meant).functions["f"].signature.returns] == ["rax"]


def test_a_constant_made_before_the_copies_is_wide() -> None:
    before = "movl $4096, %edx\nmovq %rsi, %rdi\nxorl %esi, %esi\njmp g@PLT"
    after = "movq %rsi, %rdi\nxorl %esi, %esi\nmovl $4096, %edx\njmp g@PLT"
    types = [dict(lifted(text).externals["g"].params)["rdx"] for text in (before, after)]
    assert types == ["i64", "i32"]


def test_registers_of_string_instructions_are_no_arguments() -> None:
    body = "pushq %rbx\nmovq %rdi, %rbx\nmovl $64, %ecx\nxorl %eax, %eax\nrep stosb\n"
    body += "movq %rbx, %rdi\ncallq g@PLT\npopq %rbx\nretq"
    assert "rcx" not in dict(lifted(body).externals["g"].params)


def test_what_is_read_for_a_result_is_none_itself() -> None:
    body = "subsd %xmm0, %xmm1\nmovsd n(%rip), %xmm0\nxorl %eax, %eax\nucomisd %xmm1, %xmm0\nseta %al\nretq"
    assert lifted(body).functions["f"].signature.returns == [("rax", "i32")]


def test_an_instruction_for_its_flags_leaves_no_result() -> None:
    body = "testq %rdi, %rdi\nsete %dl\ncmpl $10, %esi\nsetae %cl\norb %cl, %dl\nje .L1\ncallq g@PLT\n.L1:\nretq"
    assert lifted(f"pushq %rax\n{body}").functions["f"].signature.returns == []


def test_zeroes_for_memory_and_parameters_that_nobody_touches_are_no_arguments() -> None:
    start = "xorps %xmm8, %xmm8\ncvtsi2sd %rdi, %xmm8\nmovsd %xmm8, n(%rip)\npushq %rbx\nxorps %xmm0, %xmm0\n"
    call = "callq g@PLT\npopq %rbx\nretq"
    stored = lifted(f"{start}movups %xmm0, (%rdi)\n{call}").externals["g"]
    assert not any(unit.startswith("xmm") for unit, _ in stored.params)
    assert "xmm0" in dict(lifted(start + call).externals["g"].params)


def test_how_far_something_is_shifted_is_no_argument() -> None:
    body = "movl %edx, %ecx\nnegb %cl\npushq $-1\npopq %rdi\nshll %cl, %edi\njmp g@PLT"
    assert [unit for unit, _ in lifted(body).externals["g"].params] == ["rdi"]


def test_the_upper_half_of_a_number_has_32_bits() -> None:
    body = "movq %rdi, %rsi\nshrq ${}, %rsi\njmp g@PLT"
    types = [dict(lifted(body.format(count)).externals["g"].params)["rsi"] for count in (32, 31)]
    assert types == ["i32", "i64"]


def test_a_target_that_is_loaded_before_the_jump_takes_two_arguments() -> None:
    body = "movq {}(%rdi), %rax\nmovq 104(%rdi), %rdi\njmpq *%rax"
    assert [unit for unit, _ in lifted(body.format(96)).functions["f"].signature.params] == ["rdi", "rsi"]
    tested = body.format(96).replace("\njmpq", "\ntestq %rax, %rax\njmpq")
    assert [unit for unit, _ in lifted(tested).functions["f"].signature.params] == ["rdi"]
