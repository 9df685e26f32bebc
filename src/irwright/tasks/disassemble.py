"""The task `disassemble`: assembly in, the IR it was made from out.

The IR is what -Oz left, the assembly what code generation made of it, without anything that is no code or data:
comments, directives of debuggers, of the unwinder and of the file (`plain_assembly`). An answer is right if what it
recompiles to is the assembly of the prompt, which only a compiler can tell (lift/compare.py compares).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from irwright.tasks.text import (
    ANSWER,
    ASM,
    DISASSEMBLE,
    IR,
    Style,
    Target,
    code_of,
    instruction,
    split_tags,
    target_tag,
)

_NO_CODE = re.compile(
    r"\.(file|ident|addrsig|addrsig_sym|cfi_\w+|size|type|globl|hidden|weak|local|build_version|subsections_via_symbols"
    r"|section\s+\"\.note\.GNU-stack\".*|intel_syntax.*)(?!\S)"
)
_COMMENT = re.compile(r"\s*(?:#|//) .*$|\s*(?:#|//)$")
_OWN_LABEL = re.compile(r"\.L(?:func_(?:begin|end)|tmp)\d+:")


@dataclass(frozen=True, slots=True, kw_only=True)
class DisassembleAnswer:
    """What a model said; the text may be no IR at all."""

    ir: str


def prompt(assembly: str, *, target: Target = "x86-64", style: Style = "native") -> str:
    """Ask for the IR of some assembly."""
    if style == "meta":
        return instruction("Disassemble this code to LLVM-IR", assembly)
    return f"{DISASSEMBLE}{target_tag(target)}{ASM}{assembly}{ANSWER}{IR}"


def completion(ir: str, *, style: Style = "native") -> str:
    """The answer that is known."""
    return f"<code>{ir}</code>" if style == "meta" else ir


def parse(answer: str, *, style: Style = "native") -> DisassembleAnswer:
    """Read an answer."""
    if style == "meta":
        return DisassembleAnswer(ir=code_of(answer))
    pieces = dict(reversed(split_tags(answer)))
    return DisassembleAnswer(ir=pieces.get("", ""))


def plain_assembly(text: str) -> str:
    """Assembly of LLVM without comments and the directives that say nothing of code or data."""
    lines: list[str] = []
    for line in text.splitlines():
        short = line if '"' in line else _COMMENT.sub("", line).rstrip()
        word = short.strip()
        if word == ".text" and not lines:
            continue
        if word and not _NO_CODE.match(word) and not _OWN_LABEL.match(word):
            lines.append(short)
    return "\n".join(lines)
