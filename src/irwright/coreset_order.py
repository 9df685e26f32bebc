"""The order of a coreset: what the first k plans save together, from what a broadcast measured.

Greedy, in both parts of the table (monotone and submodular, so a greedy order is within 1 - 1/e of the best set at
every k), and then, for each budget, how many whole lists come before the pieces. What is maximised is the mean of
two gains: bytes over all modules, and the mean of the modules' own shares.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from irwright.function_search import reached
from irwright.llvm.pieces import Promoted
from irwright.plan import Plan
from irwright.task import Coreset
from irwright.trials import FunctionTrial, Trial

log = logging.getLogger(__name__)

STARTS = (0, 1, 2, 4)
"""whole lists taken as tried before the first piece; the order that saves most is kept"""

FIRST_LISTS = 2
"""whole lists that come before any piece: what only a list does to a module as a whole, no piece can make good"""

MAX_ANCHORS = 6
"""compositions of a module that are followed at a time"""

NO_COMPOSITION = 10.0
"""the cost of a composition of no plans: above that of any of one plan"""

COUNTED_BUDGETS = 16
"""the budgets, from 1, whose gains choose among the starts"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastRow:
    """What the broadcast measured on one module."""

    lists: list[float]
    """cost of each list as a share of the baseline, at most 1"""
    baseline: Trial
    pieces: list[FunctionTrial] | None
    promoted: dict[str, Promoted]

    @property
    def total(self) -> int:
        """Bytes of the baseline."""
        assert self.baseline.sizes is not None
        return self.baseline.sizes.total


def order_table(
    lists: Sequence[Plan], pieces: Sequence[Plan], rows: Sequence[BroadcastRow], *, num_lists: int, num_pieces: int
) -> Coreset:
    """The table: both parts in order, at most so many, and for each budget the number of lists that come first."""
    weights = weights_of([row.total for row in rows])
    ordered_lists = greedy_lists(lists, [row.lists for row in rows], weights, num_lists)
    at = {plan: index for index, plan in enumerate(lists)}
    after_lists = [[1.0] * len(rows)]
    for plan in ordered_lists:
        after_lists.append([min(cost, row.lists[at[plan]]) for cost, row in zip(after_lists[-1], rows, strict=True)])
    best: tuple[float, list[Plan], list[list[float]]] | None = None
    for start in STARTS:
        if start < len(after_lists):
            order, after_pieces = greedy_pieces(pieces, rows, weights, num_pieces, after_lists[start])
            gains = _gains(after_lists, after_pieces, weights)
            counts = lists_by_budget(gains)
            saved = sum(row[count] for row, count in zip(gains[:COUNTED_BUDGETS], counts, strict=False))
            if best is None or saved > best[0] + 1e-12:
                best = (saved, order, after_pieces)
    assert best is not None
    _, ordered_pieces, after_pieces = best
    gains = _gains(after_lists, after_pieces, weights)
    counts = lists_by_budget(gains)
    saved_by_budget = (100 * row[count] for row, count in zip(gains, counts, strict=True))
    log.info("saved with 1, 2, 3 ... compilations: %s %%", ", ".join(f"{saved:.2f}" for saved in saved_by_budget))
    return Coreset(lists=tuple(ordered_lists), pieces=tuple(ordered_pieces), lists_first=tuple(counts))


def lists_by_budget(gains: Sequence[Sequence[float]]) -> list[int]:
    """For each budget from 1, how many whole lists come first; a row of `gains` is a budget, a column a count.

    A larger budget tries all that a smaller one tried, and one thing more, a list or a piece, whichever gains more:
    no file is worse off with more compilations. (But for one list, where pieces begin: that takes two compilations.)
    """
    counts: list[int] = []
    for budget, row in enumerate(gains, 1):
        if budget <= FIRST_LISTS + 1:
            counts.append(min(budget, len(row) - 1))
        elif budget == FIRST_LISTS + 2:
            counts.append(min(FIRST_LISTS, len(row) - 1))
        else:
            known = counts[-1]
            counts.append(known + 1 if known + 1 < len(row) and row[known + 1] > row[known] else known)
    return counts


def weights_of(totals: Sequence[int]) -> list[float]:
    """What each module counts: half as one of so many, half by its bytes; the sum is 1."""
    return [0.5 / len(totals) + 0.5 * total / sum(totals) for total in totals]


def _gains(
    after_lists: Sequence[Sequence[float]], after_pieces: Sequence[Sequence[float]], weights: Sequence[float]
) -> list[list[float]]:
    """For each budget from 1 what is saved with 0, 1, ... whole lists first; the composition costs a compilation."""
    rows: list[list[float]] = []
    for budget in range(1, len(after_lists) + len(after_pieces) - 1):
        row: list[float] = []
        for count in range(min(budget, len(after_lists) - 1) + 1):
            pieces = after_pieces[min(max(0, budget - count - 1), len(after_pieces) - 1)]
            pairs = zip(weights, after_lists[count], pieces, strict=True)
            row.append(sum(weight * (1 - min(costs)) for weight, *costs in pairs))
        rows.append(row)
    return rows


