"""Basic blocks of a function, and what its code tells about inputs that matter: constants and offsets.

Blocks are cut by a linear sweep (capstone): at targets of branches, and behind branches that do not fall through or
may be taken. Calls do not end a block.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from irwright.verify.disassembly import disassemble
from irwright.verify.elf import EM_X86_64
from irwright.verify.inputs import Hints

MAX_HINTS = 64
_X86_PADDING = ("nop", "int3", "ud2")
_COMPARISONS = {"cmp", "sub", "test", "xor", "and", "add", "mov", "imul"}
_A64_BRANCH = re.compile(r"(b|b\.\w+|br|ret|cbz|cbnz|tbz|tbnz|retaa|retab|eret)$")
_OFFSET = re.compile(r"\[(?!rip|rsp|rbp|sp)\w+(?: \+ (0x[0-9a-f]+|\d+)|, #(0x[0-9a-f]+|\d+))?\]")
_NUMBER = re.compile(r"(?:^|, )#?(-?(?:0x[0-9a-f]+|\d+))$")
_DISPLACEMENT = re.compile(r"([-+]) (0x[0-9a-f]+|\d+)\]$")
_COMPARE = re.compile(r"(cmp|test|u?comis[sd]|bt|fcmpe?|cmn|tst|cbn?z|tbn?z)$")
_ENDS = ("jmp", "b", "br", "ret", "retaa", "retab", "eret")
"""jumps behind which nothing runs"""
_FLAG_SETTERS = {"sub", "and", "dec", "inc", "add", "subs", "adds", "ands"}
_FLAG_USERS = re.compile(r"j(?!mp)|set|cmov|b\.|cs|cinc|cset")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One instruction on whose operands a decision depends."""

    address: int
    size: int
    mnemonic: str
    operands: str
    """as capstone prints them"""
    decides: str
    """the instruction behind it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """The blocks of one function."""

    starts: tuple[int, ...]
    """their addresses"""
    branches: tuple[int, ...]
    """addresses of jumps, calls and returns"""
    end: int
    hints: Hints
    comparisons: tuple[Comparison, ...] = ()
    calls: tuple[int, ...] = ()
    """addresses outside that it calls or jumps to"""
    reached: int = 0
    """a bit for each block that jumps lead to from the first one: not those for exceptions"""

    def are_covered(self, covered: int) -> bool:
        """Every block ran that can, where no exception is thrown; `covered` is as `covered` gives it."""
        return not self.reached & ~covered

    def covered(self, executed: Mapping[int, int]) -> int:
        """A bit for each block that began to run; `executed` is Emulator.executed."""
        done = 0
        if not self.starts:
            return done
        for address, size in executed.items():
            if self.starts[0] <= address < self.end:
                first = bisect_left(self.starts, address)
                behind = bisect_left(self.starts, address + size if size else self._next_branch(address))
                done |= (1 << behind) - (1 << first)
        return done

    def _next_branch(self, address: int) -> int:
        at = bisect_left(self.branches, address)
        return self.branches[at] + 1 if at < len(self.branches) else self.end


def find_blocks(code: bytes, address: int, machine: int) -> Blocks:
    """Blocks of the code of one function."""
    is_x86 = machine == EM_X86_64
    end = address + len(code)
    starts = {address}
    padding: set[int] = set()
    branches: list[int] = []
    comparisons: list[Comparison] = []
    calls: dict[int, None] = {}
    numbers = _Numbers()
    jumps: dict[int, tuple[int | None, bool]] = {}
    """where each leads (None: out of the function), and whether what follows may run too"""
    is_known = True
    setter: tuple[int, int, str, str] | None = None
    for at, size, mnemonic, operands in disassemble(code, address, is_x86=is_x86):
        if setter is not None and (_COMPARE.match(setter[2]) or _FLAG_USERS.match(mnemonic) or setter[2] == "xor"):
            comparisons.append(Comparison(*setter, decides=mnemonic))
        is_setter = mnemonic in _FLAG_SETTERS or _COMPARE.match(mnemonic)
        if mnemonic == "xor":  # with a number: how several comparisons become one
            is_setter = _NUMBER.search(operands)
        setter = (at, size, mnemonic, operands) if is_setter else None
        if (is_x86 and mnemonic.startswith(_X86_PADDING)) or mnemonic in ("nop", "brk", "udf"):
            padding.add(at)
        if mnemonic.startswith("j") if is_x86 else _A64_BRANCH.match(mnemonic):
            target = re.search(r"(0x[0-9a-f]+)$", operands)
            if target is not None and address <= int(target.group(1), 16) < end:
                starts.add(int(target.group(1), 16))
            elif target is not None:
                calls[int(target.group(1), 16)] = None
            starts.add(at + size)
            branches.append(at)
            inside = int(target.group(1), 16) if target is not None else None
            is_known = is_known and (target is not None or mnemonic.startswith("ret"))
            jumps[at] = inside, mnemonic not in _ENDS
        elif is_x86 and mnemonic.startswith(("ret", "ud2", "hlt", "int3")):
            starts.add(at + size)
            branches.append(at)
            jumps[at] = None, False
        elif mnemonic in ("call", "bl", "blr"):
            branches.append(at)
            target = re.search(r"^#?(0x[0-9a-f]+)$", operands)
            if target is not None:
                calls[int(target.group(1), 16)] = None
        else:
            numbers.note(mnemonic, operands)
    # A run of padding is no block; behind it there may be one (aligned targets that only a table names).
    starts = {start for start in starts if start < end and start not in padding}
    ordered = tuple(sorted(starts))
    return Blocks(
        starts=ordered,
        branches=tuple(branches),
        end=end,
        comparisons=tuple(comparisons),
        calls=tuple(calls),
        reached=_reached(ordered, jumps) if is_known else (1 << len(ordered)) - 1,
        hints=numbers.hints(),
    )


@dataclass(slots=True)
class _Numbers:
    """What operands tell about inputs that matter, in the order of the code."""

    constants: dict[int, None] = field(default_factory=dict[int, None])
    offsets: dict[int, None] = field(default_factory=dict[int, None])
    uses_floats: bool = False

    def note(self, mnemonic: str, operands: str) -> None:
        """Take in one instruction, no jump or call."""
        found = _NUMBER.search(operands)
        if found is not None and mnemonic.rstrip("bwlq") in _COMPARISONS | {"ccmp", "cmn", "subs", "movz"}:
            value = int(found.group(1), 0)
            self.constants[value - (1 << 64) if value >> 63 else value] = None
        if mnemonic == "lea":
            shift = _DISPLACEMENT.search(operands)
            if shift is not None:
                self.constants[int(shift.group(1) + shift.group(2), 0)] = None
        for one, other in _OFFSET.findall(operands):
            self.offsets[int(one or other or "0", 0)] = None
        self.uses_floats = self.uses_floats or "xmm" in operands or operands.startswith(("d", "s", "v"))

    def hints(self) -> Hints:
        """The first of them."""
        return Hints(
            constants=tuple(self.constants)[:MAX_HINTS],
            offsets=tuple(offset for offset in self.offsets if offset < 2048)[:MAX_HINTS],
            uses_floats=self.uses_floats,
        )


def _reached(starts: tuple[int, ...], jumps: Mapping[int, tuple[int | None, bool]]) -> int:
    """A bit for each block that is entered from the first one; `jumps` have their targets, and end blocks."""
    ends = {bisect_right(starts, at) - 1: jump for at, jump in jumps.items()}
    found, todo = 0, [0]
    while todo:
        block = todo.pop()
        if block >= len(starts) or found >> block & 1:
            continue
        found |= 1 << block
        target, falls = ends.get(block, (None, True))
        if falls:
            todo.append(block + 1)
        if target is not None and starts[0] <= target <= starts[-1]:
            todo.append(bisect_right(starts, target) - 1)
    return found
