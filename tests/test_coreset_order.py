"""The order of a coreset: greedy, weighted by module and byte, with the number of whole lists for each budget."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from irwright.coreset_order import (
    BroadcastRow,
    greedy_lists,
    greedy_pieces,
    lists_by_budget,
    order_for_large,
    order_table,
    weights_of,
)
from irwright.llvm.builds import OK, Outcome, OutcomeKind
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.pieces import Promoted
from irwright.measure import Sizes
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.trials import FunctionTrial, Trial

PLANS = [Plan(base=PassList.parse(text)) for text in ("sroa", "gvn", "dse", "adce", "instcombine")]
COSTS = [
    [0.90, 0.99, 1.00, 0.80, 1.00],
    [0.95, 0.70, 1.00, 1.00, 1.00],
    [0.90, 1.00, 0.99, 1.00, 1.00],
    [0.92, 1.00, 1.00, 0.99, 1.00],
]
"""cost of each plan on each of four modules"""

EQUAL = [0.25] * 4

PIECES = [Plan(preparation="raw", tail=PassList.parse(text)) for text in ("sroa", "gvn", "dse")]


def savings(order: Sequence[Plan], rows: Sequence[Sequence[float]]) -> list[float]:
    """What the first k plans save together, for each k."""
    at = [PLANS.index(plan) for plan in order]
    return [sum(1 - min(1.0, *(row[i] for i in at[:k])) for row in rows) for k in range(1, len(at) + 1)]


def row(lists: Sequence[float], pieces: Sequence[dict[str, int]], *, functions: dict[str, int]) -> BroadcastRow:
    """A module of these functions and 100 bytes more, on which each plan in pieces gave functions these sizes."""
    sizes = {name: FunctionSize(size, 0, 0) for name, size in functions.items()}
    total = 100 + sum(functions.values())
    whole = Sizes(text=total, rodata=0, unwind=0, data=0, bss=0, functions=sizes)
    names = tuple(functions)
    promoted = Promoted(functions=(), data=(), all_functions=names, roots=names, inlined={})
    trials = [
        FunctionTrial(
            plan=plan,
            outcome=OK,
            sizes={name: FunctionSize(size, 0, 0) for name, size in measured.items()},
            references={name: frozenset() for name in measured},
        )
        for plan, measured in zip(PIECES, pieces, strict=True)
    ]
    baseline = Trial(plan=Plan(), outcome=OK, sizes=whole)
    return BroadcastRow(lists=list(lists), baseline=baseline, pieces=trials, promoted={"raw": promoted})


# ---- whole lists


def test_the_greedy_order_begins_with_the_best_and_never_loses() -> None:
    order = greedy_lists(PLANS, COSTS, EQUAL, count=10)
    assert order == [PLANS[0], PLANS[1], PLANS[3]], "what saves nothing more is left out"
    saved = savings(order, COSTS)
    assert saved == sorted(saved)
    alone = [savings([plan], COSTS)[0] for plan in PLANS]
    assert saved[0] == max(alone)
    assert greedy_lists(PLANS, COSTS, EQUAL, count=2) == order[:2], "a smaller table is the beginning of a larger one"
    assert greedy_lists(PLANS, [], [], count=3) == []


def test_modules_count_by_their_weight() -> None:
    assert greedy_lists(PLANS, COSTS, [0.1, 0.7, 0.1, 0.1], count=1) == [PLANS[1]]
    assert weights_of([100, 300]) == [0.375, 0.625], "half as one of two, half by bytes"


def test_greedy_gains_shrink_on_random_tables() -> None:
    """Submodular: each plan added saves no more than the one before it."""
    for seed in range(30):
        rng = random.Random(seed)
        rows = [[min(1.0, rng.uniform(0.7, 1.2)) for _ in PLANS] for _ in range(6)]
        saved = [0.0, *savings(greedy_lists(PLANS, rows, [1 / 6] * 6, count=5), rows)]
        gains = [after - before for before, after in itertools.pairwise(saved)]
        assert all(gain > 0 for gain in gains)
        assert gains == sorted(gains, reverse=True)


# ---- pieces, and both together

TWO = [
    row([1.0] * 5, [{"f": 90, "g": 200}, {"f": 100, "g": 150}, {"f": 95, "g": 190}], functions={"f": 100, "g": 200}),
    row([0.9] + [1.0] * 4, [{"h": 100}, {"h": 99}, {"h": 50}], functions={"h": 100}),
]


def test_pieces_are_ordered_by_the_modules_made_of_them() -> None:
    order, costs = greedy_pieces(PIECES, TWO, [0.5, 0.5], 10, [1.0, 1.0])
    assert order == [PIECES[2], PIECES[1], PIECES[0]]
    assert costs[0] == [1.0, 1.0]
    assert costs[1] == pytest.approx([385 / 400, 150 / 200])
    assert costs[2] == pytest.approx([345 / 400, 150 / 200]), "f of the third plan, g of the second"
    assert costs[3] == pytest.approx([340 / 400, 150 / 200])
    order, costs = greedy_pieces(PIECES, TWO, [0.5, 0.5], 10, [1.0, 0.7])
    assert order[0] == PIECES[1], "where a list is better already, pieces save nothing"


def test_a_module_without_pieces_is_left_to_the_lists() -> None:
    whole = BroadcastRow(lists=[0.8] * 5, baseline=TWO[0].baseline, pieces=None, promoted={})
    order, costs = greedy_pieces(PIECES, [whole], [1.0], 10, [1.0])
    assert order == [] and costs == [[1.0]]
    table = order_table(PLANS, PIECES, [whole], num_lists=5, num_pieces=3)
    assert table.lists == (PLANS[0],) and not table.pieces and table.lists_first == (1,)


def test_for_each_budget_the_table_says_how_many_lists_come_first() -> None:
    table = order_table(PLANS, PIECES, TWO, num_lists=5, num_pieces=3)
    assert table.lists == (PLANS[0],)
    # There is one list. Pieces come once there is a compilation to compose with, and nothing is dropped for them.
    assert table.lists_first == (1, 1, 1, 1)
    assert [table.num_lists(budget) for budget in (1, 2, 4, 100)] == [1, 1, 1, 1]


def test_a_larger_budget_tries_all_that_a_smaller_one_tried() -> None:
    """Lists alone, then pieces beside the first two; after that a list more, or a piece more."""
    for seed in range(20):
        rng = random.Random(seed)
        after_lists = [rng.random() for _ in range(6)]
        gains = [[rng.random() + after_lists[count] for count in range(min(budget, 5) + 1)] for budget in range(1, 14)]
        counts = lists_by_budget(gains)
        assert counts[:4] == [1, 2, 3, 2]
        for budget in range(5, 14):
            before, now = counts[budget - 2], counts[budget - 1]
            row = gains[budget - 1]
            assert now in (before, before + 1)
            assert row[now] == max(row[before : before + 2])


# ---- large modules


def large_row(lists: Sequence[float], sizes: Sequence[tuple[int, int] | None]) -> BroadcastRow:
    """A module of two functions of 100 bytes and 100 more; what two `raw` plans and an `early` one make of them."""
    plain = row(lists, [dict[str, int]()] * 3, functions={"f": 100, "g": 100})
    trials = [
        FunctionTrial(
            plan=plan,
            outcome=OK if pair else Outcome(kind=OutcomeKind.TIMEOUT, detail=""),
            sizes=dict(zip("fg", (FunctionSize(size, 0, 0) for size in pair or ()), strict=False)),
            references={"f": frozenset(), "g": frozenset()},
        )
        for plan, pair in zip(BOTH, sizes, strict=True)
    ]
    return replace(plain, pieces=trials, promoted=dict.fromkeys(("raw", "early"), plain.promoted["raw"]))


BOTH = [PIECES[0], PIECES[1], Plan(preparation="early", tail=PassList.parse("dse"))]


def test_a_preparation_that_needs_two_plans_comes_before_one_that_saves_little() -> None:
    """Two raw plans, each of which spoils one function, save a third together; no greedy choice begins with one."""
    rows = [large_row([0.95], [(50, 190), (190, 50), (97, 97)])]
    table = order_for_large(PLANS[:1], BOTH, rows)
    assert table.pieces[:2] == (BOTH[0], BOTH[1]) and set(table.pieces) == set(BOTH)
    assert table.lists == (PLANS[0],) and table.lists_first[:3] == (0, 0, 0)
    assert order_table(PLANS[:1], BOTH, rows, num_lists=1, num_pieces=3).pieces[0] == BOTH[2]


def test_what_saves_most_at_once_comes_first_where_more_does_not_pay() -> None:
    rows = [large_row([0.8], [(90, 150), (150, 90), (95, 95)]), large_row([1.0], [None, None, (90, 90)])]
    table = order_for_large(PLANS[:1], BOTH, rows)
    assert table.lists_first[:3] == (1, 1, 1) and table.pieces[0] == BOTH[2]
