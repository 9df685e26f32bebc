"""Addresses of two versions of an object: when do two words mean the same thing?

The same symbol and offset, equal constants, any place on the stack, or blocks of malloc that are paired when they
first meet.
"""

from __future__ import annotations

import re
import struct
from enum import Enum, auto

from irwright.verify.emulate import Emulator
from irwright.verify.image import Named
from irwright.verify.memory import Fault
from irwright.verify.same_code import are_twins

MAX_CONSTANT = 64
"""bytes of two constants without a name that are compared"""


class Match(Enum):
    """How two values compare."""

    SAME = auto()
    DIFFERENT = auto()
    UNKNOWN = auto()
    """they may mean the same: which can't be told"""


class Addresses:
    """Compares words of two emulators, after a run of each."""

    def __init__(self, a: Emulator, b: Emulator) -> None:
        self.a, self.b = a, b
        self.pairs: dict[int, int] = {}
        self.paired: dict[int, int] = {}
        self.queue: list[tuple[int, int]] = []
        """pairs of blocks of malloc that are to have the same content"""

    def word(self, x: int, y: int) -> Match:
        """Compare two 64-bit words that may be addresses."""
        a, b = self.a, self.b
        in_image = a.image.contains(x), b.image.contains(y)
        if in_image != (False, False):
            if in_image == (True, True):
                return self.places(x, y)
            return Match.DIFFERENT
        heap_a = a.memory.heap.address <= x < a.memory.heap.end
        heap_b = b.memory.heap.address <= y < b.memory.heap.end
        if heap_a and heap_b:
            return self.blocks(x, y)
        if x == y and not heap_a and not heap_b:
            return Match.SAME
        stack_a = a.memory.stack.address <= x < a.memory.stack.end
        stack_b = b.memory.stack.address <= y < b.memory.stack.end
        return Match.SAME if stack_a and stack_b else Match.DIFFERENT

    def blocks(self, x: int, y: int) -> Match:
        """Addresses in blocks of malloc: the same where their blocks are partners."""
        start_a, start_b = _block_of(self.a, x), _block_of(self.b, y)
        if start_a is None or start_b is None:
            # Freed, or beside a block: nothing that may be looked at.
            return Match.SAME if start_a is start_b else Match.UNKNOWN
        if x - start_a != y - start_b:
            return Match.DIFFERENT
        if self.pairs.setdefault(start_a, start_b) != start_b or self.paired.setdefault(start_b, start_a) != start_a:
            return Match.DIFFERENT
        self.queue.append((start_a, start_b))
        return Match.SAME

    def places(self, x: int, y: int, depth: int = 0) -> Match:
        """Addresses in the images; what is found is kept, for images do not change."""
        known = self.a.known_places.setdefault(id(self.b), {})
        if (x, y) not in known:
            known[x, y] = self.compare_places(x, y, depth)
        return known[x, y]

    def compare_places(self, x: int, y: int, depth: int) -> Match:
        """Compare two addresses in the images."""
        segment_a, segment_b = self.a.image.segment_at(x), self.b.image.segment_at(y)
        if segment_a is not None and segment_b is not None and segment_a.is_constant and segment_b.is_constant:
            return self.constants(x, y, depth)
        named_a, named_b = self.a.image.named_at(x), self.b.image.named_at(y)
        for one in named_a:
            for other in named_b:
                if x - one.address == y - other.address and _same_name(one, other):
                    return Match.SAME
        name, offset = self.a.image.section_place(x) or ("", 0)
        kept = self.b.image.kept_sections.get(name)
        if kept is not None and y == kept.start + offset:
            return Match.SAME
        if kept is not None and y in kept:
            return Match.DIFFERENT
        if segment_a is None and segment_b is None:  # numbers
            return Match.SAME if x == y else Match.DIFFERENT
        if segment_a is None or segment_b is None:
            return Match.UNKNOWN  # past the end of a section
        if self.is_forwarded(x, y):
            return Match.SAME
        # Static names may change; functions of which there may be many (C++) may be merged when they are the same.
        has_identity = named_a and named_b and named_a[0].is_unique and named_b[0].is_unique
        return Match.DIFFERENT if has_identity else Match.UNKNOWN

    def is_forwarded(self, x: int, y: int) -> bool:
        """The function at x is in the candidate what the one at y is, or jumps there: they were merged.

        The first only where nobody asks for its address but to call it.
        """
        image, here = self.b.image, self.b.image.functions_at.get(y)
        names = self.a.image.functions_at.get(x, ())
        addresses = [image.functions[name].address for name in names if name in image.functions]
        if any(address == y or jump_target(self.b, address) == y for address in addresses):
            return True
        signatures = [self.a.signatures[name] for name in names if name in self.a.signatures]
        if not here or not any(signature.is_unnamed for signature in signatures):
            return False
        return any(are_twins(image, name, here[0]) for name in names if name in image.functions)

    def constants(self, x: int, y: int, depth: int) -> Match:
        """Read-only data: the same where it reads the same, strings to their end."""
        try:
            content_a, content_b = (
                side.memory.read(at, min(_rest(side, at), MAX_CONSTANT)) for side, at in ((self.a, x), (self.b, y))
            )
        except Fault:  # in a gap of the image
            return Match.UNKNOWN
        end = content_a.find(b"\0")
        is_text = end > 0 and all(32 <= byte < 127 or byte in b"\t\n\r" for byte in content_a[:end])
        if self.a.image.is_strings(x) and self.b.image.is_strings(y):
            is_text = end >= 0
        if is_text and content_a[: end + 1] == content_b[: end + 1]:
            return Match.SAME
        size = min(len(content_a), len(content_b))
        if content_a[:size] == content_b[:size]:
            return Match.SAME
        if not is_text and depth < 3 and x % 8 == 0 and y % 8 == 0 and size % 8 == 0:
            words = [
                self.places(u, v, depth + 1)
                if self.a.image.contains(u) and self.b.image.contains(v)
                else (Match.SAME if u == v else Match.DIFFERENT)
                for u, v in zip(_words(content_a[:size]), _words(content_b[:size]), strict=False)
            ]
            if all(match is Match.SAME for match in words):
                return Match.SAME
        return Match.DIFFERENT if is_text else Match.UNKNOWN


