"""Calls: what they give, to whom, and the intrinsics that take only their own arguments."""

from __future__ import annotations

from irwright.errors import GrammarError
from irwright.grammar.attributes import read_argument_attributes, read_function_attributes, read_result_attributes
from irwright.grammar.flow import Flow
from irwright.grammar.intrinsics import FLAG, SIGNATURES, THREAD_LOCAL, VARIABLE
from irwright.grammar.operands import INTRINSICS, Operands, Symbols
from irwright.grammar.reader import Reader
from irwright.grammar.types import PTR, VOID, Type

_FAST = ("fast ", "nnan ", "ninf ", "nsz ", "arcp ", "contract ", "afn ", "reassoc ")
_CONVENTIONS = ("fastcc ", "coldcc ")


def read_fast(line: Reader) -> None:
    """Flags of floating point, in LLVM's order."""
    left: list[str] = [*_FAST]
    while word := line.maybe(*left):
        left = left[left.index(word) + 1 :]


def read_call(operands: Operands, *, wants_value: bool) -> Type:
    """A call behind its first word; its result."""
    line = operands.line
    read_fast(line)
    line.maybe(*_CONVENTIONS)
    wanted = read_result_attributes(line)
    start = line.position
    result = operands.types.read(line, void=True)
    if not wanted.allows(result) or (result == VOID) == wants_value:
        raise GrammarError(start)
    line.need(" ")
    fixed: list[Type] | None = None
    if line.maybe("("):
        fixed = _parameters(operands)
        line.need(" ")
    given: list[Type] = []
    if fixed is None and line.looks_at(f"@{INTRINSICS}"):
        _intrinsic(operands, result)
    else:
        if line.looks_at("%"):
            operands.value(PTR, constant=False)
        else:
            operands.symbols.use(line)
        line.need("(")
        given = _arguments(operands, fixed)
    read_function_attributes(line, arguments=given)
    return result


def _parameters(operands: Operands) -> list[Type]:
    """The types of a function that takes more than it says, behind the parenthesis."""
    found: list[Type] = []
    while not operands.line.maybe("..."):
        found.append(operands.types.read(operands.line))
        operands.line.need(", ")
    operands.line.need(")")
    return found


def _arguments(operands: Operands, fixed: list[Type] | None) -> list[Type]:
    """The types of what a call gives."""
    line = operands.line
    given: list[Type] = []
    wanted = len(fixed) if fixed is not None else 0
    if not wanted and line.maybe(")"):
        return given
    while True:
        start = line.position
        kind = operands.types.read(line)
        if fixed is not None and len(given) < wanted and kind != fixed[len(given)]:
            raise GrammarError(start)
        found = read_argument_attributes(line, kind)
        if "allocptr" in found or "initializes(" in found or "returned" in found:
            raise line.fail(-1)
        line.need(" ")
        operands.value(kind)
        given.append(kind)
        if len(given) < wanted:
            line.need(", ")
        elif line.need(", ", ")") == ")":
            return given


def _intrinsic(operands: Operands, result: Type) -> None:
    line, flow = operands.line, operands.flow
    line.need(f"@{INTRINSICS}")
    names = [
        name for name, (kind, _) in SIGNATURES.items() if kind == result and _possible(flow, operands.symbols, name)
    ]
    word = line.need(*(f"{name}(" for name in names))
    kinds = SIGNATURES[word[:-1]][1]
    for number, kind in enumerate(kinds):
        line.need(f"{', ' if number else ''}{kind.text}")
        if kind == FLAG:
            line.need(" true", " false")
            continue
        read_argument_attributes(line, PTR if kind.text == "ptr" else kind)
        line.need(" ")
        if kind == THREAD_LOCAL:
            line.need(*(f"@{name}" for name in operands.symbols.thread_local))
        elif kind == VARIABLE:
            usable = flow.allocas.intersection(flow.usable(PTR))
            flow.use(line.choice(usable, mark="%"))
        else:
            operands.value(kind)
    line.need(")")


def _possible(flow: Flow, symbols: Symbols, name: str) -> bool:
    if name.startswith("lifetime"):
        return bool(flow.allocas)
    if name.startswith("threadlocal"):
        return bool(symbols.thread_local)
    return flow.is_variadic or not name.startswith("va_start")
