"""Allocation, streams, processes and C++'s runtime: functions of the C library with effects that a program relies on.

What is written to a stream is recorded as bytes on that stream, whatever function wrote it, since compilers turn
printf into puts and fputs into fwrite. Blocks of malloc leave no event: one that is not used may go.
"""

from __future__ import annotations

import functools
import struct

from irwright.verify.calls import Call, EndRun, set_errno
from irwright.verify.formats import VaList, flat, format_pieces, length_of, scan
from irwright.verify.image import PAGE
from irwright.verify.inputs import MASK, arena
from irwright.verify.libc_strings import (
    MODELS,
    TEXT_BUFFER,
    Model,
    model,
)
from irwright.verify.memory import ERRNO, FILE_OFFSET, LIBC_BASE, Fault
from irwright.verify.signatures import Kind

STDOUT = 1
"""the stream of printf, in events"""
EOF = 0xFFFFFFFF
MAX_CONTENT = 4096
"""bytes of an output that are looked at"""
ALLOCATION = "an allocation"
"""key in Inputs.results of blocks of malloc and its like, with their number: 0 lets one fail"""
INPUT_CALLS = 12
"""reads of one function before input ends"""


def _stream(call: Call, address: int) -> int:
    """The same number for stdout by name and by printf."""
    name = call.external_name(address - FILE_OFFSET)
    return {"stdout": STDOUT, "stderr": 2}.get(name or "", address)


# --------------------------------------------------------------------- allocation


