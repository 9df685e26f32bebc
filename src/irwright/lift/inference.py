"""What the registers of one function carry: values available at each call and return, promotable slots, types.

Availability runs forward: a unit is `defined` here on every path, still what it was at entry (`entry`), or the
result of a call that may return it (`result`). From it come upper bounds of what an unknown callee can take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from irwright.errors import LiftError
from irwright.lift.expressions import E, Effect, bits, walk
from irwright.lift.flow import CALLER_SAVED, NOT_ARGUMENTS, Call, Flow
from irwright.lift.signatures import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, RESULTS, Signature
from irwright.lift.webs import Analysis, Web

DEFINED, ENTRY, RESULT = "defined", "entry", "result"
Status = dict[str, str]
TRACKED = frozenset((*INTEGER_ARGUMENTS, *FLOAT_ARGUMENTS, *RESULTS))


@dataclass(slots=True)
class Available:
    """Statuses at the calls and returns of one function."""

    at_call: dict[int, Status] = field(default_factory=dict[int, Status])
    """by Call.index"""
    at_return: list[Status] = field(default_factory=list[Status])
    returns_of_tails: list[Call] = field(default_factory=list[Call])


Resolve = Callable[[Call], Signature | None]
"""The signature of a callee where it is known"""


def availability(flow: Flow, resolve: Resolve, *, likely: bool = False) -> Available:
    """Solve forward; `likely` lets constants that fit any width take the narrower one."""
    start: Status = dict.fromkeys((*INTEGER_ARGUMENTS, *FLOAT_ARGUMENTS), ENTRY)
    states: list[Status | None] = [None] * len(flow.blocks)
    states[0] = start
    found = Available()
    todo = list(flow.order)
    queued = set(todo)
    while todo:
        index = todo.pop(0)
        queued.discard(index)
        before = states[index]
        if before is None:
            continue
        state = dict(before)
        for step in flow.blocks[index].steps:
            _advance(step.effects, state, None, resolve, step.insn.mnemonic if likely else "")
        for successor in flow.blocks[index].successors:
            known = states[successor]
            merged = dict(state) if known is None else _meet(known, state)
            if merged != known:
                states[successor] = merged
                if successor not in queued:
                    queued.add(successor)
                    todo.append(successor)
    for index in flow.order:
        state = dict(states[index] or {})
        for step in flow.blocks[index].steps:
            _advance(step.effects, state, found, resolve, step.insn.mnemonic if likely else "")
    return found


def _meet(a: Status, b: Status) -> Status:
    merged: Status = {}
    parts = {unit for side in (a, b) for unit, status in side.items() if status == "part"}
    for unit, status in a.items():
        other = b.get(unit)
        if other is not None:
            if unit.endswith(".width"):
                # Of a value that is only partly set on some path, the rest means nothing.
                widths = [side[unit] for side in (a, b) if side.get(unit[:-6]) == "part"]
                merged[unit] = min(widths, key=int) if unit[:-6] in parts else max(status, other, key=int)
            elif status == other:
                merged[unit] = status
            else:
                merged[unit] = next(kind for kind in ("part", ENTRY, RESULT) if kind in (status, other))
    return merged


def _advance(effects: list[Effect], state: Status, found: Available | None, resolve: Resolve, mnemonic: str) -> None:
    for effect in effects:
        if effect.kind == "call" and found is not None:
            call: Call = effect.aux
            found.at_call[call.index] = dict(state)
            if call.is_tail:
                after = dict(state)
                _after_call(after, resolve(call), likely=bool(mnemonic))
                found.at_return.append(after)
        elif effect.kind == "ret" and found is not None and not any(e.kind == "call" for e in effects):
            found.at_return.append(dict(state))
    for effect in effects:
        if effect.kind == "call" and not effect.aux.is_tail:
            _after_call(state, resolve(effect.aux), likely=bool(mnemonic))
        elif effect.kind == "kill":
            state.pop(effect.unit, None)
            state.pop(f"{effect.unit}.width", None)
        elif effect.kind == "set" and effect.unit in TRACKED:
            assert effect.value is not None
            width = bits(effect.value.ty)
            if effect.value.op == "const" and width == 64 and mnemonic == "pop":
                width = 32  # `push -1; pop rax` says nothing of the width
            if not effect.partial or effect.unit in state:
                state[effect.unit] = DEFINED
                if not effect.partial or effect.unit.startswith("xmm") or (mnemonic and not mnemonic.startswith("set")):
                    state[f"{effect.unit}.width"] = str(width)
            else:
                state[effect.unit] = DEFINED if effect.unit.startswith("xmm") else "part"
                state[f"{effect.unit}.width"] = str(width)


def _after_call(state: Status, callee: Signature | None, *, likely: bool) -> None:
    for unit in CALLER_SAVED:
        state.pop(unit, None)
    if callee is None:
        state["rax"] = state["xmm0"] = RESULT
        state["rax.width"] = "0" if likely else "64"
        state["xmm0.width"] = "64"
        return
    for unit, ty in callee.returns:
        state[unit] = RESULT
        state[f"{unit}.width"] = str(bits(ty))


@dataclass(slots=True)
class Frame:
    """How the stack frame is used."""

    slots: set[int]
    """offsets that become variables"""
    escapes: bool
    base: int
    """the blob that holds the rest begins here"""
    top: int
    """and ends here"""
    starts: list[int]
    """where its objects begin; one alloca each"""
    outgoing: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """by call: slots that hold its stack arguments"""
    outgoing_bits: dict[int, int] = field(default_factory=dict[int, int])
    suspects: set[int] = field(default_factory=set[int])
    """calls that may have arguments in memory which were stored in an earlier block"""


def frame_use(flow: Flow, *, trim: bool = False, split: bool = False) -> Frame:
    """Which stack places are only read and written directly; they are promoted where no address escapes."""
    direct: dict[int, set[int]] = {}
    spills: set[int] = set()
    others: set[int] = set()
    taken: set[int] = set()
    escapes = False
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects if step.has_frame else ():
                if effect.kind == "save":
                    continue
                is_address = effect.kind == "set" and effect.value is not None and effect.value.op == "frame"
                if is_address and effect.unit in ("rsp", "rbp"):
                    continue
                plain: set[int] = set()
                roots: list[E | None] = [effect.value]
                if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame":
                    assert effect.value is not None
                    direct.setdefault(effect.addr.aux, set()).add(bits(effect.value.ty))
                    (spills if step.insn.is_spill else others).add(effect.addr.aux)
                else:
                    roots.append(effect.addr)
                if effect.kind == "cmpxchg":
                    roots.append(effect.aux)
                elif effect.kind == "string":
                    roots.append(effect.aux[2])
                for root in roots:
                    for node in walk(root):
                        if node.op == "load" and node.args[0] is not None and node.args[0].op == "frame":
                            direct.setdefault(node.args[0].aux, set()).add(bits(node.ty))
                            plain.add(id(node.args[0]))
                            (spills if step.insn.is_spill else others).add(node.args[0].aux)
                    for node in walk(root):
                        if node.op == "frame" and id(node) not in plain:
                            escapes = True
                            taken.add(node.aux)
    slots: set[int] = set()
    ordered = sorted(direct)
    for number, offset in enumerate(ordered):
        size = max(direct[offset]) // 8
        clear = number + 1 == len(ordered) or ordered[number + 1] >= offset + size
        if number and ordered[number - 1] + max(direct[ordered[number - 1]]) // 8 > offset:
            clear = False
        alone = not escapes or (offset in spills and offset not in others)
        if split and offset < 8:
            alone = alone or (offset not in taken and offset < min(taken))
        if (clear and max(direct[offset]) <= 128 and alone) or (
            clear and offset >= 8 and offset % 8 == 0 and max(direct[offset]) <= 64 and not _incoming_escapes(flow)
        ):
            slots.add(offset)
    suspects: set[int] = set()
    outgoing = _outgoing(flow, direct, suspects)
    slots.update(offset for offsets in outgoing.values() for offset in offsets)
    base, top = _blob(flow, slots, direct, outgoing, trim)
    starts = [base]
    if split:
        starts += [offset for offset in sorted(taken) if base < offset < top]
    widths = {at: max(direct[at]) for offsets in outgoing.values() for at in offsets}
    return Frame(
        slots=slots,
        escapes=escapes,
        base=base,
        top=top,
        starts=starts,
        outgoing=outgoing,
        outgoing_bits=widths,
        suspects=suspects,
    )


def _outgoing(flow: Flow, direct: dict[int, set[int]], suspects: set[int]) -> dict[int, list[int]]:
    """Per call, the slots at the stack pointer that were stored to for it alone: its arguments in memory.

    `suspects` gets the calls whose arguments may have been stored before their block.
    """
    loaded: set[int] = set()
    taken: set[int] = set()
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects if step.has_frame else ():
                if effect.unit in ("rsp", "rbp"):
                    continue
                for root in (effect.value, effect.addr if effect.kind != "store" else None):
                    direct_nodes = [n.args[0] for n in walk(root) if n.op == "load"]
                    for node in walk(root):
                        if node.op == "frame":
                            (loaded if any(node is d for d in direct_nodes) else taken).add(node.aux)
                if effect.kind == "store" and effect.addr is not None and effect.addr.op != "frame":
                    taken.update(n.aux for n in walk(effect.addr) if n.op == "frame")
    found: dict[int, list[int]] = {}
    ever_stored = {
        effect.addr.aux
        for index in flow.order
        for step in flow.blocks[index].steps
        for effect in step.effects
        if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame"
    }
    for index in flow.order:
        pushed = 0
        stored: set[int] = set()
        for step in flow.blocks[index].steps:
            if step.insn.mnemonic == "push" and any(e.kind == "store" for e in step.effects):
                pushed += 1
            for effect in step.effects:
                if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame":
                    stored.add(effect.addr.aux)
                elif effect.kind == "call" and not effect.aux.is_tail:
                    first = at = effect.aux.stack
                    offsets: list[int] = []
                    while first in stored and at in ever_stored - loaded - taken and direct[at] in ({32}, {64}):
                        offsets.append(at)
                        at += 8
                    if offsets:
                        found[effect.aux.index] = offsets
                    if len(offsets) < pushed or at in stored - loaded - taken:
                        raise LiftError("arguments in memory that are not understood")
                    if not offsets and first in ever_stored - loaded - taken:
                        suspects.add(effect.aux.index)
                    stored = set()
                    pushed = 0
    return found


def _blob(
    flow: Flow, slots: set[int], direct: dict[int, set[int]], outgoing: dict[int, list[int]], trim: bool
) -> tuple[int, int]:
    """Where the memory for objects begins and ends: from the usual stack pointer to the saved registers."""
    pointers: list[int] = []
    saves: list[int] = []
    used: list[int] = [offset for offset in direct if offset not in slots and offset < 8]
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind == "call" and not effect.aux.is_tail:
                    pointers.append(effect.aux.stack + 8 * len(outgoing.get(effect.aux.index, [])))
                if effect.kind == "save" and effect.addr is not None and effect.aux[1] not in NOT_ARGUMENTS:
                    saves.append(effect.addr.aux)
                for root in (effect.value, effect.addr) if step.has_frame and effect.unit not in ("rsp", "rbp") else ():
                    used += [node.aux for node in walk(root) if node.op == "frame" and node.aux not in slots]
    used = [offset for offset in used if offset < 8 and offset not in saves]
    base = min([*(pointers or [flow.lowest]), *used])
    if trim and used:
        base = min(used)
    sizes = {offset: max(direct[offset]) // 8 for offset in slots}
    while base in sizes:
        base += -(-sizes[base] // 4) * 4
    top = min([offset for offset in saves if offset > base and all(offset > u for u in used)], default=0)
    return base, max(top, *[u + 1 for u in used], base + 1) if used else top


def _incoming_escapes(flow: Flow) -> bool:
    """True where the address of an incoming stack argument is computed."""
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects if step.has_frame else ():
                for root in (effect.value, effect.addr):
                    for node in walk(root):
                        is_incoming = node.op == "frame" and node.aux >= 8
                        if is_incoming and not (node is effect.addr or _is_direct(node, root)):
                            return True
    return False


def _is_direct(node: E, root: E | None) -> bool:
    return any(n.op == "load" and n.args[0] is node for n in walk(root))


class Typing:
    """Types of webs, pointers found by propagation."""

    def __init__(self, flow: Flow, analysis: Analysis, webs: dict[int, Web], signature: Signature) -> None:
        self.flow = flow
        self.analysis = analysis
        self.webs = webs
        self.signature = signature
        self.edges: list[tuple[Web, Web]] = []
        self.links: dict[int, list[Web]] = {}
        self.pairs: list[tuple[Web, Web]] = []
        """base and index of addresses in which either could be the pointer"""
        self.guesses = False

    def solve(self) -> None:
        """Give every web its type."""
        self._from_signature()
        for index in self.flow.order:
            for number, step in enumerate(self.flow.blocks[index].steps):
                for effect in step.effects:
                    self._effect(index, number, effect)
        self._spread()
        for web in self.webs.values():
            web.ty = self._type(web)

    def _from_signature(self) -> None:
        units = {
            unit if not unit.startswith("stack.") else f"s{8 + int(unit[6:])}": ty for unit, ty in self.signature.params
        }
        for node, unit in self.analysis.entry_nodes.items():
            ty = units.get(unit)
            if ty is not None:
                web = self.webs[self.analysis.find(node)]
                web.votes[ty] += 1
                if ty == "ptr":
                    web.is_pointer = True

    def _read(self, index: int, number: int, unit: str) -> Web | None:
        node = self.analysis.read_nodes.get((index, number, unit))
        return None if node is None else self.webs[self.analysis.find(node)]

    def _written(self, index: int, number: int, unit: str) -> Web | None:
        node = self.analysis.write_nodes.get((index, number, unit))
        return None if node is None else self.webs[self.analysis.find(node)]

    def _effect(self, index: int, number: int, effect: Effect) -> None:
        if effect.kind == "call":
            self._call(index, number, effect)
            return
        if effect.kind == "ret":
            for unit, ty in self.signature.returns:
                web = self._read(index, number, unit)
                if web is not None:
                    web.votes[ty] += 1
                    if ty == "ptr":
                        web.is_pointer = True
            return
        target: Web | None = None
        if effect.kind == "set":
            target = self._written(index, number, effect.unit)
            if target is None:
                return
        elif effect.kind == "store" and effect.addr is not None and (slot := self.analysis.slot(effect.addr)):
            target = self._written(index, number, slot)
            if target is None:
                return
        if target is not None and effect.value is not None:
            self._definition(index, number, target, effect.value)
        roots = [effect.value, effect.addr]
        if effect.kind == "cmpxchg":
            roots.append(effect.aux)
        elif effect.kind == "string":
            roots.append(effect.aux[2])
        for root in roots:
            for node in walk(root):
                self._node(index, number, node)

    def _plain(self, index: int, number: int, e: E | None) -> Web | None:
        """The web of a register or slot that an expression merely reads."""
        if e is None:
            return None
        if e.op == "reg":
            return self._read(index, number, e.aux)
        if e.op == "load" and e.args[0] is not None and (slot := self.analysis.slot(e.args[0])):
            return self._read(index, number, slot)
        return None

    def _definition(self, index: int, number: int, target: Web, value: E) -> None:
        plain = self._plain(index, number, value)
        if plain is not None:
            if bits(value.ty) == target.width or value.ty[0] != "i":
                self._link(target, plain)
                self._link(plain, target)
        elif value.op in ("frame", "sym"):
            target.is_pointer = True
        elif value.op == "addr" and value.ty == "i64":
            base, other = value.args
            how = value.aux
            if how.ref is not None or (base is not None and base.op == "frame"):
                target.is_pointer = True
            else:
                for node, scale in ((base, 1), (other, how.scale)):
                    web = self._plain(index, number, node)
                    if web is not None and scale == 1:
                        self._link(web, target)
                        if other is None:
                            self._link(target, web)
        elif value.op in ("add", "sub") and value.ty == "i64":
            a, b = value.args
            assert a is not None and b is not None
            for node, partner in ((a, b), (b, a)) if value.op == "add" else ((a, b),):
                web = self._plain(index, number, node)
                if web is not None:
                    other_web = self._plain(index, number, partner)
                    if True:
                        self._link(web, target, unless=other_web if value.op == "sub" else None)
                    if partner.op == "const":
                        self._link(target, web)
                if node.op in ("frame", "sym"):
                    target.is_pointer = True
        elif value.op == "load" and value.args[0] is not None and value.args[0].op == "addr":
            how = value.args[0].aux
            if how.ref is not None and how.ref.kind == "got":
                target.is_pointer = True
        if value.op != "const":
            target.votes[value.ty] += 1
        elif isinstance(value.aux, tuple):
            target.votes["<zero>"] += 0

    def _link(self, a: Web, b: Web, unless: Web | None = None) -> None:
        """If `a` is a pointer, so is `b`."""
        if unless is None:
            self.links.setdefault(id(a), []).append(b)

    def _node(self, index: int, number: int, node: E) -> None:
        if node.op == "addr":
            base, other = node.args
            how = node.aux
            if how.segment or node.ty != "ptr":
                return
            if how.ref is None and base is not None:
                web = self._plain(index, number, base)
                if web is not None and (other is None or how.scale != 1):
                    web.is_pointer = True
                elif web is not None and other is not None:
                    second = self._plain(index, number, other)
                    if second is not None:
                        self.pairs.append((web, second))
                    elif other.op != "frame":
                        web.is_pointer = True
        elif node.op == "load" and node.args[0] is not None:
            web = self._plain(index, number, node.args[0])
            if web is not None:
                web.is_pointer = True
        elif node.op == "reg":
            web = self._read(index, number, node.aux)
            if web is not None:
                web.votes[node.ty] += 1
        elif node.op in ("mul", "shl", "lshr", "ashr", "and", "or", "xor", "sdiv", "udiv"):
            for arg in node.args:
                web = self._plain(index, number, arg)
                if web is not None:
                    web.is_integer = True

    def _call(self, index: int, number: int, effect: Effect) -> None:
        call: Call = effect.aux
        signature = self.analysis.signatures[call.index]
        for unit, ty in signature.params:
            web = self._read(index, number, self.analysis.stack_unit(unit, call))
            if web is not None:
                web.votes[ty] += 1
                if ty == "ptr":
                    web.is_pointer = True
        for unit, ty in signature.returns:
            web = self._written(index, number, unit)
            if web is not None:
                web.votes[ty] += 1
                if ty == "ptr":
                    web.is_pointer = True
        if call.pointer is not None:
            web = self._plain(index, number, call.pointer)
            if web is not None:
                web.is_pointer = True
            for node in walk(call.pointer):
                self._node(index, number, node)

    def _spread(self) -> None:
        todo = [web for web in self.webs.values() if web.is_pointer]
        while True:
            while todo:
                web = todo.pop()
                for other in self.links.get(id(web), []):
                    if not other.is_pointer and other.width == 64 and not other.is_integer:
                        other.is_pointer = True
                        todo.append(other)
            # base + index with nothing known of either: a guess, or an address computed as an integer. A pointer
            # that is derived from the wrong one of the two may not point where it points.
            left = [a for a, b in self.pairs if not (a.is_pointer or b.is_pointer or a.is_integer) and a.width == 64]
            if not left or not self.guesses:
                return
            left[0].is_pointer = True
            todo = [left[0]]

    def _type(self, web: Web) -> str:
        unit, width = web.unit, web.width
        if unit.startswith("cc."):
            return "i1"
        if unit.startswith("xmm"):
            return self._vector_type(web)
        width = 8 if width <= 8 else 16 if width <= 16 else 32 if width <= 32 else 64 if width <= 64 else 128
        if unit.startswith("s") and unit[1:].lstrip("-").isdigit() and width >= 32:
            return self._slot_type(web, width)
        if width == 64 and web.is_pointer:
            return "ptr"
        return f"i{width}"

    def _slot_type(self, web: Web, width: int) -> str:
        if width == 128:
            return self._vector_type(web)
        if width == 64 and web.is_pointer:
            return "ptr"
        floats = {32: "float", 64: "double"}[width]
        return floats if web.votes[floats] else f"i{width}"

    def _vector_type(self, web: Web) -> str:
        width = 32 if web.width <= 32 else 64 if web.width <= 64 else 128
        fitting = {
            ty: n
            for ty, n in web.votes.items()
            if ty not in ("base", "<zero>", "ptr") and bits(ty) == width and ty != "i128"
        }
        if fitting:
            return max(fitting.items(), key=lambda item: (item[1], item[0] in ("float", "double")))[0]
        narrower = {ty for ty in web.votes if ty in ("float", "double")}
        if width == 64:
            return "<2 x float>" if narrower == {"float"} else "double"
        if width == 32:
            return "float"
        return "<4 x float>" if narrower == {"float"} else "<2 x i64>"
