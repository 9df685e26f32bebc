"""Copies by x86's string instructions: do their areas overlap?

Compilers make `rep movs` of copies whose areas are apart in a defined program. On other inputs it still does something,
byte by byte, which memcpy, and code that was lifted to it, need not do.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

from unicorn import UC_HOOK_CODE, x86_const

from irwright.verify.elf import EM_X86_64
from irwright.verify.emulate import Emulator
from irwright.verify.machine import library
from irwright.verify.memory import loosely

REPEATED_MOVE = re.compile(rb"(?:\x66\xf3|\xf3\x66|\xf3)[\x48]?[\xa4\xa5]", re.DOTALL)


class CopyWatch:
    """Watches one emulator; bytes that only look like an instruction are never run, and cost nothing."""

    def __init__(self, emulator: Emulator) -> None:
        self.overlapped = False
        """in a run since this was last set to False"""
        self._emulator = emulator
        self._units: dict[int, int] = {}
        """bytes that each instruction moves at a time, by its address"""
        self._going_on = (0, 0)
        """what the copy under way is next seen with: its address and what is left of it"""
        self._left = ctypes.c_uint64()
        if emulator.machine.elf_machine != EM_X86_64:
            return
        for segment in emulator.image.segments:
            for found in REPEATED_MOVE.finditer(bytes(segment.data)) if segment.is_code else ():
                self._units[segment.address + found.start()] = _unit(found.group())
                emulator.watch(UC_HOOK_CODE, loosely(self._on_copy), segment.address + found.start())

    @property
    def has_copies(self) -> bool:
        """There is such an instruction in the code."""
        return bool(self._units)

    def _on_copy(self, uc: Any, address: int, _size: int, _data: Any) -> None:
        # Called for every unit that is moved: a copy is looked at when it begins.
        library.uc_reg_read(self._emulator.handle, x86_const.UC_X86_REG_RCX, ctypes.byref(self._left))
        count = self._left.value
        is_new = self._going_on != (address, count)
        self._going_on = address, count - 1
        if is_new:
            target, source = (uc.reg_read(one) for one in (x86_const.UC_X86_REG_RDI, x86_const.UC_X86_REG_RSI))
            self.overlapped |= 0 < abs(target - source) < count * self._units[address]


def _unit(code: bytes) -> int:
    return 1 if code[-1] == 0xA4 else 8 if b"\x48" in code else 2 if b"\x66" in code else 4
