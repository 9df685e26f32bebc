"""The task `tune`: unoptimised IR in, a pass list that makes its object small out.

The native answer is the list in its flat form, then two predictions: bytes of the object under -Oz and with the list.
Meta's answers name the list as `opt -p '...'`. What a list is worth is measured, never believed (evaluator.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from irwright.errors import PassListError
from irwright.passes import DEFAULT_LLVM, PassList
from irwright.tasks.text import ANSWER, IR, SIZES, TUNE, Style, instruction, numbers_of, split_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneAnswer:
    """What a model said."""

    passes: PassList | None
    """None where the answer holds no valid list"""
    problem: str = ""
    """why there is none"""
    oz_bytes: int | None = None
    """predicted size under -Oz"""
    tuned_bytes: int | None = None
    """predicted size with the list"""


def prompt(ir: str, *, style: Style = "native") -> str:
    """Ask for a pass list."""
    if style == "meta":
        return instruction("Tell me how to optimize this LLVM-IR for object file size", ir)
    return f"{TUNE}{IR}{ir}{ANSWER}"


def completion(passes: PassList, *, oz_bytes: int, tuned_bytes: int, style: Style = "native") -> str:
    """The answer that a label makes."""
    if style == "meta":
        return f"<code>opt -p 'module({passes.pipeline()})'</code>, which leaves {tuned_bytes} bytes of {oz_bytes}."
    return f"{passes}{SIZES}{oz_bytes} {tuned_bytes}"


def parse(answer: str, *, style: Style = "native", llvm_major: int = DEFAULT_LLVM) -> TuneAnswer:
    """Read an answer; a list this LLVM does not have is no list."""
    text, sizes = answer, ""
    if style == "meta":
        match = re.search(r"(?:-p|-passes)[ =]['\"]?([^'\"\s]+)", answer)
        text = match[1] if match else ""
    else:
        pieces = dict(reversed(split_tags(answer)))
        text, sizes = pieces.get("", ""), pieces.get(SIZES, "")
    numbers = numbers_of(sizes)
    oz_bytes, tuned_bytes = numbers if len(numbers) == 2 else (None, None)
    passes, problem = None, "no pass list in the answer"
    try:
        if text.strip():
            passes, problem = PassList.parse(text.strip(), llvm_major=llvm_major), ""
    except PassListError as error:
        problem = str(error)
    return TuneAnswer(passes=passes, problem=problem, oz_bytes=oz_bytes, tuned_bytes=tuned_bytes)
