"""ELF relocatable objects, read whole: sections with content, symbols, relocations.

Our own reader, for speed: a large object has ten thousand relocations, and verification reads two or three objects
for each file that is tuned. Objects are hostile: everything is bounds-checked, and what is broken is an
InputError of one line. Tests compare it with pyelftools.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from irwright.errors import InputError
from irwright.llvm.codegen import SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_RELA, SHT_SYMTAB

EM_X86_64, EM_AARCH64 = 62, 183
ET_REL = 1
SHF_ALLOC, SHF_MERGE, SHF_STRINGS, SHF_TLS = 2, 16, 32, 1024
SHN_ABS, SHN_COMMON, SHN_XINDEX, SHN_LORESERVE = 0xFFF1, 0xFFF2, 0xFFFF, 0xFF00
SHT_SYMTAB_SHNDX = 18
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_COMMON, STT_TLS, STT_IFUNC = 1, 2, 3, 4, 5, 6, 10

_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


@dataclass(frozen=True, slots=True)
class Section:
    """One section; sections that are not loaded are kept so that indices hold."""

    name: str
    kind: int
    flags: int
    size: int
    alignment: int
    content: bytes
    """empty for .bss and for what is not loaded"""

    @property
    def is_loaded(self) -> bool:
        return bool(self.flags & SHF_ALLOC)

    @property
    def is_code(self) -> bool:
        return bool(self.flags & SHF_EXECINSTR)

    @property
    def is_writable(self) -> bool:
        return bool(self.flags & SHF_WRITE)

    @property
    def is_mergeable(self) -> bool:
        return bool(self.flags & SHF_MERGE)

    @property
    def is_strings(self) -> bool:
        return bool(self.flags & SHF_STRINGS)

    @property
    def is_tls(self) -> bool:
        return bool(self.flags & SHF_TLS)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol; `section` is 0 for undefined ones, SHN_ABS or SHN_COMMON for special ones."""

    name: str
    section: int
    value: int
    size: int
    kind: int
    binding: int

    @property
    def is_defined(self) -> bool:
        return self.section != 0

    @property
    def is_local(self) -> bool:
        return self.binding == STB_LOCAL


