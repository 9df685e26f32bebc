"""Signatures of functions: what machine code does not tell, taken from textual LLVM IR.

Without them it is unknown how many arguments a function takes, how wide they are, and whether it returns anything;
comparing what is undefined gives false differences. `signatures_of` reads the `define` and `declare` lines alone.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of values that are passed differently."""

    INT = "int"
    POINTER = "ptr"
    FLOAT = "float"
    """float, double, half: in a vector register"""
    LONG_DOUBLE = "x86_fp80"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One parameter or (part of a) result."""

    kind: Kind
    bits: int
    """defined width"""
    signed: bool = False
    """sign-extended to 32 bits; else zero-extended, where `extended`"""
    extended: bool = False
    """the caller extends it to 32 bits; a function its result to 8"""
    in_memory: int = 0
    """bytes that are passed by value on the stack (`byval`)"""
    alignment: int = 8
    """of what is in memory"""
    is_result_address: bool = False
    """`sret`: where the result goes"""
    nonnull: bool = False
    noalias: bool = False
    """what it points at is reached by nothing else"""
    fields: tuple[tuple[int, Kind, int], ...] = ()
    """(offset, kind, bits) of what is in memory, or of the variable that a pointer points at, where calls show it"""
    paired: bool = False
    """the next value belongs to the same argument: both in registers, or both in memory"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a function takes and returns."""

    parameters: tuple[Value, ...]
    results: tuple[Value, ...] = ()
    """none is void; a struct in registers has several"""
    is_variadic: bool = False
    is_pure: bool = False
    """neither writes memory nor does anything else that can be observed"""
    is_noreturn: bool = False
    is_unnamed: bool = False
    """nobody asks for its address but to call it (`unnamed_addr`)"""


POINTER = Value(kind=Kind.POINTER, bits=64)
I32 = Value(kind=Kind.INT, bits=32)
I64 = Value(kind=Kind.INT, bits=64)
DOUBLE = Value(kind=Kind.FLOAT, bits=64)
FLOAT = Value(kind=Kind.FLOAT, bits=32)
LONG_DOUBLE = Value(kind=Kind.LONG_DOUBLE, bits=80, alignment=16)

INDIRECT = ""
"""the name under which `signatures_of` gives what all calls through pointers have in common"""
MAX_FIELDS = 48
"""of an object that a call is given"""
_TOKEN = re.compile(
    r'\s*(?:(?P<name>[%@](?:"(?:[^"\\]|\\.)*"|[-$._\w]+))|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[-$._\w]+)'
    r"|(?P<group>#\d+)|(?P<metadata>!)|(?P<mark>\.\.\.|[\[\](){}<>,=*:]))"
)
_FLOATS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "fp128": 128}


class _Unknown(Exception):  # noqa: N818 - no error: the line is left out
    """A line that is not understood."""


@dataclass(frozen=True, slots=True)
class _Type:
    """A type as the calling convention sees it."""

    values: tuple[Value, ...]
    size: int
    alignment: int
    fields: tuple[tuple[int, Kind, int], ...] = ()

    @classmethod
    def scalar(cls, value: Value, size: int) -> _Type:
        return cls((value,), size, size, ((0, value.kind, value.bits),))

    def fields_at(self, offset: int) -> tuple[tuple[int, Kind, int], ...]:
        return tuple((offset + at, kind, bits) for at, kind, bits in self.fields)


def signatures_of(text: str) -> dict[str, Signature]:
    """Signatures of all functions that textual IR defines or declares; a line that can't be read is left out."""
    types = {
        match.group(1): match.group(2)
        for match in re.finditer(r'^(%(?:"(?:[^"\\]|\\.)*"|[-$._\w]+)) = type (.*)$', text, re.MULTILINE)
    }
    groups = dict(re.findall(r"^attributes (#\d+) = \{(.*)\}", text, re.MULTILINE))
    found: dict[str, Signature] = {}
    for match in re.finditer(r"^(?:define|declare) (.*)$", text, re.MULTILINE):
        try:
            name, signature = _Line(match.group(1), types, groups).read()
        except (_Unknown, RecursionError):
            continue
        found[name] = signature
    _add_calls(text, types, groups, found)
    return found


