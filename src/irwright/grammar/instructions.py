"""Instructions of a function, one line each, with the types and the values that LLVM wants.

Not all of IR: what is not here (exceptions, atomics, shuffles) is refused. `said` is the way in.
"""

from __future__ import annotations

from collections.abc import Callable

from irwright.errors import GrammarError
from irwright.grammar.attributes import read_align
from irwright.grammar.branches import read_terminator
from irwright.grammar.calls import read_call, read_fast
from irwright.grammar.operands import Operands, step_into
from irwright.grammar.types import I1, I64, PTR, Type, integer

_WRAPPING = dict.fromkeys(("add", "sub", "mul", "shl"), ("nuw nsw ", "nuw ", "nsw "))
_EXACT = ("udiv", "sdiv", "lshr", "ashr")
_INTEGER = ("add", "sub", "mul", "shl", "udiv", "sdiv", "lshr", "ashr", "urem", "srem", "and", "or", "xor")
_FLOAT = ("fadd", "fsub", "fmul", "fdiv", "frem")
MAX_FROM_LATER = 2
"""blocks that a phi may name before they are said: each has to be said then"""
_ICMP = ("eq", "ne", "ugt", "uge", "ult", "ule", "sgt", "sge", "slt", "sle")
_FCMP = (
    "oeq",
    "ogt",
    "oge",
    "olt",
    "ole",
    "one",
    "ord",
    "ueq",
    "ugt",
    "uge",
    "ult",
    "ule",
    "une",
    "uno",
    "true",
    "false",
)
_CASTS = (
    "zext",
    "sext",
    "trunc",
    "ptrtoint",
    "inttoptr",
    "bitcast",
    "fpext",
    "fptrunc",
    "sitofp",
    "uitofp",
    "fptosi",
    "fptoui",
)
_WIDTHS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "x86_fp80": 80, "fp128": 128}
_VALUES = (
    "load ",
    "getelementptr ",
    "alloca ",
    "phi ",
    "select ",
    "icmp ",
    "fcmp ",
    "freeze ",
    "fneg ",
    "extractvalue ",
    "insertvalue ",
)
_CALLS = ("tail call ", "call ", "notail call ")


def said(operands: Operands) -> list[int] | None:
    """One line of an open block, behind its two blanks: None, or the cases of a switch that has begun (none yet)."""
    line, flow = operands.line, operands.flow
    others = [*_CALLS, "store "]
    names = [f"%{flow.next} = "] if flow.can_define() else []
    ends = ["ret ", "br ", "switch ", "unreachable"]
    if flow.hurries and flow.may_end_block(flow.owed_edges()):
        names, others, ends = [], [], ["ret ", "br ", "unreachable"]
    word = line.need(*names, *others, *ends)
    if word in names:
        _value(operands)
        return None
    if word in ends:
        return read_terminator(operands, word)
    flow.in_phis = False
    if word == "store ":
        _store(operands)
    else:
        read_call(operands, wants_value=False)
    line.end()
    return None


def _value(operands: Operands) -> None:
    line, flow = operands.line, operands.flow
    casts = [f"{one} " for one in _CASTS]
    numbers = [f"{one} " for one in (*_INTEGER, *_FLOAT)]
    word = line.need(*_VALUES, *_CALLS, *casts, *numbers)
    start = line.position - len(word)
    if word == "phi " and not (flow.in_phis and flow.block != flow.said[0]):  # no way leads to the first block
        raise GrammarError(start)
    flow.in_phis = flow.in_phis and word == "phi "
    if word in _CALLS:
        kind = read_call(operands, wants_value=True)
    elif word in casts:
        kind = _cast(operands, word.strip())
    elif word in numbers:
        kind = _number(operands, word.strip())
    else:
        kind = _MAKERS[word](operands)
    line.end()
    if flow.owed_values.get(flow.next, kind) != kind:
        raise GrammarError(start)
    flow.define(kind, is_alloca=word == "alloca ")


def _place(operands: Operands) -> None:
    """Where a load or store goes, and its alignment."""
    line = operands.line
    line.need(", ptr ")
    operands.value(PTR)
    line.need(", align ")
    read_align(line)


def _load(operands: Operands) -> Type:
    line = operands.line
    line.maybe("volatile ")
    kind = operands.types.read(line)
    _place(operands)
    return kind


