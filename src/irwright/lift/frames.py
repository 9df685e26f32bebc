"""The stack frame: which places become variables, which stay memory, which hold arguments of calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from irwright.errors import LiftError
from irwright.lift.expressions import E, bits, walk
from irwright.lift.flow import NOT_ARGUMENTS, Flow


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
    base, top, used_top = _blob(flow, slots, direct, outgoing, trim)
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
        used_top=used_top,
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