@model("malloc", "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "valloc")
def _malloc(call: Call) -> None:
    call.give(_allocate(call, call.size()))


def _allocate(call: Call, size: int, alignment: int = 16, *, zero: bool = False) -> int:
    may_fail = not (call.external.name or "").startswith("_Zn")
    key = (ALLOCATION, len(call.heap.blocks) + 1)  # by no name: optimisers make calloc of malloc
    address = 0 if may_fail and call.overrides.get(key) == 0 else call.heap.allocate(size, alignment, zero=zero)
    if may_fail:
        call.free_result = (key, address, 64)
    if not address and not may_fail:
        raise EndRun("operator new throws bad_alloc")
    return address


@model("_ZnwmSt11align_val_t", "_ZnamSt11align_val_t")
def _aligned_new(call: Call) -> None:
    size, alignment = call.size(), call.size()
    call.give(_allocate(call, size, alignment))


@model("calloc")
def _calloc(call: Call) -> None:
    call.give(_allocate(call, call.size() * call.size(), zero=True))


@model("aligned_alloc", "memalign")
def _aligned_alloc(call: Call) -> None:
    alignment, size = call.size(), call.size()
    call.give(_allocate(call, size, alignment))


@model("posix_memalign")
def _posix_memalign(call: Call) -> None:
    place, alignment, size = call.pointer(), call.size(), call.size()
    address = _allocate(call, size, alignment)
    if address:
        call.memory.write(place, struct.pack("<Q", address))
    call.give(0 if address else 12)


@model("realloc")
def _realloc(call: Call) -> None:
    old, size = call.pointer(), call.size()
    _resize(call, old, size)


@model("reallocarray")
def _reallocarray(call: Call) -> None:
    old = call.pointer()
    _resize(call, old, call.size() * call.size())


def _resize(call: Call, old: int, size: int) -> None:
    address = _allocate(call, size)
    if old and address:
        # A block that the program did not get from us may be as long as it likes.
        content = call.memory.read(old, min(size, call.heap.blocks.get(old, size)))
        call.memory.write(address, content)
        call.heap.free(old)
    call.give(address)


@model("free", "cfree", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t")
def _free(call: Call) -> None:
    address = call.pointer()
    if address and not call.heap.free(address):
        call.record((Kind.POINTER, 64, address), name="free")  # it came from outside: others can tell


@model("malloc_usable_size")
def _usable_size(call: Call) -> None:
    call.give(call.heap.blocks.get(call.pointer(), 0))


# ------------------------------------------------------------------------- output


def _printed(call: Call, stream: int, template: bytes, *, variadic: bool) -> None:
    """The rest of a call of printf's family: write to a stream, return the length."""
    arguments = call if variadic else VaList(call, call.pointer())
    pieces = format_pieces(call, template, arguments)
    call.output(stream, *pieces)
    call.give(length_of(pieces))


def _stored(call: Call, target: int, limit: int, template: bytes, *, variadic: bool) -> None:
    arguments = call if variadic else VaList(call, call.pointer())
    text = flat(format_pieces(call, template, arguments))
    if limit:
        call.memory.write(target, text[: limit - 1] + b"\0")
    call.give(len(text))


def _printf_family(call: Call, *, to: str, variadic: bool, checked: bool) -> None:
    if to == "out":
        if checked:
            call.integer()
        _printed(call, STDOUT, call.string(), variadic=variadic)
    elif to == "file":
        stream = _stream(call, call.pointer())
        if checked:
            call.integer()
        _printed(call, stream, call.string(), variadic=variadic)
    elif to == "descriptor":
        stream = call.integer()
        if checked:
            call.integer()
        _printed(call, stream, call.string(), variadic=variadic)
    elif to == "memory":
        target, limit = call.pointer(), 1 << 30
        if checked:
            call.integer()
            call.size()
        _stored(call, target, limit, call.string(), variadic=variadic)
    elif to == "limited":
        target, limit = call.pointer(), call.size()
        if checked:
            call.integer()
            call.size()
        _stored(call, target, limit, call.string(), variadic=variadic)
    else:
        place = call.pointer()
        if checked:
            call.integer()
        template = call.string()
        arguments = call if variadic else VaList(call, call.pointer())
        text = flat(format_pieces(call, template, arguments))
        address = call.heap.allocate(len(text) + 1)
        if address:
            call.memory.write(address, text + b"\0")
        call.memory.write(place, struct.pack("<Q", address))
        call.give(len(text) if address else EOF)


for _stem, _to in (
    ("printf", "out"),
    ("fprintf", "file"),
    ("dprintf", "descriptor"),
    ("sprintf", "memory"),
    ("snprintf", "limited"),
    ("asprintf", "new"),
):
    for _v in (True, False):
        _name = _stem if _v else f"v{_stem}"
        MODELS[_name] = functools.partial(_printf_family, to=_to, variadic=_v, checked=False)
        MODELS[f"__{_name}_chk"] = functools.partial(_printf_family, to=_to, variadic=_v, checked=True)
for _plain in ("printf", "fprintf", "sprintf"):
    MODELS[f"i{_plain}"] = MODELS[_plain]


@model("puts")
def _puts(call: Call) -> None:
    call.output(STDOUT, call.string() + b"\n")
    call.give(1)


@model("fputs", "fputs_unlocked")
def _fputs(call: Call) -> None:
    text = call.string()
    call.output(_stream(call, call.pointer()), text)
    call.give(1)


@model("putchar", "putchar_unlocked")
def _putchar(call: Call) -> None:
    byte = call.integer() & 0xFF
    call.output(STDOUT, bytes([byte]))
    call.give(byte)


@model("fputc", "putc", "_IO_putc", "fputc_unlocked", "putc_unlocked")
def _fputc(call: Call) -> None:
    byte = call.integer() & 0xFF
    call.output(_stream(call, call.pointer()), bytes([byte]))
    call.give(byte)


@model("fwrite", "fwrite_unlocked")
def _fwrite(call: Call) -> None:
    start, size, count = call.pointer(), call.size(), call.size()
    stream = _stream(call, call.pointer())
    call.output(stream, call.memory.read(start, min(size * count, MAX_CONTENT)))
    call.give(count)


@model("write", "send", "pwrite")
def _write(call: Call) -> None:
    descriptor, start, size = call.integer(), call.pointer(), call.size()
    content = call.memory.read(start, min(size, MAX_CONTENT))
    call.record((Kind.INT, 32, descriptor & 0xFFFFFFFF), (Kind.INT, 64, size), content=(content,))
    bits = call.chance()
    set_errno(call)
    call.give(-1 if bits % 5 == 0 else size - bits % 3 * (size > 8))


@model("perror")
def _perror(call: Call) -> None:
    text = call.string() if (call.external.name or "") else b""
    call.output(2, text + b": error\n")


@model("fflush", "fflush_unlocked", "setbuf", "setvbuf", "setlinebuf", "flockfile", "funlockfile", "rewind", "clearerr")
def _nothing(call: Call) -> None:
    call.record((Kind.POINTER, 64, call.pointer()))
    call.give(0)


# -------------------------------------------------------------------------- input


def _input(call: Call, size: int) -> bytes:
    """What is read next: text that depends on the seed and on how often this function was called."""
    start = call.chance() % (PAGE * 15)
    return arena(call.seed)[start : start + min(size, 4096)]


def _is_over(call: Call) -> bool:
    return call.count > INPUT_CALLS or call.chance(1) % 8 == 0


@model("fgetc", "getc", "_IO_getc", "fgetc_unlocked", "getc_unlocked")
def _getc(call: Call) -> None:
    call.record((Kind.POINTER, 64, call.pointer()), name="fgetc")
    _give_character(call)


@model("getchar", "getchar_unlocked")
def _getchar(call: Call) -> None:
    call.record(name="getchar")
    _give_character(call)


def _give_character(call: Call) -> None:
    over = call.count > 64 or call.chance(1) % 16 == 0
    character = EOF if over else b"az09 \n,.;:\"'()[]{}<>=+-*/#\\%x"[call.chance() % 28]
    if call.override is not None and (call.override < 256 or call.override == EOF):
        character = call.override
    call.free_result = (call.key, character, 32)
    call.give(character)


@model("ungetc")
def _ungetc(call: Call) -> None:
    byte = call.integer()
    call.record((Kind.INT, 32, byte & 0xFFFFFFFF), (Kind.POINTER, 64, call.pointer()))
    call.give(byte & 0xFFFFFFFF)


@model("fgets", "fgets_unlocked")
def _fgets(call: Call) -> None:
    target, size, stream = call.pointer(), call.integer(), call.pointer()
    call.record((Kind.INT, 32, size & 0xFFFFFFFF), (Kind.POINTER, 64, stream))
    if size <= 0 or _is_over(call) or call.override == 0:
        call.give(0)
        return
    call.free_result = (call.key, target, 64)
    words = (b"name = value\n", b"42\n", b"# comment\n", b"\n", b"a b c d\n", b"[section]\n", b"key:1,2,3\n", b"x")
    line = words[call.chance() % len(words)]
    call.memory.write(target, line[: size - 1] + b"\0")
    call.give(target)


@model("fread", "fread_unlocked")
def _fread(call: Call) -> None:
    target, size, count, stream = call.pointer(), call.size(), call.size(), call.pointer()
    call.record((Kind.INT, 64, size), (Kind.INT, 64, count), (Kind.POINTER, 64, stream))
    if not size or not count or _is_over(call) or size > 4096:
        call.give(0)
        return
    got = min(count, 4096 // size)
    call.memory.write(target, _input(call, got * size))
    call.give(got)


@model("read", "recv", "pread")
def _read(call: Call) -> None:
    descriptor, target, size = call.integer(), call.pointer(), call.size()
    call.record((Kind.INT, 32, descriptor & 0xFFFFFFFF), (Kind.INT, 64, size))
    got = -(call.chance(2) & 1) if _is_over(call) else min(size, 64 + call.chance(2) % 1024)
    if call.override is not None:
        got = -1 if call.override >> 31 & 1 else call.override % (min(size, 4096) + 1)
    call.free_result = (call.key, got & MASK, 64)
    if got < 0:
        set_errno(call)
    else:
        call.memory.write(target, _input(call, got))
    call.give(got)


def _scanf(call: Call, *, source: str, variadic: bool) -> None:
    if source == "file":
        call.record((Kind.POINTER, 64, call.pointer()))
    elif source == "memory":
        call.pointer()
    else:
        call.record()
    template = call.string()
    call.give(scan(call, template, call if variadic else VaList(call, call.pointer())) & 0xFFFFFFFF)


for _stem, _source in (("scanf", "in"), ("fscanf", "file"), ("sscanf", "memory")):
    for _prefix in ("", "__isoc99_", "__isoc23_"):
        MODELS[f"{_prefix}{_stem}"] = functools.partial(_scanf, source=_source, variadic=True)
        MODELS[f"{_prefix}v{_stem}"] = functools.partial(_scanf, source=_source, variadic=False)


# ------------------------------------------------------------ sorting, environment


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


for _name in ("stat", "lstat", "fstat", "stat64", "lstat64", "fstat64"):
    MODELS[_name] = functools.partial(_fill_record, size=144, number=1)
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
