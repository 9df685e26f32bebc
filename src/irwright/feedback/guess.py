"""Which plan next for one function: what it is expected to save, judged by the training functions most like it.

Training functions are weighted by how near they are, in features at first and in measured outcomes more and more
(Nadaraya and Watson's estimate, with a width such that a fixed effective number of them is asked). What a plan is
expected to save is the mean of what it would still save on each of them, had the same plans been tried there: so the
order of an untouched function is the greedy order of a table, by and by bent to what this function shows.
"""

from __future__ import annotations

from typing import Any

from irwright.feedback.knowledge import FAILED, Knowledge, Outcome, numpy

_ROUNDS = 14
"""halvings by which the width is found"""

MOST_SAVED = 0.35
"""as a logarithm; rare functions that save more are no reason to try a plan on others"""


class Guess:
    """What is thought of every plan on one function; `observe` and it thinks again. Milliseconds per call."""

    def __init__(self, knowledge: Knowledge, place: Any) -> None:
        np = numpy()
        self.knowledge = knowledge
        self.tried: list[int] = []
        self.best = 0.0
        """of the outcomes so far, -Oz's among them"""
        self._distance = knowledge.closeness * ((knowledge.places - place) ** 2).sum(axis=1)
        self._best_there = np.zeros(len(self._distance), dtype=np.float32)
        self._usable = np.array([plan is not None for plan in knowledge.plans])

    def observe(self, plan: int, outcome: Outcome | None) -> None:
        """A plan was tried; None is a failure."""
        np = numpy()
        seen = outcome or FAILED
        self.tried.append(plan)
        self.best = min(self.best, seen.total)
        there = self.knowledge.outcomes[:, plan]
        parts = (there[1] - seen.text) ** 2 + (there[2] - seen.unwind) ** 2
        self._distance = self._distance + (there[0] - seen.total) ** 2 + self.knowledge.part_weight * parts
        self._best_there = np.minimum(self._best_there, there[0])

    def leave_out(self, plan: int) -> None:
        """A plan that can't be tried."""
        self._usable[plan] = False

    def expected(self) -> Any:
        """For each plan what it is expected to save beyond those tried, as a logarithm; -1 for those not to try."""
        np = numpy()
        saved = np.minimum(np.maximum(self._best_there - self.knowledge.outcomes[0], 0), MOST_SAVED)
        values = saved @ self._weights()
        values[~self._usable] = -1.0
        values[self.tried] = -1.0
        return np.round(values, 7)

    def foretold(self) -> Any:
        """For each plan what it is expected to save by itself, as a logarithm; below 0 where objects grow by it."""
        return -(self.knowledge.outcomes[0] @ self._weights())

    def next(self) -> int | None:
        """The plan of most expected saving, None where none is left."""
        values = self.expected()
        chosen = int(values.argmax())
        return chosen if values[chosen] >= 0 else None

    def _weights(self) -> Any:
        np = numpy()
        distance = self._distance - self._distance.min()
        count = len(distance)
        wanted = min(self.knowledge.neighbours, count)
        low, high = 1e-1, 1e8
        for _ in range(_ROUNDS):
            middle = (low * high) ** 0.5
            weights = np.exp(-middle * distance)
            if weights.sum() ** 2 > wanted * (weights @ weights):
                low = middle
            else:
                high = middle
        weights = np.exp(-low * distance)
        return (1 - self.knowledge.doubt) * weights / weights.sum() + self.knowledge.doubt / count
