"""Data sections as globals: their bytes, the references in them, linkage, alignment, sections, COMDATs.

A section is cut into objects at its symbols where every reference names the symbol it is relative to. Where some
say `.data + 40` (object files), nobody can tell whether that is past one object or before the next: then the section
stays one object, its symbols are aliases into it, and only jump tables are cut out. Mergeable sections are cut at
their entries, as linkers do.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from irwright.errors import LiftError
from irwright.lift.assembly import KEPT
from irwright.lift.expressions import Ref, bits, element
from irwright.lift.objects import place
from irwright.lift.program import CodeTable, Program, Section, Symbol

PLAIN_SECTIONS = (
    ".data",
    ".bss",
    ".rodata",
    ".data.rel.ro",
    ".data.rel",
    ".tdata",
    ".tbss",
    ".init_array",
    ".fini_array",
    ".text",
)


@dataclass(slots=True)
class DataObject:
    """One global."""

    name: str
    section: int
    start: int
    end: int
    symbol: Symbol | None
    is_private: bool
    is_local: bool
    align: int
    is_constant: bool
    is_thread_local: bool
    is_whole: bool = False
    """a section with symbols in it"""
    table: CodeTable | None = None
    holes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """of a whole section: tables that are objects of their own; zeros here"""


NameOf = Callable[[Ref, DataObject, int], str]
"""The constant for a place in an object's initializer; of an offset, also how far in it lies"""


