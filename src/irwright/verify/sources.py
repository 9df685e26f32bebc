"""Where the values came from that a run compared: what of its inputs has to change for one to be another.

A value's source is found by the value itself ("input to state"): the last load, callee or argument before the
comparison that had it, perhaps off by a constant of the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from irwright.verify.abi import parameter_locations
from irwright.verify.blocks import Blocks
from irwright.verify.edges import fit
from irwright.verify.emulate import Emulator
from irwright.verify.image import PAGE
from irwright.verify.inputs import ARENA_BASE, ARENA_SIZE, Inputs, Place
from irwright.verify.memory import ERRNO, HEAP_BASE, HEAP_SIZE, LIBC_BASE, LIBC_SIZE, STANDARD_STREAMS
from irwright.verify.signatures import Kind, Signature, Value
from irwright.verify.tracing import Compared, Read, Result, Trace

LOOK_BACK = 300
"""events before a comparison in which its values are looked for"""
OFFSETS_BACK = 40
"""the same, for values that are off by a constant"""
MAX_PLACES = 24
"""of one trace whose values are varied"""
TEXT = 3
"""bytes of a text that are varied"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from."""

    key: Place | int | tuple[str, int]
    kind: str
    """memory, stack, register, result, or effect: what a callee leaves in memory"""
    bits: int
    value: int
    effect: tuple[tuple[str, int], Place] | None = None
    """the callee, as in Inputs.effects, and where it leaves the value"""

    @property
    def is_pointer(self) -> bool:
        return self.bits == 64 and (
            ARENA_BASE <= self.value < ARENA_BASE + ARENA_SIZE or HEAP_BASE <= self.value < HEAP_BASE + HEAP_SIZE
        )


def place_of(emulator: Emulator, address: int, *, local: bool) -> Place | None:
    """How a place in memory is called in every version; None where it must not be changed.

    `local`: static data too, though optimisers may know all its values.
    """
    memory = emulator.memory
    if emulator.image.externals.name_at(address & -PAGE) in STANDARD_STREAMS:
        return None
    if emulator.image.contains(address):
        for named in emulator.image.named_at(address):
            inside = named.address <= address < named.end
            if inside and memory.is_writable(address) and (local or not named.is_local):
                return (named.name, address - named.address)
        return None
    for region in (memory.stack, memory.heap):
        if region.address <= address < region.end:
            return None
    if LIBC_BASE <= address < LIBC_BASE + LIBC_SIZE and address != LIBC_BASE + ERRNO:
        return None
    return address


