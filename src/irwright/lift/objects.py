"""ELF objects read into a Program: sections, symbols, relocations, decoded functions.

pyelftools reads the tables, capstone the instructions; both get hostile input, so whatever they raise becomes
an InputError or a function's problem. Sizes are bounded before anything is read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from irwright.errors import InputError
from irwright.lift.expressions import Ref
from irwright.lift.program import Code, Imm, Instruction, Mem, Operand, Program, Reg, Relocation, Section, Symbol
from irwright.lift.unwinding import read_unwinding

MAX_BYTES = 32 << 20
BITCODE = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")
"""how LLVM bitcode begins"""
MAX_ALIGN = 1 << 20
ALLOCATED, COMPRESSED = 2, 0x800
MAX_FUNCTION_BYTES = 256 << 10
"""larger functions are not lifted"""

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
        flags = int(header["sh_flags"])
        is_wanted = bool(flags & ALLOCATED) or section.name == ".comment"
        is_kept = kind in ("progbits", "init_array", "fini_array", "note") or section.name == ".eh_frame"
        keep = is_wanted and is_kept
        if is_wanted and flags & COMPRESSED:
            raise InputError(name, f"section {section.name!r} is compressed, which no section that is loaded can be")
        align = max(1, int(header["sh_addralign"]))
        if is_wanted and (align & (align - 1) or align > MAX_ALIGN):
            raise InputError(name, f"section {section.name!r} is aligned to {align} bytes; that is no real object")
        sections.append(
            Section(
                index=index,
                name=section.name,
                data=bytes(section.data()) if keep else b"",
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
        )
        if keep and len(sections[-1].data) != size:
            raise InputError(name, f"section {section.name!r} ends past the end of the file")
    symbols: list[Symbol] = []
    table = elf.get_section_by_name(".symtab")
    if table is not None:
        for symbol in table.iter_symbols():
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
    _read_relocations(elf, sections, symbols)
    for section in elf.iter_sections():
        if section.header["sh_type"] == "SHT_GROUP":
            signature: Symbol = symbols[int(section.header["sh_info"])]
            words = bytes(section.data())
            title = signature.name or sections[signature.section].name
            for position in range(4, len(words), 4):
                member = int.from_bytes(words[position : position + 4], "little")
                if member < len(sections):
                    sections[member].group = title
    comment = next((section.data[:4096] for section in sections if section.name == ".comment"), b"")
    producer = comment.replace(b"\0", b" ").decode(errors="replace")
    return Program(name=name, sections=sections, symbols=symbols, producer=producer)


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


class Decoder:
    """Decodes functions of a program; one capstone handle for all."""

    def __init__(self, program: Program) -> None:
        import capstone  # pyright: ignore[reportMissingTypeStubs]

        self.program = program
        self.capstone: Any = capstone
        self.engine: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self.engine.detail = True
        self.names: dict[int, Reg] = {}

    def decode_all(self) -> None:
        """Every function that is not decoded yet."""
        for code in self.program.functions:
            if not code.instructions and not code.problem:
                self.decode(code)

    def decode(self, code: Code) -> None:
        """Fill in the instructions of a function, or its problem."""
        if sum(end - start for _, start, end in code.pieces) > MAX_FUNCTION_BYTES:
            code.problem = f"has more than {MAX_FUNCTION_BYTES} bytes of code"
            return
        for index, start, end in code.pieces:
            section = self.program.sections[index]
            data = section.data[start:end]
            position = start
            for raw in self.engine.disasm(data, start):
                try:
                    code.instructions.append(self.instruction(raw, section))
                except (ValueError, KeyError) as error:
                    code.problem = f"{raw.mnemonic} {raw.op_str}: {error}"
                    return
                position = raw.address + raw.size
            if position < end and any(byte not in (0, 0x90, 0xCC) for byte in section.data[position:end]):
                code.problem = f"bytes that are no instruction at {section.name}+{position:#x}"
                return
        if not code.instructions:
            code.problem = "has no code"

    def instruction(self, raw: Any, section: Section) -> Instruction:
        """Capstone's instruction in our form, relocations resolved."""
        refs: dict[int, Ref] = {}
        kinds: dict[int, str] = {}
        for offset in range(raw.address, raw.address + raw.size):
            relocation = section.relocations.get(offset)
            if relocation is not None:
                refs[offset - raw.address] = self.resolve(relocation, section, raw.address + raw.size)
                kinds[offset - raw.address] = relocation.kind
        encoding = raw.encoding
        operands: list[Operand] = []
        used: set[int] = set()
        x86 = self.capstone.x86
        for op in raw.operands:
            if op.type == x86.X86_OP_REG:
                operands.append(self.register(raw, op.reg))
            elif op.type == x86.X86_OP_IMM:
                ref = refs.get(encoding.imm_offset) if encoding.imm_offset else None
                if ref is not None:
                    used.add(encoding.imm_offset)
                operands.append(Imm(value=op.imm, width=op.size * 8, ref=ref))
            else:
                operands.append(self._memory(raw, op, refs, used, section))
        if len(used) < len(refs):
            raise ValueError("a relocation at no operand")
        words: list[str] = raw.mnemonic.split()
        prefix = ""
        while len(words) > 1:
            word: str = words.pop(0)
            if word != "notrack":
                prefix = {"repe": "rep", "repz": "rep", "repnz": "repne"}.get(word, word)
        return Instruction(
            address=raw.address,
            size=raw.size,
            mnemonic=words[0],
            operands=tuple(operands),
            prefix=prefix,
            section=section.index,
            text=f"{raw.mnemonic} {raw.op_str}".strip(),
            is_spill=(section.index, raw.address) in self.program.spills,
        )

    def register(self, raw: Any, number: int) -> Reg:
        known = self.names.get(number)
        if known is None:
            known = self.names[number] = register_by_name(raw.reg_name(number))
        return known

    def _memory(self, raw: Any, op: Any, refs: dict[int, Ref], used: set[int], section: Section) -> Mem:
        mem = op.mem
        base = raw.reg_name(mem.base) if mem.base else ""
        index = raw.reg_name(mem.index) if mem.index else ""
        segment = raw.reg_name(mem.segment) if mem.segment else ""
        if index.startswith("e") or (base.startswith("e") and base != "es"):
            raise ValueError("an address of 32 bits")
        ref = refs.get(raw.encoding.disp_offset) if raw.encoding.disp_offset else None
        disp = int(mem.disp)
        if ref is not None:
            used.add(raw.encoding.disp_offset)
            disp = 0
        elif base == "rip":
            ref, disp = Ref(None, section.index, raw.address + raw.size + disp), 0
        return Mem(
            base="" if base == "rip" else base,
            index=index if index not in ("riz", "eiz") else "",
            scale=int(mem.scale),
            disp=disp,
            width=int(op.size) * 8,
            segment=segment if segment in ("fs", "gs") else "",
            ref=ref,
        )

    def resolve(self, relocation: Relocation, section: Section, end: int) -> Ref:
        """What a relocation in an instruction that ends at `end` makes the operand mean."""
        kind = relocation.kind
        addend = relocation.addend
        if kind in ("PC32", "PLT32", "GOTPCREL", "GOTPCRELX", "REX_GOTPCRELX", "GOTTPOFF", "PC8", "TLSGD", "TLSLD"):
            addend += end - relocation.offset
        names = {"GOTPCREL": "got", "GOTPCRELX": "got", "REX_GOTPCRELX": "got", "TPOFF32": "tpoff"}
        names |= {"GOTTPOFF": "gottpoff", "TLSGD": "tlsgd", "TLSLD": "tlsld", "DTPOFF32": "dtpoff"}
        if kind not in names and kind not in ("PC32", "PLT32", "32", "32S", "64", "PC8", "8", "16"):
            raise ValueError(f"relocation {kind}")
        return place(self.program, relocation.symbol, addend, names.get(kind, "direct"))


