"""What a pass list makes of code: foreseen by a language model, done by LLVM, and the one beside the other.

Both work on what a prompt shows, the code in canonical form for x86-64 (corpus/canonical.py), so sizes may differ from
those of the file's own object. Without a model a trivial predictor answers: every list does what -Oz does. What the
compiler refuses, a native model says again under a guide (labels/asking.py); it never sees what LLVM made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import Any

from irwright.errors import InputError, LLVMError, NoFunctionError
from irwright.files import HasBitcode, Input, as_input, read_ir
from irwright.labels.asking import ask_code
from irwright.labels.scoring import Score, score
from irwright.labels.units import Bench, Unit
from irwright.llvm import clang
from irwright.llvm.toolchain import find
from irwright.models.answers import LanguageModel
from irwright.passes import PassList
from irwright.proposers import open_model
from irwright.tasks import emulate as task
from irwright.tasks.emulate import Counts, Output
from irwright.tasks.text import Style

OZ = "oz"
"""the predictor that every model has to beat"""
PREDICTORS = (OZ, "unchanged")
"""who needs no model: whatever the list is, it does what -Oz does, or nothing"""
WAY = "guided"
"""how models are asked: answers of another way are other measurements"""
NO_ANSWER = ("too-long", "timeout", "error")
"""outcomes of asking (models/answers.py) with which nothing was said"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """A prediction and the truth."""

    file: str
    function: str
    """empty for the whole file"""
    passes: PassList
    output: Output
    predictor: str
    """the model's name, or `oz`"""
    before: Counts
    truth: Counts
    true_code: str
    """canonical IR after the list, or its assembly"""
    predicted: Counts | None
    """None where the answer names no sizes"""
    predicted_code: str
    score: Score
    seconds: float
    """that the answer took"""
    outcome: str = "ok"
    """of asking: one of NO_ANSWER where there was none"""
    num_asked: int = 0
    """answers of the model, the mended ones counted"""

    def diff(self, context: int = 3) -> list[str]:
        """Lines of a unified diff from what LLVM made to what was foreseen; none where they are alike."""
        if self.score.exact:
            return []
        true, predicted = self.true_code.splitlines(), self.predicted_code.splitlines()
        return list(unified_diff(true, predicted, "opt", self.predictor, n=context, lineterm=""))

    def to_json(self) -> dict[str, Any]:
        """The object of `irwright emulate --json`: these keys and no others."""

        def side(counts: Counts | None, code: str) -> dict[str, Any]:
            return {
                "instructions": counts and counts.num_instructions,
                "bytes": counts and counts.object_bytes,
                "code": code,
            }

        return {
            "file": self.file,
            "function": self.function,
            "passes": str(self.passes),
            "output": self.output,
            "predictor": self.predictor,
            "before": {"instructions": self.before.num_instructions, "bytes": self.before.object_bytes},
            "opt": side(self.truth, self.true_code),
            "predicted": side(self.predicted, self.predicted_code),
            "valid": self.score.valid,
            "exact": self.score.exact,
            "bytes_error": self.score.bytes_error,
            "instructions_error": self.score.instructions_error,
            "problem": self.score.problem,
            "diff": self.diff(),
            "asked": self.num_asked,
            "seconds": round(self.seconds, 3),
        }


