"""What string instructions do, repeated ones too (Intel SDM volume 2); the direction flag is clear by convention."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import CC_UNITS, Address, E, Effect, binary, const, icmp, reg, select
from irwright.lift.program import Instruction
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.table import Table

TABLE = Table()


def string_compare(m: Machine, i: Instruction) -> None:
    """scas, cmps, and their repeated forms; repeated no times, they leave the conditions as they were."""
    kind = i.mnemonic[:4]
    width = {"b": 8, "w": 16, "d": 32, "q": 64}[i.mnemonic[4]]
    ty, size = f"i{width}", const("i64", width // 8)
    target, source = m.register("rdi", 64), m.register("rsi", 64)
    to, from_ = (r if r.op == "frame" else E("addr", "ptr", (r, None), Address()) for r in (target, source))
    first = m.register("rax", width) if kind == "scas" else E("load", ty, (from_,), 1)
    if not i.prefix:
        m.flags_sub(first, E("load", ty, (to,), 1))
        length = size
    else:
        count = m.register("rcx", 64)
        value = first if kind == "scas" else from_
        m.effects.append(Effect("string", value=value, addr=to, aux=(kind, width, count, i.prefix == "rep")))
        done = E("fixed", "i64", (), "scan.done")
        before = {unit[3:]: reg("i1", unit) for unit in CC_UNITS}
        start = len(m.effects)
        m.flags_sub(E("fixed", ty, (), "scan.a"), E("fixed", ty, (), "scan.b"))
        for effect in m.effects[start:]:
            assert effect.value is not None
            effect.value = select(icmp("ne", done, const("i64", 0)), effect.value, before[effect.unit[3:]])
        m.set("rcx", binary("sub", count, done))
        length = binary("mul", done, size)
    m.set("rdi", binary("add", target, length))
    if kind == "cmps":
        m.set("rsi", binary("add", source, length))


for _kind in ("scas", "cmps"):
    for _letter in "bwdq":
        TABLE[f"{_kind}{_letter}"] = string_compare


def string_step(m: Machine, i: Instruction) -> None:
    """movs, stos, lods, and their repeated forms; the direction flag is clear by convention."""
    kind = i.mnemonic[:4]
    width = {"b": 8, "w": 16, "d": 32, "q": 64}[i.mnemonic[4]]
    size = const("i64", width // 8)
    target, source = m.register("rdi", 64), m.register("rsi", 64)
    to = target if target.op == "frame" else E("addr", "ptr", (target, None), Address())
    from_ = source if source.op == "frame" else E("addr", "ptr", (source, None), Address())
    if i.prefix == "rep" and kind in ("movs", "stos"):
        count = m.register("rcx", 64)
        length = binary("mul", count, size)
        value = from_ if kind == "movs" else m.register("rax", width)
        m.effects.append(Effect("string", value=value, addr=to, aux=(kind, width, count)))
        m.set("rcx", const("i64", 0))
        m.set("rdi", binary("add", target, length))
        if kind == "movs":
            m.set("rsi", binary("add", source, length))
        return
    if i.prefix:
        raise LiftError(f"{i.prefix} {i.mnemonic}")
    if kind == "lods":
        m.set("rax", E("load", f"i{width}", (from_,), 1), partial=width < 32)
    else:
        value = E("load", f"i{width}", (from_,), 1) if kind == "movs" else m.register("rax", width)
        m.store(to, value)
        m.set("rdi", binary("add", target, size))
    if kind != "stos":
        m.set("rsi", binary("add", source, size))


for _kind in ("movs", "stos", "lods"):
    for _letter in "bwdq":
        TABLE[f"{_kind}{_letter}"] = string_step
