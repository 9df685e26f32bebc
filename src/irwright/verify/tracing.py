"""What a run reads, compares and overwrites: from this, directed.py makes inputs that matter.

A `Tracer` has an emulator of its own, because hooks make every access slow. It records loads of memory that the run
did not write before, comparisons of the function that is tested, with the values they compare, the first store to each
address outside the stack, and results of callees that chance gave; up to `MAX_EVENTS`, then the run is stopped.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from unicorn import UC_HOOK_CODE, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, arm64_const, x86_const

from irwright.verify.blocks import Comparison
from irwright.verify.calls import Call
from irwright.verify.elf import EM_X86_64
from irwright.verify.emulate import Emulator
from irwright.verify.image import Named
from irwright.verify.inputs import Inputs
from irwright.verify.libc import may_look
from irwright.verify.machine import library
from irwright.verify.memory import POOL, Fault, loosely

MAX_EVENTS, MAX_EVENTS_OF_FAULT = 600, 2000
"""calls of hooks in one run; what faults is traced to its end, if that is not far"""
MAX_OF_SITE = 24
"""times that one comparison is recorded"""
MAX_TEXT, MAX_TEXTS = 32, 24
_COMPARES = {
    "strcmp": False,
    "strcoll": False,
    "strcasecmp": False,
    "strncmp": True,
    "strncasecmp": True,
    "memcmp": True,
    "bcmp": True,
    "strstr": False,
}
"""functions that compare what their first two arguments point at; whether the third is a size"""
_FORMATS = {"sprintf": 1, "vsprintf": 1, "asprintf": 1, "vasprintf": 1, "snprintf": 2, "vsnprintf": 2}
"""functions whose text begins as this argument does"""
_CODE_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_MEMORY_HOOK = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)
_MEMORY = re.compile(r"(?:(byte|word|dword|qword|xmmword) ptr )?\[(.*)\]$")
_NUMBER = re.compile(r"#?(-?(?:0x[0-9a-f]+|\d+))$")
_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16}

Operand = Callable[[], int]
"""its value when it is called, unsigned"""


@dataclass(frozen=True, slots=True)
class Read:
    """A load of what the run began with."""

    address: int
    size: int
    value: int
    behind: tuple[str, int] | None = None
    """the callee of which nothing is known, as in Inputs.effects, that was called since this place was read first"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a callee returned, or wrote into an object that it was given."""

    callee: tuple[str, int]
    """as in Inputs.results"""
    bits: int
    value: int


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison that ran."""

    site: Comparison
    kind: str
    """order, mask (whether they have a bit in common), bit (of the left, with the number of the right), float"""
    bits: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Written:
    """The first store to an address."""

    before: bytes
    after: bytes
    was_read: bool
    """before that, by this run"""


@dataclass(frozen=True, slots=True)
class Texts:
    """What a function of the C library compared."""

    name: str
    left: int
    """address"""
    right: int
    left_text: bytes
    """with its NUL, where it has one"""
    right_text: bytes


@dataclass(slots=True)
class Trace:
    """One run."""

    inputs: Inputs | None = None
    cost: int = 0
    """calls of hooks"""
    events: list[Read | Result | Compared] = field(default_factory=list[Read | Result | Compared])
    """in order"""
    writes: dict[int, Written] = field(default_factory=dict[int, Written])
    """by address"""
    texts: list[Texts] = field(default_factory=list[Texts])
    counts: dict[int, int] = field(default_factory=dict[int, int])
    """times that a comparison ran, by its address"""


class Tracer:
    """Runs of the original with everything written down."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        memory = emulator.memory
        self._low, self._high = memory.stack.address, memory.stack_start
        self._trace = Trace()
        self._limit = MAX_EVENTS
        self._read: dict[int, int] = {}
        """addresses, and how many callees of which nothing is known had been called when they were read first"""
        self._called: list[tuple[str, int]] = []
        """these callees"""
        self._written: set[int] = set()
        self._slot = (ctypes.c_uint64 * 2)()
        self._code_hook = _CODE_HOOK(loosely(self._on_comparison))
        self._read_hook = _MEMORY_HOOK(loosely(self._on_read))
        self._write_hook = _MEMORY_HOOK(loosely(self._on_write))
        for begin, end in ((0, self._low - 1), (self._high, memory.stack.end - 1), POOL):
            self._add(UC_HOOK_MEM_READ, self._read_hook, begin, end)
            self._add(UC_HOOK_MEM_WRITE, self._write_hook, begin, end)
        emulator.on_call = loosely(self._on_call)
        self._hooks: list[ctypes.c_size_t] = []
        self._sites: dict[int, tuple[Comparison, str, int, Operand, Operand]] = {}
        self._watched: Sequence[Comparison] | None = None

    def _add(self, kind: int, callback: Any, begin: int, end: int) -> ctypes.c_size_t:
        hook = ctypes.c_size_t()
        library.uc_hook_add(
            self.emulator.handle, ctypes.byref(hook), kind, callback, None, ctypes.c_uint64(begin), ctypes.c_uint64(end)
        )
        return hook

    def trace(
        self, function: Named, comparisons: Sequence[Comparison], inputs: Inputs, *, limit: int = MAX_EVENTS
    ) -> Trace:
        """Run the function; these comparisons are recorded; stopped after `limit` calls of hooks."""
        self._limit = limit
        if self._watched is not comparisons:
            self._watch(comparisons)
        self._trace = Trace(inputs=inputs)
        self._read.clear()
        self._called.clear()
        self._written.clear()
        self.emulator.run(function, inputs)
        return self._trace

    def _watch(self, comparisons: Sequence[Comparison]) -> None:
        for hook in self._hooks:
            library.uc_hook_del(self.emulator.handle, hook)
        self._hooks.clear()
        self._sites.clear()
        for site in comparisons:
            operands = self._operands(site)
            if operands is not None:
                self._sites[site.address] = (site, *operands)
                self._hooks.append(self._add(UC_HOOK_CODE, self._code_hook, site.address, site.address))
        self._watched = comparisons
        self.emulator.flush()

    # --------------------------------------------------------------------- hooks

    def _count(self) -> None:
        """Every call of a hook costs, whether it records something or not."""
        self._trace.cost += 1
        if self._trace.cost >= self._limit:
            self.emulator.stop()

    def _content(self, address: int, size: int) -> bytes:
        try:
            return self.emulator.memory.read(address, size)
        except Fault:
            return b""

    def _on_read(self, _uc: Any, _access: int, address: int, size: int, _value: int, _data: Any) -> None:
        self._count()
        address = self.emulator.memory.seen_at(address)
        if size not in (1, 2, 4, 8) or address in self._written:
            return
        content = self._content(address, size)
        if content:
            first = min(self._read.setdefault(at, len(self._called)) for at in range(address, address + size))
            behind = self._called[-1] if first < len(self._called) else None
            self._trace.events.append(Read(address, size, int.from_bytes(content, "little"), behind))

    def _on_write(self, _uc: Any, _access: int, address: int, size: int, value: int, _data: Any) -> None:
        self._count()
        address = self.emulator.memory.seen_at(address)
        if address in self._written or not 0 < size <= 8:
            return
        before = self._content(address, size)
        if before:
            after = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            was_read = any(at in self._read for at in range(address, address + size))
            self._trace.writes[address] = Written(before, after, was_read)
            self._written.update(range(address, address + size))

    def _on_call(self, call: Call) -> None:
        name = call.external.name or ""
        if call.external.signature is not None and may_look(call.external):
            self._called.append(call.key)
        self._trace.events.extend(Result(key, bits, value) for key, value, bits in call.filled)
        if call.free_result is not None:
            key, value, bits = call.free_result
            self._trace.events.append(Result(key, bits, value))
        elif name.startswith(("str", "mem", "bcmp")) or name in _FORMATS:
            x, y, size = arguments = [call.bank[position] for position in call.machine.integer_arguments[:3]]
            if name in _COMPARES:
                self._on_texts(name, x, y, size if _COMPARES[name] else MAX_TEXT)
                return
            at = arguments[_FORMATS.get(name, 0)]
            content = b"" if at & 0xFF << 56 else self._content(at, 1)
            if content and at not in self._written:
                self._trace.events.append(Read(at, 1, content[0]))

    def _on_texts(self, name: str, x: int, y: int, size: int) -> None:
        size = min(size, MAX_TEXT)
        one, other = self._content(x, size), self._content(y, size)
        if one and other and len(self._trace.texts) < MAX_TEXTS:
            if not name.startswith(("mem", "bcmp")):
                one, other = one.partition(b"\0")[0] + b"\0", other.partition(b"\0")[0] + b"\0"
            self._trace.texts.append(Texts(name, x, y, one[:size], other[:size]))

    def _on_comparison(self, _uc: Any, address: int, _size: int, _data: Any) -> None:
        counts = self._trace.counts
        count = counts[address] = counts.get(address, 0) + 1
        self._count()
        if count > MAX_OF_SITE:
            return
        site, kind, bits, left, right = self._sites[address]
        try:
            self._trace.events.append(Compared(site, kind, bits, left(), right()))
        except Fault:
            return

    # ------------------------------------------------------------------ operands

    def _operands(self, site: Comparison) -> tuple[str, int, Operand, Operand] | None:
        """(kind, bits, left, right) of a comparison; None where it is not understood."""
        is_x86 = self.emulator.machine.elf_machine == EM_X86_64
        name = site.mnemonic
        kind, words = _normal(name, _split(site.operands))
        if len(words) != 2:
            return None
        bits = max(_width(words[0], is_x86), _width(words[1], is_x86))
        if kind == "float":
            bits = 32 if name.endswith("ss") or words[0].startswith("s") else 64
        if not 0 < bits <= 64:
            return None
        left, right = (self._operand(word, bits, site) for word in words)
        if left is None or right is None:
            return None
        if name in ("add", "adds", "cmn"):
            mask, added = (1 << bits) - 1, right
            return kind, bits, left, lambda: -added() & mask
        return kind, bits, left, right

    def _operand(self, word: str, bits: int, site: Comparison) -> Operand | None:
        mask = (1 << bits) - 1
        if _NUMBER.match(word):
            number = int(word.removeprefix("#"), 0) & mask
            return lambda: number
        memory = _MEMORY.match(word)
        if memory is None:
            register = _register(word, self.emulator.machine.elf_machine == EM_X86_64)
            return None if register is None else lambda: self._value_of(register) & mask
        parts = [self._term(term, site) for term in re.findall(r"[-+]? ?[^-+ ]+", memory.group(2))]
        if any(part is None for part in parts):
            return None
        terms = [part for part in parts if part is not None]

        def load() -> int:
            address = sum(term() for term in terms) & 0xFFFFFFFFFFFFFFFF
            if not self._low <= address < self._high:  # the instruction itself loads behind this hook
                self._on_read(None, 0, address, bits // 8, 0, None)
            return int.from_bytes(self.emulator.memory.read(address, bits // 8), "little")

        return load

    def _term(self, text: str, site: Comparison) -> Operand | None:
        sign = -1 if text.startswith("-") else 1
        text = text.lstrip("-+ ")
        if _NUMBER.match(text):
            number = sign * int(text, 0)
            return lambda: number
        if text == "rip":
            return lambda: site.address + site.size
        name, _, scale = text.partition("*")
        register = _register(name, self.emulator.machine.elf_machine == EM_X86_64)
        factor = sign * int(scale or "1", 0)
        return None if register is None else lambda: factor * self._value_of(register)

    def _value_of(self, register: int) -> int:
        self._slot[0] = 0
        library.uc_reg_read(self.emulator.handle, register, self._slot)
        return self._slot[0]


def _normal(name: str, words: list[str]) -> tuple[str, list[str]]:
    """Kind and two operands of a comparison."""
    if name in ("tbz", "tbnz"):
        return "mask", [words[0], f"{1 << int(words[1].removeprefix('#'), 0):#x}"]
    if name in ("dec", "inc"):
        return "order", [words[0], "1" if name == "dec" else "-1"]
    if name in ("cbz", "cbnz"):
        return "order", [words[0], "0"]
    words = words[-2:]  # three-operand forms
    if name in ("test", "tst", "and", "ands"):
        return ("order", [words[0], "0"]) if words[0] == words[1] else ("mask", words)
    if name == "bt":
        return "bit", words
    return ("float" if name.endswith(("ss", "sd")) or name.startswith("fcmp") else "order"), words


def _split(operands: str) -> list[str]:
    """Operands; commas in brackets do not separate."""
    return [word.strip() for word in re.split(r",(?![^\[]*\])", operands)]


def _register(name: str, is_x86: bool) -> int | None:
    """Unicorn's number of a register."""
    if is_x86:
        return getattr(x86_const, f"UC_X86_REG_{name.upper()}", None)
    return getattr(arm64_const, f"UC_ARM64_REG_{name.upper()}", None)


def _width(word: str, is_x86: bool) -> int:
    """Bits of a register or a memory operand; 0 of a number."""
    memory = _MEMORY.match(word)
    if memory is not None:
        return 8 * _SIZES.get(memory.group(1) or "", 0)
    if _NUMBER.match(word):
        return 0
    if not is_x86:
        return {"w": 32, "x": 64, "s": 32, "d": 64}.get(word[:1], 0)
    if word.startswith("xmm"):
        return 64
    if re.match(r"r\d+|r[a-ds][xpi]$|r[sd]i$|r[sb]p$", word):
        return {"d": 32, "w": 16, "b": 8}.get(word[-1], 64) if word[1].isdigit() else 64
    if word.startswith("e"):
        return 32
    return 8 if word.endswith(("l", "h")) else 16
