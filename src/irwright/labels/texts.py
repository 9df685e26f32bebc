"""Examples of one function: plain code for pretraining, emulation of random lists, disassembly, tuning.

A tuning label is the list of a table that makes the function smallest (the paper's broadcast); search.py finds what is
in the table. Of equal lists the first is taken, so that the same answer comes as often as it can.

Every random choice comes from a seed and the function's own hash, so an example does not depend on what else is made,
in which order, or by how many workers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from irwright.errors import IrwrightError
from irwright.evaluator import Plan
from irwright.labels.units import Bench, Unit
from irwright.passes import PassList
from irwright.tasks import disassemble, emulate, tune
from irwright.tasks.text import ASM, IR, Style, target_tag

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
    tune_lists: tuple[str, ...] = ()
    """the table that every function's label is chosen from, best first; -Oz is always tried before it"""
    protocol: str = "oz"
    """how bytes are counted"""
    max_chars: int = 12_000
    """of each piece of code; longer ones make no example"""


def text_examples(bench: Bench, unit: Unit, settings: TextSettings) -> Iterator[dict[str, Any]]:
    """The examples of a unit, without the columns that say where it is from."""
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
        yield from _tuning(bench, unit, settings)
    if "emulate" in settings.stages:
        yield from _emulations(bench, unit, settings)


def _emulations(bench: Bench, unit: Unit, settings: TextSettings) -> Iterator[dict[str, Any]]:
    """Random lists and what they make of the unit; a list on which LLVM fails makes no example."""
    rng = random.Random(f"emulate {settings.seed} {unit.sha256}")
    before = bench.counts(unit)
    for _ in range(settings.lists_per_function):
        passes = PassList.sample(rng, llvm_major=bench.llvm_major, length=LIST_LENGTHS)
        as_assembly = rng.random() < 0.5
        after = bench.counts(unit, passes) if before is not None else None
        if before is None or after is None:
            continue
        try:
            code = bench.optimised(unit, passes)
            if as_assembly:
                code = bench.assembly(code)
        except IrwrightError:
            continue
        if len(code) > settings.max_chars:
            continue
        output: emulate.Output = "asm" if as_assembly else "ir"
        yield _row(
            "emulate",
            emulate.prompt(unit.text, passes, before, output=output, style=settings.style),
            emulate.completion(code, after, style=settings.style),
            kind="asm-x86-64" if as_assembly else "ir",
            passes=str(passes),
            bytes_before=before.object_bytes,
            bytes_after=after.object_bytes,
        )


def _tuning(bench: Bench, unit: Unit, settings: TextSettings) -> Iterator[dict[str, Any]]:
    """The best list of the table; nothing where -Oz makes no object."""
    major = bench.llvm_major
    table = [PassList.parse(text, llvm_major=major) for text in ("default<Oz>", *settings.tune_lists)]
    raw, oz, *others = unit.full.evaluate([Plan(), *(Plan(base=passes) for passes in table)])
    costs = [trial.cost(bench.protocol) for trial in (oz, *others)]
    if raw.sizes is None or oz.sizes is None:
        return
    best = min(range(len(costs)), key=lambda number: costs[number])
    oz_bytes, tuned_bytes = int(costs[0]), int(costs[best])
    answer = tune.completion(table[best], oz_bytes=oz_bytes, tuned_bytes=tuned_bytes, style=settings.style)
    yield _row(
        "tune",
        tune.prompt(unit.text, style=settings.style),
        answer,
        kind="list",
        passes=str(table[best]),
        bytes_before=int(raw.cost(bench.protocol)),
        bytes_oz=oz_bytes,
        bytes_after=tuned_bytes,
    )


def _row(stage: str, prompt: str, completion: str, *, kind: str, **more: Any) -> dict[str, Any]:
    return {"stage": stage, "prompt": prompt, "completion": completion, "kind": kind, **more}
