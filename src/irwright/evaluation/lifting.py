"""The task `disassemble`, measured: assembly of a case lifted by the rules, or by a language model.

The lifter gets what `clang -Oz -S` writes, a model the task's own prompt (tasks/disassemble.py). Both are judged by
what their IR recompiles to: the same text is exact, other code is run beside the original.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any

from irwright.errors import IrwrightError, LLVMError, ModelError
from irwright.evaluation.bleu import counts, words
from irwright.labels.units import Bench
from irwright.lift.disassembler import Disassembler, LiftSettings
from irwright.lift.equivalence import compare
from irwright.llvm import clang
from irwright.llvm.worker import WorkerPool
from irwright.models.answers import LanguageModel, Request
from irwright.passes import PassList
from irwright.tasks import disassemble
from irwright.tasks.emulate import same_text

MAX_TEXT_BYTES = 400_000
"""of assembly; longer texts are not lifted here"""
_MAX_REASON = 160
_DEFINED = re.compile(r'^define [^@]*@("[^"]*"|[\w.$-]+)\(', re.MULTILINE)


def assembly_of(compiler: Path, bitcode: bytes, name: str) -> bytes:
    """What the real `clang -Oz -S` makes of a module."""
    with tempfile.TemporaryDirectory(prefix="irwright-") as folder:
        path = Path(folder) / "module.bc"
        path.write_bytes(bitcode)
        return clang.baseline(compiler, path, (), "asm", name=name)


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
    """The same of a model, on a function of the bench's open module; ModelError where it gave no answer."""
    unit = bench.unit(function)
    optimised = bench.optimised(unit, PassList.parse("default<Oz>", llvm_major=bench.llvm_major))
    assembly = bench.assembly(optimised)
    prompt = disassemble.prompt(assembly, style=model.style)
    answer = model.ask(Request(prompt=prompt))
    if answer.outcome != "ok":
        raise ModelError(f"{answer.outcome}: {answer.detail}")
    ir = disassemble.parse(answer.text, style=model.style).ir
    again, verdict, reason = "", "not-lifted", "no code in the answer"
    if ir.strip():
        try:
            again = bench.assembly(ir)
            verdict, reason = judged(bench, optimised, ir, same_text(again, assembly))
        except IrwrightError as error:
            reason = str(error)
    lines = [[line.strip() for line in text.splitlines() if line.strip()] for text in (assembly, again)]
    found = {
        "verdict": verdict,
        "instructions": sum(not line.endswith(":") and not line.startswith(".") for line in lines[0]),
        "variants": 1,
        "reason": reason[:_MAX_REASON],
        "bleu": counts(words(lines[0]), words(lines[1])),
    }
    return {"functions": [found], "times": {"seconds": round(answer.seconds, 4)}}


def judged(bench: Bench, optimised: str, ir: str, is_same: bool) -> tuple[str, str]:
    """Verdict and reason on IR that recompiles: what is not the same text is run beside the original."""
    names = _DEFINED.findall(optimised)
    if is_same or not names:
        return "exact", ""
    if names[0] not in _DEFINED.findall(ir):
        return "different", f"defines no {names[0]!r}"
    found = compare(bench.object_of(optimised), bench.object_of(ir), ir, names[:1])
    return found.get(names[0], ("inconclusive", "not found in the objects"))
