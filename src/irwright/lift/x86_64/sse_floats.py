"""What SSE and SSE2 instructions do with floating point numbers (Intel SDM volume 2).

Conversions to integers use the x86 intrinsics: they are defined for values out of range, LLVM's fptosi is not.
"""

from __future__ import annotations

from irwright.lift.expressions import E, binary, bits, const, fcmp, invert
from irwright.lift.program import Imm, Instruction, Reg
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.strings import string_compare
from irwright.lift.x86_64.table import Table
from irwright.lift.x86_64.vectors import PACKED, SCALAR, low, mask_type, packed, type_suffix, xmm_target

TABLE = Table()


# Arithmetic


def _scalar(m: Machine, i: Instruction) -> None:
    ty = SCALAR[i.mnemonic[-2:]]
    a, b = low(m, i.operands[0], ty), low(m, i.operands[1], ty)
    m.set(xmm_target(i), _float_op(i.mnemonic[:-2], a, b), partial=True)


def _packed(m: Machine, i: Instruction) -> None:
    ty = PACKED[i.mnemonic[-2:]]
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    m.set(xmm_target(i), _float_op(i.mnemonic[:-2], a, b))


def _float_op(op: str, a: E, b: E) -> E:
    if op in ("min", "max"):
        predicate = "olt" if op == "min" else "ogt"
        test = E(f"fcmp {predicate}", mask_type(a.ty), (a, b))
        return E("select", a.ty, (test, a, b))
    if op == "sqrt":
        return E("call", a.ty, (b,), f"llvm.sqrt.{type_suffix(a.ty)}")
    return binary(f"f{op}", a, b)


for _op in ("add", "sub", "mul", "div", "min", "max", "sqrt"):
    for _suffix_name in SCALAR:
        TABLE[_op + _suffix_name] = _scalar
    for _suffix_name in PACKED:
        TABLE[_op + _suffix_name] = _packed


@TABLE.enter("ucomiss", "ucomisd", "comiss", "comisd")
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
        string_compare(m, i)  # the string instruction of the same name
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
    test = E(f"fcmp {predicate}", mask_type(ty), (a, b))
    integer = {"float": "i32", "double": "i64", "<4 x float>": "<4 x i32>", "<2 x double>": "<2 x i64>"}[ty]
    m.set(xmm_target(i), E("sext", integer, (test,)), partial=kind in SCALAR)


# Conversions


for _kind in ("ss", "sd", "ps", "pd"):
    for _name in ("", *_PREDICATE_NAMES):
        TABLE[f"cmp{_name}{_kind}"] = _compare_mask


@TABLE.enter("cvtsi2ss", "cvtsi2sd")
def from_integer(m: Machine, i: Instruction) -> None:
    ty = SCALAR[i.mnemonic[-2:]]
    m.set(xmm_target(i), E("sitofp", ty, (m.read(i.operands[1]),)), partial=True)


@TABLE.enter("cvttss2si", "cvttsd2si", "cvtss2si", "cvtsd2si")
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


@TABLE.enter("cvtss2sd", "cvtsd2ss")
def between(m: Machine, i: Instruction) -> None:
    source, target = ("float", "double") if i.mnemonic == "cvtss2sd" else ("double", "float")
    op = "fpext" if target == "double" else "fptrunc"
    m.set(xmm_target(i), E(op, target, (low(m, i.operands[1], source),)), partial=True)


@TABLE.enter("cvtdq2pd", "cvtdq2ps", "cvtps2pd", "cvtpd2ps")
def between_packed(m: Machine, i: Instruction) -> None:
    if i.mnemonic == "cvtdq2ps":
        value = E("sitofp", "<4 x float>", (packed(m, i.operands[1], "<4 x i32>"),))
    elif i.mnemonic == "cvtpd2ps":
        value = E("fptrunc", "<2 x float>", (packed(m, i.operands[1], "<2 x double>"),))
    else:
        half = "<2 x i32>" if i.mnemonic == "cvtdq2pd" else "<2 x float>"
        op = "sitofp" if i.mnemonic == "cvtdq2pd" else "fpext"
        value = E(op, "<2 x double>", (low(m, i.operands[1], half),))
    m.set(xmm_target(i), value)


@TABLE.enter("cvttps2dq", "cvtps2dq", "cvttpd2dq", "cvtpd2dq")
def packed_to_integer(m: Machine, i: Instruction) -> None:
    source = "<4 x float>" if "ps2" in i.mnemonic else "<2 x double>"
    m.set(xmm_target(i), E("call", "<4 x i32>", (packed(m, i.operands[1], source),), f"llvm.x86.sse2.{i.mnemonic}"))
