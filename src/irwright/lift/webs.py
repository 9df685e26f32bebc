"""Registers to typed variables: demanded widths backward, webs of definitions, one LLVM type for each web.

A unit is a register, a condition, a jump-table index or a promoted stack slot. A web is a set of definitions of a
unit that share a use; it becomes one variable of the lifted function. Its width is the widest its uses demand, so
that writes of part of a register vanish where only that part is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from irwright.errors import LiftError
from irwright.lift.blocks import (
    CALLER_SAVED,
    CC_UNITS_,
    X87_UNITS,
    Call,
    Flow,
)
from irwright.lift.expressions import E, Effect, bits, element, walk
from irwright.lift.signatures import RESULTS, Signature

Demand = dict[str, int]
BITWISE = ("and", "or", "xor")


@dataclass(slots=True)
class Web:
    """One variable."""

    unit: str
    width: int = 0
    ty: str = ""
    votes: Counter[str] = field(default_factory=Counter[str])
    is_pointer: bool = False
    is_integer: bool = False
    name: str = ""
    has_definition: bool = False
    is_entry: bool = False
    """holds what the unit had when the function was entered"""
    is_clobbered: bool = False


class Analysis:
    """Demands and webs of one function under given signatures of what it calls."""

    def __init__(
        self, flow: Flow, call_signature: dict[int, Signature], returns: tuple[tuple[str, int], ...], slots: set[int]
    ) -> None:
        self.flow = flow
        self.signatures = call_signature
        """by Call.index"""
        self.returns = returns
        """units and widths that a return reads"""
        self.slots = slots
        self.areas: dict[int, int] = {}
        """by call: bytes at the stack pointer that it may take"""
        self.may_keep = False
        """values may lie in registers that a callee of the file leaves alone"""
        self.whole_copies = False
        """a copy of 64 bits reads them all, even where its own uses need fewer"""
        self.by_mask = False
        """`and` with a constant reads no more bits than that has"""
        self.gives: Callable[[Call, str], bool] = lambda _call, _unit: True
        """whether a callee can have left a result in a register"""
        self.live_in: list[Demand] = [{} for _ in flow.blocks]
        self.live_out: list[Demand] = [{} for _ in flow.blocks]

    # Demands

    def demands(self) -> Demand:
        """Solve backward; what is demanded at entry."""
        blocks = self.flow.blocks
        todo = list(reversed(self.flow.order))
        queued = set(todo)
        while todo:
            index = todo.pop(0)
            queued.discard(index)
            block = blocks[index]
            out: Demand = {}
            for successor in block.successors:
                for unit, width in self.live_in[successor].items():
                    if width > out.get(unit, 0):
                        out[unit] = width
            self.live_out[index] = out
            live = dict(out)
            for step in reversed(block.steps):
                self.before(step.effects, live)
            if live != self.live_in[index]:
                self.live_in[index] = live
                for predecessor in block.predecessors:
                    if predecessor not in queued:
                        queued.add(predecessor)
                        todo.append(predecessor)
        return self.live_in[0]

    def before(self, effects: list[Effect], live: Demand) -> None:
        """Turn what is live after an instruction into what is live before it."""
        if len(effects) == 2 and effects[0].kind == "call" and effects[1].kind == "ret":
            after: Demand = dict(live) if effects[1].value is not None else {}
            self._call_reads(effects[0].aux, after, tail=True)
            if effects[1].value is not None:
                self.reads(effects[1].value, 1, after)
                for unit, width in live.items():
                    after[unit] = max(after.get(unit, 0), width)
            live.clear()
            live.update(after)
            return
        reads: Demand = {}
        for effect in effects:
            kind = effect.kind
            if kind in ("set", "kill"):
                if kind == "set" and (demand := live.get(effect.unit, 0)):
                    assert effect.value is not None
                    if self.whole_copies and effect.value.op == "reg" and effect.value.ty == "i64":
                        demand = 64
                    self.reads(effect.value, demand, reads)
                    if effect.partial and demand > bits(effect.value.ty):
                        reads[effect.unit] = max(reads.get(effect.unit, 0), demand)
            elif kind == "ret":
                for unit, width in self.returns:
                    reads[unit] = max(reads.get(unit, 0), width)
            elif kind == "call":
                if effect.value is not None:
                    self.reads(effect.value, 64, reads)
                self._call_reads(effect.aux, reads, tail=False)
            elif kind == "store" and effect.addr is not None and (slot := self.slot(effect.addr)):
                assert effect.value is not None
                if demand := live.get(slot, 0):
                    self.reads(effect.value, demand, reads)
                    if demand > bits(effect.value.ty):
                        reads[slot] = max(reads.get(slot, 0), demand)
            elif kind not in ("save",):
                self.other_reads(effect, reads)
        for effect in effects:
            if effect.kind in ("set", "kill"):
                live.pop(effect.unit, None)
            elif effect.kind == "store" and effect.addr is not None and (slot := self.slot(effect.addr)):
                live.pop(slot, None)
            elif effect.kind == "call":
                for unit in (*sorted(effect.aux.clobbered), *CC_UNITS_, *X87_UNITS):
                    live.pop(unit, None)
            elif effect.kind in ("unreachable", "trap"):
                live.clear()
        for unit, width in reads.items():
            if width > live.get(unit, 0):
                live[unit] = width

    def other_reads(self, effect: Effect, reads: Demand) -> None:
        """Effects that read everything they mention."""
        for e in (effect.value, effect.addr):
            if e is not None:
                self.reads(e, 128, reads)
        if effect.kind == "cmpxchg":
            self.reads(effect.aux, 128, reads)
        elif effect.kind == "string":
            self.reads(effect.aux[2], 64, reads)

    def _call_reads(self, call: Call, reads: Demand, *, tail: bool) -> None:
        signature = self.signatures[call.index]
        for unit, ty in signature.params:
            if at := self.stack_unit(unit, call):
                reads[at] = max(reads.get(at, 0), bits(ty))
        if tail and call.pointer is not None:
            self.reads(call.pointer, 64, reads)

    def stack_unit(self, unit: str, call: Call) -> str:
        """`stack.N` of a signature as the slot it is at this call; empty for memory that is no variable."""
        if unit.startswith("area."):
            return ""
        if not unit.startswith("stack."):
            return unit
        if call.index in self.areas:
            return ""
        return f"s{call.stack + int(unit[6:])}" if not call.is_tail else f"s{8 + int(unit[6:])}"

    def slot(self, addr: E) -> str:
        """The unit of a promoted slot, empty for other addresses."""
        return f"s{addr.aux}" if addr.op == "frame" and addr.aux in self.slots else ""

    def reads(self, e: E, demand: int, out: Demand) -> None:
        """Add what the low `demand` bits of a value need."""
        op = e.op
        width = bits(e.ty)
        demand = min(demand, width)
        if op == "reg":
            if demand > out.get(e.aux, 0):
                out[e.aux] = demand
        elif op == "load":
            address = e.args[0]
            assert address is not None
            slot = self.slot(address)
            if slot:
                if demand > out.get(slot, 0):
                    out[slot] = demand
            else:
                self.reads(address, 64, out)
        elif op == "trunc" and e.args[0] is not None and e.args[0].op == "addr" and e.args[0].aux.ref is None:
            for node in e.args[0].args:
                if node is not None:
                    self.reads(node, demand, out)
        elif op in ("trunc", "zext", "sext", "bitcast") and e.args[0] is not None:
            inner = e.args[0]
            is_plain = e.ty[0] != "<" and inner.ty[0] != "<"
            self.reads(inner, demand if is_plain or (op == "bitcast" and bits(inner.ty) == width) else 128, out)
        elif op == "select":
            assert e.args[0] is not None and e.args[1] is not None and e.args[2] is not None
            whole = demand if e.ty[0] != "<" else width
            self.reads(e.args[0], 128, out)
            self.reads(e.args[1], whole, out)
            self.reads(e.args[2], whole, out)
        elif op == "shufflevector":
            a, b = e.args
            assert a is not None and b is not None
            size = bits(element(e.ty))
            count = bits(a.ty) // size
            used = e.aux[: (demand + size - 1) // size]
            for side, node in ((0, a), (1, b)):
                lanes = [k - side * count for k in used if side * count <= k < (side + 1) * count]
                if lanes:
                    self.reads(node, (max(lanes) + 1) * size, out)
        elif e.ty[0] == "<" and op in BITWISE and demand in (32, 64):
            for node in e.args:
                if node is not None:
                    self.reads(node, demand, out)
        elif self.by_mask and op == "and" and (mask := _mask(e)) is not None:
            assert e.args[0] is not None
            self.reads(e.args[0], mask, out)
        elif e.ty[0] == "<" and op in LANEWISE:
            lanes = -(-demand // bits(element(e.ty)))
            for node in e.args:
                if node is not None:
                    self.reads(node, lanes * bits(element(node.ty)), out)
        else:
            for node in e.args:
                if node is not None:
                    self.reads(node, 128, out)

    def note_results(self) -> set[str]:
        """Tell callees which results are read here; names of those that changed."""
        changed: set[str] = set()

        def want(call: Call, unit: str, width: int) -> None:
            if not self.gives(call, unit):
                return  # left over from before: then nothing that takes it needs it
            signature = self.signatures[call.index]
            before = list(signature.returns)
            signature.want_result(unit, width)
            if signature.returns != before:
                changed.add(call.name)

        for index in self.flow.order:
            block = self.flow.blocks[index]
            if not any(e.kind == "call" for step in block.steps for e in step.effects):
                continue
            live = dict(self.live_out[index])
            for step in reversed(block.steps):
                for effect in step.effects:
                    if effect.kind == "call" and effect.aux.is_tail:
                        for unit, width in self.returns:
                            want(effect.aux, unit, width)
                    elif effect.kind == "call":
                        for unit in RESULTS:
                            if live.get(unit) and unit in effect.aux.clobbered:
                                want(effect.aux, unit, live[unit])
                self.before(step.effects, live)
        return changed

    # Webs

    def webs(self) -> None:
        """Join definitions and uses; every demanded definition and read gets its web."""
        self.parent: list[int] = []
        self.node_unit: list[str] = []
        self.undefined: set[int] = set()
        self.entry_nodes: dict[int, str] = {}
        self.defining: set[int] = set()
        self.read_nodes: dict[tuple[int, int, str], int] = {}
        """(block, step, unit) to node"""
        self.write_nodes: dict[tuple[int, int, str], int] = {}
        self.nodes_in: list[dict[str, int]] = [{} for _ in self.flow.blocks]
        nodes_out: list[dict[str, int]] = [{} for _ in self.flow.blocks]
        self.step_demand: dict[tuple[int, int, str], int] = {}
        for index in self.flow.order:
            for unit in self.live_in[index]:
                self.nodes_in[index][unit] = self._node(unit)
        for unit, node in self.nodes_in[0].items():
            self.entry_nodes[node] = unit
        for index in self.flow.order:
            nodes_out[index] = self._block_nodes(index)
        for index in self.flow.order:
            for successor in self.flow.blocks[index].successors:
                for unit, node in self.nodes_in[successor].items():
                    before = nodes_out[index].get(unit)
                    if before is None:
                        before = self._node(unit)
                        self.undefined.add(before)
                    self._join(node, before)

    def _node(self, unit: str) -> int:
        self.parent.append(len(self.parent))
        self.node_unit.append(unit)
        return len(self.parent) - 1

    def find(self, node: int) -> int:
        """The representative of a node's web."""
        parent = self.parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def _join(self, a: int, b: int) -> None:
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[b] = a

    def _block_nodes(self, index: int) -> dict[str, int]:
        """Nodes of a block's reads and writes; the node of each unit at its end."""
        block = self.flow.blocks[index]
        live_after: list[Demand] = []
        live = dict(self.live_out[index])
        for step in reversed(block.steps):
            live_after.append(dict(live))
            self.before(step.effects, live)
        live_after.reverse()
        current = dict(self.nodes_in[index])
        for number, step in enumerate(block.steps):
            after = live_after[number]
            reads = self.step_reads(step.effects, after)
            for unit in reads:
                node = current.get(unit)
                if node is None:
                    node = current[unit] = self._node(unit)
                    self.undefined.add(node)
                self.read_nodes[index, number, unit] = node
            for effect in step.effects:
                unit = effect.unit
                if effect.kind == "store" and effect.addr is not None:
                    unit = self.slot(effect.addr)
                elif effect.kind == "call":
                    self._call_nodes(index, number, effect.aux, after, current)
                    continue
                elif effect.kind not in ("set", "kill"):
                    continue
                if not unit:
                    continue
                current.pop(unit, None)
                if effect.kind != "kill" and after.get(unit, 0):
                    node = current[unit] = self._node(unit)
                    self.defining.add(node)
                    self.write_nodes[index, number, unit] = node
                    self.step_demand[index, number, unit] = after[unit]
        return current

    def step_reads(self, effects: list[Effect], after: Demand) -> Demand:
        """What the instruction itself reads, given what is live after it."""
        shadow = dict(after.items())
        touched = {e.unit for e in effects if e.unit}
        touched |= {self.slot(e.addr) for e in effects if e.kind == "store" and e.addr is not None}
        only: Demand = {unit: width for unit, width in shadow.items() if unit in touched}
        self.before(effects, only)
        return only

    def _call_nodes(self, index: int, number: int, call: Call, after: Demand, current: dict[str, int]) -> None:
        if call.is_tail:
            return
        signature = self.signatures[call.index]
        returned = {unit for unit, _ in signature.returns}
        for unit in (*sorted(call.clobbered), *CC_UNITS_, *X87_UNITS):
            current.pop(unit, None)
            if after.get(unit, 0) and not call.is_tail:
                node = current[unit] = self._node(unit)
                if unit in returned:
                    self.defining.add(node)
                    self.write_nodes[index, number, unit] = node
                    self.step_demand[index, number, unit] = after[unit]
                elif self.may_keep and call.is_unsure and unit in CALLER_SAVED:
                    raise LiftError(
                        f"{unit} is read after a call of {call.name}, of which nobody knows what it changes"
                    )
                else:
                    self.undefined.add(node)

    # Types

    def variables(self, parameters: tuple[str, ...]) -> dict[int, Web]:
        """Webs by representative, with widths; LiftError where something is read that nothing defines."""
        found: dict[int, Web] = {}

        def web(node: int) -> Web:
            root = self.find(node)
            if root not in found:
                found[root] = Web(self.node_unit[root])
            return found[root]

        for node in self.defining:
            web(node).has_definition = True
        for node, unit in self.entry_nodes.items():
            one = web(node)
            if unit in parameters:
                one.is_entry = one.has_definition = True
        for index in self.flow.order:
            for unit, node in self.nodes_in[index].items():
                one = web(node)
                one.width = max(one.width, self.live_in[index][unit])
        for key, node in self.write_nodes.items():
            one = web(node)
            one.width = max(one.width, self.step_demand[key])
        for (index, number, unit), node in self.read_nodes.items():
            one = web(node)
            step = self.flow.blocks[index].steps[number]
            if one.width == 0:
                one.width = 1 if unit.startswith("cc.") else 64
            is_room = step.insn.mnemonic == "push"  # of a register with nothing in it: only its room is wanted
            if not one.has_definition and not is_room and not self._is_harmless(step.effects, unit):
                raise LiftError(f"{unit} is read where nothing has set it ({step.insn.text})")
        return found

    def _is_harmless(self, effects: list[Effect], unit: str) -> bool:
        """A read of bits that a partial write keeps, of an argument or a result: garbage stays garbage.

        What a callee gets or a caller reads is known from above only: it may be no argument or result at all.
        """
        for effect in effects:
            if effect.kind == "set" and effect.unit == unit and effect.partial:
                return True
            if effect.kind == "store" and effect.addr is not None and self.slot(effect.addr) == unit:
                return True
            if effect.kind == "call" and any(node.op == "reg" and node.aux == unit for node in walk(effect.value)):
                return False
            if effect.kind == "call" and not self.signatures[effect.aux.index].is_known:
                return True  # the callee gets what the machine had there, if it takes it at all
            if effect.kind == "ret" and unit in RESULTS and not any(e.kind == "call" for e in effects):
                return True
        return False


def _mask(e: E) -> int | None:
    """How many low bits of its first operand an `and` with a constant reads."""
    mask = e.args[1]
    return (
        mask.aux.bit_length()
        if mask is not None and mask.op == "const" and isinstance(mask.aux, int) and mask.aux > 0
        else None
    )


LANEWISE = frozenset(
    [
        "add",
        "sub",
        "mul",
        "and",
        "or",
        "xor",
        "shl",
        "lshr",
        "ashr",
        "fadd",
        "fsub",
        "fmul",
        "fdiv",
        "sext",
        "zext",
        "sitofp",
        "fpext",
        "fptrunc",
    ]
    + [f"icmp {p}" for p in ("eq", "ne", "sgt", "slt", "ugt", "ult")]
    + [f"fcmp {p}" for p in ("oeq", "olt", "ole", "uno", "une", "uge", "ugt", "ord", "ogt")]
) - {"sext", "zext", "sitofp", "fpext", "fptrunc"}
