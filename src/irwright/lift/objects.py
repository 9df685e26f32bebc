"""ELF objects read into a Program: sections, symbols, relocations, where functions lie. Their code is decoder.py's.

pyelftools reads the tables and gets hostile input, so whatever it raises becomes an InputError. Sizes are bounded
before anything is read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from irwright.errors import InputError
from irwright.lift.expressions import Ref
from irwright.lift.program import Code, Program, Relocation, Section, Symbol
from irwright.lift.unwinding import read_unwinding

MAX_BYTES = 32 << 20
BITCODE = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")
"""how LLVM bitcode begins"""
MAX_ALIGN = 1 << 20
ALLOCATED, COMPRESSED = 2, 0x800

_KINDS = {
    "SHT_PROGBITS": "progbits",
    "SHT_NOBITS": "nobits",
    "SHT_INIT_ARRAY": "init_array",
    "SHT_FINI_ARRAY": "fini_array",
    "SHT_NOTE": "note",
    "SHT_X86_64_UNWIND": "note",
}
_SYMBOL_KINDS = {
    "STT_FUNC": "func",
    "STT_OBJECT": "object",
    "STT_NOTYPE": "notype",
    "STT_TLS": "tls",
    "STT_SECTION": "section",
    "STT_FILE": "file",
    "STT_LOOS": "ifunc",
    "STT_GNU_IFUNC": "ifunc",
    "STT_COMMON": "object",
}
_SPECIAL_SECTIONS = {"SHN_UNDEF": -1, "SHN_ABS": -2, "SHN_COMMON": -3}


def _visibility(word: str) -> str:
    """As LLVM says it, which has no word for `internal`: linkers treat that as hidden."""
    return word[4:].lower().replace("internal", "hidden")


def read_object(data: bytes, name: str) -> Program:
    """Read an x86-64 ELF relocatable object; InputError for anything else."""
    if len(data) > MAX_BYTES:
        raise InputError(name, f"has {len(data)} bytes; files above {MAX_BYTES} bytes are not lifted")
    if data[:4] in BITCODE:
        raise InputError(name, "is LLVM bitcode (-flto), so it is IR already; llvm-dis prints it")
    if data[:4] != b"\x7fELF":
        raise InputError(name, "is no ELF object")
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        elf: Any = ELFFile(io.BytesIO(data))
        if elf["e_machine"] != "EM_X86_64":
            raise InputError(name, f"holds code for {str(elf['e_machine'])[3:]}; x86-64 is what can be lifted")
        if elf["e_type"] != "ET_REL":
            raise InputError(name, "is linked already; give the relocatable object (.o) it was made of")
        program = _read(elf, name)
    except InputError:
        raise
    except (ELFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise InputError(name, f"is no well-formed ELF object ({error or type(error).__name__})") from error
    except Exception as error:  # construct raises errors of its own on hostile input
        raise InputError(name, f"is no well-formed ELF object ({type(error).__name__})") from error
    if not program.symbols:
        raise InputError(name, "has no symbol table (stripped?); functions can't be told apart")
    _note_tables(program)
    find_functions(program)
    program.unwinding = read_unwinding(program)
    return program


def _note_tables(program: Program) -> None:
    for section in program.sections:
        for relocation in section.relocations.values():
            symbol = program.symbols[relocation.symbol]
            if relocation.kind in ("GOTPCREL", "GOTPCRELX", "REX_GOTPCRELX"):
                program.tabled.add(symbol.name)
                program.is_shared |= symbol.section >= 0
            program.is_shared |= relocation.kind in ("TLSGD", "TLSLD")


def _read(elf: Any, name: str) -> Program:
    if elf.num_sections() > 100_000:
        raise InputError(name, f"has {elf.num_sections()} sections; more than 100000 are not read")
    sections = _read_sections(elf, name)
    symbols = _read_symbols(elf, name, sections)
    _read_relocations(elf, sections, symbols)
    _read_groups(elf, sections, symbols)
    comment = next((section.data[:4096] for section in sections if section.name == ".comment"), b"")
    producer = comment.replace(b"\0", b" ").decode(errors="replace")
    return Program(name=name, sections=sections, symbols=symbols, producer=producer)


def _read_sections(elf: Any, name: str) -> list[Section]:
    """All sections, with the bytes of those that matter; their sizes are checked before their bytes are read."""
    sections: list[Section] = []
    total = 0
    for index, section in enumerate(elf.iter_sections()):
        header = section.header
        kind = _KINDS.get(header["sh_type"], "other")
        size = int(header["sh_size"])
        if kind != "nobits":
            total += size
            if total > MAX_BYTES:
                raise InputError(name, "has sections that overlap or end past the end of the file")
        elif size > 1 << 40:
            raise InputError(name, f"reserves {size} bytes; that is no real object")
        sections.append(_read_section(section, index, kind, name))
    return sections


def _read_section(section: Any, index: int, kind: str, name: str) -> Section:
    header = section.header
    flags, size = int(header["sh_flags"]), int(header["sh_size"])
    is_wanted = bool(flags & ALLOCATED) or section.name == ".comment"
    has_bytes = kind in ("progbits", "init_array", "fini_array", "note") or section.name == ".eh_frame"
    if is_wanted and flags & COMPRESSED:
        raise InputError(name, f"section {section.name!r} is compressed, which no section that is loaded can be")
    align = max(1, int(header["sh_addralign"]))
    if is_wanted and (align & (align - 1) or align > MAX_ALIGN):
        raise InputError(name, f"section {section.name!r} is aligned to {align} bytes; that is no real object")
    data = bytes(section.data()) if is_wanted and has_bytes else b""
    if is_wanted and has_bytes and len(data) != size:
        raise InputError(name, f"section {section.name!r} ends past the end of the file")
    return Section(
        index=index,
        name=section.name,
        data=data,
        size=size,
        align=align,
        kind=kind,
        is_code=bool(flags & 4),
        is_writable=bool(flags & 1),
        is_allocated=bool(flags & 2),
        is_tls=bool(flags & 0x400),
        merge_bytes=int(header["sh_entsize"]) if flags & 0x10 else 0,
        is_strings=bool(flags & 0x20),
    )


def _read_symbols(elf: Any, name: str, sections: list[Section]) -> list[Symbol]:
    symbols: list[Symbol] = []
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table is not None else ():
        where = symbol["st_shndx"]
        index = _SPECIAL_SECTIONS.get(where, where if isinstance(where, int) else -2)
        if index >= len(sections):
            raise InputError(name, f"symbol {symbol.name!r} lies in section {index}, which does not exist")
        value = int(symbol["st_value"])
        if index == _SPECIAL_SECTIONS["SHN_COMMON"] and (value & (value - 1) or value > MAX_ALIGN):
            raise InputError(name, f"symbol {symbol.name!r} is aligned to {value} bytes; that is no real object")
        symbols.append(
            Symbol(
                name=symbol.name,
                section=index,
                offset=value,
                size=int(symbol["st_size"]),
                kind=_SYMBOL_KINDS.get(symbol["st_info"]["type"], "notype"),
                binding=str(symbol["st_info"]["bind"])[4:].lower(),
                visibility=_visibility(str(symbol["st_other"]["visibility"])),
            )
        )
    return symbols


def _read_groups(elf: Any, sections: list[Section], symbols: list[Symbol]) -> None:
    """Write into sections which COMDAT they belong to."""
    for section in elf.iter_sections():
        if section.header["sh_type"] != "SHT_GROUP":
            continue
        signature = symbols[int(section.header["sh_info"])]
        words = bytes(section.data())
        title = signature.name or sections[signature.section].name
        for position in range(4, len(words), 4):
            member = int.from_bytes(words[position : position + 4], "little")
            if member < len(sections):
                sections[member].group = title


def _read_relocations(elf: Any, sections: list[Section], symbols: list[Symbol]) -> None:
    from elftools.elf.enums import ENUM_RELOC_TYPE_x64

    titles = {int(number): str(title)[9:] for title, number in ENUM_RELOC_TYPE_x64.items() if title != "_default_"}
    titles[41], titles[42] = "GOTPCRELX", "REX_GOTPCRELX"
    for section in elf.iter_sections():
        if section.header["sh_type"] != "SHT_RELA":
            continue
        target = sections[int(section.header["sh_info"])]
        if not target.is_allocated:
            continue
        for entry in section.iter_relocations():
            relocation = Relocation(
                offset=int(entry["r_offset"]),
                kind=titles.get(int(entry["r_info_type"]), str(entry["r_info_type"])),
                symbol=int(entry["r_info_sym"]),
                addend=int(entry["r_addend"]),
            )
            if relocation.symbol >= len(symbols):
                raise InputError(target.name, f"a relocation names symbol {relocation.symbol}, which does not exist")
            target.relocations[relocation.offset] = relocation


def find_functions(program: Program) -> None:
    """Fill in `program.functions` by the symbols in code sections; cold parts join their function."""
    by_start: dict[tuple[int, int], Symbol] = {}
    cold: list[Symbol] = []
    targets = set(called_places(program))
    for symbol in program.symbols:
        if symbol.section < 0 or not program.sections[symbol.section].is_code or not symbol.name:
            continue
        place = (symbol.section, symbol.offset)
        is_function = symbol.kind in ("func", "ifunc")
        if symbol.kind == "notype" and not symbol.name.startswith((".L", "_$L")):
            is_function = symbol.binding != "local" or place in targets
        if not is_function:
            continue
        if symbol.kind == "func" and ".cold" in symbol.name:
            cold.append(symbol)
            continue
        known = by_start.get(place)
        # Aliases: the sized, then the global one is the function, the others are aliases of it.
        if known is None or _rank(symbol) > _rank(known):
            by_start[place] = symbol
    if not by_start:  # a piece of assembly, with a label and no directives
        for symbol in program.symbols:
            is_label = symbol.section >= 0 and symbol.kind == "notype" and not symbol.name.startswith((".L", "_$"))
            if is_label and symbol.name and program.sections[symbol.section].is_code:
                by_start.setdefault((symbol.section, symbol.offset), symbol)
    starts: dict[int, list[int]] = {}
    for section, offset in sorted([*by_start, *[(s.section, s.offset) for s in cold]]):
        starts.setdefault(section, []).append(offset)
    functions: dict[str, Code] = {}
    for (section, offset), symbol in sorted(by_start.items()):
        end = _end_of(program, symbol, starts[section])
        code = Code(symbol.name, symbol, [(section, offset, end)], [symbol.name])
        if symbol.kind == "ifunc":
            code.problem = "an indirect function without a name for its resolver"
        functions[symbol.name] = code
        program.functions.append(code)
    for symbol in cold:
        parent = functions.get(symbol.name.partition(".cold")[0])
        piece = (symbol.section, symbol.offset, _end_of(program, symbol, starts[symbol.section]))
        if parent is None:
            program.functions.append(Code(symbol.name, symbol, [piece], [symbol.name]))
        else:
            parent.pieces.append(piece)
            parent.piece_names.append(symbol.name)


def _rank(symbol: Symbol) -> tuple[bool, bool, bool]:
    return symbol.kind != "ifunc", symbol.size > 0, symbol.binding != "local"


def _end_of(program: Program, symbol: Symbol, starts: list[int]) -> int:
    size = program.sections[symbol.section].size
    if symbol.size:
        return min(size, symbol.offset + symbol.size)
    return next((start for start in starts if start > symbol.offset), size)


def called_places(program: Program) -> Iterator[tuple[int, int]]:
    """Places in code that relocations point at as calls or addresses."""
    for section in program.sections:
        for relocation in section.relocations.values():
            symbol = program.symbols[relocation.symbol]
            if symbol.section >= 0 and relocation.kind in ("PLT32", "64"):
                yield symbol.section, symbol.offset + relocation.addend + (4 if relocation.kind == "PLT32" else 0)


def place(program: Program, index: int, addend: int, kind: str = "direct") -> Ref:
    """Where a relocation's symbol and addend point."""
    symbol = program.symbols[index]
    if symbol.kind == "section":
        return Ref(None, symbol.section, symbol.offset + addend, kind)
    if symbol.section >= 0 and symbol.binding == "local":
        return Ref(None, symbol.section, symbol.offset + addend, kind, symbol.offset)
    return Ref(symbol.name, symbol.section, addend, kind)
