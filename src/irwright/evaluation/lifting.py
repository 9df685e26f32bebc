"""The task `disassemble`, measured: assembly of a case lifted by the rules, or by a language model.

The lifter gets what `clang -Oz -S` writes and is judged as `irwright disassemble` judges, functions run beside the
original included. A model gets the task's own prompt (tasks/disassemble.py): of its IR it is known whether it
recompiles and whether to the same text, and no more.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from irwright.errors import LLVMError
from irwright.evaluation.bleu import counts, words
from irwright.labels.scoring import score
from irwright.labels.texts import TextSettings, text_examples
from irwright.labels.units import Bench
from irwright.lift.disassembler import Disassembler, LiftSettings
from irwright.llvm import clang
from irwright.llvm.worker import WorkerPool
from irwright.models.answers import LanguageModel, Request

MAX_TEXT_BYTES = 400_000
"""of assembly; longer texts are not lifted here"""
_MAX_CHARS = 1 << 18
_MAX_REASON = 160


def assembly_of(compiler: Path, bitcode: bytes) -> bytes:
    """What the real `clang -Oz -S` makes of a module."""
    with tempfile.TemporaryDirectory(prefix="irwright-") as folder:
        path = Path(folder) / "module.bc"
        path.write_bytes(bitcode)
        return clang.baseline(compiler, path, (), "asm")


def lifted(assembly: bytes, name: str, pool: WorkerPool, variants: int) -> dict[str, Any]:
    """A row's columns: every function with its verdict; IrwrightError where there is no module."""
    if len(assembly) > MAX_TEXT_BYTES:
        raise LLVMError(f"{name}: over {MAX_TEXT_BYTES:,} bytes of assembly")
    started = time.monotonic()
    result = Disassembler(pool, LiftSettings(budget=variants)).run(assembly, name)
    functions: list[dict[str, Any]] = [
        {
            "verdict": str(one.verdict),
            "instructions": one.num_instructions,
            "variants": one.num_variants,
            "reason": one.reason[:_MAX_REASON],
            "bleu": counts(words(one.original), words(one.recompiled)),
        }
        for one in result.functions
    ]
    return {"functions": functions, "times": {"seconds": round(time.monotonic() - started, 4)}}


def answered(bench: Bench, function: str, model: LanguageModel) -> dict[str, Any]:
    """The same of a model, on a function of the bench's open module."""
    unit = bench.unit(function)
    settings = TextSettings(stages=("disassemble",), style=model.style, max_chars=_MAX_CHARS)
    example = next((one for one in text_examples(bench, unit, settings) if one["kind"] == "asm-x86-64"), None)
    if example is None:
        raise LLVMError(f"{function}: no assembly to ask about")
    answer = model.ask(Request(prompt=str(example["prompt"])))
    one = score(bench, example, answer.text, style=model.style)
    verdict = "exact" if one.exact else "recompiles" if one.valid else "not-lifted"
    instructions = sum(line.startswith("\t") and not line.startswith("\t.") for line in _asked(example).splitlines())
    reason = answer.detail if answer.outcome != "ok" else one.problem
    found = {"verdict": verdict, "instructions": instructions, "variants": 1, "reason": reason[:_MAX_REASON]}
    return {"functions": [found], "times": {"seconds": round(answer.seconds, 4)}}


def _asked(example: dict[str, Any]) -> str:
    return str(example["prompt"])
