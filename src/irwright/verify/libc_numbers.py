"""Numbers in text, characters, small arithmetic: functions of the C library that only touch memory; its own data."""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable

from irwright.verify.calls import Call
from irwright.verify.inputs import MASK
from irwright.verify.libc_strings import MODELS, model
from irwright.verify.memory import ERRNO, LIBC_BASE, Fault

_INTEGER = re.compile(rb"[ \t-\r]*([-+]?)(0[xX](?=[0-9a-fA-F])|0[bB](?=[01]))?([0-9a-zA-Z]*)")
_FLOAT = re.compile(rb"[ \t-\r]*([-+]?(?:inf(?:inity)?|nan|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))", re.IGNORECASE)


def parse_integer(text: bytes, base: int) -> tuple[int, int]:
    """(value, characters used), as strtol reads them; 0 characters where there is no number."""
    match = _INTEGER.match(text)
    assert match is not None
    sign, prefix, digits = match.groups()
    start = match.start(3)
    if prefix and base in (0, 16) and prefix[1:].lower() == b"x":
        base = 16
    elif prefix:
        start, digits = match.start(2), prefix + digits
    if base == 0:
        base = 8 if digits.startswith(b"0") else 10
    value, count = 0, 0
    for byte in digits:
        digit = int(chr(byte), 36)
        if digit >= base:
            break
        value, count = value * base + digit, count + 1
    return (-value if sign == b"-" else value), (start + count if count else 0)


def _strtol(call: Call, low: int, high: int) -> None:
    start, end, base = call.pointer(), call.pointer(), call.integer()
    if base < 0 or base == 1 or base > 36:
        call.give(0)
        return
    value, used = parse_integer(call.memory.read_string(start), base)
    if end:
        call.memory.write(end, struct.pack("<Q", start + used))
    if low == 0:  # unsigned: a sign wraps
        value = min(abs(value), high) * (-1 if value < 0 else 1)
        call.give(value & MASK)
        return
    call.give(max(low, min(high, value)))


_LONG = (-(1 << 63), (1 << 63) - 1)
for _name in ("strtol", "strtoll", "strtoimax", "strtoq", "__isoc23_strtol", "__isoc23_strtoll", "__strtol_internal"):
    MODELS[_name] = functools.partial(_strtol, low=_LONG[0], high=_LONG[1])
for _name in ("strtoul", "strtoull", "strtoumax", "strtouq", "__isoc23_strtoul", "__isoc23_strtoull"):
    MODELS[_name] = functools.partial(_strtol, low=0, high=MASK)


@model("atoi", "atol", "atoll")
def _atoi(call: Call) -> None:
    value, _ = parse_integer(call.string(), 10)
    value = max(_LONG[0], min(_LONG[1], value))
    call.give(value if call.external.name != "atoi" else (value & 0xFFFFFFFF))


def parse_float(text: bytes) -> tuple[float, int]:
    """(value, characters used) as strtod reads them, but for hexadecimal."""
    match = _FLOAT.match(text)
    if match is None:
        return 0.0, 0
    return float(match.group(1)), match.end()


@model("strtod", "strtof", "strtold", "__isoc23_strtod", "atof")
def _strtod(call: Call) -> None:
    start = call.pointer()
    value, used = parse_float(call.memory.read_string(start))
    name = call.external.name
    if name != "atof":
        end = call.pointer()
        if end:
            call.memory.write(end, struct.pack("<Q", start + used))
    if name == "strtof":
        call.give_float(value)
    elif name == "strtold":
        call.give_long_double(value)
    else:
        call.give_double(value)


CTYPE_CLASSES: dict[str, Callable[[str], bool]] = {
    "isupper": lambda c: "A" <= c <= "Z",
    "islower": lambda c: "a" <= c <= "z",
    "isalpha": lambda c: c.isascii() and c.isalpha(),
    "isdigit": lambda c: "0" <= c <= "9",
    "isxdigit": lambda c: c in "0123456789abcdefABCDEF",
    "isspace": lambda c: c in " \t\n\v\f\r",
    "isprint": lambda c: " " <= c <= "~",
    "isgraph": lambda c: "!" <= c <= "~",
    "isblank": lambda c: c in " \t",
    "iscntrl": lambda c: ord(c) < 32 or ord(c) == 127,
    "ispunct": lambda c: "!" <= c <= "~" and not c.isalnum(),
    "isalnum": lambda c: c.isascii() and c.isalnum(),
}
"""in the order of glibc's bits, which count from 8 up and wrap to 0"""


