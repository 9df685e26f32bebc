"""What a size is: sections of an object, and the named protocols by which two sizes may be compared.

A number without its protocol means nothing; every table irwright prints names it. DESIGN: `oz` is what a user
ships, `paper` is how Meta's LLM Compiler was measured, `instructions` counts IR.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from irwright.errors import IrwrightError
from irwright.llvm.codegen import (
    SHF_EXECINSTR,
    SHF_WRITE,
    CodegenLevel,
    FunctionSize,
    ObjectInfo,
    read_object,
)

UNWIND_SECTIONS = (".eh_frame", ".ARM.exidx", ".ARM.extab", ".gcc_except_table")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Bytes of an object by kind of section; `total` is what the object protocols count."""

    text: int
    """executable sections"""
    rodata: int
    """allocated, neither written nor executed, without the unwind tables"""
    unwind: int
    """.eh_frame and its like"""
    data: int
    """allocated and written, with content"""
    bss: int
    """allocated without content; never part of the total"""
    functions: dict[str, FunctionSize] = field(default_factory=dict[str, FunctionSize], compare=False)

    @property
    def total(self) -> int:
        """Every allocated section except .bss: the columns text + data of `llvm-size`."""
        return self.text + self.rodata + self.unwind + self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How size is measured and against what."""

    name: str
    level: CodegenLevel
    """of code generation"""
    baseline: str
    """what a gain is counted from, in words"""
    counts: str
    """what is added up, in words"""

    @property
    def counts_instructions(self) -> bool:
        return self.name == "instructions"


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="oz",
            level=CodegenLevel.DEFAULT,
            baseline="the object `clang -Oz -c` makes of the same source",
            counts="bytes of every allocated section except .bss",
        ),
        Protocol(
            name="paper",
            level=CodegenLevel.NONE,
            baseline="`default<Oz>` on the unoptimised IR, then plain `clang -x ir -c` (no optimisation of code)",
            counts="bytes of every allocated section except .bss",
        ),
        Protocol(
            name="instructions",
            level=CodegenLevel.DEFAULT,
            baseline="`default<Oz>` on the unoptimised IR",
            counts="IR instructions",
        ),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol of that name."""
    if name not in PROTOCOLS:
        raise IrwrightError(f"unknown protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def sizes_of(info: ObjectInfo) -> Sizes:
    """Add up the sections of an object."""
    text = rodata = unwind = data = bss = 0
    for section in info.sections:
        if not section.is_allocated:
            continue
        if not section.has_content:
            bss += section.size
        elif section.flags & SHF_EXECINSTR:
            text += section.size
        elif section.flags & SHF_WRITE:
            data += section.size
        elif section.name.startswith(UNWIND_SECTIONS):
            unwind += section.size
        else:
            rodata += section.size
    return Sizes(text=text, rodata=rodata, unwind=unwind, data=data, bss=bss, functions=info.functions)


def measure_object(data: bytes) -> Sizes:
    """Sizes of an ELF relocatable object; `LLVMError` on anything else."""
    return sizes_of(read_object(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Many objects against their baselines, as every table quotes it."""

    objects: int
    baseline: int
    """sum over all objects"""
    tuned: int
    geomean_percent: float
    """100 * (1 - geometric mean of tuned/baseline), objects of baseline 0 left out"""
    improved: int
    regressed: int

    @property
    def percent(self) -> float:
        """Saved share of all bytes, in percent."""
        return 100.0 * (1 - self.tuned / self.baseline) if self.baseline else 0.0

    @property
    def unchanged(self) -> int:
        return self.objects - self.improved - self.regressed


def gain(pairs: Sequence[tuple[int, int]]) -> Gain:
    """Gain over (baseline, tuned) pairs."""
    logs = [math.log(max(tuned, 1) / baseline) for baseline, tuned in pairs if baseline > 0]
    return Gain(
        objects=len(pairs),
        baseline=sum(baseline for baseline, _ in pairs),
        tuned=sum(tuned for _, tuned in pairs),
        geomean_percent=100.0 * (1 - math.exp(sum(logs) / len(logs))) if logs else 0.0,
        improved=sum(tuned < baseline for baseline, tuned in pairs),
        regressed=sum(tuned > baseline for baseline, tuned in pairs),
    )
