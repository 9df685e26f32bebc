"""Which inputs to run a function on: seeds, inputs mended where a pointer was missing, variations that reach new code.

Most seeds end early: a field that should point somewhere is null or a number. So a run that faults is repeated
with its reads recorded, the read that gave the bad address is found, and an object is put there. When the seeds
are used up, and blocks of the function did not run, inputs that reached new blocks are varied.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from irwright.verify.blocks import Blocks
from irwright.verify.emulate import Emulator, Ending, Run
from irwright.verify.image import PAGE, Named
from irwright.verify.inputs import ARENA_BASE, ARENA_SIZE, Inputs, Place, make_inputs, mix
from irwright.verify.memory import LIBC_BASE, LIBC_SIZE
from irwright.verify.signatures import Kind, Signature

MAX_MENDS = 12
"""of one input"""
ADDRESSES = 1 << 52
"""Unicorn reports bad addresses modulo this"""
NEAR = 4096
"""how far from a pointer an access to its object may be"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of the original."""

    inputs: Inputs
    run: Run
    is_new: bool
    """it reached blocks of the function that no run before it did"""


class Explorer:
    """Inputs for one function, with the original's runs on them."""

    def __init__(
        self,
        original: Emulator,
        tracer: Callable[[], Emulator],
        function: Named,
        blocks: Blocks,
        signature: Signature | None,
        *,
        seeds: int,
    ) -> None:
        """`tracer` gives an emulator of the same object that records reads."""
        self._original = original
        self._tracer = tracer
        self._function = function
        self._blocks = blocks
        self._signature = signature
        self._seeds = seeds
        self._covered = 0
        self._good: list[Inputs] = []
        self.num_runs = 0
        original.forget_code()

    @property
    def is_covered(self) -> bool:
        """Every block of the function ran."""
        return self._covered.bit_count() == len(self._blocks.starts)

    def attempts(self) -> Iterator[Attempt]:
        """Runs without end, each as the original's last: its memory is there until the next is asked for."""
        number = 0
        while True:
            inputs = self._seed(number) if number < self._seeds or not self._good else self._vary(number)
            attempt = self._run(inputs)
            mends = 0
            while not attempt.run.is_complete and mends < MAX_MENDS:
                mended = self._mend(attempt)
                if mended is None:
                    break
                attempt = self._run(mended)
                mends += 1
            if attempt.run.is_complete and (attempt.is_new or number < self._seeds):
                self._good.append(attempt.inputs)
            number += 1
            yield attempt

    def _run(self, inputs: Inputs) -> Attempt:
        run = self._original.run(self._function, inputs)
        self.num_runs += 1
        covered = self._covered | self._blocks.covered(self._original.executed)
        is_new = covered != self._covered
        self._covered = covered
        return Attempt(inputs, run, is_new)

    def _seed(self, number: int) -> Inputs:
        inputs = make_inputs(number, self._original.machine, self._signature, self._blocks.hints)
        return replace(inputs, number=number)

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

    def _poke_objects(self, rng: random.Random, registers: dict[int, int]) -> dict[Place, bytes]:
        """Constants of the code at offsets of the code, in objects that arguments or mended fields point at."""
        hints = self._blocks.hints
        bases = [v for v in registers.values() if ARENA_BASE <= v < ARENA_BASE + ARENA_SIZE - PAGE]
        if not bases or not hints.offsets:
            return {}
        found: dict[Place, bytes] = {}
        for _ in range(rng.randrange(4)):
            size = rng.choice((1, 2, 4, 4, 8))
            value = rng.choice(hints.constants) if hints.constants and rng.random() < 0.7 else rng.randrange(40)
            content = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
            found[rng.choice(bases) + rng.choice(hints.offsets)] = content
        return found

    # ------------------------------------------------------------------- mending

    def _mend(self, attempt: Attempt) -> Inputs | None:
        """The same inputs with an object where a bad address came from; None where that is not found."""
        inputs = attempt.inputs
        if attempt.run.ending is not Ending.FAULT:
            return None
        tracer = self._tracer()
        bad = self._original.fault_address
        if bad is None:
            return None
        reads = tracer.reads_of(self._function, inputs)
        target = ARENA_BASE + mix(inputs.seed, inputs.salt, len(inputs.pokes)) % (ARENA_SIZE // PAGE) * PAGE
        for address, value in reversed(reads):
            if (bad - value) % ADDRESSES < NEAR:
                place = self._place(tracer, address)
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

    def _place(self, tracer: Emulator, address: int) -> Place | None:
        """How a place in memory is called in every version; None where it must not be changed."""
        if tracer.image.contains(address):
            for named in tracer.image.named_at(address):
                inside = named.address <= address and address + 8 <= named.end
                if inside and tracer.memory.is_writable(address):
                    return (named.name, address - named.address)
            return None
        memory = tracer.memory
        for region in (memory.stack, memory.heap):
            if region.address <= address < region.end:
                return None
        if LIBC_BASE <= address < LIBC_BASE + LIBC_SIZE:
            return None
        return address
