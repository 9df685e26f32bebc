"""Searches by outcomes: the right kind for the module, the budget kept, nothing lost where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conftest import Seeds
from irwright.coreset import load_coreset
from irwright.feedback import search as feedback_search
from irwright.feedback.features import NAMES, named_in
from irwright.feedback.knowledge import Knowledge, load_knowledge
from irwright.feedback.search import described, search_by_outcomes
from irwright.function_search import FunctionSearch
from irwright.llvm.bodies import split_text
from irwright.llvm.worker import Call, WorkerPool
from irwright.lowering import of_oz
from irwright.plan import Plan
from irwright.search import search
from irwright.task import Switches, Task
from test_search import baseline_of, task_on


@pytest.fixture(scope="module")
def known() -> Knowledge:
    knowledge = load_knowledge("oz", 22)
    assert knowledge is not None
    return knowledge


def alone(pool: WorkerPool, seeds: Seeds, budget: int) -> Task:
    """A task on one function of tests/modules/numbers.c."""
    facts = pool.add_module("whole", seeds.bitcode("numbers"), name="numbers")
    function = max(facts.functions, key=lambda name: facts.instructions_by_function[name])
    data = pool.call(Call(operation="extract", module="whole", arguments={"function": function})).unwrap("numbers")
    return task_on(pool, data, budget=budget, coreset=load_coreset("oz", 22))


def test_a_function_alone_is_tried_with_whole_plans(pool: WorkerPool, seeds: Seeds, known: Knowledge) -> None:
    task = alone(pool, seeds, 5)
    task.start()
    search_by_outcomes(task, known)
    assert task.evaluator.num_compilations == 5
    (features,) = described(task).values()
    assert len(features) == len(NAMES)


def test_a_larger_budget_tries_what_a_smaller_one_tried(pool: WorkerPool, seeds: Seeds) -> None:
    tried: list[list[Plan]] = []
    for budget in (3, 6):
        task = alone(pool, seeds, budget)
        search(task, "feedback")
        tried.append([trial.plan for trial in task.evaluator.trials])
    assert tried[1][:4] == tried[0]


def test_functions_get_tails_of_their_own(pool: WorkerPool, seeds: Seeds, known: Knowledge) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=6, coreset=load_coreset("oz", 22))
    task.start()
    search_by_outcomes(task, known)
    assert task.evaluator.num_compilations == 6
    composed = [trial for trial in task.evaluator.trials if trial.plan.parts]
    assert len(composed) == 1 and task.cost(composed[0]) < baseline_of(task)
    assert len({tail for part in composed[0].plan.parts for _, tail in part.tails}) > 1


def test_behind_a_base_that_inlines_callers_of_static_functions_keep_its_tail(
    pool: WorkerPool, seeds: Seeds, known: Knowledge
) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=8, coreset=load_coreset("oz", 22))
    task.start()
    search_by_outcomes(task, known)
    survey = task.evaluator.survey("raw")
    assert survey is not None and survey.functions
    text = split_text(task.evaluator.compile(Plan(), "ll"))
    calling = {name for name, body in text.items() if named_in(body.decode().lstrip("\n")) & set(survey.functions)}
    assert calling
    own: dict[bool, set[str]] = {False: set(), True: set()}
    for trial in task.evaluator.function_trials:
        own[bool(trial.plan.inline)].update(dict(trial.plan.tails))
    assert own[False] & calling and own[True] and not own[True] & calling


def test_a_table_cut_to_the_budget_serves_as_well(pool: WorkerPool, seeds: Seeds) -> None:
    tried: list[list[Plan]] = []
    for first in (8, None):  # as `irwright cc` reads it, and all of it
        task = task_on(pool, seeds.bitcode("machine"), budget=8, coreset=load_coreset("oz", 22, first=first))
        task.proposer = "feedback"
        search(task, "compose")
        found = task.evaluator
        tried.append([trial.plan for trial in (*found.trials, *found.function_trials)])
    assert tried[0] == tried[1]


def test_without_usable_plans_the_table_is_tried(pool: WorkerPool, seeds: Seeds, known: Knowledge) -> None:
    nothing = replace(known, plans=(None,) * known.num_plans)
    task = alone(pool, seeds, 4)
    task.start()
    search_by_outcomes(task, nothing)
    assert task.evaluator.num_compilations == 0
    task = task_on(pool, seeds.bitcode("machine"), budget=4, counts="instructions")
    search(task, "feedback")
    assert task.evaluator.num_compilations == 4


def test_knowledge_of_functions_alone_is_not_used_elsewhere(pool: WorkerPool, seeds: Seeds, known: Knowledge) -> None:
    for spent, task in ((4, alone(pool, seeds, 4)), (0, task_on(pool, seeds.bitcode("machine"), budget=4))):
        task.start()
        search_by_outcomes(task, replace(known, alone_only=True))
        assert task.evaluator.num_compilations == spent


def test_small_budgets_of_compose_ask_the_proposer(pool: WorkerPool, seeds: Seeds) -> None:
    plans: dict[str, list[Plan]] = {}
    for proposer in ("coreset", "feedback"):
        task = task_on(pool, seeds.bitcode("machine"), budget=5, coreset=load_coreset("oz", 22))
        task.proposer = proposer
        search(task, "compose")
        plans[proposer] = [trial.plan for trial in task.evaluator.trials]
        other = task_on(pool, seeds.bitcode("machine"), budget=5, coreset=load_coreset("oz", 22))
        search(other, proposer)
        assert plans[proposer] == [trial.plan for trial in other.evaluator.trials]
    assert plans["coreset"] != plans["feedback"]


def test_what_composing_does_not_need_goes_to_whole_lists(
    pool: WorkerPool, seeds: Seeds, known: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FunctionSearch, "predicted", lambda _: 1e6)
    task = task_on(pool, seeds.bitcode("machine"), budget=5, coreset=load_coreset("oz", 22))
    task.start()
    search_by_outcomes(task, known)
    assert task.evaluator.num_compilations == 5 and len(task.evaluator.function_trials) == 2
    *first, last = [trial.plan for trial in task.evaluator.trials if trial != task.baseline]
    assert [replace(plan, lowerings=()) for plan in first] == [of_oz(task)] * 2
    assert last.lowerings and replace(last, lowerings=()) == task.coreset.lists[0]


def test_lists_alone_where_that_is_asked(pool: WorkerPool, seeds: Seeds) -> None:
    machine = seeds.bitcode("machine")
    for task in (alone(pool, seeds, 6), task_on(pool, machine, budget=6, coreset=load_coreset("oz", 22))):
        task.switches = Switches(lists=True)
        search(task, "feedback")
        plans = [trial.plan for trial in (*task.evaluator.trials, *task.evaluator.function_trials)]
        parts = [part for plan in plans for part in (plan, *plan.parts)]
        assert len(plans) > 6 and not any(part.lowering or part.lowerings for part in parts)


def test_large_modules_get_the_table_and_the_ways_that_are_known(
    pool: WorkerPool, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-Oz's own in two ways, the table in its order, and the best of all with the best ways, where that is a list."""
    monkeypatch.setattr(feedback_search, "LARGEST", 0)
    task = task_on(pool, seeds.bitcode("machine"), budget=6)
    search(task, "feedback")
    assert task.evaluator.num_compilations == 6
    first, second, *table = [trial.plan for trial in task.evaluator.trials[1:]]
    assert [replace(plan, lowerings=()) for plan in (first, second)] == [of_oz(task)] * 2
    assert table[0] == task.coreset.lists[0] and task.best is not None and task.cost(task.best) < baseline_of(task)


def test_one_compilation_of_a_file_is_in_the_ways_that_are_foretold(
    pool: WorkerPool, seeds: Seeds, known: Knowledge
) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=1, coreset=load_coreset("oz", 22))
    task.start()
    search_by_outcomes(task, known)
    (trial,) = task.evaluator.trials[1:]
    assert trial.plan.lowerings and len({trial.plan.lowering_for(name) for name in task.evaluator.facts.functions}) > 1


@pytest.mark.parametrize(("gain", "spent"), [(1.0, 7), (1e-9, 8)])
def test_where_somebody_waits_rounds_that_save_little_are_the_last(
    pool: WorkerPool, seeds: Seeds, gain: float, spent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two builds of -Oz, four rounds at least, and the module of the best."""
    sizes = iter(range(10_000, 0, -10))  # that a search foresees
    monkeypatch.setattr(FunctionSearch, "predicted", lambda _: next(sizes))
    task = task_on(pool, seeds.bitcode("machine"), budget=8, coreset=load_coreset("oz", 22))
    task.least_gain, task.trusts_predictions = gain, True
    search(task, "feedback")
    assert task.evaluator.num_compilations == spent
    assert task.left == 0
