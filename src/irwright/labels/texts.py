"""Examples of one function: plain code for pretraining, emulation of random lists, disassembly, tuning.

A tuning label is the list of a table that makes the function smallest (the paper's broadcast); search.py finds what is
in the table. Of equal lists the first is taken, so that the same answer comes as often as it can.

Every random choice comes from a seed and the function's own hash, so an example does not depend on what else is made,
in which order, or by how many workers.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from irwright.errors import IrwrightError
from irwright.labels.outcomes import Measured, NextList, next_lists
from irwright.labels.units import Bench, Unit
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.tasks import disassemble, emulate, tune
from irwright.tasks.text import ASM, IR, Style, target_tag
from irwright.tasks.tune import Outcomes

LIST_LENGTHS = (1, 50)
"""of random lists, uniform, as the paper draws them"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSettings:
    """What is made of each function."""

    stages: tuple[str, ...] = ("pretrain", "emulate", "disassemble")
    seed: int = 1
    style: Style = "native"
    lists_per_function: int = 1
    """random lists that are emulated"""
    names_per_function: int = 0
    """random lists of which is asked what known list does the same; those above come first"""
    tune_lists: tuple[str, ...] = ()
    """the table that every function's label is chosen from, best first; -Oz is always tried before it"""
    num_outcomes: int = 0
    """examples of `tune` for each function whose prompt says what was measured so far, at most"""
    trials: str = ""
    """folder of trials that sizes are taken from, where it has them"""
    protocol: str = "oz"
    """how bytes are counted"""
    max_chars: int = 12_000
    """of each piece of code; longer ones make no example"""

    def identity(self) -> dict[str, Any]:
        """All that decides what is made, less what was added later and is not used: older shards stay valid."""
        later = {"num_outcomes": 0, "trials": "", "names_per_function": 0}
        return {name: value for name, value in asdict(self).items() if (name, value) not in later.items()}


def text_examples(
    bench: Bench, unit: Unit, settings: TextSettings, known: Mapping[PassList, int | None] | None = None
) -> Iterator[dict[str, Any]]:
    """The examples of a unit, without the columns that say where it is from.

    `known` are bytes by list that were measured before.
    """
    if len(unit.text) > settings.max_chars:
        return
    oz = PassList.parse("default<Oz>", llvm_major=bench.llvm_major)
    optimised = ""
    assembly: dict[str, str] = {}
    if {"pretrain", "disassemble"} & set(settings.stages):
        optimised = bench.optimised(unit, oz)
        for target in bench.targets:
            try:
                text = bench.assembly(optimised, target)
            except IrwrightError:
                continue  # code that this target does not have
            if len(text) <= settings.max_chars:
                assembly[target] = text
    if len(optimised) > settings.max_chars:
        return
    if "pretrain" in settings.stages:
        yield _row("pretrain", "", f"{IR}{unit.text}", kind="ir")
        yield _row("pretrain", "", f"{IR}{optimised}", kind="ir-oz")
        for target, text in assembly.items():
            yield _row("pretrain", "", f"{target_tag(target)}{ASM}{text}", kind=f"asm-{target}")  # type: ignore[arg-type]
    if "disassemble" in settings.stages:
        for target, text in assembly.items():
            prompt = disassemble.prompt(text, target=target, style=settings.style)  # type: ignore[arg-type]
            completion = disassemble.completion(optimised, style=settings.style)
            yield _row("disassemble", prompt, completion, kind=f"asm-{target}")
    if "tune" in settings.stages:
        yield from _tuning(bench, unit, settings, known or {})
    if "emulate" in settings.stages:
        yield from _emulations(bench, unit, settings)


