"""Shortening lists and plans: nothing that pays is lost, what does not pay goes, within the budget."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from irwright.evaluator import Evaluator
from irwright.measure import PROTOCOLS
from irwright.minimise import minimise, minimise_plan, minimise_steps
from irwright.pass_items import Pass
from irwright.passes import PassList
from irwright.plan import Plan


class Cost:
    """Counts evaluations; the list is as cheap as it holds the wanted passes in this order."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted.split(",")
        self.asked: list[PassList] = []

    def __call__(self, passes: PassList) -> int:
        self.asked.append(passes)
        names = iter(one.name for one in passes.passes())
        return sum(all(name != other for other in names) for name in self.wanted)


def test_minimise_keeps_what_pays_and_asks_once() -> None:
    wanted = "sroa,gvn,inline"
    noise = PassList.sample(random.Random(4), length=50).items
    passes = PassList((*noise[:17], Pass("sroa"), *noise[17:30], Pass("gvn"), *noise[30:], Pass("inline")))
    cost = Cost(wanted)
    assert str(minimise(passes, cost)) == wanted
    assert len(cost.asked) == len(set(cost.asked)) < 60


def test_minimise_drops_parameters_that_do_not_pay() -> None:
    passes = PassList.parse(
        "gvn<no-load-pre>,cgscc(inline<only-mandatory>,function(simplifycfg<no-keep-loops>)),default<O3>"
    )

    def cost(passes: PassList) -> int:
        return -len(passes) - ("no-keep-loops" in str(passes))

    assert str(minimise(passes, cost, sort=False)) == (
        "function(gvn),cgscc(inline,function(simplifycfg<no-keep-loops>)),default<O3>"
    )


def test_minimise_sorts_where_the_order_is_free() -> None:
    assert str(minimise(PassList.parse("sroa,gvn,dce"), lambda passes: -len(passes))) == "dce,gvn,sroa"
    # sroa before dce pays, adce may go anywhere
    assert str(minimise(PassList.parse("sroa,dce,adce"), lambda p: 9 * Cost("sroa,dce")(p) - len(p))) == "adce,sroa,dce"
    assert str(minimise(PassList.parse("sroa,dce,adce"), lambda passes: -len(passes), sort=False)) == "sroa,dce,adce"


def test_minimise_reaches_into_groups() -> None:
    passes = PassList.parse("globalopt,cgscc(devirt<4>(inline,function(sroa,dce,gvn))),adce")
    assert str(minimise(passes, Cost("inline,gvn"))) == "cgscc(devirt<4>(inline,function(gvn)))"


def test_minimise_inserts_what_helps() -> None:
    candidates = [Pass("adce"), Pass("gvn")]
    assert str(minimise(PassList.parse("sroa,dce"), Cost("sroa,gvn"), insert=candidates)) == "sroa,gvn"


def test_minimise_never_returns_a_worse_list_and_stays_within_the_budget() -> None:
    passes = PassList.sample(random.Random(9), length=40)
    whole = Cost("sroa,gvn,inline")(passes)
    for budget in range(0, 60, 7):
        cost = Cost("sroa,gvn,inline")
        short = minimise(passes, cost, max_evaluations=budget)
        assert len(cost.asked) <= budget
        assert Cost("sroa,gvn,inline")(short) <= whole
        assert len(short) <= len(passes)


def test_minimise_steps_takes_costs_from_outside_and_failures_as_infinite() -> None:
    steps = minimise_steps(PassList.parse("sroa,gvn,dce"))
    asked = next(steps)
    try:
        while True:
            holds_gvn = any(one.name == "gvn" for one in asked.passes())
            asked = steps.send(1 if holds_gvn else math.inf)
    except StopIteration as stop:
        assert str(stop.value) == "gvn"


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_minimised_lists_cannot_lose_another_pass(seed: int) -> None:
    rng = random.Random(seed)
    cost = Cost(",".join(one.name for one in PassList.sample(rng, length=3).passes()))
    short = minimise(PassList.sample(rng, length=(5, 40)), cost)
    assert all(cost(short.without(at)) > cost(short) for at in range(len(short)))


class PlanCosts:
    """An evaluator whose plans are as cheap as `cost` says."""

    protocol = PROTOCOLS["oz"]

    def __init__(self, cost: Callable[[Plan], float]) -> None:
        self.cost = cost

    def evaluate(self, plans: Sequence[Plan]) -> list[Any]:
        return [SimpleNamespace(cost=lambda _protocol, plan=plan: self.cost(plan)) for plan in plans]


def shortened(plan: Plan, cost: Callable[[Plan], float]) -> Plan:
    return minimise_plan(plan, cast(Evaluator, PlanCosts(cost)))


def test_a_plan_of_one_list_is_shortened_as_a_list() -> None:
    plan = Plan(base=PassList.parse("sroa,globalopt"), tail=PassList.parse("gvn,dce"))
    assert shortened(plan, lambda plan: Cost("sroa,dce")(plan.as_list())) == Plan(base=PassList.parse("sroa,dce"))


def test_lists_of_a_plan_in_pieces_are_shortened_and_those_of_functions_stay() -> None:
    def part(base: str, function: str) -> Plan:
        return Plan(base=PassList.parse(base), tails=((function, PassList.parse("adce,dce")),), preparation="raw")

    plan = Plan(parts=(part("sroa,gvn", "f"), part("gvn,sroa", "g")), finish=PassList.parse("globalopt,constmerge"))

    def cost(plan: Plan) -> float:
        first, second = plan.parts
        return Cost("gvn")(first.base) + Cost("sroa")(second.base) + Cost("constmerge")(plan.finish)

    assert shortened(plan, cost) == Plan(
        parts=(part("gvn", "f"), part("sroa", "g")), finish=PassList.parse("constmerge")
    )
