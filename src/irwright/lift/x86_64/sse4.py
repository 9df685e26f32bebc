"""What SSE3, SSSE3, SSE4.1 and SSE4.2 instructions do (Intel SDM volume 2).

Generic IR where there is some, LLVM's x86 intrinsics else. `FEATURES` says what a processor needs for a mnemonic, so
that what is lifted is compiled for the processor it was compiled for.
"""

from __future__ import annotations

from irwright.lift.expressions import E, binary, bits, cast, const, element, icmp, invert
from irwright.lift.program import Imm, Instruction, Mem, Reg
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.table import Table
from irwright.lift.x86_64.vectors import (
    LANES,
    PACKED,
    WHOLE,
    lane,
    low,
    packed,
    shuffle,
    splat,
    type_suffix,
    xmm_target,
)

TABLE = Table()

_EXTENSIONS = ("bw", "bd", "bq", "wd", "wq", "dq")
_BOUNDS = tuple(f"p{kind}{part}" for kind in ("min", "max") for part in ("sb", "uw", "sd", "ud"))
_SSE3 = ("haddps", "haddpd", "hsubps", "hsubpd", "addsubps", "addsubpd", "movddup", "movshdup", "movsldup")
_SSSE3 = (
    *("pshufb", "palignr", "pabsb", "pabsw", "pabsd", "pmaddubsw", "pmulhrsw", "psignb", "psignw", "psignd"),
    *("phaddw", "phaddd", "phsubw", "phsubd", "phaddsw", "phsubsw"),
)
_SSE41 = (
    *("pmulld", "pmuldq", "packusdw", "pcmpeqq", "ptest", "blendvps", "blendvpd", "pblendvb", "pblendw"),
    *("blendps", "blendpd", "roundss", "roundsd", "roundps", "roundpd", "insertps", "extractps"),
    *(f"p{way}{width}" for way in ("insr", "extr") for width in "bdq"),
    *(f"pmov{sign}x{widths}" for sign in "sz" for widths in _EXTENSIONS),
    *_BOUNDS,
)
FEATURES = (
    dict.fromkeys(_SSE3, "sse3")
    | dict.fromkeys(_SSSE3, "ssse3")
    | dict.fromkeys(_SSE41, "sse4.1")
    | {"pcmpgtq": "sse4.2", "crc32": "crc32", "popcnt": "popcnt"}
)
"""what the processor needs, by mnemonic"""


def _both(m: Machine, i: Instruction, ty: str) -> tuple[E, E]:
    return low(m, i.operands[0], ty), packed(m, i.operands[1], ty)


def _number(i: Instruction, at: int = 2) -> int:
    number = i.operands[at]
    assert isinstance(number, Imm)
    return number.value & 0xFF


# SSE3


@TABLE.enter("haddps", "haddpd", "hsubps", "hsubpd")
def horizontal(m: Machine, i: Instruction) -> None:
    ty = PACKED[i.mnemonic[-2:]]
    a, b = _both(m, i, ty)
    count = bits(ty) // bits(element(ty))
    even, odd = (shuffle(ty, a, b, list(range(start, 2 * count, 2))) for start in (0, 1))
    m.set(xmm_target(i), binary("fadd" if "add" in i.mnemonic else "fsub", even, odd))


@TABLE.enter("addsubps", "addsubpd")
def add_and_subtract(m: Machine, i: Instruction) -> None:
    ty = PACKED[i.mnemonic[-2:]]
    a, b = _both(m, i, ty)
    count = bits(ty) // bits(element(ty))
    lanes = [k if k % 2 == 0 else count + k for k in range(count)]
    m.set(xmm_target(i), shuffle(ty, binary("fsub", a, b), binary("fadd", a, b), lanes))


@TABLE.enter("movddup", "movshdup", "movsldup")
def duplicate(m: Machine, i: Instruction) -> None:
    if i.mnemonic == "movddup":
        one = low(m, i.operands[1], "double")
        whole = E("insertelement", PACKED["pd"], (E("poison", PACKED["pd"]), one), 0)
        m.set(xmm_target(i), shuffle(PACKED["pd"], whole, whole, [0, 0]))
        return
    a = packed(m, i.operands[1], PACKED["ps"])
    m.set(xmm_target(i), shuffle(a.ty, a, a, [1, 1, 3, 3] if i.mnemonic == "movshdup" else [0, 0, 2, 2]))


