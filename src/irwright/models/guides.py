"""What tells a decoder whether an answer can go on as it begins: for IR and for assembly, and the sizes behind them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from irwright.grammar.assembly import is_shaped, line_fault
from irwright.grammar.module import CodeState
from irwright.models.lists import sizes_are_whole, sizes_can_become
from irwright.tasks.text import SIZES

MAX_SAME_LINES = 4
"""in a row, without a value: more is a model that has lost its way"""


@dataclass(frozen=True, slots=True)
class Span:
    """Where an answer goes wrong: some characters, one of which has to be another."""

    start: int
    end: int


class Guide(Protocol):
    """Knows which texts can become a right answer."""

    def fault(self, text: str) -> Span | None:
        """What is wrong with the beginning of an answer."""
        ...

    def may_end(self, text: str) -> bool:
        """True if the answer may end here."""
        ...


def _tail_fault(text: str, start: int, *, may_begin: bool, sizes: bool) -> Span | None:
    """What is wrong with the part of an answer behind its code, which begins with `<|`."""
    tail = text[start:]
    if not (sizes and may_begin):
        return Span(start, start + 1)
    if len(tail) < len(SIZES):
        return None if SIZES.startswith(tail) else Span(start, len(text))
    if not tail.startswith(SIZES):
        return Span(start, len(text))
    return None if sizes_can_become(tail[len(SIZES) :]) else Span(start + len(SIZES), len(text))


@dataclass(slots=True)
class IRGuide:
    """Of modules in canonical form."""

    sizes: bool = False
    """two sizes stand behind the code"""
    enough: int = 1 << 30
    """characters from which the code has to come to its end"""
    _lines: list[str] = field(default_factory=list[str])
    _states: list[CodeState] = field(default_factory=lambda: [CodeState()])

    def fault(self, text: str) -> Span | None:
        """What is wrong with the beginning of an answer."""
        code, mark, _ = text.partition("<|")
        lines = code.split("\n")
        whole, last = (lines, "") if mark else (lines[:-1], lines[-1])
        found = self._state(whole)
        if isinstance(found, int):
            return Span(found, found + 1)
        if mark:
            return _tail_fault(text, len(code), may_begin=found.may_end, sizes=self.sizes)
        if "<" in last[-1:] and self.sizes and self._ends_before(whole, last[:-1]):
            return None
        start = len(code) - len(last)
        if _is_repeated(whole, last):
            return Span(start, start + 1)
        wrong = self._hurried(found, start).fault(last)
        return None if wrong is None else Span(start + wrong, start + wrong + 1)

    def _ends_before(self, whole: list[str], last: str) -> bool:
        found = self._state([*whole, last])
        return not isinstance(found, int) and found.may_end

    def may_end(self, text: str) -> bool:
        """True if the answer may end here."""
        code, mark, rest = text.partition("<|")
        if bool(mark) != self.sizes:
            return False
        found = self._state(code.split("\n"))
        return not isinstance(found, int) and found.may_end and (not mark or sizes_are_whole(rest[len(SIZES) - 2 :]))

    def _hurried(self, state: CodeState, start: int) -> CodeState:
        if start < self.enough:
            return state
        state = state.copy()
        state.hurries = True
        if state.flow is not None:
            state.flow.hurries = True
        return state

    def _state(self, lines: list[str]) -> CodeState | int:
        """After some whole lines; states of the lines before are kept."""
        same = 0
        while same < min(len(lines), len(self._lines)) and lines[same] == self._lines[same]:
            same += 1
        del self._lines[same:]
        del self._states[same + 1 :]
        start = sum(len(line) + 1 for line in lines[:same])
        for line in lines[same:]:
            found = self._hurried(self._states[-1], start).after(line)
            if isinstance(found, int):
                return start + found
            self._lines.append(line)
            self._states.append(found)
            start += len(line) + 1
        return self._states[-1]


def _is_repeated(lines: list[str], line: str) -> bool:
    """True if this would be once too often the same line."""
    last = lines[-MAX_SAME_LINES:]
    return len(last) == MAX_SAME_LINES and len(set(last)) == 1 and len(line) > 8 and last[0].startswith(line)


_LOCAL = re.compile(r"\.L[\w.$]+")
_LABEL = re.compile(r"([.\w$]+):")
_DIFFERENCE = re.compile(r"\t\.(?:long|quad)\t\.L\w+-\.L\w+")


@dataclass(slots=True)
class AssemblyGuide:
    """Of assembly: every line must assemble by itself, and every local label must be defined once."""

    assembles: Callable[[str], bool]
    """of one line that names no local label"""
    sizes: bool = False
    enough: int = 1 << 30
    _known: dict[str, bool] = field(default_factory=dict[str, bool])

    def fault(self, text: str) -> Span | None:
        """What is wrong with the beginning of an answer."""
        code, mark, _ = text.partition("<|")
        lines = code.split("\n")
        whole, last = (lines, "") if mark else (lines[:-1], lines[-1])
        start = 0
        labels: set[str] = set()
        for number, line in enumerate(whole):
            label = _LABEL.fullmatch(line)
            if (label and label[1] in labels) or not self._is_right(line) or _is_repeated(whole[:number], line):
                return Span(start, start + len(line) + 1)
            labels |= {label[1]} if label else set()
            start += len(line) + 1
        owed = {name for name in _LOCAL.findall("\n".join(whole)) if name not in labels}
        if mark:
            return _tail_fault(text, len(code), may_begin=bool(labels) and not owed, sizes=self.sizes)
        if start >= self.enough and last:
            wanted = [f"{name}:" for name in owed] or ["\tretq", "<|"]
            if not any(one.startswith(last) or last.startswith(one) for one in wanted):
                return Span(start, len(text))
        if last == "<" and self.sizes:
            return None
        if _is_repeated(whole, last) or (last.endswith(":") and last[:-1] in labels):
            return Span(start, len(text))
        wrong = line_fault(last)
        return None if wrong is None else Span(start + wrong, start + wrong + 1)

    def may_end(self, text: str) -> bool:
        """True if the answer may end here."""
        code, mark, rest = text.partition("<|")
        if bool(mark) != self.sizes or self.fault(f"{code}\n") is not None:
            return False
        owed = set(_LOCAL.findall(code)) - set(re.findall(r"^(\.L[\w.$]+):", code, re.MULTILINE))
        return not owed and (not mark or sizes_are_whole(rest[len(SIZES) - 2 :]))

    def _is_right(self, line: str) -> bool:
        if not line or _DIFFERENCE.fullmatch(line):
            return bool(line)
        plain = _LOCAL.sub("x", line)
        if not is_shaped(line):
            return False
        if plain not in self._known:
            self._known[plain] = self.assembles(plain)
        return self._known[plain]