def greedy_lists(
    plans: Sequence[Plan], rows: Sequence[Sequence[float]], weights: Sequence[float], count: int
) -> list[Plan]:
    """Order plans so that every prefix saves most; a row holds the cost of each plan on one module."""
    best = [1.0] * len(rows)
    left = list(range(len(plans)))
    order: list[Plan] = []
    while left and len(order) < count:
        gains = {
            i: sum(weight * max(0.0, known - row[i]) for weight, known, row in zip(weights, best, rows, strict=True))
            for i in left
        }
        chosen = max(left, key=lambda i: (gains[i], -i))
        if gains[chosen] <= 1e-9:
            break
        best = [min(known, row[chosen]) for known, row in zip(best, rows, strict=True)]
        order.append(plans[chosen])
        left.remove(chosen)
    return order


def greedy_pieces(
    plans: Sequence[Plan], rows: Sequence[BroadcastRow], weights: Sequence[float], count: int, known: Sequence[float]
) -> tuple[list[Plan], list[list[float]]]:
    """Order plans in pieces by what modules composed of the first k save beyond the costs `known` already.

    A composition is taken to keep the static functions that one of its plans reaches (the anchor), and for each
    function the smallest chosen plan that calls no other. Also returns the costs of the compositions of the first
    0, 1, 2 ... plans on each module.
    """
    groups = [_PieceTable.of(plans, row) for row in rows]
    costs = [[1.0] * len(rows)]

    def gain(candidate: int) -> float:
        total = 0.0
        for group, weight, before, start in zip(groups, weights, costs[-1], known, strict=True):
            cost = min((table.cost_with(candidate) for table in group if table.has(candidate)), default=1.0)
            total += weight * max(0.0, min(before, start) - cost)
        return total

    # Gains only shrink as plans are chosen (nearly: a new anchor may help one), so an old gain that is not the
    # largest need not be computed again.
    heap = [(-gain(candidate), candidate) for candidate in range(len(plans))]
    heapq.heapify(heap)
    order: list[int] = []
    fresh: set[int] = set(range(len(plans)))
    while heap and len(order) < count:
        negative, chosen = heapq.heappop(heap)
        if chosen not in fresh:
            fresh.add(chosen)
            heapq.heappush(heap, (-gain(chosen), chosen))
            continue
        if negative >= -1e-9:
            break
        for group in groups:
            for table in group:
                if table.has(chosen):
                    table.add(chosen)
        costs.append([min((table.cost for table in group), default=1.0) for group in groups])
        order.append(chosen)
        fresh.clear()
    return [plans[index] for index in order], costs


def order_for_large(lists: Sequence[Plan], pieces: Sequence[Plan], rows: Sequence[BroadcastRow]) -> Coreset:
    """The plans in an order for large modules, of which a few have tried a few plans; the others follow behind.

    No preparation suits all large modules, and a composition of one has to hold several plans before it is smaller
    than -Oz at all, which a greedy order over all plans does not see. So lists and the plans of each preparation are
    ordered by themselves, and then merged: of all ways to take them in turn, the one with the largest sum of gains.
    """
    weights = weights_of([row.total for row in rows])
    tried = {index for row in rows for index, trial in enumerate(row.pieces or ()) if trial.outcome.ok}
    ordered_lists = greedy_lists(lists, [row.lists for row in rows], weights, len(lists))
    at = {plan: index for index, plan in enumerate(lists)}
    after_lists = [[1.0] * len(rows)]
    for plan in ordered_lists:
        after_lists.append([min(cost, row.lists[at[plan]]) for cost, row in zip(after_lists[-1], rows, strict=True)])
    orders, costs = [ordered_lists], [after_lists]
    for preparation in dict.fromkeys(pieces[index].preparation for index in sorted(tried)):
        indices = [index for index in sorted(tried) if pieces[index].preparation == preparation]
        order, after = _greedy_family([_PieceTable(pieces, row, preparation) for row in rows], indices, weights)
        orders.append([pieces[index] for index in order])
        costs.append(after)
    path = _merge(costs, weights)
    steps = [orders[part][number] for part, number in path]
    first_lists = [plan for plan in steps if plan in at]
    first_pieces = [plan for plan in steps if plan not in at]
    counts: list[int] = []
    for budget in range(1, len(steps) + 2):
        taken = steps[:budget]
        if any(plan not in at for plan in taken):
            taken = steps[: budget - 1]  # the composition costs one
        counts.append(sum(plan in at for plan in taken))
    return Coreset(
        lists=tuple(dict.fromkeys([*first_lists, *lists])),
        pieces=tuple(dict.fromkeys([*first_pieces, *pieces])),
        lists_first=tuple(counts),
    )