# SSSE3


@TABLE.enter("pabsb", "pabsw", "pabsd")
def absolute(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1]]
    a = packed(m, i.operands[1], ty)
    m.set(xmm_target(i), E("call", ty, (a, binary("sub", splat(ty, 0), a)), f"llvm.umin.{type_suffix(ty)}"))


@TABLE.enter("palignr")
def align(m: Machine, i: Instruction) -> None:
    high, low_ = _both(m, i, LANES["b"])
    by = _number(i)
    if by >= 32:
        m.set(xmm_target(i), splat(WHOLE, 0))
    elif by <= 16:
        m.set(xmm_target(i), shuffle(LANES["b"], low_, high, [k + by for k in range(16)]))
    else:
        zero = splat(LANES["b"], 0)
        m.set(xmm_target(i), shuffle(LANES["b"], high, zero, [min(k + by - 16, 16) for k in range(16)]))


_INTRINSICS = {
    "pshufb": ("ssse3.pshuf.b.128", "b", "b"),
    "pmaddubsw": ("ssse3.pmadd.ub.sw.128", "b", "w"),
    "pmulhrsw": ("ssse3.pmul.hr.sw.128", "w", "w"),
    "psignb": ("ssse3.psign.b.128", "b", "b"),
    "psignw": ("ssse3.psign.w.128", "w", "w"),
    "psignd": ("ssse3.psign.d.128", "d", "d"),
    "phaddw": ("ssse3.phadd.w.128", "w", "w"),
    "phaddd": ("ssse3.phadd.d.128", "d", "d"),
    "phsubw": ("ssse3.phsub.w.128", "w", "w"),
    "phsubd": ("ssse3.phsub.d.128", "d", "d"),
    "phaddsw": ("ssse3.phadd.sw.128", "w", "w"),
    "phsubsw": ("ssse3.phsub.sw.128", "w", "w"),
    "packusdw": ("sse41.packusdw", "d", "w"),
}


def _by_intrinsic(m: Machine, i: Instruction) -> None:
    name, source, target = _INTRINSICS[i.mnemonic]
    m.set(xmm_target(i), E("call", LANES[target], _both(m, i, LANES[source]), f"llvm.x86.{name}"))


TABLE.update(dict.fromkeys(_INTRINSICS, _by_intrinsic))


# SSE4.1


@TABLE.enter("pmulld", "pmuldq")
def multiply(m: Machine, i: Instruction) -> None:
    if i.mnemonic == "pmulld":
        m.set(xmm_target(i), binary("mul", *_both(m, i, LANES["d"])))
        return
    a, b = (binary("ashr", binary("shl", v, splat(WHOLE, 32)), splat(WHOLE, 32)) for v in _both(m, i, WHOLE))
    m.set(xmm_target(i), binary("mul", a, b))


def _bound(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1]]
    m.set(xmm_target(i), E("call", ty, _both(m, i, ty), f"llvm.{i.mnemonic[4]}{i.mnemonic[1:4]}.{type_suffix(ty)}"))


TABLE.update(dict.fromkeys(_BOUNDS, _bound))


@TABLE.enter("pcmpeqq", "pcmpgtq")
def compare(m: Machine, i: Instruction) -> None:
    a, b = _both(m, i, WHOLE)
    test = E("icmp eq" if i.mnemonic == "pcmpeqq" else "icmp sgt", "<2 x i1>", (a, b))
    m.set(xmm_target(i), E("sext", WHOLE, (test,)))


@TABLE.enter("ptest")
def test(m: Machine, i: Instruction) -> None:
    a, b = (E("bitcast", "i128", (v,)) for v in _both(m, i, WHOLE))
    zero = const("i128", 0)
    both, rest = binary("and", a, b), binary("and", binary("xor", a, const("i128", -1)), b)
    none, false = icmp("eq", both, zero), const("i1", 0)
    covered = icmp("eq", rest, zero)
    m.flags(e=none, b=covered, a=binary("and", invert(none), invert(covered)), o=false, s=false, p=false, l=false)


def _extend(m: Machine, i: Instruction) -> None:
    source, target = LANES[i.mnemonic[-2]], LANES[i.mnemonic[-1]]
    count = bits(target) // bits(element(target))
    ty = f"<{count} x {element(source)}>"
    if isinstance(i.operands[1], Mem):
        part = low(m, i.operands[1], ty)
    else:
        whole = low(m, i.operands[1], source)
        part = shuffle(ty, whole, whole, list(range(count)))
    m.set(xmm_target(i), E("sext" if i.mnemonic[4] == "s" else "zext", target, (part,)))


