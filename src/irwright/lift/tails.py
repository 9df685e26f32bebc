"""Ends that code generation merged, taken apart again: a short block that several others jump to is copied into them.

Compilers lay equal ends of blocks on top of each other after instructions were selected, so `push 5` may stand in one
block and its `pop` in the next, and one call may stand for many. Copying is always right; code generation merges again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from irwright.lift.program import Instruction, Mem, Reg
from irwright.lift.signatures import INTEGER_ARGUMENTS

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
        whole = calls and any(insn.mnemonic == "call" or _leaves(insn, successors) for insn in insns)
        whole = whole or _num_arguments(insns, successors, ends) > 1
        if not pops and not whole:
            continue
        if not whole and len(before) == len(predecessors) and _is_operand(insns):
            for p, end in zip(before, ends, strict=True):
                copy = replace(insns[0], address=insns[0].address + ((len(joined) + 1) << 40))
                joined.append(Joined(end[-1], [copy], insns[:1]))
                blocks[p][0][:] = [*end, copy]
            del insns[0]
            continue
        for p, end in zip(before, ends, strict=True):
            if not end:
                continue  # a block that only jumps is named by its place
            shift = (len(joined) + 1) << 40
            copies = [replace(insn, address=insn.address + shift) for insn in insns]
            joined.append(Joined(end[-1], copies, list(insns)))
            blocks[p][0][:] = [*end, *copies]
            blocks[p][1][:] = successors
            predecessors.remove(p)
            for successor in successors:
                blocks[successor][2].append(p)
    return joined


def _is_operand(insns: list[Instruction]) -> bool:
    """`pop rcx; add rax, rcx`: of a constant that is known, code generation would have made `add rax, 5`."""
    if len(insns) < 2 or insns[1].mnemonic not in ("add", "sub", "and", "or", "xor", "cmp", "imul"):
        return False
    return len(insns[1].operands) == 2 and insns[1].operands[1] == insns[0].operands[0]


def _num_arguments(insns: list[Instruction], successors: list[int], ends: list[list[Instruction]]) -> int:
    """How many argument registers each of the blocks sets at its end for a call that they share.

    Two values that differ are more than the optimiser would have joined.
    """
    call = next((n for n, insn in enumerate(insns) if insn.mnemonic == "call" or _leaves(insn, successors)), None)
    if call is None:
        return 0
    here = {name for insn in insns[:call] for name in (*_written(insn), *_read(insn))}
    sets = [_left(end) for end in ends]
    return len(sets[0].intersection(*sets[1:]) & set(INTEGER_ARGUMENTS) - here)


def _left(end: list[Instruction]) -> set[str]:
    """Registers that a block sets after its last call and does not read itself."""
    found: set[str] = set()
    read: set[str] = set()
    for insn in reversed(end[-LONGEST:]):
        if insn.mnemonic == "call":
            break
        found |= set(_written(insn)) - read
        read |= set(_read(insn))
    return found


def _written(insn: Instruction) -> list[str]:
    """The register an instruction sets."""
    first = insn.operands[0] if insn.operands else None
    return [first.name] if isinstance(first, Reg) and insn.mnemonic not in ("push", "cmp", "test") else []


def _read(insn: Instruction) -> list[str]:
    """Registers that an instruction reads."""
    found = [name for op in insn.operands if isinstance(op, Mem) for name in (op.base, op.index) if name]
    is_plain = (
        insn.mnemonic in ("mov", "movzx", "movsx", "movsxd", "lea", "pop") or insn.operands[:1] == insn.operands[1:]
    )
    return found + [op.name for op in insn.operands[is_plain:] if isinstance(op, Reg)]


def _without_jump(insns: list[Instruction]) -> list[Instruction]:
    return insns[:-1] if insns[-1].mnemonic == "jmp" else insns


def _leaves(insn: Instruction, successors: list[int]) -> bool:
    """A jump to another function."""
    return insn.mnemonic == "jmp" and not successors
