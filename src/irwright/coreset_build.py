"""Build a coreset from training modules, as the paper makes its labels: search, broadcast, order.

Each module is searched, the plans that won are broadcast to many modules, and ordered greedily by what the first k
of them save together (monotone and submodular, so the greedy order is within 1 - 1/e of the best set at every k).
Every trial is kept under the build's folder; killed and started again it goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from irwright.coreset import first_plans
from irwright.errors import CorpusError, IrwrightError
from irwright.evaluator import Evaluator, FunctionTrial, Plan, Trial, TrialStore
from irwright.llvm.pieces import Promoted
from irwright.llvm.worker import WorkerPool
from irwright.measure import Protocol
from irwright.minimise import minimise
from irwright.passes import PassList
from irwright.search import search
from irwright.task import Budget, Coreset, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training module."""

    name: str
    """project and path, for people"""
    project: str
    bitcode: Path

    @property
    def key(self) -> str:
        return hashlib.blake2b(self.name.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """How much work a build does."""

    search_modules: int = 160
    search_compilations: int = 140
    broadcast_modules: int = 400
    num_lists: int = 40
    """whole lists that are broadcast"""
    num_pieces: int = 80
    """plans in pieces that are broadcast"""
    min_instructions: int = 20
    max_instructions: int = 4000
    seed: int = 1
    table_lists: int = 32
    table_pieces: int = 48


Progress = Callable[[str, int, int], None]
"""(what is done, how many of it, of how many)"""


class Builder:
    """A build: search, broadcast, order."""

    def __init__(
        self,
        samples: Sequence[Sample],
        folder: Path,
        protocol: Protocol,
        *,
        library: Path,
        llvm_major: int,
        settings: BuildSettings,
        jobs: int = 1,
        progress: Progress | None = None,
    ) -> None:
        if not samples:
            raise CorpusError("no training modules; fetch some with: irwright corpus fetch --role training")
        self.samples = spread(samples, random.Random(settings.seed))
        self.folder = folder
        self.protocol = protocol
        self.library = library
        self.llvm_major = llvm_major
        self.settings = settings
        self.jobs = jobs
        self.progress = progress
        self._lock = Lock()

    def run(self) -> Coreset:
        """The whole build."""
        winners = self._each(self.samples, self.settings.search_modules, "search", self._search)
        lists: Counter[Plan] = Counter()
        pieces: Counter[Plan] = Counter()
        for found_lists, found_pieces in winners:
            lists.update(found_lists)
            pieces.update(found_pieces)
        first = first_plans(self.llvm_major)
        chosen_lists = _top(lists, self.settings.num_lists, first.lists)
        chosen_pieces = _top(pieces, self.settings.num_pieces, first.pieces[: self.settings.num_pieces // 4])
        log.info("broadcasting %d lists and %d pieces", len(chosen_lists), len(chosen_pieces))
        rows = self._each(
            self.samples,
            self.settings.broadcast_modules,
            "broadcast",
            lambda sample, pool: self._broadcast(sample, pool, chosen_lists, chosen_pieces),
        )
        ordered_lists = greedy_lists(chosen_lists, [row.lists for row in rows], self.settings.table_lists)
        usable = [row for row in rows if row.pieces is not None]
        ordered_pieces = greedy_pieces(chosen_pieces, usable, self.settings.table_pieces)
        return Coreset(lists=tuple(ordered_lists), pieces=tuple(ordered_pieces))

    def _each(
        self, samples: Sequence[Sample], wanted: int, what: str, work: Callable[[Sample, WorkerPool], Any]
    ) -> list[Any]:
        """`work` on the first `wanted` samples of fitting size, a pool of one worker for each of `jobs` threads."""
        results: dict[int, Any] = {}
        queue = iter(enumerate(samples))

        def run() -> None:
            with WorkerPool(self.library, jobs=1, timeout_seconds=15.0) as pool:
                while True:
                    with self._lock:
                        position, sample = next(queue, (-1, None))
                        if sample is None or len(results) >= wanted:
                            return
                    try:
                        result = work(sample, pool)
                    except IrwrightError as error:
                        log.warning("%s left out: %s", sample.name, error)
                        continue
                    finally:
                        pool.drop_module("m")
                    if result is None:
                        continue
                    with self._lock:
                        results[position] = result
                        if self.progress is not None:
                            self.progress(what, len(results), wanted)

        with ThreadPoolExecutor(self.jobs) as threads:
            for thread in [threads.submit(run) for _ in range(self.jobs)]:
                thread.result()
        return [results[position] for position in sorted(results)[:wanted]]

    def _open(self, sample: Sample, pool: WorkerPool, store: TrialStore) -> Evaluator | None:
        facts = pool.add_module("m", sample.bitcode.read_bytes(), name=sample.name)
        if not self.settings.min_instructions <= facts.num_instructions <= self.settings.max_instructions:
            return None
        return Evaluator(pool, "m", facts, self.protocol, llvm_major=self.llvm_major, store=store)

    def _search(self, sample: Sample, pool: WorkerPool) -> tuple[Counter[Plan], Counter[Plan]] | None:
        """Plans that won on one module, weighted by the share of its bytes they save."""
        with TrialStore(self.folder / "search" / sample.key) as store:
            evaluator = self._open(sample, pool, store)
            if evaluator is None:
                return None
            rng = random.Random(f"{self.settings.seed} {sample.name}")
            budget = Budget(compilations=self.settings.search_compilations)
            task = Task(evaluator=evaluator, budget=budget, rng=rng, coreset=first_plans(self.llvm_major))
            search(task, "compose")
            return self._winning_lists(task), _winning_pieces(task)

    def _winning_lists(self, task: Task) -> Counter[Plan]:
        """The best whole lists, made as short as they can be without loss."""
        assert task.baseline is not None
        baseline = task.cost(task.baseline)
        trials = [trial for trial in task.evaluator.trials if trial.plan.is_one_list and task.cost(trial) < baseline]
        won: Counter[Plan] = Counter()

        def cost(passes: PassList) -> float:
            return task.cost(task.evaluator.evaluate([Plan(base=passes)])[0])

        for trial in sorted(trials, key=task.cost)[:2]:
            short = minimise(trial.plan.as_list(), cost, max_evaluations=40)
            won[Plan(base=short)] += round(1e6 * (1 - task.cost(trial) / baseline))
        return won

    def _broadcast(
        self, sample: Sample, pool: WorkerPool, lists: Sequence[Plan], pieces: Sequence[Plan]
    ) -> BroadcastRow | None:
        with TrialStore(self.folder / "broadcast" / sample.key) as store:
            evaluator = self._open(sample, pool, store)
            if evaluator is None:
                return None
            baseline = evaluator.evaluate([Plan(base=PassList.parse("default<Oz>"))], free=True)[0]
            if baseline.sizes is None or not baseline.sizes.total:
                return None
            costs = [trial.cost(self.protocol) for trial in evaluator.evaluate(lists)]
            whole = [min(1.0, cost / baseline.cost(self.protocol)) for cost in costs]
            promoted = {p: evaluator.survey(p) for p in dict.fromkeys(plan.preparation for plan in pieces)}
            trials: list[FunctionTrial] | None = None
            if all(promoted.values()):
                trials = evaluator.evaluate_functions(pieces)
            return BroadcastRow(
                lists=whole,
                baseline=baseline,
                pieces=trials,
                promoted={name: facts for name, facts in promoted.items() if facts is not None},
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastRow:
    """What the broadcast measured on one module."""

    lists: list[float]
    """cost of each list as a share of the baseline, at most 1"""
    baseline: Trial
    pieces: list[FunctionTrial] | None
    promoted: dict[str, Promoted]


def spread(samples: Sequence[Sample], rng: random.Random) -> list[Sample]:
    """All samples in an order in which the projects take turns."""
    by_project: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda sample: sample.name):
        by_project.setdefault(sample.project, []).append(sample)
    for group in by_project.values():
        rng.shuffle(group)
    projects = sorted(by_project)
    rng.shuffle(projects)
    order: list[Sample] = []
    while any(by_project.values()):
        order += [by_project[project].pop() for project in projects if by_project[project]]
    return order


def _winning_pieces(task: Task) -> Counter[Plan]:
    """Bases and tails of the functions of the best composition, weighted by function size."""
    won: Counter[Plan] = Counter()
    composed = [trial for trial in task.evaluator.trials if trial.plan.parts and trial.outcome.ok]
    if not composed or task.baseline is None:
        return won
    best = min(composed, key=task.cost)
    assert best.sizes is not None
    for part in best.plan.parts:
        for name, tail in part.tails:
            size = best.sizes.functions.get(name)
            if size is not None:
                won[replace(part, tails=(), tail=tail)] += round(1e4 * size.total / best.sizes.total)
    return won


def _top(found: Counter[Plan], count: int, first: Sequence[Plan]) -> list[Plan]:
    """The hand-written plans and the most frequent winners, deterministic."""
    ranked = sorted(found.items(), key=lambda item: (-item[1], json.dumps(item[0].to_json())))
    return list(dict.fromkeys([*first, *(plan for plan, _ in ranked)]))[: max(count, len(first))]


def greedy_lists(plans: Sequence[Plan], rows: Sequence[Sequence[float]], count: int) -> list[Plan]:
    """Order plans so that every prefix saves most: mean over modules of the best cost so far."""
    best = [1.0] * len(rows)
    left = list(range(len(plans)))
    order: list[Plan] = []
    while left and len(order) < count:
        totals = {i: sum(min(known, row[i]) for known, row in zip(best, rows, strict=True)) for i in left}
        chosen = min(left, key=lambda i: (totals[i], i))
        if totals[chosen] >= sum(best) - 1e-9:
            break
        best = [min(known, row[chosen]) for known, row in zip(best, rows, strict=True)]
        order.append(plans[chosen])
        left.remove(chosen)
    return order


def greedy_pieces(plans: Sequence[Plan], rows: Sequence[BroadcastRow], count: int) -> list[Plan]:
    """Order plans in pieces by the modules composed of the first k.

    A composition is taken to keep the static functions that one of its plans reaches (the anchor), and for each
    function the smallest chosen plan that calls no other.
    """
    tables = [table for row in rows for table in _PieceTable.of(plans, row)]
    by_module = [[table for table in tables if table.row is row] for row in rows]
    left = list(range(len(plans)))
    order: list[int] = []
    current = 0.0
    while left and len(order) < count:
        gains = dict.fromkeys(left, 0.0)
        for group in by_module:
            known = min((table.cost for table in group), default=1.0)
            for candidate in left:
                cost = min((table.cost_with(candidate) for table in group if table.has(candidate)), default=1.0)
                gains[candidate] += max(0.0, known - cost)
        chosen = max(left, key=lambda i: (gains[i], -i))
        if gains[chosen] <= 1e-9:
            break
        current += gains[chosen]
        for table in tables:
            if table.has(chosen):
                table.add(chosen)
        order.append(chosen)
        left.remove(chosen)
    log.info("pieces save %.3f %% on average", 100 * current / max(1, len(rows)))
    return [plans[index] for index in order]


class _PieceTable:
    """Function sizes of the plans of one preparation on one module, and the best composition so far."""

    def __init__(self, plans: Sequence[Plan], row: BroadcastRow, preparation: str) -> None:
        assert row.pieces is not None and row.baseline.sizes is not None
        promoted = row.promoted[preparation]
        self.row = row
        self.total = row.baseline.sizes.total
        self.others = self.total - sum(size.total for size in row.baseline.sizes.functions.values())
        statics = frozenset(promoted.functions)
        self.sizes: dict[int, dict[str, int]] = {}
        self.calls: dict[int, dict[str, frozenset[str]]] = {}
        self.reached: dict[int, frozenset[str]] = {}
        for index, (plan, trial) in enumerate(zip(plans, row.pieces, strict=True)):
            if plan.preparation == preparation and trial.outcome.ok:
                self.sizes[index] = {name: size.total for name, size in trial.sizes.items()}
                self.calls[index] = {name: names & statics for name, names in trial.references.items()}
                self.reached[index] = _reached(promoted.roots, trial)
        self.chosen: dict[int, dict[str, int]] = {}
        """anchor -> function -> smallest size among the chosen plans"""
        self.cost = 1.0

    @classmethod
    def of(cls, plans: Sequence[Plan], row: BroadcastRow) -> list[_PieceTable]:
        return [cls(plans, row, preparation) for preparation in row.promoted]

    def has(self, index: int) -> bool:
        return index in self.sizes

    def _fitting(self, anchor: int, index: int) -> dict[str, int]:
        """Sizes of a plan's functions that may stand in the composition of an anchor."""
        reached, calls, sizes = self.reached[anchor], self.calls[index], self.sizes[index]
        return {name: sizes[name] for name in reached if name in sizes and calls.get(name, reached) <= reached}

    def _share(self, sizes: dict[str, int]) -> float:
        return min(1.0, (self.others + sum(sizes.values())) / self.total)

    def _merged(self, anchor: int, index: int) -> dict[str, int]:
        merged = dict(self.chosen[anchor])
        for name, size in self._fitting(anchor, index).items():
            if size < merged.get(name, size + 1):
                merged[name] = size
        return merged

    def _as_anchor(self, index: int) -> dict[str, int]:
        best = self._fitting(index, index)
        for other in self.chosen:
            for name, size in self._fitting(index, other).items():
                if size < best.get(name, size + 1):
                    best[name] = size
        return best

    def cost_with(self, index: int) -> float:
        """The share of the baseline that is left with this plan added."""
        shares = [self._share(self._merged(anchor, index)) for anchor in self.chosen]
        return min(self.cost, self._share(self._as_anchor(index)), *shares)

    def add(self, index: int) -> None:
        merged = {anchor: self._merged(anchor, index) for anchor in self.chosen}
        merged[index] = self._as_anchor(index)
        self.chosen = merged
        self.cost = min(self.cost, *(self._share(sizes) for sizes in merged.values()))


def _reached(roots: Iterable[str], trial: FunctionTrial) -> frozenset[str]:
    seen: set[str] = set()
    todo = [name for name in roots if name in trial.sizes]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += [called for called in trial.references.get(name, ()) if called in trial.sizes]
    return frozenset(seen)
