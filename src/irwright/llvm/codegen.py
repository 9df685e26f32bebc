"""Machine code in memory: target machines, emission, and reading sections and symbols of an ELF object.

What the numbers mean is in measure.py. The ELF reader here is our own because it runs once per evaluation
and reads only headers; it bounds-checks everything and raises `LLVMError` on what is no ELF relocatable.
"""

from __future__ import annotations

import struct
from ctypes import byref, c_void_p
from dataclasses import dataclass, field
from enum import IntEnum

from irwright.errors import LLVMError, ToolchainError
from irwright.llvm.module import Library, Module

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 2, 4, 8, 9
STT_FUNC = 2


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
    failed = library.api.LLVMTargetMachineEmitToMemoryBuffer(
        machine, module.ref, int(file_type), byref(message), byref(buffer)
    )
    problem = library.take_string(message.value)
    diagnostics = module.context.take_diagnostics()
    if failed or not buffer.value or diagnostics:
        raise LLVMError(f"no code for {module.name!r}: {problem or diagnostics or 'LLVM gives no reason'}")
    return library.take_buffer(buffer.value)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """Sections and function symbols of a relocatable object."""

    sections: tuple[Section, ...]
    functions: dict[str, int] = field(default_factory=dict[str, int])
    """code bytes by function symbol"""
    unwind: dict[str, int] = field(default_factory=dict[str, int])
    """bytes of .eh_frame that describe each function (its FDE)"""


def read_object(data: bytes) -> ObjectInfo:
    """Read an ELF relocatable object, 32 or 64 bits, either byte order; `LLVMError` on anything else."""
    try:
        return _ElfReader(data).read()
    except (struct.error, IndexError, ValueError) as error:
        raise LLVMError(f"not a well-formed ELF object: {error}") from error


class _ElfReader:
    def __init__(self, data: bytes) -> None:
        if data[:4] != b"\x7fELF" or len(data) < 52:
            raise ValueError("no ELF header")
        self.data = data
        self.is64 = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"

    def read(self) -> ObjectInfo:
        order, data = self.order, self.data
        if self.is64:
            (table,) = struct.unpack_from(order + "Q", data, 40)
            entry_size, count, names_index = struct.unpack_from(order + "HHH", data, 58)
            header = struct.Struct(order + "IIQQQQIIQQ")
        else:
            (table,) = struct.unpack_from(order + "I", data, 32)
            entry_size, count, names_index = struct.unpack_from(order + "HHH", data, 46)
            header = struct.Struct(order + "IIIIIIIIII")
        if entry_size < header.size:
            raise ValueError(f"section headers of {entry_size} bytes")
        if count == 0:  # more than 65,279 sections: the count stands in the first header
            count = header.unpack_from(data, table)[5]
        if names_index == 0xFFFF:
            names_index = header.unpack_from(data, table)[6]
        if count * entry_size > len(data):
            raise ValueError(f"{count} section headers in {len(data)} bytes")
        raw = [header.unpack_from(data, table + index * entry_size) for index in range(count)]
        names_offset = raw[names_index][4]
        sections = tuple(
            Section(name=self._string(names_offset + row[0]), size=row[5], flags=row[2], kind=row[1], offset=row[4])
            for row in raw
        )
        functions: dict[str, int] = {}
        by_address: dict[tuple[int, int], str] = {}
        symbols: list[tuple[int, int]] = []
        for row in raw:
            if row[1] == SHT_SYMTAB:
                self._read_symbols(row, raw[row[6]][4], functions, by_address, symbols)
        unwind = self._read_unwind(raw, sections, by_address, symbols)
        return ObjectInfo(sections=sections, functions=functions, unwind=unwind)

    def _string(self, offset: int) -> str:
        end = self.data.index(b"\0", offset)
        return self.data[offset:end].decode(errors="surrogateescape")

    def _read_symbols(
        self,
        row: tuple[int, ...],
        strings: int,
        functions: dict[str, int],
        by_address: dict[tuple[int, int], str],
        symbols: list[tuple[int, int]],
    ) -> None:
        entry = struct.Struct(self.order + ("IBBHQQ" if self.is64 else "IIIBBH"))
        for position in range(row[4], row[4] + row[5] - entry.size + 1, entry.size):
            fields = entry.unpack_from(self.data, position)
            if self.is64:
                name, info, _, index, value, size = fields
            else:
                name, value, size, info, _, index = fields
            symbols.append((index, value))
            if info & 0xF == STT_FUNC and 0 < index < 0xFF00:
                text = self._string(strings + name)
                functions[text] = size
                # Aliases share an address: the first name keeps it.
                by_address.setdefault((index, value), text)

    def _read_unwind(
        self,
        raw: list[tuple[int, ...]],
        sections: tuple[Section, ...],
        by_address: dict[tuple[int, int], str],
        symbols: list[tuple[int, int]],
    ) -> dict[str, int]:
        """Size of each function's FDE: .eh_frame records, joined to functions by the relocation at pc_begin."""
        unwind: dict[str, int] = {}
        for index, section in enumerate(sections):
            if section.name != ".eh_frame" or not section.has_content:
                continue
            targets = self._relocation_targets(raw, index, symbols)
            position, end = section.offset, section.offset + section.size
            while position + 8 <= end:
                length, cie = struct.unpack_from(self.order + "II", self.data, position)
                if length == 0 or length == 0xFFFFFFFF:
                    break
                if cie != 0:
                    target = targets.get(position + 8 - section.offset)
                    name = by_address.get(target) if target else None
                    if name is not None:
                        unwind[name] = length + 4
                position += length + 4
        return unwind

    def _relocation_targets(
        self, raw: list[tuple[int, ...]], section: int, symbols: list[tuple[int, int]]
    ) -> dict[int, tuple[int, int]]:
        """Offset in `section` to (section index, address) that its relocation points at."""
        targets: dict[int, tuple[int, int]] = {}
        for row in raw:
            if row[1] not in (SHT_RELA, SHT_REL) or row[7] != section:
                continue
            with_addend = row[1] == SHT_RELA
            layout = ("QQq" if self.is64 else "IIi") if with_addend else ("QQ" if self.is64 else "II")
            entry = struct.Struct(self.order + layout)
            for position in range(row[4], row[4] + row[5] - entry.size + 1, entry.size):
                fields = entry.unpack_from(self.data, position)
                symbol = fields[1] >> 32 if self.is64 else fields[1] >> 8
                addend = fields[2] if with_addend else 0
                index, value = symbols[symbol]
                targets[fields[0]] = (index, value + addend)
        return targets
