"""What exchanges and fences do (Intel SDM volume 2); locked arithmetic is in arithmetic.py."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import E, Effect, binary, bits, cast, const, icmp, select
from irwright.lift.program import Instruction, Mem, Reg
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.table import Table

TABLE = Table()


@TABLE.enter("xchg")
def xchg(m: Machine, i: Instruction) -> None:
    a, b = i.operands
    memory, other = (a, b) if isinstance(a, Mem) else (b, a)
    if isinstance(memory, Mem):
        value = m.read(other)
        m.effects.append(Effect("atomic", value=value, addr=m.address(memory), aux="xchg"))
        m.write(other, E("fixed", value.ty, (), "atomic"))
        return
    assert isinstance(a, Reg) and isinstance(b, Reg)
    if a.name == b.name and a.width == 8:  # `xchg al, ah`: one write, as the two would be of the same unit
        if a.high != b.high:
            whole = m.register(a.name, 16)
            eight = const("i16", 8)
            m.set(a.name, binary("or", binary("shl", whole, eight), binary("lshr", whole, eight)), partial=True)
        return
    first, second = m.read(a), m.read(b)
    m.write(a, second)
    m.write(b, first)


@TABLE.enter("xadd")
def xadd(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    value = m.read(source)
    if not isinstance(target, Mem) or i.prefix != "lock":
        before = m.read(target)
        result = binary("add", before, value)
        m.write(source, before)
        m.write(target, result)
        m.flags_add(before, value, result)
        return
    old = E("fixed", value.ty, (), "atomic")
    m.effects.append(Effect("atomic", value=value, addr=m.address(target), aux="add"))
    m.write(source, old)
    m.flags_add(old, value, binary("add", old, value))


@TABLE.enter("cmpxchg")
def cmpxchg(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    value = m.read(source)
    width = bits(value.ty)
    expected = m.register("rax", width)
    if not isinstance(target, Mem):
        raise LiftError("cmpxchg of registers")
    if i.prefix != "lock":
        before = m.read(target)
        same = icmp("eq", expected, before)
        m.write(target, select(same, value, before))
        if width == 32:  # rax keeps its upper half where the two are equal
            whole = m.register("rax", 64)
            m.set("rax", select(same, whole, cast("zext", "i64", before)))
        else:
            m.set("rax", before, partial=width < 32)
        m.flags_sub(expected, before)
        return
    old = E("fixed", value.ty, (), "atomic")
    m.effects.append(Effect("cmpxchg", value=value, addr=m.address(target), aux=expected))
    m.set("rax", old, partial=width < 32)
    m.flags_sub(expected, old)


@TABLE.enter("mfence", "lfence", "sfence")
def fence(m: Machine, i: Instruction) -> None:
    if i.mnemonic != "mfence":
        m.effects.append(
            Effect("intrinsic", aux=f"llvm.x86.{'sse2' if i.mnemonic == 'lfence' else 'sse'}.{i.mnemonic}")
        )
        return
    m.effects.append(Effect("fence"))
