"""What x86-64 integer instructions do: one table from mnemonic to a function that lists their effects.

Sources: Intel SDM volume 2. A result that the manual leaves undefined is `kill`ed: reading it later makes the
function not liftable, never wrong. SSE is in x86_64_sse.py, x87 in x86_64_x87.py.
"""

from __future__ import annotations

from collections.abc import Callable

from irwright.errors import LiftError, X87UnderflowError
from irwright.lift.expressions import (
    CC_UNITS,
    Address,
    E,
    Effect,
    Ref,
    binary,
    bits,
    cast,
    const,
    icmp,
    intrinsic,
    invert,
    is_const,
    reg,
    resize,
    select,
)
from irwright.lift.program import Imm, Instruction, Mem, Operand, Reg

CONDITION_CODES = {
    "o": ("o", False),
    "no": ("o", True),
    "b": ("b", False),
    "c": ("b", False),
    "nae": ("b", False),
    "ae": ("b", True),
    "nb": ("b", True),
    "nc": ("b", True),
    "e": ("e", False),
    "z": ("e", False),
    "ne": ("e", True),
    "nz": ("e", True),
    "be": ("a", True),
    "na": ("a", True),
    "a": ("a", False),
    "nbe": ("a", False),
    "s": ("s", False),
    "ns": ("s", True),
    "p": ("p", False),
    "pe": ("p", False),
    "np": ("p", True),
    "po": ("p", True),
    "l": ("l", False),
    "nge": ("l", False),
    "ge": ("l", True),
    "nl": ("l", True),
    "le": ("g", True),
    "ng": ("g", True),
    "g": ("g", False),
    "nle": ("g", False),
}


