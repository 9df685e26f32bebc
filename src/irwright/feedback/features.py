"""What is known of a function before any plan was tried: numbers read from its IR, unoptimised and after -Oz.

Counts are taken as logarithms, since sizes are compared as shares. The order of `NAMES` is part of the format of a
trained proposer (network.py), which stores it: a proposer of other features is refused.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from irwright.llvm.codegen import FunctionSize

# fmt: off
OPCODES = (
    "ret", "br", "switch", "indirectbr", "unreachable", "add", "sub", "mul", "udiv", "sdiv", "urem", "srem",
    "shl", "lshr", "ashr", "and", "or", "xor", "fadd", "fsub", "fmul", "fdiv", "alloca", "load", "store",
    "getelementptr", "trunc", "zext", "sext", "fptoui", "fptosi", "uitofp", "sitofp", "fptrunc", "fpext",
    "ptrtoint", "inttoptr", "icmp", "fcmp", "phi", "select", "call", "invoke", "freeze", "extractvalue",
    "insertvalue",
)
# fmt: on
CALLS = ("llvm", "memcpy", "memset", "lifetime", "minmax", "indirect", "asm", "direct", "vararg")
SHAPES = (
    "blocks",
    "instructions",
    "arguments",
    "conditional",
    "back",
    "cases",
    "callees",
    "globals",
    "constants",
    "large_constants",
    "large_offsets",
    "null_tests",
    "bytes",
    "doubles",
    "wide_vectors",
    "void",
    "static",
)
_BODY = (*OPCODES, *(f"call_{name}" for name in CALLS), *SHAPES)
SIZES = ("code", "unwind", "data", "missing")
NAMES = (*(f"raw_{name}" for name in _BODY), *(f"oz_{name}" for name in _BODY), *(f"size_{name}" for name in SIZES))
"""what each number is: of the unoptimised body, of the body after -Oz, of the object code after -Oz"""

SHARED_BYTES = 24
"""of an object that belong to no function: the head of its unwind tables"""

PER_BYTES = 10
"""shares are counts in so many bytes"""

_INSTRUCTION = re.compile(r"^  (?:%[^ ]+ = )?(?:(?:tail|musttail|notail) )?([a-z]+)(.*)$", re.MULTILINE)
_LABEL = re.compile(r"^([\w.$-]+|\"[^\"]+\"):", re.MULTILINE)
_TARGET = re.compile(r"label %([\w.$-]+|\"[^\"]+\")")
_CALLEE = re.compile(r"@([\w.$]+|\"[^\"]+\")\(")
_NUMBER = re.compile(r"(?<=[ (])-?\d+(?=[,)\s]|$)", re.MULTILINE)
_GLOBAL = re.compile(r"@[\w.$]+")
_NAME = re.compile(r'@("[^"]+"|[\w.$-]+)')
_CASE = re.compile(r"^    i\d+ ", re.MULTILINE)
_NOTHING = dict.fromkeys(_BODY, 0)


def describe(raw: str, oz: str, size: FunctionSize | None) -> list[float]:
    """The numbers of one function, in the order of `NAMES`.

    `raw` and `oz` are the function's text, `oz` empty and `size` None where -Oz leaves no such function.
    """
    numbers = [math.log1p(count) for body in (raw, oz) for count in count_body(body).values()]
    sizes = size or FunctionSize(0, 0, 0)
    return [*numbers, *(math.log1p(part) for part in sizes), float(size is None)]


def with_shares(numbers: Sequence[float]) -> list[float]:
    """The numbers, and behind them each count beside the bytes that -Oz makes of the function.

    What a list leaves of each instruction is bytes: so such shares tell of its size beside -Oz's what logarithms can't.
    """
    counts, sizes = numbers[: -len(SIZES)], numbers[-len(SIZES) : -1]
    oz_bytes = SHARED_BYTES + sum(math.expm1(part) for part in sizes)
    return [*numbers, *(PER_BYTES * math.expm1(count) / oz_bytes for count in counts), PER_BYTES**3 / oz_bytes]


def count_body(text: str) -> Mapping[str, int]:
    """How often each of the things above occurs in a function's text."""
    if not text:
        return _NOTHING
    head, _, body = text.partition("\n")
    opcodes: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for opcode, rest in _INSTRUCTION.findall(body):
        opcodes[opcode] += 1
        if opcode in ("call", "invoke"):
            calls[_call_kind(rest)] += 1
    labels = {label: match for match, label in enumerate(_LABEL.findall(body))}
    back = conditional = 0
    seen = -1
    for line in body.splitlines():
        if line.startswith("  br "):
            targets = _TARGET.findall(line)
            conditional += len(targets) == 2
            back += sum(labels.get(target, seen + 1) <= seen for target in targets)
        elif line and not line.startswith(" ") and (label := _LABEL.match(line)):
            seen = labels[label.group(1)]
    numbers = [int(number) for number in _NUMBER.findall(body)]
    parameters = head[head.find("(") :]
    shapes = {
        "blocks": len(labels) + 1,
        "instructions": sum(opcodes.values()),
        "arguments": 0 if parameters.startswith("()") else parameters.count(",") + 1,
        "conditional": conditional,
        "back": back,
        "cases": len(_CASE.findall(body)),
        "callees": len(set(_CALLEE.findall(body))),
        "globals": len(set(_GLOBAL.findall(body))),
        "constants": len(numbers),
        "large_constants": sum(abs(number) > 127 for number in numbers),
        "large_offsets": len(
            re.findall(r"getelementptr i8, ptr [^,]+, i64 (?:1[3-9]\d|12[89]|[2-9]\d\d|\d{4,})", body)
        ),
        "null_tests": body.count(", null"),
        "bytes": body.count(" i8 "),
        "doubles": body.count(" double "),
        "wide_vectors": body.count(" x i"),
        "void": int(" void @" in head),
        "static": int("internal" in head or "private" in head),
    }
    return {
        **{name: opcodes[name] for name in OPCODES},
        **{f"call_{name}": calls[name] for name in CALLS},
        **shapes,
    }


def named_in(text: str) -> frozenset[str]:
    """The functions and variables that the body of a function names, as its text is written."""
    return frozenset(name.strip('"') for name in _NAME.findall(text.partition("\n")[2]))


def _call_kind(rest: str) -> str:
    if " asm " in rest:
        return "asm"
    found = _CALLEE.search(rest)
    if found is None:
        return "indirect"
    name = found.group(1)
    if name.startswith("llvm."):
        word = name.split(".")[1]
        if word in ("memcpy", "memset", "lifetime"):
            return word
        return "minmax" if word in ("smax", "smin", "umax", "umin", "abs") else "llvm"
    return "vararg" if ", ...)" in rest else "direct"
