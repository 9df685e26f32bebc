"""Inputs that matter, made from the trace of a run: each is the traced one with few values changed.

Where a value that was compared came from is found by the value itself ("input to state"): the last load, callee or
argument before the comparison that had it, perhaps off by a constant of the code. Then the value is set to what it is
compared with, one more and one less. Beside these: signs flipped and noise in one place, memory that a run overwrites
filled with something else first (else a store that is left out or too narrow writes what is there), loops that end.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from irwright.verify.abi import parameter_locations
from irwright.verify.blocks import Blocks
from irwright.verify.edges import fit, relation_of, wanted_of
from irwright.verify.emulate import Emulator
from irwright.verify.image import PAGE
from irwright.verify.inputs import ARENA_BASE, ARENA_SIZE, Content, Inputs, Place, mix
from irwright.verify.memory import ERRNO, HEAP_BASE, HEAP_SIZE, LIBC_BASE, LIBC_SIZE, STANDARD_STREAMS
from irwright.verify.signatures import Kind, Signature, Value
from irwright.verify.tracing import Compared, Read, Result, Trace

_ENDS_IN_NUMBER = re.compile(r", #?-?(0x[0-9a-f]+|\d+)$")
LOOK_BACK = 300
"""events before a comparison in which its values are looked for"""
OFFSETS_BACK = 40
"""the same, for values that are off by a constant"""
MAX_TRIES = 2
"""for one relation at one comparison"""
MAX_CASES = 40
"""of a switch"""
NUM_KINDS = 4
"""of variations of a value"""
MAX_PLACES = 24
"""of one trace whose values are varied"""
TEXT = 3
"""bytes of a text that are varied"""
MAX_ALIKE = 6
"""numbers that all arguments are set to"""
PATIENCE = 3
"""rounds of a loop that are let go before it is to end"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from."""

    key: Place | int | tuple[str, int]
    kind: str
    """memory, stack, register or result"""
    bits: int
    value: int

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


