"""The stack frame: which places become variables, which stay memory, which hold arguments of calls."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from irwright.lift.blocks import NOT_ARGUMENTS, Flow, Step
from irwright.lift.expressions import E, Effect, bits, walk
from irwright.lift.memory_arguments import find_outgoing, incoming_bytes, mark_given


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
    used_top: int = 0
    """no place of the blob at or above this is named"""
    suspects: set[int] = field(default_factory=set[int])
    """calls that may have arguments in memory which were stored in an earlier block"""
    areas: dict[int, int] = field(default_factory=dict[int, int])
    """by call: bytes at the stack pointer that are handed over as they are"""
    loose: set[int] = field(default_factory=set[int])
    """places where 16 bytes are read or written at once as if they did not lie at a multiple of 16"""
    incoming: int = 0
    """bytes above the return address that are a parameter as they are; 0 where single places are enough"""
    incoming_escapes: bool = False
    """its address is computed: there may be more of it"""


def frame_use(
    flow: Flow,
    *,
    trim: bool = False,
    split: bool = False,
    is_volatile: bool = False,
    named_bytes: int = 0,
    with_area: Collection[int] = (),
) -> Frame:
    """Which stack places are only read and written directly; they are promoted where no address escapes.

    Calls of `with_area` get what lies at the stack pointer, whatever it is. Nothing of a volatile frame is promoted.
    `named_bytes` of the parameters in memory have names, where a function takes others too.
    """
    uses = _uses(flow)
    direct = uses.direct
    incoming, incoming_escapes = incoming_bytes(flow, direct)
    if named_bytes:
        incoming, incoming_escapes = named_bytes, False
    slots = _variables(uses, split=split, has_incoming=bool(incoming))
    if is_volatile:
        slots = {offset for offset in slots if offset >= 8}
    if incoming:
        slots = {offset for offset in slots if offset < 8}
    suspects: set[int] = set()
    outgoing, areas = find_outgoing(flow, direct, suspects, with_area, likely=trim)
    mark_given(flow, outgoing, areas)
    slots.update(offset for offsets in outgoing.values() for offset in offsets)
    stacks = {call.index: call.stack for call in flow.calls}
    spans = [(stacks[index], stacks[index] + size) for index, size in areas.items()]
    slots = {at for at in slots if not any(low <= at < high for low, high in spans)}
    base, top, used_top = _blob(flow, slots, direct, outgoing, trim)
    if spans:
        base = min(base, *[low for low, _ in spans])
        top, used_top = (max(place, *[high for _, high in spans]) for place in (top, used_top))
    if not trim:  # what lies at a multiple of 16 still does
        base = (base + 8) // flow.align * flow.align - 8
    starts = [base]
    if split and not spans:
        starts += [offset for offset in sorted(uses.taken) if base < offset < top]
    widths = {at: min(direct[at]) for offsets in outgoing.values() for at in offsets}
    return Frame(
        slots=slots,
        escapes=bool(uses.taken),
        base=base,
        top=top,
        starts=starts,
        outgoing=outgoing,
        outgoing_bits=widths,
        used_top=used_top,
        suspects=suspects,
        areas=areas,
        loose=_loose(flow),
        incoming=incoming,
        incoming_escapes=incoming_escapes,
    )


@dataclass(slots=True)
class _Uses:
    """How the places of a frame are used, by offset."""

    direct: dict[int, set[int]] = field(default_factory=dict[int, set[int]])
    """read or written by name: with how many bits"""
    spills: set[int] = field(default_factory=set[int])
    """by instructions that put a register aside or get it back"""
    others: set[int] = field(default_factory=set[int])
    """by any other instruction"""
    taken: set[int] = field(default_factory=set[int])
    """whose address is computed: then others may reach the frame, too"""

    def note(self, step: Step, effect: Effect) -> None:
        """Take in one effect of a step."""
        roots: list[E | None] = [effect.value]
        if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame":
            assert effect.value is not None
            self._note_direct(step, effect.addr.aux, effect.value.ty)
        else:
            roots.append(effect.addr)
        if effect.kind == "cmpxchg":
            roots.append(effect.aux)
        elif effect.kind == "string":
            roots.append(effect.aux[2])
        loaded: set[int] = set()
        for root in roots:
            for node in walk(root):
                place = node.args[0] if node.op == "load" else None
                if place is not None and place.op == "frame":
                    self._note_direct(step, place.aux, node.ty)
                    loaded.add(id(place))
            self.taken |= {node.aux for node in walk(root) if node.op == "frame" and id(node) not in loaded}

    def _note_direct(self, step: Step, offset: int, ty: str) -> None:
        self.direct.setdefault(offset, set()).add(bits(ty))
        (self.spills if step.insn.is_spill else self.others).add(offset)


def _uses(flow: Flow) -> _Uses:
    found = _Uses()
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects if step.has_frame else ():
                is_address = effect.kind == "set" and effect.value is not None and effect.value.op == "frame"
                moves_pointer = is_address and effect.unit in ("rsp", "rbp")
                if effect.kind != "save" and not moves_pointer:
                    found.note(step, effect)
    return found


def _variables(uses: _Uses, *, split: bool, has_incoming: bool) -> set[int]:
    """Places that can be variables: accesses of them overlap no other place, and nobody else can reach them."""
    slots: set[int] = set()
    ordered = sorted(uses.direct)
    reach = -(1 << 40)  # the end of what lies before
    for offset, following in zip(ordered, [*ordered[1:], None], strict=False):
        widths = uses.direct[offset]
        widest = max(widths)
        end = offset + widest // 8
        is_apart = reach <= offset and (following is None or following >= end)
        reach = max(reach, end)
        if not is_apart or (80 in widths and len(widths) > 1):
            continue
        is_unreached = not uses.taken or (offset in uses.spills and offset not in uses.others)
        if split and offset < 8:
            is_unreached = is_unreached or (offset not in uses.taken and offset < min(uses.taken))
        is_parameter = offset >= 8 and offset % 8 == 0 and widest <= 64 and not has_incoming
        if (widest <= 128 and is_unreached) or is_parameter:
            slots.add(offset)
    return slots


def _loose(flow: Flow) -> set[int]:
    """Empty where other places are read or written as if they lay at a multiple of 16."""
    found: set[int] = set()
    for index in flow.order:
        for step in flow.blocks[index].steps:
            if step.has_frame and step.insn.mnemonic in ("movaps", "movapd", "movdqa"):
                return set()
            if step.has_frame and step.insn.mnemonic in ("movups", "movupd", "movdqu"):
                for effect in step.effects:
                    loads = [node.args[0] for node in walk(effect.value) if node.op == "load"]
                    found |= {node.aux for node in (*loads, effect.addr) if node is not None and node.op == "frame"}
    return found


def _blob(
    flow: Flow, slots: set[int], direct: dict[int, set[int]], outgoing: dict[int, list[int]], trim: bool
) -> tuple[int, int, int]:
    """Where the memory for objects begins and ends (from the usual stack pointer to the saved registers), and where
    what is named of it ends."""
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
    used_top = max([u + 1 for u in used], default=base)
    return base, max(top, used_top, base + 1) if used else top, used_top