class Sources:
    """Finds sources in the runs of one function, and gives them other values."""

    def __init__(self, emulator: Emulator, signature: Signature | None, blocks: Blocks) -> None:
        """`emulator` is of the original; its layout tells what can be changed."""
        self._emulator = emulator
        self._blocks = blocks
        constants = blocks.hints.constants
        self._offsets = {1, -1, *constants, *(-number for number in constants)}
        """by which a value may be off from where it came from"""
        self._machine = emulator.machine
        self._parameters = self._find_parameters(signature)
        self._apart = {position for position, value in self._parameters if value.noalias}
        """registers of pointers at what nothing else points at"""

    def _find_parameters(self, signature: Signature | None) -> list[tuple[int, Value]]:
        """(register, value) of each parameter in one."""
        if signature is None:
            value = Value(kind=Kind.INT, bits=64)
            return [(position, value) for position in self._machine.integer_arguments]
        places = parameter_locations(self._machine, signature)
        return [
            (place.register, value)
            for value, place in zip(signature.parameters, places, strict=True)
            if place.register is not None and not value.is_result_address and value.bits <= 64
        ]

    def sources(self, trace: Trace, inputs: Inputs) -> list[Source]:
        """Everything that the run took in, each once, arguments first."""
        found = {source.key: source for source in self._arguments(inputs)}
        for event in trace.events:
            if len(found) > 2 * MAX_PLACES:
                break
            if isinstance(event, Compared) or (isinstance(event, Read) and self._is_in_text(event, found)):
                continue
            source = self._source_of(event)
            if source is not None:
                found.setdefault(source.key, source)
        return list(found.values())

    @staticmethod
    def _is_in_text(event: Read, found: Mapping[Place, Source]) -> bool:
        """One of many bytes in a row: the first of them stand for all."""
        at = event.address
        return event.size == 1 and all(at - back in found for back in range(1, TEXT + 1))

    def _arguments(self, inputs: Inputs) -> Iterator[Source]:
        registers = dict(inputs.registers)
        for position, value in self._parameters:
            if position in registers:
                bits = registers[position] & ((1 << value.bits) - 1)
                yield Source(position, "register", value.bits, bits)

    def _source_of(self, event: Read | Result) -> Source | None:
        if isinstance(event, Result):
            return Source(event.callee, "result", event.bits, event.value)
        stack = self._emulator.memory.stack_start
        if stack <= event.address < self._emulator.memory.stack.end:
            return Source(event.address - stack, "stack", 8 * event.size, event.value)
        place = place_of(self._emulator, event.address, local=False)
        if place is None:
            return None
        if event.behind is not None and not (self._apart and isinstance(place, int)):
            key = (f"{event.behind[0]} {place}", event.behind[1])
            return Source(key, "effect", 8 * event.size, event.value, (event.behind, place))
        return Source(place, "memory", 8 * event.size, event.value)

    def _with_operand(
        self, trace: Trace, index: int, left: tuple[int, int] | None, right: tuple[int, int] | None
    ) -> tuple[Source, int] | None:
        """The source of one of two (value, wanted value), and what it has to be."""
        event = trace.events[index]
        assert isinstance(event, Compared)
        mask = (1 << event.bits) - 1
        changes = [change for change in (left, right) if change is not None]
        for back, offsets in ((LOOK_BACK, None), (OFFSETS_BACK, self._offsets)):
            for width, held, found in self._candidates(trace, index, back):
                for value, target in changes:
                    offset = 0 if offsets is None else (held - value) & mask
                    if offsets is not None and offset not in offsets and offset - mask - 1 not in offsets:
                        continue
                    wanted = fit(held, width, value + offset & mask, target + offset & mask, event.bits)
                    if wanted is None:
                        continue
                    source = found if isinstance(found, Source) else self._source_of(found)
                    if source is not None and self._may_be(source, wanted):
                        return source, wanted
        return None

    def _candidates(self, trace: Trace, index: int, back: int) -> Iterator[tuple[int, int, Read | Result | Source]]:
        """(bits, value, where from) of what was taken in before an event, the last first, then the arguments."""
        for event in reversed(trace.events[max(0, index - back) : index]):
            if isinstance(event, Read):
                yield 8 * event.size, event.value, event
            elif isinstance(event, Result):
                yield event.bits, event.value, event
        event = trace.events[index]
        bits = event.bits if isinstance(event, Compared) else 0
        arguments = list(self._arguments(trace.inputs)) if trace.inputs is not None else []
        for source in sorted(arguments, key=lambda one: one.bits != bits):
            yield source.bits, source.value, source

    def _may_be(self, source: Source, value: int) -> bool:
        """Pointers are null or point at objects."""
        if self._emulator.image.contains(value):
            return source.kind in ("memory", "effect") and source.bits == 64 and self._link_to(value) is not None
        if not source.is_pointer:
            return True
        if ARENA_BASE <= value < ARENA_BASE + ARENA_SIZE:
            return source.kind != "register" or not (value - source.value) % 8  # no object lies askew in another
        nonnull = source.kind == "register" and any(
            position == source.key and parameter.nonnull for position, parameter in self._parameters
        )
        return value == 0 and not nonnull

    def _link_to(self, value: int) -> tuple[str, int] | None:
        """An address in the object by a name that every version has."""
        for named in self._emulator.image.named_at(value):
            if not named.is_local and named.address <= value < named.end:
                return named.name, value - named.address
        return None

    def with_value(self, inputs: Inputs, source: Source, value: int) -> Inputs:
        """The inputs with another value from there."""
        key = source.key
        content = value.to_bytes(-(-source.bits // 8), "little")
        if source.kind == "result":
            assert isinstance(key, tuple)
            return replace(inputs, results={**inputs.results, key: value})
        link = self._link_to(value) if source.bits == 64 else None
        if source.effect is not None:
            callee, place = source.effect
            effects = (*inputs.effects.get(callee, ()), (place, link or content))
            return replace(inputs, effects={**inputs.effects, callee: effects})
        if source.kind == "memory":
            return replace(inputs, pokes=(*inputs.pokes, (key, link or content)))
        assert isinstance(key, int)
        if source.kind == "stack":
            return replace(inputs, stack=(*inputs.stack, (key, content)))
        registers = dict(inputs.registers)
        parameter = dict(self._parameters)[key]
        defined = (1 << parameter.bits) - 1
        if parameter.extended and parameter.bits < 32:
            if parameter.signed and value >> (parameter.bits - 1):
                value |= 0xFFFFFFFF & ~defined
            defined = 0xFFFFFFFF
        registers[key] = registers[key] & ~defined | value
        return replace(inputs, registers=tuple(sorted(registers.items())))
