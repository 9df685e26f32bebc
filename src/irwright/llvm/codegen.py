"""Machine code in memory: target machines, emission, and reading sections and symbols of an ELF object.

What the numbers mean is in measure.py. The ELF reader here is our own because it runs once per evaluation
and reads only headers; it bounds-checks everything and raises `LLVMError` on what is no ELF relocatable.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from ctypes import byref, c_void_p
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from irwright.errors import LLVMError, ToolchainError
from irwright.llvm.library import Library
from irwright.llvm.module import Linkage, Module

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE = 1, 2, 4, 16
SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 2, 4, 8, 9
STT_FUNC, STT_SECTION = 2, 3
EM_X86_64 = 62


class CodegenLevel(IntEnum):
    """LLVMCodeGenOptLevel. clang's -Os and -Oz generate code at DEFAULT, plain `clang -x ir` at NONE."""

    NONE = 0
    DEFAULT = 2


class FileType(IntEnum):
    """LLVMCodeGenFileType."""

    ASSEMBLY = 0
    OBJECT = 1


RELOC_STATIC, RELOC_PIC = 1, 2
CODE_MODELS = {1: 3, 2: 4, 3: 5, 4: 6}
"""Module flag `Code Model` (llvm::CodeModel) to LLVMCodeModel: small, kernel, medium, large."""
CODE_MODEL_DEFAULT = 0


class TargetMachines:
    """Target machines of one library, made once per (triple, level, PIC, code model)."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._machines: dict[tuple[str, int, int, int], int] = {}

    def get(self, module: Module, level: CodegenLevel) -> int:
        """The LLVMTargetMachineRef that clang would use for this module at this level.

        CPU, features and frame pointers are attributes of the functions; PIC and code model are module flags.
        """
        # Static unless the module says PIC, as clang -fno-pic; clang on Linux sets the flag by default.
        reloc = RELOC_PIC if module.flag("PIC Level") else RELOC_STATIC
        model = CODE_MODELS.get(module.flag("Code Model") or 0, CODE_MODEL_DEFAULT)
        return self.for_triple(module.triple, level, reloc, model)

    def for_triple(
        self, triple: str, level: CodegenLevel, reloc: int = RELOC_PIC, model: int = CODE_MODEL_DEFAULT
    ) -> int:
        key = (triple, int(level), reloc, model)
        machine = self._machines.get(key)
        if machine is None:
            machine = self._machines[key] = self._create(*key)
        return machine

    def _create(self, triple: str, level: int, reloc: int, model: int) -> int:
        api = self._library.api
        target, message = c_void_p(), c_void_p()
        if api.LLVMGetTargetFromTriple(triple.encode(), byref(target), byref(message)):
            self._library.take_string(message.value)
            raise ToolchainError(
                f"LLVM {self._library.major} at {self._library.path} has no backend for target {triple!r}"
                f" (it has {', '.join(self._library.backends)})",
                remedy="install one that has: pip install 'irwright[targets]', or name it with --llvm",
            )
        machine = api.LLVMCreateTargetMachine(target, triple.encode(), b"", b"", level, reloc, model)
        if not machine:
            raise LLVMError(f"LLVM {self._library.major} can't make a target machine for {triple!r}")
        return machine

    def data_layout(self, machine: int) -> str:
        """The data layout string of a target machine."""
        api = self._library.api
        layout = api.LLVMCreateTargetDataLayout(machine)
        text = self._library.take_string(api.LLVMCopyStringRepOfTargetData(layout))
        api.LLVMDisposeTargetData(layout)
        return text

    def close(self) -> None:
        for machine in self._machines.values():
            self._library.api.LLVMDisposeTargetMachine(machine)
        self._machines.clear()


def emit(module: Module, machine: int, file_type: FileType = FileType.OBJECT) -> bytes:
    """Generate code for `module`. This changes the module: clone it first if it is needed again."""
    message, buffer = c_void_p(), c_void_p()
    library = module.library
    place_startup(module)
    failed = library.api.LLVMTargetMachineEmitToMemoryBuffer(
        machine, module.ref, int(file_type), byref(message), byref(buffer)
    )
    problem = library.take_string(message.value)
    diagnostics = module.context.take_diagnostics()
    if failed or not buffer.value or diagnostics:
        reason = (problem or diagnostics).strip() or "LLVM gives no reason"
        raise LLVMError(f"no code for {module.name!r}: {reason.splitlines()[0]}")
    return library.take_buffer(buffer.value)


STARTUP = {b"llvm.global_ctors": ".init_array", b"llvm.global_dtors": ".fini_array"}
DEFAULT_PRIORITY = 65535


def place_startup(module: Module) -> None:
    """Put pointers to constructors and destructors where ELF systems look for them today.

    LLVM's C API can't ask for `.init_array`, which clang does: without this they would land in `.ctors`, which is read
    in another order, or not at all.
    """
    if any(word in module.triple for word in ("darwin", "apple", "windows", "nvptx", "wasm")):
        return
    api = module.api
    for name, section in STARTUP.items():
        table = api.LLVMGetNamedGlobal(module.ref, name)
        if not table or not (entries := api.LLVMGetInitializer(table)):
            continue
        for index in range(api.LLVMGetNumOperands(entries)):
            priority, function, key = (api.LLVMGetOperand(api.LLVMGetOperand(entries, index), n) for n in range(3))
            keyed = not api.LLVMIsNull(key)
            if keyed and api.LLVMIsDeclaration(key):
                continue  # as LLVM does: whoever defines the variable sets it up
            pointer = api.LLVMAddGlobal(module.ref, api.LLVMTypeOf(function), b"")
            api.LLVMSetInitializer(pointer, function)
            api.LLVMSetLinkage(pointer, int(Linkage.PRIVATE))
            number = api.LLVMConstIntGetZExtValue(priority)
            suffix = "" if number == DEFAULT_PRIORITY else f".{number}"
            api.LLVMSetSection(pointer, f"{section}{suffix}".encode())
            if keyed and (comdat := api.LLVMGetComdat(key)):
                api.LLVMSetComdat(pointer, comdat)
        api.LLVMDeleteGlobal(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of an object."""

    name: str
    size: int
    """bytes, of memory for .bss"""
    flags: int
    """ELF sh_flags"""
    kind: int
    """ELF sh_type"""
    offset: int
    """of the content in the file"""

    @property
    def is_allocated(self) -> bool:
        return bool(self.flags & SHF_ALLOC)

    @property
    def has_content(self) -> bool:
        return self.kind != SHT_NOBITS


