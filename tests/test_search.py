"""Strategies: never worse than the baseline, within the budget, the same for a seed, resumed where they were."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from conftest import MODULES, Seeds
from irwright.coreset import first_plans
from irwright.errors import IrwrightError, LLVMError
from irwright.evaluator import Evaluator
from irwright.function_search import FunctionSearch
from irwright.llvm import clang
from irwright.llvm.builds import Outcome, OutcomeKind
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, Reply, WorkerPool
from irwright.lowering import FEWEST
from irwright.measure import measure_object, protocol
from irwright.passes import PassList, function_local
from irwright.plan import Plan
from irwright.search import FINISHES, STRATEGIES, search
from irwright.task import BATCH, Budget, Coreset, Switches, Task
from irwright.trials import TrialStore

MAJOR = 22
FIRST = first_plans(MAJOR)
SMALL = Coreset(lists=FIRST.lists[:6], pieces=FIRST.pieces[:10])
"""so few pieces that `compose` goes through all its stages at a small budget"""
BUDGET = 28
OF_THE_TABLE = ("coreset", "feedback", "mix")
"""strategies that end where the table does"""


class Counting:
    """A pool that counts what is asked of it, and may interrupt or fail it."""

    def __init__(self, pool: WorkerPool, *, interrupt_after: int | None = None, crash_every: int | None = None) -> None:
        self.pool = pool
        self.num_calls = 0
        self._interrupt_after = interrupt_after
        self._crash_every = crash_every

    def map(self, calls: Sequence[Call]) -> list[Reply]:
        """All but every `crash_every`-th call, which is answered with a crash."""
        if self._interrupt_after is not None and self.num_calls >= self._interrupt_after:
            raise KeyboardInterrupt
        numbers = range(self.num_calls + 1, self.num_calls + 1 + len(calls))
        self.num_calls += len(calls)
        crashes = [self._crash_every is not None and number % self._crash_every == 0 for number in numbers]
        replies = iter(self.pool.map([call for call, crash in zip(calls, crashes, strict=True) if not crash]))
        died = Outcome(kind=OutcomeKind.CRASH, detail="signal SIGSEGV")
        return [Reply(outcome=died, value=None, seconds=0.1) if crash else next(replies) for crash in crashes]

    def call(self, call: Call) -> Reply:
        return self.pool.call(call)


@pytest.fixture
def pools(tools: Toolchain) -> Iterator[dict[int, WorkerPool]]:
    """Pools of one and of two workers."""
    with WorkerPool(tools.library.path, jobs=1) as one, WorkerPool(tools.library.path, jobs=2) as two:
        yield {1: one, 2: two}


def task_on(
    pool: object,
    data: bytes,
    *,
    budget: Budget | int = BUDGET,
    seed: int = 5,
    coreset: Coreset = SMALL,
    counts: str = "oz",
    store: TrialStore | None = None,
    switches: Switches | None = None,
    compilation_seconds: float | None = None,
) -> Task:
    """A fresh search on a module that is loaded anew, so that nothing measured before is known.

    With `compilation_seconds`, its clock goes on by that with each compilation, and by nothing else.
    """
    real = pool.pool if isinstance(pool, Counting) else pool
    assert isinstance(real, WorkerPool)
    facts = real.add_module("m", data, name="m")
    evaluator = Evaluator(cast(WorkerPool, pool), "m", facts, protocol(counts), llvm_major=MAJOR, store=store)
    each = compilation_seconds
    return Task(
        evaluator=evaluator,
        budget=Budget(compilations=budget) if isinstance(budget, int) else budget,
        rng=random.Random(seed),
        coreset=coreset,
        switches=switches or Switches(),
        clock=time.monotonic if each is None else lambda: evaluator.num_compilations * each,
    )


def baseline_of(task: Task) -> float:
    assert task.baseline is not None
    return task.cost(task.baseline)


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    return request.param


# ---- every strategy


@pytest.mark.parametrize("budget", [1, 3, 8, BUDGET])
def test_never_worse_than_the_baseline_and_within_the_budget(
    pool: WorkerPool, seeds: Seeds, strategy: str, budget: int
) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=budget)
    best = search(task, strategy)
    assert best is task.best
    assert task.cost(best) <= baseline_of(task)
    table = len(SMALL.lists) + len(SMALL.pieces) + 1
    spent = task.evaluator.num_compilations
    # A table may be shorter, and a module of winners that promises nothing is not measured.
    shortest = min(budget, table) - 1 if strategy in OF_THE_TABLE else budget
    assert shortest <= spent <= budget, "a budget is there to be spent"
    assert task.curve[0] == (0, baseline_of(task))
    costs = [cost for _, cost in task.curve]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == len(costs)
    assert costs[-1] == task.cost(best)
    assert [spent for spent, _ in task.curve] == sorted(spent for spent, _ in task.curve)


def test_the_best_plan_measures_what_its_object_measures(pool: WorkerPool, seeds: Seeds, strategy: str) -> None:
    task = task_on(pool, seeds.bitcode("machine"))
    best = search(task, strategy)
    assert best.sizes is not None
    emitted = measure_object(task.evaluator.compile(best.plan, "obj"))
    assert (emitted, emitted.functions) == (best.sizes, best.sizes.functions)
    assert task.cost(best) < baseline_of(task), "nothing was gained: the comparison above says little"


def test_a_seed_gives_one_result_whatever_the_number_of_workers(
    pools: dict[int, WorkerPool], seeds: Seeds, strategy: str
) -> None:
    results = []
    for jobs, seed in ((1, 5), (2, 5), (2, 6)):
        task = task_on(pools[jobs], seeds.bitcode("checksum"), seed=seed)
        best = search(task, strategy)
        results.append((best.plan, task.cost(best), task.curve, [trial.plan for trial in task.evaluator.trials]))
    assert results[0] == results[1]
    assert strategy in OF_THE_TABLE or results[0][3] != results[2][3], "the seed changes what is tried"


def test_a_killed_search_goes_on_where_it_was(pool: WorkerPool, seeds: Seeds, strategy: str, tmp_path: Path) -> None:
    data = seeds.bitcode("checksum")
    straight = Counting(pool)
    expected = task_on(straight, data)
    search(expected, strategy)

    stop = straight.num_calls // 2
    with TrialStore(tmp_path) as store, pytest.raises(KeyboardInterrupt):
        search(task_on(Counting(pool, interrupt_after=stop), data, store=store), strategy)
    assert list(TrialStore(tmp_path).rows()), "finished trials are kept"

    resumed = Counting(pool)
    with TrialStore(tmp_path) as store:
        task = task_on(resumed, data, store=store)
        search(task, strategy)
    assert task.best is not None and expected.best is not None
    assert (task.best.plan, task.best.sizes) == (expected.best.plan, expected.best.sizes)
    assert (task.curve, task.evaluator.num_compilations) == (expected.curve, expected.evaluator.num_compilations)
    assert 0 < resumed.num_calls <= straight.num_calls - stop

    again = Counting(pool)
    search(task_on(again, data, store=TrialStore(tmp_path)), strategy)
    assert again.num_calls == 0, "all of it is stored"


def test_calls_that_crash_are_survived_and_counted(pool: WorkerPool, seeds: Seeds, strategy: str) -> None:
    task = task_on(Counting(pool, crash_every=3), seeds.bitcode("machine"))
    best = search(task, strategy)
    assert best.outcome.ok
    assert task.cost(best) <= baseline_of(task)
    assert any(not trial.outcome.ok for trial in task.evaluator.trials)
    assert task.evaluator.num_compilations <= BUDGET


@pytest.mark.parametrize("counts", ["instructions", "paper"])
def test_other_protocols(pool: WorkerPool, seeds: Seeds, strategy: str, counts: str) -> None:
    task = task_on(pool, seeds.bitcode("machine"), counts=counts, budget=20)
    best = search(task, strategy)
    assert task.cost(best) <= baseline_of(task)
    assert task.evaluator.num_compilations <= 20
    if counts == "instructions":
        assert task.cost(best) == best.num_instructions
        assert not any(trial.plan.parts for trial in task.evaluator.trials), "pieces are measured by their code alone"


def test_a_time_ends_the_search(pool: WorkerPool, seeds: Seeds, strategy: str) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=Budget(seconds=2.0), compilation_seconds=0.1)
    search(task, strategy)
    assert task.left == 0 or strategy in OF_THE_TABLE
    assert 0 < task.evaluator.num_compilations < 20 + BATCH  # the clock is looked at between batches


def test_time_is_that_of_the_clock_on_the_wall(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=Budget(seconds=0.01))
    time.sleep(0.02)
    assert task.left == 0


def test_a_module_without_functions(pool: WorkerPool, strategy: str) -> None:
    text = b'target triple = "x86_64-unknown-linux-gnu"\n@table = constant [4 x i32] [i32 1, i32 2, i32 3, i32 4]\n'
    task = task_on(pool, text, budget=20)
    best = search(task, strategy)
    assert task.cost(best) == baseline_of(task) == 16
    assert task.evaluator.num_compilations <= 20


def test_a_module_that_cannot_be_made_of_pieces_is_searched_in_one(
    pool: WorkerPool, seeds: Seeds, strategy: str
) -> None:
    aliased = seeds.bitcode("machine")
    task = task_on(pool, aliased)
    text = task.evaluator.compile(Plan(), "ll")
    name = task.evaluator.facts.functions[0]
    text += f"\n@another = alias i8, ptr @{name}\n".encode()
    task = task_on(pool, text)
    assert task.evaluator.survey("raw") is None
    best = search(task, strategy)
    assert task.cost(best) < baseline_of(task)
    assert not any(trial.plan.parts or trial.plan.preparation for trial in task.evaluator.trials)
    table = len(SMALL.lists)  # by outcomes: -Oz's own in two ways, the table in the best ways known and as it is
    spent = table if strategy == "coreset" else FEWEST + 2 * table if strategy in OF_THE_TABLE else BUDGET
    assert task.evaluator.num_compilations == spent


# ---- single strategies


def test_compose_gives_functions_lists_of_their_own(pool: WorkerPool, seeds: Seeds) -> None:
    """Compose joins parts, finishes them, and beats every whole list it tried on this module."""
    task = task_on(pool, seeds.bitcode("machine"), budget=80, seed=1)
    best = search(task, "compose")
    assert best.plan.parts
    named = [name for part in best.plan.parts for name, _ in part.tails]
    assert len(named) == len(set(named))
    assert set(named) <= set(task.evaluator.facts.functions)
    whole = [task.cost(trial) for trial in task.evaluator.trials if trial.plan.is_one_list]
    assert task.cost(best) < min(whole)
    assert any(trial.plan.finish.items for trial in task.evaluator.trials)
    assert {best.plan.lowering_for(name) for name in named} > {()}


def test_random_draws_lists_of_the_papers_lengths(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("checksum"), budget=40)
    search(task, "random")
    lengths = [len(trial.plan.base) for trial in task.evaluator.trials[1:]]
    assert len(lengths) == 40
    assert 1 <= min(lengths) < 12 and 35 < max(lengths) <= 50


def test_the_table_comes_first_and_in_order(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("checksum"), budget=2)
    search(task, "coreset")
    assert [trial.plan for trial in task.evaluator.trials[1:]] == list(SMALL.lists[:2])
    task = task_on(pool, seeds.bitcode("checksum"), budget=12)
    search(task, "evolve")
    assert [trial.plan for trial in task.evaluator.trials[1:5]] == list(SMALL.lists[:4])


def test_without_a_table_strategies_still_search(pool: WorkerPool, seeds: Seeds, strategy: str) -> None:
    task = task_on(pool, seeds.bitcode("checksum"), coreset=Coreset(), budget=16)
    search(task, strategy)
    spent = task.evaluator.num_compilations
    assert spent == 0 if strategy == "coreset" else spent <= 2 if strategy in OF_THE_TABLE else spent == 16


def test_the_outliner_is_a_switch(pool: WorkerPool, seeds: Seeds) -> None:
    options = ("-enable-machine-outliner=always",)
    for outliner in (False, True):
        task = task_on(pool, seeds.bitcode("machine"), budget=60, switches=Switches(outliner=outliner))
        search(task, "compose")
        tried = {trial.plan.codegen_options for trial in task.evaluator.trials}
        assert (options in tried) is outliner


def test_lists_that_crash_llvm_are_trials_like_others(pool: WorkerPool, seeds: Seeds) -> None:
    """A list in the table that kills the worker: the others are tried, the best of them wins."""
    deadly = Plan(base=PassList.parse("trigger-crash-module", allow_excluded=True))
    coreset = Coreset(lists=(deadly, *FIRST.lists[:3]))
    task = task_on(pool, seeds.bitcode("machine"), coreset=coreset, budget=12)
    best = search(task, "evolve")
    outcomes = {trial.plan: trial.outcome.kind for trial in task.evaluator.trials}
    assert outcomes[deadly] is OutcomeKind.CRASH
    assert best.outcome.ok and task.evaluator.num_compilations == 12


def test_a_search_reports_its_progress(pool: WorkerPool, seeds: Seeds) -> None:
    seen: list[tuple[int, float]] = []
    task = task_on(pool, seeds.bitcode("checksum"))
    task.on_trial = lambda spent, cost: seen.append((spent, cost))
    best = search(task, "compose")
    assert seen[-1] == (task.evaluator.num_compilations, task.cost(best))
    assert [spent for spent, _ in seen] == sorted(spent for spent, _ in seen)


@pytest.mark.parametrize("text", FINISHES)
def test_finishing_lists_are_lists_of_this_llvm(text: str) -> None:
    passes = PassList.parse(text)
    assert passes.supported(MAJOR)
    assert not function_local(passes)


# ---- budgets and names


@pytest.mark.parametrize(
    ("text", "budget", "shown"),
    [
        ("16", Budget(compilations=16), "16 compilations"),
        ("30s", Budget(seconds=30), "30 s"),
        ("1.5m", Budget(seconds=90), "90 s"),
        ("2h", Budget(seconds=7200), "7200 s"),
    ],
)
def test_budgets_are_compilations_or_a_time(text: str, budget: Budget, shown: str) -> None:
    assert Budget.parse(text) == budget
    assert str(budget) == shown


@pytest.mark.parametrize("text", ["", "0", "-3", "0s", "-1m", "s", "many", "16x", "1.5", "1e3", "nans", "infs"])
def test_bad_budgets(text: str) -> None:
    expected = f"bad budget {text!r}; give compilations (16) or a time (30s, 5m, 1h)"
    with pytest.raises(IrwrightError, match=f"^{re.escape(expected)}$"):
        Budget.parse(text)


def test_a_budget_of_both_ends_with_the_first(pool: WorkerPool, seeds: Seeds) -> None:
    assert str(Budget(compilations=3, seconds=60)) == "3 compilations and 60 s"
    task = task_on(pool, seeds.bitcode("checksum"), budget=Budget(compilations=3, seconds=600))
    search(task, "random")
    assert task.evaluator.num_compilations == 3
    with pytest.raises(ValueError, match="compilations or seconds"):
        Budget()


def test_an_unknown_strategy(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("checksum"))
    expected = "unknown strategy 'greedy'; there are compose, coreset, evolve, feedback, mix, random"
    with pytest.raises(IrwrightError, match=f"^{re.escape(expected)}$"):
        search(task, "greedy")
    assert not task.evaluator.trials, "nothing was compiled"


def test_a_module_without_code_for_any_list_is_an_error(pool: WorkerPool) -> None:
    broken = b'define void @f() {\n  call void asm sideeffect "no such instruction", ""()\n  ret void\n}\n'
    with pytest.raises(LLVMError, match="LLVM makes no code for this module, with -Oz or any other list: invalid"):
        search(task_on(pool, broken), "coreset")


def test_a_function_alone_needs_no_composition(pool: WorkerPool, seeds: Seeds) -> None:
    """Every piece is measured as an object: no compilation goes into joining, and the smallest of all wins."""
    pool.add_module("whole", seeds.bitcode("checksum"), name="checksum.c")
    call = Call(operation="extract", module="whole", arguments={"function": "fill"})
    data = pool.call(call).unwrap("fill")
    task = task_on(pool, data, coreset=replace(SMALL, lists_first=(1,)), budget=6)
    best = search(task, "coreset")
    tried = task.evaluator.trials[1:]
    assert len(tried) == task.evaluator.num_compilations == 6
    assert tried[0].plan == SMALL.lists[0]
    assert [trial.plan.parts[0].list_for("fill") for trial in tried[1:]] == [
        plan.list_for("fill") for plan in SMALL.pieces[:5]
    ]
    assert task.cost(best) == min(task.cost(trial) for trial in task.evaluator.trials)


def test_a_large_module_gets_the_order_for_large_ones(pools: dict[int, WorkerPool], seeds: Seeds) -> None:
    large = Coreset(lists=SMALL.lists[::-1], pieces=SMALL.pieces[::-1])
    data = seeds.bitcode("checksum")
    for start, expected in ((1, large), (100_000, SMALL)):
        task = task_on(pools[1], data, budget=2, coreset=replace(SMALL, large=large, large_from=start))
        search(task, "coreset")
        assert [trial.plan for trial in task.evaluator.trials[1:]] == list(expected.lists[:2])


def test_functions_with_two_names_are_foreseen_once(pool: WorkerPool, tools: Toolchain) -> None:
    source = MODULES / "pieces" / "constructors.cpp"
    task = task_on(pool, clang.seed_bitcode(tools.need_clang(), source, ["-fno-exceptions"]))
    task.start()
    assert task.baseline is not None and task.baseline.sizes is not None
    sizes = task.baseline.sizes
    named = {
        f"_ZN{name}" for name in ("7CountedC1Ei", "7CountedC1ERKS_", "7CountedD1Ev", "6LongerC1Eii", "6LongerD1Ev")
    }
    assert set(task.evaluator.facts.aliases) == named
    own = sum(size.total for name, size in sizes.functions.items() if name not in task.evaluator.facts.aliases)
    assert task.foreseen(own).total == sizes.total


@pytest.mark.parametrize("name", ["machine", "checksum"])
def test_a_trusted_prediction_is_about_what_would_be_measured(pool: WorkerPool, seeds: Seeds, name: str) -> None:
    counted = [Counting(pool), Counting(pool)]
    measured, trusting = (task_on(one, seeds.bitcode(name), budget=8) for one in counted)
    search(measured, "coreset")
    trusting.baseline, trusting.trusts_predictions = measured.baseline, True
    search(trusting, "coreset")
    assert counted[1].num_calls == counted[0].num_calls - 2, "neither the baseline nor the composed module"
    assert trusting.evaluator.num_compilations == measured.evaluator.num_compilations == 8
    composed = [trial for trial in measured.evaluator.trials if trial.plan.parts]
    (predicted,) = (trial for trial in trusting.evaluator.trials if trial.plan.parts)
    if not composed:  # it promised nothing, and a list was tried in its place
        assert trusting.cost(predicted) >= min(map(trusting.cost, trusting.evaluator.trials))
        composed = measured.evaluator.evaluate([predicted.plan])
    assert predicted.plan == composed[0].plan
    assert trusting.cost(predicted) == pytest.approx(measured.cost(composed[0]), rel=0.01)


def test_where_somebody_waits_lists_are_left_out_that_inline_nothing(
    pool: WorkerPool, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a module that can't be made of pieces, once one of them made it much larger."""

    def no_families(*_: object) -> list[FunctionSearch]:
        return []

    monkeypatch.setattr("irwright.search.families_of", no_families)
    texts = ("inline", "sroa", "sroa,early-cse", "default<O2>", "early-cse")
    lists = tuple(Plan(base=PassList.parse(text, llvm_major=MAJOR)) for text in texts)
    for gain, limit, tried in ((0.0, 0.0, texts), (0.001, 0.0, ("inline", "sroa", "default<O2>")), (0.001, 9.0, texts)):
        monkeypatch.setattr("irwright.task.MUCH_LARGER", limit)
        task = task_on(pool, seeds.bitcode("numbers"), budget=5, coreset=Coreset(lists=lists))
        task.least_gain = gain
        search(task, "coreset")
        assert [str(trial.plan.base) for trial in task.evaluator.trials if trial != task.baseline] == list(tried)
        assert task.left == 0
