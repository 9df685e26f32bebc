"""Allocation and streams: functions of the C library with effects that a program relies on.

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
    model,
)
from irwright.verify.memory import FILE_OFFSET
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
    if call.count > 2 * INPUT_CALLS and call.count % 2:
        got = min(size, 4096)  # who waits for all of a file gets it
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
