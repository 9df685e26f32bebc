"""Prototypes of glibc's functions, from data/prototypes.tsv: name, LLVM result, LLVM parameters, remarks.

The table is what clang makes of the headers of Debian 12 (`declare` lines of a file that names every function in
them); remarks are `noreturn`, `returns_twice`, and `unsupported` where structs go through memory.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from importlib.resources import files

from irwright.errors import LiftError
from irwright.lift.signatures import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, Signature


@lru_cache(maxsize=1)
def table() -> dict[str, tuple[str, ...]]:
    """Rows by name."""
    text = (files("irwright") / "data" / "prototypes.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: (*row[1:], "", "", "")[:3] for row in rows}


def prototype(name: str) -> Signature | None:
    """The known signature of a function, a fresh object; LiftError where it can't be called yet."""
    row = table().get(name)
    if row is None:
        return None
    if row[2] == "unsupported":
        raise LiftError(f"a call of {name}, which takes or returns structs in memory")
    return deepcopy(_parse(name))


@lru_cache(maxsize=4096)
def _parse(name: str) -> Signature:
    result, parameters, remark = table()[name]
    signature = Signature(name=name, is_known=True, is_noreturn=remark == "noreturn")
    signature.returns_twice = remark == "returns_twice"
    *attributes, ty = _split_type(result)
    if attributes:
        signature.attributes[-1] = " ".join(attributes)
    integers = floats = stack = 0
    for number, text in enumerate(part.strip() for part in _commas(parameters)):
        if text == "...":
            signature.is_variadic = True
            signature.num_fixed = number
            continue
        kind, *words = _split_type(text, first=True)
        if words:
            signature.attributes[number] = " ".join(words)
        if kind in ("float", "double") or kind.startswith("<"):
            unit, floats = FLOAT_ARGUMENTS[floats], floats + 1
        elif kind == "x86_fp80":
            stack = -(-stack // 16) * 16
            unit, stack = f"stack.{stack}", stack + 16
        elif integers < 6:
            unit, integers = INTEGER_ARGUMENTS[integers], integers + 1
        else:
            unit, stack = f"stack.{stack}", stack + 8
        signature.params.append((unit, kind))
    if ty.startswith("{"):
        lanes = [lane.strip() for lane in ty.strip("{} ").split(",")]
        units = {
            "i": ["rax", "rdx"],
            "d": ["xmm0", "xmm1"],
            "f": ["xmm0", "xmm1"],
            "p": ["rax", "rdx"],
            "<": ["xmm0", "xmm1"],
        }
        for lane in lanes:
            taken = [unit for unit, _ in signature.returns]
            signature.returns.append((next(u for u in units[lane[0]] if u not in taken), lane))
    elif ty != "void":
        unit = "xmm0" if ty in ("float", "double") or ty[0] == "<" else "f0" if ty == "x86_fp80" else "rax"
        signature.returns.append((unit, ty))
    return signature


def _commas(text: str) -> list[str]:
    parts: list[str] = []
    depth, start = 0, 0
    for at, c in enumerate(text):
        depth += (c in "({<[") - (c in ")}>]")
        if c == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]] if text.strip() else []


def _split_type(text: str, *, first: bool = False) -> list[str]:
    """Words of a type with attributes; the type is one word even where it has spaces."""
    for opening, closing in (("<", ">"), ("{", "}")):
        if opening in text:
            start, end = text.index(opening), text.rindex(closing) + 1
            rest = f"{text[:start]} {text[end:]}".split()
            return [text[start:end], *rest] if first else [*rest, text[start:end]]
    return text.split()