@dataclass(frozen=True, slots=True)
class Relocation:
    """One relocation: what to store at `offset` of the section it belongs to."""

    offset: int
    kind: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What an object holds."""

    name: str
    """how errors call it"""
    machine: int
    """EM_X86_64 or EM_AARCH64"""
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, list[Relocation]] = field(default_factory=dict[int, list[Relocation]])
    """of each loaded section, by its index"""

    def functions(self) -> dict[str, Symbol]:
        """Defined functions with code by name; a global one comes before a static one of the same name."""
        found: dict[str, Symbol] = {}
        for symbol in self.symbols:
            if symbol.kind != STT_FUNC or not symbol.size or not 0 < symbol.section < len(self.sections):
                continue
            if symbol.name and (symbol.name not in found or found[symbol.name].is_local):
                found[symbol.name] = symbol
        return found


def read_elf(data: bytes, name: str = "<object>") -> Object:
    """Read a little-endian 64-bit ELF relocatable for x86-64 or AArch64; InputError on anything else."""
    if data[:4] != b"\x7fELF" or len(data) < 64:
        raise InputError(name, "is no ELF object")
    if data[4] != 2 or data[5] != 1:
        raise InputError(name, "is no 64-bit little-endian ELF object")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind != ET_REL:
        raise InputError(name, "is no relocatable object; give what the compiler wrote before linking")
    if machine not in (EM_X86_64, EM_AARCH64):
        raise InputError(name, f"is for ELF machine {machine}; x86-64 and AArch64 can be verified")
    try:
        return _Reader(data, name, machine).read()
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputError(name, f"is a broken ELF object: {error}") from error


class _Reader:
    def __init__(self, data: bytes, name: str, machine: int) -> None:
        self.data = data
        self.name = name
        self.machine = machine

    def read(self) -> Object:
        headers = self._headers()
        (names_index,) = struct.unpack_from("<H", self.data, 62)
        if names_index == 0xFFFF and headers:
            names_index = headers[0][6]
        names = self._bytes_of(headers[names_index])
        sections = tuple(self._section(row, names) for row in headers)
        table = next((row for row in headers if row[1] == SHT_SYMTAB), None)
        symbols = self._symbols(table, headers) if table is not None else ()
        relocations: dict[int, list[Relocation]] = {}
        for row in headers:
            if row[1] == SHT_RELA and row[7] < len(sections) and sections[row[7]].is_loaded:
                relocations.setdefault(row[7], []).extend(self._relocations(row, len(symbols)))
        return Object(name=self.name, machine=self.machine, sections=sections, symbols=symbols, relocations=relocations)

    def _headers(self) -> list[tuple[int, ...]]:
        (table,) = struct.unpack_from("<Q", self.data, 40)
        entry_size, count = struct.unpack_from("<HH", self.data, 58)
        if entry_size != _HEADER.size:
            raise ValueError(f"section headers of {entry_size} bytes")
        if table + entry_size > len(self.data):
            raise ValueError("section headers past the end of the file")
        if count == 0 and table:
            count = _HEADER.unpack_from(self.data, table)[5]
        if table + count * entry_size > len(self.data):
            raise ValueError("section headers past the end of the file")
        return list(_HEADER.iter_unpack(self.data[table : table + count * entry_size]))

    def _bytes_of(self, row: tuple[int, ...]) -> bytes:
        if row[1] == SHT_NOBITS:
            return b""
        if row[4] + row[5] > len(self.data):
            raise ValueError("a section ends past the end of the file")
        return self.data[row[4] : row[4] + row[5]]

    def _section(self, row: tuple[int, ...], names: bytes) -> Section:
        loaded = bool(row[2] & SHF_ALLOC)
        alignment = row[8] or 1
        if loaded and (alignment & (alignment - 1) or alignment > 1 << 20):
            raise ValueError(f"a section aligned to {alignment} bytes")
        content = self._bytes_of(row) if loaded else b""
        return Section(_string(names, row[0]), row[1], row[2], row[5], alignment, content)

    def _symbols(self, table: tuple[int, ...], headers: list[tuple[int, ...]]) -> tuple[Symbol, ...]:
        names = self._bytes_of(headers[table[6]])
        content = self._bytes_of(table)
        extended = next((self._bytes_of(row) for row in headers if row[1] == SHT_SYMTAB_SHNDX), b"")
        symbols: list[Symbol] = []
        for index, row in enumerate(_SYMBOL.iter_unpack(content[: len(content) // _SYMBOL.size * _SYMBOL.size])):
            name, info, _, section, value, size = row
            if section == SHN_XINDEX:
                (section,) = struct.unpack_from("<I", extended, 4 * index)
            elif section < SHN_LORESERVE and section >= len(headers):
                raise ValueError(f"a symbol in section {section} of {len(headers)}")
            symbols.append(Symbol(_string(names, name), section, value, size, info & 0xF, info >> 4))
        return tuple(symbols)

    def _relocations(self, row: tuple[int, ...], num_symbols: int) -> list[Relocation]:
        content = self._bytes_of(row)
        rows = _RELOCATION.iter_unpack(content[: len(content) // _RELOCATION.size * _RELOCATION.size])
        found = [Relocation(offset, info & 0xFFFFFFFF, info >> 32, addend) for offset, info, addend in rows]
        if any(relocation.symbol >= num_symbols for relocation in found):
            raise ValueError("a relocation against a symbol that is not there")
        return found


def _string(names: bytes, offset: int) -> str:
    end = names.find(b"\0", offset)
    if offset > len(names) or end < 0:
        raise ValueError("a name past the end of its table")
    return names[offset:end].decode(errors="surrogateescape")