class Layout:
    """The objects of a program's data."""

    def __init__(self, program: Program, local_names: set[str]) -> None:
        self.program = program
        self.local_names = local_names
        self.objects: dict[int, list[DataObject]] = {}
        self.starts: dict[int, list[int]] = {}
        self.by_name: dict[str, DataObject] = {}
        self.aliases: list[tuple[str, DataObject, Symbol]] = []
        self.inner: dict[str, tuple[DataObject, int]] = {}
        """symbols in whole sections and how far in they are"""
        self.inner_symbols: list[tuple[Symbol, DataObject]] = []
        self.tables: dict[int, list[DataObject]] = {}
        self.relative = _referred_sections(program) if not program.exact_places else set[int]()
        self.farthest = _farthest_places(program)
        taken = {symbol.name for symbol in program.symbols if symbol.name and not symbol.name.startswith(KEPT)}
        for section in program.sections:
            if (
                (
                    section.is_allocated
                    and not section.is_code
                    and section.kind in ("progbits", "nobits", "init_array", "fini_array")
                )
                and section.name not in (".eh_frame", ".note.GNU-stack")
                and not section.name.startswith(".gcc_except")
            ):
                self._cut(section, taken)
        for symbol in program.symbols:
            if symbol.section == -3 and symbol.name:
                one = DataObject(
                    symbol.name, -3, 0, symbol.size, symbol, False, symbol.name in local_names,
                    max(1, symbol.offset), False, symbol.kind == "tls",
                )  # fmt: skip
                self.by_name[symbol.name] = one

    def _cut(self, section: Section, taken: set[str]) -> None:
        marks: dict[int, list[Symbol]] = {}
        for symbol in self.program.symbols:
            if symbol.section == section.index and symbol.kind not in ("section", "file") and symbol.name:
                marks.setdefault(symbol.offset, []).append(symbol)
        cuts = sorted({0, *[offset for offset in marks if offset < section.size]})
        tables = [table for table in self.program.tables if table.section == section.index]
        if section.index in self.relative and not section.merge_bytes and (len(cuts) > 1 or tables):
            self._keep_whole(section, marks, tables, taken)
            return
        if not self.program.exact_places and section.is_strings and section.merge_bytes == 1:
            # Each string of a mergeable section is an object of its own.
            cuts = sorted({*cuts, *[at + 1 for at, byte in enumerate(section.data[:-1]) if byte == 0]})
        elif section.merge_bytes and not section.is_strings:
            cuts = sorted({*cuts, *range(0, section.size, section.merge_bytes)})
        found: list[DataObject] = []
        if not section.size and marks:
            cuts = [0]
        for number, start in enumerate(cuts):
            end = cuts[number + 1] if number + 1 < len(cuts) else section.size
            symbols = marks.get(start, [])
            if start == end and not symbols:
                continue
            main = max(symbols, key=lambda s: (s.size > 0, s.binding != "local"), default=None)
            if main is not None and self._is_padding(section, main, start, end):
                end = start + main.size
            private = main is None or main.name.startswith((KEPT, ".L"))
            if main is None:
                name = f"{section.name.strip('.')}.{start:x}"
                while name in taken:
                    name += "_"
            else:
                name = main.name.removeprefix(KEPT).removeprefix(".L") if private else main.name
                if private and name[:1] != ".":
                    name = f".{name}"
                while private and name in taken:
                    name += "_"
            taken.add(name)
            low = start & -start if start else section.align
            one = DataObject(
                name=name,
                section=section.index,
                start=start,
                end=end,
                symbol=main,
                is_private=private,
                is_local=private or main is None or main.binding == "local" or main.name in self.local_names,
                align=min(low, section.align),
                is_constant=not section.is_writable or section.name.startswith(".data.rel.ro"),
                is_thread_local=section.is_tls,
            )
            found.append(one)
            for symbol in symbols:
                self.by_name[symbol.name] = one
                if symbol is not main and not symbol.name.startswith((KEPT, ".L")):
                    self.aliases.append((symbol.name, one, symbol))
        if found and found[0].end - found[0].start == 0 and len(found) > 1 and found[0].symbol is None:
            found = found[1:]
        self.objects[section.index] = found
        self.starts[section.index] = [one.start for one in found]

    def _is_padding(self, section: Section, symbol: Symbol, start: int, end: int) -> bool:
        """Nothing but room for alignment follows the size of a symbol, and nothing names a place in it."""
        own = start + symbol.size
        return (
            start < own < end
            and not any(section.data[own:end])
            and not any(own <= at < end for at in section.relocations)
            and self.farthest.get(symbol.name, 0) <= symbol.size
        )

    def _keep_whole(
        self, section: Section, marks: dict[int, list[Symbol]], tables: list[CodeTable], taken: set[str]
    ) -> None:
        def fresh(name: str) -> str:
            while name in taken:
                name += "_"
            taken.add(name)
            return name

        def private(name: str, start: int, end: int, align: int) -> DataObject:
            return DataObject(
                fresh(name), section.index, start, end, None, True, True, align, not section.is_writable, section.is_tls
            )

        whole = private(f"section.{section.name.lstrip('.')}", 0, section.size, section.align)
        whole.is_whole = True
        whole.holes = [(table.start, table.end) for table in tables]
        self.objects[section.index] = [whole]
        self.starts[section.index] = [0]
        for table in tables:
            one = private(f"table.{table.function}.{table.start:x}", table.start, table.end, table.entry_bytes)
            one.table = table
            self.objects[section.index].append(one)
            self.tables.setdefault(section.index, []).append(one)
        for symbols in marks.values():
            for symbol in symbols:
                self.inner_symbols.append((symbol, whole))
                if symbol.binding in ("local", "global"):  # of weak ones another file's may be taken
                    self.inner[symbol.name] = (whole, symbol.offset)

    def find(self, ref: Ref) -> tuple[DataObject, int] | None:
        """The object a place lies in, and how far."""
        if ref.symbol is not None:
            if ref.symbol in self.inner:
                one, offset = self.inner[ref.symbol]
                return one, offset + ref.offset
            one = self.by_name.get(ref.symbol)
            return None if one is None else (one, ref.offset)
        anchor = ref.offset if ref.anchor is None else ref.anchor
        for table in self.tables.get(ref.section, []):
            if table.start <= anchor < table.end:
                return table, ref.offset - table.start
        starts = self.starts.get(ref.section)
        if not starts:
            return None
        at = max(0, bisect_right(starts, anchor) - 1)
        one = self.objects[ref.section][at]
        return one, ref.offset - one.start

    def inner_names(self) -> dict[str, tuple[str, int]]:
        """Names of places in whole sections: the section's name and how far in they are."""
        names = {name: (one.name, offset) for name, (one, offset) in self.inner.items()}
        names |= {one.name: (one.name, 0) for found in self.objects.values() for one in found if one.is_whole}
        return names

    def literal(self, ref: Ref, ty: str) -> str | None:
        """The constant at a place of a constant pool, as LLVM text."""
        found = self.find(ref)
        if found is None:
            return None
        one, offset = found
        section = self.program.sections[one.section] if one.section >= 0 else None
        if section is None or section.is_writable or not section.merge_bytes or section.is_strings:
            return None
        start = one.start + offset
        data = section.data[start : start + bits(ty) // 8]
        if len(data) * 8 != bits(ty) or any(start <= at < start + len(data) for at in section.relocations):
            return None
        return constant_text(data, ty)

    def initializer(self, one: DataObject, name_of: NameOf) -> tuple[str, str]:
        """Type and value of a global."""
        size = one.end - one.start
        if one.section < 0 or self.program.sections[one.section].kind == "nobits":
            return f"[{size} x i8]", "zeroinitializer"
        section = self.program.sections[one.section]
        parts: list[tuple[str, str]] = []
        at = one.start
        content = bytearray(section.data)
        for start, end in one.holes:
            content[start:end] = bytes(end - start)

        def plain(end: int) -> None:
            data = bytes(content[at:end])
            if data:
                text = "zeroinitializer" if not any(data) else f'c"{escape(data)}"'
                parts.append((f"[{len(data)} x i8]", text))

        for offset in sorted(o for o in section.relocations if one.start <= o < one.end):
            if offset < at or any(start <= offset < end for start, end in one.holes):
                continue
            relocation = section.relocations[offset]
            plain(offset)
            ref = place(self.program, relocation.symbol, relocation.addend)
            if relocation.kind == "64":
                parts.append(("ptr", name_of(ref, one, 0)))
                at = offset + 8
            elif relocation.kind in ("PC32", "PLT32"):
                target = name_of(ref, one, offset - one.start)
                here = f"ptrtoint (ptr getelementptr (i8, ptr @{quote(one.name)}, i64 {offset - one.start}) to i64)"
                parts.append(("i32", f"trunc (i64 sub (i64 ptrtoint (ptr {target} to i64), i64 {here}) to i32)"))
                at = offset + 4
            else:
                raise LiftError(f"relocation {relocation.kind} in data")
        plain(one.end)
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return "[0 x i8]", "zeroinitializer"
        types = ", ".join(ty for ty, _ in parts)
        values = ", ".join(f"{ty} {value}" for ty, value in parts)
        return f"<{{ {types} }}>", f"<{{ {values} }}>"


def _referred_sections(program: Program) -> set[int]:
    """Data sections in which places are named by how far they are from the start, or from a local symbol."""
    found: set[int] = set()
    for section in program.sections:
        for relocation in section.relocations.values():
            symbol = program.symbols[relocation.symbol]
            if symbol.section >= 0 and (symbol.kind == "section" or symbol.binding == "local"):
                found.add(symbol.section)
    return found


def _farthest_places(program: Program) -> dict[str, int]:
    """By symbol, how far behind it a place is that something names."""
    found: dict[str, int] = {}
    for section in program.sections:
        for relocation in section.relocations.values():
            name = program.symbols[relocation.symbol].name
            found[name] = max(found.get(name, 0), relocation.addend)
    return found


def escape(data: bytes) -> str:
    """Bytes in an LLVM string."""
    return "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:02X}" for b in data)