class Machine:
    """Collects the effects of one instruction; `frame` gives the value of a register that holds a frame address."""

    def __init__(self, insn: Instruction, frame: Callable[[str], int | None], defined: Callable[[str], bool]) -> None:
        self.insn = insn
        self.effects: list[Effect] = []
        self.frame = frame
        self.defined = defined
        self.depth = 0
        """of the x87 stack"""
        self.rounding = 0
        """the bits of the x87 control word: 0 to nearest, 4 down, 8 up, 12 truncated"""

    # Operands

    def register(self, name: str, width: int) -> E:
        offset = self.frame(name)
        if offset is not None:
            whole = E("frame", "i64", (), offset)
            return whole if width == 64 else cast("trunc", f"i{width}", whole)
        return reg(f"i{width}", name)

    def address(self, mem: Mem) -> E:
        base = self.register(mem.base, 64) if mem.base else None
        index = self.register(mem.index, 64) if mem.index else None
        kind = mem.ref.kind if mem.ref is not None else "direct"
        if mem.segment == "fs" and (mem.ref is not None or base is not None or index is not None):
            if mem.ref is not None and kind == "tpoff":
                return E("addr", "ptr", (base, index), Address(mem.scale, mem.disp, in_thread(mem.ref)))
            thread = E("thread", "i64")
            base = thread if base is None else binary("add", thread, base)
            return E("addr", "ptr", (base, index), Address(mem.scale, mem.disp, mem.ref))
        if mem.ref is not None and kind in ("tpoff", "dtpoff"):
            offset = thread_offset(mem.ref)
            base = offset if base is None else binary("add", base, offset)
            return E("addr", "ptr", (base, index), Address(mem.scale, mem.disp))
        if mem.ref is not None and kind == "tlsgd":
            return E("addr", "ptr", (None, None), Address(1, 0, in_thread(mem.ref)))
        if kind == "tlsld":
            return E("addr", "ptr", (E("thread", "i64"), None), Address())
        if base is not None and base.op == "frame" and index is None and mem.ref is None and not mem.segment:
            return E("frame", "i64", (), base.aux + mem.disp)
        if index is not None and index.op == "frame" and mem.scale == 1 and (base is None or base.op != "frame"):
            base, index = index, base
        crosses = base is not None and base.op == "frame" and base.aux >= 8 > base.aux + mem.disp
        if base is not None and base.op == "frame" and mem.disp and not crosses:
            base = E("frame", "i64", (), base.aux + mem.disp)
            return E("addr", "ptr", (base, index), Address(mem.scale, 0, mem.ref, mem.segment))
        return E("addr", "ptr", (base, index), Address(mem.scale, mem.disp, mem.ref, mem.segment))

    def read(self, op: Operand, ty: str = "") -> E:
        """An operand's value; `ty` where it is not an integer of the operand's width."""
        if isinstance(op, Reg):
            if op.name.startswith("xmm"):
                return reg(ty or "<2 x i64>", op.name)
            if op.high:
                return cast("trunc", "i8", binary("lshr", self.register(op.name, 16), const("i16", 8)))
            value = self.register(op.name, bits(ty) if ty else op.width)
            return cast("bitcast", ty, value) if ty and ty[0] != "i" else value
        if isinstance(op, Imm):
            width = ty or f"i{op.width}"
            if op.ref is not None and op.ref.kind in ("tpoff", "dtpoff"):
                return resize(thread_offset(op.ref), width)
            if op.ref is not None:
                return resize(E("sym", "i64", (), op.ref), width)
            return const(width, op.value)
        if op.ref is not None and op.ref.kind == "gottpoff":
            return thread_offset(op.ref)
        if op.segment == "fs" and op.width == 64 and not (op.disp or op.base or op.index or op.ref):
            return E("thread", "i64")
        return E("load", ty or f"i{op.width}", (self.address(op),), 1)

    def write(self, op: Operand, value: E) -> None:
        if isinstance(op, Mem):
            self.effects.append(Effect("store", value=value, addr=self.address(op), aux=1))
            return
        assert isinstance(op, Reg)
        if op.high:
            whole = self.register(op.name, 16)
            high = binary("shl", cast("zext", "i16", value), const("i16", 8))
            value = binary("or", binary("and", whole, const("i16", 0xFF)), high)
            self.set(op.name, value, partial=True)
            return
        self.set(op.name, value, partial=op.width < 32)

    def set(self, unit: str, value: E, *, partial: bool = False) -> None:
        self.effects.append(Effect("set", unit, value, partial=partial))

    def kill(self, *units: str) -> None:
        self.effects += [Effect("kill", unit) for unit in units]

    def store(self, address: E, value: E, align: int = 1) -> None:
        self.effects.append(Effect("store", value=value, addr=address, aux=align))

    # The x87 stack

    def top(self, number: int) -> E:
        """st(number)."""
        if self.depth - 1 - number < 0:
            raise X87UnderflowError(f"{self.insn.mnemonic} of an empty x87 register")
        return reg("x86_fp80", f"f{self.depth - 1 - number}")

    def set_top(self, number: int, value: E) -> None:
        self.top(number)
        self.set(f"f{self.depth - 1 - number}", value)

    def push(self, value: E) -> None:
        self.depth += 1
        if self.depth > 8:
            raise LiftError("an x87 stack that overflows")
        self.set(f"f{self.depth - 1}", value)

    def pop(self) -> None:
        self.top(0)
        self.depth -= 1

    # Conditions

    def condition(self, code: str) -> E:
        name, inverted = CONDITION_CODES[code]
        value = reg("i1", f"cc.{name}")
        return invert(value) if inverted else value

    def flags(self, **values: E) -> None:
        """Define all conditions; those not given are left undefined."""
        for unit in CC_UNITS:
            value = values.get(unit[3:])
            if value is None:
                self.kill(unit)
            else:
                self.set(unit, value)

    def flags_sub(self, a: E, b: E, result: E | None = None) -> None:
        result = binary("sub", a, b) if result is None else result
        zero = const(a.ty, 0)
        overflow = E("overflow", "i1", (a, b), "ssub")
        self.flags(
            o=overflow,
            b=icmp("ult", a, b),
            e=icmp("eq", a, b),
            a=icmp("ugt", a, b),
            s=icmp("slt", result, zero),
            p=parity(result),
            l=icmp("slt", a, b),
            g=icmp("sgt", a, b),
        )

    def flags_add(self, a: E, b: E, result: E) -> None:
        zero = const(a.ty, 0)
        overflow = E("overflow", "i1", (a, b), "sadd")
        carry, equal, sign = icmp("ult", result, a), icmp("eq", result, zero), icmp("slt", result, zero)
        less = binary("xor", sign, overflow)
        self.flags(
            o=overflow,
            b=carry,
            e=equal,
            a=invert(binary("or", carry, equal)),
            s=sign,
            p=parity(result),
            l=less,
            g=invert(binary("or", less, equal)),
        )

    def flags_logic(self, result: E) -> None:
        zero, no = const(result.ty, 0), const("i1", 0)
        equal, sign = icmp("eq", result, zero), icmp("slt", result, zero)
        above, greater = icmp("ne", result, zero), icmp("sgt", result, zero)
        self.flags(o=no, b=no, e=equal, a=above, s=sign, p=parity(result), l=sign, g=greater)

    def flags_result(self, result: E, carry: E | None, overflow: E | None) -> None:
        """Conditions from result, carry and overflow."""
        zero = const(result.ty, 0)
        equal, sign = icmp("eq", result, zero), icmp("slt", result, zero)
        less = None if overflow is None else binary("xor", sign, overflow)
        values: dict[str, E | None] = {
            "o": overflow,
            "b": carry,
            "e": equal,
            "a": None if carry is None else invert(binary("or", carry, equal)),
            "s": sign,
            "p": parity(result),
            "l": less,
            "g": None if less is None else invert(binary("or", less, equal)),
        }
        self.flags(**{name: value for name, value in values.items() if value is not None})


