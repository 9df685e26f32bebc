"""The versions of a program that are compared, each in emulators of its own: original, candidate, unoptimised code.

What no correct program depends on may be changed in an emulator: where data lie, what is in memory that nothing wrote,
what functions leave on the stack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from irwright.verify.elf import Object
from irwright.verify.emulate import Emulator, Run
from irwright.verify.explore import Attempt
from irwright.verify.image import BESIDE, Externals, Image, Named
from irwright.verify.signatures import Signature
from irwright.verify.verdicts import Limits

ORIGINAL, CANDIDATE, UNOPTIMISED = 0, 1, 2
TRACER = -1
"""the second emulator of the original, whose reads are recorded"""
FORGETFUL = -2
"""one in which functions leave nothing on the stack"""
WATCHED = -3
"""another one, whose accesses are watched"""
SHIFT = 37
"""pages by which the second layout of an object is moved"""


class Versions:
    """Two or three objects; emulators are made when they are asked for."""

    def __init__(
        self, objects: Sequence[Object], externals: Externals, signatures: Mapping[str, Signature], limits: Limits
    ) -> None:
        self.objects = objects
        self.externals = externals
        self.signatures = signatures
        self.limits = limits
        self._emulators: dict[tuple[int, int], Emulator] = {}

    @property
    def has_unoptimised(self) -> bool:
        return len(self.objects) > UNOPTIMISED

    def emulator(self, which: int, fill: int = 0) -> Emulator:
        """The emulator of an object; with `fill`, laid out and filled in another way."""
        key = (which, fill)
        if key not in self._emulators:
            beside = BESIDE ^ 0xFF if fill == 5 else BESIDE
            image = Image(self.objects[which], self.externals, shift=SHIFT if fill > 0 else 0, beside=beside)
            self._emulators[key] = Emulator(
                image,
                signatures=self.signatures,
                limits=self.limits,
                fill=max(0, fill),
                forgets_frames=fill == FORGETFUL,
            )
        return self._emulators[key]


SLOWER = 4
"""times the instructions that another version may take"""


def run_again(emulator: Emulator, function: Named, attempt: Attempt) -> Run:
    """Another version on the same inputs; code without optimisation takes its time."""
    return emulator.run(function, attempt.inputs, patience=SLOWER * attempt.patience, calls=attempt.calls)
