"""What instructions mean: expressions over registers and memory, and the effects that write them.

An expression is a node with an LLVM type; `op` is an LLVM opcode where one fits. The other kinds of node:

    reg     the low bits of a unit (`aux` its name): a general register, xmm register, condition or stack slot
    const   an integer (`aux`), or a floating-point or vector value as LLVM spells it
    addr    an address: args (base or None, index or None), `aux` an Address
    frame   the address `aux` bytes above the stack pointer at entry
    thread  the thread pointer
    load    memory at args[0]; `aux` the alignment
    call    an LLVM intrinsic, `aux` its name
    fixed   a value that emission knows by `aux` (the result of a call)

Units of conditions are `cc.o cc.b cc.e cc.a cc.s cc.p cc.l cc.g`: what the x86 condition codes of these names test;
the others are their negations, so that comparisons come out in the forms LLVM calls canonical. A flag-setting
instruction defines those it can; nothing else of the flags register exists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

CONDITIONS = ("o", "b", "e", "a", "s", "p", "l", "g")
CC_UNITS = tuple(f"cc.{name}" for name in CONDITIONS)


@cache
def bits(ty: str) -> int:
    """Width of an LLVM type in bits."""
    if ty[0] == "i":
        return int(ty[1:])
    if ty == "ptr":
        return 64
    if ty[0] == "<":
        match = re.fullmatch(r"<(\d+) x (\w+)>", ty)
        assert match is not None, ty
        return int(match[1]) * bits(match[2])
    return {"half": 16, "float": 32, "double": 64, "x86_fp80": 80}[ty]


@cache
def element(ty: str) -> str:
    """Element type of a vector type, the type itself of a scalar."""
    return ty[ty.index("x ") + 2 : -1] if ty[0] == "<" else ty


@dataclass(frozen=True, slots=True)
class Ref:
    """A place named by a relocation, a label or a displacement from the instruction pointer."""

    symbol: str | None
    """name, where the file leaves it to the linker"""
    section: int
    """index of the section it lies in; -1 where only the symbol is known"""
    offset: int
    """from the symbol, or within the section"""
    kind: str = "direct"
    """direct, got (the address of a pointer to it), tls (this thread's), tpoff (its offset), gottpoff, tlsgd, tlsld"""
    anchor: int | None = None
    """where the object begins, or a place in it, if it is known that the place belongs to that object"""


@dataclass(frozen=True, slots=True)
class Address:
    """How base and index make an address."""

    scale: int = 1
    disp: int = 0
    ref: Ref | None = None
    segment: str = ""


class E:
    """One expression node; nodes are shared inside an instruction and compared by identity."""

    __slots__ = ("args", "aux", "op", "ty")

    def __init__(self, op: str, ty: str, args: tuple[Any, ...] = (), aux: Any = None) -> None:
        self.op = op
        self.ty = ty
        self.args: tuple[E | None, ...] = args
        self.aux = aux

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.args))
        return f"{self.op}:{self.ty}({inside}{', ' if inside and self.aux is not None else ''}{self.aux or ''})"


class Effect:
    """One write: of a unit (`set`), of memory (`store`), or of control (`jump`, `branch`, `switch`, `call`, `ret`).

    `partial` sets keep the bits of the unit above their own; a 32-bit set of a general register clears them.
    `kill` leaves a unit with no value anybody may read.
    """

    __slots__ = ("addr", "aux", "kind", "partial", "unit", "value")

    def __init__(
        self,
        kind: str,
        unit: str = "",
        value: E | None = None,
        *,
        addr: E | None = None,
        partial: bool = False,
        aux: Any = None,
    ) -> None:
        self.kind = kind
        self.unit = unit
        self.value = value
        self.addr = addr
        self.partial = partial
        self.aux = aux

    def __repr__(self) -> str:
        return f"{self.kind} {self.unit} {self.value!r} {self.addr or ''} {self.aux or ''}"


def const(ty: str, value: int) -> E:
    """An integer constant, reduced to its width (signed)."""
    width = bits(ty)
    value &= (1 << width) - 1
    if value >> (width - 1) and width > 1:
        value -= 1 << width
    return E("const", ty, (), value)


def is_const(e: E, value: int | None = None) -> bool:
    """True for an integer constant (of this value)."""
    return e.op == "const" and isinstance(e.aux, int) and (value is None or e.aux == value)


def reg(ty: str, unit: str) -> E:
    """The low bits of a unit."""
    return E("reg", ty, (), unit)


def binary(op: str, a: E, b: E) -> E:
    """An LLVM operation on two values of one type."""
    return E(op, a.ty, (a, b))


def icmp(predicate: str, a: E, b: E) -> E:
    """An integer comparison."""
    return E(f"icmp {predicate}", "i1", (a, b))


def fcmp(predicate: str, a: E, b: E) -> E:
    """A floating-point comparison."""
    return E(f"fcmp {predicate}", "i1", (a, b))


def cast(op: str, ty: str, a: E) -> E:
    """zext, sext, trunc, bitcast, ... to a type."""
    if a.ty == ty and op in ("zext", "sext", "trunc", "bitcast"):
        return a
    return E(op, ty, (a,))


def resize(a: E, ty: str, signed: bool = False) -> E:
    """An integer brought to another width."""
    have, want = bits(a.ty), bits(ty)
    if have == want:
        return a
    return cast("trunc" if want < have else "sext" if signed else "zext", ty, a)


def select(condition: E, a: E, b: E) -> E:
    """`a` where the condition holds."""
    return E("select", a.ty, (condition, a, b))


def invert(a: E) -> E:
    """The negation of an i1."""
    return E("xor", "i1", (a, const("i1", 1)))


def intrinsic(name: str, ty: str, *args: E) -> E:
    """A call of an LLVM intrinsic that touches no memory."""
    return E("call", ty, args, name)


def walk(e: E | None) -> list[E]:
    """All nodes of an expression, each once."""
    found: list[E] = []
    seen: set[int] = set()
    todo = [e]
    while todo:
        node = todo.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        found.append(node)
        todo += node.args
    return found


def is_table_entry(value: E | None) -> bool:
    """A load of what the linker's table holds: the address of a symbol."""
    address = value.args[0] if value is not None and value.op == "load" else None
    return (
        address is not None and address.op == "addr" and address.aux.ref is not None and address.aux.ref.kind == "got"
    )
