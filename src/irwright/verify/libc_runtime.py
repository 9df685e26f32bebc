"""Sorting, environment, time, ends of processes, C++'s runtime and the helpers that compilers call."""

from __future__ import annotations

import functools
import struct

from irwright.verify.calls import Call, EndRun
from irwright.verify.inputs import arena
from irwright.verify.libc_io import EOF, MAX_CONTENT
from irwright.verify.libc_strings import MODELS, TEXT_BUFFER, Model, model
from irwright.verify.memory import ERRNO, LIBC_BASE, Fault
from irwright.verify.signatures import Kind


@model("qsort")
def _qsort(call: Call) -> None:
    start, count, size, compare = call.pointer(), call.size(), call.size(), call.pointer()
    if count * size > 1 << 16:
        raise Fault(f"qsort of {count * size} bytes")
    content = call.memory.read(start, count * size)
    items = [content[at : at + size] for at in range(0, count * size, size)] if size else []
    scratch = call.heap.allocate(2 * size + 16)
    if not scratch and items:
        raise Fault("qsort of too much")

    def order(x: bytes, y: bytes) -> int:
        call.memory.write(scratch, x + y)
        result = call.invoke(compare, (scratch, scratch + size)) & 0xFFFFFFFF
        return result - (1 << 32) if result >> 31 else result

    items.sort(key=functools.cmp_to_key(order))
    call.heap.free(scratch)
    call.memory.write(start, b"".join(items))


@model("bsearch")
def _bsearch(call: Call) -> None:
    key, start, count, size, compare = call.pointer(), call.pointer(), call.size(), call.size(), call.pointer()
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        result = call.invoke(compare, (key, start + middle * size)) & 0xFFFFFFFF
        if result == 0:
            call.give(start + middle * size)
            return
        low, high = (low, middle) if result >> 31 else (middle + 1, high)
    call.give(0)


@model("getenv", "secure_getenv")
def _getenv(call: Call) -> None:
    name = call.string()
    value = (b"", b"/tmp", b"1", b"xterm")[call.chance(len(name)) % 4]
    address = LIBC_BASE + TEXT_BUFFER + 256 * (call.count % 4)
    call.memory.write(address, value + b"\0")
    call.give(address if value else 0)


@model("strerror", "gai_strerror", "hstrerror", "strsignal")
def _strerror(call: Call) -> None:
    address = LIBC_BASE + TEXT_BUFFER + 0x500
    call.memory.write(address, b"error %d\0" % call.integer())
    call.give(address)


@model("rand", "random", "lrand48")
def _rand(call: Call) -> None:
    call.record()
    call.give(call.chance() & 0x7FFFFFFF)


@model("time")
def _time(call: Call) -> None:
    place = call.pointer()
    call.record()
    now = 1_700_000_000 + call.count
    if place:
        call.memory.write(place, struct.pack("<Q", now))
    call.give(now)


@model("gettimeofday", "clock_gettime", "clock_getres")
def _clock(call: Call) -> None:
    first, second = call.pointer(), call.pointer()
    place = first if call.external.name == "gettimeofday" else second
    call.record()
    if place:
        parts = 1_000_000 if call.external.name == "gettimeofday" else 1_000_000_000
        call.memory.write(place, struct.pack("<2Q", 1_700_000_000 + call.count, call.chance() % parts))
    call.give(0)


def _fill_record(call: Call, size: int, number: int) -> None:
    """A function that fills a record whose address is its argument `number`, from 0."""
    arguments = [call.pointer() for _ in range(number + 1)]
    texts = (call.memory.read_string(arguments[0]),) if number == 1 and arguments[0] > 1 << 20 else ()
    call.record(content=texts)
    if call.chance() % 4 == 0:
        call.memory.write(LIBC_BASE + ERRNO, struct.pack("<I", 2))
        call.give(EOF)
        return
    call.memory.write(arguments[number], arena(call.seed)[:size])
    call.give(0)


