"""Values of xmm registers as LLVM's vectors; operands of SSE instructions.

A set of an xmm register that is narrower than 128 bits keeps the rest where it is `partial`, else clears it.
"""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import E, bits, element, reg
from irwright.lift.program import Instruction, Mem, Operand, Reg
from irwright.lift.x86_64.machine import Machine

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


def xmm_target(i: Instruction) -> str:
    """The xmm register that is written."""
    target = i.operands[0]
    if not isinstance(target, Reg) or not target.name.startswith("xmm"):
        raise LiftError("not an xmm register")
    return target.name


def zero_idiom(m: Machine, i: Instruction) -> bool:
    """Whether both operands are one register, which gets zero then."""
    if i.operands[0] == i.operands[1]:
        m.set(xmm_target(i), splat(WHOLE, 0))
        return True
    return False


def mask_type(ty: str) -> str:
    """A bit for each lane."""
    return "i1" if ty[0] != "<" else f"<{bits(ty) // bits(element(ty))} x i1>"


def type_suffix(ty: str) -> str:
    """A type as names of intrinsics have it."""
    name = {"float": "f32", "double": "f64"}.get(element(ty), element(ty))
    return name if ty[0] != "<" else f"v{bits(ty) // bits(element(ty))}{name}"
