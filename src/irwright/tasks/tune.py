"""The task `tune`: unoptimised IR in, a pass list that makes its object small out.

The native answer is the list in its flat form, then two predictions: bytes of the object under -Oz and with the list.
Meta's answers name the list as `opt -p '...'`. What a list is worth is measured, never believed (evaluator.py).

A prompt may also say what was measured of this object so far: its size under -Oz, and what the lists tried already
changed in it. Then the answer is the list to try next. This stands behind the IR, which is read once in all rounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from irwright.errors import PassListError
from irwright.passes import DEFAULT_LLVM, PassList
from irwright.tasks.text import ANSWER, IR, PASSES, SIZES, TUNE, Style, instruction, numbers_of, split_tags

MAX_TRIED = 8
"""outcomes in a prompt; the last ones, where more was tried"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A list that was measured."""

    passes: PassList
    change: int | None
    """bytes more than under -Oz; None where it made no object"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What was measured of an object so far."""

    oz_bytes: int
    """under -Oz"""
    tried: tuple[Tried, ...] = ()
    """in the order of trying"""

    def last(self, count: int) -> Outcomes:
        """Without the oldest."""
        return Outcomes(oz_bytes=self.oz_bytes, tried=self.tried[len(self.tried) - count :] if count else ())


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


def prompt(ir: str, *, style: Style = "native", outcomes: Outcomes | None = None) -> str:
    """Ask for a pass list, or for the next one after some outcomes (which Meta's prompts can't hold)."""
    if style == "meta":
        return instruction("Tell me how to optimize this LLVM-IR for object file size", ir)
    return f"{TUNE}{IR}{ir}{_outcomes_text(outcomes)}{ANSWER}"


def _outcomes_text(outcomes: Outcomes | None) -> str:
    if outcomes is None or not outcomes.tried:
        return ""
    lines = [f"{SIZES}{outcomes.oz_bytes}"]
    for one in outcomes.last(min(MAX_TRIED, len(outcomes.tried))).tried:
        lines.append(f"{PASSES}{one.passes}{SIZES}{'' if one.change is None else format(one.change, '+d')}")
    return "".join(lines)


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
