"""Comparisons that code generation makes of a switch with two or few cases, and what they compared before."""

from __future__ import annotations

from dataclasses import dataclass

from irwright.lift.blocks import Block, Step
from irwright.lift.program import Imm, Instruction, Reg

MAX_CASES = 8


@dataclass(frozen=True, slots=True)
class FewCases:
    """A branch that was a switch: on the register `name` before step `number`, to the jump's target or past it."""

    name: str
    width: int
    number: int
    cases: tuple[int, ...]
    is_taken: bool
    """the cases lead where the jump leads"""
    changed: str
    """the register that holds what is compared"""


def few_cases(block: Block) -> FewCases | None:
    """`or x, 8; cmp x, 43; je`: x is 43 or 35. `add x, -4; cmp x, 2; jb`: x is 4 or 5."""
    steps = block.steps
    if len(steps) < 3 or len(set(block.successors)) != 2:
        return None
    at = next((n for n in range(len(steps) - 2, -1, -1) if steps[n].insn.mnemonic in ("cmp", "test", "sub")), None)
    if at is None or steps[at].insn.mnemonic != "cmp" or any(_sets_flags(step) for step in steps[at + 1 : -1]):
        return None
    name, limit = steps[at].insn.operands
    if not isinstance(name, Reg) or not isinstance(limit, Imm) or limit.ref is not None:
        return None
    number = next((n for n in range(at - 1, -1, -1) if any(e.unit == name.name for e in steps[n].effects)), None)
    if number is None:
        return None
    change = steps[number].insn
    first = change.operands[0] if change.operands else None
    added = change.operands[1] if len(change.operands) == 2 else None
    if not isinstance(first, Reg) or first.name != name.name or first.width != name.width:
        return None
    if not isinstance(added, Imm) or added.ref is not None:
        return None
    found = _cases(change, added.value, limit.value, steps[-1].insn.mnemonic)
    return None if found is None else FewCases(name.name, name.width, number, *found, name.name)


def _sets_flags(step: Step) -> bool:
    return any(effect.unit.startswith("cc.") for effect in step.effects)


def _cases(change: Instruction, value: int, limit: int, jump: str) -> tuple[tuple[int, ...], bool] | None:
    if change.mnemonic == "or" and jump in ("je", "jne") and value > 0 and not value & (value - 1) and limit & value:
        return (limit, limit ^ value), jump == "je"
    if change.mnemonic == "add" and jump in ("jb", "jae", "jbe", "ja"):
        low, count = -value, limit + (jump in ("jbe", "ja"))
        # Where these lie together in one block of their number, other code compares what the block is.
        if low >= 0 and 1 < count <= MAX_CASES and not count & (count - 1) and low % count == 0:
            return tuple(range(low, low + count)), jump in ("jb", "jbe")
    return None
