"""What instructions do that move and widen integers, by a condition or not (Intel SDM volume 2)."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import E, binary, cast, const, reg, resize, select
from irwright.lift.program import Imm, Instruction, Mem, Reg
from irwright.lift.x86_64.machine import CONDITION_CODES, Machine
from irwright.lift.x86_64.table import Table

TABLE = Table()


@TABLE.enter("mov", "movabs")
def mov(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    width = target.width
    if not isinstance(source, Imm) and source.width != width:
        raise LiftError("mov of two widths")
    if isinstance(source, Imm) and source.ref is not None and isinstance(target, Reg) and width == 32:
        # Code for low addresses, where this is how an address is loaded: the whole of it, wherever it will lie.
        target, width = Reg(target.name, 64), 64
    m.write(target, m.read(source, f"i{width}"))


@TABLE.enter("movzx", "movsx", "movsxd")
def extend(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    m.write(target, resize(m.read(source), f"i{target.width}", signed=i.mnemonic != "movzx"))


@TABLE.enter("lea")
def lea(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    assert isinstance(source, Mem)
    if source.segment:
        raise LiftError("lea with a segment")
    address = m.address(source)
    if address.op == "addr":
        address = E("addr", "i64", address.args, address.aux)
    m.write(target, resize(address, f"i{target.width}"))


@TABLE.enter("cbw", "cwde", "cdqe")
def widen(m: Machine, i: Instruction) -> None:
    half, whole = {"cbw": (8, 16), "cwde": (16, 32), "cdqe": (32, 64)}[i.mnemonic]
    m.set("rax", cast("sext", f"i{whole}", m.register("rax", half)), partial=whole == 16)


@TABLE.enter("cwd", "cdq", "cqo")
def spread(m: Machine, i: Instruction) -> None:
    width = {"cwd": 16, "cdq": 32, "cqo": 64}[i.mnemonic]
    a = m.register("rax", width)
    m.set("rdx", binary("ashr", a, const(a.ty, width - 1)), partial=width == 16)


@TABLE.enter("movnti")
def store_past_caches(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], m.read(i.operands[1]))


def _set_condition(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], cast("zext", "i8", m.condition(i.mnemonic[3:])))


def _move_condition(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    name, inverted = CONDITION_CODES[i.mnemonic[4:]]
    moved, kept = m.read(source), m.read(target)
    m.write(target, select(reg("i1", f"cc.{name}"), *((kept, moved) if inverted else (moved, kept))))


for _code in CONDITION_CODES:
    TABLE[f"set{_code}"] = _set_condition
    TABLE[f"cmov{_code}"] = _move_condition