def _is_class(call: Call, name: str) -> None:
    value = call.integer()
    call.give(int(0 <= value < 128 and CTYPE_CLASSES[name](chr(value))))


for _name in CTYPE_CLASSES:
    MODELS[_name] = functools.partial(_is_class, name=_name)


@model("isascii")
def _isascii(call: Call) -> None:
    call.give(int(0 <= call.integer() < 128))


@model("toascii")
def _toascii(call: Call) -> None:
    call.give(call.integer() & 0x7F)


@model("tolower", "toupper", "_tolower", "_toupper")
def _tolower(call: Call) -> None:
    value = call.integer()
    if 0 <= value < 128:
        name = call.external.name or ""
        value = ord(chr(value).lower() if "lower" in name else chr(value).upper())
    call.give(value & 0xFFFFFFFF)


CTYPE_TABLE, LOWER_TABLE, UPPER_TABLE, CTYPE_POINTERS = 0, 0x400, 0xA00, 0x1000


@functools.cache
def libc_data() -> bytes:
    """What the C library's own pages hold when a run begins."""
    data = bytearray(0x2000)
    for code in range(-128, 256):
        bits = 0
        if 0 <= code < 128:
            for number, test in enumerate(CTYPE_CLASSES.values()):
                if test(chr(code)):
                    bits |= 1 << ((number + 8) % 16)
        struct.pack_into("<H", data, CTYPE_TABLE + 2 * (code + 128), bits)
        lower, upper = (ord(chr(code).lower()), ord(chr(code).upper())) if 0 <= code < 128 else (code, code)
        struct.pack_into("<i", data, LOWER_TABLE + 4 * (code + 128), lower)
        struct.pack_into("<i", data, UPPER_TABLE + 4 * (code + 128), upper)
    pointers = (LIBC_BASE + CTYPE_TABLE + 256, LIBC_BASE + LOWER_TABLE + 512, LIBC_BASE + UPPER_TABLE + 512)
    struct.pack_into("<3Q", data, CTYPE_POINTERS, *pointers)
    return bytes(data)


def _libc_address(call: Call, offset: int) -> None:
    call.give(LIBC_BASE + offset)


MODELS["__ctype_b_loc"] = functools.partial(_libc_address, offset=CTYPE_POINTERS)
MODELS["__ctype_tolower_loc"] = functools.partial(_libc_address, offset=CTYPE_POINTERS + 8)
MODELS["__ctype_toupper_loc"] = functools.partial(_libc_address, offset=CTYPE_POINTERS + 16)
MODELS["__errno_location"] = functools.partial(_libc_address, offset=ERRNO)
MODELS["__errno"] = MODELS["__errno_location"]


@model("abs", "labs", "llabs", "imaxabs")
def _abs(call: Call) -> None:
    call.give(abs(call.integer(32)) & 0xFFFFFFFF if call.external.name == "abs" else abs(call.integer(64)))


@model("ffs", "ffsl", "ffsll")
def _ffs(call: Call) -> None:
    value = call.integer(32 if call.external.name == "ffs" else 64)
    call.give((value & -value).bit_length())


@model("div", "ldiv", "lldiv")
def _div(call: Call) -> None:
    bits = 32 if call.external.name == "div" else 64
    x, y = call.integer(bits), call.integer(bits)
    if not y:
        raise Fault("division by zero or overflow")
    quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
    rest = x - quotient * y
    if bits == 32:
        call.give((quotient & 0xFFFFFFFF) | (rest & 0xFFFFFFFF) << 32)
    else:
        call.give_pair(quotient, rest)


@model("htons", "ntohs")
def _htons(call: Call) -> None:
    call.give(int.from_bytes((call.integer() & 0xFFFF).to_bytes(2, "little"), "big"))


@model("htonl", "ntohl")
def _htonl(call: Call) -> None:
    call.give(int.from_bytes((call.integer() & 0xFFFFFFFF).to_bytes(4, "little"), "big"))
