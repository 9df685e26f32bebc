"""What instructions do that concern the processor: hints, traps, flags by themselves (Intel SDM volume 2)."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import Effect, binary, const, invert, reg
from irwright.lift.program import Instruction, Mem
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.table import Table

TABLE = Table()


@TABLE.enter("lahf", "sahf")
def flags_and_ah(m: Machine, i: Instruction) -> None:
    raise LiftError(f"{i.mnemonic} (flags as a number)")


@TABLE.enter("nop", "endbr64", "pause", "fnop")
def nothing(m: Machine, i: Instruction) -> None:
    if i.mnemonic == "pause":
        m.effects.append(Effect("intrinsic", aux="llvm.x86.sse2.pause"))


@TABLE.enter("cld")
def clear_direction(_m: Machine, _i: Instruction) -> None:
    """The direction flag is clear already: the calling convention says so."""


@TABLE.enter("ud2")
def trap(m: Machine, _i: Instruction) -> None:
    m.effects.append(Effect("trap"))


@TABLE.enter("clc", "stc", "cmc")
def carry_flag(m: Machine, i: Instruction) -> None:
    old = reg("i1", "cc.b")
    value = {"clc": const("i1", 0), "stc": const("i1", 1), "cmc": invert(old)}[i.mnemonic]
    m.set("cc.b", value)
    m.set("cc.a", invert(binary("or", value, reg("i1", "cc.e"))))


@TABLE.enter("cpuid")
def cpuid(m: Machine, _i: Instruction) -> None:
    raise LiftError("cpuid")


@TABLE.enter("ldmxcsr", "stmxcsr")
def control(_m: Machine, i: Instruction) -> None:
    raise LiftError(f"{i.mnemonic} (the rounding mode)")


@TABLE.enter("prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2", "prefetchw")
def prefetch(m: Machine, i: Instruction) -> None:
    op = i.operands[0]
    assert isinstance(op, Mem)
    level = {
        "prefetchnta": (0, 0),
        "prefetcht2": (0, 1),
        "prefetcht1": (0, 2),
        "prefetcht0": (0, 3),
        "prefetchw": (1, 3),
    }
    m.effects.append(Effect("prefetch", addr=m.address(op), aux=level[i.mnemonic]))
