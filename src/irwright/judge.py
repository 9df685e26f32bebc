"""The smallest build of a file that passes the checks.

A search ends with many trials, best first. They are built as the user's compiler builds them, measured as files, and
compared with the baseline, as a linker sees them and under emulation; the first one that is smaller and not found
different is the result.
What failed is reported, never silently dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from irwright.errors import IrwrightError
from irwright.evaluator import Plan, Trial
from irwright.measure import Sizes, measure_object
from irwright.symbols import link_problem, may_be_called, read_symbols
from irwright.workpiece import Workpiece

if TYPE_CHECKING:
    from irwright.verify.verdicts import ObjectVerdict
    from irwright.verify.verifier import Verifier

logger = logging.getLogger(__name__)

MAX_BUILDS = 5
"""builds tried before -Oz stands"""

VERIFIED_TARGETS = ("x86_64", "aarch64", "arm64")
"""architectures the emulator runs"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A build that passed."""

    plan: Plan
    data: bytes
    """the object"""
    sizes: Sizes
    size: int
    """what the protocol counts"""
    verdict: ObjectVerdict | None
    """None where nothing was compared"""


@dataclass(slots=True)
class Judge:
    """Builds and compares; `with` ends its processes. `seeds` 0 compares nothing."""

    seeds: int
    jobs: int = 1
    warnings: list[str] = field(default_factory=list[str])
    """of the last choice, one line each, for the user"""
    notes: list[str] = field(default_factory=list[str])
    """of the last choice, for --debug"""
    _verifier: Verifier | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; harmless when ended already."""
        if self._verifier is not None:
            self._verifier.close()
            self._verifier = None

    def choose(
        self, piece: Workpiece, candidates: Iterable[tuple[Plan, float]], baseline: bytes, baseline_bytes: int
    ) -> Choice | None:
        """The first candidate, given with its cost in process, that is smaller than the baseline and not different."""
        self.warnings, self.notes = [], []
        name = piece.item.name
        counts_instructions = piece.evaluator.protocol.counts_instructions
        may_call = may_be_called(piece.flags)
        for plan, cost in candidates:
            try:
                data = piece.build(plan, "obj")
            except IrwrightError as error:
                self.warnings.append(f"{name}: a pass list fails a check and is left out: {error}")
                continue
            sizes = measure_object(data)
            if not counts_instructions and sizes.total != cost:
                self.notes.append(f"{sizes.total} bytes as a file, and {cost:g} in process")
            size = int(cost) if counts_instructions else sizes.total
            if size >= baseline_bytes:
                continue
            problem = link_problem(read_symbols(baseline), read_symbols(data), may_call)
            if problem is not None:
                self.warnings.append(f"{name}: an object of {size} bytes is left out, it {problem}")
                continue
            verdict = self.compare(piece, baseline, data)
            wrong = verdict.first_difference if verdict is not None else None
            if wrong is None:
                return Choice(plan=plan, data=data, sizes=sizes, size=size, verdict=verdict)
            self.warnings.append(
                f"{name}: an object of {size} bytes is left out, {wrong.function} differs: {wrong.reason}"
            )
        return None

    def compare(self, piece: Workpiece, baseline: bytes, candidate: bytes) -> ObjectVerdict | None:
        """Verdicts on a candidate; None where that is switched off, or not possible for the target."""
        if not self.seeds:
            return None
        if not piece.facts.triple.startswith(VERIFIED_TARGETS):
            self.notes.append(f"not verified: no emulator for {piece.facts.triple}")
            return None
        from irwright.verify.signatures import signatures_of

        if self._verifier is None:
            from irwright.verify.verifier import Verifier

            self._verifier = Verifier(jobs=self.jobs)
        unoptimised = Plan()
        try:
            return self._verifier.compare(
                baseline,
                candidate,
                reference=lambda: piece.evaluator.compile(unoptimised, "obj"),
                signatures=signatures_of(piece.evaluator.compile(unoptimised, "ll").decode(errors="surrogateescape")),
                seeds=self.seeds,
            )
        except IrwrightError as error:  # an object that only the emulator can't read
            self.warnings.append(f"{piece.item.name}: not verified: {error}")
            return None


def ranked(trials: Iterable[Trial], best: Plan, best_cost: float, piece: Workpiece) -> Iterator[tuple[Plan, float]]:
    """The plan a search chose, then the other trials by cost, one of each cost, smaller than -Oz only."""
    protocol = piece.evaluator.protocol
    yield best, best_cost
    oz = piece.evaluator.evaluate([piece.plan_of_oz], free=True)[0].cost(protocol)
    seen = {best_cost}
    for trial in sorted(trials, key=lambda trial: trial.cost(protocol)):
        cost = trial.cost(protocol)
        if cost >= oz or len(seen) >= MAX_BUILDS:
            return
        if cost not in seen and trial.plan != best:
            seen.add(cost)
            yield trial.plan, cost
