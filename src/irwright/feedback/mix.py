"""Several proposers at once: a bandit that lets the one propose next that has earned most so far.

Arms are what outcomes foretell (`feedback`), a model's lists, and the table in its order. An arm earns what its plan
saves beyond the best before it. The next arm is the one with the highest upper confidence bound (Auer et al., UCB1),
whose width is what plans commonly save, so that a dozen compilations are enough to tell arms apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from irwright.errors import IrwrightError
from irwright.feedback.knowledge import Knowledge
from irwright.feedback.search import Alone, described, search_by_outcomes
from irwright.plan import Plan
from irwright.task import Task
from irwright.trials import Trial

WIDTH = 0.01
"""of the confidence bound, as a share of the module"""

SHARE_OF_LISTS = 4
"""of a module of several functions, one compilation in so many goes to whole lists of a model"""


@dataclass(slots=True)
class Arm:
    """One proposer: plans one after the other, and what they earned."""

    plans: Callable[[], Plan | None]
    plays: int = 0
    earned: float = 0.0

    def bound(self, total: int) -> float:
        """The most that the next plan may be expected to earn; arms that were never asked come first."""
        if not self.plays:
            return math.inf
        return self.earned / self.plays + WIDTH * math.sqrt(math.log(total + 1) / self.plays)


@dataclass(slots=True)
class Bandit:
    """Arms in the order in which they are asked first."""

    task: Task
    arms: list[Arm]
    observe: Callable[[Trial], None] = lambda _: None
    """told of every trial"""
    _tried: set[Plan] = field(default_factory=set[Plan])

    def run(self, compilations: int) -> None:
        """Spend so many compilations, or what the arms have to propose."""
        while compilations and self.task.left and self.arms:
            total = sum(arm.plays for arm in self.arms)
            arm = max(self.arms, key=lambda arm: arm.bound(total))
            plan = self._fresh(arm)
            if plan is None:
                self.arms.remove(arm)
                continue
            before = self.task.best_cost
            self._tried.add(plan)
            for trial in self.task.run([plan]):
                self.observe(trial)
            arm.plays += 1
            arm.earned += 1 - self.task.best_cost / before if before else 0.0
            compilations -= 1

    def _fresh(self, arm: Arm) -> Plan | None:
        """The next plan of an arm that no arm has tried."""
        plan = arm.plans()
        while plan is not None and plan in self._tried:
            plan = arm.plans()
        return plan


def search_by_bandit(task: Task, knowledge: Knowledge | None) -> None:
    """Let proposers earn their compilations; some are left where none has anything to say."""
    if task.baseline is None or task.baseline.sizes is None:
        return
    proposed = Arm(_each(task.proposed))
    if len(task.evaluator.facts.functions) > 1:
        Bandit(task, [proposed]).run(max(1, task.left // SHARE_OF_LISTS))
        if knowledge is not None:
            search_by_outcomes(task, knowledge)
        return
    try:
        features = described(task) if knowledge is not None else {}
    except IrwrightError:  # IR that LLVM itself breaks
        features = {}
    if knowledge is None or len(features) != 1:
        Bandit(task, [proposed, Arm(_each(task.coreset.lists))]).run(task.left)
        return
    alone = Alone(task, knowledge, *features.values())
    table = (plan for plan in (*task.coreset.lists, *task.coreset.pieces) if alone.fits(plan))
    arms = [Arm(alone.next), proposed, Arm(_each(map(alone.whole, table)))]
    Bandit(task, arms, observe=alone.observe).run(task.left)


def _each(plans: Iterable[Plan]) -> Callable[[], Plan | None]:
    left: Iterator[Plan] = iter(plans)
    return lambda: next(left, None)
