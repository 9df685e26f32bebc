"""What the canonical form of textual IR leaves out, and modules made whole again for a target.

`strip_lines` drops comments, metadata that no instruction takes as an operand, debug records, the lines that the target
decides (data layout, triple), attributes in text (`"target-cpu"="x86-64"`) and all attributes of declarations; other
attributes of functions and calls stand in place of their group (`#0`). What is left is valid IR of LLVM 19 and newer,
which declare intrinsics themselves. Names are canonical.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

NAME = r'(?:"[^"\n]*"|[-\w.$]+)'
"""A name of LLVM's, as a regular expression, without sigil."""

HEADER = re.compile(rf"(define|declare) [^@\n]*@({NAME})\(")
"""The first line of a function: kind and name."""

_COMMENT = re.compile(r'^((?:[^";\n]|"[^"\n]*")*);.*$')
_ATTACHMENTS = re.compile(r"(?:,? ![A-Za-z_][\w.]* !\d+)+(?= \{$|$)|(?:,? ![A-Za-z_][\w.]* !\d+)+(?=, align)")
_GROUP = re.compile(r" #(\d+)(?=$|[ ,]|\{)")
_GROUP_LINE = re.compile(r"attributes #(\d+) = \{ ?(.*?) ?\}$")
_STRING_ATTRIBUTE = re.compile(r'"[^"]*"(?:="[^"]*")? ?')
_NODE_LINE = re.compile(r"!(\d+) = ")
_NODE = re.compile(r"!(\d+)\b")
_HEAD = ("source_filename", "target ", "; ModuleID", "attributes #", "!")


def dress(text: str, *, head: str, attributes: str = "") -> str:
    """A module for a target from stripped text: `head` is its data layout and triple, `attributes` those in text."""
    if attributes:
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if line.startswith("define "):
                at = _after_parameters(line)
                lines[number] = f"{line[:at]} #0{line[at:]}"
        text = "\n".join([*lines, f"attributes #0 = {{ {attributes} }}", ""])
    return f"{head}\n{text}"


def _after_parameters(line: str) -> int:
    """Where the attributes of a function begin: behind the parameters and `unnamed_addr`."""
    match = HEADER.match(line)
    depth, at = 1, match.end() if match else 0
    quoted = False
    while depth and at < len(line):
        quoted ^= line[at] == '"'
        depth += 0 if quoted else {"(": 1, ")": -1}.get(line[at], 0)
        at += 1
    for word in (" local_unnamed_addr", " unnamed_addr"):
        if line.startswith(word, at):
            return at + len(word)
    return at


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripped:
    """Stripped text, and what is gone."""

    text: str
    cuts: dict[int, tuple[int, str]]
    """line of the text: how much of the original stays, and what follows in it"""
    dropped: tuple[tuple[int, str], ...]
    """lines left out, each with the number of lines of the text before it"""
    num_appended: int
    """lines at the end of the text that repeat some of those: metadata that instructions take"""


def strip_lines(ir: str) -> Stripped:
    """Strip a module's text as LLVM prints it."""
    original = ir.split("\n")
    groups = {m[1]: _enum_attributes(m[2]) for line in original if (m := _GROUP_LINE.match(line))}
    lines: list[str] = []
    cuts: dict[int, tuple[int, str]] = {}
    dropped: list[tuple[int, str]] = []
    inside = False
    for line in original:
        inside = inside or line.startswith("define ")
        short = "" if not inside and _is_of_no_use(line) else _strip_line(line, groups)
        inside = inside and line != "}"
        if not short:
            dropped.append((len(lines), line))
            continue
        if short != line:
            kept = _common(short, line)
            cuts[len(lines)] = (kept, line[kept:])
        lines.append(short)
    wanted = _operand_nodes(lines, [line for _, line in dropped if line.startswith("!")])
    return Stripped(text="\n".join([*lines, *wanted]), cuts=cuts, dropped=tuple(dropped), num_appended=len(wanted))


def _is_of_no_use(line: str) -> bool:
    """A line outside of functions that the canonical form does without."""
    return line.startswith(_HEAD) or (line.startswith("declare ") and "@llvm." in line)


def _strip_line(line: str, groups: Mapping[str, str]) -> str:
    if line.startswith("    #dbg_"):
        return ""
    if ";" in line:
        match = _COMMENT.match(line)
        line = match[1].rstrip() if match else line
    if "!" in line:
        line = _ATTACHMENTS.sub("", line)
    if line.startswith("declare "):
        return _GROUP.sub("", re.sub(r"^declare( !\w+ !\d+)+", "declare", line))
    if "#" in line:
        line = _outside_strings(line, lambda part: _GROUP.sub(lambda m: f" {groups.get(m[1], '')}".rstrip(), part))
    return line


def _outside_strings(line: str, change: Callable[[str], str]) -> str:
    if '"' not in line:
        return change(line)
    parts = re.split(r'("[^"\n]*")', line)
    return "".join(part if index % 2 else change(part) for index, part in enumerate(parts))


def _enum_attributes(text: str) -> str:
    """The attributes of a group without those in text, spelled as a function has them."""
    return re.sub(r"alignstack=(\d+)", r"alignstack(\1)", _STRING_ATTRIBUTE.sub("", text)).strip()


def _operand_nodes(lines: Iterable[str], nodes: Iterable[str]) -> list[str]:
    """The lines of metadata that the other lines refer to, directly or not."""
    text = {match[1]: line for line in nodes if (match := _NODE_LINE.match(line))}
    todo = [number for line in lines if "metadata !" in line for number in _NODE.findall(line)]
    found: set[str] = set()
    while todo:
        number = todo.pop()
        if number in text and number not in found:
            found.add(number)
            todo += _NODE.findall(text[number])
    return [line for number, line in text.items() if number in found]


def _common(one: str, other: str) -> int:
    """Length of the common prefix."""
    length = min(len(one), len(other))
    return next((at for at in range(length) if one[at] != other[at]), length)