class Director:
    """Makes inputs for one function; remembers what was tried."""

    def __init__(self, emulator: Emulator, signature: Signature | None, blocks: Blocks) -> None:
        """`emulator` is of the original; its layout tells what can be changed."""
        self._emulator = emulator
        self._blocks = blocks
        constants = blocks.hints.constants
        self._offsets = {1, -1, *constants, *(-number for number in constants)}
        """by which a value may be off from where it came from"""
        self._machine = emulator.machine
        self._parameters = self._find_parameters(signature)
        self._seen: set[tuple[int, int]] = set()
        """(comparison, relation) that ran"""
        self._tries: dict[tuple[int, int], int] = {}
        self._swept: set[object] = set()
        self._noted: set[int] = set()
        """comparisons whose sources were looked for"""
        self._deciding: set[object] = set()
        """places whose values were compared"""

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

    # ------------------------------------------------------------------ the inputs

    def goals(self, trace: Trace, inputs: Inputs) -> Iterator[Inputs]:
        """Comparisons brought to their edges: first all at once that stay on their side, then one by one."""
        compared = [(index, event) for index, event in enumerate(trace.events) if isinstance(event, Compared)]
        self._note_deciding(trace, compared)
        self._seen.update((event.site.address, relation_of(event)) for _, event in compared)
        edges, changed, single = inputs, set[object](), list[tuple[int, Inputs]]()
        equal, made_equal = inputs, set[object]()
        for index, event in compared:
            is_number = _ENDS_IN_NUMBER.search(event.site.operands) is not None
            for relation, left, right in wanted_of(event):
                key = (event.site.address, relation)
                if key in self._seen or self._tries.get(key, 0) >= MAX_TRIES:
                    continue
                made = self._with_operand(trace, index, left, None if is_number else right)
                self._tries[key] = self._tries.get(key, 0) + 1
                if made is None:
                    continue
                source, target = made
                self._deciding.add(source.key)
                is_near = relation * relation_of(event) > 0
                if is_near and source.key not in changed:
                    changed.add(source.key)
                    edges = self.with_value(edges, source, target)
                if not relation and source.key not in made_equal:
                    made_equal.add(source.key)
                    equal = self.with_value(equal, source, target)
                rank = is_near + 2 * (not self._blocks.starts[0] <= event.site.address < self._blocks.end)
                single.append((rank, self.with_value(inputs, source, target)))
        if len(changed) > 1:
            yield edges
        if len(made_equal) > 1:
            yield equal
        # What changes a decision comes before what does not, the function before its callees.
        single.sort(key=lambda entry: entry[0])
        yield from (made for _, made in single)

    def _note_deciding(self, trace: Trace, compared: Sequence[tuple[int, Compared]]) -> None:
        """Where both values of each comparison came from."""
        for index, event in compared:
            if event.site.address in self._noted:
                continue
            self._noted.add(event.site.address)
            for value in (event.left, event.right):
                found = self._with_operand(trace, index, (value, value), None)
                if found is not None:
                    self._deciding.add(found[0].key)

    def alike(self, inputs: Inputs) -> Iterator[Inputs]:
        """All arguments that are integers hold one number of the code."""
        sources = [source for source in self._arguments(inputs) if source.bits >= 8 and not source.is_pointer]
        constants = self._blocks.hints.constants[:MAX_ALIKE] if len(sources) > 1 else ()
        for constant in (*constants, *(one + 1 for one in constants[:2])):
            changed = inputs
            for source in sources:
                changed = self.with_value(changed, source, constant & ((1 << source.bits) - 1))
            yield changed

    def cases(self, trace: Trace, inputs: Inputs) -> Iterator[Inputs]:
        """Every case of the switches that ran."""
        for index, event in enumerate(trace.events):
            if not isinstance(event, Compared) or event.site.decides not in ("ja", "jbe", "b.hi", "b.ls"):
                continue
            if event.right > MAX_CASES or not event.site.operands[-1].isalnum():
                continue
            for case in range(event.right + 1):
                key = (event.site.address, 1000 + case)
                if case == event.left or key in self._tries:
                    continue
                made = self._with_operand(trace, index, (event.left, case), None)
                if made is not None:
                    self._tries[key] = 1
                    yield self.with_value(inputs, *made)

    def noises(self, trace: Trace, inputs: Inputs) -> Iterator[Inputs]:
        """All values changed at once that decide nothing, as far as is known: noise, other signs, full low halves."""
        sources = [source for source in self.sources(trace, inputs) if self._is_data(source)]
        if not sources:
            return
        for number in range(NUM_KINDS):
            changed = inputs
            for source in sources:
                changed = self.with_value(changed, source, _varied(source, number))
            yield changed

    def variations(self, trace: Trace, inputs: Inputs, path: int = 0) -> Iterator[Inputs]:
        """The same for one value at a time, once on each path."""
        for source in self.sources(trace, inputs)[:MAX_PLACES]:
            if source.bits < 8 or source.is_pointer:
                continue
            for number in range(NUM_KINDS):
                value = _varied(source, number)
                if (source.key, number, path) not in self._swept and value != source.value:
                    self._swept.add((source.key, number, path))
                    yield self.with_value(inputs, source, value)

    def mixture(self, rng: random.Random, inputs: Inputs, sources: Sequence[Source]) -> Inputs:
        """Many values changed at once, those that decide something more rarely; in some, all to one number."""
        deciding = rng.choice((0.0, 0.0, 0.5))
        data = rng.choice((0.5, 0.8))
        constants = self._blocks.hints.constants
        common = rng.choice(constants) if constants and not rng.randrange(5) else None
        for source in sources:
            share = deciding if source.key in self._deciding else data
            if source.bits < 8 or source.is_pointer or rng.random() >= share:
                continue
            value = common if common is not None else self._any_value(rng, source)
            inputs = self.with_value(inputs, source, value & ((1 << source.bits) - 1))
        return inputs

    def _any_value(self, rng: random.Random, source: Source) -> int:
        kind = rng.randrange(4)
        if kind == 0 and self._blocks.hints.constants:
            return rng.choice(self._blocks.hints.constants) + rng.choice((0, 1, -1))
        if kind == 1:
            return _varied(source, rng.randrange(1, NUM_KINDS))
        return rng.getrandbits(source.bits) if kind == 2 else rng.randrange(20)

    def _is_data(self, source: Source) -> bool:
        return source.bits >= 8 and not source.is_pointer and source.key not in self._deciding

    def overwritten(self, trace: Trace, inputs: Inputs) -> Inputs | None:
        """Memory that is stored to, and was not read before, holds the opposite of what is stored."""
        pokes: list[tuple[Place, Content]] = []
        for address, written in trace.writes.items():
            if written.was_read or all(x != y for x, y in zip(written.before, written.after, strict=True)):
                continue
            place = place_of(self._emulator, address, local=False)
            if place is not None:
                pokes.append((place, bytes(byte ^ 0xFF for byte in written.after)))
        return replace(inputs, pokes=(*inputs.pokes, *pokes)) if pokes else None

    def ending(self, trace: Trace, inputs: Inputs) -> Inputs | None:
        """The loop that ran most ends after few rounds; None where nothing is found that ends it."""
        for address in sorted(trace.counts, key=lambda one: -trace.counts[one]):
            if trace.counts[address] <= PATIENCE:
                return None
            rounds = [
                (index, event)
                for index, event in enumerate(trace.events)
                if isinstance(event, Compared) and event.site.address == address
            ]
            for index, event in rounds[PATIENCE - 1 : PATIENCE + 2]:
                key = (address, 2000 + (event.left ^ event.right))
                if event.left == event.right or self._tries.get(key, 0) >= MAX_TRIES:
                    continue
                self._tries[key] = self._tries.get(key, 0) + 1
                made = self._with_operand(trace, index, (event.left, event.right), (event.right, event.left))
                if made is not None:
                    return self.with_value(inputs, *made)
        return None

    def divisible(self, trace: Trace, inputs: Inputs) -> Inputs | None:
        """What was taken in last as zero is another number: for a run that ends in a division."""
        for event in reversed(trace.events):
            if isinstance(event, Compared) or event.value:
                continue
            source = self._source_of(event)
            key = (source.key, "divisor") if source is not None else None
            if source is not None and key not in self._swept:
                self._swept.add(key)
                return self.with_value(inputs, source, 3)
        return None

    # --------------------------------------------------------------------- sources

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

    def texts(self, trace: Trace, inputs: Inputs) -> Iterator[Inputs]:
        """Strings that callees compared, made equal, and unequal in the last byte."""
        for event in trace.texts:
            for at, text in ((event.left, event.right_text), (event.right, event.left_text)):
                place = place_of(self._emulator, at, local=False)
                key = ("text", event.name, text)
                if place is None or key in self._swept:
                    continue
                self._swept.add(key)
                yield replace(inputs, pokes=(*inputs.pokes, (place, text)))
                if len(text) > 1:
                    changed = text[:-2] + bytes([text[-2] ^ 0xFF]) + text[-1:]
                    yield replace(inputs, pokes=(*inputs.pokes, (place, changed)))
                break

    def _source_of(self, event: Read | Result) -> Source | None:
        if isinstance(event, Result):
            return Source(event.callee, "result", event.bits, event.value)
        stack = self._emulator.memory.stack_start
        if stack <= event.address < self._emulator.memory.stack.end:
            return Source(event.address - stack, "stack", 8 * event.size, event.value)
        place = place_of(self._emulator, event.address, local=False)
        return None if place is None else Source(place, "memory", 8 * event.size, event.value)

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
            return source.kind == "memory" and source.bits == 64 and self._link_to(value) is not None
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
        if source.kind == "memory":
            link = self._link_to(value) if source.bits == 64 else None
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


def _varied(source: Source, number: int) -> int:
    bits = source.bits
    top, half = 1 << (bits - 1), (1 << bits // 2) - 1
    if number == 0:
        return mix(source.value, bits, zlib.crc32(repr(source.key).encode())) & ((1 << bits) - 1)
    return (source.value ^ top, source.value & ~half | half, 0)[number - 1]