def place(program: Program, index: int, addend: int, kind: str = "direct") -> Ref:
    """Where a relocation's symbol and addend point."""
    symbol = program.symbols[index]
    if symbol.kind == "section":
        return Ref(None, symbol.section, symbol.offset + addend, kind)
    if symbol.section >= 0 and symbol.binding == "local":
        return Ref(None, symbol.section, symbol.offset + addend, kind, symbol.offset)
    return Ref(symbol.name, symbol.section, addend, kind)


_LOW = {"a": "rax", "b": "rbx", "c": "rcx", "d": "rdx"}
_WORDS = {"ax": "rax", "bx": "rbx", "cx": "rcx", "dx": "rdx", "si": "rsi", "di": "rdi", "bp": "rbp", "sp": "rsp"}


def register_by_name(name: str) -> Reg:
    """`eax` as the low 32 bits of `rax`; ValueError for registers that are not lifted."""
    if name in _WORDS:
        return Reg(_WORDS[name], 16)
    if name[1:] in _WORDS and name[0] in "er":
        return Reg(f"r{name[1:]}", 64 if name[0] == "r" else 32)
    if len(name) == 2 and name[0] in _LOW and name[1] in "lh":
        return Reg(_LOW[name[0]], 8, name[1] == "h")
    if name[-1] == "l" and name[:-1] in _WORDS:
        return Reg(_WORDS[name[:-1]], 8)
    if name[0] == "r" and name.rstrip("bwd")[1:].isdigit():
        return Reg(name.rstrip("bwd"), {"b": 8, "w": 16, "d": 32}.get(name[-1], 64))
    if name.startswith("xmm"):
        return Reg(name, 128)
    if name.startswith("st"):
        return Reg(f"st{name[3:4] or '0'}", 80)
    raise ValueError(f"register {name}")
