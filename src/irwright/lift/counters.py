"""Counters of loops as they were before strength reduction: a start and a number of steps.

Code generation turns the index of a table into a place in it, which it adds to where the loop begins, and compares
the sum. Lifted as it stands, counter and comparison would be rewritten once more, to other code. Written as a number
of steps that is compared with how many there are, it is what the loop had before. That supposes that no step wraps.
"""

from __future__ import annotations

from dataclasses import dataclass

from irwright.lift.blocks import Flow
from irwright.lift.expressions import E, Effect, bits
from irwright.lift.webs import Analysis, Web

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Counter:
    """A web that is a number or pointer and so many steps: `start + step * count`."""

    step: int
    places: frozenset[Place]
    """where one is added to the count; elsewhere it starts anew"""
    start: int | None
    """where that is a constant"""
    root: int
    """the web"""
    ahead: int | None
    """the web of its next value, if it is compared where the loop begins"""


def counted(flow: Flow, analysis: Analysis, webs: dict[int, Web], *, everywhere: bool) -> dict[int, Counter]:
    """Webs (by identity) that start somewhere and go on in equal steps; without `everywhere`, those of tables."""
    return _Counters(flow, analysis, webs).counted(everywhere=everywhere)


class _Counters:
    def __init__(self, flow: Flow, analysis: Analysis, webs: dict[int, Web]) -> None:
        self.flow = flow
        self.analysis = analysis
        self.webs = webs
        self.writes: dict[int, list[Place]] = {}
        self.reads: dict[int, list[Place]] = {}
        for (index, number, _), node in analysis.write_nodes.items():
            self.writes.setdefault(analysis.find(node), []).append((index, number))
        for (index, number, _), node in analysis.read_nodes.items():
            self.reads.setdefault(analysis.find(node), []).append((index, number))
        self.heads = {n for index in flow.order for n in flow.blocks[index].successors if n <= index}

    def counted(self, *, everywhere: bool) -> dict[int, Counter]:
        found: dict[int, Counter] = {}
        for root, web in self.webs.items():
            if web.ty not in ("i32", "i64", "ptr") or not web.unit.startswith("r"):
                continue
            steps: dict[Place, int] = {}
            others: list[Place] = []
            for place in self.writes.get(root, ()):
                value = self._set(place, root)
                step = self._sum(value, place, root) or self._copied_step(value, place, root)
                if step:
                    steps[place] = step
                else:
                    others.append(place)
            if len(set(steps.values())) != 1 or len(others) + web.is_entry != 1:
                continue
            value = self._set(others[0], root) if others else None
            start = value.aux if value is not None and value.op == "const" else None
            step = next(iter(steps.values()))
            ahead = self._ahead(root)
            is_sure = start is not None and ahead is not None
            if (is_sure or everywhere) and not (step == 1 and start == 0):
                found[id(web)] = Counter(step, frozenset(steps), start, root, ahead)
        return found

    def _copied_step(self, value: E | None, place: Place, root: int) -> int:
        """The same, of a copy of a sum made before."""
        if value is None or value.op != "reg":
            return 0
        other = self._read(place, value.aux)
        if other is None or other == root or len(self.writes.get(other, ())) != 1:
            return 0
        at = self.writes[other][0]
        return self._sum(self._set(at, other), at, root)

    def _ahead(self, root: int) -> int | None:
        """The web `n` of `lea n, [w + 16]; cmp n, 64` where a loop begins and `mov w, n` where it ends."""
        for place in self.writes[root]:
            value = self._set(place, root)
            other = self._read(place, value.aux) if value is not None and value.op == "reg" else None
            if other is None or not self._copied_step(value, place, root):
                continue
            at = self.writes[other][0]
            if at[0] in self.heads and all(self._is_near(at, one) for one in self.reads[other] if self._compares(one)):
                return other if any(self._compares(one) for one in self.reads[other]) else None
        return None

    def _is_near(self, first: Place, second: Place) -> bool:
        return first[0] == second[0] and first[1] < second[1]

    def _effects(self, place: Place) -> list[Effect]:
        return self.flow.blocks[place[0]].steps[place[1]].effects

    def _set(self, place: Place, root: int) -> E | None:
        """The value that a web gets at a place."""
        unit = self.webs[root].unit
        return next((e.value for e in self._effects(place) if e.kind == "set" and e.unit == unit), None)

    def _read(self, place: Place, unit: str) -> int | None:
        node = self.analysis.read_nodes.get((*place, unit))
        return None if node is None else self.analysis.find(node)

    def _sum(self, value: E | None, place: Place, root: int) -> int:
        """What a value adds to a web, 0 where it is no such sum."""
        if value is None or bits(value.ty) != bits(self.webs[root].ty):
            return 0
        first, step = None, 0
        if value.op == "addr" and value.aux.ref is None and not value.aux.segment and value.args[1] is None:
            first, step = value.args[0], value.aux.disp
        elif value.op in ("add", "sub") and value.args[1] is not None and value.args[1].op == "const":
            first, step = value.args[0], value.args[1].aux if value.op == "add" else -value.args[1].aux
        if first is None or first.op != "reg" or self._read(place, first.aux) != root:
            return 0
        return step

    def _compares(self, place: Place) -> bool:
        return self.flow.blocks[place[0]].steps[place[1]].insn.mnemonic == "cmp"
