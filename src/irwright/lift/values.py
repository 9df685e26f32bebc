"""Expressions as textual LLVM-IR: values, addresses and constants of one function, in the types that its webs have.

Nothing is optimised here. What variables hold is known to variables.py; steps and control are others'.
"""

from __future__ import annotations

from bisect import bisect_right

from irwright.errors import LiftError
from irwright.lift.builder import OPPOSITE, literal
from irwright.lift.expressions import Address, E, Ref, bits, element
from irwright.lift.variables import Variables
from irwright.lift.webs import LANEWISE
from irwright.lift.x86_64.machine import CONDITION_CODES

NATURAL = frozenset(["i16", "i32", "i64", "ptr", "float", "double"])
"""types that C aligns to their size"""


def volatile_text(align: int) -> str:
    """What an access says that must stay where it is (volatile.py)."""
    return "volatile " if align < 0 else ""


class Values(Variables):
    """Values of one function's expressions, as lines of text."""

    def narrow(self, e: E, ty: str) -> str:
        """The low bits of a value, computed narrow where that is the same."""
        width = bits(ty)
        if e.op == "reg":
            value, have = self.load_web(e.aux)
            return self.coerce(value, have, ty)
        is_scalar = e.ty[0] != "<" and e.args and e.args[0] is not None and e.args[0].ty[0] != "<"
        if e.op in ("zext", "sext", "trunc") and is_scalar and e.args[0] is not None and bits(e.args[0].ty) >= width:
            inner = e.args[0]
            return self.value(inner, ty) if bits(inner.ty) == width else self.narrow(inner, ty)
        if e.op == "const" and isinstance(e.aux, int) and ty[0] == "i":
            return self._constant(e, ty)
        if e.op == "load" and width % 8 == 0 and e.args[0] is not None:
            if self.is_likely and e.ty in ("i16", "i32", "i64") and ty[0] == "i" and not self.analysis.slot(e.args[0]):
                return self.coerce(self._load(e, e.ty), e.ty, ty)
            return self._load(e, ty)
        if e.op in ("and", "or", "xor") and e.ty[0] == "<" and width in (32, 64):
            inner = f"i{width}"
            a, b = (self.narrow(node, inner) for node in e.args if node is not None)
            return self.coerce(self.bitwise(e.op, inner, a, b), inner, ty)
        if e.op == "const" and e.ty[0] == "<":
            return self.coerce(str(_packed(e) & ((1 << width) - 1)), f"i{width}", ty)
        if e.op in LANEWISE and e.ty[0] == "<" and element(e.ty) == ty and not e.op.startswith(("icmp", "fcmp")):
            # One lane of a lanewise operation is all that is read.
            a, b = (self.narrow(node, ty) for node in e.args if node is not None)
            return self.new(f"{e.op} {ty} {a}, {b}")
        natural = self.natural(e)
        return self.coerce(self.value(e, natural), natural, ty)

    def value(self, e: E, want: str = "") -> str:
        """The text of a value, at type `want` (of the same width)."""
        want = want or e.ty
        key = (id(e), want)
        known = self.memo.get(key)
        if known is not None:
            return known
        text = self._value(e, want)
        self.memo[key] = text
        return text

    def _value(self, e: E, want: str) -> str:
        op = e.op
        if op == "reg":
            value, have = self.load_web(e.aux)
            return self.coerce(value, have, want)
        if op == "const":
            return self._constant(e, want)
        if op == "load":
            return self._load(e, want)
        if op == "addr" and want[0] == "i" and self._is_sum(e) and not self.is_pointer(e):
            return self._sum(e, want)
        if op in ("frame", "sym", "addr"):
            return self.coerce(self.address(e), "ptr", want)
        if op == "fixed":
            value, have = self.fixed[e.aux]
            return self.coerce(value, have, want)
        if op in ("add", "sub") and e.ty == "i64":
            side = self.pointer_side(e)
            if side is not None:
                base, other = e.args[side], e.args[1 - side]
                assert base is not None and other is not None
                pointer = self.value(base, "ptr")
                if other.op == "const":
                    offset = str(other.aux if op == "add" else -other.aux)
                else:
                    self.adds_to_pointers = True
                    offset = self.value(other, "i64")
                    if op == "sub":
                        offset = self.new(f"sub i64 0, {offset}")
                return self.coerce(self.new(f"getelementptr i8, ptr {pointer}, i64 {offset}"), "ptr", want)
        natural = e.ty
        text = self._operation(e)
        return self.coerce(text, natural, want)

    def _constant(self, e: E, want: str) -> str:
        if e.op == "poison":
            return "poison"
        value = e.aux
        if isinstance(value, tuple):
            lanes: tuple[int, ...] = e.aux
            lane_ty = element(e.ty)
            if all(lane == 0 for lane in lanes):
                return "zeroinitializer" if want[0] == "<" else self._zero(want)
            text = "<" + ", ".join(f"{lane_ty} {lane}" for lane in lanes) + ">"
            return text if want == e.ty else self.new(f"bitcast {e.ty} {text} to {want}")
        if want == "ptr":
            return "null" if value == 0 else self.new(f"inttoptr i64 {value} to ptr")
        if want[0] == "i":
            return literal(value, want)
        if value == 0:
            return self._zero(want)
        return self.new(f"bitcast {e.ty} {value} to {want}")

    def _zero(self, ty: str) -> str:
        if ty in ("float", "double", "x86_fp80"):
            return "0.0" if ty != "x86_fp80" else "0xK00000000000000000000"
        return "zeroinitializer" if ty[0] == "<" else "null" if ty == "ptr" else "0"

    def _load(self, e: E, want: str) -> str:
        address = e.args[0]
        assert address is not None
        slot = self.analysis.slot(address)
        if slot:
            value, have = self.load_web(slot)
            return self.coerce(value, have, want)
        if address.op == "addr":
            how: Address = address.aux
            if how.ref is not None and address.args == (None, None):
                if how.ref.kind == "got":
                    return self.coerce(self.names.got(how.ref), "ptr", want)
                literal = self.names.literal(how.ref, want) if how.ref.kind == "direct" else None
                if literal is not None:
                    return literal
        if id(e) in self.loaded:
            have, value = self.loaded[id(e)]
            return self.coerce(value, have, want)
        key = (id(e), "loaded")
        known = self.memo.get(key)
        if known is not None:
            have, _, value = known.partition(" ")
            return self.coerce(value, have.replace("_", " "), want)
        value = self.new(
            f"load {volatile_text(e.aux)}{want}, {self.pointer(address)}, align {self._align(e.aux, e.ty)}"
        )
        self.memo[key] = f"{want.replace(' ', '_')} {value}"
        return value

    def _align(self, align: int, ty: str) -> int:
        """The alignment of an access: likely, numbers lie as C lays them out."""
        return max(abs(align), bits(ty) // 8) if self.is_likely and ty in NATURAL else abs(align)

    def pointer(self, address: E) -> str:
        """An address with its pointer type, `ptr %x`."""
        if address.op == "addr":
            how: Address = address.aux
            if how.segment:
                space = 257 if how.segment == "fs" else 256
                if how.ref is not None:
                    raise LiftError("thread-local data")
                if address.args == (None, None):
                    return f"ptr addrspace({space}) inttoptr (i64 {how.disp} to ptr addrspace({space}))"
                raise LiftError("a segment with registers")
        return f"ptr {self.address(address)}"

    def address(self, e: E) -> str:
        """A ptr value."""
        if e.op == "frame":
            return self.frame(int(e.aux))
        if e.op == "sym":
            return self._place(e.aux)
        if e.op != "addr":
            return self.value(e, "ptr")
        how: Address = e.aux
        base, index = e.args
        if how.segment:
            raise LiftError("the address of a segment")
        if how.ref is not None and how.ref.kind not in ("direct", "tls"):
            if how.ref.kind == "got" and base is None and index is None:
                raise LiftError("the address of a table entry")
            raise LiftError(f"a reference of kind {how.ref.kind}")
        offset = how.disp
        pointer = ""
        rest: list[tuple[E, int]] = []
        if how.ref is not None:
            pointer = self._place(how.ref)
            rest = [(node, scale) for node, scale in ((base, 1), (index, how.scale)) if node is not None]
        elif base is None and index is None:
            return self.new(f"inttoptr i64 {offset} to ptr")
        elif base is None or (
            index is not None and how.scale == 1 and self.is_pointer(index) and not self.is_pointer(base)
        ):
            assert index is not None
            if how.scale == 1:
                pointer = self.value(index, "ptr")
                rest = [(base, 1)] if base is not None else []
            else:
                return self.convert("inttoptr", "i64", self._sum(e, "i64"), "ptr")
        elif index is not None and not self.is_pointer(base):
            # Neither is known to be the pointer: the address is a number.
            return self.convert("inttoptr", "i64", self._sum(e, "i64"), "ptr")
        else:
            pointer = self.value(base, "ptr")
            rest = [(index, how.scale)] if index is not None else []
        for node, scale in rest:
            unit = {1: "i8", 2: "i16", 4: "i32", 8: "i64"}[scale]
            self.adds_to_pointers |= scale == 1
            pointer = self.new(f"getelementptr {unit}, ptr {pointer}, i64 {self.value(node, 'i64')}")
        if offset:
            pointer = self.new(f"getelementptr i8, ptr {pointer}, i64 {offset}")
        return pointer

    def _is_sum(self, e: E) -> bool:
        """An address made of registers and numbers alone."""
        return e.aux.ref is None and not e.aux.segment and all(n is None or n.op != "frame" for n in e.args)

    def _sum(self, e: E, ty: str) -> str:
        """An address computed as a number."""
        how: Address = e.aux
        base, index = (None if node is None else self.narrow(node, ty) for node in e.args)
        if index is not None and how.scale != 1:
            index = self.new(f"shl {ty} {index}, {how.scale.bit_length() - 1}")
        total = base if index is None else index if base is None else self.new(f"add {ty} {base}, {index}")
        offset = literal(how.disp, ty)
        if total is None:
            return offset
        return self.new(f"add {ty} {total}, {offset}") if how.disp else total

    def frame(self, offset: int) -> str:
        """The address of a place in the frame."""
        if offset > 0:
            return self._incoming(offset - 8)
        starts = self.frame_use.starts
        start = starts[max(0, bisect_right(starts, offset) - 1)]
        self.used_objects.add(start)
        name = self._object_name(start)
        return self.new(f"getelementptr i8, ptr {name}, i64 {offset - start}") if offset != start else name

    def _incoming(self, offset: int) -> str:
        """The address of a place in the parameters that lie in memory."""
        for number, (unit, _) in enumerate(self.signature.params):
            if unit.startswith("area."):
                return self.new(f"getelementptr i8, ptr %a{number}, i64 {offset}") if offset else f"%a{number}"
        raise LiftError("the address of a stack argument")

    def _object_name(self, start: int) -> str:
        return "%frame" if len(self.frame_use.starts) == 1 else f"%frame.{start - self.frame_use.base}"

    def _place(self, ref: Ref) -> str:
        if ref.kind == "got":
            raise LiftError("the address of a table entry")
        if ref.kind == "tls":
            name, offset = self.names.thread_local(ref)
            self.names.intrinsic("llvm.threadlocal.address.p0", "declare ptr @llvm.threadlocal.address.p0(ptr nonnull)")
            symbol = self.new(f"call ptr @llvm.threadlocal.address.p0(ptr {name})")
        else:
            symbol, offset = self.names.place(ref)
        return self.new(f"getelementptr i8, ptr {symbol}, i64 {offset}") if offset else symbol

    def _operation(self, e: E) -> str:
        op, ty = e.op, e.ty
        args = [node for node in e.args if node is not None]
        if op == "poison":
            return "poison"
        if op == "thread":
            return self.new("load i64, ptr addrspace(257) null, align 8")
        if op.startswith("icmp"):
            return self._icmp(op, args)
        if op.startswith("fcmp"):
            return self.compare(op, args[0].ty, self.value(args[0]), self.value(args[1]))
        if self.is_likely and op == "xor" and ty == "i1" and (sign := self._sign_of_sum(args)) is not None:
            return sign
        if op == "xor" and ty == "i1" and args[1].op == "const" and args[1].aux:
            return self.inverse(self.value(args[0]))
        if op == "select":
            return self._select(args, ty)
        if op == "call":
            return self._intrinsic(e.aux, args, ty)
        if op in ("zext", "sext", "trunc", "bitcast", "sitofp", "uitofp", "fpext", "fptrunc", "fptosi"):
            if op == "trunc" and args[0].op == "addr" and self._is_sum(args[0]):
                return self._sum(args[0], ty)
            if op == "trunc" and args[0].op in ("reg", "load"):
                return self.narrow(args[0], ty)
            if op in ("zext", "sext", "trunc", "bitcast"):
                return self.convert(op, args[0].ty, self.value(args[0]), ty)
            return self.new(f"{op} {args[0].ty} {self.value(args[0])} to {ty}")
        if op == "shufflevector":
            lanes = ", ".join(f"i32 {k}" for k in e.aux)
            a = self._lane_source(args[0])
            b = a if args[1] is args[0] else self._lane_source(args[1])
            return self.new(f"shufflevector {args[0].ty} {a}, {args[1].ty} {b}, <{len(e.aux)} x i32> <{lanes}>")
        if op == "extractelement":
            return self.new(f"extractelement {args[0].ty} {self.value(args[0])}, i64 {e.aux}")
        if op == "insertelement":
            return self.new(
                f"insertelement {ty} {self.value(args[0])}, {args[1].ty} {self.value(args[1])}, i64 {e.aux}"
            )
        if op == "overflow":
            return self.new(f"extractvalue {{ {args[0].ty}, i1 }} {self._with_overflow(e)}, 1")
        if op == "wrapped":
            assert e.args[0] is not None
            return self.new(f"extractvalue {{ {ty}, i1 }} {self._with_overflow(e.args[0])}, 0")
        if op == "fneg":
            return self.new(f"fneg {ty} {self.value(args[0])}")
        if op.startswith("wide "):
            return self._divide(op[5:], ty, args)
        if self.is_likely and op in ("shl", "lshr", "ashr") and args[1].op == "and" and args[1].args[0] is not None:
            # C shifts by less than the width.
            return self.new(f"{op} {ty} {self.value(args[0])}, {self.value(args[1].args[0])}")
        if ty == "i8" and op in ("and", "or", "xor"):
            return self.of_conditions(op, self.value(args[0]), self.value(args[1]))
        flag = " nsw" if self.is_likely and op in ("add", "sub") and self._is_compared_signed() else ""
        return self.new(f"{op}{flag} {ty} {self.value(args[0])}, {self.value(args[1])}")

    def _select(self, args: list[E], ty: str) -> str:
        test, a, b = self.value(args[0]), self.value(args[1], ty), self.value(args[2], ty)
        if self.options.falls_first and self._is_negated_move():
            test, a, b = self.inverse(test), b, a
        if (bound := self._bound(test, a, b, ty)) is not None:
            return bound
        return self.new(f"select {args[0].ty} {test}, {ty} {a}, {ty} {b}")

    def _intrinsic(self, name: str, args: list[E], ty: str) -> str:
        if self.is_likely and name.startswith(("llvm.x86.sse.cvtt", "llvm.x86.sse2.cvtts")) and ty[0] == "i":
            lane = args[0].args[1]
            assert lane is not None
            return self.new(f"fptosi {lane.ty} {self.value(lane)} to {ty}")
        texts = ", ".join(f"{a.ty} {'true' if a.ty == 'i1' and a.aux == 1 else self.value(a)}" for a in args)
        self.names.intrinsic(name, f"declare {ty} @{name}({', '.join(a.ty for a in args)})")
        return self.new(f"call {ty} @{name}({texts})")

    def _is_compared_signed(self) -> bool:
        """The signed order of a sum and zero is asked for: numbers that overflow have none."""
        return self.write_web("cc.l") is not None or self.write_web("cc.g") is not None

    def _sign_of_sum(self, args: list[E]) -> str | None:
        """`sum < 0` and `sum > 0` as flags have them, of a sum that does not overflow."""
        first, second = args
        if first.op == "icmp slt" and second.op == "overflow":
            return self.value(first)
        less = first.args[0] if first.op == "or" and second.op == "const" and second.aux else None
        if less is None or less.op != "xor":
            return None
        sign, overflow = less.args
        if sign is None or overflow is None or sign.op != "icmp slt" or overflow.op != "overflow":
            return None
        total, zero = sign.args
        assert total is not None and zero is not None
        return self.compare("icmp sgt", total.ty, self.value(total), self.value(zero))

    def _lane_source(self, e: E) -> str:
        """A vector of which lanes are taken; where no lane of it is wanted, nobody has read it."""
        if e.op == "reg" and (*self.at, e.aux) not in self.analysis.read_nodes:
            return "poison"
        return self.value(e)

    def _is_negated_move(self) -> bool:
        """True for `cmovne` and the like, which move where a condition does not hold."""
        index, number = self.at
        code = self.flow.blocks[index].steps[number].insn.mnemonic.removeprefix("cmov")
        return CONDITION_CODES.get(code, ("", False))[1]

    def _bound(self, test: str, a: str, b: str, ty: str) -> str | None:
        """The larger or smaller of two values, where a select chooses it."""
        made = self.made.get(test, ())
        if not self.options.falls_first or len(made) != 5 or made[0] != "icmp" or made[2] != ty or ty[0] != "i":
            return None
        predicate, left, right = made[1], made[3], made[4]
        if (a, b) == (right, left):
            predicate = OPPOSITE.get(predicate, "")
        elif (a, b) != (left, right):
            return None
        kind = {"slt": "smin", "sle": "smin", "sgt": "smax", "sge": "smax"}.get(predicate)
        kind = kind or {"ult": "umin", "ule": "umin", "ugt": "umax", "uge": "umax"}.get(predicate)
        if kind is None:
            return None
        name = f"llvm.{kind}.{ty}"
        self.names.intrinsic(name, f"declare {ty} @{name}({ty}, {ty})")
        return self.new(f"call {ty} @{name}({ty} {a}, {ty} {b})")

    def _with_overflow(self, e: E) -> str:
        """The pair an overflow intrinsic gives; one call for value and overflow."""
        key = (id(e), "pair")
        if key not in self.memo:
            a, b = (node for node in e.args if node is not None)
            name = f"llvm.{e.aux}.with.overflow.{a.ty}"
            pair = f"{{ {a.ty}, i1 }}"
            self.names.intrinsic(name, f"declare {pair} @{name}({a.ty}, {a.ty})")
            self.memo[key] = self.new(f"call {pair} @{name}({a.ty} {self.value(a)}, {a.ty} {self.value(b)})")
        return self.memo[key]

    def _compared_count(self, op: str, a: E, b: E) -> str | None:
        """Whether a counter's next value is the last: how often it has stepped is compared, as the loop had it."""
        if a.op != "reg" or b.op != "const" or op not in ("icmp eq", "icmp ne"):
            return None
        web = self.counted_ahead.get(id(self.read_web(a.aux)))
        counter = None if web is None else self.counters[id(web)]
        if web is None or counter is None or counter.start is None or bits(a.ty) != bits(web.ty):
            return None
        number, rest = divmod(b.aux - counter.start - counter.step, counter.step)
        ty = "i64" if web.ty == "ptr" else web.ty
        return None if rest else self.compare(op, ty, self.new(f"load {ty}, ptr %{web.name}.count"), str(number))

    def _icmp(self, op: str, args: list[E]) -> str:
        a, b = args
        if (compared := self._compared_count(op, a, b)) is not None:
            return compared
        ty = a.ty
        if ty == "i64":
            pointers = [self.is_pointer(node) for node in args]
            if self.is_likely and any(pointers):  # what lies in memory is compared as what it is compared with
                pointers = [
                    p or (node.op == "load" and node.ty == "i64") for p, node in zip(pointers, args, strict=True)
                ]
            null = [node.op == "const" and node.aux == 0 for node in args]
            if all(p or n for p, n in zip(pointers, null, strict=True)) and any(pointers):
                unsigned = op.split()[1] in ("eq", "ne", "ult", "ule", "ugt", "uge")
                if unsigned:
                    ty = "ptr"
        return self.compare(op, ty, self.value(a, ty), self.value(b, ty))

    def _divide(self, op: str, ty: str, args: list[E]) -> str:
        high, low, divisor = args
        kind = self._extension(high, low, op)
        if kind:
            return self.new(f"{op} {ty} {self.value(low)}, {self.value(divisor)}")
        width = bits(ty)
        wide = f"i{width * 2}"
        h = self.new(f"zext {ty} {self.value(high)} to {wide}")
        shifted = self.new(f"shl {wide} {h}, {width}")
        low_wide = self.new(f"zext {ty} {self.value(low)} to {wide}")
        whole = self.new(f"or {wide} {shifted}, {low_wide}")
        extend = "sext" if op[0] == "s" else "zext"
        d = self.new(f"{extend} {ty} {self.value(divisor)} to {wide}")
        return self.new(f"trunc {wide} {self.new(f'{op} {wide} {whole}, {d}')} to {ty}")

    def _extension(self, high: E, low: E, op: str) -> bool:
        """True where the high half is the extension of the low one, made shortly before in the same block."""
        index, number = self.at
        width = bits(low.ty)
        steps = self.flow.blocks[index].steps
        for at in range(number - 1, -1, -1):
            sets = [e for e in steps[at].effects if e.kind in ("set", "kill", "call")]
            if any(e.kind == "call" for e in sets):
                return False
            units = {e.unit for e in sets}
            if "rdx" in units:
                value = (
                    next(e.value for e in sets if e.unit == "rdx" and e.kind == "set")
                    if any(e.unit == "rdx" and e.kind == "set" for e in sets)
                    else None
                )
                if value is None:
                    return False
                if op[0] == "u":
                    return value.op == "const" and value.aux == 0
                if value.op == "ashr" and value.args[0] is not None and value.args[0].op == "reg":
                    return value.args[0].aux == "rax" and bits(value.ty) == width
                return False
            if "rax" in units and op[0] == "s":
                return False
        return False


def _packed(e: E) -> int:
    """A constant vector as one number."""
    size = bits(element(e.ty))
    lanes: tuple[int, ...] = e.aux
    return sum((lane & ((1 << size) - 1)) << (size * number) for number, lane in enumerate(lanes))
