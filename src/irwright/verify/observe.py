"""What two runs of two versions of a function must have in common, and where they first differ.

Observable: how the run ends, the result, registers that must be restored, calls that leave the object with their
arguments, bytes written to streams, and at the end the memory that others can reach: what arguments point at, data
with a name that both versions have, blocks of malloc that are reachable from there. Stack, code and constants are not.

Addresses differ between versions: addresses.py compares them.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from irwright.verify.abi import ST0, result_locations
from irwright.verify.addresses import Addresses, Match
from irwright.verify.emulate import Emulator, Ending, Run
from irwright.verify.machine import Machine
from irwright.verify.memory import ERRNO, FREE_FILL, LIBC_BASE, STACK_FILL
from irwright.verify.signatures import Kind, Signature
from irwright.verify.trace import CallEvent, Event, OutputEvent, merged

_MAY_BE_ADDRESS = re.compile(rb"[\x1f-\x22]\0\0\0\0|\x55\0\0", re.DOTALL)
"""the upper bytes of an address in an image, or on the heap"""
FILLS = (STACK_FILL, FREE_FILL)
MAX_SCANNED = 1 << 16
"""bytes that are equal and still searched for addresses"""
CHUNK = 512
"""bytes that are compared at once; no word is in two"""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first place where two runs are not the same."""

    match: Match
    """DIFFERENT or UNKNOWN"""
    text: str
    is_certain: bool = False
    """looked at in all the ways that tell a difference from chance"""


class _Stop(Exception):  # noqa: N818 - carries a finding
    def __init__(self, match: Match, text: str) -> None:
        super().__init__(text)
        self.finding = Finding(match, text)


def compare_runs(
    first: tuple[Emulator, Run],
    second: tuple[Emulator, Run],
    signature: Signature | None,
    *,
    refilled: bool = False,
) -> Finding | None:
    """None where nothing observable differs. Both emulators still hold the memory of these runs.

    `refilled`: the second had other bytes in memory that nothing wrote, and they may be seen in padding.
    """
    try:
        _Comparison(*first, *second, refilled).run(signature)
    except _Stop as stop:
        return stop.finding
    return None


def compare_beginnings(first: tuple[Emulator, Run], second: tuple[Emulator, Run]) -> Finding | None:
    """The same for runs of which the first did not come to an end: what others see of it up to there.

    A callee may not return: so calls come in their order, with their arguments, whatever happens behind them.
    """
    try:
        _Comparison(*first, *second, refilled=False).beginnings()
    except _Stop as stop:
        return stop.finding
    return None


def compare_at_call(
    first: tuple[Emulator, Run], second: tuple[Emulator, Run], *, refilled: bool = False
) -> Finding | None:
    """The same for what a callee may read, of which nothing is known, in runs that ended where it is called."""
    try:
        _Comparison(*first, *second, refilled).reachable()
    except _Stop as stop:
        return stop.finding
    return None


