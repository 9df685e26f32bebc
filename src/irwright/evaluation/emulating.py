"""The task `emulate`, measured: what a pass list makes of a function, said by a model or by a trivial predictor.

Two predictors need no model: `oz` says that any list does what -Oz does, `unchanged` that it does nothing. Their
answers are scored as a model's are, so that what a model is worth stands beside what is free.
"""

from __future__ import annotations

import time
from typing import Any

from irwright.errors import IrwrightError, LLVMError
from irwright.labels.scoring import score
from irwright.labels.texts import TextSettings, text_examples
from irwright.labels.units import Bench, Unit
from irwright.models.answers import LanguageModel, Request
from irwright.passes import PassList
from irwright.tasks import emulate

_MAX_CHARS = 1 << 18
_MAX_REASON = 160


def emulated(
    bench: Bench, function: str, number: int, *, lists: int, seed: int, predictor: str, model: LanguageModel | None
) -> dict[str, Any]:
    """A row's columns: one random list on a function of the bench's open module, and how right the answer is."""
    unit = bench.unit(function)
    style = "native" if model is None else model.style
    settings = TextSettings(stages=("emulate",), seed=seed, style=style, lists_per_function=lists, max_chars=_MAX_CHARS)
    examples = list(text_examples(bench, unit, settings))
    if number >= len(examples):
        raise LLVMError(f"{function}: LLVM fails on the list, or the code is too long")
    example = examples[number]
    started = time.monotonic()
    if model is None:
        text, problem = trivial_answer(bench, unit, predictor, is_assembly=example["kind"] != "ir"), ""
    else:
        answer = model.ask(Request(prompt=str(example["prompt"])))
        text, problem = answer.text, answer.detail if answer.outcome != "ok" else ""
    seconds = time.monotonic() - started
    one = score(bench, example, text, style=style)
    return {
        "passes": example["passes"],
        "output": "ir" if example["kind"] == "ir" else "asm",
        "valid": one.valid,
        "exact": one.exact,
        "bytes": [example["bytes_before"], example["bytes_after"]],
        "bytes_error": _rounded(one.bytes_error),
        "instructions_error": _rounded(one.instructions_error),
        "chars": len(unit.text),
        "reason": (problem or one.problem)[:_MAX_REASON],
        "times": {"seconds": round(seconds, 4)},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def trivial_answer(bench: Bench, unit: Unit, predictor: str, *, is_assembly: bool) -> str:
    """What a predictor that knows no list says, in the native format."""
    passes = PassList.parse("default<Oz>", llvm_major=bench.llvm_major) if predictor == "oz" else PassList()
    counts = bench.counts(unit, passes)
    if counts is None:
        raise IrwrightError(f"{unit.name}: LLVM fails on default<Oz>")
    code = bench.optimised(unit, passes) if passes.items else unit.text
    return emulate.completion(bench.assembly(code) if is_assembly else code, counts)