def _words(content: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(content) // 8}Q", content[: len(content) // 8 * 8])


def jump_target(side: Emulator, address: int) -> int | None:
    """Where the jump at an address leads, None where there is none."""
    try:
        code = side.memory.read(address, 5)
    except Fault:
        return None
    if side.machine.name == "AArch64":
        (word,) = struct.unpack_from("<I", code)
        return address + (((word & 0x3FFFFFF) ^ 0x2000000) - 0x2000000) * 4 if word >> 26 == 5 else None
    if code[0] == 0xE9:
        return address + 5 + int.from_bytes(code[1:], "little", signed=True)
    return address + 2 + int.from_bytes(code[1:2], "little", signed=True) if code[0] == 0xEB else None


def _rest(side: Emulator, address: int) -> int:
    """Bytes from an address to the end of what it lies in."""
    for named in side.image.named_at(address):
        if named.address <= address < named.end:
            return named.end - address
    segment = side.image.segment_at(address)
    assert segment is not None
    return max(0, segment.address + segment.size - address)


def _block_of(side: Emulator, address: int) -> int | None:
    for start, size in side.heap.blocks.items():
        if start <= address <= start + size:
            return start
    return None


def _same_name(one: Named, other: Named) -> bool:
    """The same symbol; static ones may have got another suffix."""
    if one.is_local and other.is_local and _stem(one.name) == _stem(other.name):
        return one.is_function or one.size == other.size
    return one.name == other.name and one.is_local == other.is_local


def _stem(name: str) -> str:
    return re.sub(r"(\.(llvm|\d+|specialized|cold|constprop|isra|part|b|\w*clone)(\.?\d+)?)+$", "", name)
