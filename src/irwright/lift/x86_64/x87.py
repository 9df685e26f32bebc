"""What x87 instructions do (Intel SDM volume 2), for long double.

The register stack is resolved: `st(i)` at depth d is the unit `f{d-1-i}`, of type x86_fp80. The depth is 0 at entry and
before calls; a result is `f0`. The rounding mode is to nearest, but between an `fldcw` that sets another one for a
conversion to an integral value and the one that takes it back: then only such conversions are lifted. Precision is
the full one of 64 bits, as Linux starts programs.
"""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import E, binary, cast, const, fcmp, intrinsic, invert, select
from irwright.lift.program import Instruction, Mem, Operand, Reg
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.table import Table

TABLE = Table()

LONG = "x86_fp80"
CONSTANTS = {
    "fld1": 0x3FFF8000000000000000,
    "fldz": 0,
    "fldpi": 0x4000C90FDAA22168C235,
    "fldl2e": 0x3FFFB8AA3B295C17F0BC,
    "fldl2t": 0x4000D49A784BCD1B8AFE,
    "fldlg2": 0x3FFD9A209A84FBCFF799,
    "fldln2": 0x3FFEB17217F7D1CF79AC,
}
DOWN, UP, TRUNCATED = 4, 8, 12
"""rounding modes, as bits 8 to 15 of the control word have them"""
OPERATIONS = {"fadd": "fadd", "fsub": "fsub", "fmul": "fmul", "fdiv": "fdiv"}


def _source(m: Machine, op: Operand, *, integer: bool = False) -> E:
    """A register of the stack, or memory made long."""
    if isinstance(op, Reg):
        return m.top(int(op.name[2:]))
    assert isinstance(op, Mem)
    if integer:
        return E("sitofp", LONG, (m.read(op),))
    ty = {32: "float", 64: "double", 80: LONG}[op.width]
    loaded = E("load", ty, (m.address(op),), 1)
    return loaded if ty == LONG else E("fpext", LONG, (loaded,))


def _plain_mode(m: Machine, i: Instruction) -> None:
    if m.rounding:
        raise LiftError(f"{i.mnemonic} in another rounding mode")


def _rounded(m: Machine, a: E) -> E:
    """A value made integral by the rounding mode, where that is not to nearest."""
    name = {DOWN: "floor", UP: "ceil", TRUNCATED: "trunc"}.get(m.rounding)
    return a if name is None else intrinsic(f"llvm.{name}.f80", LONG, a)


@TABLE.enter("fld", "fild")
def load(m: Machine, i: Instruction) -> None:
    m.push(_source(m, i.operands[0], integer=i.mnemonic == "fild"))


@TABLE.enter(*CONSTANTS)
def load_constant(m: Machine, i: Instruction) -> None:
    m.push(cast("bitcast", LONG, const("i80", CONSTANTS[i.mnemonic])))


@TABLE.enter("fst", "fstp")
def store(m: Machine, i: Instruction) -> None:
    op = i.operands[0]
    value = m.top(0)
    if isinstance(op, Reg):
        number = int(op.name[2:])
        if number:
            m.set_top(number, value)
    else:
        assert isinstance(op, Mem)
        ty = {32: "float", 64: "double", 80: LONG}[op.width]
        if ty != LONG:
            _plain_mode(m, i)
        m.store(m.address(op), value if ty == LONG else E("fptrunc", ty, (value,)))
    if i.mnemonic == "fstp":
        m.pop()


@TABLE.enter("fist", "fistp", "fisttp")
def store_integer(m: Machine, i: Instruction) -> None:
    op = i.operands[0]
    assert isinstance(op, Mem)
    ty = f"i{op.width}"
    wide = "i32" if op.width == 16 else ty
    if m.rounding == TRUNCATED or i.mnemonic == "fisttp":
        value = E("fptosi", wide, (m.top(0),))
    else:
        value = intrinsic(f"llvm.lrint.{wide}.f80", wide, _rounded(m, m.top(0)))
    m.store(m.address(op), value if wide == ty else cast("trunc", ty, value))
    if i.mnemonic != "fist":
        m.pop()


