"""An object laid out in memory: addresses for its sections, a GOT, thread-local storage, relocations applied.

Every section has pages of its own with unmapped ones around it, so that an access past the end of a section is seen.
Everything lies under 2 GiB, as code that is not position-independent expects. Undefined symbols get a page each
(`Externals`), at the same address for all objects that are compared.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from irwright.errors import InputError
from irwright.verify.elf import (
    EM_X86_64,
    SHN_ABS,
    SHN_COMMON,
    SHN_LORESERVE,
    STB_GLOBAL,
    STB_WEAK,
    STT_FUNC,
    STT_IFUNC,
    STT_SECTION,
    STT_TLS,
    Object,
    Relocation,
    Section,
    Symbol,
)
from irwright.verify.relocate import GotEntry, Place, RelocationError, Tls, apply_aarch64, apply_x86_64

PAGE = 0x1000
IMAGE_BASE = 0x1F1B0000
"""no round number: constants of programs should not look like addresses"""
IMAGE_LIMIT = IMAGE_BASE + (32 << 20)
"""what is laid out ends before here: calls of AArch64 reach 128 MiB"""
EXTERNALS_BASE = IMAGE_BASE + (40 << 20)
MAX_EXTERNALS = 16384
MAX_MOVED = 64
"""alignment of sections that a shifted layout moves within a page, and the least it moves them"""
BESIDE = 0x7D
"""what a shifted layout has beside and behind data"""
STACK_CANARY = 0xC0FFEE5AFE5A4900
KEPT_SECTION = re.compile(r"(?:\.L|_\$L)section\.(.+)")
"""the private symbol of a section that lifting kept whole, as it is or as lift/assembly.py keeps labels"""
TLS_DESCRIPTOR = "\0tlsdesc"
"""name of the function that AArch64's TLS descriptors call"""


def page_up(size: int) -> int:
    return (size + PAGE - 1) & -PAGE


def _is_unique(symbol: Symbol) -> bool:
    return symbol.binding == STB_GLOBAL


class Externals:
    """Addresses of undefined symbols; the same for every object of a comparison."""

    def __init__(self, objects: Iterable[Object]) -> None:
        names = {
            symbol.name for one in objects for symbol in one.symbols if not symbol.is_defined and symbol.kind != STT_TLS
        }
        self.names = [TLS_DESCRIPTOR, *sorted(names - {""})]
        if len(self.names) > MAX_EXTERNALS:
            raise InputError("<objects>", f"{len(self.names)} undefined symbols; {MAX_EXTERNALS} can be emulated")
        self._addresses = {name: EXTERNALS_BASE + PAGE * index for index, name in enumerate(self.names)}

    @property
    def end(self) -> int:
        return EXTERNALS_BASE + PAGE * len(self.names)

    def address(self, name: str) -> int:
        return self._addresses[name]

    def name_at(self, address: int) -> str | None:
        """The symbol whose page begins at exactly this address."""
        index, offset = divmod(address - EXTERNALS_BASE, PAGE)
        return self.names[index] if not offset and 0 <= index < len(self.names) else None


@dataclass(slots=True, kw_only=True)
class Segment:
    """Some pages with content."""

    address: int
    """of a page, but where a layout is shifted"""
    data: bytearray
    size: int
    """of the section; `data` is filled up to the end of a page"""
    is_code: bool
    is_writable: bool
    section: int
    """index in the object; -1 is the GOT, -2 thread-local storage of other objects"""

    @property
    def end(self) -> int:
        return self.address + len(self.data)

    @property
    def is_constant(self) -> bool:
        return not self.is_code and not self.is_writable


@dataclass(frozen=True, slots=True)
class Named:
    """A stretch of an image with a name."""

    address: int
    size: int
    name: str
    is_local: bool
    is_function: bool
    is_unique: bool
    """one symbol of this name in a program, not one of many that are the same"""

    @property
    def end(self) -> int:
        return self.address + self.size


