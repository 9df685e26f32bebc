"""Ends that code generation merged, taken apart again: a short block that several others jump to is copied into them.

Compilers lay equal ends of blocks on top of each other after instructions were selected, so `push 5` may stand in one
block and its `pop` in the next, and one call may stand for many. Copying is always right; code generation merges again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from irwright.lift.program import Instruction

LONGEST = 10
Place = tuple[int, int]


@dataclass(slots=True)
class Joined:
    """An instruction that now follows another."""

    before: Instruction
    copies: list[Instruction]
    originals: list[Instruction]


def split_tails(
    blocks: list[tuple[list[Instruction], list[int], list[int]]],
    may_copy: Callable[[Instruction], bool],
    *,
    calls: bool,
) -> list[Joined]:
    """Change blocks (instructions, successors, predecessors) in place; what was joined.

    Copies have places of their own, above all real ones. `calls`: blocks that hold a call are taken apart too, not only
    those that begin with the `pop` of a push.
    """
    joined: list[Joined] = []
    for index, (insns, successors, predecessors) in enumerate(blocks):
        before = [p for p in predecessors if blocks[p][1] == [index] and p != index]
        if index == 0 or len(predecessors) < 2 or len(insns) > LONGEST or len(successors) > 1 or len(before) < 2:
            continue
        if not all(may_copy(insn) for insn in insns) or set(successors) & {*predecessors, index}:
            continue
        ends = [_without_jump(blocks[p][0]) for p in before]
        pops = insns[0].mnemonic == "pop" and all(end and end[-1].mnemonic == "push" for end in ends)
        if not pops and not (calls and any(insn.mnemonic == "call" or _leaves(insn, successors) for insn in insns)):
            continue
        for p, end in zip(before, ends, strict=True):
            if not end:
                continue  # a block that only jumps is named by its place
            shift = (len(joined) + 1) << 40
            copies = [replace(insn, address=insn.address + shift) for insn in insns]
            joined.append(Joined(end[-1], copies, insns))
            blocks[p][0][:] = [*end, *copies]
            blocks[p][1][:] = successors
            predecessors.remove(p)
            for successor in successors:
                blocks[successor][2].append(p)
    return joined


def _without_jump(insns: list[Instruction]) -> list[Instruction]:
    return insns[:-1] if insns[-1].mnemonic == "jmp" else insns


def _leaves(insn: Instruction, successors: list[int]) -> bool:
    """A jump to another function."""
    return insn.mnemonic == "jmp" and not successors
