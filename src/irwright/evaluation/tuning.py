"""The task `tune`, measured: the smallest object that a proposer finds with so many compilations, beside the baseline.

Sizes are in process, the same code generation as the compiler's; the baseline of `oz` is the object that the real
`clang -Oz -c` makes. Nothing is compared under emulation here: what a user gets from `irwright tune` may be larger
where a build is refused. Each measurement begins with a freshly loaded module, so that its time is its own.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from irwright.coreset import load_coreset
from irwright.corpus.canonical import canonicalise
from irwright.errors import LLVMError, ModelError
from irwright.evaluation.cases import Proposer
from irwright.evaluator import Evaluator
from irwright.llvm import clang
from irwright.llvm.worker import WorkerPool
from irwright.measure import Protocol, measure_object
from irwright.models.answers import LanguageModel
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.proposers import ModelProposer, Proposal, measured
from irwright.search import STRATEGIES, Strategy, search_by
from irwright.task import Budget, Switches, Task
from irwright.trials import Trial

MODULE = "case"
"""the key of the case's module in the pool"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The LLVM that is measured with."""

    library: Path
    clang: Path | None
    """None where there is none: then LLVM's -Oz in process is the baseline of `oz` too"""
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


@dataclass(slots=True, kw_only=True)
class ModelLists:
    """A strategy: the lists of a language model, and nothing else; what is left of the budget stays unspent.

    With `then`, that is who chooses among them, or does without (a mix); all are asked for at once, but of a model that
    knows outcomes, where each is asked for when its turn comes.
    ModelError where a model by itself gave no answer at all, so that the case counts as failed and is asked for again.
    """

    model: LanguageModel
    seed: int
    then: Strategy | None = None
    seconds: float = 0.0
    """that the model took"""
    counts: Counter[str] = field(default_factory=Counter[str])
    foreseen: dict[str, float] = field(default_factory=dict[str, float])
    """how far off the sizes are that it names with its first list"""

    def __call__(self, task: Task) -> None:
        printed = task.evaluator.compile(Plan(), "ll").decode(errors="surrogateescape")
        proposer = ModelProposer(
            model=self.model,
            llvm_major=task.evaluator.llvm_major,
            seed=self.seed,
            outcomes=partial(measured, task),
        )
        proposals = proposer.lists(canonicalise(printed)[0], task.left)
        num_lists = 0
        if self.then is None:
            num_lists = self._run(task, proposals)
        else:
            plans = self._timed(proposals)
            task.proposed = plans if self.model.knows_outcomes else tuple(plans)
            self.then(task)
        self.counts.update({"asked": proposer.num_asked, "invalid": proposer.num_invalid})
        self.counts.update(proposer.problems)
        if proposer.problems and not num_lists and self.then is None:
            raise ModelError(proposer.problems[0])

    def _timed(self, proposals: Iterator[Proposal]) -> Iterator[Plan]:
        started = time.monotonic()
        for proposal in proposals:
            self.seconds += time.monotonic() - started
            yield Plan(base=proposal.passes)
            started = time.monotonic()
        self.seconds += time.monotonic() - started

    def _run(self, task: Task, proposals: Iterator[Proposal]) -> int:
        started = time.monotonic()
        num_lists = 0
        while task.left and (proposal := next(proposals, None)) is not None:
            num_lists += 1
            self.seconds += time.monotonic() - started
            (trial,) = task.run([Plan(base=proposal.passes)])
            if num_lists == 1:
                self.foreseen = foreseen(proposal, task, trial)
            started = time.monotonic()
        self.seconds += time.monotonic() - started
        return num_lists