def _greedy_family(
    tables: Sequence[_PieceTable], indices: Sequence[int], weights: Sequence[float]
) -> tuple[list[int], list[list[float]]]:
    """Plans of one preparation in greedy order, and the costs of compositions of the first 0, 1, 2 ... of them."""
    for table in tables:
        table.cost = NO_COMPOSITION
    order: list[int] = []
    costs = [[NO_COMPOSITION] * len(tables)]
    left = list(indices)

    def cost(index: int) -> float:
        pairs = zip(weights, tables, strict=True)
        return sum(weight * (table.cost_with(index) if table.has(index) else table.cost) for weight, table in pairs)

    while left:
        chosen = min(left, key=lambda index: (cost(index), index))
        left.remove(chosen)
        for table in tables:
            if table.has(chosen):
                table.add(chosen)
        order.append(chosen)
        costs.append([table.cost for table in tables])
    return order, costs


def _merge(costs: Sequence[Sequence[Sequence[float]]], weights: Sequence[float]) -> list[tuple[int, int]]:
    """(part, number) of each step of the best way to take the plans of several ordered parts in turn.

    `costs` holds for each part the costs on every module after its first 0, 1, 2 ... plans.
    """

    def gain(state: tuple[int, ...]) -> float:
        parts = zip(*(part[taken] for part, taken in zip(costs, state, strict=True)), strict=True)
        return sum(weight * (1 - min(1.0, *options)) for weight, options in zip(weights, parts, strict=True))

    start = (0,) * len(costs)
    best: dict[tuple[int, ...], tuple[float, list[tuple[int, int]]]] = {start: (0.0, [])}
    for _ in range(sum(len(part) - 1 for part in costs)):
        following: dict[tuple[int, ...], tuple[float, list[tuple[int, int]]]] = {}
        for state, (total, path) in best.items():
            for part, taken in enumerate(state):
                if taken + 1 < len(costs[part]):
                    after = (*state[:part], taken + 1, *state[part + 1 :])
                    value = total + gain(after)
                    if after not in following or value > following[after][0] + 1e-12:
                        following[after] = (value, [*path, (part, taken)])
        best = following
    ((_, path),) = best.values()
    return path


class _PieceTable:
    """Function sizes of the plans of one preparation on one module, and the best composition so far."""

    def __init__(self, plans: Sequence[Plan], row: BroadcastRow, preparation: str) -> None:
        assert row.pieces is not None and row.baseline.sizes is not None
        promoted = row.promoted[preparation]
        self.row = row
        self.total = row.total
        self.others = self.total - sum(size.total for size in row.baseline.sizes.functions.values())
        statics = frozenset(promoted.functions)
        self.sizes: dict[int, dict[str, int]] = {}
        self.calls: dict[int, dict[str, frozenset[str]]] = {}
        self.reached: dict[int, frozenset[str]] = {}
        for index, (plan, trial) in enumerate(zip(plans, row.pieces, strict=True)):
            if plan.preparation == preparation and trial.outcome.ok:
                self.sizes[index] = {name: size.total for name, size in trial.sizes.items()}
                self.calls[index] = {name: names & statics for name, names in trial.references.items()}
                called = {name: trial.references.get(name, frozenset()) for name in trial.sizes}
                self.reached[index] = frozenset(reached(promoted.roots, called))
        self.chosen: dict[int, dict[str, int]] = {}
        """anchor -> function -> smallest size among the chosen plans"""
        self.cost = 1.0

    @classmethod
    def of(cls, plans: Sequence[Plan], row: BroadcastRow) -> list[_PieceTable]:
        return [cls(plans, row, preparation) for preparation in row.promoted] if row.pieces is not None else []

    def has(self, index: int) -> bool:
        return index in self.sizes

    def _fitting(self, anchor: int, index: int) -> dict[str, int]:
        """Sizes of a plan's functions that may stand in the composition of an anchor."""
        reached, calls, sizes = self.reached[anchor], self.calls[index], self.sizes[index]
        return {name: sizes[name] for name in reached if name in sizes and calls.get(name, reached) <= reached}

    def _share(self, sizes: dict[str, int]) -> float:
        return min(1.0, (self.others + sum(sizes.values())) / self.total)

    def _merged(self, anchor: int, index: int) -> dict[str, int]:
        merged = dict(self.chosen[anchor])
        for name, size in self._fitting(anchor, index).items():
            if size < merged.get(name, size + 1):
                merged[name] = size
        return merged

    def _as_anchor(self, index: int) -> dict[str, int]:
        best = self._fitting(index, index)
        for other in self.chosen:
            for name, size in self._fitting(index, other).items():
                if size < best.get(name, size + 1):
                    best[name] = size
        return best

    def cost_with(self, index: int) -> float:
        """The share of the baseline that is left with this plan added."""
        shares = [self._share(self._merged(anchor, index)) for anchor in self.chosen]
        return min(self.cost, self._share(self._as_anchor(index)), *shares)

    def add(self, index: int) -> None:
        merged = {anchor: self._merged(anchor, index) for anchor in self.chosen}
        merged[index] = self._as_anchor(index)
        best = sorted(merged, key=lambda anchor: (self._share(merged[anchor]), anchor))[:MAX_ANCHORS]
        self.chosen = {anchor: merged[anchor] for anchor in best}
        self.cost = min(self.cost, *(self._share(sizes) for sizes in merged.values()))
