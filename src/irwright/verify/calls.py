"""A call that leaves the object, as the function that plays the callee sees it: arguments, memory, results.

What is known of a callee is in libc.py. Of others, the arguments that a signature names are recorded, and they
return something that depends on the seed, the name and how often they were called.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from irwright.verify.abi import ST0, Allocator, result_locations
from irwright.verify.image import PAGE
from irwright.verify.inputs import (
    ARENA_BASE,
    ARENA_SIZE,
    MASK,
    long_double_bytes,
    long_double_value,
    mix,
)
from irwright.verify.machine import Machine, RegisterBank
from irwright.verify.memory import ERRNO, LIBC_BASE, Fault, Memory
from irwright.verify.signatures import DOUBLE, FLOAT, I64, LONG_DOUBLE, POINTER, Kind, Signature, Value
from irwright.verify.trace import Argument, CallEvent, Event, OutputEvent

BLOCK_GAP = 32
TIRED = 24
"""calls of one callee after which it returns the same for a while: loops that wait for a result come to an end"""
PHASES = (0, -1, 1, 2)
"""what it then returns, each so many times in turn"""
PHASE_CALLS = 12


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
    free_result: tuple[tuple[str, int], int, int] | None = None
    """(key in `overrides`, value, bits) of what it returned, where that was by chance"""
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

    def record(self, *arguments: Argument, content: tuple[bytes, ...] = (), name: str | None = None) -> None:
        """Record the call as something others see."""
        self.events.append(CallEvent(name or self.external.name or "a function pointer", arguments, content))

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


def play_unknown(call: Call) -> None:
    """A function of which at most the signature is known."""
    signature = call.external.signature
    target = () if call.external.name else ((Kind.POINTER, 64, call.external.address),)
    if signature is None:
        call.record(*target)
        bits = call.chance()
        call.give_pair(likely_pointer(bits, call.seed) if bits & 1 else bits >> 8 & 0xF, bits >> 16 & 0xFF)
        call.give_double((bits >> 24 & 0xFF) / 4)
        return
    arguments: list[Argument] = [*target]
    objects: list[tuple[int, Value]] = []
    for value in signature.parameters:
        if value.in_memory or value.is_result_address:
            call.next(value)
            continue
        arguments.append((value.kind, value.bits, call.next(value)))
        if value.fields and not signature.is_pure:
            address = arguments[-1][2]
            objects.append((address, value))
            if call.memory.is_stack(address):  # other memory is compared at the end
                arguments += read_fields(call, address, value)
    if not signature.is_pure:
        call.record(*arguments)
    if signature.is_noreturn:
        raise EndRun(f"{call.external.name} does not return")
    # The result of a pure function depends on its arguments alone: calls of it may be merged or left out.
    bits = mix(*(value for _, _, value in arguments), 5, call.seed) if signature.is_pure else call.chance()
    give_results(call, signature, bits)
    for number, (address, value) in enumerate(objects):
        if call.chance(number) & 7:
            write_fields(call, address, value, call.chance(number, 1))


def read_fields(call: Call, address: int, value: Value) -> list[Argument]:
    """What the callee can read of an object on the stack; nothing of text, most of which is never written."""
    if is_text(value):
        return []
    try:
        content = call.memory.read(address, field_bytes(value))
    except Fault:
        return []
    return [
        (kind, bits, int.from_bytes(content[offset : offset + bits // 8], "little"))
        for offset, kind, bits in value.fields
    ]


def field_bytes(value: Value) -> int:
    """From the beginning of an object to the end of its last known field."""
    offset, _, bits = value.fields[-1]
    return offset + bits // 8


def is_text(value: Value) -> bool:
    """It points at an array of characters."""
    return len(value.fields) > 1 and all(width == 8 for _, _, width in value.fields)


def write_fields(call: Call, address: int, value: Value, bits: int) -> None:
    """Change an object that the callee is given: most of its fields, each to something of its type."""
    memory, size = call.memory, field_bytes(value)
    if not memory.is_data(address) or not memory.is_data(address + size - 1):
        return
    if is_text(value):
        words = b"".join(mix(bits, number).to_bytes(8, "little") for number in range(len(value.fields) // 8 + 1))
        text = bytes(97 + byte % 26 for byte in words[: bits % len(value.fields)])
        memory.write(address, text.ljust(len(value.fields), b"\0"))
        return
    content = bytearray(memory.read(address, size))
    word = bits
    for offset, kind, width in value.fields:
        word = (word ^ word >> 29) * 0xBF58476D1CE4E5B9 & MASK
        if word >> 60 < 4 and len(value.fields) > 1:
            continue
        if kind is Kind.POINTER:
            chosen = likely_pointer(word, 0)
        elif kind is Kind.INT:
            chosen = likely_number(word)
        else:
            number_value = (word >> 8 & 0xFF) / 4
            chosen = int.from_bytes(struct.pack("<f" if width == 32 else "<d", number_value), "little")
        end = offset + width // 8
        content[offset:end] = (chosen & ((1 << width) - 1)).to_bytes(width // 8, "little")
    memory.write(address, bytes(content))


def give_results(call: Call, signature: Signature, bits: int) -> None:
    """Something of the signature's type, made from random bits."""
    places = result_locations(call.machine, signature)
    if places is None:
        raise EndRun(f"{call.external.name} returns what is not played", chosen=False)
    for index, (value, place) in enumerate(zip(signature.results, places, strict=True)):
        word = mix(bits, index)
        if place == ST0:
            call.give_long_double((word & 0xFF) / 4)
            continue
        is_free = index == 0 and value.kind in (Kind.INT, Kind.POINTER) and not signature.is_pure
        if is_free and call.override is not None:
            chosen = extended_integer(call.override, word, value)
        elif is_free and call.count > TIRED:
            chosen = tired_result(call, word, value)
        elif value.kind is Kind.POINTER:
            chosen = likely_pointer(word, call.seed)
        elif value.kind is Kind.INT:
            chosen = likely_integer(word, value)
        elif value.bits == 32:
            chosen = int.from_bytes(struct.pack("<f", (word & 0xFFF) / 16), "little")
        elif value.bits == 64:
            chosen = int.from_bytes(struct.pack("<d", (word & 0xFFF) / 16), "little")
        else:
            chosen = word | mix(word) << 64
        if is_free:
            call.free_result = (call.key, chosen & ((1 << value.bits) - 1), value.bits)
        call.place_result(place, chosen)


