"""Which inputs to run a function on: seeds, mended where they end early, then what traces of good runs suggest.

Most seeds end early: a field that should point somewhere is null or a number, or a loop has no end. So a run that
faults is traced, the load that gave the bad address is found, and an object is put there; a loop is given an end. When
the seeds are used up, good runs are traced, and directed.py makes inputs that reach the edges of what they
compare, until `work` is used up; where blocks of the function did not run, inputs that reached new blocks are varied.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from irwright.verify.blocks import Blocks
from irwright.verify.directed import Director
from irwright.verify.emulate import Emulator, Ending, Run
from irwright.verify.image import PAGE, Named
from irwright.verify.inputs import ARENA_BASE, ARENA_SIZE, Content, Inputs, Place, make_inputs, mix
from irwright.verify.signatures import Kind, Signature
from irwright.verify.sources import Source, place_of
from irwright.verify.tracing import MAX_EVENTS, MAX_EVENTS_OF_FAULT, Read, Trace, Tracer

MAX_MENDS = 12
"""of one input"""
MAX_ENDLESS = 6
"""runs without an end that were mended in vain: they take long"""
ADDRESSES = 1 << 52
"""Unicorn reports bad addresses modulo this"""
HARD = 3
"""times the work that a function gets of which few runs come to an end"""
FEW = 3
"""such runs for each seed are few"""
LONG = 16
"""times as many calls get runs that need them, where no others come to an end, or at last"""
PATIENT = 400
"""times as many instructions gets one run of a function of which no seed came to an end"""
MAX_FUTILE = 2
"""such runs without an end"""
MENDING = 0.6
"""of the work is spent on the seeds, at most, where other inputs are to follow"""
SHARE = 2.5
"""times the equal part of what is left, at most, for mending one seed"""
MAX_STALE = 3
"""good runs that are traced though they reached no new blocks"""
VARIED_PER_SEED = 3
"""inputs varied at random where every block ran, while there is work for them"""
KNOWN = 8
"""good inputs, the last ones, that are mixed anew"""
NEAR = 4096
"""how far from a pointer an access to its object may be"""


_TOO_LARGE = re.compile(r"of (\d+) bytes$")
"""ends what is said of a callee that is given more than there is"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of the original."""

    inputs: Inputs
    run: Run
    is_new: bool
    """it reached blocks of the function that no run before it did"""
    calls: int = 1
    """times the calls that a run may make"""
    patience: int = 1
    """times the instructions between two of them"""


