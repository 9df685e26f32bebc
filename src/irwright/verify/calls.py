"""A call that leaves the object, as the function that plays the callee sees it: arguments, memory, results.

What is known of a callee is in libc.py, what others do in unknown.py.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from irwright.verify.abi import ST0, Allocator
from irwright.verify.image import PAGE
from irwright.verify.inputs import (
    MASK,
    Content,
    Place,
    long_double_bytes,
    long_double_value,
    mix,
)
from irwright.verify.machine import Machine, RegisterBank
from irwright.verify.memory import ERRNO, LIBC_BASE, Memory
from irwright.verify.signatures import DOUBLE, FLOAT, I64, LONG_DOUBLE, POINTER, Kind, Signature, Value
from irwright.verify.trace import Argument, CallEvent, Event, OutputEvent

BLOCK_GAP = 32


class EndRun(Exception):  # noqa: N818 - ends a run, which is data
    """A callee that does not return (`chosen`), or one whose effect can't be played."""

    def __init__(self, detail: str, *, chosen: bool = True) -> None:
        super().__init__(detail)
        self.detail = detail
        self.chosen = chosen


class Heap:
    """Blocks of malloc: fresh addresses in order, never reused within a run."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.blocks: dict[int, int] = {}
        """address to size of what was allocated"""
        self.freed: set[int] = set()
        self._next = memory.heap.address

    def restart(self) -> None:
        self.blocks.clear()
        self.freed.clear()
        self._next = self._memory.heap.address + 64

    def allocate(self, size: int, alignment: int = 16, *, zero: bool = False) -> int:
        """Address of a new block; 0 where it is too large, as malloc may say."""
        alignment = max(16, min(alignment & -alignment, PAGE)) if alignment > 0 else 16
        address = (self._next + alignment - 1) & -alignment
        if size > self._memory.heap.end - address - BLOCK_GAP:
            return 0
        self.blocks[address] = size
        self._next = address + size + BLOCK_GAP
        self._memory.heap_used = self._next - self._memory.heap.address
        if zero:
            self._memory.write(address, bytes(size))
        return address

    @property
    def num_live(self) -> int:
        """Blocks that were not freed."""
        return len(self.blocks.keys() - self.freed)

    def state(self) -> tuple[bytes, dict[int, int], set[int]]:
        """Everything that can be told of the heap."""
        return self._memory.heap.host[: self._memory.heap_used], self.blocks, self.freed

    def free(self, address: int) -> bool:
        """Whether it is a block of ours."""
        self.freed.add(address)
        return address in self.blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """Who is called."""

    name: str | None
    """None: an address that is no symbol's, such as a function pointer from data"""
    address: int
    signature: Signature | None


