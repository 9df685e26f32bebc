"""Choosing a build for every function: together they are smallest, static functions that nobody calls left out."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from irwright.function_search import FunctionSearch, reached
from irwright.llvm.builds import OK
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.pieces import Promoted
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.task import Task
from irwright.trials import FunctionTrial

PLANS = [Plan(preparation="raw", tail=PassList.parse(text)) for text in ("sroa", "gvn", "dse")]


@dataclass
class Fake:
    """What a search asks of a task beside measurements."""

    llvm_major: int = 22
    rng: random.Random = field(default_factory=random.Random)
    finish: PassList = field(default_factory=PassList)

    @property
    def evaluator(self) -> Fake:
        return self


def search_over(statics: tuple[str, ...], roots: tuple[str, ...]) -> FunctionSearch:
    promoted = Promoted(functions=statics, data=(), all_functions=(*roots, *statics), roots=roots, inlined={})
    return FunctionSearch(cast(Task, Fake()), promoted, PLANS)


def trial(plan: Plan, sizes: Mapping[str, int], calls: Mapping[str, str]) -> FunctionTrial:
    return FunctionTrial(
        plan=plan,
        outcome=OK,
        sizes={name: FunctionSize(size, 0, 0) for name, size in sizes.items()},
        references={name: frozenset(calls.get(name, "").split()) for name in sizes},
    )


def test_functions_are_reached_through_what_is_there() -> None:
    called = {"main": ["a", "gone"], "a": ["b", "main"], "b": [], "c": ["a"]}
    assert reached(["main", "elsewhere"], called) == {"main", "a", "b"}


def test_each_function_gets_its_smallest() -> None:
    search = search_over((), ("f", "g"))
    search.add([trial(PLANS[0], {"f": 10, "g": 30}, {}), trial(PLANS[1], {"f": 20, "g": 15}, {})])
    assert {name: (choice.size, choice.tail) for name, choice in search.choose().items()} == {
        "f": (10, PLANS[0].tail),
        "g": (15, PLANS[1].tail),
    }
    assert search.predicted() == 25


def test_a_static_function_goes_where_all_callers_do_without_it() -> None:
    """Inlined, each caller is larger by less than its share of the function."""
    search = search_over(("s",), ("f", "g"))
    search.add([trial(PLANS[0], {"f": 10, "g": 10, "s": 30}, {"f": "s", "g": "s"})])
    search.add([trial(PLANS[1], {"f": 18, "g": 18}, {})])
    assert set(search.choose()) == {"f", "g"} and search.predicted() == 36


def test_so_it_is_in_modules_too_large_to_try_one_function_after_the_other() -> None:
    """A thousand callers of a static function each, which one plan inlines and another does not."""
    names = [f"f{number}" for number in range(1000)]
    statics = [f"s{number}" for number in range(1000)]
    search = search_over(tuple(statics), tuple(names))
    calls = {name: f"s{number}" for number, name in enumerate(names)}
    search.add([trial(PLANS[0], {**dict.fromkeys(names, 10), **dict.fromkeys(statics, 9)}, calls)])
    search.add([trial(PLANS[1], dict.fromkeys(names, 15), {})])
    # The third finds smaller bodies for half of them, with the calls in place.
    search.add([trial(PLANS[2], {**dict.fromkeys(names[::2], 14), **dict.fromkeys(statics, 9)}, calls)])
    assert search.predicted() == 15 * 1000
    plan = search.plan()
    assert plan is not None and [part.tails[0][1] for part in plan.parts] == [PLANS[1].tail]
