"""Lines of textual LLVM-IR: fresh values, and the conversions and negations that fold away as they are made.

What is folded is only what hides the meaning: constants converted, a conversion undone, a comparison negated. Nothing
is moved or looked up in memory; values are named `%vN` in the order in which they are made.
"""

from __future__ import annotations

import re

from irwright.errors import LiftError
from irwright.lift.expressions import bits

NUMBER = re.compile(r"-?\d+")
_PAIRS = (("eq", "ne"), ("ult", "uge"), ("ugt", "ule"), ("slt", "sge"), ("sgt", "sle"))
_FLOAT_PAIRS = (("oeq", "une"), ("one", "ueq"), ("olt", "uge"), ("ole", "ugt"), ("ogt", "ule"), ("oge", "ult"))
OPPOSITE = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
OPPOSITE_FLOAT = {a: b for pair in (*_FLOAT_PAIRS, ("ord", "uno")) for a, b in (pair, pair[::-1])}


class Builder:
    """Text of one function as it grows; `made` remembers how values came about."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counter = 0
        self.made: dict[str, tuple[str, ...]] = {}
        """value to (conversion, type, value), or to (icmp or fcmp, predicate, type, value, value)"""

    def new(self, text: str) -> str:
        """A line that defines a fresh value."""
        self.counter += 1
        value = f"%v{self.counter}"
        self.lines.append(f"  {value} = {text}")
        return value

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    # Conversions

    def convert(self, op: str, have: str, value: str, want: str) -> str:
        """trunc, zext, sext, bitcast, ptrtoint or inttoptr of a value."""
        folded = self._folded(op, have, value, want)
        if folded is not None:
            return folded
        result = self.new(f"{op} {have} {value} to {want}")
        self.made[result] = (op, have, value)
        return result

    def _folded(self, op: str, have: str, value: str, want: str) -> str | None:
        if have == want:
            return value
        if value in ("true", "false") and op in ("zext", "sext"):
            return "0" if value == "false" else "1" if op == "zext" else "-1"
        if NUMBER.fullmatch(value) and have[0] == "i" and want[0] == "i":
            return literal(int(value) & ((1 << bits(have)) - 1) if op == "zext" else int(value), want)
        if value == "null" and op == "ptrtoint":
            return "0"
        if value == "0" and op == "inttoptr":
            return "null"
        before, inner_ty, inner = self.made.get(value, ("", "", ""))[:3]
        if (op, before) in (("ptrtoint", "inttoptr"), ("inttoptr", "ptrtoint")):
            return self.convert("bitcast", inner_ty, inner, want) if inner_ty != want else inner
        if op == "bitcast" and before == "bitcast" and inner_ty == want:
            return inner
        if op == "zext" and before == "zext":
            return self.convert("zext", inner_ty, inner, want)
        if op == "trunc" and before in ("zext", "sext", "trunc"):
            a, b = bits(inner_ty), bits(want)
            if a == b:
                return inner
            return self.convert("trunc" if a > b else before, inner_ty, inner, want)
        return None

    def coerce(self, value: str, have: str, want: str, *, extend: bool = False) -> str:
        """A value at another type: low bits kept, upper bits zero (`extend`) or of no meaning."""
        if have == want:
            return value
        a, b = bits(have), bits(want)
        if a == b:
            if have == "ptr":
                return self.coerce(self.convert("ptrtoint", "ptr", value, "i64"), "i64", want)
            if want == "ptr":
                return self.convert("inttoptr", "i64", self.coerce(value, have, "i64"), "ptr")
            return self.convert("bitcast", have, value, want)
        if have == "ptr" and want[0] == "<":  # vectors of pointers are no vectors of numbers
            return self.coerce(self.convert("ptrtoint", "ptr", value, "i64"), "i64", want, extend=extend)
        if want == "ptr" and have[0] == "<":
            return self.convert("inttoptr", "i64", self.coerce(value, have, "i64"), "ptr")
        if have[0] == "<" and a > b and a % b == 0 and want[0] != "<":
            lanes = f"<{a // b} x {want}>"
            return self.new(f"extractelement {lanes} {self.coerce(value, have, lanes)}, i64 0")
        if want[0] == "<" and b > a and b % a == 0 and have[0] != "<":
            lanes = f"<{b // a} x {have}>"
            start = "zeroinitializer" if extend else "poison"
            return self.coerce(self.new(f"insertelement {lanes} {start}, {have} {value}, i64 0"), lanes, want)
        integer = self.coerce(value, have, f"i{a}")
        return self.coerce(self.convert("trunc" if b < a else "zext", f"i{a}", integer, f"i{b}"), f"i{b}", want)

    def bitwise(self, op: str, ty: str, a: str, b: str) -> str:
        """and, or, xor; a choice by a mask that a comparison made is a select."""
        if op == "or" and (chosen := self._chosen(ty, a, b) or self._chosen(ty, b, a)) is not None:
            return chosen
        result = self.new(f"{op} {ty} {a}, {b}")
        self.made[result] = (op, ty, a, b)
        return result

    def of_conditions(self, op: str, a: str, b: str) -> str:
        """and, or, xor of bytes: of two conditions, one condition."""
        found = [self._condition(value) for value in (a, b)]
        if found[0] is None or found[1] is None:
            return self.new(f"{op} i8 {a}, {b}")
        both = self.new(f"{op} i1 {found[0]}, {found[1]}")
        self.made[both] = (op, "i1", found[0], found[1])
        return self.convert("zext", "i1", both, "i8")

    def _is_true(self, condition: str) -> str:
        """A condition that code generation compares with 1: of two, the second was asked for after the first."""
        made = self.made.get(condition, ("",))
        if made[:2] != ("and", "i1"):
            return condition
        return self.new(f"select i1 {made[3]}, i1 {made[2]}, i1 false")

    def _condition(self, value: str) -> str | None:
        """The condition that a byte says, where it does."""
        made = self.made.get(value, ("",))
        return made[2] if made[:2] == ("zext", "i1") else None

    def _chosen(self, ty: str, kept: str, other: str) -> str | None:
        """`(mask and x) or (not mask and y)`."""
        for mask, x in self._operands("and", kept):
            made = self.made.get(mask, ("",))
            if made[0] != "sext" or made[1] != "i1":
                continue
            for inverted, y in self._operands("and", other):
                if any(of == mask and ones.isdigit() for of, ones in self._operands("xor", inverted)):
                    values = [self._before_bitcast(value) for value in (x, y)]
                    have = values[0][0] if values[0][0] == values[1][0] else ty
                    texts = [value if have != ty else whole for (_, value), whole in zip(values, (x, y), strict=True)]
                    result = self.new(f"select i1 {made[2]}, {have} {texts[0]}, {have} {texts[1]}")
                    return self.convert("bitcast", have, result, ty)
        return None

    def _operands(self, op: str, value: str) -> list[tuple[str, str]]:
        """Both orders of an operation's operands."""
        made = self.made.get(value, ("",))
        return [(made[2], made[3]), (made[3], made[2])] if made[0] == op else []

    def _before_bitcast(self, value: str) -> tuple[str, str]:
        made = self.made.get(value, ("",))
        return (made[1], made[2]) if made[0] == "bitcast" else ("", value)

    # Comparisons

    def compare(self, op: str, ty: str, a: str, b: str) -> str:
        """`icmp` or `fcmp` with its predicate."""
        kind, predicate = op.split()
        if b in ("0", "1") and predicate in ("eq", "ne") and (condition := self._condition(a)) is not None:
            condition = self._is_true(condition) if b == "1" else condition
            return condition if (b == "1") == (predicate == "eq") else self.inverse(condition)
        result = self.new(f"{op} {ty} {a}, {b}")
        self.made[result] = (kind, predicate, ty, a, b)
        return result

    def unequal(self, value: str) -> str:
        """`one` made to hold where nothing can be compared, too: `une`."""
        made = self.made.get(value, ("",))
        if made[:2] != ("fcmp", "one"):
            raise LiftError("two jumps by a comparison of numbers that is not known")
        return self.compare("fcmp une", *made[2:])

    def inverse(self, value: str) -> str:
        """The negation of an i1: of a comparison, the opposite one."""
        if value in ("true", "false"):
            return "false" if value == "true" else "true"
        made = self.made.get(value, ("",))
        opposite = (OPPOSITE if made[0] == "icmp" else OPPOSITE_FLOAT).get(made[1]) if len(made) == 5 else None
        if opposite is not None:
            return self.compare(f"{made[0]} {opposite}", *made[2:])
        if made[0] == "not":
            return made[2]
        result = self.new(f"xor i1 {value}, true")
        self.made[result] = ("not", "i1", value)
        return result


def literal(value: int, ty: str) -> str:
    """An integer as LLVM writes it at a width."""
    width = bits(ty)
    value &= (1 << width) - 1
    if ty == "i1":
        return "true" if value else "false"
    return str(value - (1 << width) if value >> (width - 1) else value)
