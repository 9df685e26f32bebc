"""One line of text, read from the left; it may be the beginning of a line whose end is not said yet.

What can't be raises `GrammarError` with the place of the first character that no right line has there. Where the line
ends too early, `UnfinishedError` is raised if more may come (`whole` is false), else `GrammarError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from irwright.errors import GrammarError, UnfinishedError

_NUMBER = re.compile(r"-?[0-9]*")
_DIGITS = re.compile(r"[0-9]*")


@dataclass(slots=True)
class Reader:
    """A line and how much of it was read."""

    text: str
    whole: bool
    """the line ends here; otherwise more may come"""
    position: int = 0

    @property
    def rest(self) -> str:
        return self.text[self.position :]

    @property
    def at_end(self) -> bool:
        """Nothing is left of a whole line; UnfinishedError where nothing is left and more may come."""
        if self.position < len(self.text):
            return False
        if not self.whole:
            raise UnfinishedError(len(self.text))
        return True

    def fail(self, offset: int = 0) -> GrammarError:
        """The error that stands here, to be raised."""
        return GrammarError(self.position + offset)

    def end(self) -> None:
        """Nothing more may follow."""
        if self.position < len(self.text):
            raise self.fail()

    def need(self, *options: str) -> str:
        """One of some texts, the longest that is there."""
        found = self.maybe(*options)
        if found:
            return found
        rest = self.rest
        raise self.fail(max((_shared(rest, option) for option in options), default=0))

    def maybe(self, *options: str) -> str:
        """The same, or nothing."""
        rest = self.rest
        if not self.whole and any(len(rest) < len(option) and option.startswith(rest) for option in options):
            raise UnfinishedError(len(self.text))
        found = max((option for option in options if rest.startswith(option)), key=len, default="")
        self.position += len(found)
        return found

    def looks_at(self, *options: str) -> bool:
        """True if one of some texts comes next; it is not read."""
        before = self.position
        found = self.maybe(*options)
        self.position = before
        return bool(found)

    def number(self, low: int, high: int) -> int:
        """A whole number as LLVM writes it, within bounds."""
        start = self.position
        match = _NUMBER.match(self.text, start)
        assert match
        digits = match[0]
        if match.end() == len(self.text) and not self.whole:
            if digits not in ("", "-"):
                self._check_number(digits, low, high, start, begun=True)
            elif digits == "-" and low >= 0:
                raise self.fail()
            raise UnfinishedError(len(self.text))
        if digits in ("", "-"):
            raise self.fail(len(digits))
        self._check_number(digits, low, high, start, begun=False)
        self.position = match.end()
        return int(digits)

    def _check_number(self, digits: str, low: int, high: int, start: int, *, begun: bool) -> None:
        value = int(digits)
        padded = digits.removeprefix("-").startswith("0") and digits not in ("0", "-0")
        too_small = value < low and not (begun and value >= 0)
        if digits == "-0" or padded or value > high or too_small:
            raise GrammarError(start + len(digits) - 1)

    def choice(self, numbers: Iterable[int], *, mark: str = "") -> int:
        """One of some numbers that are not negative, behind a mark such as `%`."""
        if mark:
            self.need(mark)
        start = self.position
        match = _DIGITS.match(self.text, start)
        assert match
        digits = match[0]
        if match.end() == len(self.text) and not self.whole:
            if any(str(number).startswith(digits) for number in numbers):
                raise UnfinishedError(len(self.text))
            raise GrammarError(start + _furthest(digits, map(str, numbers)))
        known = set(map(str, numbers))
        if digits not in known:
            raise GrammarError(start + _furthest(digits, known))
        self.position = match.end()
        return int(digits)


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _furthest(digits: str, options: Iterable[str]) -> int:
    """Where the digits leave every option."""
    return max((_shared(digits, option) for option in options), default=0)
