"""The task `ship`, measured: what a user gets of `irwright tune`, and how long it takes.

The whole job runs: seed IR, baseline, search, the best builds lowered by the compiler itself and compared with the
baseline under emulation, -Oz where nothing passes. Worker processes are started before the clock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from irwright.evaluation.cases import MODEL, Proposer
from irwright.files import Input
from irwright.measure import PROTOCOLS
from irwright.models.answers import LanguageModel
from irwright.plan import Plan
from irwright.proposers import ModelProposer, proposed
from irwright.search import FIRST_TRIES
from irwright.task import Budget, Switches, Task
from irwright.tuner import Propose, Settings, Tuner


def shipped(tuner: Tuner, settings: Settings, data: bytes, name: str, baseline_seconds: float) -> dict[str, Any]:
    """A row's columns; `tuner` was made for the protocol and LLVM of these settings, and stays open."""
    tuner.settings = settings
    started = time.monotonic()
    result = tuner.tune(Input(name=name, data=data))
    seconds = time.monotonic() - started
    functions = Counter(str(one.kind) for one in result.verified.functions) if result.verified else Counter[str]()
    return {
        "baseline": [result.baseline_bytes, result.baseline.text],
        "best": [result.tuned_bytes, result.tuned.text],
        "compilations": result.num_compilations,
        "verified": dict(sorted(functions.items())),
        "warnings": len(result.warnings),
        "times": {"seconds": round(seconds, 4), "baseline": round(baseline_seconds, 4)},
    }


def ship_settings(
    proposer: Proposer, budget: int, *, protocol: str, seed: int, timeout_seconds: float, model: LanguageModel | None
) -> Settings:
    """How a user would ask for it: a model's lists first and then the table, or a mix of both."""
    return Settings(
        budget=Budget(compilations=budget),
        strategy="coreset" if proposer.kind == MODEL else proposer.kind,
        proposer=proposer.kind if proposer.kind in FIRST_TRIES else "coreset",
        protocol=PROTOCOLS[protocol],
        seed=seed,
        switches=Switches(**dict.fromkeys(proposer.switches, True)),
        propose=None if model is None else _proposing(model, budget, seed),
        timeout_seconds=timeout_seconds,
    )


def _proposing(model: LanguageModel, count: int, seed: int) -> Propose:
    def propose(ir: str, task: Task) -> Iterable[Plan]:
        return proposed(ModelProposer(model=model, llvm_major=task.evaluator.llvm_major, seed=seed), ir, count, task)

    return propose