class Image:
    """One object, ready to be emulated."""

    def __init__(self, elf: Object, externals: Externals, *, shift: int = 0, beside: int = BESIDE) -> None:
        """Lay out and relocate; InputError for what can't be laid out.

        `shift` moves everything by so many pages, each section within its first page too, and variables apart.
        """
        self.elf = elf
        self._shift = shift
        self._beside = bytes([beside])
        self.externals = externals
        self.is_x86 = elf.machine == EM_X86_64
        self.segments: list[Segment] = []
        self.problems: dict[int, str] = {}
        """sections whose content is not what it should be, and why"""
        self._next = IMAGE_BASE + PAGE * shift
        self._section_addresses: dict[int, int] = {}
        self._apart: dict[int, tuple[list[int], list[int]]] = {}
        """by section whose variables are not where the object has them: where each was, and is"""
        self._whole = self._sections_used_as_one() if shift else frozenset[int]()
        self._lay_out_tls()
        for index, section in enumerate(elf.sections):
            if section.is_loaded and section.size and not section.is_tls:
                self._section_addresses[index] = self._add_segment(index, section)
        self._lay_out_common()
        self._relocate()
        self._sorted_segments = sorted(self.segments, key=lambda segment: segment.address)
        self._segment_starts = [segment.address for segment in self._sorted_segments]
        self._named = self._name_stretches()
        self._global_addresses: dict[str, int] = {}
        self._starts = [named.address for named in self._named]
        self.functions = {
            name: Named(self._symbol_address(symbol), symbol.size, name, symbol.is_local, True, _is_unique(symbol))
            for name, symbol in elf.functions().items()
            if symbol.section in self._section_addresses
        }

    # ------------------------------------------------------------------ layout

    def _add_segment(self, index: int, section: Section) -> int:
        alignment = max(section.alignment, PAGE)
        address = (self._next + alignment - 1) & -alignment
        if self._shift and index >= 0 and section.alignment <= MAX_MOVED:
            address += MAX_MOVED + section.alignment * (1 + index % 3)
        content, size = bytes(section.content), section.size
        if self._shift and index >= 0 and not section.is_code:
            content = self._content_apart(index, section)
            size = len(content)
        self._check_end(address + size)
        data = bytearray(page_up(address % PAGE + size) - address % PAGE)
        if self._shift and not section.is_code:
            data[:] = self._beside * len(data)
            data[:size] = bytes(size)
        data[: len(content)] = content
        self.segments.append(
            Segment(
                address=address,
                data=data,
                size=size,
                is_code=section.is_code,
                is_writable=section.is_writable,
                section=index,
            )
        )
        self._next = address + len(data) + 4 * PAGE
        return address

    def _sections_used_as_one(self) -> frozenset[int]:
        """Sections of which code names places by the section's own symbol, or by labels: which variable is not said."""
        symbols = self.elf.symbols
        found: set[int] = set()
        for index, relocations in self.elf.relocations.items():
            if self.elf.sections[index].is_loaded:
                named = (symbols[relocation.symbol] for relocation in relocations)
                found.update(one.section for one in named if one.kind == STT_SECTION or not one.size)
        return frozenset(found)

    def _content_apart(self, index: int, section: Section) -> bytes:
        """The content of a section, its variables in reverse order with something else between them.

        A correct program can't tell; one that goes past the end of a variable does another thing.
        """
        whole = section.content.ljust(section.size, b"\0")
        spans = [(s.value, s.value + s.size) for s in self.elf.symbols if s.section == index and s.size]
        starts: list[int] = []
        reach = 0
        for start, end in sorted(spans):
            if start >= reach:
                starts.append(start)
            reach = max(reach, end)
        is_plain = section.name.startswith(".") and not section.is_mergeable and index not in self._whole
        if not is_plain or len(starts) < 2 or reach > section.size:
            return whole
        starts[0] = 0
        step = max(section.alignment, 16)
        found = bytearray()
        places: dict[int, int] = {}
        for start, end in reversed([*zip(starts, [*starts[1:], section.size], strict=True)]):
            found += self._beside * (2 * step - len(found) % step + start % step)
            places[start] = len(found)
            found += whole[start:end]
        self._apart[index] = (starts, [places[start] for start in starts])
        return bytes(found)

    def _offset(self, index: int, offset: int) -> int:
        """Where a place of a section of the object is in its segment."""
        if index not in self._apart:
            return offset
        starts, places = self._apart[index]
        at = max(0, bisect_right(starts, offset) - 1)
        return places[at] + offset - starts[at]

    def _check_end(self, end: int) -> None:
        if end > IMAGE_LIMIT:
            raise InputError(self.elf.name, f"needs over {(IMAGE_LIMIT - IMAGE_BASE) >> 20} MiB of memory")

    def _lay_out_tls(self) -> None:
        """One block: sections first, then what other objects define; `tls_offsets` count from its start."""
        offset = 0
        self.tls_start = self._next
        content = bytearray()
        self._tls_sections: dict[int, int] = {}
        for index, section in enumerate(self.elf.sections):
            if section.is_tls and section.is_loaded and section.size:
                offset = (offset + section.alignment - 1) & -section.alignment
                self._check_end(self.tls_start + offset + section.size)
                content += bytes(offset - len(content)) + section.content
                content += bytes(offset + section.size - len(content))
                self._tls_sections[index] = offset
                offset += section.size
        foreign = sorted({s.name for s in self.elf.symbols if s.kind == STT_TLS and not s.is_defined})
        offset = (offset + 63) & -64
        self._tls_foreign = {name: offset + 64 * number for number, name in enumerate(foreign)}
        size = offset + 64 * len(foreign)
        content += bytes(size - len(content))
        self._check_end(self.tls_start + size)
        # x86-64 keeps thread-local storage below the thread pointer, AArch64 16 bytes above it.
        self.thread_pointer = self.tls_start + (((size + 63) & -64) if self.is_x86 else -16)
        if self.is_x86:
            content += bytes(self.thread_pointer - self.tls_start - size)
            content += struct.pack("<5QQ", self.thread_pointer, 0, 0, 0, 0, STACK_CANARY) + bytes(208)
            size = len(content)
        if size:
            whole = bytearray(page_up(len(content)))
            whole[: len(content)] = content
            self.segments.append(
                Segment(address=self.tls_start, data=whole, size=size, is_code=False, is_writable=True, section=-2)
            )
            for index, place in self._tls_sections.items():
                self._section_addresses[index] = self.tls_start + place
        self._next = self.tls_start + page_up(size) + 4 * PAGE

    def _lay_out_common(self) -> None:
        self._common: dict[str, int] = {}
        offset = 0
        for symbol in self.elf.symbols:
            if symbol.section == SHN_COMMON and symbol.name not in self._common:
                alignment = max(1, min(symbol.value, PAGE))
                offset = (offset + alignment - 1) // alignment * alignment
                self._common[symbol.name] = offset
                offset += symbol.size
                self._check_end(self._next + offset)
        if offset:
            section = Section("COMMON", 8, 3, offset, PAGE, b"")
            address = self._add_segment(-3, section)
            self._common = {name: address + place for name, place in self._common.items()}

    def _symbol_address(self, symbol: Symbol) -> int:
        if symbol.section == SHN_ABS:
            return symbol.value
        if symbol.section == SHN_COMMON:
            return self._common[symbol.name]
        if symbol.section == 0:
            if symbol.kind == STT_TLS:
                return self.tls_start + self._tls_foreign[symbol.name]
            if symbol.name == "_GLOBAL_OFFSET_TABLE_":
                return self._got_start
            return self.externals.address(symbol.name) if symbol.name else 0
        if symbol.section in self._section_addresses:
            return self._section_addresses[symbol.section] + self._offset(symbol.section, symbol.value)
        if symbol.section >= SHN_LORESERVE or symbol.section >= len(self.elf.sections):
            raise RelocationError(f"a symbol of unknown section {symbol.section}")
        return self._next + symbol.value  # of an empty section: no byte of it is ever read

    # -------------------------------------------------------------- relocation

    def _relocate(self) -> None:
        by_section = {segment.section: segment for segment in self.segments}
        self._got_start = self._next
        self._got: dict[tuple[GotEntry, int, int], int] = {}
        self._got_words: list[int] = []
        apply = apply_x86_64 if self.is_x86 else apply_aarch64
        for index, relocations in self.elf.relocations.items():
            tls = index in self._tls_sections
            segment = by_section.get(-2 if tls else index)
            if segment is None:
                continue
            start = self._tls_sections[index] if tls else 0
            limit = start + self.elf.sections[index].size
            for relocation in relocations:
                try:
                    if start + relocation.offset + 4 > limit:
                        raise RelocationError("a relocation past the end of its section")
                    offset = start + self._offset(index, relocation.offset)
                    apply(self._place(segment, offset, relocation))
                except (RelocationError, struct.error) as error:
                    self.problems.setdefault(index, str(error))
        if self._got_words:
            data = struct.pack(f"<{len(self._got_words)}Q", *self._got_words)
            section = Section("GOT", 1, 2, len(data), 8, data)
            self._add_segment(-1, section)

    def _place(self, segment: Segment, offset: int, relocation: Relocation) -> Place:
        symbol = self.elf.symbols[relocation.symbol]
        if symbol.kind == STT_IFUNC:
            raise RelocationError(f"{symbol.name} is an indirect function (ifunc)")
        address = self._symbol_address(symbol)
        if symbol.section == 0 and symbol.binding == STB_WEAK and symbol.name.startswith("__"):
            address = 0 if symbol.name in ("__cxa_finalize", "__gmon_start__") else address
        return Place(
            data=segment.data,
            offset=offset,
            address=segment.address + offset,
            kind=relocation.kind,
            target=address,
            addend=relocation.addend,
            got=lambda entry: self._got_slot(entry, relocation, address),
            got_start=self._got_start,
            tls=Tls(start=self.tls_start, thread_pointer=self.thread_pointer),
        )

    def _got_slot(self, entry: GotEntry, relocation: Relocation, address: int) -> int:
        """Address of the GOT entry of a symbol, made when first asked for."""
        # AArch64 adds the addend to the symbol, x86-64 to the place of the entry.
        target = address + (0 if self.is_x86 else relocation.addend)
        key = (entry, target, 0)
        if key not in self._got:
            self._got[key] = self._got_start + 8 * len(self._got_words)
            words: tuple[int, ...]
            match entry:
                case GotEntry.ADDRESS:
                    words = (target,)
                case GotEntry.TLS_OFFSET:
                    words = (target - self.thread_pointer,)
                case GotEntry.TLS_MODULE:
                    words = (1, target)
                case GotEntry.TLS_BLOCK:
                    words = (1, self.tls_start)
                case GotEntry.TLS_DESCRIPTOR:
                    words = (self.externals.address(TLS_DESCRIPTOR), target - self.thread_pointer)
            self._got_words += [word & 0xFFFFFFFFFFFFFFFF for word in words]
        return self._got[key]

    # ------------------------------------------------------------------- names

    def _name_stretches(self) -> list[Named]:
        """Named symbols with a size by address, one for each address: global names before static ones."""
        best: dict[int, Named] = {}
        for symbol in self.elf.symbols:
            if not symbol.name or not symbol.is_defined or symbol.kind == STT_SECTION or not symbol.size:
                continue
            if symbol.section not in self._section_addresses and symbol.section != SHN_COMMON:
                continue
            address = self._symbol_address(symbol)
            named = Named(
                address, symbol.size, symbol.name, symbol.is_local, symbol.kind == STT_FUNC, _is_unique(symbol)
            )
            known = best.get(address)
            if known is None or (known.is_local, known.name) > (named.is_local, named.name):
                best[address] = named
        return [best[address] for address in sorted(best)]

    def contains(self, address: int) -> bool:
        """In the image or in the gaps between its sections."""
        return IMAGE_BASE <= address < EXTERNALS_BASE

    def named_at(self, address: int) -> list[Named]:
        """What an address may mean: the symbol it lies in, and the one that ends there."""
        index = bisect_right(self._starts, address) - 1
        found: list[Named] = []
        if index >= 0 and address < self._named[index].end:
            found.append(self._named[index])
        before = index - 1 if index >= 0 and self._starts[index] == address else index
        if before >= 0 and self._named[before].end == address:
            found.append(self._named[before])
        return found

    @cached_property
    def functions_at(self) -> dict[int, tuple[str, ...]]:
        """Names of functions by where they begin."""
        found: dict[int, tuple[str, ...]] = {}
        for name, function in self.functions.items():
            found[function.address] = (*found.get(function.address, ()), name)
        return found

    def section_place(self, address: int) -> tuple[str, int] | None:
        """The name of the section that an address lies in or ends, without its dot, and how far in it is."""
        at = bisect_right(self._segment_starts, address) - 1
        if at < 0 or self._sorted_segments[at].section < 0:
            return None
        segment = self._sorted_segments[at]
        name = self.elf.sections[segment.section].name.lstrip(".")
        return (name, address - segment.address) if address <= segment.address + segment.size else None

    @cached_property
    def kept_sections(self) -> dict[str, range]:
        """Where sections of the machine code that this was lifted from are, by name: lift/data.py keeps some whole."""
        places = ((KEPT_SECTION.fullmatch(symbol.name), symbol) for symbol in self.elf.symbols)
        return {
            match[1]: range(self._symbol_address(symbol), self._symbol_address(symbol) + symbol.size)
            for match, symbol in places
            if match is not None and symbol.section in self._section_addresses
        }

    def address_of(self, name: str) -> int | None:
        """Of what other objects can refer to by this name, or None."""
        if not self._global_addresses:
            self._global_addresses = {named.name: named.address for named in self._named if not named.is_local}
        return self._global_addresses.get(name)

    def segment_at(self, address: int) -> Segment | None:
        at = bisect_right(self._segment_starts, address) - 1
        if at >= 0 and address < self._sorted_segments[at].end:
            return self._sorted_segments[at]
        return None

    def is_strings(self, address: int) -> bool:
        """In a section of strings that end with NUL."""
        segment = self.segment_at(address)
        return segment is not None and segment.section >= 0 and self.elf.sections[segment.section].is_strings

    def writable_names(self) -> list[Named]:
        """Named data that code may write, by address; a symbol that claims more than its section is none."""
        spans = [(segment.address, segment.end) for segment in self.segments if segment.is_writable]
        return [
            named
            for named in self._named
            if any(start <= named.address < end and named.address + named.size <= end for start, end in spans)
        ]

    def problem_of(self, function: Named) -> str | None:
        """Why a function can't be emulated, if so."""
        segment = self.segment_at(function.address)
        return None if segment is None else self.problems.get(segment.section)
