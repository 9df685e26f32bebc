"""What integer additions, logic, multiplications and divisions do, locked ones too (Intel SDM volume 2)."""

from __future__ import annotations

from irwright.lift.expressions import E, Effect, binary, bits, cast, const, icmp, invert, is_const, reg
from irwright.lift.program import Imm, Instruction, Mem
from irwright.lift.x86_64.machine import Machine, pair, refuse_prefix, same
from irwright.lift.x86_64.table import Table

TABLE = Table()


@TABLE.enter("add")
def add(m: Machine, i: Instruction) -> None:
    a, b = pair(m, i)
    if i.prefix == "lock":
        return locked(m, i, "add", a, b)
    result = binary("add", a, b)
    m.write(i.operands[0], result)
    m.flags_add(a, b, result)
    return None


@TABLE.enter("sub")
def sub(m: Machine, i: Instruction) -> None:
    a, b = pair(m, i)
    if i.prefix == "lock":
        return locked(m, i, "sub", a, b)
    if same(*i.operands):
        a = b = const(a.ty, 0)
    result = const(a.ty, 0) if same(*i.operands) else binary("sub", a, b)
    m.write(i.operands[0], result)
    m.flags_sub(a, b, result)
    return None


@TABLE.enter("cmp")
def cmp(m: Machine, i: Instruction) -> None:
    a, b = pair(m, i)
    m.flags_sub(a, b)


@TABLE.enter("and", "or", "xor")
def logic(m: Machine, i: Instruction) -> None:
    a, b = pair(m, i)
    if i.prefix == "lock":
        return locked(m, i, i.mnemonic, a, b)
    if same(*i.operands):
        result = const(a.ty, 0) if i.mnemonic == "xor" else a
    elif (is_const(b, -1) and i.mnemonic == "or") or (is_const(b, 0) and i.mnemonic == "and"):
        result = b
    else:
        result = binary(i.mnemonic, a, b)
    m.write(i.operands[0], result)
    m.flags_logic(result)
    return None


@TABLE.enter("test")
def test(m: Machine, i: Instruction) -> None:
    a, b = pair(m, i)
    m.flags_logic(a if same(*i.operands) else binary("and", a, b))


def locked(m: Machine, i: Instruction, op: str, a: E, b: E) -> None:
    """`lock op mem, b`: flags from the old value."""
    target = i.operands[0]
    assert isinstance(target, Mem)
    old = E("fixed", a.ty, (), "atomic")
    m.effects.append(Effect("atomic", value=b, addr=m.address(target), aux=op))
    result = binary(op, old, b)
    if op == "add":
        m.flags_add(old, b, result)
    elif op == "sub":
        m.flags_sub(old, b, result)
    else:
        m.flags_logic(result)


