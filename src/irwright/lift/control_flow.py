"""The basic blocks of one function, and what leads from one to the other."""

from __future__ import annotations

from collections.abc import Callable

from irwright.errors import LiftError
from irwright.lift.blocks import Block
from irwright.lift.expressions import Ref
from irwright.lift.jump_tables import JumpTables
from irwright.lift.program import Code, Imm, Instruction, Program
from irwright.lift.tails import split_tails


class ControlFlow(JumpTables):
    """Cuts one function into blocks."""

    def __init__(self, program: Program, code: Code, is_noreturn: Callable[[Ref], bool], *, tails: bool) -> None:
        super().__init__(program, code)
        self.is_noreturn = is_noreturn
        self.tails = tails
        self.leaders: set[tuple[int, int]] = set()
        self.ending: set[tuple[int, int]] = set()
        """calls that do not come back, as what follows shows"""

    def _split_tails(self, blocks: list[Block]) -> None:
        """Merged ends taken apart; the copies get places of their own."""

        def may_copy(insn: Instruction) -> bool:
            place_ = (insn.section, insn.address)
            return place_ not in self.table_reads and place_ not in self.table_jumps

        shapes = [(block.insns, block.successors, block.predecessors) for block in blocks]
        for one in split_tails(shapes, may_copy, calls=self.tails):
            self.joined[one.before.section, one.before.address] = one.copies[0]
            self.by_end[one.copies[0].section, one.copies[0].address] = one.before
            for insn, original in zip(one.copies, one.originals, strict=True):
                place_ = (insn.section, insn.address)
                self.by_place[place_] = insn
                self.positions[place_] = self.positions[original.section, original.address]
                self.by_end[insn.section, insn.end] = insn

    def _blocks(self) -> list[Block]:
        insns = self.code.instructions
        leaders = {0}
        for number, insn in enumerate(insns):
            if insn.mnemonic[0] == "j":
                target = self.inside(self.target_of(insn)) if isinstance(insn.operands[0], Imm) else None
                if target is not None:
                    leaders.add(self.positions[target])
                leaders.add(number + 1)
            elif insn.mnemonic in ("ret", "ud2", "hlt") or self._ends(insn):
                leaders.add(number + 1)
            if number and (insns[number - 1].section, insns[number - 1].end) != (insn.section, insn.address):
                leaders.add(number)
        for _, targets in self.table_jumps.values():
            leaders.update(self.positions[target] for target in targets)
        starts = sorted(leader for leader in leaders if leader < len(insns))
        blocks = [
            Block(index=n, insns=insns[start : starts[n + 1] if n + 1 < len(starts) else len(insns)])
            for n, start in enumerate(starts)
        ]
        at = {(b.insns[0].section, b.insns[0].address): b.index for b in blocks}
        self.leaders = set(at)
        for block in blocks:
            last = block.insns[-1]
            falls = block.index + 1 if block.index + 1 < len(blocks) else -1
            if falls >= 0:
                following = blocks[falls].insns[0]
                if (following.section, following.address) != (last.section, last.end):
                    falls = -1
            block.successors = self._successors(last, at, falls)
            for successor in block.successors:
                if block.index not in blocks[successor].predecessors:
                    blocks[successor].predecessors.append(block.index)
        return blocks

    def _ends(self, insn: Instruction) -> bool:
        """A call that does not come back."""
        if insn.mnemonic == "call" and (insn.section, insn.address) in self.ending:
            return True
        if insn.mnemonic != "call" or not isinstance(insn.operands[0], Imm):
            return False
        ref = self.target_of(insn)
        return ref is not None and self.is_noreturn(ref)

    def _successors(self, last: Instruction, at: dict[tuple[int, int], int], falls: int) -> list[int]:
        key = (last.section, last.address)
        if key in self.table_jumps:
            return [at[target] for target in self.table_jumps[key][1]]
        if last.mnemonic in ("ret", "ud2", "hlt") or self._ends(last):
            return []
        if last.mnemonic == "jmp":
            target = self.inside(self.target_of(last)) if isinstance(last.operands[0], Imm) else None
            return [] if target is None else [at[target]]
        if last.mnemonic[0] == "j":
            target = self.inside(self.target_of(last))
            if falls < 0:
                raise LiftError("code that runs past its end")
            return [falls] if target is None else [at[target], falls]
        if falls < 0:
            if last.mnemonic == "call":
                return []
            raise LiftError("code that runs past its end")
        return [falls]
