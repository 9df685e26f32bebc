"""What one instruction reads, writes and leaves in the flags, as effects; how operands are read.

The conditions are kept, not the flags: each is one unit of type i1. What the manual leaves undefined is `kill`ed:
reading it later makes the function not liftable, never wrong.
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
    reg,
    resize,
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


def same(a: Operand, b: Operand) -> bool:
    return isinstance(a, Reg) and a == b


def pair(m: Machine, i: Instruction) -> tuple[E, E]:
    """Both operands, the second at the width of the first."""
    a = m.read(i.operands[0])
    b = m.read(i.operands[1], a.ty) if isinstance(i.operands[1], Imm) else m.read(i.operands[1])
    return a, b


def refuse_prefix(i: Instruction) -> None:
    if i.prefix:
        raise LiftError(f"{i.prefix} {i.mnemonic}")
