"""One form for what is lifted, whether it came as text or as an object: instructions, sections, symbols.

Operands are in Intel order, the destination first. Places are (section, offset) pairs; a name stands only where
the linker decides (undefined, weak or global symbols).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from irwright.lift.expressions import Ref


@dataclass(frozen=True, slots=True)
class Reg:
    """A register operand: the 64-bit register it is part of, and which part."""

    name: str
    width: int
    high: bool = False
    """ah, bh, ch, dh"""


@dataclass(frozen=True, slots=True)
class Imm:
    """An immediate, sign-extended; `ref` where a relocation gives its value."""

    value: int
    width: int
    ref: Ref | None = None


@dataclass(frozen=True, slots=True)
class Mem:
    """A memory operand of `width` bits."""

    base: str
    index: str
    scale: int
    disp: int
    width: int
    segment: str = ""
    ref: Ref | None = None
    """the place where the address is a place plus registers; `disp` is then 0"""


Operand = Reg | Imm | Mem


@dataclass(slots=True)
class Instruction:
    """One machine instruction."""

    address: int
    """offset within its section"""
    size: int
    mnemonic: str
    """Intel spelling, without prefixes"""
    operands: tuple[Operand, ...]
    prefix: str = ""
    """lock, rep, repne or nothing"""
    section: int = 0
    text: str = ""
    is_spill: bool = False
    """a comment calls its stack access a spill or reload"""

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(slots=True)
class Symbol:
    """A symbol of the file."""

    name: str
    section: int
    """-1 undefined, -2 absolute, -3 common"""
    offset: int
    size: int
    kind: str
    """func, object, notype, tls, section, file, ifunc"""
    binding: str
    """local, global, weak"""
    visibility: str = "default"


@dataclass(frozen=True, slots=True)
class Relocation:
    """One relocation of a section."""

    offset: int
    kind: str
    """name without R_X86_64_"""
    symbol: int
    addend: int


@dataclass(slots=True)
class Section:
    """One section with content or reserved space."""

    index: int
    name: str
    data: bytes
    size: int
    align: int
    kind: str
    """progbits, nobits, init_array, fini_array, note, other"""
    is_code: bool
    is_writable: bool
    is_allocated: bool
    is_tls: bool
    merge_bytes: int = 0
    """entry size of a mergeable section"""
    is_strings: bool = False
    group: str = ""
    """the COMDAT it belongs to"""
    relocations: dict[int, Relocation] = field(default_factory=dict[int, Relocation])


@dataclass(slots=True)
class Code:
    """The machine code of one function, in one or more pieces (gcc splits off cold ones)."""

    name: str
    symbol: Symbol
    pieces: list[tuple[int, int, int]]
    """(section, start, end)"""
    piece_names: list[str] = field(default_factory=list[str])
    """the symbol at the start of each piece"""
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    problem: str = ""
    """why it can't be decoded, where it can't"""


@dataclass(frozen=True, slots=True)
class CodeTable:
    """Places within one function that lie in data, as a jump table does."""

    section: int
    start: int
    end: int
    function: str
    entry_bytes: int
    """4: relative to the start of the table; 8: addresses"""


@dataclass(slots=True)
class Unwinding:
    """How one piece of code is unwound."""

    steps: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    """(offset from the start of the code, frame instructions there)"""
    personality: tuple[int, Relocation] | None = None
    """its encoding and where it is"""
    lsda: tuple[int, int, int] | None = None
    """encoding, section and offset of the table of landing pads"""


@dataclass(slots=True)
class Program:
    """A file, read."""

    name: str
    sections: list[Section]
    symbols: list[Symbol]
    functions: list[Code] = field(default_factory=list[Code])
    labels: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    """names of private labels that text input still had"""
    exact_places: bool = False
    """every reference names the label it is relative to (text input), so objects may be laid out anew"""
    tables: list[CodeTable] = field(default_factory=list[CodeTable])
    """tables that code of an object refers to by their start"""
    unwinding: dict[tuple[int, int], Unwinding] = field(default_factory=dict[tuple[int, int], Unwinding])
    """by section and offset of the code"""
    spills: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """instructions that comments call spills and reloads"""
    text: str = ""
    """the assembly text, where the input was text"""
    tabled: set[str] = field(default_factory=set[str])
    """names reached through the global offset table, so that another file's may be meant"""
    is_shared: bool = False
    """made for a shared library: the file's own symbols or thread-local variables are reached indirectly"""
    producer: str = ""
    """what the compilers said of themselves (.comment)"""
    indirect: set[str] | None = None
    """names reached through the linker's tables; None where that is not known (objects)"""
