"""How code is generated, by what was measured for every function: with a frame pointer or without, as by -Os or -Oz.

What pass lists do to a function and how its code is generated are chosen apart: attributes that lists leave alone say
the second (`Plan.lowering`). Two compilations of -Oz's own code tell for every function which way is the smallest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from irwright.passes import PassList
from irwright.plan import Plan
from irwright.task import Task
from irwright.trials import Trial

Ways = tuple[str, ...]
"""as in `Plan.lowering`"""

WAYS: tuple[Ways, ...] = (("frame",), (), ("optsize",), ("frame", "optsize"))
"""all there are, by what each alone saves"""

CYCLE: tuple[Ways, ...] = (("frame",), (), ("frame",), ("optsize",))
"""plans in a row are tried in these ways"""

FEWEST = 2
"""compilations that are enough to choose for every function"""


def lowers(task: Task) -> bool:
    """It is chosen how code is generated: the protocol counts what a user ships, who did not ask for lists alone."""
    return task.evaluator.protocol.name == "oz" and not task.switches.lists


def of_oz(task: Task) -> Plan:
    """LLVM's own pipeline."""
    return Plan(base=PassList.parse("default<Oz>", llvm_major=task.evaluator.llvm_major))


def lower(plan: Plan, ways: Mapping[str, Ways]) -> Plan:
    """A plan over the whole module, each function in a way of its own; those not named as the plan has them."""
    return replace(plan, lowerings=tuple(sorted((name, way) for name, way in ways.items() if way)))


def best_ways(trials: Iterable[Trial]) -> dict[str, Ways]:
    """For every function the way in which it was smallest; of equal ones the first. Trials of one pass list."""
    best: dict[str, tuple[int, Ways]] = {}
    for trial in trials:
        for name, size in trial.sizes.functions.items() if trial.sizes is not None else ():
            if name not in best or size.total < best[name][0]:
                best[name] = (size.total, trial.plan.lowering_for(name))
    return {name: way for name, (_, way) in best.items()}


def lower_oz(task: Task, first: Mapping[str, Ways] | None = None, *, at_most: int = FEWEST) -> list[Trial]:
    """Spend a compilation or two on -Oz's own code in other ways; these trials, the baseline first.

    `first` has the way to try on each function, with a frame pointer by default; then each gets what was best.
    """
    if task.baseline is None or task.baseline.sizes is None:
        return []
    names = task.baseline.sizes.functions
    tried = dict.fromkeys(names, WAYS[0]) if first is None else dict(first)
    trials = [task.baseline]
    whole = replace(of_oz(task), finish=task.finish)
    for _ in range(at_most):
        plan = lower(whole, tried)
        if task.left and any(tried.values()) and all(trial.plan != plan for trial in trials):
            trials += task.run([plan])
        tried = best_ways(trials)
    return trials


def lower_best(task: Task, ways: Mapping[str, Ways]) -> None:
    """Spend a compilation on the best plan, its functions in ways that were the best with another list."""
    if task.best is None or not task.left or not any(ways.values()):
        return
    plan = task.best.plan
    if not plan.lowering and not plan.lowerings and not plan.parts:
        task.run([lower(plan, ways)])
