"""Memory and strings: functions of the C library that only touch memory.

Each entry of `MODELS` plays one callee: it takes the arguments it needs, does to memory what the function does, and
gives the result. None of them leaves an event: compilers replace them by each other and by code of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from irwright.verify.calls import Call
from irwright.verify.formats import read_at_most
from irwright.verify.memory import LIBC_BASE, Fault

Model = Callable[[Call], None]
MODELS: dict[str, Model] = {}
MAX_BYTES = 1 << 20
STRTOK_STATE, TEXT_BUFFER = 0x1080, 0x1800
"""offsets in the C library's own pages"""


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