def in_thread(ref: Ref) -> Ref:
    """The variable of the running thread that a reference means."""
    return Ref(ref.symbol, ref.section, ref.offset, "tls")


def thread_offset(ref: Ref) -> E:
    """How far a thread-local variable is from the thread pointer.

    Offsets within a module's storage are taken from the same place: any will do for `__tls_get_addr`, as what it
    returns is only ever added to them.
    """
    return binary("sub", E("addr", "i64", (None, None), Address(ref=in_thread(ref))), E("thread", "i64"))


def parity(result: E) -> E:
    """True where the low byte has an even number of ones."""
    count = intrinsic("llvm.ctpop.i8", "i8", resize(result, "i8"))
    return icmp("eq", binary("and", count, const("i8", 1)), const("i8", 0))


Semantics = Callable[[Machine, Instruction], None]
TABLE: dict[str, Semantics] = {}


def instruction(*names: str) -> Callable[[Semantics], Semantics]:
    """Enter a function into the table under these mnemonics."""

    def enter(function: Semantics) -> Semantics:
        for name in names:
            TABLE[name] = function
        return function

    return enter


def _same(a: Operand, b: Operand) -> bool:
    return isinstance(a, Reg) and a == b


def _pair(m: Machine, i: Instruction) -> tuple[E, E]:
    """Both operands, the second at the width of the first."""
    a = m.read(i.operands[0])
    b = m.read(i.operands[1], a.ty) if isinstance(i.operands[1], Imm) else m.read(i.operands[1])
    return a, b


