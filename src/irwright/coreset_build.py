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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from irwright.coreset import first_plans
from irwright.coreset_order import BroadcastRow, order_for_large, order_table
from irwright.corpus.modules import modules, shared_functions
from irwright.errors import CorpusError, IrwrightError
from irwright.evaluator import Evaluator
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import Protocol
from irwright.minimise import minimise
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.search import search
from irwright.task import Budget, Coreset, Task
from irwright.trials import FunctionTrial, TrialStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training module."""

    name: str
    """project and path, for people"""
    project: str
    bitcode: Path
    function: str = ""
    """only this function, as a module of its own; "" is the whole file"""

    @property
    def key(self) -> str:
        return key_of_name(self.name)


def key_of_name(name: str) -> str:
    """The name of the folder that a sample's trials are in."""
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """How much work a build does."""

    search_modules: int = 200
    search_compilations: int = 140
    broadcast_modules: int = 500
    num_lists: int = 40
    """whole lists that are broadcast"""
    num_pieces: int = 80
    """plans in pieces that are broadcast"""
    min_instructions: int = 10
    max_instructions: int = 4000
    seed: int = 1
    table_lists: int = 32
    table_pieces: int = 48
    large_modules: int = 8
    """files of `large_from` to `large_to` instructions on which the table is ordered once more"""
    large_from: int = 20_000
    large_to: int = 80_000
    large_lists: int = 2
    large_pieces: int = 6
    """of each preparation"""


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
        winners = self.each(self.samples, self.settings.search_modules, "search", self._search)
        lists: Counter[Plan] = Counter()
        pieces: Counter[Plan] = Counter()
        for found_lists, found_pieces in winners:
            lists.update(found_lists)
            pieces.update(found_pieces)
        first = first_plans(self.llvm_major)
        chosen_lists = _top(lists, self.settings.num_lists, first.lists)
        chosen_pieces = _top(pieces, self.settings.num_pieces, first.pieces[: self.settings.num_pieces // 4])
        log.info("broadcasting %d lists and %d pieces", len(chosen_lists), len(chosen_pieces))
        rows = self.each(
            self.samples,
            self.settings.broadcast_modules,
            "broadcast",
            lambda sample, pool: self._broadcast(sample, pool, chosen_lists, chosen_pieces),
        )
        return order_table(
            chosen_lists,
            chosen_pieces,
            rows,
            num_lists=self.settings.table_lists,
            num_pieces=self.settings.table_pieces,
        )

    def order_for_large(self, table: Coreset) -> Coreset:
        """The table with an order of its plans for large modules: what saves most there comes late in the other.

        Of every preparation, only the first plans are tried: a compilation of a large module takes seconds.
        """
        settings = self.settings
        # Bitcode has ten bytes for an instruction, more or less: smaller files need not be read.
        samples = [
            sample
            for sample in self.samples
            if not sample.function and sample.bitcode.stat().st_size >= 5 * settings.large_from
        ]
        limits = replace(settings, min_instructions=settings.large_from, max_instructions=settings.large_to)
        lists = table.lists[: settings.large_lists]
        preparations = dict.fromkeys(plan.preparation for plan in table.pieces)
        pieces = [
            plan
            for preparation in preparations
            for plan in [plan for plan in table.pieces if plan.preparation == preparation][: settings.large_pieces]
        ]
        rows = self.each(
            samples,
            settings.large_modules,
            "broadcast to large modules",
            lambda sample, pool: self._broadcast(sample, pool, lists, pieces, limits),
            timeout_seconds=120.0,
        )
        first = order_for_large(lists, pieces, [row for row in rows if row.pieces is not None])
        large = replace(
            first,
            lists=tuple(dict.fromkeys([*first.lists, *table.lists])),
            pieces=tuple(dict.fromkeys([*first.pieces, *table.pieces])),
        )
        return replace(table, large=large, large_from=settings.large_from)

    def each(
        self,
        samples: Sequence[Sample],
        wanted: int,
        what: str,
        work: Callable[[Sample, WorkerPool], Any],
        *,
        timeout_seconds: float = 15.0,
    ) -> list[Any]:
        """`work` on the first `wanted` samples of fitting size, a pool of one worker for each of `jobs` threads."""
        results: dict[int, Any] = {}
        queue = iter(enumerate(samples))

        def run() -> None:
            with WorkerPool(self.library, jobs=1, timeout_seconds=timeout_seconds) as pool:
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

    def open(
        self, sample: Sample, pool: WorkerPool, store: TrialStore, limits: BuildSettings | None = None
    ) -> Evaluator | None:
        """The sample in a pool; None where it is smaller or larger than `limits` (default: the build's) say."""
        limits = limits or self.settings
        facts = pool.add_module("m", sample.bitcode.read_bytes(), name=sample.name)
        if sample.function:
            extract = Call(operation="extract", module="m", arguments={"function": sample.function})
            data = pool.call(extract).unwrap(sample.name)
            pool.drop_module("m")
            facts = pool.add_module("m", data, name=sample.name)
        if not limits.min_instructions <= facts.num_instructions <= limits.max_instructions:
            return None
        return Evaluator(pool, "m", facts, self.protocol, llvm_major=self.llvm_major, store=store)

    def _search(self, sample: Sample, pool: WorkerPool) -> tuple[Counter[Plan], Counter[Plan]] | None:
        """Plans that won on one module, weighted by the share of its bytes they save."""
        with TrialStore(self.folder / "search" / sample.key) as store:
            evaluator = self.open(sample, pool, store)
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
        self,
        sample: Sample,
        pool: WorkerPool,
        lists: Sequence[Plan],
        pieces: Sequence[Plan],
        limits: BuildSettings | None = None,
    ) -> BroadcastRow | None:
        with TrialStore(self.folder / "broadcast" / sample.key) as store:
            evaluator = self.open(sample, pool, store, limits)
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


def training_samples(cache: Path, seed: int) -> list[Sample]:
    """Every training module of the corpus, and one function of each as a module of its own.

    A function that a held-out package holds too is not taken.
    """
    rng = random.Random(seed)
    hidden = shared_functions(cache)
    samples: list[Sample] = []
    for module in modules("training", cache=cache):
        whole = Sample(name=f"{module.package}/{module.source}", project=module.package, bitcode=module.bitcode)
        samples.append(whole)
        names = [name for name, digest in module.functions if digest not in hidden]
        if names:
            function = rng.choice(names)
            samples.append(replace(whole, name=f"{whole.name}:{function}", function=function))
    return samples


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