def _store(operands: Operands) -> None:
    line = operands.line
    line.maybe("volatile ")
    operands.typed()
    _place(operands)


def _alloca(operands: Operands) -> Type:
    line = operands.line
    operands.types.read(line)
    line.need(", ")
    if line.need("align ", "i64 ") == "i64 ":
        operands.value(I64)
        line.need(", align ")
    read_align(line)
    return PTR


def _element(operands: Operands) -> Type:
    line = operands.line
    line.maybe("inbounds nuw ", "inbounds ", "nuw ", "nusw ", "nusw nuw ")
    kind = operands.types.read(line)
    line.need(", ptr ")
    operands.value(PTR)
    line.need(", ")
    index = line.need("i64 ", "i32 ").strip()
    operands.value(integer(int(index[1:])))
    while kind.kind in ("struct", "array", "vector") and line.maybe(", "):
        kind = step_into(operands, kind)
    return PTR


def _phi(operands: Operands) -> Type:
    line, flow = operands.line, operands.flow
    read_fast(line)
    start = line.position
    kind = operands.types.read(line)
    known = flow.before[flow.block]
    expected = flow.incoming.get(flow.block)
    left = set(expected) if expected is not None else set(known)
    if len(set(known)) != len(known):
        raise GrammarError(start)  # a switch with many ways here
    seen: list[int] = []
    owed = flow.owed_blocks
    ahead = [] if expected is not None or flow.hurries else [*owed, *range(flow.next + 1, flow.next + 60), flow.block]
    line.need(" ")
    while True:
        line.need("[ ")
        after = line.rest.partition(", %")[2]
        # The block comes behind the value and decides which values there are: look ahead where it is there already.
        digits = after[: len(after) - len(after.lstrip("0123456789"))]
        block = int(digits) if digits and len(digits) < len(after) else None
        is_said = block if block in flow.said else None
        before_value = line.position
        number = _phi_value(operands, kind, [*left, *ahead], block, is_said)
        line.need(", ")
        choices = [
            one
            for one in (*left, *ahead)
            if one not in seen and one not in flow.owed_values and _holds(operands, number, kind, one)
        ]
        found = line.choice(choices, mark="%")
        if number >= 0:
            if number not in flow.values:
                if found in flow.said and found != flow.block:
                    raise GrammarError(before_value)
                flow.owed_values.setdefault(number, kind)
            flow.use(number, at=found)
        seen.append(found)
        left.discard(found)
        line.need(" ]")
        if sum(one not in known for one in seen) >= MAX_FROM_LATER:
            ahead = []
        if line.at_end or not (left or ahead):
            break
        line.need(", ")
    if left:
        raise line.fail()
    flow.incoming[flow.block] = frozenset(seen)
    return kind


def _phi_value(operands: Operands, kind: Type, blocks: list[int], block: int | None, is_said: int | None) -> int:
    if block is not None:
        return operands.phi_value(kind, is_said)
    line, flow = operands.line, operands.flow
    if not line.looks_at("%"):
        return operands.value(kind)
    ways = [one if one in flow.said else None for one in blocks]
    numbers: set[int] = set()
    for way in dict.fromkeys(ways):
        numbers |= set(operands.phi_numbers(kind, way))
    return line.choice(numbers, mark="%")


def _holds(operands: Operands, number: int, kind: Type, block: int) -> bool:
    """True if the value may come from that block."""
    if number < 0:
        return True
    return number in operands.phi_numbers(kind, block if block in operands.flow.said else None)


def _select(operands: Operands) -> Type:
    line = operands.line
    read_fast(line)
    line.need("i1 ")
    operands.value(I1)
    line.need(", ")
    kind = operands.typed()
    line.need(f", {kind.text} ")
    operands.value(kind)
    return kind


def _icmp(operands: Operands) -> Type:
    line = operands.line
    line.maybe("samesign ")
    line.need(*(f"{one} " for one in _ICMP))
    start = line.position
    kind = operands.types.read(line)
    if kind.scalar.kind not in ("int", "ptr"):
        raise GrammarError(start)
    _two(operands, kind)
    return kind.like(I1)


def _fcmp(operands: Operands) -> Type:
    line = operands.line
    read_fast(line)
    line.need(*(f"{one} " for one in _FCMP))
    start = line.position
    kind = operands.types.read(line)
    if kind.scalar.kind != "float":
        raise GrammarError(start)
    _two(operands, kind)
    return kind.like(I1)


