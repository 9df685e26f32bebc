"""Ends of blocks: where they may lead, so that the function can be said to its end."""

from __future__ import annotations

from irwright.errors import GrammarError
from irwright.grammar.flow import Flow
from irwright.grammar.operands import Operands
from irwright.grammar.types import I1, VOID


def read_terminator(operands: Operands, word: str) -> list[int] | None:
    line, flow = operands.line, operands.flow
    start = line.position - len(word)
    if word == "ret ":
        if not flow.may_end_block(()):
            raise GrammarError(start)
        line.need(flow.result.text)
        if flow.result != VOID:
            line.need(" ")
            operands.value(flow.result)
        line.end()
        flow.end_block(())
    elif word == "unreachable":
        if not flow.may_end_block(()):
            raise GrammarError(start)
        line.end()
        flow.end_block(())
    elif word == "br ":
        _branch(operands, start)
    else:
        return _switch(operands, start)
    return None


def _branch(operands: Operands, start: int) -> None:
    line, flow = operands.line, operands.flow
    targets = flow.targets()
    owed = flow.owed_edges()
    ones = [one for one in targets if flow.may_end_block((one,))]
    firsts = {one for one in targets if any(flow.may_end_block((one, other)) for other in targets if other != one)}
    ways = [*(["label "] if ones else []), *(["i1 "] if firsts and len(owed) <= 2 else [])]
    if not ways:
        raise GrammarError(start)
    if line.need(*ways) == "label ":
        named = [line.choice(ones, mark="%")]
    else:
        operands.value(I1)
        line.need(", label ")
        one = line.choice(firsts, mark="%")
        line.need(", label ")
        others = [other for other in targets if other != one and flow.may_end_block((one, other))]
        named = [one, line.choice(others, mark="%")]
    line.end()
    flow.end_block(named)


def _switch(operands: Operands, start: int) -> list[int]:
    line, flow = operands.line, operands.flow
    if flow.owed_edges() or not any(flow.may_end_block((one,)) for one in flow.targets()):
        raise GrammarError(start)
    at = line.position
    kind = operands.types.read(line)
    if kind.kind != "int" or kind.bits == 1:
        raise GrammarError(at)
    line.need(" ")
    operands.value(kind)
    line.need(", label ")
    default = line.choice(_free_targets(flow), mark="%")
    line.need(" [")
    line.end()
    return [kind.bits, default]


def _free_targets(flow: Flow) -> list[int]:
    """Blocks that a switch may name, as often as it likes: without phis."""
    return [one for one in flow.targets() if one not in flow.incoming]


def case(operands: Operands, begun: list[int], values: set[int]) -> bool:
    """One line of a switch's cases, or its end (then True); `begun` grows by the targets, `values` by the cases."""
    line, flow = operands.line, operands.flow
    bits, targets = begun[0], begun[1:]
    can_end = flow.may_end_block(targets)
    word = line.need("    ", *(["  ]"] if can_end else []))
    if word == "  ]":
        line.end()
        flow.end_block(targets)
        return True
    line.need(f"i{bits} ")
    start = line.position
    half = 1 << (bits - 1)
    value = line.number(-half, 2 * half - 1) % (2 * half)
    if value in values:
        raise GrammarError(start)
    values.add(value)
    line.need(", label ")
    begun.append(line.choice(_free_targets(flow), mark="%"))
    line.end()
    return False
