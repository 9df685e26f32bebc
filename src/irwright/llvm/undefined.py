"""Textual IR that traps where a program does what is undefined, and code may do one thing or another.

Optimised code may count in wider registers, shift by what the instruction makes of a large amount, or copy in pieces
what a plain copy takes at once; neither is wrong where the program promised that it doesn't matter. LLVM has no pass
for this (clang's sanitizers are of its front end), so checks are written before or behind

    add, sub, mul nsw       by the intrinsics that tell
    shl, lshr, ashr         of a variable amount: it is less than the width
    sdiv, udiv exact        nothing remains
    ctlz, cttz              of what must not be zero
    memcpy                  what is read and what is written are the same, or apart
    load i8, !range 0..1    of a bool
    load, store             through a pointer that is aligned as its type wants
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TRAP = "irwright.undefined"
_CHECK = f"""
define internal void @{_TRAP}(i1 %undefined) {{
  br i1 %undefined, label %trap, label %fine
trap:
  call void @llvm.trap()
  unreachable
fine:
  ret void
}}
"""
_VALUE = r"[%@][-$._\w]+"
_END = r"(?:, ![^\n]*)?$"
_SIGNED = rf"  (%\S+) = (add|sub|mul)(?: nuw)? nsw (i\d+) ([^,\n]+), ([^,\n]+?){_END}"
_SHIFT = rf"  (%\S+ = (?:shl|lshr|ashr)(?: nuw| nsw| exact)* i(\d+) [^,\n]+, (%[-$._\w]+)){_END}"
_EXACT = rf"  (%\S+ = ([us])div exact (i\d+) ([^,\n]+), ([^,\n]+?)){_END}"
_ZEROS = rf"  (%\S+ = (?:tail )?call [^\n]*@llvm\.ct[lt]z\.i\d+\((i\d+) (?:noundef )?({_VALUE}), i1 true\)[^\n]*)$"
_COPY = (
    rf"  ((?:tail )?call void @llvm\.memcpy\.p0\.p0\.(i\d+)\(ptr [^,\n]*?({_VALUE}), ptr [^,\n]*?({_VALUE}),"
    rf" i\d+ (\d+|{_VALUE}), i1 (?:false|true)\)[^\n]*)$"
)
_BOOL = r"  (%\S+) = load i8, ([^\n]*?), !range (![0-9]+)([^\n]*)$"
_ACCESS = r"  ((?:%\S+ = load|store) (?:volatile )?[^\n@]*?, ptr (%[-$._\w]+), align (2|4|8|16)(?:, ![^\n]*)?)$"
_FUNCTION = r"(define) [^\n]*$"
_VARIABLE = r"  (%\S+) = alloca [^\n]*$"
_IS_BOOL = re.compile(r"^(![0-9]+) = !\{i8 0, i8 2\}$", re.MULTILINE)
_PATTERNS = (_SIGNED, _SHIFT, _EXACT, _ZEROS, _COPY, _BOOL, _ACCESS, _FUNCTION, _VARIABLE)
_ALL = re.compile("|".join(f"^(?:{one})" for one in _PATTERNS), re.MULTILINE)
_GROUPS = (5, 3, 5, 3, 5, 4, 3, 1, 1)
"""of each pattern, in that order"""


class _Checks:
    """Writes checks, with names of their own."""

    def __init__(self, text: str) -> None:
        self.bools = frozenset(_IS_BOOL.findall(text))
        self.declared: dict[str, str] = {}
        self.count = 0
        self.variables: set[str] = set()
        """of the function at hand"""

    def name(self) -> str:
        self.count += 1
        return f"%irwright.check.{self.count}"

    def trap(self, condition: str) -> str:
        return f"  call void @{_TRAP}(i1 {condition})"

    def signed(self, whole: str, result: str, operation: str, kind: str, left: str, right: str) -> str:
        intrinsic = f"llvm.s{operation}.with.overflow.{kind}"
        self.declared[intrinsic] = f"declare {{ {kind}, i1 }} @{intrinsic}({kind}, {kind})\n"
        both, over = self.name(), self.name()
        return (
            f"  {both} = call {{ {kind}, i1 }} @{intrinsic}({kind} {left}, {kind} {right})\n"
            f"  {result} = extractvalue {{ {kind}, i1 }} {both}, 0\n"
            f"  {over} = extractvalue {{ {kind}, i1 }} {both}, 1\n" + self.trap(over)
        )

    def shift(self, whole: str, line: str, bits: str, amount: str) -> str:
        large = self.name()
        return f"  {large} = icmp uge i{bits} {amount}, {bits}\n{self.trap(large)}\n{whole}"

    def exact(self, whole: str, line: str, sign: str, kind: str, left: str, right: str) -> str:
        rest, some = self.name(), self.name()
        return (
            f"  {rest} = {sign}rem {kind} {left}, {right}\n  {some} = icmp ne {kind} {rest}, 0\n"
            f"{self.trap(some)}\n{whole}"
        )

    def zeros(self, whole: str, line: str, kind: str, value: str) -> str:
        none = self.name()
        return f"  {none} = icmp eq {kind} {value}, 0\n{self.trap(none)}\n{whole}"

    def copy(self, whole: str, line: str, kind: str, to: str, source: str, size: str) -> str:
        x, y, there, back, near, behind, either, apart, both = (self.name() for _ in range(9))
        return (
            f"  {x} = ptrtoint ptr {to} to {kind}\n  {y} = ptrtoint ptr {source} to {kind}\n"
            f"  {there} = sub {kind} {x}, {y}\n  {back} = sub {kind} {y}, {x}\n"
            f"  {near} = icmp ult {kind} {there}, {size}\n  {behind} = icmp ult {kind} {back}, {size}\n"
            f"  {either} = or i1 {near}, {behind}\n  {apart} = icmp ne {kind} {x}, {y}\n"
            f"  {both} = and i1 {either}, {apart}\n{self.trap(both)}\n{whole}"
        )

    def bool(self, whole: str, result: str, source: str, metadata: str, rest: str) -> str:
        if metadata not in self.bools:
            return whole
        other = self.name()
        return f"  {result} = load i8, {source}\n  {other} = icmp ugt i8 {result}, 1\n{self.trap(other)}"

    def access(self, whole: str, line: str, address: str, alignment: str) -> str:
        if address in self.variables:
            return whole
        number, low, askew = self.name(), self.name(), self.name()
        return (
            f"  {number} = ptrtoint ptr {address} to i64\n  {low} = and i64 {number}, {int(alignment) - 1}\n"
            f"  {askew} = icmp ne i64 {low}, 0\n{self.trap(askew)}\n{whole}"
        )

    def function(self, whole: str, _: str) -> str:
        self.variables.clear()
        return whole

    def variable(self, whole: str, name: str) -> str:
        self.variables.add(name)
        return whole


def trapping(text: bytes) -> bytes:
    """The same module with checks, of scalars; as it is where nothing is to be checked."""
    decoded = text.decode(errors="surrogateescape")
    checks = _Checks(decoded)
    writers: tuple[Callable[..., str], ...] = (
        checks.signed,
        checks.shift,
        checks.exact,
        checks.zeros,
        checks.copy,
        checks.bool,
        checks.access,
        checks.function,
        checks.variable,
    )

    def checked(match: re.Match[str]) -> str:
        groups, first = match.groups(), 0
        for size, write in zip(_GROUPS, writers, strict=True):
            own = groups[first : first + size]
            if own[0] is not None:
                return write(match.group(), *own)
            first += size
        raise AssertionError(match.group())

    changed = _ALL.sub(checked, decoded)
    if not checks.count:
        return text
    declared = {**checks.declared, "llvm.trap": "declare void @llvm.trap()\n"}
    missing = [declaration for name, declaration in declared.items() if f"@{name}(" not in decoded]
    return (changed + "\n" + "".join(missing) + _CHECK).encode(errors="surrogateescape")
