"""How a function's IR is written: what falls through, limits, loads through the linker's tables, where blocks stand."""

from __future__ import annotations

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.options import Options
from lifted_text import emitted

BRANCH = "cmpl $2, %edi\njae .L1\nmovl $7, (%rsi)\nretq\n.L1:\nmovl $9, (%rsi)\nretq"


def test_what_falls_through_comes_first() -> None:
    assert "label %b1, label %b2\n" in emitted(BRANCH, Options(falls_first=True))
    assert "label %b1, label %b2, !prof " in emitted(BRANCH, Options(weights=True))


def test_a_comparison_that_was_turned_round_moves_the_block() -> None:
    plain = emitted(BRANCH, Options())
    assert plain.index("\nb1:") < plain.index("\nb2:")
    apart = emitted(BRANCH, Options(apart=True))
    assert apart.index("\nb1:") > apart.index("\nb2:")


def test_a_chosen_limit_is_an_intrinsic() -> None:
    limit = "movl %esi, %eax\ncmpl %esi, %edi\ncmovlel %edi, %eax\nretq"
    assert "@llvm.smin.i32(i32 %a0, i32 %a1)" in emitted(limit, Options(falls_first=True))
    assert "select i1" in emitted(limit, Options())


@pytest.mark.parametrize("is_early", [True, False])
def test_loads_through_the_table_are_made_with_the_address(is_early: bool) -> None:
    body = "movq p@GOTPCREL(%rip), %rax\nmovl (%rdi), %ecx\naddl (%rax), %ecx\nmovl %ecx, (%rsi)\nretq"
    text = emitted(body, Options(early_loads=is_early))
    assert (text.index("load i32, ptr @p,") < text.index("load i32, ptr %a0,")) == is_early


def test_no_load_passes_a_store() -> None:
    body = "movq p@GOTPCREL(%rip), %rax\nmovl %edx, (%rdi)\naddl (%rax), %ecx\nmovl %ecx, (%rsi)\nretq"
    text = emitted(body, Options())
    assert text.index("load i32, ptr @p,") > text.index("store i32")


def test_objects_on_the_stack_live_from_entry_on() -> None:
    body = "subq $24, %rsp\nleaq 8(%rsp), %rdi\ncallq g@PLT\naddq $24, %rsp\nretq"
    assert "call void @llvm.lifetime.start.p0(ptr %frame)" in emitted(body, Options())
    assert "lifetime" not in emitted(body, Options(lifetimes=False))


TWO_ENDS = "testl %edi, %edi\nje .L1\nmovl $7, %eax\nretq\n.L1:\nmovl $9, %eax\nretq"


def test_one_block_returns() -> None:
    assert emitted(TWO_ENDS, Options()).count("ret i32") == 1
    assert emitted(TWO_ENDS, Options(one_return=False)).count("ret i32") == 2


def test_a_block_that_was_moved_away_stands_before_what_it_leads_to() -> None:
    body = "testl %edi, %edi\nje .L2\n.L1:\nmovl $7, (%rsi)\nretq\n.L2:\nmovl $9, (%rdx)\njmp .L1"
    moved, natural = emitted(body, Options()), emitted(body, Options(natural=True))
    assert moved.index("store i32 7") < moved.index("store i32 9")
    assert natural.index("store i32 9") < natural.index("store i32 7")


def test_two_jumps_by_one_comparison_of_numbers_are_one() -> None:
    body = "ucomisd %xmm0, %xmm1\njne .L1\njp .L1\nmovl $7, (%rsi)\nretq\n.L1:\nmovl $9, (%rsi)\nretq"
    text = emitted(body, Options())
    assert "fcmp une double" in text
    assert text.count(" br i1 ") == 1


def test_what_was_moved_away_is_unlikely() -> None:
    body = "testl %edi, %edi\nje .L2\n.L1:\nmovl $7, (%rsi)\nretq\n.L2:\nmovl $9, (%rdx)\njmp .L1"
    assert "!prof" not in emitted(body, Options(natural=True))
    text = emitted(body, Options(natural=True, cold=True, falls_first=True))
    assert "label %b1, label %b2, !prof " in text
    assert "i32 2000, i32 1}" in text


def test_one_of_two_conditions_as_or() -> None:
    tests = "testl %edi, %edi\nsete %al\ncmpl $9, %esi\nseta %cl\norb %al, %cl\n"
    body = tests + "jne .L1\nmovl $7, (%rdx)\nretq\n.L1:\nmovl $9, (%rdx)\nretq"
    both, either = (emitted(body, Options(falls_first=True, either=on)) for on in (False, True))
    assert "label %b1, label %b2" in both
    assert "label %b2, label %b1" in either


