"""Memory accesses that must stay where they are: loads that a loop waits on, frames of functions that call setjmp.

Machine code does not say which accesses are volatile or atomic. A loop that writes nothing and loads from the same
place again and again waits for somebody else: a compiler would have hoisted a plain load. Where a call returns twice,
the frame holds at the second return what was stored last. A negative alignment marks such an access.
"""

from __future__ import annotations

from collections.abc import Iterable

from irwright.lift.blocks import Flow
from irwright.lift.expressions import E, walk
from irwright.lift.program import Imm, Instruction, Mem, Reg

MAX_BLOCKS = 4
_WRITES = frozenset(["store", "call", "string", "atomic", "cmpxchg", "fence"])


def mark_waiting_loads(flow: Flow) -> None:
    """Find loops that wait, and mark what they wait for."""
    position = {index: number for number, index in enumerate(flow.order)}
    for index in flow.order:
        for head in flow.blocks[index].successors:
            if position.get(head, len(position)) <= position[index]:
                body = _body(flow, head, index)
                if len(body) <= MAX_BLOCKS:
                    _mark_loop(flow, body)


def _body(flow: Flow, head: int, last: int) -> set[int]:
    """Blocks from which the back edge is reached without the head."""
    found = {head, last}
    todo = [last] if last != head else []
    while todo and len(found) <= MAX_BLOCKS:
        for before in flow.blocks[todo.pop()].predecessors:
            if before not in found:
                found.add(before)
                todo.append(before)
    return found


def _mark_loop(flow: Flow, body: set[int]) -> None:
    effects = [effect for index in body for step in flow.blocks[index].steps for effect in step.effects]
    if any(effect.kind in _WRITES for effect in effects):
        return
    changed = {effect.unit for effect in effects if effect.kind in ("set", "kill")}
    for effect in effects:
        for root in (effect.value, effect.addr):
            for node in walk(root):
                if node.op == "load" and not any(n.op == "reg" and n.aux in changed for n in walk(node.args[0])):
                    _mark(node)


def is_smallest(code: Iterable[Instruction]) -> bool:
    """True for code that was compiled for size alone, which stores 0 and -1 by `and` and `or`, as far as one sees."""
    is_larger = False
    for insn in code:
        ops = insn.operands
        last = ops[-1] if ops else None
        if not isinstance(last, Imm) or last.ref is not None or insn.prefix:
            continue
        is_short = -128 <= last.value < 128
        if insn.mnemonic == "push" and is_short:
            return True
        if isinstance(ops[0], Mem) and (insn.mnemonic, last.value) in (("and", 0), ("or", -1)):
            return True
        is_larger |= insn.mnemonic == "mov" and isinstance(ops[0], Reg) and ops[0].width >= 32 and is_short
    return not is_larger


def mark_plain_stores(flow: Flow) -> None:
    """Stores of 0 and -1 by `mov`, where the smallest code has shorter ways for all that is not volatile."""
    for index in flow.order:
        for step in flow.blocks[index].steps:
            ops = step.insn.operands
            if step.insn.mnemonic != "mov" or not isinstance(ops[0], Mem) or ops[0].width < 16:
                continue
            if isinstance(ops[1], Imm) and ops[1].ref is None and ops[1].value in (0, -1):
                for effect in step.effects:
                    if effect.kind == "store":
                        effect.aux = -abs(effect.aux)


def mark_frame(flow: Flow) -> None:
    """Every access of the frame."""
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind == "store" and effect.addr is not None and _in_frame(effect.addr):
                    effect.aux = -abs(effect.aux)
                for root in (effect.value, effect.addr):
                    for node in walk(root):
                        if node.op == "load" and node.args[0] is not None and _in_frame(node.args[0]):
                            _mark(node)


def _in_frame(address: E) -> bool:
    return any(node.op == "frame" for node in walk(address))


def _mark(node: E) -> None:
    node.aux = -abs(node.aux)