class _Comparison:
    def __init__(self, a: Emulator, run_a: Run, b: Emulator, run_b: Run, refilled: bool) -> None:
        self.refilled = refilled
        self.a, self.run_a = a, run_a
        self.b, self.run_b = b, run_b
        self.addresses = Addresses(a, b)

    def run(self, signature: Signature | None) -> None:
        run_a, run_b = self.run_a, self.run_b
        if run_b.ending is Ending.UNSUPPORTED:
            raise _Stop(Match.UNKNOWN, run_b.detail)
        if run_b.ending is Ending.LIMIT:
            endless = "instructions" in run_b.detail and self.b.limits.patience > 1 and run_a.is_complete
            if run_a.is_complete:
                self.broken_off()
            raise _Stop(Match.DIFFERENT if endless else Match.UNKNOWN, f"it does not end: {run_b.detail}")
        self.events(merged(run_a.events), merged(run_b.events))
        if run_a.ending is not run_b.ending:
            raise _Stop(Match.DIFFERENT, f"{_ending(run_a)} becomes {_ending(run_b)}")
        if run_b.clobbered and not run_a.clobbered:
            raise _Stop(Match.DIFFERENT, f"{run_b.clobbered} is not restored")
        if run_a.ending is Ending.RETURNED:
            self.results(signature)
        self.memory()

    def broken_off(self) -> None:
        """The candidate was stopped: what came before differs, or is more than the original ever does."""
        events = merged(self.run_b.events)
        if events and isinstance(events[-1], OutputEvent):
            events.pop()  # it may go on
        self.events(merged(self.run_a.events)[: len(events)], events)

    def beginnings(self) -> None:
        events_a, events_b = merged(self.run_a.events), merged(self.run_b.events)
        if self.run_b.is_complete and len(events_b) < len(events_a) and self.run_a.ending is Ending.LIMIT:
            raise _Stop(Match.DIFFERENT, f"{_event(events_a[len(events_b)])} is missing")
        num = min(len(events_a), len(events_b))
        if num and isinstance(events_a[num - 1], OutputEvent):
            num -= 1  # it may go on
        self.events(events_a[:num], events_b[:num])

    # ------------------------------------------------------------ calls and results

    def events(self, events_a: list[Event], events_b: list[Event]) -> None:
        for number, (one, other) in enumerate(zip(events_a, events_b, strict=False), 1):
            where = f"event {number}"
            if isinstance(one, OutputEvent) and isinstance(other, OutputEvent):
                self.outputs(where, one, other)
            elif isinstance(one, CallEvent) and isinstance(other, CallEvent):
                self.calls(where, one, other)
            else:
                raise _Stop(Match.DIFFERENT, f"{where}: {_event(one)} becomes {_event(other)}")
        if len(events_a) > len(events_b):
            raise _Stop(Match.DIFFERENT, f"{_event(events_a[len(events_b)])} is missing")
        if len(events_b) > len(events_a):
            raise _Stop(Match.DIFFERENT, f"{_event(events_b[len(events_a)])} is one too many")

    def outputs(self, where: str, one: OutputEvent, other: OutputEvent) -> None:
        if one.stream != other.stream:
            raise _Stop(Match.DIFFERENT, f"{where}: writes to another stream")
        same = len(one.pieces) == len(other.pieces)
        for x, y in zip(one.pieces, other.pieces, strict=False):
            if isinstance(x, int) and isinstance(y, int):
                self.require(self.addresses.word(x, y), f"{where}: an address that is written")
            elif x != y:
                same = False
        if not same:
            raise _Stop(Match.DIFFERENT, f"{where}: {_event(one)} becomes {_event(other)}")

    def calls(self, where: str, one: CallEvent, other: CallEvent) -> None:
        if one.name != other.name or len(one.arguments) != len(other.arguments):
            raise _Stop(Match.DIFFERENT, f"{where}: {_event(one)} becomes {_event(other)}")
        for index, (x, y) in enumerate(zip(one.arguments, other.arguments, strict=True), 1):
            kind, bits, value = x
            what = f"{where}: argument {index} of {one.name}: {value:#x} becomes {y[2]:#x}"
            if _is_unwritten(value, bits):
                continue
            if self.refilled and _refilled(value.to_bytes(16, "little"), y[2].to_bytes(16, "little")):
                continue
            if kind is Kind.POINTER or bits == 64:
                self.require(self.addresses.word(value, y[2]), what)
            elif not _same_bits(kind, bits, value, y[2]):
                raise _Stop(Match.DIFFERENT, what)
        if one.content != other.content and not (self.refilled and _same_content(one.content, other.content)):
            raise _Stop(Match.DIFFERENT, f"{where}: what {one.name} is given to read differs")
        for text, given in zip(one.texts, other.texts, strict=False):
            if text and text != given and not (self.refilled and _refilled_text(text, given)):
                raise _Stop(Match.DIFFERENT, f"{where}: {one.name} is given {given!r} in place of {text!r}")

    def require(self, match: Match, what: str) -> None:
        if match is not Match.SAME:
            raise _Stop(match, what)

    def results(self, signature: Signature | None) -> None:
        machine, a, b = self.a.machine, self.run_a, self.run_b
        if signature is None:
            if self.addresses.word(a.integers[0], b.integers[0]) is not Match.SAME or a.floats[0] != b.floats[0]:
                raise _Stop(Match.UNKNOWN, "result registers differ, and without a signature they may mean nothing")
            return
        places = result_locations(machine, signature)
        if places is None:
            raise _Stop(Match.UNKNOWN, "the result is in registers that are not compared")
        for value, place in zip(signature.results, places, strict=True):
            x, y = (_result(machine, run, place) for run in (a, b))
            if value.kind is Kind.LONG_DOUBLE:
                if a.long_double != b.long_double and not (_is_nan80(a.long_double) and _is_nan80(b.long_double)):
                    raise _Stop(Match.DIFFERENT, f"result {a.long_double.hex()} becomes {b.long_double.hex()}")
                continue
            # LLVM extends results to 8 bits and no further, though x86-64's ABI reads otherwise.
            bits = max(8, value.bits) if value.extended else value.bits
            x, y = x & ((1 << bits) - 1), y & ((1 << bits) - 1)
            what = f"result {x:#x} becomes {y:#x}"
            if value.kind in (Kind.INT, Kind.POINTER) and bits == 64:
                self.require(self.addresses.word(x, y), what)
            elif not _same_bits(value.kind, bits, x, y):
                raise _Stop(Match.DIFFERENT, what)

    # -------------------------------------------------------------------- memory

    def memory(self) -> None:
        self.reachable(is_end=True)
        self.blocks()

    def reachable(self, *, is_end: bool = False) -> None:
        """Memory that is anybody's; at the end of a run static data too."""
        a, b = self.a.memory, self.b.memory
        # Where heaps differ, equal bytes elsewhere may still be addresses of blocks that differ.
        same_heap = self.a.heap.state() == self.b.heap.state()
        if not same_heap or a.arena.host[:] != b.arena.host[:]:
            self.bytes(a.arena.host[:], b.arena.host[:], "memory of an argument", a.first_arena)
        known = same_heap and a.same_pages(b)
        for page in () if known else sorted(a.pages.keys() | b.pages.keys()):
            content_a, content_b = a.page_bytes(page), b.page_bytes(page)
            if same_heap and content_a == content_b:
                continue
            first = a.first_content(page)
            if content_a == content_b == first:
                continue
            name = self.a.image.externals.name_at(page)
            self.bytes(content_a, content_b, name or f"memory at {page:#x}", first)
        errno = LIBC_BASE + ERRNO
        self.bytes(a.read(errno, 4), b.read(errno, 4), "errno")
        self.globals(is_end)

    def blocks(self) -> None:
        """Blocks of malloc that something points at."""
        a, b = self.a.memory, self.b.memory
        done: set[int] = set()
        while self.addresses.queue:
            start_a, start_b = self.addresses.queue.pop()
            if start_a in done:
                continue
            done.add(start_a)
            if (start_a in self.a.heap.freed) != (start_b in self.b.heap.freed):
                raise _Stop(Match.DIFFERENT, "a block of malloc is freed in one of them")
            size = min(self.a.heap.blocks[start_a], self.b.heap.blocks[start_b])
            self.bytes(a.read(start_a, size), b.read(start_b, size), "a block of malloc")
        # Fewer is no difference: optimisers remove blocks that nobody needs.
        if self.b.heap.num_live > self.a.heap.num_live and self.run_a.ending is Ending.RETURNED:
            raise _Stop(Match.DIFFERENT, "a block of malloc is not freed")

    def globals(self, with_local: bool) -> None:
        """Data with a name that both have; what no run changed is compared once."""
        known = self.a.same_at_first.setdefault(id(self.b), {})
        changed = self.a.memory.changed_globals() | self.b.memory.changed_globals()
        for name, (named, _) in self.a.memory.globals.items():
            at_first = name not in changed
            if at_first and known.get(name):
                continue
            other, _ = self.b.memory.globals.get(name, (None, b""))
            if other is None or other.size != named.size or named.is_local != other.is_local:
                known[name] = True
                continue
            if named.is_local and not with_local:
                continue
            content_a = self.a.memory.read(named.address, named.size)
            content_b = self.b.memory.read(other.address, other.size)
            try:
                self.bytes(content_a, content_b, name)
            except _Stop as stop:
                # What no run changed, and can't be compared, is nothing that this run did.
                if not at_first or stop.finding.match is not Match.UNKNOWN:
                    raise
            if at_first:
                known[name] = True

    def bytes(self, x: bytes, y: bytes, where: str, first: bytes = b"") -> None:
        """Compare memory: equal bytes, or words that are addresses of the same thing.

        What both hold since the `first` content is the same, whatever it looks like.
        """
        image_a = self.a.image
        if x == y and (x == first or len(x) > MAX_SCANNED or not _MAY_BE_ADDRESS.search(x)):
            return
        if self.refilled:
            y = bytes(one if one in FILLS and not other else other for one, other in zip(x, y, strict=False))
        offset = 0
        size = min(len(x), len(y))
        while offset < size:
            behind = offset + CHUNK
            is_same = not offset % CHUNK and x[offset:behind] == y[offset:behind]
            is_untouched = is_same and x[offset:behind] == first[offset:behind]
            if is_untouched or (is_same and not _MAY_BE_ADDRESS.search(x, offset, behind)):
                offset = behind
                continue
            end = min(offset + 8, size)
            word_x, word_y = x[offset:end], y[offset:end]
            if len(word_x) == 8:
                u, v = int.from_bytes(word_x, "little"), int.from_bytes(word_y, "little")
                if u == v and not image_a.contains(u) and u >> 40 != 0x55:
                    offset = end
                    continue
                match = self.addresses.word(u, v)
                if match is Match.UNKNOWN:
                    raise _Stop(match, f"{where} at offset {offset}: addresses that can't be compared")
                if match is Match.SAME:
                    offset = end
                    continue
            if word_x != word_y and not self.unaligned(x, y, offset):
                at = next(n for n in range(offset, end) if x[n] != y[n])
                raise _Stop(
                    Match.DIFFERENT,
                    f"{where} at offset {at}: {x[at : at + 8].hex(' ')} becomes {y[at : at + 8].hex(' ')}",
                )
            offset = end

    def unaligned(self, x: bytes, y: bytes, offset: int) -> bool:
        """The bytes that differ belong to an address that is not aligned."""
        return any(
            start >= 0
            and start + 8 <= len(x)
            and x[start : start + 8] != y[start : start + 8]
            and x[offset:start] == y[offset:start]
            and self.addresses.word(*(int.from_bytes(one[start : start + 8], "little") for one in (x, y))) is Match.SAME
            for start in range(offset - 7, offset + 8)
            if start != offset
        )


