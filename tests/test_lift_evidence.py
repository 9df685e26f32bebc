"""How many arguments calls offer, how many of them are meant, and how wide they are."""

from __future__ import annotations

from irwright.lift.lifter import FileLifter
from lifted_text import lifted, soundly_lifted


def params(lifter: FileLifter, name: str) -> list[str]:
    return [unit for unit, _ in lifter.externals[name].params]


def test_a_constant_made_before_the_copies_is_wide() -> None:
    before = "movl $4096, %edx\nmovq %rsi, %rdi\nxorl %esi, %esi\njmp g@PLT"
    after = "movq %rsi, %rdi\nxorl %esi, %esi\nmovl $4096, %edx\njmp g@PLT"
    types = [dict(lifted(text).externals["g"].params)["rdx"] for text in (before, after)]
    assert types == ["i64", "i32"]


def test_registers_of_string_instructions_are_no_arguments() -> None:
    body = "pushq %rbx\nmovq %rdi, %rbx\nmovl $64, %ecx\nxorl %eax, %eax\nrep stosb\n"
    body += "movq %rbx, %rdi\ncallq g@PLT\npopq %rbx\nretq"
    assert "rcx" not in dict(lifted(body).externals["g"].params)


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


def test_arguments_that_nothing_else_can_be_are_passed() -> None:
    """One call of g offers nothing in rdx, another sets it for nobody else."""
    one = "pushq %rbx\nmovq %rdi, %rbx\ncallq strlen@PLT\nmovq %rbx, %rdi\nmovl $1, %esi\npopq %rbx\njmp g@PLT"
    other = "movl $1, %esi\nmovl $3, %edx\njmp g@PLT"
    lifter = soundly_lifted(one=one, other=other)
    assert [found.problem for found in lifter.functions.values()] == ["", ""]
    assert params(lifter, "g") == ["rdi", "rsi", "rdx"]


def test_a_name_of_the_c_library_is_no_proof() -> None:
    """error(3) takes three arguments at least; here one is given, the others were left by a call."""
    body = "pushq %rbx\nmovq %rdi, %rbx\ncallq strlen@PLT\nmovq %rbx, %rdi\npopq %rbx\njmp error@PLT"
    lifter = soundly_lifted(f=body)
    assert lifter.functions["f"].problem == ""
    assert lifter.strangers == {"error"}
    assert params(lifter, "error") == ["rdi"]
    given = body.replace("popq", "movl $1, %esi\nxorl %edx, %edx\npopq")
    assert not soundly_lifted(f=given).strangers
