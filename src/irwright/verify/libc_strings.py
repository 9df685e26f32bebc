"""Memory, strings, characters, numbers in text: functions of the C library that only touch memory.

Each entry of `MODELS` plays one callee: it takes the arguments it needs, does to memory what the function does, and
gives the result. None of them leaves an event: compilers replace them by each other and by code of their own.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable

from irwright.verify.calls import Call
from irwright.verify.formats import read_at_most
from irwright.verify.inputs import MASK
from irwright.verify.memory import ERRNO, LIBC_BASE, Fault

Model = Callable[[Call], None]
MODELS: dict[str, Model] = {}
MAX_BYTES = 1 << 20


def model(*names: str) -> Callable[[Model], Model]:
    """Register what plays functions of these names."""

    def register(function: Model) -> Model:
        for name in names:
            MODELS[name] = function
        return function

    return register


def checked_size(call: Call) -> int:
    """The next argument as a number of bytes."""
    size = call.size()
    if size > MAX_BYTES:
        raise Fault(f"{call.external.name} of {size} bytes")
    return size


# ------------------------------------------------------------------------- memory


@model("memcpy", "memmove", "__memcpy_chk", "__memmove_chk", "__aeabi_memcpy", "__aeabi_memmove")
def _memcpy(call: Call) -> None:
    target, source, size = call.pointer(), call.pointer(), checked_size(call)
    call.memory.write(target, call.memory.read(source, size))
    call.give(target)


@model("mempcpy", "__mempcpy", "__mempcpy_chk")
def _mempcpy(call: Call) -> None:
    target, source, size = call.pointer(), call.pointer(), checked_size(call)
    call.memory.write(target, call.memory.read(source, size))
    call.give(target + size)


@model("bcopy")
def _bcopy(call: Call) -> None:
    source, target, size = call.pointer(), call.pointer(), checked_size(call)
    call.memory.write(target, call.memory.read(source, size))


@model("memset", "__memset_chk", "explicit_memset")
def _memset(call: Call) -> None:
    target, byte, size = call.pointer(), call.integer(), checked_size(call)
    call.memory.write(target, bytes([byte & 0xFF]) * size)
    call.give(target)


@model("bzero", "explicit_bzero", "__explicit_bzero_chk")
def _bzero(call: Call) -> None:
    target, size = call.pointer(), checked_size(call)
    call.memory.write(target, bytes(size))


def _order(call: Call, x: bytes, y: bytes) -> None:
    """-1, 0 or 1, extended to all of the register."""
    call.give((x > y) - (x < y))


@model("memcmp", "bcmp", "timingsafe_bcmp", "timingsafe_memcmp")
def _memcmp(call: Call) -> None:
    x, y, size = call.pointer(), call.pointer(), checked_size(call)
    _order(call, call.memory.read(x, size), call.memory.read(y, size))


@model("memchr")
def _memchr(call: Call) -> None:
    start, byte, size = call.pointer(), call.integer() & 0xFF, call.size()
    # The size may be a lie where the byte is known to be there.
    done = 0
    while done < size:
        chunk = min(256, size - done)
        at = call.memory.read(start + done, chunk).find(byte)
        if at >= 0:
            call.give(start + done + at)
            return
        done += chunk
        if done > MAX_BYTES:
            raise Fault("memchr finds nothing")
    call.give(0)


@model("memrchr", "__memrchr")
def _memrchr(call: Call) -> None:
    start, byte, size = call.pointer(), call.integer() & 0xFF, checked_size(call)
    at = call.memory.read(start, size).rfind(byte)
    call.give(start + at if at >= 0 else 0)


@model("rawmemchr", "__rawmemchr")
def _rawmemchr(call: Call) -> None:
    start, byte = call.pointer(), call.integer() & 0xFF
    content = call.memory.read(start, 4096)
    at = content.find(byte)
    if at < 0:
        raise Fault("rawmemchr finds nothing")
    call.give(start + at)


@model("memmem")
def _memmem(call: Call) -> None:
    start, size, needle, length = call.pointer(), checked_size(call), call.pointer(), checked_size(call)
    at = call.memory.read(start, size).find(call.memory.read(needle, length))
    call.give(start + at if at >= 0 else 0)


@model("memccpy")
def _memccpy(call: Call) -> None:
    target, source, byte, size = call.pointer(), call.pointer(), call.integer() & 0xFF, checked_size(call)
    content = call.memory.read(source, size)
    at = content.find(byte)
    call.memory.write(target, content if at < 0 else content[: at + 1])
    call.give(target + at + 1 if at >= 0 else 0)


@model("swab")
def _swab(call: Call) -> None:
    source, target, size = call.pointer(), call.pointer(), checked_size(call) & ~1
    content = bytearray(call.memory.read(source, size))
    content[::2], content[1::2] = content[1::2], content[::2]
    call.memory.write(target, bytes(content))


# ------------------------------------------------------------------------ strings


@model("strlen", "__strlen_chk")
def _strlen(call: Call) -> None:
    call.give(len(call.string()))


@model("strnlen", "__strnlen")
def _strnlen(call: Call) -> None:
    start, limit = call.pointer(), call.size()
    call.give(len(read_at_most(call.memory, start, min(limit, MAX_BYTES))))


@model("strcpy", "__strcpy_chk")
def _strcpy(call: Call) -> None:
    target = call.pointer()
    call.memory.write(target, call.string() + b"\0")
    call.give(target)


@model("stpcpy", "__stpcpy", "__stpcpy_chk")
def _stpcpy(call: Call) -> None:
    target = call.pointer()
    text = call.string()
    call.memory.write(target, text + b"\0")
    call.give(target + len(text))


def _strncpy_to(call: Call) -> tuple[int, int]:
    target, source, size = call.pointer(), call.pointer(), checked_size(call)
    text = read_at_most(call.memory, source, size)
    call.memory.write(target, text.ljust(size, b"\0"))
    return target, len(text)


@model("strncpy", "__strncpy_chk")
def _strncpy(call: Call) -> None:
    call.give(_strncpy_to(call)[0])


@model("stpncpy", "__stpncpy", "__stpncpy_chk")
def _stpncpy(call: Call) -> None:
    call.give(sum(_strncpy_to(call)))


@model("strcat", "__strcat_chk")
def _strcat(call: Call) -> None:
    target = call.pointer()
    text = call.string()
    call.memory.write(target + len(call.memory.read_string(target)), text + b"\0")
    call.give(target)


@model("strncat", "__strncat_chk")
def _strncat(call: Call) -> None:
    target, source, size = call.pointer(), call.pointer(), call.size()
    text = read_at_most(call.memory, source, min(size, MAX_BYTES))
    call.memory.write(target + len(call.memory.read_string(target)), text + b"\0")
    call.give(target)


@model("strlcpy", "__strlcpy_chk")
def _strlcpy(call: Call) -> None:
    target, text, size = call.pointer(), call.string(), call.size()
    if size:
        call.memory.write(target, text[: size - 1] + b"\0")
    call.give(len(text))


@model("strlcat", "__strlcat_chk")
def _strlcat(call: Call) -> None:
    target, text, size = call.pointer(), call.string(), call.size()
    used = len(read_at_most(call.memory, target, min(size, MAX_BYTES)))
    if used < size:
        call.memory.write(target + used, text[: size - used - 1] + b"\0")
    call.give(used + len(text))


@model("strcmp", "strcoll", "__strcmp")
def _strcmp(call: Call) -> None:
    _order(call, call.string(), call.string())


@model("strncmp", "__strncmp")
def _strncmp(call: Call) -> None:
    x, y, size = call.pointer(), call.pointer(), min(call.size(), MAX_BYTES)
    _order(call, *_common(call, x, y, size))


def _common(call: Call, x: int, y: int, size: int) -> tuple[bytes, bytes]:
    """Two strings of at most `size` bytes, read no further than a comparison would."""
    texts = bytearray(), bytearray()
    for at in range(size):
        one, other = call.memory.read(x + at, 1), call.memory.read(y + at, 1)
        texts[0].extend(one)
        texts[1].extend(other)
        if one != other or one == b"\0":
            break
    return bytes(texts[0]), bytes(texts[1])


@model("strcasecmp", "__strcasecmp", "stricmp")
def _strcasecmp(call: Call) -> None:
    _order(call, call.string().lower(), call.string().lower())


@model("strncasecmp", "__strncasecmp")
def _strncasecmp(call: Call) -> None:
    x, y, size = call.pointer(), call.pointer(), min(call.size(), MAX_BYTES)
    texts = [read_at_most(call.memory, one, size).lower() for one in (x, y)]
    _order(call, *texts)


def _place(call: Call, start: int, at: int) -> None:
    call.give(start + at if at >= 0 else 0)


@model("strchr", "index", "__strchr")
def _strchr(call: Call) -> None:
    start, byte = call.pointer(), call.integer() & 0xFF
    _place(call, start, (call.memory.read_string(start) + b"\0").find(byte))


@model("strrchr", "rindex", "__strrchr")
def _strrchr(call: Call) -> None:
    start, byte = call.pointer(), call.integer() & 0xFF
    _place(call, start, (call.memory.read_string(start) + b"\0").rfind(byte))


@model("strchrnul", "__strchrnul")
def _strchrnul(call: Call) -> None:
    start, byte = call.pointer(), call.integer() & 0xFF
    text = call.memory.read_string(start)
    at = text.find(byte)
    call.give(start + (at if at >= 0 else len(text)))


@model("strstr")
def _strstr(call: Call) -> None:
    start = call.pointer()
    _place(call, start, call.memory.read_string(start).find(call.string()))


@model("strcasestr")
def _strcasestr(call: Call) -> None:
    start = call.pointer()
    _place(call, start, call.memory.read_string(start).lower().find(call.string().lower()))


@model("strspn", "__strspn")
def _strspn(call: Call) -> None:
    text, accepted = call.string(), call.string()
    call.give(len(text) - len(text.lstrip(accepted)) if accepted else 0)


def _first_of(text: bytes, wanted: bytes) -> int:
    return next((at for at, byte in enumerate(text) if byte in wanted), -1)


@model("strcspn", "__strcspn")
def _strcspn(call: Call) -> None:
    text, rejected = call.string(), call.string()
    at = _first_of(text, rejected)
    call.give(at if at >= 0 else len(text))


@model("strpbrk", "__strpbrk")
def _strpbrk(call: Call) -> None:
    start = call.pointer()
    _place(call, start, _first_of(call.memory.read_string(start), call.string()))


def _tokenize(call: Call, start: int, separators: bytes, keep: int) -> int:
    """strtok_r: the next token from `start` (0: where `keep` says); 0 where there is none."""
    if not start:
        (start,) = struct.unpack("<Q", call.memory.read(keep, 8))
        if not start:
            return 0
    text = call.memory.read_string(start)
    skipped = len(text) - len(text.lstrip(separators)) if separators else 0
    rest = text[skipped:]
    if not rest:
        call.memory.write(keep, struct.pack("<Q", start + len(text)))
        return 0
    begin = start + skipped
    at = _first_of(rest, separators)
    after = begin + (len(rest) if at < 0 else at + 1)
    if at >= 0:
        call.memory.write(begin + at, b"\0")
    call.memory.write(keep, struct.pack("<Q", after))
    return begin


@model("strtok_r", "__strtok_r")
def _strtok_r(call: Call) -> None:
    start, separators, keep = call.pointer(), call.string(), call.pointer()
    call.give(_tokenize(call, start, separators, keep))


@model("strtok")
def _strtok(call: Call) -> None:
    start, separators = call.pointer(), call.string()
    call.give(_tokenize(call, start, separators, LIBC_BASE + STRTOK_STATE))


@model("strsep", "__strsep")
def _strsep(call: Call) -> None:
    place, separators = call.pointer(), call.string()
    (start,) = struct.unpack("<Q", call.memory.read(place, 8))
    if not start:
        call.give(0)
        return
    at = _first_of(call.memory.read_string(start), separators)
    if at >= 0:
        call.memory.write(start + at, b"\0")
    call.memory.write(place, struct.pack("<Q", start + at + 1 if at >= 0 else 0))
    call.give(start)


@model("strdup", "__strdup")
def _strdup(call: Call) -> None:
    _new_string(call, call.string())


@model("strndup", "__strndup")
def _strndup(call: Call) -> None:
    start, size = call.pointer(), call.size()
    _new_string(call, read_at_most(call.memory, start, min(size, MAX_BYTES)))


def _new_string(call: Call, text: bytes) -> None:
    address = call.heap.allocate(len(text) + 1)
    if address:
        call.memory.write(address, text + b"\0")
    call.give(address)


# ----------------------------------------------------------- numbers and characters

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


# A page of the C library's own data: tables of characters, errno, buffers.
CTYPE_TABLE, LOWER_TABLE, UPPER_TABLE, CTYPE_POINTERS = 0, 0x400, 0xA00, 0x1000
STRTOK_STATE, TEXT_BUFFER = 0x1080, 0x1800


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
