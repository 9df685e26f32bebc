"""What a model's answer is worth, asked of the compiler: the same for native text and Meta's.

An answer is *valid* if it is what was asked for (a list this LLVM has, IR that LLVM takes, assembly that assembles, IR
that compiles again) and *exact* if it is the compiler's own. For tuning there is no exact answer: the list is run on
the IR of the prompt and its bytes stand beside -Oz's. Nothing an answer says of itself counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from irwright.errors import IrwrightError
from irwright.labels.units import Bench
from irwright.measure import measure_object
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.tasks import disassemble, emulate, tune
from irwright.tasks.emulate import same_text
from irwright.tasks.text import ASM, IR, Style, Target, code_of, split_tags

UNWINDING = range(40, 81, 8)
"""bytes of .eh_frame of an object with one function, as most have"""
LENGTHS = (500, 1000, 2000, 4000, 1 << 30)
"""classes of prompts: up to so many characters"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One answer."""

    stage: str
    prompt_chars: int
    valid: bool
    exact: bool = False
    problem: str = ""
    """why it is not valid"""
    bytes_oz: int | None = None
    """tune: the prompt's IR under -Oz"""
    bytes_after: int | None = None
    """tune: with the list; that of -Oz where there is none (-Oz as backup)"""
    bytes_error: float | None = None
    """emulate: share by which the predicted size is off"""
    instructions_error: float | None = None


def score(bench: Bench, example: Mapping[str, Any], answer: str, *, style: Style = "native") -> Score:
    """Judge an answer to an example's prompt."""
    stage = str(example["stage"])
    judge = {"tune": _tune, "emulate": _emulate, "disassemble": _disassemble}[stage]
    begun = Score(stage=stage, prompt_chars=len(example["prompt"]), valid=False)
    try:
        return judge(bench, example, answer, style, begun)
    except IrwrightError as error:
        return replace(begun, problem=str(error))


def _shown(example: Mapping[str, Any], tag: str, style: Style) -> str:
    """The code in a prompt; a native one ends with the tag of the code that is wanted, and nothing behind it."""
    prompt = str(example["prompt"])
    if style == "meta":
        return code_of(prompt)
    return next((piece for name, piece in split_tags(prompt) if name == tag and piece), "")


def _tune(bench: Bench, example: Mapping[str, Any], answer: str, style: Style, begun: Score) -> Score:
    said = tune.parse(answer, style=style, llvm_major=bench.llvm_major)
    unit = bench.of_text(_shown(example, IR, style))
    oz = PassList.parse("default<Oz>", llvm_major=bench.llvm_major)
    plans = [Plan(base=oz), *([Plan(base=said.passes)] if said.passes is not None else [])]
    costs = [trial.cost(bench.protocol) for trial in unit.full.evaluate(plans)]
    if costs[0] == float("inf"):
        return replace(begun, problem="-Oz makes no object of the prompt's IR")
    oz_bytes = int(costs[0])
    if said.passes is None or costs[-1] == float("inf"):
        problem = said.problem or "LLVM fails on the list"
        return replace(begun, problem=problem, bytes_oz=oz_bytes, bytes_after=oz_bytes)
    return replace(begun, valid=True, bytes_oz=oz_bytes, bytes_after=min(oz_bytes, int(costs[-1])))


def _emulate(bench: Bench, example: Mapping[str, Any], answer: str, style: Style, begun: Score) -> Score:
    said = emulate.parse(answer, style=style)
    truth = emulate.parse(str(example["completion"]), style=style)
    if truth.counts is None:
        return replace(begun, problem="the example names no sizes")
    result = emulate.score(said, truth.code, truth.counts)
    errors = {"bytes_error": result.bytes_error, "instructions_error": result.instructions_error}
    begun = replace(begun, exact=result.exact, **errors)
    try:
        if not result.exact:
            _check(bench, said.code, is_assembly=str(example["kind"]).startswith("asm"))
    except IrwrightError as error:
        return replace(begun, problem=str(error))
    return replace(begun, valid=True)


def refusal(bench: Bench, example: Mapping[str, Any], answer: str, *, style: Style = "native") -> str:
    """What the compiler has against the code of an answer; empty where it takes it."""
    try:
        if example["stage"] == "emulate":
            said = emulate.parse(answer, style=style)
            if said.counts is None:
                return "no sizes behind the code"
            _check(bench, said.code, is_assembly=str(example["kind"]).startswith("asm"))
        else:
            code = disassemble.parse(answer, style=style).ir
            if not code.strip():
                return "no code in the answer"
            bench.assembly(code, "aarch64" if "aarch64" in str(example["kind"]) else "x86-64")
    except IrwrightError as error:
        return str(error)
    return ""


def is_consistent(bench: Bench, example: Mapping[str, Any], answer: str) -> bool:
    """True if the code of a native answer is what the answer and the prompt say of it, as far as the code itself shows.

    Of emulation: it has the sizes that the answer tells (of assembly, which has no tables of unwinding, about so).
    Of disassembly: it recompiles to the prompt's assembly, which makes it exact. No completion is looked at.
    """
    try:
        if example["stage"] == "disassemble":
            return _disassemble(bench, example, answer, "native", Score(stage="", prompt_chars=0, valid=False)).exact
        said = emulate.parse(answer)
        if said.counts is None:
            return False
        if not str(example["kind"]).startswith("asm"):
            return bench.counts(bench.of_text(said.code)) == said.counts
        sizes = measure_object(bench.assemble(said.code))
        return said.counts.object_bytes - (sizes.text + sizes.rodata + sizes.data) in UNWINDING
    except IrwrightError:
        return False


def _check(bench: Bench, code: str, *, is_assembly: bool) -> None:
    if not code.strip():
        raise IrwrightError("no code in the answer")
    if is_assembly:
        bench.assemble(code)
    else:
        bench.of_text(code).plain.compile(Plan(), "bc")  # verifies


def _disassemble(bench: Bench, example: Mapping[str, Any], answer: str, style: Style, begun: Score) -> Score:
    said = disassemble.parse(answer, style=style)
    target: Target = "aarch64" if "aarch64" in str(example["kind"]) else "x86-64"
    if not said.ir.strip():
        raise IrwrightError("no code in the answer")
    again = bench.assembly(said.ir, target)
    return replace(begun, valid=True, exact=same_text(again, _shown(example, ASM, style)))


def summarise(scores: Iterable[Score]) -> dict[str, dict[str, float]]:
    """By stage: how many, shares valid and exact (also by length of the prompt), bytes saved against -Oz."""
    by_stage: dict[str, list[Score]] = {}
    for one in scores:
        by_stage.setdefault(one.stage, []).append(one)
    result: dict[str, dict[str, float]] = {}
    for stage, group in sorted(by_stage.items()):
        numbers = {"answers": float(len(group)), "valid": _share(s.valid for s in group)}
        if stage == "tune":
            oz = sum(s.bytes_oz or 0 for s in group)
            numbers["saved_percent"] = 100 * (1 - sum(s.bytes_after or 0 for s in group) / oz) if oz else 0.0
        else:
            numbers["exact"] = _share(s.exact for s in group)
            for low, high in zip((0, *LENGTHS), LENGTHS, strict=False):
                part = [s.exact for s in group if low < s.prompt_chars <= high]
                if part:
                    numbers[f"exact, prompt to {high} characters" if high < LENGTHS[-1] else "exact, longer"] = _share(
                        part
                    )
        result[stage] = numbers
    return result


def _share(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0
