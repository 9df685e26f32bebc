"""Types of IR as guided text may use them, and constants of each."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.reader import Reader

MAX_BITS = 128
FLOATS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "x86_fp80": 80, "fp128": 128}
_DECIMAL = re.compile(r"-?[0-9]\.[0-9]{6}e[+-][0-9]{2,3}")
_DECIMAL_BEGUN = re.compile(r"-?(?:[0-9](?:\.(?:[0-9]{0,6}|[0-9]{6}e(?:[+-][0-9]{0,3})?))?)?")
_HEX = re.compile(r"0x(K[0-9A-F]{20}|[0-9A-F]{16})")
_HEX_BEGUN = re.compile(r"0x?(?:K[0-9A-F]{0,20}|[0-9A-F]{0,16})")
MAX_TYPES_AHEAD = 24
_MAX_ELEMENTS = 1 << 24


@dataclass(frozen=True, slots=True)
class Type:
    """A type; two are the same if they are written alike."""

    text: str
    kind: str
    """`int`, `float`, `ptr`, `void`, `vector`, `array`, `struct`"""
    bits: int = 0
    """of an int"""
    parts: tuple[Type, ...] = ()
    """fields of a struct; the one element type of a vector or array"""
    length: int = 0
    """of a vector or array"""
    name: int = -1
    """of a struct that has one"""

    @property
    def scalar(self) -> Type:
        """The element of a vector, else the type itself."""
        return self.parts[0] if self.kind == "vector" else self

    @property
    def is_whole(self) -> bool:
        """It can be in memory."""
        return self.kind != "void"

    def like(self, scalar: Type) -> Type:
        """That type, as a vector where this one is."""
        return vector(self.length, scalar) if self.kind == "vector" else scalar


PTR, VOID = Type("ptr", "ptr"), Type("void", "void")


def integer(bits: int) -> Type:
    return Type(f"i{bits}", "int", bits)


I1, I8, I32, I64 = integer(1), integer(8), integer(32), integer(64)


def vector(length: int, element: Type) -> Type:
    return Type(f"<{length} x {element.text}>", "vector", 0, (element,), length)


def structure(*parts: Type) -> Type:
    text = "{ " + ", ".join(part.text for part in parts) + " }"
    return Type(text, "struct", 0, parts)


@dataclass(slots=True)
class Types:
    """The named types of a module."""

    known: dict[int, Type] = field(default_factory=dict[int, Type])
    """number of `%tN` to the struct it names"""
    owed: set[int] = field(default_factory=set[int])
    """numbers that were named before their line"""
    done: bool = False
    """no more lines of types come"""

    def copy(self) -> Types:
        return Types(dict(self.known), set(self.owed), self.done)

    @property
    def ahead(self) -> list[int]:
        """Numbers that the next lines of types may have: they come in any order, none far behind the others."""
        following = max((*self.known, *self.owed), default=-1) + 1
        return [number for number in range(following + MAX_TYPES_AHEAD) if number not in self.known]

    def parts_of(self, kind: Type) -> tuple[Type, ...]:
        """Fields of a struct, or the element of an array or vector."""
        return self.known[kind.name].parts if kind.name >= 0 else kind.parts

    def name(self, number: int, kind: Type) -> bool:
        """Keep a named type; False where it would hold itself."""
        self.known[number] = Type(f"%t{number}", "struct", 0, kind.parts, 0, number)
        self.owed.discard(number)
        return not self._holds(kind, number)

    def _holds(self, kind: Type, number: int) -> bool:
        if kind.name == number:
            return True
        parts = self.known[kind.name].parts if kind.name in self.known else kind.parts
        return any(self._holds(part, number) for part in parts)

    def read(self, line: Reader, *, void: bool = False) -> Type:
        """A type that can be a value's, or with `void` a result's."""
        options = ["i", "ptr", "%t", "[", "{", "<", *FLOATS, *(["void"] if void else [])]
        word = line.need(*options)
        if word == "i":
            start = line.position
            bits = line.number(1, MAX_BITS)
            if line.text[start] == "0":
                raise GrammarError(start)
            return integer(bits)
        if word in FLOATS:
            return Type(word, "float")
        if word in ("ptr", "void"):
            return PTR if word == "ptr" else VOID
        if word == "%t":
            number = line.choice([*self.known, *(() if self.done else self.ahead)])
            if number not in self.known:
                self.owed.add(number)
            parts = self.known[number].parts if number in self.known else ()
            return Type(f"%t{number}", "struct", 0, parts, 0, number)
        if word == "[":
            return self._array(line)
        if word == "<":
            return self._in_angles(line)
        return self._struct(line, "{")

    def _array(self, line: Reader) -> Type:
        length = line.number(0, _MAX_ELEMENTS)
        line.need(" x ")
        element = self.read(line)
        line.need("]")
        return Type(f"[{length} x {element.text}]", "array", 0, (element,), length)

    def _in_angles(self, line: Reader) -> Type:
        if line.maybe("{"):
            found = self._struct(line, "<{")
            line.need(">")
            return Type(f"{found.text}>", "struct", 0, found.parts)
        length = line.number(1, 4096)
        line.need(" x ")
        start = line.position
        if line.looks_at("<", "[", "{", "%"):  # before more of it is said: a guide would let it nest without end
            raise line.fail()
        element = self.read(line)
        if element.kind not in ("int", "float", "ptr"):
            raise GrammarError(start)
        line.need(">")
        return vector(length, element)

    def _struct(self, line: Reader, begun: str) -> Type:
        if line.maybe("}"):
            return Type(begun + "}", "struct")
        line.need(" ")
        parts = [self.read(line)]
        while line.need(", ", " }") == ", ":
            parts.append(self.read(line))
        return Type(f"{begun} {', '.join(part.text for part in parts)} }}", "struct", 0, tuple(parts))


def read_constant(line: Reader, kind: Type) -> None:
    """A constant of a type that stands in no memory: no address but null, nothing computed."""
    if kind.kind == "int":
        if line.maybe("poison", "undef", *(("true", "false") if kind.bits == 1 else ())):
            return
        if kind.bits == 1:
            raise line.fail()
        half = 1 << (kind.bits - 1)
        line.number(-half, 2 * half - 1)
    elif kind.kind == "float":
        _float(line, kind)
    elif kind.kind == "ptr":
        line.need("null", "poison", "undef")
    elif kind.kind == "vector":
        _vector(line, kind)
    else:
        line.need("zeroinitializer", "poison", "undef")


def _vector(line: Reader, kind: Type) -> None:
    word = line.need("zeroinitializer", "poison", "undef", "<", "splat (")
    if word == "splat (":
        line.need(f"{kind.parts[0].text} ")
        read_constant(line, kind.parts[0])
        line.need(")")
    elif word == "<":
        for number in range(kind.length):
            line.need(f"{', ' if number else ''}{kind.parts[0].text} ")
            read_constant(line, kind.parts[0])
        line.need(">")


def _float(line: Reader, kind: Type) -> None:
    if line.maybe("poison", "undef"):
        return
    start, rest = line.position, line.rest
    for whole, begun in ((_HEX, _HEX_BEGUN), (_DECIMAL, _DECIMAL_BEGUN)):
        match = whole.match(rest)
        if match and (match.end() < len(rest) or line.whole or whole is _HEX):
            if not _fits(match[0], kind.text):
                raise GrammarError(start + match.end() - 1)
            line.position += match.end()
            return
        if not line.whole and rest and begun.fullmatch(rest):
            raise UnfinishedError(len(line.text))
    if not rest and not line.whole:
        raise UnfinishedError(len(line.text))
    raise GrammarError(start)


def _fits(text: str, kind: str) -> bool:
    """True if LLVM takes this number for this type: a decimal one must be exact."""
    if text.startswith("0xK"):
        return kind == "x86_fp80"
    if kind not in ("float", "double"):
        return False
    if text.startswith("0x"):
        value = struct.unpack(">d", bytes.fromhex(text[2:]))[0]
    else:
        value = float(text)
        if not abs(value) < 1e300:
            return False
    if kind == "double":
        return True
    try:
        return value != value or struct.unpack(">f", struct.pack(">f", value))[0] == value
    except OverflowError:
        return False
