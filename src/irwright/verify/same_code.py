"""Functions that need no run: their machine code, and all that it leads to, is the same in both objects.

Two functions are the same where their instructions are, and every address in these leads to the same thing: the same
symbol elsewhere, the same place in the function, a function that is the same, the same string or number in a section
whose entries linkers merge, the same place in another section of data that is the same as a whole. (Not a single
variable: code may index it from an address before it.) Whatever is not understood is not the same, and is run.
x86-64 only.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from irwright.verify.disassembly import disassemble
from irwright.verify.image import Image, Segment

_R_64, _R_PC32, _R_PLT32, _R_32, _R_32S = 1, 2, 4, 10, 11
_GOT = (9, 41, 42)
_WIDTH = {_R_64: 8, **dict.fromkeys((_R_PC32, _R_PLT32, _R_32, _R_32S, *_GOT), 4)}
"""bytes of the fields that are understood"""
_RIP = re.compile(r"rip ([+-]) (0x[0-9a-f]+|\d+)")
_TARGET = re.compile(r"0x[0-9a-f]+$")
_STRINGS = re.compile(r"\.str1\.\d+$")
_CONSTANTS = re.compile(r"\.cst(\d+)$")


class _Different(Exception):  # noqa: N818 - no error: an answer
    """Not the same, or not known to be."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two stretches that have to be the same."""

    first: int
    second: int
    size: int
    """-1 where sizes differ"""
    function: str
    """empty for a section of data"""


def same_functions(
    original: Image, candidate: Image, *, follow_data: bool = True, follow_code: bool = True
) -> frozenset[str]:
    """Names of the functions that are the same in both.

    Without `follow_data`, data that points to functions of the same names is the same, whatever these do; without
    `follow_code`, so is code that calls such functions.
    """
    if not original.is_x86:
        return frozenset()
    return frozenset(_Comparison(original, candidate, follow_data and follow_code, follow_code).run())


def unchanged_functions(original: Image, candidate: Image) -> dict[str, frozenset[str]]:
    """Functions of the same instructions in both, whatever they call; with the functions that these lead to."""
    if not original.is_x86:
        return {}
    comparison = _Comparison(original, candidate, follow_data=False, follow_code=False)
    return {name: comparison.led_to(comparison.functions(name)) for name in comparison.run()}


def are_twins(image: Image, first: str, second: str) -> bool:
    """Two functions of one object are the same instructions, which lead to the same places."""
    if not image.is_x86:
        return False
    comparison = _Comparison(image, image, follow_data=False, follow_code=False)
    one, other = image.functions[first], image.functions[second]
    if one.size != other.size:
        return False
    try:
        comparison.compare(_Pair(one.address, other.address, one.size, first))
    except _Different:
        return False
    return all(pair.first == pair.second for pair in comparison.needed)