def _is_unwritten(value: int, bits: int) -> bool:
    """Memory of the original that nothing wrote: what the candidate has there does not matter."""
    content = value.to_bytes(16, "little")[: bits // 8]
    return len(content) > 1 and content[0] in FILLS and content == content[:1] * len(content)


def _same_content(x: tuple[bytes, ...], y: tuple[bytes, ...]) -> bool:
    """The same texts, but for what nothing wrote."""
    sizes = [[len(text) for text in texts] for texts in (x, y)]
    return sizes[0] == sizes[1] and all(_refilled(*both) for both in zip(x, y, strict=True))


def _refilled(x: bytes, y: bytes) -> bool:
    """The same, but for bytes that nothing wrote."""
    return all(one == other or (one in FILLS and not other) for one, other in zip(x, y, strict=True))


def _refilled_text(x: bytes, y: bytes) -> bool:
    """The same, but for bytes that nothing wrote, of which the first ends the other."""
    return x.startswith(y) and x[len(y)] in FILLS


def _result(machine: Machine, run: Run, place: int) -> int:
    if place == ST0:
        return 0
    if place in machine.vectors:
        return run.floats[machine.float_results.index(place)]
    return run.integers[machine.integer_results.index(place)]


def _same_bits(kind: Kind, bits: int, x: int, y: int) -> bool:
    """Equal, or both NaN."""
    if x == y:
        return True
    if kind is Kind.FLOAT:
        return _is_nan(x, bits) and _is_nan(y, bits)
    if kind is Kind.VECTOR:
        return any(
            all(
                (x >> at & mask) == (y >> at & mask)
                or (_is_nan(x >> at & mask, lane) and _is_nan(y >> at & mask, lane))
                for at in range(0, bits, lane)
            )
            for lane, mask in ((32, 0xFFFFFFFF), (64, 0xFFFFFFFFFFFFFFFF))
        )
    return False


def _is_nan(bits: int, width: int) -> bool:
    if width == 64:
        return bits & 0x7FFFFFFFFFFFFFFF > 0x7FF0000000000000
    if width == 32:
        return bits & 0x7FFFFFFF > 0x7F800000
    return False


def _is_nan80(content: bytes) -> bool:
    mantissa, high = struct.unpack("<QH", content)
    return high & 0x7FFF == 0x7FFF and mantissa << 1 & 0xFFFFFFFFFFFFFFFF != 0


def _ending(run: Run) -> str:
    return f"{run.ending}" + (f" ({run.detail})" if run.detail else "")


def _event(event: Event) -> str:
    if isinstance(event, CallEvent):
        return f"call of {event.name}"
    shown = b"".join(piece if isinstance(piece, bytes) else b"<address>" for piece in event.pieces)
    return f"output {shown[:40]!r}"
