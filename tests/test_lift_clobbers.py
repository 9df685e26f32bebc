"""What functions leave alone: gcc keeps values in such registers across calls."""

from __future__ import annotations

from irwright.lift.clobbers import ALL, find_clobbers
from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.program import Code, Imm, Instruction, Mem, Reg, Symbol

TEXT = """
.globl f
.type f,@function
f:
        movl    %edi, %r8d
        call    g
        addl    %r8d, %eax
        ret
.size f, .-f
.type g,@function
g:
        leal    (%rdi,%rsi), %eax
        ret
.size g, .-g
"""


def test_a_value_lives_across_a_call_that_leaves_it_alone() -> None:
    result = disassemble(TEXT, name="f.s", settings=LiftSettings(budget=1, verify=False))
    assert {one.function: one.reason for one in result.functions if one.verdict == "not-lifted"} == {}


def test_one_function_that_stays_machine_code_does_not_keep_others_so() -> None:
    text = (
        TEXT
        + """
.type h,@function
h:
        push    %rdx
        call    external
        pop     %rax
        ret
.size h, .-h
.globl k
.type k,@function
k:
        xorl    %edi, %edi
        call    h
        call    h
        jmp     h
.size k, .-k
.globl bad
.type bad,@function
bad:
        vzeroupper
        call    k
        ret
.size bad, .-bad
"""
    )
    result = disassemble(text, name="f.s", settings=LiftSettings(budget=1, verify=False))
    assert {one.function for one in result.functions if one.verdict == "not-lifted"} == {"bad"}


def test_clobbers_are_found_through_calls_and_unknown_calls_change_everything() -> None:
    codes = {name: Code(name, Symbol(name, 0, 0, 0, "func", "local"), []) for name in ("a", "b", "c")}
    codes["a"].instructions = [_call(1)]
    codes["b"].instructions = [_call(-1)]
    codes["c"].instructions = [_call(0)]
    names = {0: "a", 1: "c"}

    def callee(_code: Code, insn: Instruction) -> str | None:
        op = insn.operands[0]
        return names.get(op.value) if isinstance(op, Imm) else None

    found = find_clobbers(codes, callee, codes)
    assert found.registers == {"a": frozenset(), "b": ALL, "c": frozenset()}
    assert not found.unsure


def test_what_is_not_decoded_may_change_less() -> None:
    codes = {name: Code(name, Symbol(name, 0, 0, 0, "func", "local"), []) for name in ("a", "b", "c", "d")}
    codes["a"].instructions = [_call(1)]
    codes["b"].problem = "overlapping code"
    codes["c"].instructions = [_call(1), _call(-1)]
    codes["d"].instructions = [Instruction(0, 2, "jmp", (Reg("rax", 64),))]
    names = {1: "b"}

    def callee(_code: Code, insn: Instruction) -> str | None:
        op = insn.operands[0]
        return names.get(op.value) if isinstance(op, Imm) else None

    assert find_clobbers(codes, callee, ()).unsure == {"a", "b", "d"}
    assert find_clobbers(codes, callee, codes).unsure == {"a", "b"}


def test_block_fills_change_what_they_name() -> None:
    codes = {"a": Code("a", Symbol("a", 0, 0, 0, "func", "local"), [])}
    operands = (Mem("rdi", "", 1, 0, 32), Reg("rax", 32))
    codes["a"].instructions = [Instruction(0, 2, "stosd", operands, prefix="rep")]
    assert find_clobbers(codes, lambda _code, _insn: None, codes).registers == {"a": frozenset(["rcx", "rdi"])}


def test_instructions_without_operands_change_what_the_manual_says() -> None:
    codes = {"a": Code("a", Symbol("a", 0, 0, 0, "func", "local"), [])}
    codes["a"].instructions = [Instruction(0, 2, "cpuid", ()), Instruction(2, 2, "rdtsc", ())]
    found = find_clobbers(codes, lambda _code, _insn: None, codes)
    assert found.registers == {"a": frozenset(["rax", "rcx", "rdx"])}
    assert not found.unsure


def _call(target: int) -> Instruction:
    return Instruction(0, 5, "call", (Imm(target, 64),))
