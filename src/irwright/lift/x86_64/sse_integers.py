"""What SSE and SSE2 instructions do with integers and bits (Intel SDM volume 2)."""

from __future__ import annotations

from irwright.lift.expressions import E, binary, bits, element
from irwright.lift.program import Imm, Instruction
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.table import Table
from irwright.lift.x86_64.vectors import (
    LANES,
    WHOLE,
    low,
    mask_type,
    packed,
    shuffle,
    splat,
    type_suffix,
    xmm_target,
    zero_idiom,
)

TABLE = Table()


@TABLE.enter("andps", "andpd", "orps", "orpd", "xorps", "xorpd", "pand", "por", "pxor", "andnps", "andnpd", "pandn")
def bitwise(m: Machine, i: Instruction) -> None:
    name = i.mnemonic.removeprefix("p").removesuffix("ps").removesuffix("pd")
    if name == "xor" and zero_idiom(m, i):
        return
    a, b = low(m, i.operands[0], WHOLE), packed(m, i.operands[1], WHOLE)
    if name == "andn":
        a, name = binary("xor", a, splat(WHOLE, -1)), "and"
    m.set(xmm_target(i), binary(name, a, b))


# Packed integers

_PLAIN = {"padd": "add", "psub": "sub"}
for _lane in "bwdq":
    for _start, _op in _PLAIN.items():

        def _plain(m: Machine, i: Instruction, op: str = _op, ty: str = LANES[_lane]) -> None:
            if op == "sub" and zero_idiom(m, i):
                return
            m.set(xmm_target(i), binary(op, low(m, i.operands[0], ty), packed(m, i.operands[1], ty)))

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
        m.set(xmm_target(i), E("call", ty, (a, b), f"llvm.{call}.{type_suffix(ty)}"))

    TABLE[_name + _lane] = _call_lanes


@TABLE.enter("pcmpeqb", "pcmpeqw", "pcmpeqd", "pcmpgtb", "pcmpgtw", "pcmpgtd")
def compare_lanes(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1]]
    if "eq" in i.mnemonic and i.operands[0] == i.operands[1]:
        m.set(xmm_target(i), splat(WHOLE, -1))
        return
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    test = E(f"icmp {'eq' if 'eq' in i.mnemonic else 'sgt'}", mask_type(ty), (a, b))
    m.set(xmm_target(i), E("sext", ty, (test,)))


@TABLE.enter("pmullw", "pmulhw", "pmulhuw", "pmuludq", "pmaddwd", "psadbw", "pavgb", "pavgw")
def multiply_lanes(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1] if i.mnemonic[-1] != "q" else "q"]
    if i.mnemonic == "pmaddwd":
        a, b = low(m, i.operands[0], LANES["w"]), packed(m, i.operands[1], LANES["w"])
        m.set(xmm_target(i), E("call", "<4 x i32>", (a, b), "llvm.x86.sse2.pmadd.wd"))
        return
    if i.mnemonic == "psadbw":
        a, b = low(m, i.operands[0], LANES["b"]), packed(m, i.operands[1], LANES["b"])
        m.set(xmm_target(i), E("call", WHOLE, (a, b), "llvm.x86.sse2.psad.bw"))
        return
    if i.mnemonic in ("pavgb", "pavgw"):
        a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
        m.set(xmm_target(i), E("call", ty, (a, b), f"llvm.x86.sse2.pavg.{i.mnemonic[-1]}"))
        return
    a, b = low(m, i.operands[0], ty), packed(m, i.operands[1], ty)
    if i.mnemonic == "pmullw":
        m.set(xmm_target(i), binary("mul", a, b))
    elif i.mnemonic == "pmuludq":
        mask = splat(WHOLE, 0xFFFFFFFF)
        m.set(xmm_target(i), binary("mul", binary("and", a, mask), binary("and", b, mask)))
    else:
        op = "sext" if i.mnemonic == "pmulhw" else "zext"
        wide = "<8 x i32>"
        product = binary("mul", E(op, wide, (a,)), E(op, wide, (b,)))
        m.set(xmm_target(i), E("trunc", ty, (binary("lshr", product, splat(wide, 16)),)))


_SHIFTS = {"psll": "shl", "psrl": "lshr", "psra": "ashr"}


def _shift_lanes(m: Machine, i: Instruction) -> None:
    ty = LANES[i.mnemonic[-1]]
    width = bits(element(ty))
    op = _SHIFTS[i.mnemonic[:4]]
    a = low(m, i.operands[0], ty)
    count = i.operands[1]
    if not isinstance(count, Imm):
        name = f"llvm.x86.sse2.{i.mnemonic[:4]}.{i.mnemonic[-1]}"
        m.set(xmm_target(i), E("call", ty, (a, packed(m, count, ty)), name))
        return
    amount = count.value & 0xFF
    if amount >= width:
        if op != "ashr":
            m.set(xmm_target(i), splat(WHOLE, 0))
            return
        amount = width - 1
    m.set(xmm_target(i), binary(op, a, splat(ty, amount)))


for _start in _SHIFTS:
    for _lane in "wd" if _start == "psra" else "wdq":
        TABLE[_start + _lane] = _shift_lanes


@TABLE.enter("pslldq", "psrldq")
def shift_bytes(m: Machine, i: Instruction) -> None:
    ty = LANES["b"]
    a, zero = low(m, i.operands[0], ty), splat(LANES["b"], 0)
    count = i.operands[1]
    assert isinstance(count, Imm)
    by = count.value & 0xFF
    if by > 15:
        m.set(xmm_target(i), splat(WHOLE, 0))
        return
    lanes = [16 + k - by if k >= by else k for k in range(16)] if i.mnemonic == "pslldq" else []
    if i.mnemonic == "pslldq":
        m.set(xmm_target(i), shuffle(ty, zero, a, lanes))
    else:
        m.set(xmm_target(i), shuffle(ty, a, zero, [min(k + by, 16) for k in range(16)]))
