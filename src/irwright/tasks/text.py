"""The two ways in which a task is put to a model: irwright's own text and that of Meta's LLM Compiler.

Owns the tags of the native format. A native prompt is a chain of tags, each with what belongs to it, and ends with
`<|answer|>` (and the tag of the code that is wanted); the completion follows at once. Each tag is one token of a
tokenizer made for it, and plain text for any other. IR in native text is in canonical form (corpus/canonical.py).

Meta's format is Llama 2's instruction form, as its paper prints it; its answers are read leniently, since the words
around the code are not published.
"""

from __future__ import annotations

import re
from typing import Literal

from irwright.errors import IrwrightError

Style = Literal["native", "meta"]
"""How a task is put to a model."""

Target = Literal["x86-64", "aarch64"]
"""Whose assembly a prompt or an answer holds."""

TUNE, EMULATE, DISASSEMBLE = "<|tune|>", "<|emulate|>", "<|disassemble|>"
IR, ASM, PASSES, SIZES, ANSWER = "<|ir|>", "<|asm|>", "<|passes|>", "<|sizes|>", "<|answer|>"
X86_64, AARCH64 = "<|x86-64|>", "<|aarch64|>"
TAGS = (TUNE, EMULATE, DISASSEMBLE, IR, ASM, PASSES, SIZES, ANSWER, X86_64, AARCH64)
"""Every tag; a tokenizer keeps them whole."""


def target_tag(target: Target) -> str:
    """The tag of a target."""
    return {"x86-64": X86_64, "aarch64": AARCH64}[target]


def instruction(words: str, code: str, after: str = "") -> str:
    """Meta's frame around what is asked and the code it is asked about."""
    return f"[INST] {words}:\n\n<code>{code}</code>{after} [/INST]"


def check_style(style: str) -> Style:
    """The style of that name."""
    if style not in ("native", "meta"):
        raise IrwrightError(f"unknown prompt style {style!r}; there are native and meta")
    return style


def split_tags(text: str) -> list[tuple[str, str]]:
    """(tag, text up to the next tag) in order; what stands before the first tag has the tag ""."""
    pieces = re.split("(" + "|".join(map(re.escape, TAGS)) + ")", text)
    pairs = [("", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    return [(tag, piece) for tag, piece in pairs if tag or piece]


def code_of(answer: str) -> str:
    """The code in an answer of Meta's format: the first <code> block, the first fenced block, else all of it."""
    for pattern in (r"<code>(.*?)(?:</code>|$)", r"```[\w-]*\n(.*?)(?:```|$)"):
        match = re.search(pattern, answer, re.DOTALL)
        if match:
            return match[1].strip("\n")
    return answer.strip()


def numbers_of(text: str) -> tuple[int, ...]:
    """The whole numbers in a text, in order."""
    return tuple(int(word) for word in re.findall(r"\b\d{1,12}\b", text))
