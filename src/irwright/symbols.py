"""What an object offers a linker and asks of it: the global symbols of an ELF object, and what may change of them."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from irwright.errors import InputError, LLVMError

_SHT_SYMTAB = 2
_SHF_GROUP = 0x200
_LOCAL, _WEAK = 0, 2
_RESERVED = 0xFF00


ALWAYS_THERE = frozenset(("memcpy", "memmove", "memset", "memcmp"))
"""Functions that every program has to have: compilers call them unasked, even in freestanding code"""

IN_LIBC = ALWAYS_THERE.union(
    "abs atoi bcmp fprintf fputc fputs free fwrite isalnum isalpha isdigit isspace labs malloc memchr printf putchar "  # noqa: SIM905
    "puts sprintf stpcpy strcat strchr strcmp strcpy strcspn strlen strncat strncmp strncpy strpbrk strrchr strspn "
    "strstr tolower toupper".split()
)
"""Functions of every C library (not of libm, which may not be linked) that -Oz folds away, or calls in place of another
one: a call more or less is no matter in hosted code"""

FREESTANDING = ("-ffreestanding", "-fno-builtin", "-fno-hosted", "-nostdinc", "-nostdlibinc", "-nostdlib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """Global symbols by what they are to a linker."""

    undefined: frozenset[str]
    strong: frozenset[tuple[str, int, int]]
    """(name, type, visibility) of definitions that other objects may count on; copies that every object with a use
    makes for itself (C++ inline functions, in COMDAT groups) are none of them"""


def may_be_called(flags: Iterable[str]) -> frozenset[str]:
    """Functions that code compiled with these options may call where the plain object doesn't."""
    return ALWAYS_THERE if any(flag.startswith(FREESTANDING) for flag in flags) else IN_LIBC


def link_problem(plain: Symbols, tuned: Symbols, may_call: frozenset[str]) -> str | None:
    """What a linker would see of the change: another set of definitions, or a symbol it may not find.

    Programs count on -Oz to remove calls: to functions that exist nowhere, as in checks at compile time, or in
    libraries that are not linked.
    """
    wanted = tuned.undefined - plain.undefined - may_call
    if wanted:
        return f"refers to {sorted(wanted)[0]!r}, which the plain object does not"
    if tuned.strong != plain.strong:
        return f"defines other symbols: {sorted(map(str, tuned.strong ^ plain.strong))[0]}"
    return None


def users(data: bytes, names: Collection[str]) -> tuple[str, ...]:
    """Functions of an object that refer to symbols of these names; none where verify/elf.py can't read it."""
    from irwright.verify.elf import read_elf  # where something is wrong only

    if not names:
        return ()
    try:
        read = read_elf(data)
    except InputError:
        return ()
    places = {
        (section, relocation.offset)
        for section, relocations in read.relocations.items()
        for relocation in relocations
        if read.symbols[relocation.symbol].name in names
    }
    return tuple(
        name
        for name, symbol in read.functions().items()
        if any(
            section == symbol.section and symbol.value <= offset < symbol.value + symbol.size
            for section, offset in places
        )
    )


def read_symbols(data: bytes) -> Symbols:
    """The global symbols of an ELF object of either width and byte order; LLVMError on anything else."""
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError) as error:
        raise LLVMError(f"not a well-formed ELF object: {error}") from error


def _read(data: bytes) -> Symbols:
    if data[:4] != b"\x7fELF" or len(data) < 52:
        raise ValueError("no ELF header")
    is64, order = data[4] == 2, "<" if data[5] == 1 else ">"
    (table,) = struct.unpack_from(order + ("Q" if is64 else "I"), data, 40 if is64 else 32)
    entry_size, count = struct.unpack_from(order + "HH", data, 58 if is64 else 46)
    header = struct.Struct(order + ("IIQQQQIIQQ" if is64 else "IIIIIIIIII"))
    if count == 0 and table:  # more than 65,279 sections: the count stands in the first header
        count = header.unpack_from(data, table)[5]
    if count * header.size > len(data) or entry_size < header.size:
        raise ValueError(f"{count} section headers of {entry_size} bytes in {len(data)} bytes")
    headers: list[tuple[int, ...]] = [header.unpack_from(data, table + index * entry_size) for index in range(count)]
    symtab = next((row for row in headers if row[1] == _SHT_SYMTAB), None)
    if symtab is None:
        return Symbols(undefined=frozenset(), strong=frozenset())
    names = headers[symtab[6]][4]
    symbol = struct.Struct(order + ("IBBHQQ" if is64 else "IIIBBH"))
    undefined: set[str] = set()
    strong: set[tuple[str, int, int]] = set()
    for position in range(symtab[4] + symbol.size, symtab[4] + symtab[5], symbol.size):
        fields = symbol.unpack_from(data, position)
        info, visibility, section = fields[1:4] if is64 else fields[3:6]
        binding, kind = info >> 4, info & 15
        if binding == _LOCAL:
            continue
        end = data.index(b"\0", names + fields[0])
        name = data[names + fields[0] : end].decode(errors="surrogateescape")
        if section == 0:
            undefined.add(name)
        elif binding != _WEAK or not _is_grouped(headers, section):
            strong.add((name, kind, visibility & 3))
    return Symbols(undefined=frozenset(undefined), strong=frozenset(strong))


def _is_grouped(headers: list[tuple[int, ...]], section: int) -> bool:
    return section < _RESERVED and bool(headers[section][2] & _SHF_GROUP)
