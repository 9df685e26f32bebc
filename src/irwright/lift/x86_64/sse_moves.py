"""What SSE and SSE2 instructions do that move, pick and interleave lanes (Intel SDM volume 2)."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import E, bits, cast, element
from irwright.lift.program import Imm, Instruction, Mem, Reg
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.strings import string_step
from irwright.lift.x86_64.table import Table
from irwright.lift.x86_64.vectors import LANES, PACKED, SCALAR, WHOLE, lane, low, packed, shuffle, splat, xmm_target

TABLE = Table()


# Moves


@TABLE.enter("movss", "movsd")
def move_scalar(m: Machine, i: Instruction) -> None:
    if not any(isinstance(op, Reg) and op.name.startswith("xmm") for op in i.operands):
        string_step(m, i)  # the string instruction of the same name
        return
    ty = SCALAR[i.mnemonic[3:]]
    target, source = i.operands
    if isinstance(target, Mem):
        m.store(m.address(target), low(m, source, ty))
    else:
        m.set(xmm_target(i), low(m, source, ty), partial=isinstance(source, Reg))


@TABLE.enter("movaps", "movapd", "movdqa", "movups", "movupd", "movdqu", "movntps", "movntdq", "movntpd", "lddqu")
def move_packed(m: Machine, i: Instruction) -> None:
    ty = {"s": "<4 x float>", "d": "<2 x double>"}[i.mnemonic[-1]] if i.mnemonic[-2] == "p" else WHOLE
    align = 1 if "u" in i.mnemonic else 16
    target, source = i.operands
    if isinstance(target, Mem):
        m.store(m.address(target), low(m, source, ty), align)
    elif isinstance(source, Mem):
        m.set(xmm_target(i), E("load", ty, (m.address(source),), align))
    else:
        m.set(xmm_target(i), low(m, source, WHOLE))


@TABLE.enter("movd", "movq")
def move_integer(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    ty = "i32" if i.mnemonic == "movd" else "i64"
    if isinstance(target, Reg) and isinstance(source, Reg):
        # `movd` with a 64-bit register is capstone's name for one form of movq.
        general = source if target.name.startswith("xmm") else target
        if not general.name.startswith("xmm"):
            ty = f"i{general.width}"
    if isinstance(target, Mem):
        m.store(m.address(target), low(m, source, ty))
    elif target.name.startswith("xmm") if isinstance(target, Reg) else False:
        if isinstance(source, Reg) and not source.name.startswith("xmm"):
            m.set(xmm_target(i), m.register(source.name, bits(ty)))
        else:
            m.set(xmm_target(i), low(m, source, ty))
    else:
        m.write(target, low(m, source, ty))


@TABLE.enter("movhps", "movhpd", "movlps", "movlpd")
def move_half(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    at = 1 if i.mnemonic[3] == "h" else 0
    if isinstance(target, Mem):
        m.store(m.address(target), lane(low(m, source, "<2 x double>"), at))
        return
    loaded = low(m, source, "double")
    if at == 0:
        m.set(xmm_target(i), loaded, partial=True)
        return
    m.set(xmm_target(i), E("insertelement", "<2 x double>", (low(m, target, "<2 x double>"), loaded), 1))


@TABLE.enter("movhlps", "movlhps")
def move_across(m: Machine, i: Instruction) -> None:
    a, b = (low(m, op, "<2 x double>") for op in i.operands)
    if i.mnemonic == "movlhps":
        m.set(xmm_target(i), shuffle(a.ty, a, b, [0, 2]))
    else:
        m.set(xmm_target(i), lane(b, 1), partial=True)


@TABLE.enter("movmskps", "movmskpd", "pmovmskb")
def move_mask(m: Machine, i: Instruction) -> None:
    ty = {"movmskps": "<4 x i32>", "movmskpd": "<2 x i64>", "pmovmskb": "<16 x i8>"}[i.mnemonic]
    count = bits(ty) // bits(element(ty))
    negative = E("icmp slt", f"<{count} x i1>", (low(m, i.operands[1], ty), splat(ty, 0)))
    mask = E("bitcast", f"i{count}", (negative,))
    target = i.operands[0]
    assert isinstance(target, Reg)
    m.set(target.name, cast("zext", "i32", mask))


@TABLE.enter("pshufd", "pshuflw", "pshufhw", "shufps", "shufpd")
def shuffle_lanes(m: Machine, i: Instruction) -> None:
    last = i.operands[2]
    assert isinstance(last, Imm)
    order = last.value & 0xFF
    picks = [order >> (2 * k) & 3 for k in range(4)]
    if i.mnemonic == "pshufd":
        a = packed(m, i.operands[1], LANES["d"])
        m.set(xmm_target(i), shuffle(a.ty, a, a, picks))
    elif i.mnemonic in ("pshuflw", "pshufhw"):
        a = packed(m, i.operands[1], LANES["w"])
        lanes = [*picks, 4, 5, 6, 7] if i.mnemonic == "pshuflw" else [0, 1, 2, 3, *[4 + p for p in picks]]
        m.set(xmm_target(i), shuffle(a.ty, a, a, lanes))
    elif i.mnemonic == "shufps":
        a, b = low(m, i.operands[0], PACKED["ps"]), packed(m, i.operands[1], PACKED["ps"])
        m.set(xmm_target(i), shuffle(a.ty, a, b, [picks[0], picks[1], 4 + picks[2], 4 + picks[3]]))
    else:
        a, b = low(m, i.operands[0], PACKED["pd"]), packed(m, i.operands[1], PACKED["pd"])
        m.set(xmm_target(i), shuffle(a.ty, a, b, [order & 1, 2 + (order >> 1 & 1)]))


_UNPACK = {"bw": "b", "wd": "w", "dq": "d", "qdq": "q", "ps": "ps", "pd": "pd"}


def _unpack(m: Machine, i: Instruction) -> None:
    kind = i.mnemonic.removeprefix("p").removeprefix("unpck")
    half, kind = kind[0], kind[1:]
    ty = PACKED.get(kind) or LANES[_UNPACK[kind]]
    count = bits(ty) // bits(element(ty))
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    start = 0 if half == "l" else count // 2
    lanes = [lane for k in range(count // 2) for lane in (start + k, count + start + k)]
    m.set(xmm_target(i), shuffle(ty, a, b, lanes))


for _half in "lh":
    for _kind in ("bw", "wd", "dq", "qdq"):
        TABLE[f"punpck{_half}{_kind}"] = _unpack
    for _kind in ("ps", "pd"):
        TABLE[f"unpck{_half}{_kind}"] = _unpack


@TABLE.enter("packsswb", "packssdw", "packuswb")
def pack(m: Machine, i: Instruction) -> None:
    source = LANES["d" if i.mnemonic.endswith("dw") else "w"]
    target = LANES["w" if i.mnemonic.endswith("dw") else "b"]
    a, b = low(m, i.operands[0], source), packed(m, i.operands[1], source)
    m.set(xmm_target(i), E("call", target, (a, b), f"llvm.x86.sse2.{i.mnemonic}.128"))


@TABLE.enter("pinsrw", "pextrw")
def word_lane(m: Machine, i: Instruction) -> None:
    last = i.operands[2]
    assert isinstance(last, Imm)
    at = last.value & 7
    if i.mnemonic == "pinsrw":
        source = i.operands[1]
        if isinstance(source, Reg):
            value = m.register(source.name, 16)
        else:
            assert isinstance(source, Mem)
            value = E("load", "i16", (m.address(source),), 1)
        m.set(xmm_target(i), E("insertelement", LANES["w"], (low(m, i.operands[0], LANES["w"]), value), at))
        return
    value = cast("zext", "i32", lane(low(m, i.operands[1], LANES["w"]), at))
    target = i.operands[0]
    if not isinstance(target, Reg):
        raise LiftError("pextrw to memory")
    m.set(target.name, value)
