"""What functions leave alone: gcc keeps values in such registers across calls."""

from __future__ import annotations

from irwright.lift.clobbers import ALL, find_clobbers
from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.program import Code, Imm, Instruction, Symbol

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


def test_clobbers_are_found_through_calls_and_unknown_calls_change_everything() -> None:
    codes = {name: Code(name, Symbol(name, 0, 0, 0, "func", "local"), []) for name in ("a", "b", "c")}
    codes["a"].instructions = [_call(1)]
    codes["b"].instructions = [_call(-1)]
    codes["c"].instructions = [_call(0)]
    names = {0: "a", 1: "c"}

    def callee(_code: Code, insn: Instruction) -> str | None:
        op = insn.operands[0]
        return names.get(op.value) if isinstance(op, Imm) else None

    found = find_clobbers(codes, callee)
    assert found == {"a": frozenset(), "b": ALL, "c": frozenset()}


def _call(target: int) -> Instruction:
    return Instruction(0, 5, "call", (Imm(target, 64),))
