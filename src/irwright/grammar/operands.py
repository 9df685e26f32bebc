"""Values as instructions take them, and the symbols that a module has named so far."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field

from irwright.corpus.canonical import kept_names
from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.flow import MAX_AHEAD, Flow
from irwright.grammar.reader import Reader
from irwright.grammar.types import I64, Type, Types, read_constant

_NAME = re.compile(r"[A-Za-z_][\w.$]*")
_OURS_BEGUN = re.compile(r"[fg][0-9]{0,3}|s[witch.ablef0-9]*(?:\.r?e?l?)?")
_OURS = re.compile(r"[fg](?:[1-9][0-9]{0,2}|0)|switch\.table\.f[0-9](?:\.[0-9]{1,2})?(?:\.rel)?")
INTRINSICS = "llvm."


@dataclass(slots=True)
class Symbols:
    """Names of a module with `@`."""

    defined: set[str] = field(default_factory=set[str])
    """those with a line of their own"""
    named: set[str] = field(default_factory=set[str])
    """those that something uses"""
    thread_local: set[str] = field(default_factory=set[str])

    @property
    def owed(self) -> set[str]:
        """Names without a line, which would be an error at the end."""
        return self.named - self.defined

    def copy(self) -> Symbols:
        return Symbols(set(self.defined), set(self.named), set(self.thread_local))

    def read_new(self, line: Reader, among: Set[str] | None = None) -> str:
        """A name that has no line yet, behind `@`; one of some."""
        return _name(line, lambda name: name not in self.defined and (among is None or name in among), among)

    def use(self, line: Reader) -> None:
        """Any name but an intrinsic's, behind `@`."""
        self.named.add(_name(line, lambda _: True, None))


def _name(line: Reader, allowed: Callable[[str], bool], among: Set[str] | None) -> str:
    """A name of the canonical form or of the C library."""
    line.need("@")
    start = line.position
    match = _NAME.match(line.text, start)
    if match is None:
        if line.rest or line.whole:
            raise line.fail()
        raise UnfinishedError(len(line.text))
    name = match[0]
    if match.end() == len(line.text) and not line.whole:
        names = library_names() if among is None else among
        if any(one.startswith(name) and allowed(one) for one in names) or (
            among is None and _OURS_BEGUN.fullmatch(name)
        ):
            raise UnfinishedError(len(line.text))
        raise GrammarError(match.end() - 1)
    if not allowed(name) or not (_OURS.fullmatch(name) or name in library_names() or (among and name in among)):
        raise GrammarError(match.end() - 1)
    line.position = match.end()
    return name


@functools.cache
def library_names() -> frozenset[str]:
    """What keeps its name in the canonical form: functions of the C library, and what every program may call."""
    return kept_names() | {"__stack_chk_fail", "_Znwm", "_ZdlPv", "_ZdlPvm", "_Znam", "_ZdaPv"}


@dataclass(slots=True)
class Operands:
    """Reads operands of one line."""

    line: Reader
    flow: Flow
    types: Types
    symbols: Symbols

    def value(self, kind: Type, *, constant: bool = True, at: int | None = None) -> int:
        """A value of a type: its number, or -1 for a constant."""
        line = self.line
        if line.looks_at("%"):
            number = line.choice(self.flow.usable(kind, at=at), mark="%")
            self.flow.use(number, at=at)
            return number
        if not constant:
            raise line.fail()
        if kind.kind == "ptr" and line.looks_at("@", "getelementptr ", "inttoptr ("):
            self.address()
        elif kind.kind == "struct" and line.maybe("{ "):
            for number, part in enumerate(self.types.parts_of(kind)):
                line.need(f"{', ' if number else ''}{part.text} ")
                self.value(part, constant=True, at=-2)
            line.need(" }")
        else:
            read_constant(line, kind)
        return -1

    def address(self) -> None:
        """A constant address."""
        word = self.line.need("@", "getelementptr ", "inttoptr (")
        if word == "@":
            self.line.position -= 1
            self.symbols.use(self.line)
        elif word == "inttoptr (":
            self.line.need("i64 ")
            read_constant(self.line, I64)
            self.line.need(" to ptr)")
        else:
            self._constant_element()

    def _constant_element(self) -> None:
        line = self.line
        line.maybe("inbounds nuw ", "inbounds ", "nuw ", "nusw ")
        line.need("(")
        kind = self.types.read(line)
        line.need(", ptr ")
        self.symbols.use(line)
        line.need(", i64 ")
        read_constant(line, I64)
        while line.need(", ", ")") == ", ":
            word = line.need("i32 ", "i64 ")
            start = line.position
            number = line.number(0, (len(self.types.parts_of(kind)) - 1) if kind.kind == "struct" else 1 << 31)
            kind = inside(self.types, kind, number, word, start)

    def phi_numbers(self, kind: Type, said: int | None) -> list[int]:
        """Values of a type at the end of a block that was said, or (None) of one that comes later."""
        flow = self.flow
        known = flow.usable(kind, at=said)
        if said not in (None, flow.block):
            return known
        owed, far = flow.owed_blocks, flow.next + MAX_AHEAD
        return known + [n for n in range(flow.next, far) if n not in owed and flow.owed_values.get(n, kind) == kind]

    def phi_value(self, kind: Type, said: int | None) -> int:
        """A value as it is at the end of such a block: its number, or -1 for a constant."""
        if not self.line.looks_at("%"):
            return self.value(kind)
        return self.line.choice(self.phi_numbers(kind, said), mark="%")

    def typed(self, kinds: Iterable[Type] | None = None, *, constant: bool = True) -> Type:
        """A type and a value of it; the type is one of `kinds` or any."""
        start = self.line.position
        kind = self.types.read(self.line)
        if kinds is not None and kind not in kinds:
            raise GrammarError(start)
        self.line.need(" ")
        self.value(kind, constant=constant)
        return kind


def inside(types: Types, kind: Type, number: int, word: str, start: int) -> Type:
    """The type that an index leads to."""
    if kind.kind in ("array", "vector"):
        return kind.parts[0]
    parts = types.parts_of(kind)
    if kind.kind == "struct" and word == "i32 " and number < len(parts):
        return parts[number]
    raise GrammarError(start)


def step_into(operands: Operands, kind: Type) -> Type:
    """One more index of a getelementptr: what it leads to."""
    line = operands.line
    if kind.kind == "struct":
        line.need("i32 ")
        start = line.position
        number = line.choice(range(len(operands.types.parts_of(kind))))
        return inside(operands.types, kind, number, "i32 ", start)
    if kind.kind not in ("array", "vector"):
        raise line.fail()
    index = line.need("i32 ", "i64 ").strip()
    operands.value(Type(index, "int", int(index[1:])))
    return kind.parts[0]
