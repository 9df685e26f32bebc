"""Joins of the best plans: what is made, in which order, nothing twice, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conftest import Seeds
from irwright.coreset import load_coreset
from irwright.feedback.knowledge import load_knowledge
from irwright.feedback.moves import FIRST, LONGEST, is_turn, joined, make_move
from irwright.feedback.search import Alone, described
from irwright.llvm.worker import WorkerPool
from irwright.passes import PassList
from irwright.plan import Plan
from test_feedback_search import alone

LIST = Plan(base=PassList.parse("iroutliner,cgscc(devirt<4>(inline,function(sroa))),function(early-cse),gvn"))
SHORT = Plan(base=PassList.parse("dse,sroa"))
PIECE = Plan(preparation="raw", inline="oz", base=PassList.parse("inline"), tail=PassList.parse("instcombine"))
OTHER = Plan(preparation="raw", tail=PassList.parse("licm"))


def test_what_stands_behind_is_of_functions_alone() -> None:
    assert joined(SHORT, LIST) == Plan(base=PassList.parse("dse,sroa,early-cse,gvn"))
    assert joined(PIECE, LIST) == replace(PIECE, tail=PassList.parse("instcombine,early-cse,gvn"))
    assert joined(LIST, PIECE) == Plan(base=PassList((*LIST.base.items, *PassList.parse("instcombine").items)))


def test_the_first_says_how_code_is_generated() -> None:
    frame = ("frame",)
    assert joined(replace(SHORT, lowering=frame), LIST) == Plan(
        base=PassList.parse("dse,sroa,early-cse,gvn"), lowering=frame
    )
    assert joined(SHORT, replace(PIECE, lowering=frame)).lowering == ()
    assert joined(replace(PIECE, lowering=frame), SHORT).lowering == frame


def test_moves_in_order_and_none_twice() -> None:
    tried = [PIECE, OTHER, SHORT]
    made: list[Plan] = []
    while (plan := make_move([PIECE, OTHER, SHORT], LIST, tried)) is not None:
        made.append(plan)
        tried.append(plan)
    assert made == [
        joined(PIECE, OTHER),
        joined(PIECE, LIST),
        joined(OTHER, PIECE),
        joined(PIECE, SHORT),
        replace(PIECE, tail=OTHER.tail),
        replace(OTHER, tail=PIECE.tail),
    ]
    assert make_move([PIECE], LIST, []) is None
    assert make_move([SHORT, LIST], None, [joined(SHORT, LIST)]) == joined(LIST, SHORT)


def test_nothing_grows_without_end() -> None:
    long = Plan(base=PassList.parse(",".join(["gvn"] * LONGEST)))
    assert make_move([long, SHORT], None, []) is None


@pytest.mark.parametrize("budget", [FIRST, 9])
def test_they_take_turns_with_what_is_foretold(pool: WorkerPool, seeds: Seeds, budget: int) -> None:
    knowledge = load_knowledge("oz", 22)
    assert knowledge is not None
    task = alone(pool, seeds, budget)
    task.coreset = load_coreset("oz", 22)
    task.start()
    search = Alone(task, knowledge, *described(task).values())
    known = {search.whole(plan) for plan in knowledge.plans if plan is not None and search.fits(plan)}
    foretold: list[bool] = []
    while task.left and (plan := search.next()) is not None:
        foretold.append(plan in known)
        for trial in task.run([plan]):
            search.observe(trial)
    assert foretold == [not is_turn(number) for number in range(budget)]