for _sign in "sz":
    for _widths in _EXTENSIONS:
        TABLE[f"pmov{_sign}x{_widths}"] = _extend


@TABLE.enter("pinsrb", "pinsrd", "pinsrq")
def insert(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1]]
    source, one = i.operands[1], element(ty)
    if isinstance(source, Reg):
        value = m.register(source.name, bits(one))
    else:
        assert isinstance(source, Mem)
        value = E("load", one, (m.address(source),), 1)
    at = _number(i) & (bits(ty) // bits(one) - 1)
    m.set(xmm_target(i), E("insertelement", ty, (low(m, i.operands[0], ty), value), at))


@TABLE.enter("pextrb", "pextrd", "pextrq", "extractps")
def extract(m: Machine, i: Instruction) -> None:
    ty = LANES["d" if i.mnemonic == "extractps" else i.mnemonic[-1]]
    value = lane(low(m, i.operands[1], ty), _number(i) & (bits(ty) // bits(element(ty)) - 1))
    target = i.operands[0]
    if isinstance(target, Mem):
        m.store(m.address(target), value)
    else:
        assert isinstance(target, Reg)
        m.set(target.name, value if bits(value.ty) >= 32 else cast("zext", "i32", value))


_ROUNDINGS = {0: "roundeven", 1: "floor", 2: "ceil", 3: "trunc"}


@TABLE.enter("roundss", "roundsd", "roundps", "roundpd")
def to_whole(m: Machine, i: Instruction) -> None:
    how, kind = _number(i), i.mnemonic[-2:]
    name = _ROUNDINGS[how & 3] if not how & 4 else "nearbyint" if how & 8 else "rint"
    is_scalar = kind in ("ss", "sd")
    ty = {"ss": "float", "sd": "double"}.get(kind) or PACKED[kind]
    value = low(m, i.operands[1], ty) if is_scalar else packed(m, i.operands[1], ty)
    suffix = {"ss": "f32", "sd": "f64"}.get(kind) or type_suffix(ty)
    m.set(xmm_target(i), E("call", ty, (value,), f"llvm.{name}.{suffix}"), partial=is_scalar)


@TABLE.enter("pblendw", "blendps", "blendpd")
def blend(m: Machine, i: Instruction) -> None:
    ty = LANES["w"] if i.mnemonic == "pblendw" else PACKED[i.mnemonic[-2:]]
    count = bits(ty) // bits(element(ty))
    number = _number(i)
    m.set(xmm_target(i), shuffle(ty, *_both(m, i, ty), [k + count * (number >> k & 1) for k in range(count)]))


@TABLE.enter("blendvps", "blendvpd", "pblendvb")
def blend_by_signs(m: Machine, i: Instruction) -> None:
    ty = LANES[{"ps": "d", "pd": "q"}.get(i.mnemonic[-2:], "b")]
    mask = low(m, Reg("xmm0", 128), ty)
    a, b = _both(m, i, ty)
    negative = E("icmp slt", f"<{bits(ty) // bits(element(ty))} x i1>", (mask, splat(ty, 0)))
    m.set(xmm_target(i), E("select", ty, (negative, b, a)))


@TABLE.enter("insertps")
def insert_lane(m: Machine, i: Instruction) -> None:
    number = _number(i)
    a, ty = low(m, i.operands[0], PACKED["ps"]), PACKED["ps"]
    if isinstance(i.operands[1], Mem):
        value = low(m, i.operands[1], "float")
    else:
        value = lane(low(m, i.operands[1], ty), number >> 6)
    whole = E("insertelement", ty, (a, value), number >> 4 & 3)
    zero = E("const", ty, (), (0, 0, 0, 0))
    m.set(xmm_target(i), shuffle(ty, whole, zero, [4 + k if number >> k & 1 else k for k in range(4)]))


@TABLE.enter("crc32")
def checksum(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    assert isinstance(target, Reg)
    width = 64 if target.width == 64 else 32
    value = m.read(source)
    name = f"llvm.x86.sse42.crc32.{width}.{bits(value.ty)}"
    m.set(target.name, E("call", f"i{width}", (m.register(target.name, width), value), name))
