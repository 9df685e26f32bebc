"""Intervals and tests over projects: what is drawn again is whole projects, since files of one are alike.

All is exact or seeded, so that the same numbers give the same intervals.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

RESAMPLES = 2000
FLIPS = 20_000
EXACT_UP_TO = 14
"""projects; all flips of signs are tried up to so many"""
LEVEL = 0.05
_SEED = 1

Sums = Sequence[float]
"""what a project adds to the sums that a statistic is computed from"""


def interval(projects: Mapping[str, Sums], statistic: Callable[[Sums], float]) -> tuple[float, float] | None:
    """The 95 % interval of a statistic by the percentile bootstrap; None with fewer than three projects.

    `statistic` takes the sums of all projects drawn.
    """
    if len(projects) < 3:
        return None
    rng = random.Random(_SEED)
    values = [projects[name] for name in sorted(projects)]
    found: list[float] = []
    for _ in range(RESAMPLES):
        drawn = rng.choices(values, k=len(values))
        value = statistic([sum(column) for column in zip(*drawn, strict=True)])
        if not math.isnan(value):
            found.append(value)
    if not found:
        return None
    found.sort()
    last = len(found) - 1
    return found[round(0.025 * last)], found[round(0.975 * last)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Two proposers on the same projects."""

    difference: float
    """mean over projects of what the first is ahead"""
    ahead: int
    """projects on which the first is"""
    behind: int
    p: float
    """that a difference as large comes by chance"""


def paired(differences: Mapping[str, float]) -> Paired:
    """The permutation test on the signs of per-project differences, two-sided.

    Exact up to 14 projects that differ, else by seeded draws. With fewer than six no p can fall under 0.05.
    """
    values = [differences[name] for name in sorted(differences)]
    moved = [value for value in values if value]
    mean = sum(values) / len(values) if values else 0.0
    ahead, behind = sum(value > 0 for value in moved), sum(value < 0 for value in moved)
    return Paired(difference=mean, ahead=ahead, behind=behind, p=_p(moved))


def _p(values: Sequence[float]) -> float:
    if not values:
        return 1.0
    limit = abs(sum(values)) * (1 - 1e-12)
    if len(values) <= EXACT_UP_TO:
        signs = itertools.product((1, -1), repeat=len(values))
        sums = [abs(sum(sign * value for sign, value in zip(one, values, strict=True))) for one in signs]
        return sum(value >= limit for value in sums) / len(sums)
    rng = random.Random(_SEED)
    found = 1  # what was observed is one of the flips
    for _ in range(FLIPS):
        bits = rng.getrandbits(len(values))
        found += abs(sum(value if bits >> n & 1 else -value for n, value in enumerate(values))) >= limit
    return found / (FLIPS + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction of p values that belong together, in their order."""
    order = sorted(range(len(ps)), key=lambda number: ps[number])
    corrected = [0.0] * len(ps)
    largest = 0.0
    for rank, number in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[number]))
        corrected[number] = largest
    return corrected
