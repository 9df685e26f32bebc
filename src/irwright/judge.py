"""The smallest build of a file that passes the checks.

A search ends with many trials, best first. They are built as the user's compiler builds them, measured as files, and
compared with the baseline, as a linker sees them and under emulation; the first one that is smaller and not found
different is the result. Functions that differ are given another body first (repair.py).
What failed is reported, never silently dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from irwright.errors import InputError, IrwrightError, WorkerError
from irwright.measure import Sizes, measure_object
from irwright.plan import Plan
from irwright.repair import UNCHANGED, Refusal, Repaired, difference, first_that_passes, link_refusal
from irwright.symbols import may_be_called, read_symbols
from irwright.trials import Trial
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
    verdict: ObjectVerdict | None = None
    """None where nothing was compared"""
    repaired: Repaired = UNCHANGED
    """functions that were given another body than the search chose"""


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
        checks = _Checks(self, piece, baseline, baseline_bytes)
        found = first_that_passes(checks.with_costs(candidates), checks.make, checks.check, piece.evaluator)
        if found is None:
            return None
        choice, repaired = found
        return replace(choice, repaired=repaired)

    def compare(
        self, piece: Workpiece, baseline: bytes, candidate: bytes, before: tuple[bytes, ObjectVerdict] | None = None
    ) -> ObjectVerdict | None:
        """Verdicts on a candidate; None where that is switched off, or not possible for the target.

        `before` is another candidate and what was found of it: functions that are the same there don't run again.
        """
        if not self.seeds:
            return None
        if not piece.facts.triple.startswith(VERIFIED_TARGETS):
            self.notes.append(f"not verified: no emulator for {piece.facts.triple}")
            return None
        from irwright.verify.signatures import signatures_of

        if self._verifier is None:
            from irwright.verify.verifier import Verifier

            self._verifier = Verifier(jobs=self.jobs)
        try:
            return self._verifier.compare(
                baseline,
                candidate,
                reference=piece.evaluator.reference,
                signatures=signatures_of(piece.evaluator.compile(Plan(), "ll").decode(errors="surrogateescape")),
                seeds=self.seeds,
                before=before,
            )
        except InputError as error:  # an object that only the emulator can't read
            self.warnings.append(f"{piece.item.name}: not verified: {error}")
            return None


class _Checks:
    """What is done with the candidates for one file."""

    def __init__(self, judge: Judge, piece: Workpiece, baseline: bytes, baseline_bytes: int) -> None:
        self.judge = judge
        self.piece = piece
        self.baseline = baseline
        self.baseline_bytes = baseline_bytes
        self.offered = read_symbols(baseline)
        self.may_call = may_be_called(piece.flags)
        self.costs: dict[Plan, float] = {}
        self.before: tuple[bytes, ObjectVerdict] | None = None

    def with_costs(self, candidates: Iterable[tuple[Plan, float]]) -> Iterator[tuple[Plan, float]]:
        """The candidates as they are, their costs noted."""
        for plan, cost in candidates:
            self.costs[plan] = cost
            yield plan, cost

    def make(self, plan: Plan) -> Choice | None:
        """The object of a plan, None where it is not smaller than the baseline."""
        judge, protocol = self.judge, self.piece.evaluator.protocol
        try:
            data = self.piece.build(plan, "obj")
        except IrwrightError as error:
            judge.warnings.append(f"{self.piece.item.name}: a pass list fails a check and is left out: {error}")
            return None
        sizes = measure_object(data)
        size, cost = sizes.total, self.costs.get(plan)
        if protocol.counts_instructions:
            trial = self.piece.evaluator.evaluate([plan])[0]
            size = int(trial.cost(protocol))
        elif cost is not None and size != cost:
            judge.notes.append(f"{size} bytes as a file, and {cost:g} in process")
        return Choice(plan=plan, data=data, sizes=sizes, size=size) if size < self.baseline_bytes else None

    def check(self, choice: Choice) -> Choice | Refusal:
        """The choice with its verdict, or what is wrong with it."""
        refusal = link_refusal(self.offered, choice.data, self.may_call)
        verdict = None
        if refusal is None:
            try:
                verdict = self.judge.compare(self.piece, self.baseline, choice.data, self.before)
                refusal = None if verdict is None else difference(verdict)
            except WorkerError as error:
                refusal = Refusal(f"it could not be compared: {error}")
            self.before = self.before if verdict is None else (choice.data, verdict)
        if refusal is None:
            return replace(choice, verdict=verdict)
        words = f"an object of {choice.size} bytes is left out, {refusal.reason}"
        self.judge.warnings.append(f"{self.piece.item.name}: {words}")
        return refusal


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
