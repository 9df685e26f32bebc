"""Unwind tables of functions that stay machine code: read from .eh_frame and .gcc_except_table, written as directives.

A function with a table of landing pads catches exceptions or cleans up after them. It is not lifted; with its tables
exceptions still find it. Frame instructions are handed on as they are (`.cfi_escape`), at the places they were.
"""

from __future__ import annotations

from dataclasses import dataclass

from irwright.lift.program import Program, Relocation, Section, Unwinding

_OPERANDS = {
    **dict.fromkeys((0x05, 0x09, 0x0C, 0x14, 0x2F), "uu"),
    **dict.fromkeys((0x06, 0x07, 0x08, 0x0D, 0x0E, 0x2E), "u"),
    **dict.fromkeys((0x11, 0x12, 0x15), "us"),
    **dict.fromkeys((0x0A, 0x0B, 0x2D), ""),
    0x13: "s",
    0x0F: "b",
    **dict.fromkeys((0x10, 0x16), "ub"),
}
"""Operands of frame instructions by opcode: unsigned and signed LEB128, a block"""


class _Reader:
    """Bytes of one entry of .eh_frame."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def fixed(self, size: int) -> int:
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little")


@dataclass(slots=True)
class _Common:
    """A common entry."""

    code_align: int
    personality: tuple[int, Relocation] | None
    lsda_encoding: int | None
    has_data: bool


def read_unwinding(program: Program) -> dict[tuple[int, int], Unwinding]:
    """By (section, offset) of the code that an entry is for; nothing where .eh_frame is not as it should be."""
    found: dict[tuple[int, int], Unwinding] = {}
    for section in program.sections:
        if section.name == ".eh_frame":
            try:
                found |= _read_section(program, section)
            except (IndexError, KeyError, ValueError):
                continue
    return found


def _read_section(program: Program, section: Section) -> dict[tuple[int, int], Unwinding]:
    data = section.data
    commons: dict[int, _Common] = {}
    found: dict[tuple[int, int], Unwinding] = {}
    at = 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        if length in (0, 0xFFFFFFFF):
            break
        reader, end = _Reader(data, at + 4), at + 4 + length
        where = reader.at
        pointer = reader.fixed(4)
        if pointer == 0:
            commons[at] = _common(section, reader)
        else:
            common = commons[where - pointer]
            place = _target(program, section, reader.at)
            reader.at += 8  # where the code begins, and its length
            one = Unwinding(personality=common.personality)
            if common.has_data:
                size = reader.uleb()
                after = reader.at + size
                if common.lsda_encoding is not None and size and reader.at in section.relocations:
                    one.lsda = (common.lsda_encoding, *_target(program, section, reader.at))
                reader.at = after
            one.steps = _steps(reader, end, common.code_align)
            found[place] = one
        at = end
    return found


def _common(section: Section, reader: _Reader) -> _Common:
    if reader.byte() not in (1, 3):
        raise ValueError("version")
    augmentation = ""
    while byte := reader.byte():
        augmentation += chr(byte)
    code_align = reader.uleb()
    reader.uleb()
    reader.uleb()
    found = _Common(code_align, None, None, augmentation.startswith("z"))
    if not found.has_data:
        return found
    reader.uleb()
    for letter in augmentation[1:]:
        if letter == "P":
            encoding = reader.byte()
            found.personality = (encoding, section.relocations[reader.at])
            reader.at += 8 if encoding & 7 in (0, 4) else 4
        elif letter == "L":
            found.lsda_encoding = reader.byte()
        elif letter == "R":
            reader.byte()
    return found


def _target(program: Program, section: Section, at: int) -> tuple[int, int]:
    relocation = section.relocations[at]
    symbol = program.symbols[relocation.symbol]
    return symbol.section, symbol.offset + relocation.addend


def _steps(reader: _Reader, end: int, code_align: int) -> list[tuple[int, bytes]]:
    steps: list[tuple[int, bytes]] = []
    place = 0
    while reader.at < end:
        start = reader.at
        op = reader.byte()
        high = op & 0xC0
        if high == 0x40 or op in (0x02, 0x03, 0x04):
            place += code_align * (op & 0x3F if high == 0x40 else reader.fixed(1 << (op - 2)))
            continue
        if op == 0:
            continue
        if high == 0x80:
            reader.uleb()
        elif not high:
            for kind in _OPERANDS[op]:
                size = reader.uleb()  # a signed one has the same length
                reader.at += size if kind == "b" else 0
        taken = reader.data[start : reader.at]
        if steps and steps[-1][0] == place:
            steps[-1] = (place, steps[-1][1] + taken)
        else:
            steps.append((place, taken))
    return steps


def escape(instructions: bytes) -> str:
    """Frame instructions as a directive."""
    return ".cfi_escape " + ",".join(f"{byte:#x}" for byte in instructions)
