"""Instructions of machine code, by capstone's library.

Called directly: capstone's own module loads tables of twenty architectures, which takes longer than most objects
take to disassemble. It serves where the library is not that of version 5, whose layout is known here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ARCH_ARM64, ARCH_X86 = 1, 3
MODE_ARM, MODE_64 = 0, 8

Instruction = tuple[int, int, str, str]
"""address, bytes, mnemonic, operands"""


class _Instruction(ctypes.Structure):
    """`cs_insn` of capstone 5."""

    _fields_ = (
        ("id", ctypes.c_uint),
        ("address", ctypes.c_uint64),
        ("size", ctypes.c_uint16),
        ("bytes", ctypes.c_ubyte * 24),
        ("mnemonic", ctypes.c_char * 32),
        ("op_str", ctypes.c_char * 160),
        ("detail", ctypes.c_void_p),
    )


def disassemble(code: bytes, address: int, *, is_x86: bool) -> Iterator[Instruction]:
    """The instructions of a piece of code up to the first byte that is none."""
    return _disassembler(is_x86)(code, address)


@cache
def _disassembler(is_x86: bool) -> Callable[[bytes, int], Iterator[Instruction]]:
    kind = (ARCH_X86, MODE_64) if is_x86 else (ARCH_ARM64, MODE_ARM)
    return direct(*kind) or through_module(*kind)


def direct(architecture: int, mode: int) -> Callable[[bytes, int], Iterator[Instruction]] | None:
    """A disassembler that calls the wheel's library; None where that is not there, or is another version."""
    spec = find_spec("capstone")
    folder = Path(spec.origin).parent / "lib" if spec is not None and spec.origin is not None else Path()
    try:
        library = ctypes.CDLL(str(folder / "libcapstone.so"))
    except OSError:
        return None
    handle = ctypes.c_size_t()
    if library.cs_version(None, None) >> 8 != 5 or library.cs_open(architecture, mode, ctypes.byref(handle)):
        return None
    library.cs_disasm.restype = ctypes.c_size_t
    free = library.cs_free
    free.argtypes = (ctypes.c_void_p, ctypes.c_size_t)

    def run(code: bytes, address: int) -> Iterator[Instruction]:
        found = ctypes.POINTER(_Instruction)()
        size, start, all_of_it = ctypes.c_size_t(len(code)), ctypes.c_uint64(address), ctypes.c_size_t(0)
        count = library.cs_disasm(handle, code, size, start, all_of_it, ctypes.byref(found))
        if not count:
            return
        try:
            for index in range(count):
                one = found[index]
                yield one.address, one.size, one.mnemonic.decode(), one.op_str.decode()
        finally:
            free(found, count)

    return run


def through_module(architecture: int, mode: int) -> Callable[[bytes, int], Iterator[Instruction]]:
    """A disassembler of capstone's own module."""
    import capstone  # pyright: ignore[reportMissingTypeStubs]

    machine: Any = capstone.Cs(architecture, mode)
    return machine.disasm_lite