@TABLE.enter("inc", "dec")
def increment(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    one = const(a.ty, 1)
    op = "add" if i.mnemonic == "inc" else "sub"
    if i.prefix == "lock":
        locked(m, i, op, a, one)
    else:
        result = binary(op, a, one)
        m.write(i.operands[0], result)
        (m.flags_add if op == "add" else m.flags_sub)(a, one, result)
    carry = reg("i1", "cc.b")
    equal = next(e.value for e in m.effects if e.unit == "cc.e")
    assert equal is not None
    m.effects = [e for e in m.effects if e.unit not in ("cc.b", "cc.a")]
    m.set("cc.a", invert(binary("or", carry, equal)))


@TABLE.enter("neg")
def neg(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    refuse_prefix(i)
    zero = const(a.ty, 0)
    result = binary("sub", zero, a)
    m.write(i.operands[0], result)
    m.flags_sub(zero, a, result)


@TABLE.enter("not")
def not_(m: Machine, i: Instruction) -> None:
    refuse_prefix(i)
    a = m.read(i.operands[0])
    m.write(i.operands[0], binary("xor", a, const(a.ty, -1)))


@TABLE.enter("adc", "sbb")
def carried(m: Machine, i: Instruction) -> None:
    a, b = pair(m, i)
    refuse_prefix(i)
    width = bits(a.ty)
    wide = f"i{width * 2}"
    carry = reg("i1", "cc.b")
    if i.mnemonic == "sbb" and same(*i.operands):
        result = cast("sext", a.ty, carry)
        m.write(i.operands[0], result)
        zero = const("i1", 0)
        m.flags(o=zero, b=carry, e=invert(carry), a=zero, s=carry, p=const("i1", 1), l=carry, g=zero)
        return
    op = "add" if i.mnemonic == "adc" else "sub"
    if b.op == "const" and b.aux == -1:  # compilers count what is not carried: `cmp x, 1; sbb y, -1` is y + (x != 0)
        result = binary("sub" if op == "add" else "add", a, cast("zext", a.ty, invert(carry)))
    else:
        result = binary(op, binary(op, a, b), cast("zext", a.ty, carry))
    whole = binary(op, binary(op, cast("zext", wide, a), cast("zext", wide, b)), cast("zext", wide, carry))
    out = icmp("ne", cast("trunc", a.ty, binary("lshr", whole, const(wide, width))), const(a.ty, 0))
    zero = const(a.ty, 0)
    if op == "add":
        overflow = icmp("slt", binary("and", binary("xor", result, a), binary("xor", result, b)), zero)
    else:
        overflow = icmp("slt", binary("and", binary("xor", a, b), binary("xor", a, result)), zero)
    m.write(i.operands[0], result)
    m.flags_result(result, out, overflow)


@TABLE.enter("imul")
def imul(m: Machine, i: Instruction) -> None:
    if len(i.operands) == 1:
        _wide_multiply(m, i, signed=True)
        return
    a = m.read(i.operands[-2]) if len(i.operands) == 3 else m.read(i.operands[0])
    last = i.operands[-1]
    b = m.read(last, a.ty) if isinstance(last, Imm) else m.read(last)
    result = binary("mul", a, b)
    m.write(i.operands[0], result)
    overflow = E("overflow", "i1", (a, b), "smul")
    m.flags(o=overflow, b=overflow)


@TABLE.enter("mul")
def mul(m: Machine, i: Instruction) -> None:
    _wide_multiply(m, i, signed=False)


def _wide_multiply(m: Machine, i: Instruction, *, signed: bool) -> None:
    b = m.read(i.operands[0])
    width = bits(b.ty)
    a = m.register("rax", width)
    extend_op = "sext" if signed else "zext"
    wide = f"i{width * 2}"
    product = binary("mul", cast(extend_op, wide, a), cast(extend_op, wide, b))
    low = binary("mul", a, b)
    high = cast("trunc", b.ty, binary("lshr", product, const(wide, width)))
    if width == 8:
        m.set("rax", product, partial=True)
    else:
        m.set("rax", low, partial=width < 32)
        m.set("rdx", high, partial=width < 32)
    overflow = E("overflow", "i1", (a, b), "smul" if signed else "umul")
    m.flags(o=overflow, b=overflow)


@TABLE.enter("div", "idiv")
def divide(m: Machine, i: Instruction) -> None:
    b = m.read(i.operands[0])
    width = bits(b.ty)
    signed = i.mnemonic == "idiv"
    div, rem = ("sdiv", "srem") if signed else ("udiv", "urem")
    wide = f"i{width * 2}"
    if width == 8:
        whole = m.register("rax", 16)
        divisor = cast("sext" if signed else "zext", wide, b)
        quotient, remainder = (cast("trunc", "i8", binary(op, whole, divisor)) for op in (div, rem))
        high = binary("shl", cast("zext", "i16", remainder), const("i16", 8))
        m.set("rax", binary("or", cast("zext", "i16", quotient), high), partial=True)
    else:
        # `divide` narrows to the operand's width where rdx is the extension of rax (reach.py).
        low, high = m.register("rax", width), m.register("rdx", width)
        quotient = E(f"wide {div}", b.ty, (high, low, b))
        remainder = E(f"wide {rem}", b.ty, (high, low, b))
        m.set("rax", quotient, partial=width < 32)
        m.set("rdx", remainder, partial=width < 32)
    m.flags()