def _emulations(bench: Bench, unit: Unit, settings: TextSettings) -> Iterator[dict[str, Any]]:
    """Random lists and what they make of the unit; a list on which LLVM fails makes no example."""
    rng = random.Random(f"emulate {settings.seed} {unit.sha256}")
    before = bench.counts(unit)
    if before is None:
        return
    names = settings.names_per_function if settings.style == "native" else 0
    known: dict[tuple[str, emulate.Output], str] = {}
    for number in range(max(settings.lists_per_function, names)):
        passes = PassList.sample(rng, llvm_major=bench.llvm_major, length=LIST_LENGTHS)
        output: emulate.Output = "asm" if rng.random() < 0.5 else "ir"
        after = bench.counts(unit, passes)
        if after is None:
            continue
        try:
            code = _code(bench, unit, passes, output)
        except IrwrightError:
            continue
        facts = {"passes": str(passes), "bytes_before": before.object_bytes, "bytes_after": after.object_bytes}
        kind = "asm-x86-64" if output == "asm" else "ir"
        if number < settings.lists_per_function and len(code) <= settings.max_chars:
            prompt = emulate.prompt(unit.text, passes, before, output=output, style=settings.style)
            completion = emulate.completion(code, after, style=settings.style)
            yield _row("emulate", prompt, completion, kind=kind, **facts)
        if number < names and (name := _known_list(bench, unit, code, output, known)):
            prompt = emulate.prompt(unit.text, passes, before, output=output, named=True)
            yield _row("emulate", prompt, emulate.completion(name, after), kind=f"name-{kind}", **facts)


def _code(bench: Bench, unit: Unit, passes: PassList, output: emulate.Output) -> str:
    code = bench.optimised(unit, passes)
    return bench.assembly(code) if output == "asm" else code


def _known_list(
    bench: Bench, unit: Unit, code: str, output: emulate.Output, known: dict[tuple[str, emulate.Output], str]
) -> str:
    """The first known list that makes this code of the unit, or none; `known` keeps what they make."""
    for name in emulate.KNOWN:
        if (name, output) not in known:
            try:
                passes = PassList.parse(name, llvm_major=bench.llvm_major)
                known[name, output] = _code(bench, unit, passes, output)
            except IrwrightError:
                known[name, output] = ""
        if known[name, output] and emulate.same_text(known[name, output], code):
            return name
    return ""


@functools.lru_cache(maxsize=4)
def _parsed(texts: tuple[str, ...], llvm_major: int) -> tuple[PassList, ...]:
    """Lists of a table, parsed once and not for every function."""
    return tuple(PassList.parse(text, llvm_major=llvm_major) for text in texts)


def _tuning(
    bench: Bench, unit: Unit, settings: TextSettings, known: Mapping[PassList, int | None]
) -> Iterator[dict[str, Any]]:
    """The best list of the table, and the best behind some outcomes; nothing where -Oz makes no object."""
    major = bench.llvm_major
    oz, *table = _parsed(("default<Oz>", *settings.tune_lists), major)
    missing = [passes for passes in (oz, *table) if passes not in known]
    raw, *trials = unit.full.evaluate([Plan(), *(Plan(base=passes) for passes in missing)])
    costs = dict(known) | {
        passes: None if trial.sizes is None else int(trial.cost(bench.protocol))
        for passes, trial in zip(missing, trials, strict=True)
    }
    oz_bytes = costs[oz]
    if raw.sizes is None or oz_bytes is None:
        return
    measured = [Measured(passes=passes, cost=costs[passes]) for passes in table if passes != oz]
    best = min([Measured(passes=oz, cost=oz_bytes), *measured], key=lambda one: one.known_cost)
    firsts = [NextList(outcomes=Outcomes(oz_bytes=oz_bytes), passes=best.passes, cost=int(best.known_cost))]
    rng = random.Random(f"outcomes {settings.seed} {unit.sha256}")
    for one in [*firsts, *next_lists(measured, oz_bytes, settings.num_outcomes, rng)]:
        yield _row(
            "tune",
            tune.prompt(unit.text, style=settings.style, outcomes=one.outcomes),
            tune.completion(one.passes, oz_bytes=oz_bytes, tuned_bytes=one.cost, style=settings.style),
            kind="next-list" if one.outcomes.tried else "list",
            passes=str(one.passes),
            bytes_before=int(raw.cost(bench.protocol)),
            bytes_oz=oz_bytes,
            bytes_after=one.cost,
            sizes=None if one.outcomes.tried else [oz_bytes, *(other.cost for other in measured)],
        )


def _row(stage: str, prompt: str, completion: str, *, kind: str, **more: Any) -> dict[str, Any]:
    return {"stage": stage, "prompt": prompt, "completion": completion, "kind": kind, **more}