def tired_result(call: Call, word: int, value: Value) -> int:
    """What a callee returns that was called often: one thing for a while, then another."""
    phase = call.count // PHASE_CALLS % len(PHASES)
    if value.kind is Kind.POINTER:
        return 0 if phase % 2 else likely_pointer(word, call.seed)
    return extended_integer(PHASES[phase], word, value)


def likely_pointer(bits: int, seed: int) -> int:
    """An object in the arena; for most seeds, null one time in eight."""
    if bits >> 8 & 7 == 0 and seed & 3:
        return 0
    return ARENA_BASE + (bits >> 16) % (ARENA_SIZE // PAGE) * PAGE + (bits >> 32 & 3) * 64


def likely_integer(bits: int, value: Value) -> int:
    """Mostly zero or small, as results of functions are; with garbage above what is defined."""
    return extended_integer(likely_number(bits), bits, value)


def likely_number(bits: int) -> int:
    """Mostly zero or small; of any width and sign."""
    choice, word = bits & 15, bits >> 16
    if choice < 5:
        return 0
    if choice < 9:
        return 1
    if choice < 11:
        return -1
    return word & 0x3F if choice < 15 else word


def extended_integer(chosen: int, bits: int, value: Value) -> int:
    """A result of its width, with garbage above what is defined."""
    defined = (1 << value.bits) - 1
    chosen &= defined
    if value.extended and value.bits < 8:
        defined = 0xFF
    return chosen | (bits << 32 | bits >> 8 & 0xFFFFFF00) & MASK & ~defined


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