class Explorer:
    """Inputs for one function, with the original's runs on them."""

    def __init__(
        self,
        original: Emulator,
        tracer: Callable[[], Tracer],
        function: Named,
        blocks: Blocks,
        signature: Signature | None,
        *,
        seeds: int,
        budget: float,
        callees: Sequence[Blocks] = (),
        others: Sequence[str] = (),
        signatures: Mapping[str, Signature] | None = None,
    ) -> None:
        """`tracer` gives a tracer of the same object.

        `budget` is the work after which nothing is mended any more; `callees` are static functions that it calls;
        `others` are functions that any program may call before this one.
        """
        self._others = others
        self._signatures = signatures or {}
        self._original = original
        self._make_tracer = tracer
        self._tracer: Tracer | None = None
        self._director: Director | None = None
        self._function = function
        self._blocks = blocks
        self._comparisons = list(itertools.chain(blocks.comparisons, *(callee.comparisons for callee in callees)))
        self._signature = signature
        self._seeds = seeds
        self._budget = budget
        self._num_complete = 0
        self._covered = 0
        self._good: list[Inputs] = []
        self._fresh: deque[Inputs] = deque()
        """good inputs to be traced: that reached new blocks"""
        self._stale: deque[Inputs] = deque()
        self._known: list[tuple[Inputs, list[Source], list[tuple[Source, int]]]] = []
        """good inputs that were traced, with what their runs took in, and what makes comparisons come out otherwise"""
        self.num_runs = 0
        self._num_endless = self._num_futile = 0
        self._cut: list[Inputs] = []
        """of runs that were broken off after too many calls"""
        self._needs_calls = False
        """such a run came to an end with more of them"""
        self._is_patient = False
        """a long run was tried"""
        self.work = 0.0
        """what the runs cost, in short runs without calls"""
        original.forget_code()

    @property
    def budget(self) -> float:
        """Work after which nothing is mended any more: more while few runs came to an end."""
        return self._budget * (HARD if self._num_complete < FEW * self._seeds else 1)

    @property
    def is_covered(self) -> bool:
        """Every block of the function ran, but for those of exceptions."""
        return self._blocks.are_covered(self._covered)

    def attempts(self) -> Iterator[Attempt]:
        """Runs, each the original's last: its memory stays until the next. Without end where blocks are missing."""
        for number in range(self._seeds):
            yield self._attempt(self._seed(number), keep=True)
        if not self._num_complete:
            yield from self._long_runs()
        ran: set[object] = set()
        for number, inputs in enumerate(self._directed(), self._seeds):
            chosen = (*inputs.results.items(), *inputs.effects.items())
            key = (inputs.seed, inputs.registers, inputs.stack, inputs.pokes, chosen)
            if key not in ran:
                ran.add(key)
                yield self._attempt(replace(inputs, number=number))
        yield from self._long_runs()
        number = self.num_runs
        last = number + VARIED_PER_SEED * self._seeds
        while not self.is_covered or number < last:
            yield self._attempt(self._varied(number))
            number += 1

    def _attempt(self, inputs: Inputs, *, keep: bool = False) -> Attempt:
        """A run, mended while it does not come to an end."""
        before = self.work
        attempt = self._run_long(inputs)
        is_new = attempt.is_new
        mends = 0
        budget = self.budget * (MENDING if keep and self._good else 1)
        if keep:
            budget = min(budget, before + SHARE * (budget - before) / max(1, self._seeds - inputs.number))
        while not attempt.run.is_complete and mends < MAX_MENDS and self.work < budget:
            was_endless = attempt.run.ending is Ending.LIMIT
            if was_endless and self._num_endless >= MAX_ENDLESS:
                break
            mended = self._mend(attempt)
            if mended is None:
                break
            attempt = self._run_long(mended)
            is_new = is_new or attempt.is_new
            is_endless = attempt.run.ending is Ending.LIMIT
            if was_endless:
                self._num_endless += 1 if is_endless else -2
            mends += 4 if is_endless else 1
        self._num_complete += attempt.run.is_complete
        if attempt.run.is_complete and (is_new or keep):
            self._good.append(attempt.inputs)
            (self._fresh if is_new else self._stale).append(attempt.inputs)
        return attempt

    def _directed(self) -> Iterator[Inputs]:
        """What traces suggest, those of runs that reached new blocks first; goals before variations of values."""
        sweeps: deque[Inputs] = deque()
        num_stale = num_paths = 0
        while self._fresh or self._stale or sweeps:
            if not self._fresh and not self._stale:
                yield sweeps.popleft()
                continue
            is_fresh = bool(self._fresh)
            if not is_fresh:
                num_stale += 1
                if num_stale > MAX_STALE:
                    self._stale.clear()
                    continue
            inputs = self._fresh.popleft() if self._fresh else self._stale.popleft()
            trace = self._trace(inputs)
            director = self._director
            assert director is not None
            opposite = director.overwritten(trace, inputs)
            if opposite is not None:
                yield opposite
            goals = list(director.goals(trace, inputs))
            if is_fresh or not self._known:
                flips = director.flips(trace)
                self._known.append((inputs, director.sources(trace, inputs), flips))
                sweeps.extend(director.with_value(inputs, *flip) for flip in flips)
            if is_fresh:
                yield from director.noises(trace, inputs)
                beside = director.margins(trace, inputs)
                if beside is not None:
                    yield beside
            yield from goals
            yield from director.texts(trace, inputs)
            if not self.is_covered:
                yield from director.cases(trace, inputs)
            if not num_paths:
                yield from director.alike(inputs)
                yield from director.aliased(inputs)
            if is_fresh or num_stale == 1:
                num_paths += is_fresh
                sweeps.extend(director.variations(trace, inputs, num_paths))

    def _trace(self, inputs: Inputs, limit: int = MAX_EVENTS) -> Trace:
        trace = self._get_tracer().trace(self._function, self._comparisons, inputs, limit=limit)
        self.work += 3 + trace.cost / 24
        return trace

    def _get_tracer(self) -> Tracer:
        if self._tracer is None:
            self._tracer = self._make_tracer()
        if self._director is None:
            self._director = Director(self._tracer.emulator, self._signature, self._blocks)
        return self._tracer

    def _run_long(self, inputs: Inputs) -> Attempt:
        """A run; where it takes more calls than others may, once more with them."""
        attempt = self._run(inputs)
        if attempt.run.stuck:
            self._others = [name for name in self._others if name != attempt.run.stuck]
            attempt = self._run(replace(inputs, before=()))
        if self._is_hopeless(attempt):
            self._is_patient = True
            return self._run(replace(inputs, before=()), calls=LONG, patience=PATIENT)
        if not attempt.run.detail.endswith("calls") or self._num_futile >= MAX_FUTILE:
            return attempt
        if not self._needs_calls:
            self._cut.append(inputs)
            return attempt
        if self.work > self.budget / 2:
            return attempt
        longer = self._run(inputs, calls=LONG)
        self._num_futile += longer.run.ending is Ending.LIMIT
        return replace(longer, is_new=longer.is_new or attempt.is_new)

    def _long_runs(self) -> Iterator[Attempt]:
        """Runs that were broken off, once more with more calls: they cost as much as all seeds together."""
        while self._cut and self._num_futile < MAX_FUTILE and self.work <= self.budget * (1 / 2 if self._good else 1):
            attempt = self._run(self._cut.pop(), calls=LONG)
            self._num_futile += attempt.run.ending is Ending.LIMIT
            self._needs_calls = self._needs_calls or attempt.run.is_complete
            self._num_complete += attempt.run.is_complete
            if attempt.run.is_complete:
                self._good.append(attempt.inputs)
                self._fresh.append(attempt.inputs)
            yield attempt

    def _is_hopeless(self, attempt: Attempt) -> bool:
        """The last seed, where no run came to an end: some programs take their time, whatever they are called with."""
        is_last = attempt.inputs.number == self._seeds - 1 and not self._is_patient
        return is_last and not self._num_complete and attempt.run.ending is Ending.LIMIT

    def _run(self, inputs: Inputs, calls: int = 1, patience: int = 1) -> Attempt:
        run = self._original.run(self._function, inputs, patience=patience, calls=calls)
        self.num_runs += 1
        self.work += work_of(run)
        covered = self._covered | self._blocks.covered(self._original.executed)
        is_new = covered != self._covered
        self._covered = covered
        return Attempt(inputs, run, is_new, calls, patience)

    def _seed(self, number: int) -> Inputs:
        machine, hints = self._original.machine, self._blocks.hints
        inputs = make_inputs(number, machine, self._signature, hints)
        if number % 3 != 2 or not self._others:
            return replace(inputs, number=number)
        rng = random.Random(mix(number, 0xBE))
        names = [rng.choice(self._others) for _ in range(1 + number % 2)]
        before = tuple((name, make_inputs(number, machine, self._signatures.get(name), hints)) for name in names)
        return replace(inputs, number=number, before=before)

    def _varied(self, number: int) -> Inputs:
        """An input that was good, varied in what it is called with, or in what its run took in."""
        if not self._good:
            return self._seed(number)
        if number % 3 == 0 or not self._known:
            return self._vary(number)
        assert self._director is not None
        rng = random.Random(mix(number, 0xAC))
        inputs, sources, flips = rng.choice(self._known[-KNOWN:])
        return replace(self._director.mixture(rng, inputs, sources, flips), number=number)

    def _vary(self, number: int) -> Inputs:
        """Some arguments and pokes of an input that was good, others anew."""
        rng = random.Random(mix(number, 0xEA))
        parent = rng.choice(self._good[-8:])
        fresh = make_inputs(
            parent.seed,
            self._original.machine,
            self._signature,
            self._blocks.hints,
            salt=number,
        )
        registers = dict(parent.registers)
        for position, value in fresh.registers:
            if rng.random() < 0.3:
                registers[position] = value
        pokes = dict(parent.pokes)
        pokes |= {place: content for place, content in fresh.pokes if rng.random() < 0.5}
        pokes |= self._poke_objects(rng, registers)
        return replace(
            parent,
            number=number,
            salt=number,
            registers=tuple(sorted(registers.items())),
            stack=parent.stack if rng.random() < 0.7 else fresh.stack,
            pokes=tuple(pokes.items()),
            perturb_globals=fresh.perturb_globals,
        )

    def _poke_objects(self, rng: random.Random, registers: dict[int, int]) -> dict[Place, Content]:
        """Constants of the code at offsets of the code, in objects that arguments or mended fields point at."""
        hints = self._blocks.hints
        bases = [v for v in registers.values() if ARENA_BASE <= v < ARENA_BASE + ARENA_SIZE - PAGE]
        if not bases or not hints.offsets:
            return {}
        found: dict[Place, Content] = {}
        for _ in range(rng.randrange(4)):
            size = rng.choice((1, 2, 4, 4, 8))
            value = rng.choice(hints.constants) if hints.constants and rng.random() < 0.7 else rng.randrange(40)
            content = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            found[rng.choice(bases) + rng.choice(hints.offsets)] = content
        return found

    # ------------------------------------------------------------------- mending

    def _mend(self, attempt: Attempt) -> Inputs | None:
        """The same inputs with an object where a bad address came from; None where that is not found."""
        inputs, ending = attempt.inputs, attempt.run.ending
        if ending not in (Ending.FAULT, Ending.LIMIT):
            return None
        bad = self._original.fault_address
        tracer = self._get_tracer()
        trace = self._trace(inputs, MAX_EVENTS_OF_FAULT if ending is Ending.FAULT else MAX_EVENTS)
        assert self._director is not None
        if ending is Ending.LIMIT:
            return self._director.ending(trace, inputs)
        size = _TOO_LARGE.search(attempt.run.detail)
        if size is not None:
            return self._director.sized(trace, inputs, int(size.group(1)))
        if bad is None:
            return self._director.divisible(trace, inputs) if attempt.run.detail.startswith("division") else None
        target = ARENA_BASE + mix(inputs.seed, inputs.salt, len(inputs.pokes)) % (ARENA_SIZE // PAGE) * PAGE
        for event in reversed(trace.events):
            if isinstance(event, Read) and event.size == 8 and (bad - event.value) % ADDRESSES < NEAR:
                place = place_of(tracer.emulator, event.address, local=True)
                if place is not None:
                    return replace(inputs, pokes=(*inputs.pokes, (place, target.to_bytes(8, "little"))))
        for position, value in inputs.registers:
            if (bad - value) % ADDRESSES < NEAR and self._is_pointer(position):
                registers = dict(inputs.registers)
                registers[position] = target
                return replace(inputs, registers=tuple(sorted(registers.items())))
        return None

    def _is_pointer(self, position: int) -> bool:
        """A register that may be given an address: a pointer by the signature, or of unknown kind."""
        from irwright.verify.abi import parameter_locations

        if self._signature is None:
            return True
        places = parameter_locations(self._original.machine, self._signature)
        return any(
            location.register == position and value.kind is Kind.POINTER
            for value, location in zip(self._signature.parameters, places, strict=True)
        )


def work_of(run: Run) -> float:
    """What a run cost, in short runs without calls."""
    return 1 + run.num_calls / 2 + (4 if run.detail.endswith("without a call") else 0)