MAX_REACHED = 200
"""functions and variables that a function refers to, and these, and so on"""
_GLOBAL = re.compile(r"@([-$._\w]+)")
_NAME_OF = re.compile(r"^define [^@]*@([-$._\w]+)\(")
_DEFINED = re.compile(r"^define .*?^}", re.MULTILINE | re.DOTALL)
_ALLOCA = re.compile(r"^  (%[-$._\w]+) = alloca ([^\n]+)", re.MULTILINE)
_DECAY = re.compile(
    r"^  (%[-$._\w]+) = getelementptr inbounds \[[^\]]*\], ptr (%[-$._\w]+), i64 0, i64 0$", re.MULTILINE
)
_CALL = re.compile(r"^  (?:%\S+ = )?(?:tail |musttail |notail )?call ([^\n]+)", re.MULTILINE)


def _add_calls(text: str, types: Mapping[str, str], groups: Mapping[str, str], found: dict[str, Signature]) -> None:
    """What calls tell: types of variables whose addresses are passed, and what indirect calls have in common."""
    defined = {match.group(1) for match in re.finditer(r"^define [^@]*@([-$._\w]+)\(", text, re.MULTILINE)}
    indirect: list[Signature] = []
    of_function: dict[str, list[Signature]] = {}
    for body in _DEFINED.finditer(text):
        own: list[Signature] = []
        allocas: dict[str, str] | None = None
        for call in _CALL.finditer(body.group()):
            if "@llvm." in call.group(1):
                continue
            try:
                callee, signature, words = _Line(call.group(1), types, groups).read_call()
            except (_Unknown, RecursionError):
                continue
            name = "" if callee.startswith("%") else _unquote(callee)
            known = found.get(name) if name else signature
            if known is None or name in defined:
                continue
            if allocas is None:
                allocas = dict(_ALLOCA.findall(body.group()))
                # Arrays are passed as addresses of their first elements.
                allocas |= {name: allocas[array] for name, array in _DECAY.findall(body.group()) if array in allocas}
            known = _with_fields(known, words, allocas, types, groups)
            if name:
                found[name] = known
            else:
                own.append(known)
        caller = _NAME_OF.search(body.group())
        if own and caller is not None:
            of_function[caller.group(1)] = own
            indirect += own
    if indirect:
        found[INDIRECT] = functools.reduce(_meet, indirect)
        if any(signature != found[INDIRECT] for signature in indirect):
            _add_indirect(text, of_function, found)


def _add_indirect(text: str, of_function: Mapping[str, list[Signature]], found: dict[str, Signature]) -> None:
    """What the indirect calls have in common that a function comes to, for those that come to few functions."""
    head = text[: text.find("\ndefine ")]
    references = {
        match.group(1): _GLOBAL.findall(match.group(2)) for match in re.finditer(r"^@([-$._\w]+) = (.*)$", head, re.M)
    }
    for body in _DEFINED.finditer(text):
        name = _NAME_OF.search(body.group())
        if name is not None:
            references[name.group(1)] = list(dict.fromkeys(_GLOBAL.findall(body.group())))
    for name in [name for name in references if name in found]:
        reached = dict.fromkeys([name])
        todo = [name]
        while todo and len(reached) <= MAX_REACHED:
            for other in references.get(todo.pop(), ()):
                if other not in reached:
                    reached[other] = None
                    todo.append(other)
        own = [signature for other in reached for signature in of_function.get(other, ())]
        if own and len(reached) <= MAX_REACHED:
            found[indirect_of(name)] = functools.reduce(_meet, own)


def indirect_of(function: str) -> str:
    """The key of what the indirect calls have in common that a function comes to; INDIRECT where there is none."""
    return f"{INDIRECT}\0{function}"


def _with_fields(
    known: Signature,
    words: list[str],
    allocas: Mapping[str, str],
    types: Mapping[str, str],
    groups: Mapping[str, str],
) -> Signature:
    parameters = list(known.parameters)
    if len(words) != len(parameters):
        return known  # variadic, or arguments of several values
    for index, word in enumerate(words):
        value = parameters[index]
        if value.kind is not Kind.POINTER or value.in_memory or value.is_result_address or word not in allocas:
            continue
        try:
            kind = _Line(allocas[word], types, groups).type()
        except (_Unknown, RecursionError):
            continue
        # The smallest variable that is ever passed: what a callee may touch.
        if kind.fields and (not value.fields or _end(kind.fields) < _end(value.fields)):
            parameters[index] = replace(value, fields=kind.fields)
    return replace(known, parameters=tuple(parameters))


def _end(fields: tuple[tuple[int, Kind, int], ...]) -> int:
    """Bytes to the end of the last field."""
    offset, _, bits = fields[-1]
    return offset + bits // 8


