"""The task `emulate`, measured: what a random pass list makes of a function, said by a model or by a trivial predictor.

Lists are drawn as those of examples are (labels/texts.py), from the seed and the function's own hash. Predictors that
need no model are scored as models are, so that what a model is worth stands beside what is free.
"""

from __future__ import annotations

import random
from typing import Any

from irwright.emulation import emulate_unit
from irwright.errors import ModelError
from irwright.labels.texts import LIST_LENGTHS
from irwright.labels.units import Bench
from irwright.models.answers import LanguageModel
from irwright.passes import PassList
from irwright.tasks.emulate import Output

_MAX_REASON = 160


def emulated(
    bench: Bench, function: str, number: int, *, seed: int, predictor: str, model: LanguageModel | None
) -> dict[str, Any]:
    """A row's columns: list `number` on a function of the bench's open module, and how right the answer is.

    ModelError where there was no answer, so that it counts as failed and is asked for again.
    """
    unit = bench.unit(function)
    rng = random.Random(f"evaluate {seed} {number} {unit.sha256}")
    passes = PassList.sample(rng, llvm_major=bench.llvm_major, length=LIST_LENGTHS)
    output: Output = "asm" if rng.random() < 0.5 else "ir"
    found = emulate_unit(bench, unit, passes, model, output=output, predictor=predictor, function=function)
    if found.outcome != "ok":
        raise ModelError(found.score.problem)
    return {
        "passes": str(passes),
        "output": output,
        "valid": found.score.valid,
        "exact": found.score.exact,
        "bytes": [found.before.object_bytes, found.truth.object_bytes],
        "bytes_error": _rounded(found.score.bytes_error),
        "instructions_error": _rounded(found.score.instructions_error),
        "chars": len(unit.text),
        "answers": found.num_asked,
        "reason": found.score.problem[:_MAX_REASON],
        "times": {"seconds": round(found.seconds, 4)},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
