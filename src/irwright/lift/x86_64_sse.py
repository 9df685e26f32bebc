"""What SSE and SSE2 instructions do (Intel SDM volume 2): entries of the same table as x86_64.py.

A set of an xmm register that is narrower than 128 bits keeps the rest where it is `partial`, else clears it.
Conversions to integers use the x86 intrinsics: they are defined for values out of range, LLVM's fptosi is not.
"""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import (
    E,
    Effect,
    binary,
    bits,
    cast,
    const,
    element,
    fcmp,
    invert,
    reg,
)
from irwright.lift.program import Imm, Instruction, Mem, Operand, Reg
from irwright.lift.x86_64 import TABLE, Machine, instruction

SCALAR = {"ss": "float", "sd": "double"}
PACKED = {"ps": "<4 x float>", "pd": "<2 x double>"}
LANES = {"b": "<16 x i8>", "w": "<8 x i16>", "d": "<4 x i32>", "q": "<2 x i64>"}
WHOLE = "<2 x i64>"


def vector(ty: str, *values: int) -> E:
    """A constant vector of integers."""
    return E("const", ty, (), tuple(values))


def splat(ty: str, value: int) -> E:
    """A vector of one integer."""
    return vector(ty, *[value] * (bits(ty) // bits(element(ty))))


def shuffle(ty: str, a: E, b: E, lanes: list[int]) -> E:
    """LLVM's shufflevector."""
    return E("shufflevector", ty, (a, b), tuple(lanes))


def lane(a: E, index: int) -> E:
    """One lane of a vector."""
    return E("extractelement", element(a.ty), (a,), index)


def low(m: Machine, op: Operand, ty: str) -> E:
    """The low part of an xmm register, or memory of that width."""
    if isinstance(op, Reg):
        if not op.name.startswith("xmm"):
            raise LiftError("an MMX or other register")
        return reg(ty, op.name)
    assert isinstance(op, Mem)
    return E("load", ty, (m.address(op),), 1)


def packed(m: Machine, op: Operand, ty: str) -> E:
    """All 128 bits; legacy SSE wants memory operands aligned."""
    if isinstance(op, Reg):
        return low(m, op, ty)
    assert isinstance(op, Mem)
    return E("load", ty, (m.address(op),), 16)


def _target(i: Instruction) -> str:
    target = i.operands[0]
    if not isinstance(target, Reg) or not target.name.startswith("xmm"):
        raise LiftError("not an xmm register")
    return target.name


def _zero_idiom(m: Machine, i: Instruction) -> bool:
    if i.operands[0] == i.operands[1]:
        m.set(_target(i), splat(WHOLE, 0))
        return True
    return False


# Moves


@instruction("movss", "movsd")
def move_scalar(m: Machine, i: Instruction) -> None:
    if not any(isinstance(op, Reg) and op.name.startswith("xmm") for op in i.operands):
        TABLE["movsq"](m, i)  # the string instruction of the same name
        return
    ty = SCALAR[i.mnemonic[3:]]
    target, source = i.operands
    if isinstance(target, Mem):
        m.store(m.address(target), low(m, source, ty))
    else:
        m.set(_target(i), low(m, source, ty), partial=isinstance(source, Reg))


@instruction("movaps", "movapd", "movdqa", "movups", "movupd", "movdqu", "movntps", "movntdq", "movntpd", "lddqu")
def move_packed(m: Machine, i: Instruction) -> None:
    ty = {"s": "<4 x float>", "d": "<2 x double>"}[i.mnemonic[-1]] if i.mnemonic[-2] == "p" else WHOLE
    align = 1 if "u" in i.mnemonic else 16
    target, source = i.operands
    if isinstance(target, Mem):
        m.store(m.address(target), low(m, source, ty), align)
    elif isinstance(source, Mem):
        m.set(_target(i), E("load", ty, (m.address(source),), align))
    else:
        m.set(_target(i), low(m, source, WHOLE))


@instruction("movd", "movq")
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
            m.set(_target(i), m.register(source.name, bits(ty)))
        else:
            m.set(_target(i), low(m, source, ty))
    else:
        m.write(target, low(m, source, ty))


@instruction("movhps", "movhpd", "movlps", "movlpd")
def move_half(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    at = 1 if i.mnemonic[3] == "h" else 0
    if isinstance(target, Mem):
        m.store(m.address(target), lane(low(m, source, "<2 x double>"), at))
        return
    loaded = low(m, source, "double")
    if at == 0:
        m.set(_target(i), loaded, partial=True)
        return
    m.set(_target(i), E("insertelement", "<2 x double>", (low(m, target, "<2 x double>"), loaded), 1))


@instruction("movhlps", "movlhps")
def move_across(m: Machine, i: Instruction) -> None:
    a, b = (low(m, op, "<2 x double>") for op in i.operands)
    if i.mnemonic == "movlhps":
        m.set(_target(i), shuffle(a.ty, a, b, [0, 2]))
    else:
        m.set(_target(i), lane(b, 1), partial=True)


@instruction("movmskps", "movmskpd", "pmovmskb")
def move_mask(m: Machine, i: Instruction) -> None:
    ty = {"movmskps": "<4 x i32>", "movmskpd": "<2 x i64>", "pmovmskb": "<16 x i8>"}[i.mnemonic]
    count = bits(ty) // bits(element(ty))
    negative = E("icmp slt", f"<{count} x i1>", (low(m, i.operands[1], ty), splat(ty, 0)))
    mask = E("bitcast", f"i{count}", (negative,))
    target = i.operands[0]
    assert isinstance(target, Reg)
    m.set(target.name, cast("zext", "i32", mask))


# Arithmetic


def _scalar(m: Machine, i: Instruction) -> None:
    ty = SCALAR[i.mnemonic[-2:]]
    a, b = low(m, i.operands[0], ty), low(m, i.operands[1], ty)
    m.set(_target(i), _float_op(i.mnemonic[:-2], a, b), partial=True)


def _packed(m: Machine, i: Instruction) -> None:
    ty = PACKED[i.mnemonic[-2:]]
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    m.set(_target(i), _float_op(i.mnemonic[:-2], a, b))


def _float_op(op: str, a: E, b: E) -> E:
    if op in ("min", "max"):
        predicate = "olt" if op == "min" else "ogt"
        test = E(f"fcmp {predicate}", _mask_type(a.ty), (a, b))
        return E("select", a.ty, (test, a, b))
    if op == "sqrt":
        return E("call", a.ty, (b,), f"llvm.sqrt.{_suffix(a.ty)}")
    return binary(f"f{op}", a, b)


def _mask_type(ty: str) -> str:
    return "i1" if ty[0] != "<" else f"<{bits(ty) // bits(element(ty))} x i1>"


def _suffix(ty: str) -> str:
    name = {"float": "f32", "double": "f64"}.get(element(ty), element(ty))
    return name if ty[0] != "<" else f"v{bits(ty) // bits(element(ty))}{name}"


for _op in ("add", "sub", "mul", "div", "min", "max", "sqrt"):
    for _suffix_name in SCALAR:
        TABLE[_op + _suffix_name] = _scalar
    for _suffix_name in PACKED:
        TABLE[_op + _suffix_name] = _packed


@instruction("andps", "andpd", "orps", "orpd", "xorps", "xorpd", "pand", "por", "pxor", "andnps", "andnpd", "pandn")
def bitwise(m: Machine, i: Instruction) -> None:
    name = i.mnemonic.removeprefix("p").removesuffix("ps").removesuffix("pd")
    if name == "xor" and _zero_idiom(m, i):
        return
    a, b = low(m, i.operands[0], WHOLE), packed(m, i.operands[1], WHOLE)
    if name == "andn":
        a, name = binary("xor", a, splat(WHOLE, -1)), "and"
    m.set(_target(i), binary(name, a, b))


@instruction("ucomiss", "ucomisd", "comiss", "comisd")
def compare(m: Machine, i: Instruction) -> None:
    ty = SCALAR[i.mnemonic[-2:]]
    a, b = low(m, i.operands[0], ty), low(m, i.operands[1], ty)
    no = const("i1", 0)
    equal = fcmp("ueq", a, b)
    m.flags(o=no, b=fcmp("ult", a, b), e=equal, a=fcmp("ogt", a, b), s=no, p=fcmp("uno", a, b), l=no, g=invert(equal))


PREDICATES = ("oeq", "olt", "ole", "uno", "une", "uge", "ugt", "ord")
_PREDICATE_NAMES: dict[str, str] = dict(
    zip(("eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord"), PREDICATES, strict=True)
)


def _compare_mask(m: Machine, i: Instruction) -> None:
    if not any(isinstance(op, Reg) and op.name.startswith("xmm") for op in i.operands):
        TABLE["cmpsq"](m, i)  # the string instruction of the same name
        return
    kind = i.mnemonic[-2:]
    predicate = _PREDICATE_NAMES.get(i.mnemonic[3:-2])
    if predicate is None:
        number = i.operands[2]
        assert isinstance(number, Imm)
        predicate = PREDICATES[number.value & 7]
    ty = SCALAR.get(kind) or PACKED[kind]
    a = low(m, i.operands[0], ty)
    b = low(m, i.operands[1], ty) if kind in SCALAR else packed(m, i.operands[1], ty)
    test = E(f"fcmp {predicate}", _mask_type(ty), (a, b))
    integer = {"float": "i32", "double": "i64", "<4 x float>": "<4 x i32>", "<2 x double>": "<2 x i64>"}[ty]
    m.set(_target(i), E("sext", integer, (test,)), partial=kind in SCALAR)


for _kind in ("ss", "sd", "ps", "pd"):
    for _name in ("", *_PREDICATE_NAMES):
        TABLE[f"cmp{_name}{_kind}"] = _compare_mask


# Conversions


@instruction("cvtsi2ss", "cvtsi2sd")
def from_integer(m: Machine, i: Instruction) -> None:
    ty = SCALAR[i.mnemonic[-2:]]
    m.set(_target(i), E("sitofp", ty, (m.read(i.operands[1]),)), partial=True)


@instruction("cvttss2si", "cvttsd2si", "cvtss2si", "cvtsd2si")
def to_integer(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    assert isinstance(target, Reg)
    kind = i.mnemonic[-5:-3]
    value = low(m, source, SCALAR[kind])
    lanes = f"<{128 // bits(value.ty)} x {value.ty}>"
    whole = E("insertelement", lanes, (E("poison", lanes), value), 0)
    wide = "64" if target.width == 64 else ""
    family = "sse" if kind == "ss" else "sse2"
    name = f"llvm.x86.{family}.{'cvtt' if i.mnemonic.startswith('cvtt') else 'cvt'}{kind}2si{wide}"
    m.set(target.name, E("call", f"i{target.width}", (whole,), name))


@instruction("cvtss2sd", "cvtsd2ss")
def between(m: Machine, i: Instruction) -> None:
    source, target = ("float", "double") if i.mnemonic == "cvtss2sd" else ("double", "float")
    op = "fpext" if target == "double" else "fptrunc"
    m.set(_target(i), E(op, target, (low(m, i.operands[1], source),)), partial=True)


@instruction("cvtdq2pd", "cvtdq2ps", "cvtps2pd", "cvtpd2ps")
def between_packed(m: Machine, i: Instruction) -> None:
    if i.mnemonic == "cvtdq2ps":
        value = E("sitofp", "<4 x float>", (packed(m, i.operands[1], "<4 x i32>"),))
    elif i.mnemonic == "cvtpd2ps":
        value = E("fptrunc", "<2 x float>", (packed(m, i.operands[1], "<2 x double>"),))
    else:
        half = "<2 x i32>" if i.mnemonic == "cvtdq2pd" else "<2 x float>"
        op = "sitofp" if i.mnemonic == "cvtdq2pd" else "fpext"
        value = E(op, "<2 x double>", (low(m, i.operands[1], half),))
    m.set(_target(i), value)


@instruction("cvttps2dq", "cvtps2dq", "cvttpd2dq", "cvtpd2dq")
def packed_to_integer(m: Machine, i: Instruction) -> None:
    source = "<4 x float>" if "ps2" in i.mnemonic else "<2 x double>"
    m.set(_target(i), E("call", "<4 x i32>", (packed(m, i.operands[1], source),), f"llvm.x86.sse2.{i.mnemonic}"))


# Packed integers

_PLAIN = {"padd": "add", "psub": "sub"}
for _lane in "bwdq":
    for _start, _op in _PLAIN.items():

        def _plain(m: Machine, i: Instruction, op: str = _op, ty: str = LANES[_lane]) -> None:
            if op == "sub" and _zero_idiom(m, i):
                return
            m.set(_target(i), binary(op, low(m, i.operands[0], ty), packed(m, i.operands[1], ty)))

        TABLE[_start + _lane] = _plain

for _name, _call, _lane in (
    ("padds", "sadd.sat", "b"),
    ("padds", "sadd.sat", "w"),
    ("paddus", "uadd.sat", "b"),
    ("paddus", "uadd.sat", "w"),
    ("psubs", "ssub.sat", "b"),
    ("psubs", "ssub.sat", "w"),
    ("psubus", "usub.sat", "b"),
    ("psubus", "usub.sat", "w"),
    ("pminu", "umin", "b"),
    ("pmaxu", "umax", "b"),
    ("pmins", "smin", "w"),
    ("pmaxs", "smax", "w"),
):

    def _call_lanes(m: Machine, i: Instruction, call: str = _call, ty: str = LANES[_lane]) -> None:
        a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
        m.set(_target(i), E("call", ty, (a, b), f"llvm.{call}.{_suffix(ty)}"))

    TABLE[_name + _lane] = _call_lanes


@instruction("pcmpeqb", "pcmpeqw", "pcmpeqd", "pcmpgtb", "pcmpgtw", "pcmpgtd")
def compare_lanes(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1]]
    if "eq" in i.mnemonic and i.operands[0] == i.operands[1]:
        m.set(_target(i), splat(WHOLE, -1))
        return
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    test = E(f"icmp {'eq' if 'eq' in i.mnemonic else 'sgt'}", _mask_type(ty), (a, b))
    m.set(_target(i), E("sext", ty, (test,)))


@instruction("pmullw", "pmulhw", "pmulhuw", "pmuludq", "pmaddwd", "psadbw", "pavgb", "pavgw")
def multiply_lanes(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1] if i.mnemonic[-1] != "q" else "q"]
    if i.mnemonic == "pmaddwd":
        a, b = low(m, i.operands[0], LANES["w"]), packed(m, i.operands[1], LANES["w"])
        m.set(_target(i), E("call", "<4 x i32>", (a, b), "llvm.x86.sse2.pmadd.wd"))
        return
    if i.mnemonic == "psadbw":
        a, b = low(m, i.operands[0], LANES["b"]), packed(m, i.operands[1], LANES["b"])
        m.set(_target(i), E("call", WHOLE, (a, b), "llvm.x86.sse2.psad.bw"))
        return
    if i.mnemonic in ("pavgb", "pavgw"):
        a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
        m.set(_target(i), E("call", ty, (a, b), f"llvm.x86.sse2.pavg.{i.mnemonic[-1]}"))
        return
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    if i.mnemonic == "pmullw":
        m.set(_target(i), binary("mul", a, b))
    elif i.mnemonic == "pmuludq":
        mask = splat(WHOLE, 0xFFFFFFFF)
        m.set(_target(i), binary("mul", binary("and", a, mask), binary("and", b, mask)))
    else:
        op = "sext" if i.mnemonic == "pmulhw" else "zext"
        wide = "<8 x i32>"
        product = binary("mul", E(op, wide, (a,)), E(op, wide, (b,)))
        m.set(_target(i), E("trunc", ty, (binary("lshr", product, splat(wide, 16)),)))


_SHIFTS = {"psll": "shl", "psrl": "lshr", "psra": "ashr"}


def _shift_lanes(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1]]
    width = bits(element(ty))
    op = _SHIFTS[i.mnemonic[:4]]
    a = low(m, i.operands[0], ty)
    count = i.operands[1]
    if not isinstance(count, Imm):
        name = f"llvm.x86.sse2.{i.mnemonic[:4]}.{i.mnemonic[-1]}"
        m.set(_target(i), E("call", ty, (a, packed(m, count, ty)), name))
        return
    amount = count.value & 0xFF
    if amount >= width:
        if op != "ashr":
            m.set(_target(i), splat(WHOLE, 0))
            return
        amount = width - 1
    m.set(_target(i), binary(op, a, splat(ty, amount)))


for _start in _SHIFTS:
    for _lane in "wd" if _start == "psra" else "wdq":
        TABLE[_start + _lane] = _shift_lanes


@instruction("pslldq", "psrldq")
def shift_bytes(m: Machine, i: Instruction) -> None:
    ty = LANES["b"]
    a, zero = low(m, i.operands[0], ty), splat(LANES["b"], 0)
    count = i.operands[1]
    assert isinstance(count, Imm)
    by = count.value & 0xFF
    if by > 15:
        m.set(_target(i), splat(WHOLE, 0))
        return
    lanes = [16 + k - by if k >= by else k for k in range(16)] if i.mnemonic == "pslldq" else []
    if i.mnemonic == "pslldq":
        m.set(_target(i), shuffle(ty, zero, a, lanes))
    else:
        m.set(_target(i), shuffle(ty, a, zero, [min(k + by, 16) for k in range(16)]))


@instruction("pshufd", "pshuflw", "pshufhw", "shufps", "shufpd")
def shuffle_lanes(m: Machine, i: Instruction) -> None:
    last = i.operands[2]
    assert isinstance(last, Imm)
    order = last.value & 0xFF
    picks = [order >> (2 * k) & 3 for k in range(4)]
    if i.mnemonic == "pshufd":
        a = packed(m, i.operands[1], LANES["d"])
        m.set(_target(i), shuffle(a.ty, a, a, picks))
    elif i.mnemonic in ("pshuflw", "pshufhw"):
        a = packed(m, i.operands[1], LANES["w"])
        lanes = [*picks, 4, 5, 6, 7] if i.mnemonic == "pshuflw" else [0, 1, 2, 3, *[4 + p for p in picks]]
        m.set(_target(i), shuffle(a.ty, a, a, lanes))
    elif i.mnemonic == "shufps":
        a, b = low(m, i.operands[0], PACKED["ps"]), packed(m, i.operands[1], PACKED["ps"])
        m.set(_target(i), shuffle(a.ty, a, b, [picks[0], picks[1], 4 + picks[2], 4 + picks[3]]))
    else:
        a, b = low(m, i.operands[0], PACKED["pd"]), packed(m, i.operands[1], PACKED["pd"])
        m.set(_target(i), shuffle(a.ty, a, b, [order & 1, 2 + (order >> 1 & 1)]))


_UNPACK = {"bw": "b", "wd": "w", "dq": "d", "qdq": "q", "ps": "ps", "pd": "pd"}


def _unpack(m: Machine, i: Instruction) -> None:
    kind = i.mnemonic.removeprefix("p").removeprefix("unpck")
    half, kind = kind[0], kind[1:]
    ty = PACKED.get(kind) or LANES[_UNPACK[kind]]
    count = bits(ty) // bits(element(ty))
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    start = 0 if half == "l" else count // 2
    lanes = [lane for k in range(count // 2) for lane in (start + k, count + start + k)]
    m.set(_target(i), shuffle(ty, a, b, lanes))


for _half in "lh":
    for _kind in ("bw", "wd", "dq", "qdq"):
        TABLE[f"punpck{_half}{_kind}"] = _unpack
    for _kind in ("ps", "pd"):
        TABLE[f"unpck{_half}{_kind}"] = _unpack


@instruction("packsswb", "packssdw", "packuswb")
def pack(m: Machine, i: Instruction) -> None:
    source = LANES["d" if i.mnemonic.endswith("dw") else "w"]
    target = LANES["w" if i.mnemonic.endswith("dw") else "b"]
    a, b = low(m, i.operands[0], source), packed(m, i.operands[1], source)
    m.set(_target(i), E("call", target, (a, b), f"llvm.x86.sse2.{i.mnemonic}.128"))


@instruction("pinsrw", "pextrw")
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
        m.set(_target(i), E("insertelement", LANES["w"], (low(m, i.operands[0], LANES["w"]), value), at))
        return
    value = cast("zext", "i32", lane(low(m, i.operands[1], LANES["w"]), at))
    target = i.operands[0]
    if not isinstance(target, Reg):
        raise LiftError("pextrw to memory")
    m.set(target.name, value)


@instruction("ldmxcsr", "stmxcsr")
def control(_m: Machine, i: Instruction) -> None:
    raise LiftError(f"{i.mnemonic} (the rounding mode)")


@instruction("prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2", "prefetchw")
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
