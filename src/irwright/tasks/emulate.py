"""The task `emulate`: what does a pass list make of this IR?

The answer is the code after the passes, IR or assembly, and its sizes: IR instructions and bytes of the object. The
prompt gives both numbers for the code before. An answer is exact where its code is that of the compiler, to the byte
but for white space at line ends.

Another form of the question wants a name in place of the code: which of some well-known lists (KNOWN) does the same to
this code? Its answer is short, and the code is then what the compiler makes with that list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from irwright.passes import PassList
from irwright.tasks.text import (
    ANSWER,
    ASM,
    EMULATE,
    IR,
    PASSES,
    SIZES,
    Style,
    Target,
    code_of,
    instruction,
    numbers_of,
    split_tags,
    target_tag,
)

Output = Literal["ir", "asm"]
"""What is wanted."""

KNOWN = ("default<Oz>", "strip-dead-prototypes", "sroa", "function-simplification<Oz>", "lto<Oz>")
"""Lists whose result is that of most random lists: of 300 training functions of up to 256 tokens that of 59 % with the
first, and of 72, 75, 79 and 80 % with more of them"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """IR instructions and bytes of the object (what the protocol counts)."""

    num_instructions: int
    object_bytes: int

    def __str__(self) -> str:
        return f"{self.num_instructions} {self.object_bytes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulateAnswer:
    """What a model said."""

    code: str
    counts: Counts | None = None
    """None where the answer names no sizes"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulateScore:
    """An answer beside what the compiler did."""

    exact: bool
    """the code is the compiler's"""
    instructions_error: float | None
    """share by which the count of instructions is off"""
    bytes_error: float | None
    """share by which the size is off"""


def prompt(
    ir: str,
    passes: PassList,
    before: Counts,
    *,
    output: Output = "ir",
    target: Target = "x86-64",
    style: Style = "native",
    named: bool = False,
) -> str:
    """Ask what the passes do, or (native alone) which known list does the same to the code that is wanted."""
    if style == "meta":
        what = "LLVM-IR" if output == "ir" else "assembly"
        words = f"Give the {what} for the following code when optimized using opt -p 'module({passes.pipeline()})'"
        after = (
            f"\n\nThe input code has instruction count {before.num_instructions} "
            f"and binary size {before.object_bytes} bytes."
        )
        return instruction(words, ir, after)
    wanted = IR if output == "ir" else target_tag(target) + ASM
    return f"{EMULATE}{PASSES}{passes}{SIZES}{before}{IR}{ir}{ANSWER}{PASSES if named else ''}{wanted}"


def asking_for_a_name(prompt: str) -> str:
    """The native prompt that wants the name of a known list in place of code."""
    before, answer, wanted = prompt.rpartition(ANSWER)
    return f"{before}{answer}{PASSES}{wanted}"


def completion(code: str, after: Counts, *, style: Style = "native") -> str:
    """The answer the compiler gives."""
    if style == "meta":
        sizes = f"instruction count {after.num_instructions} and binary size {after.object_bytes} bytes"
        return f"<code>{code}</code>\n\nThe output code has {sizes}."
    return f"{code}{SIZES}{after}"


def parse_name(answer: str) -> tuple[str, Counts | None]:
    """A known list and the sizes it leaves; the empty list where the answer names none that is known."""
    pieces = dict(reversed(split_tags(answer)))
    name = pieces.get("", "").strip()
    return name if name in KNOWN else "", _counts(numbers_of(pieces.get(SIZES, "")))


def parse(answer: str, *, style: Style = "native") -> EmulateAnswer:
    """Read an answer."""
    if style == "meta":
        behind = answer.partition("</code>")[2]
        numbers = numbers_of(behind)
        return EmulateAnswer(code=code_of(answer), counts=_counts(numbers))
    pieces = dict(reversed(split_tags(answer)))
    return EmulateAnswer(code=pieces.get("", ""), counts=_counts(numbers_of(pieces.get(SIZES, ""))))


def _counts(numbers: tuple[int, ...]) -> Counts | None:
    return Counts(num_instructions=numbers[0], object_bytes=numbers[1]) if len(numbers) == 2 else None


def score(answer: EmulateAnswer, code: str, after: Counts) -> EmulateScore:
    """Compare an answer with the compiler's."""
    counts = answer.counts
    return EmulateScore(
        exact=same_text(answer.code, code),
        instructions_error=counts and _error(counts.num_instructions, after.num_instructions),
        bytes_error=counts and _error(counts.object_bytes, after.object_bytes),
    )


def same_text(one: str, other: str) -> bool:
    """Equal but for white space at the ends of lines, and empty lines."""
    return _lines(one) == _lines(other)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _error(predicted: int, actual: int) -> float:
    return abs(predicted - actual) / max(1, actual)
