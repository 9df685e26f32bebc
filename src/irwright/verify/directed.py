"""Inputs that matter, made from the trace of a run: each is the traced one with few values changed.

A value that was compared is set, where it came from (sources.py), to what it is compared with, one more and one less.
Beside these: signs flipped and noise in one place, memory that a run overwrites filled with something else first (else
a store that is left out or too narrow writes what is there), what lies beside what is read, loops that end.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from irwright.verify.blocks import Blocks
from irwright.verify.edges import relation_of, wanted_of
from irwright.verify.emulate import Emulator
from irwright.verify.inputs import Content, Inputs, Place, mix
from irwright.verify.signatures import Signature
from irwright.verify.sources import MAX_PLACES, Source, Sources, place_of
from irwright.verify.tracing import Compared, Read, Trace

_ENDS_IN_NUMBER = re.compile(r", #?-?(0x[0-9a-f]+|\d+)$")
MAX_TRIES = 2
"""for one relation at one comparison"""
MAX_CASES = 40
"""of a switch"""
NUM_KINDS = 4
"""of variations of a value"""
MAX_ALIKE = 6
"""numbers that all arguments are set to"""
MAX_ALIASED = 2
"""pairs of pointers that are made equal"""
MAX_FLIPPED = 32
"""comparisons of one run that are to come out otherwise"""
MAX_TOGETHER = 4
"""of them in one input"""
MARGIN = 0x93
SMALL = 24
"""a size that any memory has"""
PATIENCE = 3
"""rounds of a loop that are let go before it is to end"""


class Director(Sources):
    """Makes inputs for one function; remembers what was tried."""

    def __init__(self, emulator: Emulator, signature: Signature | None, blocks: Blocks) -> None:
        """`emulator` is of the original; its layout tells what can be changed."""
        super().__init__(emulator, signature, blocks)
        self._seen: set[tuple[int, int]] = set()
        """(comparison, relation) that ran"""
        self._tries: dict[tuple[int, int], int] = {}
        self._swept: set[object] = set()
        self._noted: set[int] = set()
        """comparisons whose sources were looked for"""
        self._deciding: set[object] = set()
        """places whose values were compared"""

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

    def aliased(self, inputs: Inputs) -> Iterator[Inputs]:
        """Two pointers that are arguments point at one object."""
        pointers = [one for one in self._arguments(inputs) if one.is_pointer and one.key not in self._apart]
        for one, other in pairwise(pointers[: MAX_ALIASED + 1]):
            if one.value != other.value:
                yield self.with_value(inputs, other, one.value)

    def flips(self, trace: Trace) -> list[tuple[Source, int]]:
        """Changes of one value by which a comparison comes out otherwise than it did first, or last, in this run."""
        chosen: dict[tuple[int, bool], tuple[int, Compared]] = {}
        for index, event in enumerate(trace.events):
            if isinstance(event, Compared):
                is_first = (event.site.address, True) not in chosen
                chosen[event.site.address, is_first] = index, event
        found: dict[tuple[object, int], tuple[Source, int]] = {}
        for index, event in list(chosen.values())[:MAX_FLIPPED]:
            is_number = _ENDS_IN_NUMBER.search(event.site.operands) is not None
            own = relation_of(event)
            for relation, left, right in wanted_of(event):
                if relation == own or relation * own > 0 or abs(relation) == 2:
                    continue
                made = self._with_operand(trace, index, left, None if is_number else right)
                if made is not None:
                    found[made[0].key, made[1]] = made
        return list(found.values())

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

    def mixture(
        self, rng: random.Random, inputs: Inputs, sources: Sequence[Source], flips: Sequence[tuple[Source, int]]
    ) -> Inputs:
        """Many values changed at once, those that decide something more rarely; in some, all to one number.

        In others, several comparisons come out otherwise.
        """
        if len(flips) > 1 and rng.randrange(2):
            for source, value in rng.sample(flips, min(len(flips), rng.randrange(2, MAX_TOGETHER + 1))):
                inputs = self.with_value(inputs, source, value)
            if rng.randrange(2):
                return inputs
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
        return rng.getrandbits(source.bits) if kind == 2 else rng.randrange(-20, 20)

    def _is_data(self, source: Source) -> bool:
        return source.bits >= 8 and not source.is_pointer and source.key not in self._deciding

    def margins(self, trace: Trace, inputs: Inputs) -> Inputs | None:
        """What lies beside all that the run read, and was not read itself, is neither zero nor small."""
        reads = [event for event in trace.events if isinstance(event, Read)][: 2 * MAX_PLACES]
        known = {address for event in reads for address in range(event.address, event.address + event.size)}
        pokes: dict[Place, Content] = {}
        for event in reads:
            for start in (event.address - event.size, event.address + event.size):
                if known.isdisjoint(range(start, start + event.size)):
                    place = place_of(self._emulator, start, local=False)
                    if place is not None:
                        pokes[place] = bytes(MARGIN for _ in range(event.size))
        return replace(inputs, pokes=(*inputs.pokes, *pokes.items())) if pokes else None

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
                if self._tries.get(key, 0) >= MAX_TRIES:
                    continue
                self._tries[key] = self._tries.get(key, 0) + 1
                made = self._with_operand(trace, index, *_otherwise(event))
                if made is not None:
                    return self.with_value(inputs, *made)
        return None

    def sized(self, trace: Trace, inputs: Inputs, size: int) -> Inputs | None:
        """What was taken in last as this size is a small one: for a run that ends in a callee that was given it."""
        for event in reversed(trace.events):
            if not isinstance(event, Compared) and event.value and event.value in (size, size & 0xFFFFFFFF):
                source = self._source_of(event)
                if source is not None:
                    return self.with_value(inputs, source, SMALL)
        for source in self._arguments(inputs):
            if source.value and source.value in (size, size & 0xFFFFFFFF) and not source.is_pointer:
                return self.with_value(inputs, source, SMALL)
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


def _otherwise(event: Compared) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """(value, other value) of both operands, by which a comparison comes out otherwise."""
    left, right = event.left, event.right
    if event.kind == "mask":
        return (left, left & ~right if left & right else left | right), None
    if left == right:
        return (left, left ^ 1), (right, right ^ 1)
    return (left, right), (right, left)


def _varied(source: Source, number: int) -> int:
    bits = source.bits
    top, half = 1 << (bits - 1), (1 << bits // 2) - 1
    if number == 0:
        return mix(source.value, bits, zlib.crc32(repr(source.key).encode())) & ((1 << bits) - 1)
    return (source.value ^ top, source.value & ~half | half, 0)[number - 1]
