"""What shifts, rotations and instructions on single bits do (Intel SDM volume 2)."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.expressions import Address, E, Effect, binary, bits, cast, const, icmp, invert, reg, resize, select
from irwright.lift.program import Imm, Instruction, Mem, Operand, Reg
from irwright.lift.x86_64.machine import Machine, parity, same
from irwright.lift.x86_64.table import Table

TABLE = Table()


def shift_count(i: Instruction) -> Operand:
    """The second operand, 1 where the instruction has none."""
    return (*i.operands, Imm(1, 8))[1]


@TABLE.enter("shl", "sal", "shr", "sar")
def shift(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    width = bits(a.ty)
    op = {"shl": "shl", "sal": "shl", "shr": "lshr", "sar": "ashr"}[i.mnemonic]
    count = shift_count(i)
    limit = 63 if width == 64 else 31
    wide = a.ty if width >= 32 else "i32"
    big = resize(a, wide, signed=op == "ashr")
    if isinstance(count, Imm):
        amount = count.value & limit
        if amount == 0:
            m.write(i.operands[0], a)
            return
        by = const(a.ty, amount) if amount < width else const(wide, amount)
        result = binary(op, a, by) if amount < width else resize(binary(op, big, by), a.ty)
        m.write(i.operands[0], result)
        # The carry is the last bit shifted out.
        lower = const(a.ty, amount - 1)
        if amount > width:
            m.flags_result(result, None, None)
            return
        if op == "shl":
            carry = icmp("slt", binary("shl", a, lower), const(a.ty, 0))
        else:
            carry = icmp("ne", binary("and", binary(op, a, lower), const(a.ty, 1)), const(a.ty, 0))
        overflow = None
        if amount == 1:
            sign = icmp("slt", a, const(a.ty, 0))
            after = icmp("slt", result, const(a.ty, 0))
            overflow = {"shl": binary("xor", after, carry), "lshr": sign, "ashr": const("i1", 0)}[op]
        m.flags_result(result, carry, overflow)
        return
    masked = binary("and", resize(m.read(count), wide), const(wide, limit))
    shifted = binary(op, big, masked)
    result = resize(shifted, a.ty)
    m.write(i.operands[0], result)
    nothing = icmp("eq", masked, const(wide, 0))
    zero = const(a.ty, 0)
    before = binary("sub", masked, const(wide, 1))
    last = binary("and", before, const(wide, limit))
    if op == "shl":
        carry = icmp("slt", resize(binary("shl", big, last), a.ty), zero)
    else:
        carry = icmp("ne", binary("and", binary(op, big, last), const(wide, 1)), const(wide, 0))
    equal, sign = icmp("eq", result, zero), icmp("slt", result, zero)

    def kept(name: str, value: E) -> None:
        m.set(f"cc.{name}", select(nothing, reg("i1", f"cc.{name}"), value))

    kept("b", carry)
    kept("e", equal)
    kept("a", invert(binary("or", carry, equal)))
    kept("s", sign)
    kept("p", parity(result))
    m.kill("cc.o", "cc.l", "cc.g")


@TABLE.enter("rol", "ror")
def rotate(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    width = bits(a.ty)
    count = shift_count(i)
    name = f"llvm.{'fshl' if i.mnemonic == 'rol' else 'fshr'}.{a.ty}"
    if isinstance(count, Imm):
        by = const(a.ty, (count.value & (63 if width == 64 else 31)) % width)
    else:
        # Masking to 5 bits first or not is the same for 8 and 16 bits: the widths divide 32.
        by = resize(m.read(count), a.ty)
    m.write(i.operands[0], E("call", a.ty, (a, a, by), name))
    m.kill("cc.o", "cc.b", "cc.a", "cc.l", "cc.g")


@TABLE.enter("shld", "shrd")
def double_shift(m: Machine, i: Instruction) -> None:
    a, b = m.read(i.operands[0]), m.read(i.operands[1])
    width = bits(a.ty)
    if width == 16 and isinstance(i.operands[2], Imm) and i.operands[2].value & 31 > 15:
        raise LiftError("a 16-bit double shift by 16 or more, of which the processor says nothing")
    by = m.read(i.operands[2], a.ty) if isinstance(i.operands[2], Imm) else resize(m.read(i.operands[2]), a.ty)
    if i.mnemonic == "shld":
        result = E("call", a.ty, (a, b, by), f"llvm.fshl.{a.ty}")
    else:
        result = E("call", a.ty, (b, a, by), f"llvm.fshr.{a.ty}")
    m.write(i.operands[0], result)
    m.flags()


@TABLE.enter("rcl", "rcr")
def rotate_through_carry(m: Machine, i: Instruction) -> None:
    count = shift_count(i)
    if not isinstance(count, Imm) or count.value != 1:
        raise LiftError(f"{i.mnemonic} by more than 1")
    a, carry = m.read(i.operands[0]), reg("i1", "cc.b")
    last = const(a.ty, bits(a.ty) - 1)
    one = const(a.ty, 1)
    if i.mnemonic == "rcl":
        out = icmp("slt", a, const(a.ty, 0))
        result = binary("or", binary("shl", a, one), cast("zext", a.ty, carry))
    else:
        out = icmp("ne", binary("and", a, one), const(a.ty, 0))
        result = binary("or", binary("lshr", a, one), binary("shl", cast("zext", a.ty, carry), last))
    m.write(i.operands[0], result)
    m.set("cc.b", out)
    m.kill("cc.o", "cc.a", "cc.l", "cc.g")


@TABLE.enter("bt", "bts", "btr", "btc")
def bit_test(m: Machine, i: Instruction) -> None:
    target, position = i.operands
    width = target.width
    ty = f"i{width}"
    by = const(ty, position.value & (width - 1)) if isinstance(position, Imm) else m.read(position)
    where: E | None = None
    if isinstance(target, Mem):
        where = m.address(target)
        if not isinstance(position, Imm):  # a string of bits: the word that holds the bit
            words = binary("ashr", resize(by, "i64", signed=True), const("i64", width.bit_length() - 1))
            offset = binary("mul", words, const("i64", width // 8))
            where = E("addr", "ptr", (E("addr", "i64", where.args, where.aux), offset), Address())
            if m.address(target).op == "frame":
                raise LiftError("a string of bits in the frame")
    by = by if isinstance(position, Imm) else binary("and", by, const(ty, width - 1))
    mask = binary("shl", const(ty, 1), by)
    kept = binary("xor", mask, const(ty, -1))
    op, operand = {"bts": ("or", mask), "btr": ("and", kept), "btc": ("xor", mask), "bt": ("", mask)}[i.mnemonic]
    if i.prefix:
        if where is None or not op:
            raise LiftError(f"{i.prefix} {i.mnemonic}")
        m.effects.append(Effect("atomic", value=operand, addr=where, aux=op))
        a = E("fixed", ty, (), "atomic")
    else:
        a = m.read(target) if where is None else E("load", ty, (where,), 1)
        if op and where is not None:
            m.store(where, binary(op, a, operand))
        elif op:
            m.write(target, binary(op, a, operand))
    m.set("cc.b", icmp("ne", binary("and", binary("lshr", a, by), const(ty, 1)), const(ty, 0)))
    m.kill("cc.o", "cc.s", "cc.p", "cc.l", "cc.g", "cc.a")


@TABLE.enter("bsf", "bsr", "tzcnt")
def bit_scan(m: Machine, i: Instruction) -> None:
    # `rep bsf`, which capstone calls tzcnt, runs as bsf on machines without BMI: only what both do is lifted.
    target, source = i.operands
    assert isinstance(target, Reg)
    a = m.read(source)
    zero = icmp("eq", a, const(a.ty, 0))
    poison = const("i1", 1)
    if i.mnemonic == "bsr":
        leading = E("call", a.ty, (a, poison), f"llvm.ctlz.{a.ty}")
        result = binary("xor", leading, const(a.ty, bits(a.ty) - 1))
    else:
        result = E("call", a.ty, (a, poison), f"llvm.cttz.{a.ty}")
    if m.defined(target.name) and not same(target, source):
        old = m.read(target)
        result = select(zero, old, result)
    m.write(target, result)
    if i.mnemonic == "tzcnt":
        m.flags()
    else:
        m.flags(e=zero)


@TABLE.enter("bswap")
def bswap(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    m.write(i.operands[0], E("call", a.ty, (a,), f"llvm.bswap.{a.ty}"))


@TABLE.enter("popcnt")
def popcnt(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[1])
    m.write(i.operands[0], E("call", a.ty, (a,), f"llvm.ctpop.{a.ty}"))
    no = const("i1", 0)
    zero = icmp("eq", a, const(a.ty, 0))
    m.flags(o=no, b=no, e=zero, a=invert(zero), s=no, p=no, l=no, g=invert(zero))