def quote(name: str) -> str:
    """A symbol name, in quotes where LLVM wants them."""
    if re.fullmatch(r"[A-Za-z$._-][\w$.-]*", name):
        return name
    return '"' + escape(name.encode()) + '"'


def constant_text(data: bytes, ty: str) -> str | None:
    """Bytes as a constant of a type."""
    if ty == "ptr":
        return None
    if ty[0] == "i":
        value = int.from_bytes(data, "little", signed=True)
        return str(value)
    if ty == "float":
        return (
            f"0x{struct.unpack('<Q', struct.pack('<d', struct.unpack('<f', data)[0]))[0]:016X}"
            if not _nan(data)
            else None
        )
    if ty == "double":
        return f"0x{struct.unpack('<Q', data)[0]:016X}"
    if ty == "x86_fp80":
        return "0xK" + data[:10][::-1].hex().upper()
    if ty[0] == "<":
        lane = element(ty)
        size = bits(lane) // 8
        lanes = [constant_text(data[k : k + size], lane) for k in range(0, len(data), size)]
        if any(text is None for text in lanes):
            return None
        if not any(data):
            return "zeroinitializer"
        return "<" + ", ".join(f"{lane} {text}" for text in lanes) + ">"
    return None


def _nan(data: bytes) -> bool:
    value = struct.unpack("<f", data)[0]
    return value != value