FILE_MODES = (0o100644, 0o40755, 0o100755, 0o120777, 0o20620, 0o10600, 0o60660, 0o140777)


@model("stat", "lstat", "fstat", "stat64", "lstat64", "fstat64")
def _stat(call: Call) -> None:
    """A file of some kind: what programs ask first."""
    place = call.bank[call.machine.integer_arguments[1]]
    _fill_record(call, size=144, number=1)
    if call.chance() % 4:
        at = 24 if call.machine.link is None else 16
        call.memory.write(place + at, struct.pack("<I", FILE_MODES[call.chance(1) % len(FILE_MODES)]))
        call.memory.write(place + 48, struct.pack("<Q", call.chance(2) >> (call.chance(3) & 0x3F | 1)))


for _name, _size, _number in (("getrusage", 144, 1), ("uname", 390, 0), ("times", 32, 0), ("tcgetattr", 60, 1)):
    MODELS[_name] = functools.partial(_fill_record, size=_size, number=_number)
for _name in ("sigemptyset", "sigfillset"):
    MODELS[_name] = functools.partial(_fill_record, size=128, number=0)


@model("localtime", "gmtime", "localtime_r", "gmtime_r")
def _broken_down_time(call: Call) -> None:
    name = call.external.name or ""
    (seconds,) = struct.unpack("<Q", call.memory.read(call.pointer(), 8))
    address = call.pointer() if name.endswith("_r") else LIBC_BASE + TEXT_BUFFER + 0x600
    fields = (seconds % 60, seconds // 60 % 60, seconds // 3600 % 24, 1 + seconds // 86400 % 28, 5, 123, 3, 171, 0)
    call.memory.write(address, struct.pack("<9i", *fields).ljust(56, b"\0"))
    call.give(address)


# ------------------------------------------------------------ ends, jumps, runtime


@model("exit", "_exit", "_Exit", "quick_exit")
def _exit(call: Call) -> None:
    call.record((Kind.INT, 32, call.integer() & 0xFFFFFFFF))
    raise EndRun(f"{call.external.name} does not return")


def _end(call: Call) -> None:
    call.record()
    raise EndRun(f"{call.external.name} does not return")


@model("__assert_fail", "__assert")
def _assert_fail(call: Call) -> None:
    expression, file, line, function = call.pointer(), call.pointer(), call.integer(), call.pointer()
    texts = tuple(call.memory.read_string(text) for text in (expression, file, function) if text)
    call.record((Kind.INT, 32, line & 0xFFFFFFFF), content=texts)
    raise EndRun("a failed assertion does not return")


@model("writev", "pwritev")
def _writev(call: Call) -> None:
    descriptor, vector, count = call.integer(), call.pointer(), call.integer()
    call.record((Kind.INT, 32, descriptor & 0xFFFFFFFF), content=_vector(call, vector, count))
    call.give(call.chance() % 4096)


@model("sendmsg")
def _sendmsg(call: Call) -> None:
    descriptor, message, flags = call.integer(), call.pointer(), call.integer()
    vector, count = struct.unpack("<2Q", call.memory.read(message + 16, 16))
    content = _vector(call, vector, count)
    call.record((Kind.INT, 32, descriptor & 0xFFFFFFFF), (Kind.INT, 32, flags & 0xFFFFFFFF), content=content)
    call.give(call.chance() % 4096)


def _vector(call: Call, vector: int, count: int) -> tuple[bytes, ...]:
    """What an array of struct iovec names."""
    pairs = [struct.unpack("<2Q", call.memory.read(vector + 16 * n, 16)) for n in range(min(count, 16))]
    return tuple(call.memory.read(start, min(size, MAX_CONTENT)) for start, size in pairs)


for _name in (
    *("abort", "longjmp", "_longjmp", "siglongjmp", "__longjmp_chk", "pthread_exit", "err", "errx", "verr", "verrx"),
    *("__stack_chk_fail", "__chk_fail", "__fortify_fail", "execvp", "execl", "execlp"),
    *("__cxa_throw", "__cxa_rethrow", "__cxa_bad_cast", "__cxa_bad_typeid", "__cxa_pure_virtual", "_Unwind_Resume"),
    *("__cxa_throw_bad_array_new_length", "__clang_call_terminate", "_ZSt9terminatev", "__cxa_call_unexpected"),
):
    MODELS[_name] = _end


def ending(name: str) -> Model | None:
    """What plays the helpers by which libstdc++ throws."""
    return _end if name.startswith("_ZSt") and "__throw_" in name else None


@model("setjmp", "_setjmp", "sigsetjmp", "__sigsetjmp")
def _setjmp(call: Call) -> None:
    call.give(0)


@model("atexit", "__cxa_atexit", "at_quick_exit")
def _atexit(call: Call) -> None:
    call.record((Kind.POINTER, 64, call.pointer()))
    call.give(0)


@model("__cxa_allocate_exception")
def _allocate_exception(call: Call) -> None:
    call.give(call.heap.allocate(call.size() + 128) + 64)


@model("__cxa_free_exception", "__cxa_end_catch", "__cxa_guard_abort", "__cxa_finalize")
def _ignored(call: Call) -> None:
    call.give(0)


@model("__cxa_begin_catch", "__cxa_get_exception_ptr")
def _begin_catch(call: Call) -> None:
    call.give(call.pointer())


@model("__cxa_guard_acquire")
def _guard_acquire(call: Call) -> None:
    call.give(int(call.memory.read(call.pointer(), 1) == b"\0"))


@model("__cxa_guard_release")
def _guard_release(call: Call) -> None:
    call.memory.write(call.pointer(), b"\1")


@model("__tls_get_addr")
def _tls_get_addr(call: Call) -> None:
    (address,) = struct.unpack("<Q", call.memory.read(call.pointer() + 8, 8))
    call.give(address)


@model("\0tlsdesc")
def _tls_descriptor(call: Call) -> None:
    (offset,) = struct.unpack("<Q", call.memory.read(call.pointer() + 8, 8))
    call.preserve_all = True
    call.give(offset)


def _wide(call: Call, operation: str) -> None:
    """Arithmetic of 128 bits."""
    x, y = (call.size() | call.size() << 64 for _ in range(2))
    if operation[0] != "u":
        x, y = (value - (1 << 128) if value >> 127 else value for value in (x, y))
    if operation == "mul":
        result = x * y
    elif not y:
        raise Fault("division by zero or overflow")
    else:
        quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
        result = quotient if operation.endswith("div") else x - quotient * y
    call.give_pair(result, result >> 64)


for _name, _operation in (
    ("__multi3", "mul"),
    ("__divti3", "div"),
    ("__modti3", "mod"),
    ("__udivti3", "udiv"),
    ("__umodti3", "umod"),
):
    MODELS[_name] = functools.partial(_wide, operation=_operation)


def _atomic(call: Call, operation: str, size: int) -> None:
    """AArch64's out-of-line atomics: the old value is the result."""
    mask = (1 << 8 * size) - 1
    first = call.size() & mask
    second = call.size() & mask if operation == "cas" else 0
    place = call.pointer()
    old = int.from_bytes(call.memory.read(place, size), "little")
    match operation:
        case "cas":
            new = second if old == first else old
        case "swp":
            new = first
        case "ldadd":
            new = old + first
        case "ldset":
            new = old | first
        case "ldclr":
            new = old & ~first
        case _:
            new = old ^ first
    call.memory.write(place, (new & mask).to_bytes(size, "little"))
    call.give(old)


for _operation in ("cas", "swp", "ldadd", "ldset", "ldclr", "ldeor"):
    for _size in (1, 2, 4, 8):
        for _order in ("relax", "acq", "rel", "acq_rel"):
            _name = f"__aarch64_{_operation}{_size}_{_order}"
            MODELS[_name] = functools.partial(_atomic, operation=_operation, size=_size)
