"""Where direct jumps and calls of one function lead, and its instructions by their places."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import Ref
from irwright.lift.program import Code, Imm, Instruction, Program


class Places:
    """The instructions of one function by their places."""

    def __init__(self, program: Program, code: Code) -> None:
        self.program = program
        self.code = code
        self.joined: dict[tuple[int, int], Instruction] = {}
        """by place: what follows in its block, where that is a copy"""
        self.by_place: dict[tuple[int, int], Instruction] = {}
        self.positions: dict[tuple[int, int], int] = {}
        self.by_end: dict[tuple[int, int], Instruction] = {}

    def _index(self) -> None:
        """Instructions by their places."""
        self.joined, self.by_place, self.positions, self.by_end = {}, {}, {}, {}
        for number, insn in enumerate(self.code.instructions):
            key = (insn.section, insn.address)
            self.by_place[key] = insn
            self.positions[key] = number
            self.by_end[insn.section, insn.end] = insn

    def target_of(self, insn: Instruction) -> Ref | None:
        """Where a direct jump or call goes."""
        op = insn.operands[0]
        if not isinstance(op, Imm):
            return None
        if op.ref is not None:
            ref = op.ref
            if ref.symbol is not None and ref.section >= 0 and self._is_own(ref):
                return Ref(None, ref.section, self._offset(ref), "direct")
            return ref
        return Ref(None, insn.section, op.value)

    def _is_own(self, ref: Ref) -> bool:
        place_ = (ref.section, self._offset(ref))
        return place_ in self.by_place

    def _offset(self, ref: Ref) -> int:
        if ref.symbol is None:
            return ref.offset
        for symbol in self.program.symbols:
            if symbol.name == ref.symbol and symbol.section == ref.section:
                return symbol.offset + ref.offset
        return ref.offset

    def inside(self, ref: Ref | None) -> tuple[int, int] | None:
        """The place in this function a reference means, if it does; the entry counts only for jumps (loops)."""
        if ref is None or ref.section < 0:
            return None
        place_ = (ref.section, self._offset(ref))
        if place_ in self.by_place:
            return place_
        for section, start, end in self.code.pieces:
            if section == place_[0] and start <= place_[1] < end:
                raise LiftError("a jump into the middle of an instruction")
        return None
