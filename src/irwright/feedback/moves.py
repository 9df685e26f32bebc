"""Plans made of those that did best on a function: one, and behind it what another does to a function by itself.

What two plans save is often of different kinds, and few of all joins are in any table. No order of a table does this, a
search does it by chance: here it takes turns with what outcomes foretell (search.py).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from irwright.pass_items import Item, Pass
from irwright.passes import PassList, function_local
from irwright.plan import Plan

FIRST = 6
"""plans that are tried as they are; from then on every second one is a move"""

LONGEST = 60
"""passes of a plan that is made"""


def is_turn(number: int) -> bool:
    """A plan made here is due, after so many plans."""
    return number >= FIRST and (number - FIRST) % 2 == 0


def make_move(ranked: Sequence[Plan], following: Plan | None, tried: Container[Plan]) -> Plan | None:
    """The first plan made of the best that was not tried; None where there is none.

    `ranked` are plans for one function, best first, `following` is what would be tried next as it is.
    """
    for plan in _moves(ranked, following):
        if plan not in tried and len(plan.base) + len(plan.tail) <= LONGEST:
            return plan
    return None


def _moves(ranked: Sequence[Plan], following: Plan | None) -> Iterator[Plan]:
    if len(ranked) < 2:
        return
    best, second, *rest = ranked
    yield joined(best, second)
    if following is not None:
        yield joined(best, following)
    yield joined(second, best)
    for third in rest[:1]:
        yield joined(best, third)
    if best.preparation and second.preparation:
        yield replace(best, tail=second.tail)
        yield replace(second, tail=best.tail)


def joined(first: Plan, second: Plan) -> Plan:
    """A plan, and behind it the passes of another that need no more than a function."""
    behind = second.tail.items if second.preparation else tuple(filter(_is_local, second.as_list().items))
    if first.preparation:
        return replace(first, tail=PassList((*first.tail.items, *behind)))
    return Plan(base=PassList((*first.as_list().items, *behind)), lowering=first.lowering)


def _is_local(item: Item) -> bool:
    return function_local(PassList((item,))) and (isinstance(item, Pass) or item.adaptor not in ("cgscc", "devirt"))
