"""Tables from mnemonics to what they do; each file of instructions has one."""

from __future__ import annotations

from collections.abc import Callable

from irwright.lift.program import Instruction
from irwright.lift.x86_64.machine import Machine

Semantics = Callable[[Machine, Instruction], None]
"""lists the effects of an instruction"""


class Table(dict[str, Semantics]):
    """What each mnemonic does."""

    def enter(self, *names: str) -> Callable[[Semantics], Semantics]:
        """Enter a function under these mnemonics."""

        def enter(function: Semantics) -> Semantics:
            self.update(dict.fromkeys(names, function))
            return function

        return enter
