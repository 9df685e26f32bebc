"""Assembly text, AT&T or Intel, clang's or gcc's, made ready for LLVM's assembler.

The assembler itself does the reading: what it makes of the text is then read as an object. Three things the object
would lose are kept by rewriting labels first: private labels get names the assembler keeps, labels of data become
global so that every relocation says which object it is relative to, and instructions whose comments call them
spills get a label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from irwright.errors import InputError

KEPT = "_$L"
"""takes the place of `.L`"""
SPILL = "_$S"
MAX_TEXT_BYTES = 64 << 20

_LABEL = re.compile(r'\s*("[^"\n]+"|[A-Za-z_.$][\w.$@]*|\d+)\s*:(?!:)')
_PRIVATE = re.compile(r"(?<![\w.$])\.L(?=[\w.$])")
_CODE_SECTION = re.compile(r"\.text\b|\.init\b|\.fini\b|\.plt\b")
_REGISTER = r"[re]?(?:[abcd]x|[sd]i|[sb]p)|[abcd][lh]|r(?:8|9|1[0-5])[dwb]?|xmm\d+"
_INTEL = re.compile(rf"^\s*\w+\s+(?:(?:{_REGISTER})\b|(?:BYTE|WORD|DWORD|QWORD|XMMWORD) PTR)", re.I | re.M)
_FOREIGN = re.compile(
    r"^\s*(?:(?:ldr|str|ldp|stp|adrp|cbn?z|bl|blx|bx|mov)\s+[wxr]\d+|stp\s+x29|push\s+\{|\.arch\s+armv|\.cpu\s+|bl\s+\w+)",
    re.M,
)


@dataclass(slots=True)
class Prepared:
    """Text for the assembler, and what was noted on the way."""

    text: str
    locals: set[str] = field(default_factory=set[str])
    """names that were made global here and are local in truth"""
    is_intel: bool = False
    indirect: set[str] = field(default_factory=set[str])
    """names that are reached through the linker's tables (@PLT, @GOTPCREL)"""


_INNER = re.compile(r"^\s*\.set\s+(\.L\w+),\s*(\.L\w+\+\d+)\s*$", re.MULTILINE)


def _without_inner_labels(text: str) -> str:
    """`.set .LC19,.LC16+4`, gcc's way to use part of a constant, as `.LC16+4` at its uses: it begins no object."""
    places = dict(_INNER.findall(text))
    if not places:
        return text
    return re.sub(r"\.L\w+", lambda match: places.get(match[0], match[0]), _INNER.sub("", text))


@dataclass(slots=True)
class _Place:
    """Which section the reading is in, as far as it matters."""

    in_code: bool = True
    previous: bool = True
    stack: list[bool] = field(default_factory=list[bool])

    def note(self, directive: str, line: str) -> None:
        """Follow a directive that changes the section."""
        if directive in (".text", ".data", ".bss", ".section", ".pushsection"):
            if directive == ".pushsection":
                self.stack.append(self.in_code)
            self.previous, self.in_code = self.in_code, _is_code(directive, line)
        elif directive == ".popsection":
            self.in_code = self.stack.pop() if self.stack else True
        elif directive == ".previous":
            self.in_code, self.previous = self.previous, self.in_code


