"""Outcomes of many plans on training functions, and a proposer that learns from them.

The functions are modules of their own, the projects taking turns. Trials are kept under the build's folder, in a folder
`functions-PROTOCOL/KEY` for each function; killed and started again, with more functions or other plans, it measures
what is missing.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from irwright.coreset import portable
from irwright.coreset_build import Builder, BuildSettings, Sample, spread
from irwright.corpus.modules import modules, shared_functions
from irwright.errors import CorpusError, InputError
from irwright.feedback.knowledge import FAILED, Knowledge, Outcome, numpy
from irwright.feedback.learn import LearnSettings, Observed, cross_validate, cross_validate_order, learn
from irwright.feedback.search import described
from irwright.llvm.worker import WorkerPool
from irwright.plan import NOTHING, Plan
from irwright.task import Budget, Task
from irwright.trials import TrialStore

log = logging.getLogger(__name__)

COUNTED = (1, 2, 3, 5, 8, 16)
"""compilations at which a cross-validation is quoted"""

FEWEST_OUTCOMES = 0.8
"""share of the plans that must make an object of a function, or it is left out"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One function, its features and what every plan did to it."""

    sample: Sample
    features: list[float]
    outcomes: list[Outcome | None]


def training_functions(cache: Path, seed: int) -> Iterator[Sample]:
    """Every training function once, one of each file in turn, the projects taking turns; none that is held out."""
    hidden = shared_functions(cache)
    found = modules("training", cache=cache)
    rng = random.Random(seed)
    seen: set[str] = set()
    names: dict[str, list[str]] = {}
    samples: list[Sample] = []
    for module in found:
        sample = Sample(name=f"{module.package}/{module.source}", project=module.package, bitcode=module.bitcode)
        own: list[str] = []
        for name, digest in module.functions:
            if digest not in hidden and digest not in seen:
                seen.add(digest)
                own.append(name)
        rng.shuffle(own)
        names[sample.name] = own
        samples.append(sample)
    order = spread(samples, rng)
    while any(names.values()):
        for sample in order:
            if names[sample.name]:
                name = names[sample.name].pop()
                yield replace(sample, name=f"{sample.name}:{name}", function=name)


def read_plans(path: Path, llvm_major: int) -> tuple[Plan, ...]:
    """Plans of a table (`irwright coreset`) or of a list of plans; those that this LLVM can't build are left out."""
    try:
        data: Any = json.loads(path.read_text())
        if isinstance(data, dict):
            data = [*data["lists"], *data["pieces"]]
        plans = [portable(row.get("plan", row), llvm_major) for row in data]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(str(path), f"holds no plans ({error})") from error
    return tuple(dict.fromkeys(plan for plan in plans if plan is not None))


class OutcomeBuilder:
    """Tries plans on training functions and learns from what came of it."""

    def __init__(self, builder: Builder, samples: Sequence[Sample], plans: Sequence[Plan]) -> None:
        self.builder = builder
        self.samples = samples
        self.plans = tuple(plans)
        self._limits = BuildSettings(min_instructions=5, max_instructions=1500)

    def observe(self, num_functions: int) -> Observed:
        """The first so many training functions that fit."""
        np = numpy()
        rows: list[OutcomeRow] = self.builder.each(self.samples, num_functions, "functions", self._observe)
        if not rows:
            raise CorpusError("no training functions; fetch some with: irwright corpus fetch --role training")
        outcomes = np.array([[outcome or FAILED for outcome in row.outcomes] for row in rows])
        return Observed(
            plans=self.plans,
            names=tuple(row.sample.name for row in rows),
            projects=tuple(row.sample.project for row in rows),
            features=np.array([row.features for row in rows]),
            outcomes=outcomes.transpose(2, 1, 0),
        )

    def _observe(self, sample: Sample, pool: WorkerPool) -> OutcomeRow | None:
        folder = self.builder.folder / f"functions-{self.builder.protocol.name}" / sample.key
        with TrialStore(folder, flush_every=1000, flush_seconds=600.0) as store:
            evaluator = self.builder.open(sample, pool, store, self._limits)
            if evaluator is None:
                return None
            task = Task(evaluator=evaluator, budget=Budget(compilations=1), rng=random.Random(0))
            task.start()
            if task.baseline is None or task.baseline.sizes is None:
                return None
            oz = task.baseline.sizes
            trials = evaluator.evaluate([_alone(plan, sample.function) for plan in self.plans])
            (features,) = described(task).values()
        found = [trial.sizes for trial in trials]
        outcomes = [
            None if of is None else Outcome.of((of.total, of.text, of.unwind), (oz.total, oz.text, oz.unwind))
            for of in found
        ]
        if sum(outcome is not None for outcome in outcomes) < FEWEST_OUTCOMES * len(outcomes):
            return None
        return OutcomeRow(sample=sample, features=features, outcomes=outcomes)


def _alone(plan: Plan, function: str) -> Plan:
    """A plan on a module of one function; one in pieces gives that function."""
    if not plan.preparation:
        return plan
    return Plan(parts=(replace(plan, tail=NOTHING, tails=((function, plan.tail),)),))


def learn_from(
    observed: Observed, settings: LearnSettings, made_by: dict[str, Any]
) -> tuple[Knowledge, dict[str, Any]]:
    """Knowledge, and how it does on projects it was not learnt from: geomean percent saved by compilations."""
    np = numpy()

    def percent(best: Any) -> dict[str, float]:
        return {str(k): round(float(100 * (1 - np.exp(best[:, k - 1].mean()))), 2) for k in COUNTED}

    best = np.minimum(observed.outcomes[0].min(axis=0), 0)
    checked = {
        "functions": len(observed.names),
        "projects": len(set(observed.projects)),
        "plans": len(observed.plans),
        "fixed order": percent(cross_validate_order(observed)),
        "feedback": percent(cross_validate(observed, settings)),
        "best plan of each": round(float(100 * (1 - np.exp(best.mean()))), 2),
    }
    made_by = {**made_by, "settings": asdict(settings), "cross_validation": checked}
    return learn(observed, settings, made_by=json.dumps(made_by)), checked
