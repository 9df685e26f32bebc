"""How code is generated: the smallest way of each function, found with two compilations, and never at a loss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conftest import Seeds
from irwright.llvm.builds import OK
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.worker import WorkerPool
from irwright.lowering import FEWEST, WAYS, best_ways, lower, lower_best, lower_oz, lowers, of_oz
from irwright.measure import Sizes
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.trials import Trial
from test_search import baseline_of, task_on

LIST = Plan(base=PassList.parse("sroa,early-cse,simplifycfg"))


def measured(plan: Plan, **sizes: int) -> Trial:
    functions = {name: FunctionSize(size, 0, 0) for name, size in sizes.items()}
    total = Sizes(text=sum(sizes.values()), rodata=0, unwind=0, data=0, bss=0, functions=functions)
    return Trial(plan=plan, outcome=OK, sizes=total)


def test_functions_that_stay_as_they_are_are_not_named() -> None:
    lowered = lower(LIST, {"g": ("optsize",), "f": ("frame",), "h": ()})
    assert lowered == replace(LIST, lowerings=(("f", ("frame",)), ("g", ("optsize",))))
    assert lower(LIST, {"h": ()}) == LIST


def test_each_function_gets_the_way_in_which_it_was_smallest() -> None:
    trials = [
        measured(LIST, f=9, g=9, h=9),
        measured(replace(LIST, lowering=("frame",)), f=8, g=10, h=9),
        replace(measured(LIST), sizes=None),
        measured(lower(LIST, {"f": ("optsize",), "g": ("optsize",)}), f=8, g=7, h=9),
    ]
    assert best_ways(trials) == {"f": ("frame",), "g": ("optsize",), "h": ()}
    assert best_ways([]) == {}


def test_two_compilations_find_what_frame_pointers_save(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=9)
    assert lowers(task) and not lowers(task_on(pool, seeds.bitcode("machine"), counts="paper"))
    task.start()
    trials = lower_oz(task)
    assert len(trials) == 1 + FEWEST == 1 + task.evaluator.num_compilations
    everywhere, chosen = trials[1:]
    assert set(dict(everywhere.plan.lowerings).values()) == {WAYS[0]}
    assert 0 < len(chosen.plan.lowerings) < len(everywhere.plan.lowerings)
    assert task.cost(chosen) < min(task.cost(everywhere), baseline_of(task))
    assert chosen.sizes is not None
    expected = {
        name: min(trial.sizes.functions[name] for trial in trials[:2] if trial.sizes) for name in chosen.sizes.functions
    }
    assert {name: size.total for name, size in chosen.sizes.functions.items()} == {
        name: min(trial.sizes.functions[name].total for trial in trials[:2] if trial.sizes) for name in expected
    }


def test_what_every_whole_plan_ends_with_stands_before(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=9)
    task.start()
    task.finish = PassList.parse("mergefunc")
    assert [trial.plan.finish for trial in lower_oz(task)[1:]] == [task.finish] * FEWEST


def test_nothing_is_spent_on_what_is_known(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=9)
    task.start()
    assert lower_oz(task, {}) == [task.baseline]
    assert len(lower_oz(task, at_most=1)) == 2
    lower_best(task, {})
    assert task.evaluator.num_compilations == 1


@pytest.mark.parametrize(("plan", "spent"), [(LIST, 1), (replace(LIST, lowering=("frame",)), 0), (Plan(parts=()), 1)])
def test_the_best_list_gets_the_ways_that_are_known(pool: WorkerPool, seeds: Seeds, plan: Plan, spent: int) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=9)
    task.start()
    ways = best_ways(lower_oz(task))
    before = task.evaluator.num_compilations
    task.best = task.evaluator.evaluate([plan], free=True)[0]
    lower_best(task, ways)
    assert task.evaluator.num_compilations == before + spent
    assert of_oz(task).is_a_default_pipeline


def test_a_kept_compilation_is_not_spent(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=7)
    with task.keeping(2):
        assert task.left == 5
    assert task.left == 7
