"""Shortening: the fewest passes that do what a pass list or plan does.

What is worth how much is the caller's to say: a cost for each list asked about, or an evaluator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from irwright.evaluator import Evaluator
from irwright.pass_items import Item, Pass, map_leaves
from irwright.passes import PassList
from irwright.plan import NOTHING, Plan

MINIMISE_EVALUATIONS = 100
"""at most, for each list of a plan"""


class _OutOfBudgetError(Exception):
    pass


def minimise(
    passlist: PassList,
    cost: Callable[[PassList], float],
    *,
    insert: Sequence[Item] = (),
    sort: bool = True,
    max_evaluations: int | None = None,
) -> PassList:
    """Shorten a list without raising its cost; see `minimise_steps`. `cost` is never asked twice about one list."""
    steps = minimise_steps(passlist, insert=insert, sort=sort, max_evaluations=max_evaluations)
    try:
        candidate = next(steps)
        while True:
            candidate = steps.send(cost(candidate))
    except StopIteration as stop:
        return cast(PassList, stop.value)


def minimise_steps(
    passlist: PassList,
    *,
    insert: Sequence[Item] = (),
    sort: bool = True,
    max_evaluations: int | None = None,
) -> Generator[PassList, float, PassList]:
    """Yield the lists whose cost is wanted, be sent each cost, return the shortest list found no worse than the first.

    Drops chunks, then single passes (delta debugging, Zeller 1999), then parameters; sorts by name where the cost
    allows, so that equal lists meet; with `insert`, puts candidates wherever they lower the cost; all that until
    nothing changes or the budget is used up. A list that fails costs `math.inf`.
    """
    search = _Minimiser(passlist, math.inf if max_evaluations is None else max_evaluations)
    try:
        search.best_cost = yield from search.evaluate(passlist)
        while True:
            before = search.best
            yield from search.drop()
            yield from search.drop_parameters()
            if sort:
                yield from search.sort()
            for item in insert:
                yield from search.insert(item)
            if search.best == before:
                return search.best
    except _OutOfBudgetError:
        return search.best


def minimise_plan(plan: Plan, evaluator: Evaluator) -> Plan:
    """Drop what is not needed from the lists of a plan that run on many functions."""
    return shorten_plan(plan, lambda shorter: evaluator.evaluate([shorter])[0].cost(evaluator.protocol))


def shorten_plan(plan: Plan, cost: Callable[[Plan], float], *, tails: bool = False) -> Plan:
    """The same for any cost; `tails` shortens the list of every single function too."""
    if plan.is_one_list:
        plan = Plan(base=plan.as_list())
    for index in range(len(plan.parts)):

        def put_back(part: Plan, plan: Plan = plan, index: int = index) -> Plan:
            return replace(plan, parts=(*plan.parts[:index], part, *plan.parts[index + 1 :]))

        for name in ("base", "tail"):
            plan = put_back(_minimise_list(plan.parts[index], name, cost, put_back))
        if tails:
            plan = put_back(_minimise_tails(plan.parts[index], cost, put_back))
    for name in ("base", "tail", "finish"):
        plan = _minimise_list(plan, name, cost, lambda changed: changed)
    return _minimise_tails(plan, cost, lambda changed: changed) if tails else plan


def _minimise_list(plan: Plan, name: str, cost: Callable[[Plan], float], put_back: Callable[[Plan], Plan]) -> Plan:
    """Minimise one list of `plan`, measured in the plan that `put_back` makes of it."""
    passes: PassList = getattr(plan, name)
    if not passes.items:
        return plan

    def cost_of(candidate: PassList) -> float:
        return cost(put_back(replace(plan, **{name: candidate})))

    return replace(plan, **{name: minimise(passes, cost_of, sort=False, max_evaluations=MINIMISE_EVALUATIONS)})


def _minimise_tails(plan: Plan, cost: Callable[[Plan], float], put_back: Callable[[Plan], Plan]) -> Plan:
    """Minimise the list of each function that has one of its own, all at once where that does."""
    bare = replace(plan, tails=tuple((name, NOTHING) for name, _ in plan.tails))
    if bare != plan and cost(put_back(bare)) <= cost(put_back(plan)):
        return bare
    for function, passes in plan.tails:
        if not passes.items:
            continue

        def cost_of(candidate: PassList, plan: Plan = plan, function: str = function) -> float:
            return cost(put_back(_with_tail(plan, function, candidate)))

        shortest = minimise(passes, cost_of, sort=False, max_evaluations=MINIMISE_EVALUATIONS)
        plan = _with_tail(plan, function, shortest)
    return plan


def _with_tail(plan: Plan, function: str, passes: PassList) -> Plan:
    return replace(plan, tails=tuple((name, passes if name == function else tail) for name, tail in plan.tails))


_Steps: TypeAlias = Generator[PassList, float, None]


class _Minimiser:
    def __init__(self, first: PassList, budget: float) -> None:
        self.best = first
        self.best_cost = math.inf
        self._budget = budget
        self._known: dict[PassList, float] = {}

    def evaluate(self, candidate: PassList) -> Generator[PassList, float, float]:
        known = self._known.get(candidate)
        if known is not None:
            return known
        if self._budget <= 0:
            raise _OutOfBudgetError
        self._budget -= 1
        cost = yield candidate
        self._known[candidate] = cost
        return cost

    def accept(self, candidate: PassList, *, below: float) -> Generator[PassList, float, bool]:
        """Take the candidate if its cost is at most `below`."""
        cost = yield from self.evaluate(candidate)
        if cost > below:
            return False
        self.best, self.best_cost = candidate, cost
        return True

    def drop(self) -> _Steps:
        chunk = max(len(self.best) // 2, 1)
        while len(self.best):
            dropped = False
            start = 0
            while start < (count := len(self.best)):
                rest = self.best.without_all(range(start, min(start + chunk, count)))
                if (yield from self.accept(rest, below=self.best_cost)):
                    dropped = True
                else:
                    start += chunk
            if chunk > 1:
                chunk //= 2
            elif not dropped:
                return

    def drop_parameters(self) -> _Steps:
        for at, one in enumerate(self.best.passes()):
            if not one.params or not one.info.accepts or one.info.one_parameter:
                continue
            positions = iter(range(len(self.best)))

            def bare(each: Pass, positions: Iterator[int] = positions, at: int = at) -> Pass:
                return replace(each, params="") if next(positions) == at else each

            yield from self.accept(PassList(map_leaves(self.best.items, bare)), below=self.best_cost)

    def sort(self) -> _Steps:
        whole = PassList(tuple(sorted(self.best.items, key=str)))
        if whole == self.best or (yield from self.accept(whole, below=self.best_cost)):
            return
        swapped = True
        while swapped:
            swapped = False
            for at in range(len(self.best.items) - 1):
                items = self.best.items
                if str(items[at]) <= str(items[at + 1]):
                    continue
                candidate = PassList((*items[:at], items[at + 1], items[at], *items[at + 2 :]))
                swapped |= yield from self.accept(candidate, below=self.best_cost)

    def insert(self, item: Item) -> _Steps:
        for at in range(len(self.best.items) + 1):
            candidate = self.best.insert(at, item)
            if (yield from self.accept(candidate, below=math.nextafter(self.best_cost, -math.inf))):
                return