def _two(operands: Operands, kind: Type) -> None:
    operands.line.need(" ")
    operands.value(kind)
    operands.line.need(", ")
    operands.value(kind)


def _number(operands: Operands, name: str) -> Type:
    line = operands.line
    if name in _FLOAT:
        read_fast(line)
    elif name in _WRAPPING:
        line.maybe(*_WRAPPING[name])
    elif name in _EXACT:
        line.maybe("exact ")
    elif name == "or":
        line.maybe("disjoint ")
    start = line.position
    kind = operands.types.read(line)
    if kind.scalar.kind != ("float" if name in _FLOAT else "int"):
        raise GrammarError(start)
    _two(operands, kind)
    return kind


def _negate(operands: Operands) -> Type:
    read_fast(operands.line)
    start = operands.line.position
    kind = operands.typed()
    if kind.scalar.kind != "float":
        raise GrammarError(start)
    return kind


def _freeze(operands: Operands) -> Type:
    return operands.typed()


def _cast(operands: Operands, name: str) -> Type:
    line = operands.line
    if name == "zext" or name == "uitofp":
        line.maybe("nneg ")
    elif name == "trunc":
        line.maybe("nuw nsw ", "nuw ", "nsw ")
    start = line.position
    source = operands.types.read(line)
    if not _may_cast(name, source, None):
        raise GrammarError(start)
    line.need(" ")
    operands.value(source)
    line.need(" to ")
    start = line.position
    result = operands.types.read(line)
    if not _may_cast(name, source, result):
        raise GrammarError(start)
    return result


def _may_cast(name: str, source: Type, result: Type | None) -> bool:
    kinds = {
        "zext": ("int", "int"), "sext": ("int", "int"), "trunc": ("int", "int"), "ptrtoint": ("ptr", "int"),
        "inttoptr": ("int", "ptr"), "fpext": ("float", "float"), "fptrunc": ("float", "float"),
        "sitofp": ("int", "float"), "uitofp": ("int", "float"), "fptosi": ("float", "int"), "fptoui": ("float", "int"),
    }  # fmt: skip
    one = source.scalar
    if name == "bitcast":
        return one.kind in ("int", "float") and (result is None or _width(source) == _width(result) > 0)
    if one.kind != kinds[name][0]:
        return False
    if result is None:
        return True
    other = result.scalar
    if other.kind != kinds[name][1] or (source.kind == "vector") != (result.kind == "vector"):
        return False
    if source.length != result.length:
        return False
    if name in ("zext", "sext", "fpext"):
        return _width(one) < _width(other)
    if name in ("trunc", "fptrunc"):
        return _width(one) > _width(other)
    return True


def _width(kind: Type) -> int:
    if kind.kind == "vector":
        return kind.length * _width(kind.parts[0])
    return kind.bits if kind.kind == "int" else _WIDTHS.get(kind.text, 0)


def _extract(operands: Operands) -> Type:
    start = operands.line.position
    kind = operands.typed()
    line, parts = operands.line, operands.types.parts_of(kind)
    if kind.kind not in ("struct", "array") or not (parts and (kind.kind == "struct" or kind.length)):
        raise GrammarError(start)
    line.need(", ")
    size = len(parts) if kind.kind == "struct" else kind.length
    number = line.choice(range(min(size, 1000)))
    return parts[number if kind.kind == "struct" else 0]


def _insert(operands: Operands) -> Type:
    line = operands.line
    start = line.position
    kind = operands.typed()
    parts = operands.types.parts_of(kind)
    if kind.kind != "struct" or not parts:
        raise GrammarError(start)
    line.need(", ")
    given = operands.typed(dict.fromkeys(parts))
    line.need(", ")
    line.choice([number for number, part in enumerate(parts) if part == given])
    return kind


_MAKERS: dict[str, Callable[[Operands], Type]] = {
    "load ": _load,
    "getelementptr ": _element,
    "alloca ": _alloca,
    "phi ": _phi,
    "select ": _select,
    "icmp ": _icmp,
    "fcmp ": _fcmp,
    "freeze ": _freeze,
    "fneg ": _negate,
    "extractvalue ": _extract,
    "insertvalue ": _insert,
}
