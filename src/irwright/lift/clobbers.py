"""Which registers the functions of a file change: gcc keeps values across calls in those that a callee leaves alone.

clang does not, unless asked; its files say who made them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from irwright.lift.blocks import CALLER_SAVED, Call
from irwright.lift.program import Code, Imm, Instruction, Program, Reg

ALL = frozenset(CALLER_SAVED)
_READ_ONLY = frozenset(
    ["cmp", "test", "push", "bt", "ucomiss", "ucomisd", "comiss", "comisd", "nop", "jmp", "prefetcht0"]
)
_WHOLE = {
    "mul": ("rax", "rdx"),
    "imul": ("rax", "rdx"),
    "div": ("rax", "rdx"),
    "idiv": ("rax", "rdx"),
    "cdq": ("rdx",),
    "cqo": ("rdx",),
    "cwd": ("rdx",),
    "cdqe": ("rax",),
    "cwde": ("rax",),
    "cbw": ("rax",),
    "cmpxchg": ("rax",),
    "cmpxchg8b": ("rax", "rdx"),
    "cmpxchg16b": ("rax", "rdx"),
    "fnstsw": ("rax",),
    "cpuid": ("rax", "rcx", "rdx"),
    "rdtsc": ("rax", "rdx"),
    "rdtscp": ("rax", "rcx", "rdx"),
    "xgetbv": ("rax", "rdx"),
    "syscall": ("rax", "rcx", "r11"),
}
_STRINGS = {
    "movs": ("rsi", "rdi"),
    "stos": ("rdi",),
    "lods": ("rax", "rsi"),
    "scas": ("rdi",),
    "cmps": ("rsi", "rdi"),
}
_SAFE = frozenset(["ret", "leave", "nop", "endbr64", "mfence", "pause", "ud2", "fnop"])


@dataclass(frozen=True, slots=True)
class Clobbers:
    """What the functions of a file change."""

    registers: dict[str, frozenset[str]]
    """caller-saved registers by function"""
    unsure: frozenset[str]
    """functions of which that is everything only because not all of their code is understood"""


def find_clobbers(
    codes: dict[str, Code], callee: Callable[[Code, Instruction], str | None], understood: Collection[str]
) -> Clobbers:
    """Caller-saved registers by function; `callee` names the function of the file that a call or jump goes to.

    A jump inside a function has itself as the callee. Jumps through tables are known in those that are understood.
    """
    own: dict[str, frozenset[str]] = {}
    calls: dict[str, set[str]] = {}
    unsure: set[str] = set()
    for name, code in codes.items():
        written: set[str] = set()
        calls[name] = set()
        for insn in code.instructions:
            if insn.mnemonic == "call" or insn.mnemonic[0] == "j":
                target = callee(code, insn)
                if target is None:
                    written = set(ALL)
                    if insn.mnemonic != "call" and not isinstance(insn.operands[0], Imm) and name not in understood:
                        unsure.add(name)  # a jump through a table, perhaps
                    break
                calls[name].add(target)
            else:
                found = _written(insn)
                if len(found) == len(ALL):
                    unsure.add(name)
                written |= found
        own[name] = frozenset(written & ALL) if code.instructions and not code.problem else ALL
        if code.problem or not code.instructions:
            unsure.add(name)
    plain = {name: frozenset[str]() if name in unsure else registers for name, registers in own.items()}
    _spread(own, calls)
    _spread(plain, calls)
    return Clobbers(own, frozenset(name for name in own if plain[name] != own[name]))


def _spread(own: dict[str, frozenset[str]], calls: dict[str, set[str]]) -> None:
    """Add what callees change."""
    while True:
        changed = False
        for name, callees in calls.items():
            whole = own[name].union(*[own[one] for one in callees])
            changed |= whole != own[name]
            own[name] = whole
        if not changed:
            return


def may_keep_registers(program: Program) -> bool:
    """True unless clang says that it made this file."""
    return "clang version" not in program.producer


def counted_on(
    codes: dict[str, Code],
    clobbers: dict[str, frozenset[str]],
    callee: Callable[[Code, Instruction], str | None],
    kept: Iterable[str],
) -> dict[str, str]:
    """Functions that must stay machine code because those kept may count on what they leave alone, with the reason."""
    known = set(kept)
    found: dict[str, str] = {}
    todo = list(known)
    while todo:
        caller = todo.pop()
        calls = [i for i in codes[caller].instructions if i.mnemonic == "call" and isinstance(i.operands[0], Imm)]
        called = {callee(codes[caller], insn) for insn in calls}
        if codes[caller].problem:  # not all of it is decoded
            called = set(codes)
        for name in sorted(name for name in called if name is not None and name not in known):
            if clobbers[name] != ALL:
                found[name] = f"{caller} stays machine code and may count on what this leaves alone"
                known.add(name)
                todo.append(name)
    return found


def _written(insn: Instruction) -> set[str]:
    """Registers an instruction may write; all of them where that is not plain to see."""
    word = insn.mnemonic
    if word in _SAFE:
        return set()
    if not insn.operands and word not in _WHOLE:
        return set(ALL)
    is_string = word[:4] in _STRINGS and word[4:] in ("b", "w", "d", "q")
    if is_string and not any(isinstance(op, Reg) and op.name.startswith("xmm") for op in insn.operands):
        return set(_STRINGS[word[:4]]) | ({"rcx"} if insn.prefix else set())
    found = set(_WHOLE.get(word, ()))
    if word in _READ_ONLY:
        return found
    named = [op.name for op in insn.operands[:1] if isinstance(op, Reg)]
    if word in ("xchg", "xadd"):
        named = [op.name for op in insn.operands if isinstance(op, Reg)]
    return found.union(named)


def apply_clobbers(calls: list[Call], clobbers: Clobbers) -> None:
    """Note at calls of the file's own functions what these leave alone."""
    for call in calls:
        if call.name in clobbers.registers:
            call.is_own = True
            call.clobbered = clobbers.registers[call.name] if not call.is_tail else ALL
            call.is_unsure = call.name in clobbers.unsure
