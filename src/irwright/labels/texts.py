"""Examples that need no search: plain code for pretraining, emulation of random lists, disassembly.

Every random choice comes from a seed and the function's own hash, so an example does not depend on what else is made,
in which order, or by how many workers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from irwright.errors import IrwrightError
from irwright.labels.units import Bench, Unit
from irwright.passes import PassList
from irwright.tasks import disassemble, emulate
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


def _row(stage: str, prompt: str, completion: str, *, kind: str, **more: Any) -> dict[str, Any]:
    return {"stage": stage, "prompt": prompt, "completion": completion, "kind": kind, **more}