class FunctionSize(NamedTuple):
    """Bytes of an object that one function is the cause of."""

    code: int
    """of its symbol"""
    unwind: int
    """of .eh_frame: its FDE"""
    data: int
    """of nameless read-only data it points at: jump tables, lookup tables, constant pools"""

    @property
    def total(self) -> int:
        return self.code + self.unwind + self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """Sections and function symbols of a relocatable object."""

    sections: tuple[Section, ...]
    functions: dict[str, FunctionSize] = field(default_factory=dict[str, "FunctionSize"])
    """by function symbol"""


def read_object(data: bytes) -> ObjectInfo:
    """Read an ELF relocatable object, 32 or 64 bits, either byte order; `LLVMError` on anything else."""
    try:
        return _ElfReader(data).read()
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise LLVMError(f"not a well-formed ELF object: {error}") from error


def _three_shorts(order: str, data: bytes, offset: int) -> tuple[int, int, int]:
    return struct.unpack_from(order + "HHH", data, offset)


class _Symbol(NamedTuple):
    section: int
    value: int
    size: int
    kind: int
    name: int


def _round_up(size: int, step: int) -> int:
    return (size + step - 1) // step * step


class _ElfReader:
    def __init__(self, data: bytes) -> None:
        if data[:4] != b"\x7fELF" or len(data) < 52:
            raise ValueError("no ELF header")
        self.data = data
        self.is64 = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        self.relocated: dict[int, list[int]] = {}
        """sorted offsets of the relocations of a section, once asked for"""

    def read(self) -> ObjectInfo:
        self.machine: int = struct.unpack_from(self.order + "H", self.data, 18)[0]
        self.headers = self._read_headers()
        names = self.headers[self.names_index][4]
        self.sections = tuple(
            Section(name=self._string(names + row[0]), size=row[5], flags=row[2], kind=row[1], offset=row[4])
            for row in self.headers
        )
        if any(s.has_content and s.offset + s.size > len(self.data) for s in self.sections):
            raise ValueError("a section ends past the end of the file")
        table = next((row for row in self.headers if row[1] == SHT_SYMTAB), None)
        if table is None:
            return ObjectInfo(sections=self.sections)
        strings = self.strings = self.headers[table[6]][4]
        self.symbols = self._read_symbols(table)
        self.relocation_tables: dict[int, list[tuple[int, ...]]] = {}
        for row in self.headers:
            if row[1] in (SHT_RELA, SHT_REL):
                self.relocation_tables.setdefault(row[7], []).append(row)
        functions = [
            (symbol, self._string(strings + symbol.name))
            for symbol in self.symbols
            if symbol.kind == STT_FUNC and 0 < symbol.section < 0xFF00
        ]
        unwind = self._read_unwind()
        data = self._read_owned_data([symbol for symbol, _ in functions])
        return ObjectInfo(
            sections=self.sections,
            functions={
                name: FunctionSize(symbol.size, unwind.get(symbol[:2], 0), data.get(symbol[:2], 0))
                for symbol, name in functions
            },
        )

    def _read_headers(self) -> list[tuple[int, ...]]:
        order, data = self.order, self.data
        if self.is64:
            table: int = struct.unpack_from(order + "Q", data, 40)[0]
            entry_size, count, names_index = _three_shorts(order, data, 58)
            header = struct.Struct(order + "IIQQQQIIQQ")
        else:
            table = struct.unpack_from(order + "I", data, 32)[0]
            entry_size, count, names_index = _three_shorts(order, data, 46)
            header = struct.Struct(order + "IIIIIIIIII")
        if entry_size < header.size:
            raise ValueError(f"section headers of {entry_size} bytes")
        if count == 0:  # more than 65,279 sections: the count stands in the first header
            count = header.unpack_from(data, table)[5]
        self.names_index = names_index if names_index != 0xFFFF else int(header.unpack_from(data, table)[6])
        if count * entry_size > len(data):
            raise ValueError(f"{count} section headers in {len(data)} bytes")
        return [header.unpack_from(data, table + index * entry_size) for index in range(count)]

    def _string(self, offset: int) -> str:
        end = self.data.index(b"\0", offset)
        return self.data[offset:end].decode(errors="surrogateescape")

    def _read_symbols(self, row: tuple[int, ...]) -> list[_Symbol]:
        entry = struct.Struct(self.order + ("IBBHQQ" if self.is64 else "IIIBBH"))
        end = row[4] + row[5] - row[5] % entry.size
        rows = entry.iter_unpack(self.data[row[4] : end])
        if self.is64:
            return [_Symbol(index, value, size, info & 0xF, name) for name, info, _, index, value, size in rows]
        return [_Symbol(index, value, size, info & 0xF, name) for name, value, size, info, _, index in rows]

    def _read_unwind(self) -> dict[tuple[int, int], int]:
        """(section, address) of each function to the size of its FDE in .eh_frame.

        Without the padding that the last FDE of a section gets: a function is measured the same whatever follows it.
        """
        unwind: dict[tuple[int, int], int] = {}
        for index, section in enumerate(self.sections):
            if section.name != ".eh_frame" or not section.has_content:
                continue
            targets = {offset: (where, address) for offset, where, address in self._relocations(index)}
            position, end = section.offset, section.offset + section.size
            while position + 8 <= end:
                length, cie = struct.unpack_from(self.order + "II", self.data, position)
                if length in (0, 0xFFFFFFFF):
                    break
                target = targets.get(position + 8 - section.offset) if cie else None
                if target is not None:
                    entry = self.data[position : min(position + 4 + length, end)].rstrip(b"\0")  # DW_CFA_nop
                    unwind[target] = max(_round_up(len(entry), 4), 20)  # 20: one that holds no instruction
                position += length + 4
        return unwind

    def _read_owned_data(self, functions: list[_Symbol]) -> dict[tuple[int, int], int]:
        """Bytes of nameless read-only data (no string, no symbol but a label) that each function's code points at.

        A piece begins where code points and ends at the next such place, symbol, or end of its section, padding
        left out: a function is measured the same whatever else is in the object.
        """
        wanted = {
            index
            for index, section in enumerate(self.sections)
            if section.name.startswith((".rodata", ".data.rel.ro"))
            and not section.name.startswith(".rodata.str")
            and section.has_content
            and section.size
        }
        if not wanted:
            return {}
        starts: dict[int, set[int]] = {index: {0, self.sections[index].size} for index in wanted}
        named: set[tuple[int, int]] = set()
        for symbol in self.symbols:
            if symbol.section in wanted and symbol.kind != STT_SECTION:
                starts[symbol.section] |= {symbol.value, symbol.value + symbol.size}
                # `.LCPI0_0`: an assembler's label that had to stay, since linkers merge what it is in.
                label = self.strings + symbol.name
                if self.data[label : label + 2] != b".L":
                    named.add((symbol.section, symbol.value))
        references: list[tuple[int, int, int, int]] = []  # code section, offset in it, data section, address
        for index, section in enumerate(self.sections):
            if section.flags & SHF_EXECINSTR:
                for offset, where, address in self._relocations(index):
                    if where in wanted and 0 <= address < self.sections[where].size:
                        references.append((index, offset, where, address))
                        starts[where].add(address)
        ordered = {index: sorted(places) for index, places in starts.items()}
        by_section: dict[int, list[_Symbol]] = {}
        for symbol in sorted(functions):
            by_section.setdefault(symbol.section, []).append(symbol)
        addresses = {index: [symbol.value for symbol in symbols] for index, symbols in by_section.items()}
        owned: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
        for code, offset, where, address in references:
            if (where, address) in named or code not in by_section:
                continue
            position = bisect_right(addresses[code], offset) - 1
            if position < 0:
                continue
            places = ordered[where]
            size = self._unpadded(where, address, places[bisect_right(places, address)])
            owned.setdefault(by_section[code][position][:2], {})[(where, address)] = size
        return {function: sum(pieces.values()) for function, pieces in owned.items()}

    def _unpadded(self, section: int, start: int, end: int) -> int:
        """Bytes from `start` to `end` without the zeros at the end that nothing is relocated into."""
        row = self.sections[section]
        if row.flags & SHF_MERGE:  # constants of one size: no padding between them
            return end - start
        if section not in self.relocated:
            self.relocated[section] = sorted(offset for offset, _, _ in self._relocations(section))
        offsets = self.relocated[section]
        last = bisect_left(offsets, end) - 1
        relocated = offsets[last] + 4 - start if last >= 0 else 0
        content = len(self.data[row.offset + start : row.offset + end].rstrip(b"\0"))
        return min(end - start, _round_up(max(content, relocated, 1), 4))

    def _relocations(self, section: int) -> Iterator[tuple[int, int, int]]:
        """(offset, section pointed at, address in it) of the relocations of a section."""
        # A pc-relative operand of x86-64 is counted from its end, four bytes on.
        bias = {2: 4, 4: 4} if self.machine == EM_X86_64 else {}
        for row in self.relocation_tables.get(section, ()):
            with_addend = row[1] == SHT_RELA
            layout = ("QQq" if self.is64 else "IIi") if with_addend else ("QQ" if self.is64 else "II")
            entry = struct.Struct(self.order + layout)
            end = row[4] + row[5] - row[5] % entry.size
            in_code = bool(self.sections[section].flags & SHF_EXECINSTR)
            for fields in entry.iter_unpack(self.data[row[4] : end]):
                information: int = fields[1]
                symbol = self.symbols[information >> 32 if self.is64 else information >> 8]
                kind = information & (0xFFFFFFFF if self.is64 else 0xFF)
                addend = fields[2] if with_addend else 0
                yield fields[0], symbol.section, symbol.value + addend + (bias.get(kind, 0) if in_code else 0)