class _Comparison:
    def __init__(self, a: Image, b: Image, follow_data: bool, follow_code: bool) -> None:
        self.a = a
        self.b = b
        self.follow_data = follow_data
        self.follow_code = follow_code
        self.relocations = {id(image): _sorted_relocations(image) for image in (a, b)}
        self.needed: list[_Pair] = []
        """what the stretch under comparison leads to"""
        self.named: set[str] = set()
        """functions that it leads to, and that are not followed"""
        self.leads: dict[_Pair, tuple[list[_Pair], set[str]]] = {}
        """both, by stretch"""

    def run(self) -> list[str]:
        leads = self.leads
        wrong: set[_Pair] = set()
        roots = [self.functions(name) for name in self.a.functions if name in self.b.functions]
        todo = list(roots)
        while todo:
            pair = todo.pop()
            if pair in leads:
                continue
            self.needed, self.named = [], set()
            try:
                self.compare(pair)
            except _Different:
                wrong.add(pair)
            leads[pair] = self.needed, self.named
            todo += self.needed
        while True:  # what leads to something wrong is wrong
            more = {pair for pair, (needed, _) in leads.items() if pair not in wrong and not wrong.isdisjoint(needed)}
            if not more:
                return [pair.function for pair in roots if pair not in wrong]
            wrong |= more

    def led_to(self, pair: _Pair) -> frozenset[str]:
        """Names of the functions that a stretch leads to, by itself and by the data it uses."""
        seen, todo = {pair}, [pair]
        found: set[str] = set()
        while todo:
            needed, named = self.leads[todo.pop()]
            found |= named
            todo += [one for one in needed if one not in seen]
            seen.update(needed)
        return frozenset(found)

    def functions(self, name: str) -> _Pair:
        one, other = self.a.functions[name], self.b.functions[name]
        size = one.size if one.size == other.size else -1
        return _Pair(one.address, other.address, size, name)

    def compare(self, pair: _Pair) -> None:
        segment_a, segment_b = self.a.segment_at(pair.first), self.b.segment_at(pair.second)
        if pair.size < 0 or segment_a is None or segment_b is None:
            raise _Different
        if segment_a.section in self.a.problems or segment_b.section in self.b.problems:
            raise _Different
        content_a, content_b = _bytes(segment_a, pair.first, pair.size), _bytes(segment_b, pair.second, pair.size)
        fields = self.fields(self.a, segment_a, pair.first, pair.size)
        if fields != self.fields(self.b, segment_b, pair.second, pair.size):
            raise _Different
        if pair.function:
            self.code(pair, content_a, content_b, fields)
        else:
            self.data(pair, content_a, content_b, fields)

    def fields(self, image: Image, segment: Segment, address: int, size: int) -> list[tuple[int, int]]:
        """(offset, kind) of the relocations in a stretch; all must be of kinds that are understood."""
        start = address - segment.address
        offsets, kinds = self.relocations[id(image)].get(segment.section, ([], []))
        rows = range(bisect_left(offsets, start), bisect_left(offsets, start + size))
        if any(kinds[row] not in _WIDTH for row in rows):
            raise _Different
        return [(offsets[row] - start, kinds[row]) for row in rows]

    # ----------------------------------------------------------------------- code

    def code(self, pair: _Pair, a: bytes, b: bytes, fields: Sequence[tuple[int, int]]) -> None:
        done = position = 0
        for at, size, mnemonic, operands in disassemble(a, pair.first, is_x86=True):
            start = at - pair.first
            end = start + size
            one, other = a[start:end], b[start:end]
            done = end
            if position < len(fields) and fields[position][0] < end:
                self.field(pair, a, b, fields[position], start, end)
                position += 1
                if position < len(fields) and fields[position][0] < end:
                    raise _Different  # two in one instruction
                continue
            target = _TARGET.match(operands) if mnemonic.startswith(("j", "call", "loop", "xbegin")) else None
            beside = _RIP.search(operands)
            if target is not None:
                self.branch(pair, one, other, end, int(target.group(), 16))
                continue
            if one != other:
                raise _Different
            if beside is not None:
                distance = int(beside.group(2), 0) * (1 if beside.group(1) == "+" else -1)
                self.target(pair, pair.first + end + distance, pair.second + end + distance)
            elif "rip" in operands:
                raise _Different
        if done != pair.size:
            raise _Different

    def branch(self, pair: _Pair, one: bytes, other: bytes, end: int, target: int) -> None:
        """A jump or call by a distance that the assembler knew."""
        if pair.first <= target < pair.first + pair.size:
            if one != other:
                raise _Different
            return
        if len(one) < 5 or one[:-4] != other[:-4]:
            raise _Different
        self.target(pair, target, pair.second + end + int.from_bytes(other[-4:], "little", signed=True))

    def field(self, pair: _Pair, a: bytes, b: bytes, field: tuple[int, int], start: int, end: int) -> None:
        """An instruction that holds a relocated field."""
        offset, kind = field
        behind = offset + _WIDTH[kind]
        if behind > end or a[start:offset] != b[start:offset] or a[behind:end] != b[behind:end]:
            raise _Different
        x, y = (int.from_bytes(code[offset:behind], "little", signed=True) for code in (a, b))
        if kind in (_R_PC32, _R_PLT32, *_GOT):
            x, y = pair.first + end + x, pair.second + end + y
        if kind in _GOT:
            x, y = _word(self.a, x), _word(self.b, y)
        self.target(pair, x, y)

    # -------------------------------------------------------------------- targets

    def target(self, pair: _Pair, x: int, y: int) -> None:
        """What two addresses lead to has to be the same."""
        if not self.a.contains(x):
            if x != y:
                raise _Different
            return
        if pair.function and pair.first <= x < pair.first + pair.size:
            if y - pair.second != x - pair.first:
                raise _Different
            return
        segment_a, segment_b = self.a.segment_at(x), self.b.segment_at(y)
        if segment_a is None or segment_b is None or segment_a.is_code != segment_b.is_code:
            raise _Different
        if segment_a.is_code:
            names = set(self.a.functions_at.get(x, ())).intersection(self.b.functions_at.get(y, ()))
            if not names:
                raise _Different
            if self.follow_code if pair.function else self.follow_data:
                self.needed.append(self.functions(min(names)))
            else:
                self.named.add(min(names))
            return
        constants = _constant(self.a, segment_a, x), _constant(self.b, segment_b, y)
        if constants[0] is not None:
            if constants[0] != constants[1]:
                raise _Different
            return
        if x - segment_a.address != y - segment_b.address or segment_a.size != segment_b.size:
            raise _Different
        if _head(self.a, segment_a) != _head(self.b, segment_b):
            raise _Different
        self.needed.append(_Pair(segment_a.address, segment_b.address, segment_a.size, ""))

    # ----------------------------------------------------------------------- data

    def data(self, pair: _Pair, a: bytes, b: bytes, fields: Sequence[tuple[int, int]]) -> None:
        done = 0
        for offset, kind in fields:
            behind = offset + _WIDTH[kind]
            if a[done:offset] != b[done:offset] or behind > len(a):
                raise _Different
            x, y = (int.from_bytes(content[offset:behind], "little", signed=True) for content in (a, b))
            if kind not in (_R_64, _R_32, _R_32S):  # distances in jump tables: from where, only the code knows
                raise _Different
            self.target(pair, x, y)
            done = behind
        if a[done:] != b[done:]:
            raise _Different


