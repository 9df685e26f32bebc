"""Attributes of functions, results and arguments that guided text may hold: a list, not all that LLVM knows."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from irwright.errors import GrammarError
from irwright.grammar.reader import Reader
from irwright.grammar.types import Type

_PLAIN = ("noundef",)
_OF_ARGUMENTS = (*_PLAIN, "returned")
_POINTER = ("nonnull", "noalias", "readonly", "writeonly", "readnone", "nofree", "writable")
_CAPTURES = (
    "captures(none)",
    "captures(address_is_null)",
    "captures(address)",
    "captures(ret: address, provenance)",
    "captures(address, ret: address, provenance)",
    "captures(address_is_null, ret: address, provenance)",
)
_EXCLUSIVE = (
    {"readonly", "writeonly", "readnone"},
    {"zeroext", "signext"},
    {"byval(", "sret("},
    {"noinline", "alwaysinline"},
    {"readnone", "initializes("},
    {"readonly", "initializes("},
    {"hot", "cold"},
    {"captures("},
)
_EFFECTS = ("none", "read", "write", "readwrite")
_PLACES = ("argmem", "inaccessiblemem", "errnomem", "target_mem0", "target_mem1")
FUNCTION = (
    "minsize",
    "optsize",
    "nounwind",
    "uwtable",
    "norecurse",
    "nofree",
    "nosync",
    "mustprogress",
    "willreturn",
    "noreturn",
    "inlinehint",
    "alwaysinline",
    "noinline",
    "cold",
    "hot",
    "sspstrong",
    "speculatable",
    "nocallback",
    "returns_twice",
    "memory(",
)


@dataclass(slots=True)
class Wanted:
    """What the attributes before a result ask of its type."""

    kind: str = ""
    """`int`, `float` or `ptr`, where they ask for one"""
    text: str = ""
    """the type, where they name it"""

    def allows(self, type_: Type) -> bool:
        return (not self.kind or self.kind == type_.scalar.kind) and (not self.text or self.text == type_.text)


_OF_RESULTS = {
    "int": ("zeroext", "signext", "range("),
    "ptr": ("nonnull", "noalias", "dereferenceable(", "dereferenceable_or_null(", "align "),
    "float": ("nofpclass(",),
}
_RANGES = (8, 16, 32, 64)


def read_result_attributes(line: Reader) -> Wanted:
    """Attributes before the type of a result, each with a blank behind it."""
    wanted, found = Wanted(), set[str]()
    while True:
        options = [*_PLAIN] + [one for kind, some in _OF_RESULTS.items() if wanted.kind in ("", kind) for one in some]
        left = [one for one in options if _name(one) not in found and not _clashes(_name(one), found)]
        word = line.maybe(*(one if one[-1] in "( " else f"{one} " for one in left)).strip(" ")
        if not word:
            return wanted
        found.add(_name(word))
        kind = next((kind for kind, some in _OF_RESULTS.items() if any(_name(one) == _name(word) for one in some)), "")
        wanted.kind = kind or wanted.kind
        if word == "range(":
            bits = int(line.need(*(f"i{bits}" for bits in _RANGES))[1:])
            wanted.text = f"i{bits}"
            _range(line, bits)
        else:
            _rest(line, word, "")
        if word[-1] == "(" or word == "align":
            line.need(" ")


def read_argument_attributes(line: Reader, kind: Type) -> set[str]:
    """Attributes of an argument or parameter of a type, each with a blank before it."""
    options = [*_OF_ARGUMENTS]
    if kind.kind == "int":
        options += ["zeroext", "signext", *(["range("] if kind.bits in _RANGES else [])]
    elif kind.scalar.kind == "float":
        options += ["nofpclass("]
    elif kind.kind == "ptr":
        options += ["dereferenceable(", "dereferenceable_or_null(", "align ", "initializes(", "allocptr"]
        options += [*_POINTER, *_CAPTURES, "dead_on_unwind"]
    found: set[str] = set()
    while True:
        left = [one for one in options if _name(one) not in found and not _clashes(_name(one), found)]
        word = line.maybe(*(f" {one}" for one in left)).strip(" ")
        if not word:
            return found
        found.add(_name(word))
        _rest(line, word, kind.text)


def read_function_attributes(line: Reader, *, arguments: Sequence[Type] | None = None) -> None:
    """Attributes behind the arguments of a definition, declaration or (with its arguments) call, each with a blank."""
    found: set[str] = set()
    options = [one for one in FUNCTION if not (arguments is not None and one in ("uwtable", "sspstrong", "inlinehint"))]
    if arguments is not None:
        numbers = [number for number, kind in enumerate(arguments[:2]) if kind.kind == "int"]
        options += [f"allocsize({number})" for number in numbers] + ["allocsize(0,1)"] * (numbers == [0, 1])
    while True:
        left = [one for one in options if _name(one) not in found and not _clashes(_name(one), found)]
        word = line.maybe(*(f" {one}" for one in left)).strip(" ")
        if not word:
            return
        found.add(_name(word))
        if word == "memory(":
            _memory(line)


def _name(word: str) -> str:
    return word[: word.index("(") + 1] if "(" in word else word.strip()


def _clashes(name: str, found: Set[str]) -> bool:
    return any(name in group and group & found for group in _EXCLUSIVE)


def _rest(line: Reader, word: str, kind: str) -> None:
    """What stands behind an attribute's name."""
    if word in ("dereferenceable(", "dereferenceable_or_null("):
        line.number(1, 1 << 32)
        line.need(")")
    elif word == "align":
        read_align(line)
    elif word == "range(":
        line.need(kind)
        _range(line, int(kind[1:]))
    elif word == "nofpclass(":
        line.need("nan inf", "nan", "inf")
        line.need(")")
    elif word == "initializes(":
        _initializes(line)


def _range(line: Reader, bits: int) -> None:
    half = 1 << (bits - 1)
    line.need(" ")
    low = line.number(-half, half - 1)
    line.need(", ")
    start = line.position
    high = line.number(-half, 2 * half - 1)
    if (high - low) % (2 * half) == 0:
        raise GrammarError(start)
    line.need(")")


def _initializes(line: Reader) -> None:
    last = -1
    while True:
        line.need("(")
        low = line.number(last + 1 if last >= 0 else 0, 1 << 30)
        line.need(", ")
        last = line.number(low + 1, 1 << 31)
        line.need(")")
        if line.need(", ", ")") == ")":
            return


def _memory(line: Reader) -> None:
    """`memory(none)`, `memory(read, argmem: write)`: places in LLVM's order."""
    left = [*_PLACES]
    word = line.need(*_EFFECTS, *(f"{place}: " for place in left))
    while True:
        if word.endswith(": "):
            left = left[left.index(word[:-2]) + 1 :]
            line.need(*_EFFECTS)
        if not left or line.need(", ", ")") == ")":
            if not left:
                line.need(")")
            return
        word = line.need(*(f"{place}: " for place in left))


def read_align(line: Reader) -> None:
    """A power of two."""
    line.choice([1 << n for n in range(13)])
