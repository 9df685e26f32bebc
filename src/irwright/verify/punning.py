"""Is a place in memory used as two types in one run? Then compilers may order the accesses as they like.

C's types tell compilers that a store of a `long` does not change an `int`. On inputs by which an index leaves an array
inside a record, or two objects overlap, it does; unoptimised code does what the text says, and optimised code need not.
Watched is unoptimised code, where every access has the width of its type. Bytes may be read as anything, and records
are copied by functions that are played, which nobody watches. What two instructions do in every run that comes to both
tells nothing: small copies are loads and stores of clang's choice.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

from unicorn import UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE

from irwright.verify.emulate import Emulator
from irwright.verify.machine import library
from irwright.verify.memory import POOL, loosely

MAX_ACCESSES = 20_000
"""that are watched in one run"""
_HOOK = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)


class TypeWatch:
    """Watches accesses of one emulator outside its stack."""

    def __init__(self, emulator: Emulator) -> None:
        self.pairs: set[tuple[int, int]] = set()
        """instructions of a run since `restart` that use a place as two types, the first of them a store"""
        self.seen: set[int] = set()
        """all instructions that stored or read"""
        self._num = 0
        self._stored: dict[int, tuple[int, int, int]] = {}
        """(address, size, instruction) of the last store to each byte"""
        self._emulator = weakref.ref(emulator)
        self._read_hook = _HOOK(loosely(self._on_read))
        self._write_hook = _HOOK(loosely(self._on_write))
        memory = emulator.memory
        for begin, end in ((0, memory.stack.address - 1), (memory.stack_start, memory.stack.end - 1), POOL):
            for kind, callback in ((UC_HOOK_MEM_READ, self._read_hook), (UC_HOOK_MEM_WRITE, self._write_hook)):
                hook = ctypes.c_size_t()
                library.uc_hook_add(
                    emulator.handle,
                    ctypes.byref(hook),
                    kind,
                    callback,
                    None,
                    ctypes.c_uint64(begin),
                    ctypes.c_uint64(end),
                )

    def restart(self) -> None:
        self._num = 0
        self.pairs.clear()
        self.seen.clear()
        self._stored.clear()

    @property
    def is_punned(self) -> bool:
        return bool(self.pairs)

    def _on_write(self, _uc: Any, _access: int, address: int, size: int, _value: int, _data: Any) -> None:
        at = self._look(address, size)
        for byte in range(address, address + size):
            self._stored[byte] = (address, size, at)

    def _on_read(self, _uc: Any, _access: int, address: int, size: int, _value: int, _data: Any) -> None:
        self._look(address, size)

    def _look(self, address: int, size: int) -> int:
        """Compare an access with the last stores to its bytes; the instruction's address."""
        self._num += 1
        emulator = self._emulator()
        if size < 2 or self._num > MAX_ACCESSES or emulator is None:
            return 0
        at = emulator.instruction
        self.seen.add(at)
        for byte in range(address, address + size):
            start, width, other = self._stored.get(byte, (address, size, 0))
            if width > 1 and (start, width) != (address, size):
                self.pairs.add((other, at))
        return at