@dataclass(slots=True, kw_only=True)
class Call:
    """One call under way."""

    external: External
    count: int
    """which call of this callee it is, from 1"""
    machine: Machine
    bank: RegisterBank
    memory: Memory
    heap: Heap
    events: list[Event]
    seed: int
    fill: int
    run_callback: Callable[[int, tuple[int, ...]], int]
    external_name: Callable[[int], str | None]
    overrides: Mapping[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """as Inputs.results"""
    effects: Mapping[tuple[str, int], tuple[tuple[Place, Content], ...]] = field(
        default_factory=dict[tuple[str, int], tuple[tuple[Place, Content], ...]]
    )
    """as Inputs.effects"""
    free_result: tuple[tuple[str, int], int, int] | None = None
    """(key in `overrides`, value, bits) of what it returned, where that was by chance"""
    filled: list[tuple[tuple[str, int], int, int]] = field(default_factory=list[tuple[tuple[str, int], int, int]])
    """the same of fields that it wrote into objects it was given"""
    preserve_all: bool = False
    """the callee touches nothing but its results"""
    _results: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    _allocator: Allocator | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Of this call's result in `overrides`."""
        return (self.external.name or str(self.external.address), self.count)

    @property
    def override(self) -> int | None:
        """What this call is to return."""
        return self.overrides.get(self.key) if self.overrides else None

    # ----------------------------------------------------------------- arguments

    def next(self, value: Value) -> int:
        """The next argument's bits: of its width, or all of a register where it is a pointer."""
        if self._allocator is None:
            self._allocator = Allocator(self.machine)
        location = self._allocator.next(value)
        if location.register is not None:
            if location.register in self.machine.vectors:
                bits = self.bank.wide(location.register)
            else:
                bits = self.bank[location.register]
        else:
            bits = int.from_bytes(self.memory.read(self._stack_arguments + location.offset, 16), "little")
        return bits & ((1 << value.bits) - 1)

    @property
    def _stack_arguments(self) -> int:
        return self.bank[self.machine.stack_pointer] + (8 if self.machine.link is None else 0)

    def pointer(self) -> int:
        return self.next(POINTER)

    def size(self) -> int:
        """The next argument as a size_t."""
        return self.next(I64)

    def integer(self, bits: int = 32) -> int:
        """The next argument as a signed integer."""
        value = self.next(Value(kind=Kind.INT, bits=bits))
        return value - (1 << bits) if value >> (bits - 1) else value

    def double(self) -> float:
        (value,) = struct.unpack("<d", self.next(DOUBLE).to_bytes(8, "little"))
        return value

    def float(self) -> float:
        (value,) = struct.unpack("<f", self.next(FLOAT).to_bytes(4, "little"))
        return value

    def long_double(self) -> float:
        if self.machine.link is None:
            return long_double_value(self.next(LONG_DOUBLE).to_bytes(10, "little"))
        return quad_value(self.next(Value(kind=Kind.FLOAT, bits=128)))

    def string(self) -> bytes:
        """What the next argument points at, up to its NUL."""
        return self.memory.read_string(self.pointer())

    # ------------------------------------------------------------------- results

    def give(self, value: int) -> None:
        """Return an integer or pointer."""
        self._results.append((self.machine.integer_results[0], value & MASK))

    def give_pair(self, low: int, high: int) -> None:
        """Return two integers in registers."""
        self._results += list(zip(self.machine.integer_results, (low & MASK, high & MASK), strict=True))

    def give_double(self, value: float) -> None:
        self.give_bits(int.from_bytes(struct.pack("<d", value), "little"))

    def give_float(self, value: float) -> None:
        try:
            content = struct.pack("<f", value)
        except OverflowError:
            content = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
        self.give_bits(int.from_bytes(content, "little"))

    def give_bits(self, bits: int) -> None:
        """Return in the first vector register."""
        self._results.append((self.machine.float_results[0], bits))

    def give_long_double(self, value: float) -> None:
        if self.machine.link is None:
            self._results.append((ST0, int.from_bytes(long_double_bytes(value), "little")))
        else:
            self.give_bits(quad_bits(value))

    def place_result(self, register: int, value: int) -> None:
        """Return in a register by its position in the bank."""
        self._results.append((register, value))

    def leave(self) -> int:
        """Return to the caller: results in place, scratch registers destroyed; the address to go on at."""
        machine, bank = self.machine, self.bank
        if not self.preserve_all:
            garbage = mix(self.count, self.fill, 7) | 1 << 63
            values = bank.values
            for position in machine.scratch:
                values[2 * position] = garbage ^ position
        for position, value in self._results:
            if position == ST0:
                raise EndRun("a callee returns long double", chosen=False)
            if position in machine.vectors:
                bank.set_wide(position, value)
            else:
                bank[position] = value
        if machine.link is None:
            stack = bank[machine.stack_pointer]
            (address,) = struct.unpack("<Q", self.memory.read(stack, 8))
            bank[machine.stack_pointer] = stack + 8
        else:
            address = bank[machine.link]
        bank.write_data()
        return address

    # ------------------------------------------------------------------- effects

    def invoke(self, address: int, arguments: tuple[int, ...]) -> int:
        """Call a function of the program, as qsort does; its integer result."""
        return self.run_callback(address, arguments)

    def record(
        self,
        *arguments: Argument,
        content: tuple[bytes, ...] = (),
        texts: tuple[bytes, ...] = (),
        name: str | None = None,
    ) -> None:
        """Record the call as something others see."""
        self.events.append(CallEvent(name or self.external.name or "a function pointer", arguments, content, texts))

    def output(self, stream: int, *pieces: bytes | int) -> None:
        self.events.append(OutputEvent(stream, pieces))

    def chance(self, *more: int) -> int:
        """64 bits that depend on the seed, the callee and which call it is; the same in every version."""
        if self.external.name is None:
            return mix(self.seed, self.external.address, self.count, *more)
        return mix(self.seed, zlib.crc32(self.external.name.encode(errors="replace")), self.count, *more)


def set_errno(call: Call) -> None:
    """A function of the system may say why it failed."""
    bits = call.chance(0xE)
    if bits & 1:
        call.memory.write(LIBC_BASE + ERRNO, struct.pack("<I", (4, 2, 11, 22, 12, 17, 9, 0)[bits >> 1 & 7]))


def quad_value(bits: int) -> float:
    """The double nearest to an IEEE quad."""
    sign, exponent, fraction = bits >> 127, bits >> 112 & 0x7FFF, bits & ((1 << 112) - 1)
    if exponent == 0:
        return -0.0 if sign else 0.0
    if exponent == 0x7FFF:
        return float("nan") if fraction else (float("-inf") if sign else float("inf"))
    try:
        magnitude = (1 + fraction / (1 << 112)) * 2.0 ** (exponent - 16383)
    except OverflowError:
        magnitude = float("inf") if exponent > 16383 else 0.0
    return -magnitude if sign else magnitude


def quad_bits(value: float) -> int:
    """An IEEE quad of a double that is zero or normal."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    sign, exponent, fraction = bits >> 63, bits >> 52 & 0x7FF, bits & ((1 << 52) - 1)
    if exponent == 0:
        return sign << 127
    wide = 0x7FFF if exponent == 0x7FF else exponent - 1023 + 16383
    return sign << 127 | wide << 112 | fraction << 60
