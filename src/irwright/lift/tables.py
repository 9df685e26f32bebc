"""Jump tables in the data of objects: runs of places within a function, cut where that function's code refers to them.

Text input needs none of this: there every table has a label of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from irwright.lift.expressions import Ref
from irwright.lift.objects import place
from irwright.lift.program import Code, CodeTable, Imm, Mem, Program

Interval = tuple[int, int, Code]


class Places:
    """Which function a place in code lies in."""

    def __init__(self, program: Program) -> None:
        self.intervals: dict[int, list[Interval]] = {}
        for code in program.functions:
            for section, start, end in code.pieces:
                self.intervals.setdefault(section, []).append((start, end, code))
        for found in self.intervals.values():
            found.sort(key=lambda interval: interval[0])
        self.starts = {section: [start for start, _, _ in found] for section, found in self.intervals.items()}

    def function(self, section: int, offset: int) -> Code | None:
        """The function that has code at a place."""
        starts = self.starts.get(section, [])
        at = bisect_right(starts, offset) - 1
        if at < 0:
            return None
        start, end, code = self.intervals[section][at]
        return code if start <= offset < end else None

    def is_end(self, section: int, offset: int, name: str) -> bool:
        """A place right behind the code of a function."""
        return any(end == offset and code.name == name for _, end, code in self.intervals.get(section, []))


def find_tables(program: Program) -> list[CodeTable]:
    """The tables of a program whose functions are decoded."""
    places = Places(program)
    referred = _referred_places(program)
    starts: dict[int, list[int]] = {}
    for section, offset in sorted(referred):
        starts.setdefault(section, []).append(offset)
    tables: list[CodeTable] = []
    for section, offsets in starts.items():
        done = 0
        for number, start in enumerate(offsets):
            if start < done:
                continue
            following = offsets[number + 1] if number + 1 < len(offsets) else program.sections[section].size
            for name in sorted(referred[section, start]):
                table = _table_at(program, places, section, start, following, name)
                if table is not None:
                    tables.append(table)
                    done = table.end
                    break
    return tables


def _referred_places(program: Program) -> dict[tuple[int, int], set[str]]:
    """Places in data that instructions name, and the functions that do."""
    found: dict[tuple[int, int], set[str]] = {}
    for code in program.functions:
        for ref in _referred_by(program, code):
            if ref is None or ref.section < 0 or ref.symbol is not None or ref.kind != "direct":
                continue
            section = program.sections[ref.section]
            if not section.is_code and 0 <= ref.offset < section.size and section.relocations:
                found.setdefault((ref.section, ref.offset), set()).add(code.name)
    return found


def _referred_by(program: Program, code: Code) -> Iterator[Ref | None]:
    if not code.problem:
        yield from (op.ref for insn in code.instructions for op in insn.operands if isinstance(op, Mem | Imm))
        return
    for section, start, end in code.pieces:
        for offset, relocation in program.sections[section].relocations.items():
            if start <= offset < end:
                back = 4 if relocation.kind in ("PC32", "PLT32") else 0  # as in `lea`, where nothing follows
                yield place(program, relocation.symbol, relocation.addend + back)


def _table_at(
    program: Program, places: Places, section_index: int, start: int, following: int, name: str
) -> CodeTable | None:
    section = program.sections[section_index]
    first = section.relocations.get(start)
    if first is None or first.kind not in ("PC32", "64"):
        return None
    entry = 4 if first.kind == "PC32" else 8
    # Offsets are relative to their own table, so another place that code names begins another one. Addresses are not:
    # the code may name the second of several places.
    limit = following if entry == 4 else section.size
    position = start
    while position + entry <= limit:
        relocation = section.relocations.get(position)
        if relocation is None or relocation.kind != first.kind:
            break
        ref = place(program, relocation.symbol, relocation.addend - (position - start if entry == 4 else 0))
        code = places.function(ref.section, ref.offset) if ref.symbol is None else None
        if code is None and position > start and entry == 4 and places.is_end(ref.section, ref.offset, name):
            position += entry  # of a value that the index never has
            continue
        if code is None or code.name != name or (entry == 8 and (ref.section, ref.offset) == code.pieces[0][:2]):
            break
        position += entry
    return CodeTable(section_index, start, position, name, entry) if position > start else None