@instruction("mov", "movabs")
def mov(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    width = target.width
    if not isinstance(source, Imm) and source.width != width:
        raise LiftError("mov of two widths")
    if isinstance(source, Imm) and source.ref is not None and isinstance(target, Reg) and width == 32:
        # Code for low addresses, where this is how an address is loaded: the whole of it, wherever it will lie.
        target, width = Reg(target.name, 64), 64
    m.write(target, m.read(source, f"i{width}"))


@instruction("movzx", "movsx", "movsxd")
def extend(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    m.write(target, resize(m.read(source), f"i{target.width}", signed=i.mnemonic != "movzx"))


@instruction("lea")
def lea(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    assert isinstance(source, Mem)
    if source.segment:
        raise LiftError("lea with a segment")
    address = m.address(source)
    if address.op == "addr":
        address = E("addr", "i64", address.args, address.aux)
    m.write(target, resize(address, f"i{target.width}"))


@instruction("add")
def add(m: Machine, i: Instruction) -> None:
    a, b = _pair(m, i)
    if i.prefix == "lock":
        return _locked(m, i, "add", a, b)
    result = binary("add", a, b)
    m.write(i.operands[0], result)
    m.flags_add(a, b, result)
    return None


@instruction("sub")
def sub(m: Machine, i: Instruction) -> None:
    a, b = _pair(m, i)
    if i.prefix == "lock":
        return _locked(m, i, "sub", a, b)
    if _same(*i.operands):
        a = b = const(a.ty, 0)
    result = const(a.ty, 0) if _same(*i.operands) else binary("sub", a, b)
    m.write(i.operands[0], result)
    m.flags_sub(a, b, result)
    return None


@instruction("cmp")
def cmp(m: Machine, i: Instruction) -> None:
    a, b = _pair(m, i)
    m.flags_sub(a, b)


@instruction("and", "or", "xor")
def logic(m: Machine, i: Instruction) -> None:
    a, b = _pair(m, i)
    if i.prefix == "lock":
        return _locked(m, i, i.mnemonic, a, b)
    if _same(*i.operands):
        result = const(a.ty, 0) if i.mnemonic == "xor" else a
    elif (is_const(b, -1) and i.mnemonic == "or") or (is_const(b, 0) and i.mnemonic == "and"):
        result = b
    else:
        result = binary(i.mnemonic, a, b)
    m.write(i.operands[0], result)
    m.flags_logic(result)
    return None


@instruction("test")
def test(m: Machine, i: Instruction) -> None:
    a, b = _pair(m, i)
    m.flags_logic(a if _same(*i.operands) else binary("and", a, b))


def _locked(m: Machine, i: Instruction, op: str, a: E, b: E) -> None:
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


@instruction("inc", "dec")
def increment(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    one = const(a.ty, 1)
    op = "add" if i.mnemonic == "inc" else "sub"
    if i.prefix == "lock":
        _locked(m, i, op, a, one)
    else:
        result = binary(op, a, one)
        m.write(i.operands[0], result)
        (m.flags_add if op == "add" else m.flags_sub)(a, one, result)
    carry = reg("i1", "cc.b")
    equal = next(e.value for e in m.effects if e.unit == "cc.e")
    assert equal is not None
    m.effects = [e for e in m.effects if e.unit not in ("cc.b", "cc.a")]
    m.set("cc.a", invert(binary("or", carry, equal)))


@instruction("neg")
def neg(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    _no_lock(i)
    zero = const(a.ty, 0)
    result = binary("sub", zero, a)
    m.write(i.operands[0], result)
    m.flags_sub(zero, a, result)


@instruction("not")
def not_(m: Machine, i: Instruction) -> None:
    _no_lock(i)
    a = m.read(i.operands[0])
    m.write(i.operands[0], binary("xor", a, const(a.ty, -1)))


def _no_lock(i: Instruction) -> None:
    if i.prefix:
        raise LiftError(f"{i.prefix} {i.mnemonic}")


@instruction("adc", "sbb")
def carried(m: Machine, i: Instruction) -> None:
    a, b = _pair(m, i)
    _no_lock(i)
    width = bits(a.ty)
    wide = f"i{width * 2}"
    carry = reg("i1", "cc.b")
    if i.mnemonic == "sbb" and _same(*i.operands):
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


def _shift_count(i: Instruction) -> Operand:
    """The second operand, 1 where the instruction has none."""
    return (*i.operands, Imm(1, 8))[1]


@instruction("shl", "sal", "shr", "sar")
def shift(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    width = bits(a.ty)
    op = {"shl": "shl", "sal": "shl", "shr": "lshr", "sar": "ashr"}[i.mnemonic]
    count = _shift_count(i)
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


@instruction("rol", "ror")
def rotate(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    width = bits(a.ty)
    count = _shift_count(i)
    name = f"llvm.{'fshl' if i.mnemonic == 'rol' else 'fshr'}.{a.ty}"
    if isinstance(count, Imm):
        by = const(a.ty, (count.value & (63 if width == 64 else 31)) % width)
    else:
        # Masking to 5 bits first or not is the same for 8 and 16 bits: the widths divide 32.
        by = resize(m.read(count), a.ty)
    m.write(i.operands[0], E("call", a.ty, (a, a, by), name))
    m.kill("cc.o", "cc.b", "cc.a", "cc.l", "cc.g")


@instruction("shld", "shrd")
def double_shift(m: Machine, i: Instruction) -> None:
    a, b = m.read(i.operands[0]), m.read(i.operands[1])
    width = bits(a.ty)
    if width == 16:
        raise LiftError("a 16-bit double shift")
    by = m.read(i.operands[2], a.ty) if isinstance(i.operands[2], Imm) else resize(m.read(i.operands[2]), a.ty)
    if i.mnemonic == "shld":
        result = E("call", a.ty, (a, b, by), f"llvm.fshl.{a.ty}")
    else:
        result = E("call", a.ty, (b, a, by), f"llvm.fshr.{a.ty}")
    m.write(i.operands[0], result)
    m.flags()


@instruction("imul")
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


@instruction("mul")
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


@instruction("div", "idiv")
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


@instruction("cbw", "cwde", "cdqe")
def widen(m: Machine, i: Instruction) -> None:
    half, whole = {"cbw": (8, 16), "cwde": (16, 32), "cdqe": (32, 64)}[i.mnemonic]
    m.set("rax", cast("sext", f"i{whole}", m.register("rax", half)), partial=whole == 16)


@instruction("cwd", "cdq", "cqo")
def spread(m: Machine, i: Instruction) -> None:
    width = {"cwd": 16, "cdq": 32, "cqo": 64}[i.mnemonic]
    a = m.register("rax", width)
    m.set("rdx", binary("ashr", a, const(a.ty, width - 1)), partial=width == 16)


@instruction("bt", "bts", "btr", "btc")
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


@instruction("rcl", "rcr")
def rotate_through_carry(m: Machine, i: Instruction) -> None:
    count = _shift_count(i)
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


@instruction("bsf", "bsr", "tzcnt")
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
    if m.defined(target.name) and not _same(target, source):
        old = m.read(target)
        result = select(zero, old, result)
    m.write(target, result)
    if i.mnemonic == "tzcnt":
        m.flags()
    else:
        m.flags(e=zero)


@instruction("bswap")
def bswap(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[0])
    m.write(i.operands[0], E("call", a.ty, (a,), f"llvm.bswap.{a.ty}"))


@instruction("popcnt")
def popcnt(m: Machine, i: Instruction) -> None:
    a = m.read(i.operands[1])
    m.write(i.operands[0], E("call", a.ty, (a,), f"llvm.ctpop.{a.ty}"))
    no = const("i1", 0)
    zero = icmp("eq", a, const(a.ty, 0))
    m.flags(o=no, b=no, e=zero, a=invert(zero), s=no, p=no, l=no, g=invert(zero))


@instruction("xchg")
def xchg(m: Machine, i: Instruction) -> None:
    a, b = i.operands
    memory, other = (a, b) if isinstance(a, Mem) else (b, a)
    if isinstance(memory, Mem):
        value = m.read(other)
        m.effects.append(Effect("atomic", value=value, addr=m.address(memory), aux="xchg"))
        m.write(other, E("fixed", value.ty, (), "atomic"))
        return
    assert isinstance(a, Reg) and isinstance(b, Reg)
    if a.name == b.name and a.width == 8:  # `xchg al, ah`: one write, as the two would be of the same unit
        if a.high != b.high:
            whole = m.register(a.name, 16)
            eight = const("i16", 8)
            m.set(a.name, binary("or", binary("shl", whole, eight), binary("lshr", whole, eight)), partial=True)
        return
    first, second = m.read(a), m.read(b)
    m.write(a, second)
    m.write(b, first)


@instruction("xadd")
def xadd(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    value = m.read(source)
    if not isinstance(target, Mem) or i.prefix != "lock":
        before = m.read(target)
        result = binary("add", before, value)
        m.write(source, before)
        m.write(target, result)
        m.flags_add(before, value, result)
        return
    old = E("fixed", value.ty, (), "atomic")
    m.effects.append(Effect("atomic", value=value, addr=m.address(target), aux="add"))
    m.write(source, old)
    m.flags_add(old, value, binary("add", old, value))


@instruction("cmpxchg")
def cmpxchg(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    value = m.read(source)
    width = bits(value.ty)
    expected = m.register("rax", width)
    if not isinstance(target, Mem):
        raise LiftError("cmpxchg of registers")
    if i.prefix != "lock":
        before = m.read(target)
        same = icmp("eq", expected, before)
        m.write(target, select(same, value, before))
        if width == 32:  # rax keeps its upper half where the two are equal
            whole = m.register("rax", 64)
            m.set("rax", select(same, whole, cast("zext", "i64", before)))
        else:
            m.set("rax", before, partial=width < 32)
        m.flags_sub(expected, before)
        return
    old = E("fixed", value.ty, (), "atomic")
    m.effects.append(Effect("cmpxchg", value=value, addr=m.address(target), aux=expected))
    m.set("rax", old, partial=width < 32)
    m.flags_sub(expected, old)


@instruction("mfence", "lfence", "sfence")
def fence(m: Machine, i: Instruction) -> None:
    if i.mnemonic != "mfence":
        m.effects.append(
            Effect("intrinsic", aux=f"llvm.x86.{'sse2' if i.mnemonic == 'lfence' else 'sse'}.{i.mnemonic}")
        )
        return
    m.effects.append(Effect("fence"))


@instruction("movnti")
def store_past_caches(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], m.read(i.operands[1]))


@instruction("lahf", "sahf")
def flags_and_ah(m: Machine, i: Instruction) -> None:
    raise LiftError(f"{i.mnemonic} (flags as a number)")


@instruction("nop", "endbr64", "pause", "fnop")
def nothing(m: Machine, i: Instruction) -> None:
    if i.mnemonic == "pause":
        m.effects.append(Effect("intrinsic", aux="llvm.x86.sse2.pause"))


@instruction("cld")
def clear_direction(_m: Machine, _i: Instruction) -> None:
    """The direction flag is clear already: the calling convention says so."""


@instruction("ud2")
def trap(m: Machine, _i: Instruction) -> None:
    m.effects.append(Effect("trap"))


@instruction("clc", "stc", "cmc")
def carry_flag(m: Machine, i: Instruction) -> None:
    old = reg("i1", "cc.b")
    value = {"clc": const("i1", 0), "stc": const("i1", 1), "cmc": invert(old)}[i.mnemonic]
    m.set("cc.b", value)
    m.set("cc.a", invert(binary("or", value, reg("i1", "cc.e"))))


@instruction("cpuid")
def cpuid(m: Machine, _i: Instruction) -> None:
    raise LiftError("cpuid")


def _string_compare(m: Machine, i: Instruction) -> None:
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
        TABLE[f"{_kind}{_letter}"] = _string_compare


def _string_step(m: Machine, i: Instruction) -> None:
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
        TABLE[f"{_kind}{_letter}"] = _string_step


def _set_condition(m: Machine, i: Instruction) -> None:
    m.write(i.operands[0], cast("zext", "i8", m.condition(i.mnemonic[3:])))


def _move_condition(m: Machine, i: Instruction) -> None:
    target, source = i.operands
    name, inverted = CONDITION_CODES[i.mnemonic[4:]]
    moved, kept = m.read(source), m.read(target)
    m.write(target, select(reg("i1", f"cc.{name}"), *((kept, moved) if inverted else (moved, kept))))


for _code in CONDITION_CODES:
    TABLE[f"set{_code}"] = _set_condition
    TABLE[f"cmov{_code}"] = _move_condition