def _meet(one: Signature, other: Signature) -> Signature:
    """What two signatures have in common."""
    parameters: list[Value] = []
    for x, y in zip(one.parameters, other.parameters, strict=False):
        if x.kind is not y.kind and {x.kind, y.kind} != {Kind.INT, Kind.POINTER}:
            break
        if x.in_memory or y.in_memory or x.is_result_address or y.is_result_address:
            break
        # Of another callee's object nothing is known: it may be smaller.
        fields = min(x.fields, y.fields, key=_end) if x.fields and y.fields else ()
        parameters.append(replace(x if x.bits <= y.bits else y, fields=fields))
    results = one.results if one.results == other.results else (I64,)
    return Signature(parameters=tuple(parameters), results=results)


class _Line:
    """Parser of what follows `define` or `declare`."""

    def __init__(self, text: str, types: Mapping[str, str], groups: Mapping[str, str]) -> None:
        self.tokens = [match.group().strip() for match in _TOKEN.finditer(text)]
        self.position = 0
        self.types = types
        self.groups = groups
        self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise _Unknown

    def read(self) -> tuple[str, Signature]:
        prefix: list[str] = []
        while not self.is_type():  # linkage, visibility, calling convention, attributes of the result
            if not self.peek():
                raise _Unknown
            prefix.append(self.take())
            if self.peek() == "(" and prefix[-1] in ("align", "dereferenceable", "dereferenceable_or_null", "range"):
                self.skip_parentheses()
        result = self.type()
        extended, signed = _extension(prefix)
        name = self.take()
        if not name.startswith("@"):
            raise _Unknown
        name = _unquote(name)
        self.expect("(")
        parameters: list[Value] = []
        is_variadic = False
        while self.peek() != ")":
            if self.peek() == "...":
                self.take()
                is_variadic = True
                continue
            if self.peek() == ",":
                self.take()
                continue
            parameters += self.parameter()
        self.take()
        attributes = " ".join(self.groups.get(word, word) for word in self.tokens[self.position :])
        results = tuple(replace(value, extended=extended, signed=signed) for value in result.values)
        memory = re.search(r"memory ?\( ?([^)]*?) ?\)", attributes)
        is_pure = bool(
            memory and re.fullmatch(r"(none|read|argmem ?: ?read)", memory.group(1)) and "noreturn" not in attributes
        )
        return name, Signature(
            parameters=tuple(parameters),
            results=results,
            is_variadic=is_variadic,
            is_pure=is_pure,
            is_noreturn=bool(re.search(r"\bnoreturn\b", attributes)),
            is_unnamed="unnamed_addr" in self.tokens[self.position :],
        )

    def read_call(self) -> tuple[str, Signature, list[str]]:
        """What follows `call`: the callee's name (@ or %), its signature as called, the last word of each argument."""
        while not self.is_type():
            if not self.peek():
                raise _Unknown
            self.take()
            if self.peek() == "(":
                self.skip_parentheses()
        result = self.type()
        if self.peek() == "(":  # a variadic callee has its type written out
            self.skip_parentheses()
        callee = self.take()
        if callee[:1] not in ("@", "%"):
            raise _Unknown
        self.expect("(")
        parameters: list[Value] = []
        words: list[str] = []
        while self.peek() not in (")", ""):
            if self.peek() == ",":
                self.take()
                continue
            values = self.parameter()
            parameters += values
            words += [self.tokens[self.position - 1]] + [""] * (len(values) - 1)
        return callee, Signature(parameters=tuple(parameters), results=result.values), words

    def parameter(self) -> list[Value]:
        kind = self.type()
        words: list[str] = []
        in_memory: _Type | None = None
        alignment = 0
        is_result = False
        while self.peek() not in (",", ")", ""):
            word = self.take()
            words.append(word)
            if word == "align" and self.peek().isdigit():
                alignment = int(self.take())
            elif self.peek() == "(":
                if word in ("byval", "sret", "inalloca", "byref", "preallocated"):
                    self.take()
                    inner = self.type()
                    self.expect(")")
                    in_memory = inner if word == "byval" else in_memory
                    is_result = is_result or word == "sret"
                else:
                    self.skip_parentheses()
        extended, signed = _extension(words)
        nonnull = "nonnull" in words or "dereferenceable" in words or is_result
        noalias = "noalias" in words
        values = [
            replace(value, extended=extended, signed=signed, nonnull=nonnull, noalias=noalias) for value in kind.values
        ]
        if in_memory is not None:
            size = max(1, in_memory.size)
            place = max(8, alignment or in_memory.alignment)
            return [replace(values[0], in_memory=size, alignment=place, fields=in_memory.fields)]
        if is_result:
            return [replace(values[0], is_result_address=True)]
        if len(values) > 1:
            values[:-1] = [replace(value, paired=True) for value in values[:-1]]
        return values

    def skip_parentheses(self) -> None:
        depth = 0
        while self.peek():
            token = self.take()
            depth += (token == "(") - (token == ")")
            if depth == 0:
                return

    def is_type(self) -> bool:
        token = self.peek()
        return (
            token in ("void", "ptr", "x86_fp80", "[", "{", "<", *_FLOATS)
            or token.startswith("%")
            or re.fullmatch(r"i\d+", token) is not None
        )

    def type(self) -> _Type:
        token = self.take()
        self.depth += 1
        if self.depth > 64:
            raise _Unknown
        try:
            return self._type(token)
        finally:
            self.depth -= 1

    def _type(self, token: str) -> _Type:
        if token == "void":
            return _Type((), 0, 1)
        if token == "ptr":
            if self.peek() == "addrspace":
                self.take()
                self.skip_parentheses()
            return _Type.scalar(POINTER, 8)
        if re.fullmatch(r"i\d+", token):
            return _integer(int(token[1:]))
        if token == "x86_fp80":
            return _Type((LONG_DOUBLE,), 16, 16)
        if token in _FLOATS:
            bits = _FLOATS[token]
            return _Type.scalar(Value(kind=Kind.FLOAT, bits=bits), bits // 8)
        if token == "[":
            count, element = self.counted("]")
            size = element.size * count
            values = element.values * count if len(element.values) * count <= 16 else ()
            fields = [element.fields_at(element.size * index) for index in range(min(count, MAX_FIELDS))]
            return _Type(values, size, element.alignment, tuple(itertools.chain(*fields))[:MAX_FIELDS])
        if token == "{":
            return self.struct("}")
        if token == "<":
            if self.peek() == "{":
                self.take()
                packed = self.struct("}", packed=True)
                self.expect(">")
                return packed
            count, element = self.counted(">")
            size = element.size * count
            if size > 64:
                raise _Unknown
            return _Type((Value(kind=Kind.VECTOR, bits=8 * size),), size, size)
        if token.startswith("%") and token in self.types:
            if self.types[token] == "opaque":
                return _Type((), 0, 1)
            inner = _Line(self.types[token], self.types, self.groups)
            inner.depth = self.depth
            return inner.type()
        raise _Unknown

    def counted(self, end: str) -> tuple[int, _Type]:
        word = self.take()
        if not word.isdigit() or self.take() != "x":
            raise _Unknown
        element = self.type()
        self.expect(end)
        return int(word), element

    def struct(self, end: str, *, packed: bool = False) -> _Type:
        values: tuple[Value, ...] = ()
        offset, alignment = 0, 1
        fields: list[tuple[int, Kind, int]] = []
        while self.peek() != end:
            if self.peek() == ",":
                self.take()
                continue
            if not self.peek():
                raise _Unknown
            element = self.type()
            step = 1 if packed else element.alignment
            offset = -(-offset // step) * step
            fields += element.fields_at(offset)
            offset += element.size
            alignment = max(alignment, step)
            values = (*values, *element.values)[:17]
        self.take()
        return _Type(values, -(-offset // alignment) * alignment, alignment, tuple(fields[:MAX_FIELDS]))


def _integer(bits: int) -> _Type:
    if bits <= 64:
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= bits)
        return _Type((Value(kind=Kind.INT, bits=bits),), size, size, ((0, Kind.INT, 8 * size),))
    if bits > 128:
        raise _Unknown
    return _Type((replace(I64, paired=True), replace(I64, bits=bits - 64)), 16, 16)


def _extension(words: list[str]) -> tuple[bool, bool]:
    return "signext" in words or "zeroext" in words, "signext" in words


def _unquote(name: str) -> str:
    """The symbol that `@name` or `@"name"` means; \\01 in front says that it is not to be mangled."""
    text = name[1:]
    if text.startswith('"'):
        text = re.sub(r"\\([0-9A-Fa-f]{2})", lambda match: chr(int(match.group(1), 16)), text[1:-1])
    return text.removeprefix("\x01")