def prepare(text: str, name: str) -> Prepared:
    """Rewrite labels; InputError for what is plainly no x86 assembly."""
    is_intel = _check(text, name)
    prepared = Prepared(text="", is_intel=is_intel)
    out: list[str] = []  # a line for each of the text, so that the assembler's messages name the right one
    lead = ".intel_syntax noprefix; " if is_intel and ".intel_syntax" not in text else ""
    declared: set[str] = set()
    place = _Place()
    marks = 0
    for line in _without_inner_labels(text).splitlines():
        first = next(iter(line.split(None, 1)), "#")
        if first[0] == "#" or first in (".file", ".loc", ".addrsig", ".addrsig_sym"):
            out.append("")
            continue
        if ".L" in line:
            line = _rename(line)
        place.note(first, line)
        if first in (".globl", ".global", ".weak"):
            declared.update(_named(line))
        elif first == ".local":
            prepared.locals.update(_named(line))
            out.append("")
            continue
        elif first == ".comm" and (reserved := _reserved(line)) is not None and reserved[0] in prepared.locals:
            # Space of a local symbol, as a place that others can be relative to.
            title, size, align = reserved
            out.append(f".pushsection .bss; .globl {title}; .balign {align}; {title}: .zero {size}; .popsection")
            continue
        if "@PLT" in line or "@GOTPCREL" in line:
            prepared.indirect.update(re.findall(r'"?([\w.$]+)"?@(?:PLT|GOTPCREL)', line))
        label = _LABEL.match(line)
        if label is not None:
            title = label[1].strip('"')
            if not place.in_code and not title.isdigit() and title not in declared:
                lead += f".globl {label[1]}; "
                prepared.locals.add(title)
        elif place.in_code and _is_spill(line):
            lead += f"{SPILL}{marks}: "
            marks += 1
        out.append(lead + line)
        lead = ""
    prepared.locals -= declared
    prepared.text = "\n".join(out) + "\n"
    return prepared


def _check(text: str, name: str) -> bool:
    """Whether text is in Intel's syntax; InputError where it is no x86 assembly at all."""
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(name, f"has {len(text)} bytes; text above {MAX_TEXT_BYTES} bytes is not lifted")
    if "\0" in text:
        raise InputError(name, "holds zero bytes; this is neither assembly text nor an ELF object")
    is_intel = ".intel_syntax" in text or ("%" not in text and bool(_INTEL.search(text)))
    if _FOREIGN.search(text) and "%r" not in text and "%e" not in text and not is_intel:
        raise InputError(name, "reads like ARM assembly; x86-64 is what can be lifted")
    return is_intel


def _is_spill(line: str) -> bool:
    if "pill" not in line and "eload" not in line:  # the search is slow
        return False
    return re.search(r"# \d+-byte (?:Folded )?(?:Spill|Reload)", line) is not None


def _named(line: str) -> list[str]:
    """Symbols that a directive names."""
    return [part.strip() for part in line.split(None, 1)[1].split("#")[0].split(",")]


def _rename(line: str) -> str:
    """Private labels get names that stay; strings are left alone."""
    if '"' not in line:
        return _PRIVATE.sub(KEPT, line)
    parts = re.split(r'("(?:\\.|[^"\\])*")', line)
    return "".join(part if part.startswith('"') else _PRIVATE.sub(KEPT, part) for part in parts)


def _reserved(line: str) -> tuple[str, str, str] | None:
    """Symbol, size and alignment of `.comm`."""
    parts = [part.strip() for part in line.split("#")[0].split(None, 1)[1].split(",")]
    if len(parts) < 2 or not all(part.isdigit() for part in parts[1:3]):
        return None
    return parts[0], parts[1], parts[2] if len(parts) > 2 else "1"


def _is_code(directive: str, line: str) -> bool:
    if directive in (".text", ".data", ".bss"):
        return directive == ".text"
    match = re.match(r'\s*\S+\s+"?([^",\s]+)"?(?:\s*,\s*"([^"]*)")?', line)
    if match is None:
        return False
    return "x" in match[2] if match[2] is not None else bool(_CODE_SECTION.match(match[1]))


def as_module(text: str, triple: str) -> str:
    """Textual IR whose object is what the assembler makes of `text`."""
    lines = [f'target triple = "{triple}"', ""]
    for line in text.splitlines():
        escaped = "".join(
            c if " " <= c <= "~" and c not in '"\\' else "".join(f"\\{b:02X}" for b in c.encode()) for c in line
        )
        lines.append(f'module asm "{escaped or " "}"')  # an empty one would not count as a line
    return "\n".join(lines) + "\n"
