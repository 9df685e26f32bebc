"""The bandit: who earns is asked more, nothing comes twice, a model's lists are among what is tried."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conftest import Seeds
from irwright.coreset import load_coreset
from irwright.feedback.knowledge import load_knowledge
from irwright.feedback.mix import Arm, Bandit, search_by_bandit
from irwright.llvm.worker import WorkerPool
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.search import search
from test_feedback_search import alone
from test_search import task_on

USELESS = tuple(Plan(base=PassList.parse(text)) for text in ("lower-switch", "reg2mem", "mergereturn", "loop-simplify"))


def supply(plans: tuple[Plan, ...]) -> Callable[[], Plan | None]:
    left = iter(plans)
    return lambda: next(left, None)


def test_who_earns_is_asked_more(pool: WorkerPool, seeds: Seeds) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=12)
    task.start()
    table = load_coreset("oz", 22).lists
    large = tuple(Plan(base=PassList.parse(f"default<{level}>")) for level in ("O3", "O2", "O1"))
    poor, rich = Arm(supply(large)), Arm(supply(table))
    Bandit(task, [poor, rich]).run(6)
    assert rich.earned > poor.earned and rich.plays > poor.plays
    assert task.evaluator.num_compilations == 6


def test_nothing_comes_twice_and_arms_that_are_empty_leave(pool: WorkerPool, seeds: Seeds) -> None:
    task = alone(pool, seeds, 12)
    task.start()
    Bandit(task, [Arm(supply(USELESS)), Arm(supply(USELESS))]).run(12)
    assert task.evaluator.num_compilations == len(USELESS)


@pytest.mark.parametrize("whole", [False, True])
def test_a_models_lists_are_tried(pool: WorkerPool, seeds: Seeds, whole: bool) -> None:
    task = task_on(pool, seeds.bitcode("machine"), budget=6) if whole else alone(pool, seeds, 6)
    task.proposed = USELESS
    search(task, "mix")
    tried = {trial.plan for trial in task.evaluator.trials}
    assert USELESS[0] in tried and not tried.issubset(USELESS)
    assert task.evaluator.num_compilations == 6


def test_without_knowledge_table_and_model_share(pool: WorkerPool, seeds: Seeds) -> None:
    task = alone(pool, seeds, 4)
    task.start()
    task.proposed = USELESS
    search_by_bandit(task, None)
    assert task.evaluator.num_compilations == 4
    assert load_knowledge("instructions", 22) is None
