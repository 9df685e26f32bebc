"""Outcomes of plans on training functions turned into what a proposer knows, and how good that is on other projects.

All is in closed form: places are what a ridge regression foretells of the outcomes, its first principal directions
(reduced rank regression), so that functions are near where plans are expected to do the same to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from irwright.feedback.features import NAMES, with_shares
from irwright.feedback.guess import Guess
from irwright.feedback.knowledge import Knowledge, Outcome, numpy
from irwright.plan import Plan

SMALLEST_SCALE = 0.3
"""added to the deviation of a feature, of shares as so much of their mean one: what hardly varies is not blown up"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Training functions and what all plans did to them. Shapes as in `Knowledge`."""

    plans: tuple[Plan, ...]
    names: tuple[str, ...]
    projects: tuple[str, ...]
    features: Any
    """(N, F)"""
    outcomes: Any
    """(3, P, N)"""

    def only(self, chosen: Any) -> Observed:
        """The functions of a mask."""
        return Observed(
            plans=self.plans,
            names=tuple(name for name, keep in zip(self.names, chosen, strict=True) if keep),
            projects=tuple(name for name, keep in zip(self.projects, chosen, strict=True) if keep),
            features=self.features[chosen],
            outcomes=self.outcomes[:, :, chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnSettings:
    """How outcomes become knowledge; chosen by `cross_validate` on training projects."""

    ridge: float = 1000.0
    places: int = 24
    closeness: float = 20.0
    part_weight: float = 0.5
    neighbours: float = 45.0
    doubt: float = 0.2
    alone_only: bool = False
    shares: bool = False
    """features are counts as shares of -Oz's bytes, too"""


def learn(observed: Observed, settings: LearnSettings, *, made_by: str = "{}") -> Knowledge:
    """Knowledge of all that was observed."""
    np = numpy()
    features = observed.features
    if settings.shares:
        features = np.array([with_shares(numbers) for numbers in features])
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[: len(NAMES)] += SMALLEST_SCALE
    scale[len(NAMES) :] += SMALLEST_SCALE * scale[len(NAMES) :].mean() if settings.shares else 0.0
    standard = np.clip((features - mean) / scale, -4, 4)
    totals = np.clip(observed.outcomes[0].T, -0.4, 0.2)
    moment = standard.T @ standard + settings.ridge * np.eye(standard.shape[1])
    weights = np.linalg.solve(moment, standard.T @ (totals - totals.mean(axis=0)))
    _, _, directions = np.linalg.svd(standard @ weights, full_matrices=False)
    projection = weights @ directions[: settings.places].T / np.sqrt(totals.shape[1])
    return Knowledge(
        plans=observed.plans,
        outcomes=observed.outcomes.astype(np.float32),
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        projection=projection.astype(np.float32),
        places=(standard @ projection).astype(np.float32),
        closeness=settings.closeness,
        part_weight=settings.part_weight,
        neighbours=settings.neighbours,
        doubt=settings.doubt,
        alone_only=settings.alone_only,
        made_by=made_by,
    )


def folds(projects: Sequence[str], count: int) -> Iterator[Any]:
    """Masks of the functions that are asked; whole projects, so that no code is on both sides."""
    np = numpy()
    names = sorted(set(projects))
    for number in range(count):
        yield np.isin(np.array(projects), names[number::count])


def cross_validate(observed: Observed, settings: LearnSettings, *, tries: int = 16, count: int = 5) -> Any:
    """(N, tries) logarithms of the best share after each try, on projects that were not learnt from."""
    np = numpy()
    best = np.zeros((len(observed.names), tries))
    for asked in folds(observed.projects, count):
        knowledge = learn(observed.only(~asked), settings)
        for number in np.flatnonzero(asked):
            guess = Guess(knowledge, knowledge.place(observed.features[number]))
            for position in range(tries):
                chosen = guess.next()
                if chosen is not None:
                    guess.observe(chosen, Outcome(*observed.outcomes[:, chosen, number]))
                best[number, position] = guess.best
    return best


def fixed_order(observed: Observed, tries: int) -> list[int]:
    """The order of a table: each plan saves most beside those before it, over all functions."""
    np = numpy()
    known = np.zeros(len(observed.names))
    order: list[int] = []
    for _ in range(tries):
        costs = np.minimum(known, observed.outcomes[0]).mean(axis=1)
        costs[order] = 1.0
        order.append(int(costs.argmin()))
        known = np.minimum(known, observed.outcomes[0][order[-1]])
    return order


def cross_validate_order(observed: Observed, *, tries: int = 16, count: int = 5) -> Any:
    """The same as `cross_validate` for the fixed order of the other projects."""
    np = numpy()
    best = np.zeros((len(observed.names), tries))
    for asked in folds(observed.projects, count):
        order = fixed_order(observed.only(~asked), tries)
        best[asked] = np.minimum(np.minimum.accumulate(observed.outcomes[0][order], axis=0), 0).T[asked]
    return best
