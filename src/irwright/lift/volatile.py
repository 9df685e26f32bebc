"""Memory accesses that must stay where they are: loads that a loop waits on, frames of functions that call setjmp.

Machine code does not say which accesses are volatile or atomic. A loop that writes nothing and loads from the same
place again and again waits for somebody else: a compiler would have hoisted a plain load. Where a call returns twice,
the frame holds at the second return what was stored last. A negative alignment marks such an access.
"""

from __future__ import annotations

from irwright.lift.expressions import E, walk
from irwright.lift.flow import Flow

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