def emulate(
    what: str | Path | bytes | HasBitcode | Input,
    passes: str | PassList,
    *,
    function: str | None = None,
    model: str | LanguageModel | None = None,
    output: Output = "ir",
    flags: Sequence[str] = (),
    llvm: str | None = None,
    tokenizer: Path | None = None,
    timeout_seconds: float = 30.0,
) -> Emulation:
    """Foresee what a list makes of C, C++ or LLVM IR, and let LLVM do it.

    `function` alone, as an object of its own, else the whole file. `model` is one that is open, or a name as
    `irwright tune --model` takes it. IrwrightError where the input is none, or LLVM fails on the list.
    """
    item = as_input(what, flags)
    toolchain = find(llvm=llvm)
    if isinstance(passes, str):
        passes = PassList.parse(passes, llvm_major=toolchain.major)
    data = read_ir(item)
    if data is None:
        assert item.path is not None
        compiler = toolchain.need_clang()
        data = clang.seed_bitcode(compiler, item.path, item.flags, directory=item.directory, name=item.name)
    asked = open_model(model, tokenizer=tokenizer) if isinstance(model, str) else None
    library = toolchain.library.path
    with (
        asked or nullcontext(),
        Bench(library, llvm_major=toolchain.major, timeout_seconds=timeout_seconds) as bench,
    ):
        unit = open_unit(bench, data, item.name, function)
        opened = asked or (model if not isinstance(model, str) else None)
        return emulate_unit(bench, unit, passes, opened, output=output, file=item.name, function=function or "")


def open_unit(bench: Bench, data: bytes, name: str, function: str | None) -> Unit:
    """A function of a module, or all of it, on the bench; InputError for what is not there or not for x86-64."""
    facts = bench.open(data, name)
    if facts.triple and not facts.triple.startswith("x86_64"):
        raise InputError(name, f"is code for {facts.triple!r}; emulation knows x86-64 alone")
    if not facts.functions:
        raise InputError(name, "defines no function")
    if function is None:
        return bench.whole(name)
    if function not in facts.functions:
        raise NoFunctionError(name, f"has no function {function!r}; it has {', '.join(sorted(facts.functions)[:8])}")
    return bench.unit(function)


def emulate_unit(
    bench: Bench,
    unit: Unit,
    passes: PassList,
    model: LanguageModel | None,
    *,
    output: Output = "ir",
    predictor: str = OZ,
    file: str = "",
    function: str = "",
) -> Emulation:
    """The same on a unit of an open bench; `predictor` answers where there is no model."""
    style: Style = "native" if model is None else model.style
    before, truth = bench.counts(unit), bench.counts(unit, passes)
    if before is None or truth is None:
        raise LLVMError(f"{file or unit.name}: LLVM fails on {'the code' if before is None else str(passes)!r}")
    code = bench.optimised(unit, passes)
    if output == "asm":
        code = bench.assembly(code)
    prompt = task.prompt(unit.text, passes, before, output=output, style=style)
    kind = "ir" if output == "ir" else "asm-x86-64"
    started = time.monotonic()
    outcome, problem, num_asked = "ok", "", 0
    if model is None:
        text = trivial_answer(bench, unit, predictor, output)
    else:
        said = ask_code(bench, model, {"stage": "emulate", "kind": kind, "prompt": prompt})
        text, num_asked = said.text, said.num_asked
        failed = said.problem.partition(":")[0]
        if failed in NO_ANSWER:
            outcome, problem = failed, said.problem
    seconds = time.monotonic() - started
    completion = task.completion(code, truth, style=style)
    example = {"stage": "emulate", "prompt": prompt, "completion": completion, "kind": kind}
    said = task.parse(text, style=style)
    judged = score(bench, example, text, style=style)
    return Emulation(
        file=file,
        function=function,
        passes=passes,
        output=output,
        predictor=predictor if model is None else model.name,
        before=before,
        truth=truth,
        true_code=code,
        predicted=said.counts,
        predicted_code=said.code,
        score=judged if not problem else replace(judged, problem=problem),
        seconds=seconds,
        outcome=outcome,
        num_asked=num_asked,
    )


def trivial_answer(bench: Bench, unit: Unit, predictor: str, output: Output) -> str:
    """What a predictor that reads no list says, in the native format."""
    passes = PassList.parse("default<Oz>", llvm_major=bench.llvm_major) if predictor == OZ else PassList()
    counts = bench.counts(unit, passes)
    if counts is None:
        raise LLVMError(f"{unit.name}: LLVM fails on default<Oz>")
    code = bench.optimised(unit, passes) if passes.items else unit.text
    return task.completion(bench.assembly(code) if output == "asm" else code, counts)
