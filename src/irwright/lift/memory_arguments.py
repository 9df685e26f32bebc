"""Arguments in memory: places that hold one each, and areas that are handed over as they are.

Compilers store arguments at the stack pointer, push them, or copy structs there. Where each place is stored for one
call alone, every argument is a value (`stack.N`). Everything else is an area, `byval` in LLVM's words: the bytes at
the stack pointer. An area that is too large costs a copy and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from irwright.lift.blocks import GIVEN, INTEGER_ARGUMENTS, NOT_ARGUMENTS, Call, Flow, Step
from irwright.lift.expressions import E, Effect, walk


@dataclass(slots=True)
class _Places:
    """How the places of a frame are used, by offset."""

    stored: set[int] = field(default_factory=set[int])
    loaded: set[int] = field(default_factory=set[int])
    taken: set[int] = field(default_factory=set[int])
    usual: int = 0
    """the stack pointer at calls for which nothing is pushed"""


def _places(flow: Flow) -> _Places:
    found = _Places(usual=max((call.stack for call in flow.calls if not call.is_tail), default=0))
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects if step.has_frame else ():
                if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame":
                    found.stored.add(effect.addr.aux)
                if effect.unit in ("rsp", "rbp") or (effect.kind == "save" and effect.aux[1] in NOT_ARGUMENTS):
                    continue
                for root in (effect.value, effect.addr if effect.kind != "store" else None):
                    direct_nodes = [n.args[0] for n in walk(root) if n.op == "load"]
                    for node in walk(root):
                        if node.op == "frame":
                            (found.loaded if any(node is d for d in direct_nodes) else found.taken).add(node.aux)
                if effect.kind == "store" and effect.addr is not None and effect.addr.op != "frame":
                    found.taken.update(n.aux for n in walk(effect.addr) if n.op == "frame")
    return found


def find_outgoing(
    flow: Flow, direct: dict[int, set[int]], suspects: set[int], with_area: Collection[int], *, likely: bool
) -> tuple[dict[int, list[int]], dict[int, int]]:
    """Per call, the slots at the stack pointer that were stored to for it alone; else the bytes of its area.

    `suspects` gets the calls whose arguments may have been stored before their block.
    """
    places = _places(flow)
    unread = places.stored - places.loaded - places.taken
    found: dict[int, list[int]] = {}
    areas: dict[int, int] = {}
    touched: dict[int, set[int]] = {}
    for index in flow.order:
        since = _Since()
        for step in flow.blocks[index].steps:
            if step.insn.mnemonic == "push" and any(e.kind == "store" for e in step.effects):
                since.pushed += 1
            since.note_narrow(step)
            for effect in step.effects:
                if effect.kind != "call" or effect.aux.is_tail:
                    since.note(effect)
                    continue
                call: Call = effect.aux
                first = at = call.stack
                offsets: list[int] = []
                while first in since.stored and at in unread and _is_word(direct[at], at in since.narrow):
                    offsets.append(at)
                    at += 8
                is_whole = len(offsets) >= since.pushed and at not in since.stored & unread
                is_struct = first in since.stored - since.passed(likely=likely) - places.loaded and not offsets
                if not is_whole or is_struct or first in since.copied or call.index in with_area:
                    areas[call.index] = _area_bytes(first, places, since.touched)
                elif offsets:
                    found[call.index] = offsets
                else:
                    if first in unread:
                        suspects.add(call.index)
                    if first in since.stored:
                        touched[call.index] = since.touched
                if _is_copy(call):
                    since.copied.add(since.rdi)
                else:
                    since = _Since()
    # Where one call has arguments at the stack pointer, that place is no object's.
    bottoms = {call.stack for call in flow.calls if call.index in areas or call.index in found}
    for call in flow.calls:
        if call.index in touched and call.stack in bottoms:
            areas[call.index] = _area_bytes(call.stack, places, touched[call.index])
    spans = [(call.stack, call.stack + areas[call.index]) for call in flow.calls if call.index in areas]
    for number, offsets in list(found.items()):
        if any(low <= at < high for at in offsets for low, high in spans):
            areas[number] = _area_bytes(offsets[0], places, set(offsets))
            del found[number]
    return found, areas


@dataclass(slots=True)
class _Since:
    """What a block did to the frame since its last call."""

    pushed: int = 0
    stored: set[int] = field(default_factory=set[int])
    taken: set[int] = field(default_factory=set[int])
    copied: set[int] = field(default_factory=set[int])
    """where block copies went"""
    touched: set[int] = field(default_factory=set[int])
    """stored, or their address computed"""
    room: set[int] = field(default_factory=set[int])
    """where `push rax` made room"""
    narrow: set[int] = field(default_factory=set[int])
    """where 32 bits were stored in such room"""
    rdi: int = 0
    registers: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    """argument registers that were set, and the places whose address they got"""

    def passed(self, *, likely: bool) -> set[int]:
        """Places whose address the next call gets: in memory, or in a register after others that are set too.

        Likely, those that are not set are handed on.
        """
        found = set(self.taken)
        for unit in INTEGER_ARGUMENTS:
            if unit not in self.registers and not likely:
                break
            found |= self.registers.get(unit, set())
        return found

    def note_narrow(self, step: Step) -> None:
        """See what is pushed for its room, and what is stored there."""
        for effect in step.effects:
            if effect.kind != "store" or effect.addr is None or effect.addr.op != "frame" or effect.value is None:
                continue
            if step.insn.mnemonic == "push":
                self.room.add(effect.addr.aux)
            elif effect.value.ty == "i32" and effect.addr.aux in self.room:
                self.narrow.add(effect.addr.aux)

    def note(self, effect: Effect) -> None:
        if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame":
            self.stored.add(effect.addr.aux)
        elif effect.kind == "string" and effect.addr is not None and effect.addr.op == "frame":
            self.copied.add(effect.addr.aux)
        if effect.unit in ("rsp", "rbp"):
            return
        nodes = walk(effect.value)
        direct = [n.args[0] for n in nodes if n.op == "load"]
        taken = {n.aux for n in nodes if n.op == "frame" and not any(n is d for d in direct)}
        self.touched |= taken | self.stored
        if effect.kind != "set":
            self.taken |= taken
        elif effect.unit in INTEGER_ARGUMENTS:
            self.registers[effect.unit] = taken
        if effect.kind == "set" and effect.unit == "rdi" and effect.value is not None:
            self.rdi = effect.value.aux if effect.value.op == "frame" else 0


def _is_word(widths: set[int], is_narrow: bool) -> bool:
    """One argument: stored as 32 or 64 bits, or as 32 into the room that a push made."""
    return widths in ({32}, {64}) or (is_narrow and widths == {32, 64})


def _is_copy(call: Call) -> bool:
    return call.target is not None and call.target.symbol in ("memcpy", "memmove")


def _area_bytes(first: int, places: _Places, stored: set[int]) -> int:
    """From the stack pointer to the first place that something else uses; `stored` was filled for the call."""
    if first < places.usual:
        return places.usual - first  # the stack pointer was moved for this call
    others = (places.loaded | places.taken) - stored
    if first in others:
        return max(8, -first)
    end = min([at for at in others if at > first], default=0)
    return max(8, -(-(min(end, 0) - first) // 8) * 8)


def mark_given(flow: Flow, outgoing: dict[int, list[int]], areas: dict[int, int]) -> None:
    """Mark the pops that give back the room of arguments: the callee owns what lies there."""
    for index in flow.order:
        given: set[int] = set()
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind == "call" and not effect.aux.is_tail:
                    call: Call = effect.aux
                    area = range(call.stack, call.stack + areas.get(call.index, 0), 8)
                    given = {*outgoing.get(call.index, ()), *area}
                elif effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame":
                    given.discard(effect.addr.aux)
                elif step.insn.mnemonic == "pop" and effect.kind == "set" and step.stack in given:
                    effect.aux = GIVEN


def incoming_bytes(flow: Flow, direct: dict[int, set[int]]) -> tuple[int, bool]:
    """Bytes of the parameters in memory that are seen, 0 where these are plain words; does an address escape?"""
    above = [offset for offset in direct if offset >= 8]
    end = max([offset + max(direct[offset]) // 8 for offset in above], default=0)
    taken: set[int] = set()
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects if step.has_frame else ():
                for root in (effect.value, effect.addr) if effect.unit not in ("rsp", "rbp") else ():
                    nodes = walk(root)
                    plain = [n.args[0] for n in nodes if n.op == "load"]
                    plain.append(effect.addr)
                    taken.update(n.aux for n in nodes if _is_incoming(n) and not any(n is d for d in plain))
                if effect.addr is not None and effect.kind not in ("store", "save") and _is_incoming(effect.addr):
                    taken.add(effect.addr.aux)
    if taken:
        return max(8, -(-(max(end, max(taken)) - 8) // 8) * 8), True
    is_plain = all(offset % 8 == 0 and max(direct[offset]) <= 64 for offset in above)
    return 0 if is_plain else -(-(end - 8) // 8) * 8, False


def _is_incoming(node: E) -> bool:
    """Above the return address, or biased into it: nothing else is there."""
    return node.op == "frame" and node.aux > 0