def _arithmetic(m: Machine, i: Instruction) -> None:
    _plain_mode(m, i)
    name = i.mnemonic
    integer = name[1] == "i" and name not in ("fdiv", "fdivr", "fdivp", "fdivrp")
    pops = name[-1] == "p"
    name = f"f{name[2:]}" if integer else name.removesuffix("p")
    reverse = name[-1] == "r"
    op = OPERATIONS[name.removesuffix("r")]
    ops = i.operands
    if pops or len(ops) == 2:
        target = int(ops[0].name[2:]) if isinstance(ops[0], Reg) else 1
        other = int(ops[1].name[2:]) if len(ops) == 2 and isinstance(ops[1], Reg) else 0
        a, b = m.top(target), m.top(other)
    else:
        target = 0
        a, b = m.top(0), _source(m, ops[0], integer=integer)
    m.set_top(target, binary(op, b, a) if reverse else binary(op, a, b))
    if pops:
        m.pop()


for _name in ("add", "sub", "subr", "mul", "div", "divr"):
    for _form in (f"f{_name}", f"f{_name}p", f"fi{_name}"):
        TABLE[_form] = _arithmetic


@TABLE.enter("fchs", "fabs", "fsqrt", "frndint")
def one_operand(m: Machine, i: Instruction) -> None:
    a = m.top(0)
    if i.mnemonic == "fchs":
        m.set_top(0, E("fneg", LONG, (a,)))
        return
    if i.mnemonic == "frndint":
        m.set_top(0, _rounded(m, a) if m.rounding else intrinsic("llvm.rint.f80", LONG, a))
        return
    if i.mnemonic == "fsqrt":
        _plain_mode(m, i)
    name = {"fabs": "fabs", "fsqrt": "sqrt"}[i.mnemonic]
    m.set_top(0, intrinsic(f"llvm.{name}.f80", LONG, a))


@TABLE.enter("fxch")
def exchange(m: Machine, i: Instruction) -> None:
    number = next((int(op.name[2:]) for op in i.operands if isinstance(op, Reg) and op.name != "st0"), 0)
    a, b = m.top(0), m.top(number)
    m.set_top(0, b)
    m.set_top(number, a)


@TABLE.enter("fucomi", "fcomi", "fucompi", "fcompi")
def compare(m: Machine, i: Instruction) -> None:
    a, b = m.top(0), _source(m, i.operands[-1])
    no = const("i1", 0)
    equal = fcmp("ueq", a, b)
    m.flags(o=no, b=fcmp("ult", a, b), e=equal, a=fcmp("ogt", a, b), s=no, p=fcmp("uno", a, b), l=no, g=invert(equal))
    if i.mnemonic.endswith("pi"):
        m.pop()


_MOVES = {"b": "b", "e": "e", "be": "be", "u": "p", "nb": "ae", "ne": "ne", "nbe": "a", "nu": "np"}


def _move_condition(m: Machine, i: Instruction) -> None:
    source = i.operands[-1]
    assert isinstance(source, Reg)
    test = m.condition(_MOVES[i.mnemonic[5:]])
    m.set_top(0, select(test, m.top(int(source.name[2:])), m.top(0)))


for _code in _MOVES:
    TABLE[f"fcmov{_code}"] = _move_condition


@TABLE.enter("fnstcw")
def store_control(m: Machine, i: Instruction) -> None:
    """The mode programs start in; what they make of it is found in flow.py."""
    op = i.operands[0]
    assert isinstance(op, Mem)
    m.store(m.address(op), const("i16", 0x37F))


@TABLE.enter("wait")
def wait(_m: Machine, _i: Instruction) -> None:
    """Exceptions are masked."""
