"""The language of pass lists as decoding needs it: which texts can still become a list that this LLVM takes.

A list is items with commas between them; an item is a pass with parameters worth trying, in the flat form (passes.py),
or one of the groups in the shipped tables. As a grammar (GBNF) for llama.cpp and its like, and as a test of prefixes
for masks of tokens: both say the same.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from itertools import groupby, islice, takewhile

from irwright.coreset import load_coreset
from irwright.measure import PROTOCOLS
from irwright.pass_table import params_worth_trying, usable_passes

MAX_ITEMS = 50
SIZES_GBNF = '[0-9]{1,8} " " [0-9]{1,8}'
"""The two predicted sizes that a native answer puts behind a list."""
_SIZES_BEGUN = re.compile(r"[0-9]{0,8}|[0-9]{1,8} [0-9]{0,8}")
_SIZES = re.compile(r"[0-9]{1,8} [0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class ListLanguage:
    """All pass lists of one LLVM with at most `max_items` items."""

    llvm_major: int
    max_items: int = MAX_ITEMS

    @property
    def items(self) -> frozenset[str]:
        """Every text an item may have."""
        return _items(self.llvm_major)

    def can_become(self, text: str) -> bool:
        """True if some list begins with this text."""
        *whole, last = _split(text)
        if len(whole) >= self.max_items or not all(item in self.items for item in whole):
            return False
        return last in _beginnings(self.llvm_major)

    def is_whole(self, text: str) -> bool:
        """True if this text is a list, not empty."""
        items = _split(text)
        return len(items) <= self.max_items and all(item in self.items for item in items)

    def whole_part(self, text: str) -> str:
        """The items of a text up to the first that is none: of an answer that was cut off, what can be used."""
        whole = takewhile(lambda item: item in self.items, _split(text))
        return ",".join(islice(whole, self.max_items))

    def gbnf(self, *, after: str = "", end: str = "") -> str:
        """A grammar of what may follow `after`, itself the beginning of a list; `end` is GBNF of what comes then.

        ValueError where no list begins with `after`.
        """
        if not self.can_become(after):
            raise ValueError(f"no pass list begins with {after!r}")
        *whole, last = _split(after)
        rests = sorted(item[len(last) :] for item in self.items if item.startswith(last))
        left = self.max_items - len(whole) - 1
        more = f' ("," item){{0,{left}}}' if left else ""
        return f"root ::= ({_trie(rests)}){more} {end}\nitem ::= {_trie(sorted(self.items))}\n"


def sizes_can_become(text: str) -> bool:
    """True if two sizes may begin with this text."""
    return _SIZES_BEGUN.fullmatch(text) is not None


def sizes_are_whole(text: str) -> bool:
    """True if this text is two sizes."""
    return _SIZES.fullmatch(text) is not None


def _split(text: str) -> list[str]:
    """Items of a list, or of the beginning of one; commas inside groups divide nothing."""
    items, depth = [""], 0
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and depth == 0:
            items.append("")
        else:
            items[-1] += char
    return items


@functools.cache
def _items(llvm_major: int) -> frozenset[str]:
    passes = {
        f"{info.name}<{params}>" if params else info.name
        for info in usable_passes(llvm_major)
        for params in params_worth_trying(info.name, llvm_major)
    }
    return frozenset(passes | {item for item in _table_items(llvm_major) if "(" in item})


def _table_items(llvm_major: int) -> set[str]:
    """What the lists of the shipped tables are made of."""
    plans = [plan for protocol in PROTOCOLS for plan in load_coreset(protocol, llvm_major).lists if plan.is_one_list]
    return {item for plan in plans for item in _split(str(plan.as_list()))}


@functools.cache
def _beginnings(llvm_major: int) -> frozenset[str]:
    return frozenset(item[:end] for item in _items(llvm_major) for end in range(len(item) + 1))


def _trie(texts: list[str]) -> str:
    """GBNF of any of these (sorted) texts, common beginnings taken out: a parser has few ways open at a time."""
    ways: list[str] = []
    for first, group in groupby(texts, lambda text: text[:1]):
        same = list(group)
        if not first:
            ways.append('""')
            continue
        shared = _shared_beginning(same[0], same[-1])
        rests = [text[len(shared) :] for text in same]
        literal = f'"{shared}"'
        ways.append(literal if rests == [""] else f"{literal} ({_trie(rests)})")
    return " | ".join(ways)


def _shared_beginning(first: str, last: str) -> str:
    """What all of some sorted texts begin with, from the outer two."""
    end = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:end]
