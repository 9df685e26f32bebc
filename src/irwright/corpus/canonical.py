"""The canonical form of textual IR: what a model reads, and what copies are found by; it can be undone.

`canonicalise` renames and strips, `restore` takes back both, to the byte. Renamed are symbols (`@f0` functions, `@g0`
data; the C library's and LLVM's own names stay), types (`%t0`), comdats, values and block labels (numbers, as LLVM
prints a module whose values have no names). What is stripped is stripping.py's business. `strip` alone is for what
passes made of a module that was renamed before: new names stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Self

from irwright.corpus.stripping import HEADER, NAME, strip_lines

_TOKEN = re.compile(rf'"[^"\n]*"|[@%$]{NAME}')
_LABEL = re.compile(rf"({NAME}):")
_TYPE = re.compile(rf"%({NAME}) = type ")
_RESULT = re.compile(rf"  %({NAME}) = ")
_BLOCK_ADDRESS = re.compile(rf"(blockaddress\(@({NAME}), )%({NAME})\)")
_RUNTIME = re.compile(r"llvm\.|_Z(?:n|d)[wal]|__cxa_|__gxx_personality|_Unwind_|__stack_chk_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """What `canonicalise` did; `restore` needs it."""

    symbols: dict[str, str] = field(default_factory=dict[str, str])
    """new name of a symbol, type or comdat with its sigil to the old one"""
    locals: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """old name of a function to its values' and labels' new names (numbers) and old ones, where they differ"""
    entries: dict[str, str] = field(default_factory=dict[str, str])
    """old name of a function to the number of its first block, where that has a label: the line is left out"""
    cuts: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    """line of the stripped text: how much of it stays, and what follows in the original"""
    dropped: tuple[tuple[int, str], ...] = ()
    """lines that were left out, each with the number of lines of the stripped text before it"""
    num_appended: int = 0
    """lines at the end of the stripped text that repeat some of those: metadata that instructions take"""

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back."""
        cuts = {str(line): list(cut) for line, cut in self.cuts.items()}
        dropped = [list(line) for line in self.dropped]
        return {
            "symbols": self.symbols,
            "locals": self.locals,
            "entries": self.entries,
            "cuts": cuts,
            "dropped": dropped,
            "num_appended": self.num_appended,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read `to_json`'s data."""
        return cls(
            symbols=dict(data["symbols"]),
            locals={name: dict(names) for name, names in data["locals"].items()},
            entries=dict(data["entries"]),
            cuts={int(line): (int(kept), str(rest)) for line, (kept, rest) in data["cuts"].items()},
            dropped=tuple((int(line), str(text)) for line, text in data["dropped"]),
            num_appended=int(data["num_appended"]),
        )


def canonicalise(ir: str) -> tuple[str, Map]:
    """The canonical form of a module's text as LLVM prints it, and the way back."""
    stripped = strip_lines(ir)
    names = _Names(stripped.text)
    done = Map(
        symbols=names.back(),
        locals=names.locals_back(),
        entries=names.entries,
        cuts=stripped.cuts,
        dropped=stripped.dropped,
        num_appended=stripped.num_appended,
    )
    return _without_entries(names.rename(stripped.text)), done


def rename(ir: str) -> str:
    """Only the names of the canonical form; everything else stays."""
    return _Names(ir).rename(ir)


def strip(ir: str) -> str:
    """Only what the canonical form leaves out; names stay."""
    return strip_lines(ir).text


def restore(text: str, done: Map) -> str:
    """The text that `canonicalise` was given."""
    lines = _rename_back(text, done).split("\n") if text else []
    lines = lines[: len(lines) - done.num_appended]
    for number, (kept, rest) in done.cuts.items():
        lines[number] = lines[number][:kept] + rest
    whole: list[str] = []
    position = 0
    for before, line in done.dropped:
        whole += lines[position:before]
        position = before
        whole.append(line)
    return "\n".join(whole + lines[position:])


@cache
def kept_names() -> frozenset[str]:
    """Functions of the C library: what they do is known by name."""
    text = (resources.files("irwright") / "data" / "prototypes.tsv").read_text(encoding="utf-8")
    return frozenset(line.partition("\t")[0] for line in text.splitlines())


def original_symbols(text: str, done: Map) -> str:
    """Any text about canonical symbols, such as a model's answer, with the symbols and types they stand for."""
    return _TOKEN.sub(lambda match: done.symbols.get(match[0], match[0]), text)


def canonical_functions(ir: str) -> dict[str, str]:
    """Each function that a module defines, in canonical form by itself: names count from the function's first line.

    Inline copies of functions that are defined elsewhere (`available_externally`) are left out.
    """
    names = _Names(strip_lines(ir).text, symbols=False)
    return {name: names.alone(name, body) for name, body in names.bodies if "available_externally" not in body[0]}


class _Names:
    """Old names to new ones for one module."""

    def __init__(self, ir: str, *, symbols: bool = True) -> None:
        lines = ir.split("\n")
        self._types = {m[1]: "" for line in lines if (m := _TYPE.match(line))}
        self._functions = {m[2]: m[1] for line in lines if (m := HEADER.match(line))}
        self.entries: dict[str, str] = {}
        self._locals: dict[str, dict[str, str]] = {}
        self.bodies = list(_bodies(lines))
        for name, body in self.bodies:
            self._locals[name] = self._number(name, body)
        # A name that is both a type and a value can't be told apart by its looks: such types keep theirs.
        self._both = both = self._types.keys() & {old for names in self._locals.values() for old in names}
        for names in self._locals.values():
            for old in both & names.keys():
                del names[old]
        self._symbols: dict[str, str] = {}
        if symbols:
            self._name_symbols(lines)

    def _name_symbols(self, lines: list[str]) -> None:
        """Definitions first, then everything in the order in which functions, then other lines, name it."""
        outside: list[str] = []
        inside: list[str] = []
        within = False
        for line in lines:
            within = within or line.startswith("define ")
            (inside if within else outside).append(line)
            within = within and line != "}"
        defined = [f"@{name}" for name, kind in self._functions.items() if kind == "define"]
        self._symbols = self._new_names((*defined, *(token for line in (*inside, *outside) for token in _tokens(line))))

    def _new_names(self, tokens: Iterable[str]) -> dict[str, str]:
        """A new name for each symbol, type and comdat, counted in the order of the tokens."""
        taken = {f"%{name}" for name in self._both}
        counts = {"@f": 0, "@g": 0, "%t": 0}
        symbols: dict[str, str] = {}
        comdats: list[str] = []
        for token in tokens:
            sigil, name = token[0], token[1:]
            if token in symbols or self._keeps(sigil, name):
                continue
            if sigil == "$":
                comdats.append(token)
                continue
            kind = "%t" if sigil == "%" else "@f" if name in self._functions else "@g"
            while (new := f"{kind}{counts[kind]}") in taken:
                counts[kind] += 1
            counts[kind] += 1
            symbols[token] = new
        for token in dict.fromkeys(comdats):  # `comdat` alone means that of the symbol's own name
            symbols[token] = "$" + symbols.get(f"@{token[1:]}", f"@c_{token[1:]}")[1:]
        return symbols

    def alone(self, name: str, body: list[str]) -> str:
        """One function with names of its own."""
        symbols = self._new_names((f"@{name}", *(token for line in body for token in _tokens(line))))
        own = self._locals.get(name, {})
        lines = [_rename_line(line, symbols, own, self._locals) for line in body]
        return _without_entries("\n".join([*lines, "}"]))

    def _keeps(self, sigil: str, name: str) -> bool:
        if sigil == "%":
            return name not in self._types or name in self._both
        return bool(_RUNTIME.match(name)) or name in kept_names()

    def _number(self, name: str, body: list[str]) -> dict[str, str]:
        """Values and labels of one function in the order of definition, to numbers."""
        order = [token[1:] for token in _tokens(body[0]) if token[0] == "%" and token[1:] not in self._types]
        order = list(dict.fromkeys(order))
        unnamed = sum(name.isdigit() for name in order)
        label = _LABEL.match(body[1]) if len(body) > 1 else None
        if label is None:
            order.append(str(unnamed))
        else:
            self.entries[name] = str(len(order))
        for line in body[1:]:
            match = _RESULT.match(line) or _LABEL.match(line)
            if match:
                order.append(match[1])
        return {old: str(new) for new, old in enumerate(order)}

    def rename(self, ir: str) -> str:
        """The text with the new names."""
        own: Mapping[str, str] = {}
        lines: list[str] = []
        for line in ir.split("\n"):
            if line.startswith("define "):
                match = HEADER.match(line)
                own = self._locals.get(match[2], {}) if match else {}
            lines.append(_rename_line(line, self._symbols, own, self._locals))
            if line == "}":
                own = {}
        return "\n".join(lines)

    def back(self) -> dict[str, str]:
        return {new: old for old, new in self._symbols.items() if new != old}

    def locals_back(self) -> dict[str, dict[str, str]]:
        back = {name: {new: old for old, new in names.items()} for name, names in self._locals.items()}
        return {name: names for name, names in back.items() if any(new != old for new, old in names.items())}


def _bodies(lines: Iterable[str]) -> Iterable[tuple[str, list[str]]]:
    """(name, lines) of each function with a body, the closing brace left out."""
    body: list[str] | None = None
    for line in lines:
        if line.startswith("define "):
            body = []
        if body is None:
            continue
        if line == "}":
            match = HEADER.match(body[0])
            yield (match[2] if match else "?"), body
            body = None
            continue
        body.append(line)


def _tokens(line: str) -> list[str]:
    return [token for token in _TOKEN.findall(line) if token[0] != '"']


def _rename_line(
    line: str, symbols: Mapping[str, str], own: Mapping[str, str], every: Mapping[str, Mapping[str, str]]
) -> str:
    def new(match: re.Match[str]) -> str:
        token = match[0]
        if token in symbols:
            return symbols[token]
        return f"%{own[token[1:]]}" if token[0] == "%" and token[1:] in own else token

    if "blockaddress(" in line:  # labels of another function; marked so that they are not renamed again
        labels: list[str] = []

        def mark(match: re.Match[str]) -> str:
            labels.append(every.get(match[2], {}).get(match[3], match[3]))
            return f"{match[1]}\0)"

        marked = _TOKEN.sub(new, _BLOCK_ADDRESS.sub(mark, line))
        for label in labels:
            marked = marked.replace("\0", f"%{label}", 1)
        return marked
    if own and (label := _LABEL.match(line)) and label[1] in own:
        return f"{own[label[1]]}:{line[label.end() :]}"
    return _TOKEN.sub(new, line)


def _rename_back(text: str, done: Map) -> str:
    """The stripped text with its old names."""
    forward = {old: new for new, old in done.symbols.items()}
    every = {forward.get(f"@{name}", f"@{name}")[1:]: names for name, names in done.locals.items()}
    entries = {forward.get(f"@{name}", f"@{name}")[1:]: number for name, number in done.entries.items()}
    own: Mapping[str, str] = {}
    lines: list[str] = []
    for line in text.split("\n"):
        match = HEADER.match(line) if line.startswith("define ") else None
        if match:
            own = every.get(match[2], {})
        lines.append(_rename_line(line, done.symbols, own, every))
        if match and match[2] in entries:
            lines.append(_rename_line(f"{entries[match[2]]}:", done.symbols, own, every))
        if line == "}":
            own = {}
    return "\n".join(lines)


def _without_entries(text: str) -> str:
    """The label of each function's first block left out, which nothing can jump to."""
    return re.sub(rf"(^define .*\n){NAME}:.*\n", r"\1", text, flags=re.MULTILINE)
