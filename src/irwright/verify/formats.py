"""printf and scanf: conversions of a format, arguments from a call or a va_list."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Protocol

from irwright.verify.calls import Call, quad_value
from irwright.verify.inputs import long_double_bytes, long_double_value
from irwright.verify.memory import Memory
from irwright.verify.signatures import DOUBLE, I64, LONG_DOUBLE, POINTER, Kind, Value

MAX_WIDTH = 4096
POINTER_TEXT = 14
"""characters that an address is counted as"""

_CONVERSION = re.compile(
    rb"%(?P<flags>[-+ #0']*)(?P<width>\*|\d*)(?:\.(?P<precision>\*|-?\d*))?"
    rb"(?P<length>hh|h|ll|l|q|j|z|t|L)?(?P<kind>[a-zA-Z%])"
)
_SCAN = re.compile(
    rb"%(?P<skip>\*?)m?(?P<width>\d*)(?P<length>hh|h|ll|l|q|j|z|t|L)?(?P<kind>\[\^?\]?[^\]]*\]|[a-zA-Z%])"
)
_BITS = {b"hh": 8, b"h": 16, b"l": 64, b"ll": 64, b"q": 64, b"j": 64, b"z": 64, b"t": 64}


class Arguments(Protocol):
    """Where variadic arguments come from."""

    def next(self, value: Value) -> int: ...


class VaList:
    """A va_list in memory, as both ABIs lay it out; reading advances it."""

    def __init__(self, call: Call, address: int) -> None:
        self._memory = call.memory
        self._address = address
        self._is_x86 = call.machine.link is None

    def next(self, value: Value) -> int:
        memory, start = self._memory, self._address
        is_float = value.kind is Kind.FLOAT
        if self._is_x86:
            field, limit, step = (4, 176, 16) if is_float else (0, 48, 8)
            (offset,) = struct.unpack("<I", memory.read(start + field, 4))
            in_register = offset < limit and value.kind is not Kind.LONG_DOUBLE
            (base,) = struct.unpack("<Q", memory.read(start + (16 if in_register else 8), 8))
            if in_register:
                memory.write(start + field, struct.pack("<I", offset + step))
                address = base + offset
            else:
                address = self._overflow(base, 8, value)
        else:
            field, top, step = (28, 16, 16) if is_float else (24, 8, 8)
            (offset,) = struct.unpack("<i", memory.read(start + field, 4))
            if offset < 0:
                memory.write(start + field, struct.pack("<i", offset + step))
                (base,) = struct.unpack("<Q", memory.read(start + top, 8))
                address = base + offset
            else:
                (base,) = struct.unpack("<Q", memory.read(start, 8))
                address = self._overflow(base, 0, value)
        bits = int.from_bytes(memory.read(address, 16), "little")
        return bits & ((1 << value.bits) - 1)

    def _overflow(self, base: int, field: int, value: Value) -> int:
        """Take from the stack part; `field` is where its address is kept."""
        size = 16 if value.bits > 64 else 8
        address = -(-base // size) * size
        self._memory.write(self._address + field, struct.pack("<Q", address + size))
        return address


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _limited(value: int) -> int:
    return max(-MAX_WIDTH, min(MAX_WIDTH, value))


def format_pieces(call: Call, template: bytes, arguments: Arguments) -> list[bytes | int]:
    """What printf writes; addresses (%p) stay numbers."""
    pieces: list[bytes | int] = []
    end = 0
    for match in _CONVERSION.finditer(template):
        pieces.append(template[end : match.start()])
        end = match.end()
        pieces.append(_convert(call, match, arguments))
    pieces.append(template[end:])
    return pieces


def _convert(call: Call, match: re.Match[bytes], arguments: Arguments) -> bytes | int:
    kind = match["kind"]
    if kind == b"%":
        return b"%"
    flags = match["flags"].replace(b"'", b"")
    width = match["width"]
    if width == b"*":
        number = _limited(_signed(arguments.next(Value(kind=Kind.INT, bits=32)), 32))
        flags, width = (flags + b"-", b"%d" % -number) if number < 0 else (flags, b"%d" % number)
    elif width:
        width = b"%d" % _limited(int(width))
    precision = match["precision"]
    if precision == b"*":
        number = _limited(_signed(arguments.next(Value(kind=Kind.INT, bits=32)), 32))
        precision = None if number < 0 else b"%d" % number
    elif precision is not None:
        precision = b"%d" % max(0, _limited(int(precision or b"0")))
    head = b"%" + flags + width + (b"" if precision is None else b"." + precision)
    if kind in b"diuxXoc":
        # An int argument fills a slot of 64 bits, whatever its length says.
        bits = _BITS.get(match["length"] or b"", 32)
        value = arguments.next(I64) & ((1 << bits) - 1)
        if kind == b"c":
            return (b"%" + flags.replace(b"0", b"") + width + b"c") % (value & 0xFF)
        return (head + kind) % (_signed(value, bits) if kind in b"di" else value)
    if kind in b"eEfFgGaA":
        if match["length"] == b"L":
            number_bits = arguments.next(LONG_DOUBLE if call.machine.link is None else Value(kind=Kind.FLOAT, bits=128))
            is_x87 = call.machine.link is None
            number = long_double_value(number_bits.to_bytes(10, "little")) if is_x87 else quad_value(number_bits)
        else:
            (number,) = struct.unpack("<d", arguments.next(DOUBLE).to_bytes(8, "little"))
        if number != number:
            return b"nan"
        return float.hex(number).encode() if kind in b"aA" else (head + kind) % number
    if kind == b"s":
        address = arguments.next(POINTER)
        if not address:
            text = b"(null)"
        elif precision is not None:
            text = read_at_most(call.memory, address, int(precision))
        else:
            text = call.memory.read_string(address)
        return (b"%" + flags.replace(b"0", b"") + width + b"s") % text
    if kind == b"p":
        return arguments.next(POINTER)
    if kind == b"n":
        arguments.next(POINTER)
    return b""


def read_at_most(memory: Memory, address: int, limit: int) -> bytes:
    """A string of at most so many bytes; the ones behind it need not exist."""
    text = b""
    while len(text) < limit:
        byte = memory.read(address + len(text), 1)
        if byte == b"\0":
            break
        text += byte
    return text


def length_of(pieces: list[bytes | int]) -> int:
    return sum(POINTER_TEXT if isinstance(piece, int) else len(piece) for piece in pieces)


def flat(pieces: list[bytes | int]) -> bytes:
    """As bytes in memory; an address takes its characters without saying which it is."""
    return b"".join(b"0x7ffe00000000" if isinstance(piece, int) else piece for piece in pieces)


def scan(call: Call, template: bytes, arguments: Arguments) -> int:
    """Store something for each conversion of scanf; how many were stored, or -1."""
    chance = call.chance()
    if chance % 5 == 0:
        return -1
    stop_after = 99 if chance % 5 < 4 else chance >> 8 & 1
    stored = 0
    for number, match in enumerate(_SCAN.finditer(template)):
        if match["skip"] or match["kind"] == b"%":
            continue
        address = arguments.next(POINTER)
        if stored >= stop_after:
            break
        store: Callable[[int, bytes], None] = call.memory.write
        word = call.chance(number)
        kind = match["kind"]
        if kind in b"diuxXon":
            size = _BITS.get(match["length"] or b"", 32) // 8
            store(address, (word & 0x3F).to_bytes(size, "little"))
        elif kind in b"eEfFgGaA":
            value = (word & 0xFFF) / 16
            if match["length"] == b"L":
                store(address, long_double_bytes(value) if call.machine.link is None else bytes(16))
            else:
                store(address, struct.pack("<d" if match["length"] == b"l" else "<f", value))
        elif kind == b"p":
            store(address, bytes(8))
        else:
            limit = int(match["width"] or b"7")
            text = bytes(97 + (word >> 5 * n) % 26 for n in range(min(limit, 1 + word % 7)))
            store(address, text.ljust(limit, b"z") if kind == b"c" else text + b"\0")
        stored += kind != b"n"
    return stored
