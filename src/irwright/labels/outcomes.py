"""Examples of the task `tune` whose prompt holds outcomes: what was tried on a function, and which list comes next.

The lists of a table, all measured on one function, give many of them: some lists were tried, the answer is the one of
the others that is smallest, provided that it is smaller than all before it. Which were tried is drawn, the first of the
table more often, since that is what a proposer that begins well has tried.

Sizes come from the compiler, or from trials that are there already (docs/formats.md): those of `irwright coreset learn`
and of searches, in a folder `functions-PROTOCOL/KEY` for each function.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from irwright.coreset_build import key_of_name
from irwright.measure import PROTOCOLS
from irwright.passes import PassList
from irwright.tasks.tune import MAX_TRIED, Outcomes, Tried
from irwright.trials import TrialStore

ATTEMPTS = 4
"""drawn histories for each that is wanted: behind some no list saves anything more"""
FRONT = 4.0
"""a list's weight in drawing is 1 / (its place in the table + this)"""
COMMON = 0.8
"""share of the functions that a list must have been tried on to be in a table"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A list of the table and what it did to a function."""

    passes: PassList
    cost: int | None
    """bytes; None where it made no object"""

    @property
    def known_cost(self) -> float:
        """The same, infinite where there is none."""
        return float("inf") if self.cost is None else self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class NextList:
    """What was tried, and what is best to try then."""

    outcomes: Outcomes
    passes: PassList
    cost: int


def next_lists(table: Sequence[Measured], oz_bytes: int, count: int, rng: random.Random) -> Iterator[NextList]:
    """At most `count` different histories of one function, each with its answer; `table` has no -Oz in it."""
    seen: set[tuple[int, ...]] = set()
    longest = max(1, min(MAX_TRIED, len(table) - 1))
    for _ in range(ATTEMPTS * count):
        if len(seen) == count:
            return
        history = _draw(len(table), rng.randint(1, longest), rng)
        best = min([oz_bytes, *(cost for number in history if (cost := table[number].cost) is not None)])
        others = [one for number, one in enumerate(table) if number not in history]
        following = min(others, key=lambda one: one.known_cost, default=None)
        if following is None or following.cost is None or following.cost >= best or history in seen:
            continue
        seen.add(history)
        tried = (_tried(table[number], oz_bytes) for number in history)
        yield NextList(
            outcomes=Outcomes(oz_bytes=oz_bytes, tried=tuple(tried)), passes=following.passes, cost=following.cost
        )


def _tried(one: Measured, oz_bytes: int) -> Tried:
    return Tried(passes=one.passes, change=None if one.cost is None else one.cost - oz_bytes)


def _draw(size: int, count: int, rng: random.Random) -> tuple[int, ...]:
    """Different places of a table, those in front more often, in the order drawn."""
    left = list(range(size))
    chosen: list[int] = []
    while left and len(chosen) < count:
        weights = [1 / (number + FRONT) for number in left]
        chosen.append(left.pop(rng.choices(range(len(left)), weights)[0]))
    return tuple(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTrials:
    """A folder of trials on single functions, read and left as it is."""

    folder: Path
    protocol: str
    llvm_major: int

    def has(self, project: str, path: str, function: str) -> bool:
        """True if a function was tried."""
        return self._folder_of(project, path, function).is_dir()

    def of(self, project: str, path: str, function: str) -> dict[PassList, int | None]:
        """Bytes by whole list, None where a list made no object; empty where the function has no trials."""
        return self._read(self._folder_of(project, path, function))

    def table(self, size: int) -> list[PassList]:
        """Lists that were tried on nearly all functions, each the one that saves most beside those before it."""
        oz = PassList.parse("default<Oz>", llvm_major=self.llvm_major)
        functions = [found for folder in self._all() if (found := self._read(folder)).get(oz)]
        counts = Counter(passes for found in functions for passes in found)
        common = [passes for passes, count in counts.items() if count >= COMMON * len(functions) and passes != oz]
        known = [1.0] * len(functions)
        shares = {passes: [_share(found, passes, oz) for found in functions] for passes in sorted(common, key=str)}
        order: list[PassList] = []
        while shares and len(order) < size:
            passes = min(shares, key=lambda one: sum(map(min, known, shares[one])))
            known = list(map(min, known, shares.pop(passes)))
            order.append(passes)
        return order

    def _all(self) -> list[Path]:
        folder = self.folder / f"functions-{self.protocol}"
        return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def _folder_of(self, project: str, path: str, function: str) -> Path:
        return self.folder / f"functions-{self.protocol}" / key_of_name(f"{project}/{path}:{function}")

    def _read(self, folder: Path) -> dict[PassList, int | None]:
        protocol = PROTOCOLS[self.protocol]
        trials = TrialStore(folder).load(self.llvm_major)[0]
        return {
            plan.as_list(): int(trial.cost(protocol)) if trial.sizes is not None else None
            for plan, trial in trials.items()
            if plan.is_one_list
        }


def _share(found: Mapping[PassList, int | None], passes: PassList, oz: PassList) -> float:
    """Bytes with a list for each of -Oz's."""
    cost, baseline = found.get(passes), found[oz]
    assert baseline is not None
    return 1.0 if cost is None else cost / baseline