def test_a_jump_to_another_function_stands_where_code_generation_had_it() -> None:
    body = "cmpl $7, %edi\n{} g@PLT\nmovq %rsi, %rdi\njmp h@PLT"
    later, next_ = (emitted(body.format(jump), Options(natural=True)) for jump in ("jg", "jge"))
    assert later.index("@h(") < later.index("@g(")
    assert next_.index("@g(") < next_.index("@h(")
    assert "!prof" not in later + next_


def test_what_is_moved_as_unaligned_lies_at_a_multiple_of_eight() -> None:
    body = "subq $40, %rsp\nmov{0}ps (%rdi), %xmm0\nmov{0}ps %xmm0, (%rsp)\nmovq %rsp, %rdi\ncallq g@PLT\n"
    texts = [emitted(body.format(kind) + "addq $40, %rsp\nretq", Options()) for kind in "ua"]
    assert ["align 8" in text.partition("alloca")[2][:30] for text in texts] == [True, False]


def test_what_a_carry_is_counted_with() -> None:
    body = "cmpl $1, %edi\n{} $-1, %esi\nmovl %esi, %eax\nretq"
    added, left = (emitted(body.format(name), Options()) for name in ("sbbl", "adcl"))
    assert "icmp uge i32 %a0, 1" in added or "xor i1" in added
    assert "add i32 %a1, " in added
    assert "sub i32 %a1, " in left


def test_a_table_of_addresses_comes_with_the_function() -> None:
    table = '.section .data.rel.ro,"aw"\n.p2align 3\n.Lt:\n.quad one\n.quad two\n.text'
    text = emitted(f"leaq .Lt(%rip), %rax\nmovq (%rax,%rdi,8), %rax\nretq\n{table}", Options())
    assert "private unnamed_addr constant <{ ptr, ptr }> <{ ptr @one, ptr @two }>" in text


TWO = "testl %edi, %edi\nsets %al\ntestq %rsi, %rsi\nsete %cl\n"
ENDS = "jne .L1\nmovl $7, (%rdx)\nretq\n.L1:\nmovl $9, (%rdx)\nretq"


def test_bytes_of_conditions_are_conditions() -> None:
    text = emitted(f"{TWO}orb %al, %cl\n{ENDS}", Options())
    assert "or i1" in text
    assert "or i8" not in text


def test_two_conditions_that_are_compared_with_one_were_a_choice() -> None:
    text = emitted(f"{TWO}andb %al, %cl\ncmpb $1, %cl\n{ENDS}", Options(falls_first=True))
    assert ", i1 false" in text
    assert "select i1" not in emitted(f"{TWO}andb %al, %cl\n{ENDS}", Options(falls_first=True))


def test_shifts_are_by_less_than_the_width() -> None:
    assert "and i32" not in emitted("leal 16(%rsi), %ecx\nmovl %edi, %eax\nshll %cl, %eax\nretq", Options())


def test_what_counts_from_0_may_be_added_to_a_pointer() -> None:
    """The counter shares its register with a pointer; LLVM takes a place counted from null for none."""
    body = "pushq %rbx\nxorl %esi, %esi\nmovq %rdi, %rbx\nmovl $64, %edx\ncallq memset@PLT\nmovq 72(%rbx), %rsi\n"
    body += "testq %rsi, %rsi\nje .L2\nleaq 256(%rsi), %rdx\nxorl %eax, %eax\n.L1:\nmovq $0, (%rdx,%rax)\n"
    body += "addq $8, %rax\ncmpq $64, %rax\njne .L1\n.L2:\npopq %rbx\nretq"
    text = f".text\n.globl f\n.type f,@function\nf:\n{body}\n.size f, .-f\n"
    result = disassemble(text, name="f.s", settings=LiftSettings(budget=1, verify=False))
    assert result.functions[0].verdict == "inconclusive"
    assert "@llvm.assume" not in result.ir
    assert "null_pointer_is_valid" in result.ir


def test_constants_come_in_the_order_in_which_code_generation_makes_them() -> None:
    body = "{}\n.L1:\naddl %ecx, %eax\nincl %ecx\nimull %ecx, %edx\naddl %edx, %eax\ndecl %edi\njne .L1\nretq"

    def order(start: str) -> list[str]:
        text = emitted(body.format(start), Options(reversed_webs=True))  # SROA writes the last one first
        return [line.split(".")[0].strip() for line in text.splitlines() if " = phi " in line and "rdi" not in line][
            ::-1
        ]

    assert order("movl $5, %eax\nmovl $9, %ecx\nmovl $7, %edx") == ["%rdx", "%rcx", "%rax"]
    assert order("movl $5, %eax\nmovl $9, %ecx\nmovl %esi, %edx") == ["%rcx", "%rax", "%rdx"]
    assert order("xorl %eax, %eax\nmovl $9, %ecx\nxorl %edx, %edx") == ["%rcx", "%rax", "%rdx"]  # one is copied