def foreseen(proposal: Proposal, task: Task, trial: Trial) -> dict[str, float]:
    """Shares by which predicted sizes are off: of -Oz, of the list, and of the list if it were as large as -Oz's."""
    assert task.baseline is not None
    oz, size = task.cost(task.baseline), task.cost(trial)
    if not 0 < size < float("inf") or not 0 < oz < float("inf"):
        return {}
    found = {"list_as_oz": abs(oz - size) / size}
    if proposal.oz_bytes is not None:
        found["oz"] = abs(proposal.oz_bytes - oz) / oz
    if proposal.tuned_bytes is not None:
        found["list"] = abs(proposal.tuned_bytes - size) / size
    return {name: round(value, 6) for name, value in sorted(found.items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a case is compared with, and what it cost to make."""

    cost: int
    text: int
    seconds: float


class _Noting(Evaluator):
    """Knows what was proposed: -Oz is measured for every search, and is a proposal only where it is asked for."""

    proposed: set[Plan]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.proposed = set()

    def evaluate(self, plans: Sequence[Plan], *, free: bool = False) -> list[Trial]:
        if not free:
            self.proposed.update(plans)
        return super().evaluate(plans, free=free)


class Scale:
    """A loaded case, ready to be tuned by one proposer after the other."""

    def __init__(self, pool: WorkerPool, tools: Tools, data: bytes, name: str, seed: int) -> None:
        self._pool = pool
        self._tools = tools
        self._data = data
        self._name = name
        self._seed = seed
        self._baselines: dict[str, Baseline] = {}

    def baseline(self, protocol: Protocol) -> Baseline:
        """Of the whole object, under a protocol; LLVMError where there is none."""
        if protocol.name not in self._baselines:
            started = time.monotonic()
            if protocol.name == "oz" and self._tools.clang is not None:
                sizes = real_oz(self._tools.clang, self._data, self._name)
                found = Baseline(cost=sizes[0], text=sizes[1], seconds=time.monotonic() - started)
            else:
                found = self._in_process(protocol, started)
            self._baselines[protocol.name] = found
        return self._baselines[protocol.name]

    def _in_process(self, protocol: Protocol, started: float) -> Baseline:
        with self._fresh(protocol) as evaluator:
            oz = Plan(base=PassList.parse("default<Oz>", llvm_major=self._tools.major))
            trial = evaluator.evaluate([oz])[0]
            if trial.sizes is None:
                raise LLVMError(f"{self._name}: LLVM's own -Oz ends in {trial.outcome.kind} ({trial.outcome.detail})")
            seconds = time.monotonic() - started
            return Baseline(cost=int(trial.cost(protocol)), text=trial.sizes.text, seconds=seconds)

    @contextmanager
    def _fresh(self, protocol: Protocol) -> Generator[_Noting]:
        facts = self._pool.add_module(MODULE, self._data, name=self._name)
        try:
            yield _Noting(self._pool, MODULE, facts, protocol, llvm_major=self._tools.major)
        finally:
            self._pool.drop_module(MODULE)

    def tune(
        self, proposer: Proposer, protocol: Protocol, budget: int, model: LanguageModel | None = None
    ) -> dict[str, Any]:
        """The columns of a row that say what came of it; IrwrightError where nothing did.

        `best` is the smallest of what was proposed, larger than the baseline perhaps; -Oz in process where nothing was.
        `oz` is that, which is a few bytes off the compiler's and a backup that costs no compilation.
        """
        then = STRATEGIES.get(proposer.kind)
        lists = None if model is None else ModelLists(model=model, seed=self._seed, then=then)
        strategy: Strategy = lists or STRATEGIES[proposer.kind]
        baseline = self.baseline(protocol)
        with self._fresh(protocol) as evaluator:
            rng = random.Random(f"{self._seed} {self._name}")
            task, seconds = spend(evaluator, strategy, budget, rng=rng, switches=proposer.switches)
            tried = [trial for trial in evaluator.trials if trial.outcome.ok and trial.plan in evaluator.proposed]
            assert task.baseline is not None
            oz = task.baseline
            best = min(tried, key=task.cost, default=task.baseline)
        failed = Counter(str(trial.outcome.kind) for trial in evaluator.trials if not trial.outcome.ok)
        times = {"seconds": seconds, "llvm": evaluator.seconds_in_llvm, "baseline": baseline.seconds}
        row: dict[str, Any] = {
            "baseline": [baseline.cost, baseline.text],
            "oz": _sizes(oz, protocol),
            "best": _sizes(best, protocol),
            "compilations": evaluator.num_compilations,
            "failed": dict(sorted(failed.items())),
        }
        if lists is not None:
            times["proposer"] = lists.seconds
            row["asked"] = dict(sorted(lists.counts.items()))
            row["foreseen"] = lists.foreseen
        return {**row, "times": {name: round(value, 4) for name, value in times.items()}}


def _sizes(trial: Trial, protocol: Protocol) -> list[int] | None:
    return None if trial.sizes is None else [int(trial.cost(protocol)), trial.sizes.text]


def spend(
    evaluator: Evaluator, strategy: Strategy, compilations: int, *, rng: random.Random, switches: Sequence[str] = ()
) -> tuple[Task, float]:
    """Let a strategy spend so many compilations, beginning with the shipped table; the ended task, wall seconds."""
    task = Task(
        evaluator=evaluator,
        budget=Budget(compilations=compilations),
        rng=rng,
        coreset=load_coreset(evaluator.protocol.name, evaluator.llvm_major),
        switches=Switches(**dict.fromkeys(switches, True)),
    )
    started = time.monotonic()
    search_by(task, strategy)
    return task, time.monotonic() - started


def real_oz(compiler: Path, data: bytes, name: str = "module") -> tuple[int, int]:
    """(bytes, bytes of code) of the object that the real `clang -Oz -c` makes of bitcode.

    LLVM's -Oz in process differs from it by a few bytes.
    """
    with tempfile.TemporaryDirectory(prefix="irwright-") as folder:
        bitcode = Path(folder) / "module.bc"
        bitcode.write_bytes(data)
        sizes = measure_object(clang.baseline(compiler, bitcode, (), "obj", name=name))
    return sizes.total, sizes.text