def _sorted_relocations(image: Image) -> dict[int, tuple[list[int], list[int]]]:
    """(offsets, kinds) by section, by offset."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for section, relocations in image.elf.relocations.items():
        rows = sorted((relocation.offset, relocation.kind) for relocation in relocations)
        found[section] = ([offset for offset, _ in rows], [kind for _, kind in rows])
    return found


def _bytes(segment: Segment, address: int, size: int) -> bytes:
    start = address - segment.address
    if start + size > segment.size:
        raise _Different
    return bytes(segment.data[start : start + size])


def _word(image: Image, address: int) -> int:
    segment = image.segment_at(address)
    if segment is None:
        raise _Different
    return int.from_bytes(_bytes(segment, address, 8), "little")


def _constant(image: Image, segment: Segment, address: int) -> tuple[int, bytes] | None:
    """The string or number at an address, and where in it, of a section whose entries a linker may merge."""
    if segment.section < 0 or image.elf.relocations.get(segment.section):
        return None
    section, start = image.elf.sections[segment.section], address - segment.address
    if not section.is_mergeable:
        return None
    number = _CONSTANTS.search(section.name)
    if number is not None:
        size = int(number.group(1))
        first = start - start % size
        return (start - first, bytes(segment.data[first : first + size])) if start < segment.size else None
    if not section.is_strings or not _STRINGS.search(section.name):
        return None
    first, end = segment.data.rfind(b"\0", 0, start) + 1, segment.data.find(b"\0", start)
    return (start - first, bytes(segment.data[first : end + 1])) if 0 <= end < segment.size else None


def _head(image: Image, segment: Segment) -> tuple[str, int, frozenset[tuple[int, str, int, bool]]]:
    """Name and flags of a section of data, and the symbols in it."""
    if segment.section < 0:
        raise _Different  # the GOT, thread-local storage, COMMON
    section = image.elf.sections[segment.section]
    symbols = frozenset(
        (symbol.value, symbol.name, symbol.size, symbol.is_local)
        for symbol in image.elf.symbols
        if symbol.section == segment.section and symbol.name
    )
    return section.name, section.flags, symbols
