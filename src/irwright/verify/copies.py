"""Copies by x86's string instructions: do their areas overlap?

Compilers make `rep movs` of copies whose areas are apart in a defined program. On other inputs it still does something,
byte by byte, which memcpy, and code that was lifted to it, need not do.
"""

from __future__ import annotations

import re
from typing import Any

from unicorn import UC_HOOK_CODE, x86_const

from irwright.verify.elf import EM_X86_64
from irwright.verify.emulate import Emulator
from irwright.verify.memory import loosely

REPEATED_MOVE = re.compile(rb"(?:\x66\xf3|\xf3\x66|\xf3)[\x48]?[\xa4\xa5]", re.DOTALL)


class CopyWatch:
    """Watches one emulator; bytes that only look like an instruction are never run, and cost nothing."""

    def __init__(self, emulator: Emulator) -> None:
        self.overlapped = False
        """in a run since this was last set to False"""
        if emulator.machine.elf_machine != EM_X86_64:
            return
        for segment in emulator.image.segments:
            for found in REPEATED_MOVE.finditer(bytes(segment.data)) if segment.is_code else ():
                address = segment.address + found.start()
                emulator.watch(UC_HOOK_CODE, loosely(self._on_copy), address)

    def _on_copy(self, uc: Any, address: int, size: int, _data: Any) -> None:
        code = bytes(uc.mem_read(address, size))
        unit = 1 if code[-1] == 0xA4 else 8 if b"\x48" in code else 2 if b"\x66" in code else 4
        target, source, count = (
            uc.reg_read(register)
            for register in (x86_const.UC_X86_REG_RDI, x86_const.UC_X86_REG_RSI, x86_const.UC_X86_REG_RCX)
        )
        self.overlapped |= 0 < abs(target - source) < count * unit
