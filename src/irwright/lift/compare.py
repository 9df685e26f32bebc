"""Assembly text made comparable: what two functions must share to be called exactly equal.

Taken away: comments, directives, blanks, the names of private labels (they become numbers in order of appearance).
Kept: every instruction and operand, every public name, and the content of what private labels of data name:
constants and strings byte by byte, jump tables target by target. So two texts that compare equal assemble to the
same instructions on the same data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher

_LABEL = re.compile(r'^\s*("[^"\n]+"|[A-Za-z_.$][\w.$@]*):\s*(.*)$')
_PRIVATE = re.compile(r"\.L[\w.$]+")
_STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
_SIZES = {
    ".byte": 1,
    ".short": 2,
    ".value": 2,
    ".2byte": 2,
    ".long": 4,
    ".int": 4,
    ".4byte": 4,
    ".quad": 8,
    ".8byte": 8,
}
_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, '"': 34, "\\": 92}


@dataclass(slots=True)
class Text:
    """An assembly file taken apart."""

    functions: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """lines of each function: instructions, and labels ending in a colon; comments and directives gone"""
    data: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """directive lines after each label of data"""


def strip_comment(line: str) -> str:
    """A line without its `#` comment; a `#` in a string is none."""
    if "#" not in line:
        return line.rstrip()
    if '"' not in line:
        return line.partition("#")[0].rstrip()
    out: list[str] = []
    inside = is_escaped = False
    for c in line:
        if c == '"' and not is_escaped:
            inside = not inside
        elif c == "#" and not inside:
            break
        is_escaped = c == "\\" and not is_escaped
        out.append(c)
    return "".join(out).rstrip()


def take_apart(text: str) -> Text:
    """Functions and labelled data of an assembly text."""
    result = Text()
    function: list[str] | None = None
    data: list[str] | None = None
    functions: set[str] = set()
    in_code = True
    for raw in text.splitlines():
        line = strip_comment(raw)
        if not line:
            continue
        label = _LABEL.match(line)
        if label is not None:
            name = label[1].strip('"')
            line = label[2]
            if name in functions and in_code:
                function = result.functions.setdefault(name, [])
                data = None
            elif name.startswith(".Lfunc_end"):
                function = None
            elif in_code and function is not None and name.startswith(".L"):
                function.append(f"{name}:")
            else:
                data = result.data.setdefault(name, [])
            if not line:
                continue
        words = line.split(None, 1)
        directive = words[0]
        if directive[0] == ".":
            if directive == ".type" and ("@function" in line or "@gnu_indirect_function" in line):
                functions.add(words[1].split(",")[0].strip().strip('"'))
            elif directive in (".text", ".section", ".data", ".bss"):
                in_code = directive == ".text" or bool(re.match(r"\.(text|init|fini)\b", words[-1].lstrip('"')))
                in_code = in_code or (
                    directive == ".section" and bool(re.search(r'"[^"]*x[^"]*"', words[-1].partition(",")[2]))
                )
                data = None
            elif data is not None:
                data.append(line.strip())
            continue
        if function is not None and in_code:
            function.append(" ".join([directive, *words[1:]]))
    return result


def content(lines: list[str], name_of: dict[str, str], own: str) -> tuple[str, ...]:
    """What data directives put into memory: bytes as hex, references normalised and relative to `own`."""
    out: list[str] = []
    for line in lines:
        directive, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
        rest = rest.strip()
        if directive in (".ascii", ".asciz", ".string"):
            for match in _STRING.finditer(rest):
                out.append(_unescape(match[1]).hex() + ("" if directive == ".ascii" else "00"))
        elif directive in (".zero", ".skip", ".space"):
            count = int(rest.split(",")[0], 0) if rest.split(",")[0].strip().isdigit() else 0
            out.append("00" * min(count, 1 << 16))
        elif directive in _SIZES:
            size = _SIZES[directive]
            for item in rest.split(","):
                item = item.strip()
                try:
                    out.append((int(item, 0) & ((1 << 8 * size) - 1)).to_bytes(size, "little").hex())
                except ValueError:
                    out.append(f" {size}:{_rename(item, name_of, own)} ")
    return ("".join(out),)


def _rename(item: str, name_of: dict[str, str], own: str) -> str:
    return _PRIVATE.sub(lambda m: "SELF" if m[0] == own else name_of.get(m[0], "?"), item)


def _unescape(text: str) -> bytes:
    out = bytearray()
    at = 0
    while at < len(text):
        c = text[at]
        if c != "\\":
            out += c.encode(errors="surrogateescape")
            at += 1
            continue
        octal = re.match(r"[0-7]{1,3}", text[at + 1 : at + 4])
        if octal:
            out.append(int(octal[0], 8) & 255)
            at += 1 + len(octal[0])
        else:
            out.append(_ESCAPES.get(text[at + 1 : at + 2], ord(text[at + 1 : at + 2] or "\\")))
            at += 2
    return bytes(out)


def normalise(text: Text, function: str) -> list[str]:
    """The comparable lines of one function."""
    lines = text.functions.get(function, [])
    own = {line[:-1] for line in lines if line.endswith(":") and " " not in line}
    used: set[str] = set()
    for line in lines:
        if not line.endswith(":"):
            used.update(_PRIVATE.findall(line))
    tables = {label for name in used - own for entry in text.data.get(name, []) for label in _PRIVATE.findall(entry)}
    # A label nobody jumps to is no label.
    name_of: dict[str, str] = {}
    for line in lines:
        label = line[:-1]
        if label in own and label in used | tables:
            name_of[label] = f"L{len(name_of)}"
    out: list[str] = []
    data: dict[str, str] = {}
    for line in lines:
        if line[:-1] in own and line.endswith(":"):
            if line[:-1] in name_of:
                out.append(f"{name_of[line[:-1]]}:")
            continue

        def name(match: re.Match[str]) -> str:
            label = match[0]
            if label in name_of:
                return name_of[label]
            if label not in data:
                found = text.data.get(label)
                data[label] = label if found is None else f"<{content(found, name_of, label)[0]}>"
            return data[label]

        out.append(_PRIVATE.sub(name, re.sub(r"\s+", " ", line)))
    while out and out[-1] in ("nop",):
        out.pop()
    return out


def similarity(a: list[str], b: list[str]) -> float:
    """Share of equal lines, 0 to 1."""
    if not a and not b:
        return 1.0
    if len(a) + len(b) > 6000:
        common = len(set(a) & set(b))
        return 2 * common / max(1, len(set(a)) + len(set(b)))
    return SequenceMatcher(None, a, b, autojunk=False).ratio()
