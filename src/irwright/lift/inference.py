"""What the registers of one function carry: the values available at each call and return.

Availability runs forward: a unit is `defined` here on every path, still what it was at entry (`entry`), or the
result of a call that may return it (`result`); `.width` says how wide, `.cap` that on some path no more is there.
From it come upper bounds of what an unknown callee can take.

Code behind a call that does not return is reached by other ways alone, but nothing in the machine code says so. So
where another way leads to a block, that from a call which may be such a one does not count: bounds only grow by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from irwright.lift.blocks import CALLER_SAVED, GIVEN, Block, Call, Flow, Step
from irwright.lift.expressions import E, Effect, bits, walk
from irwright.lift.program import Imm, Mem, Reg
from irwright.lift.signatures import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, RESULTS, Signature
from irwright.lift.webs import Analysis

DEFINED, ENTRY, RESULT = "defined", "entry", "result"
ZERO = "rax.zero"
"""rax was zeroed, so that bytes set in it leave 32 bits"""
MIXED = "mixed "
"""before a unit: on some paths a call left something there, on others it was set"""
Status = dict[str, str]
TRACKED = frozenset((*INTEGER_ARGUMENTS, *FLOAT_ARGUMENTS, *RESULTS))


PLAIN_SETTERS = frozenset(
    ["mov", "movzx", "movsx", "movsxd", "movabs", "lea", "xor", "pop", "and", "sub", "add", "shl"]
)
"""instructions that set what they name and nothing else"""


@dataclass(slots=True)
class Available:
    """Statuses at the calls and returns of one function."""

    at_call: dict[int, Status] = field(default_factory=dict[int, Status])
    """by Call.index"""
    at_return: list[Status] = field(default_factory=list[Status])
    returns_of_tails: list[Call] = field(default_factory=list[Call])


Resolve = Callable[[Call], Signature | None]
"""The signature of a callee where it is known"""
MayEnd = Callable[[Call], bool]
"""True for callees that may never return"""


def ways(flow: Flow, may_end: MayEnd) -> list[list[int]]:
    """Successors by block, without the ways behind calls that may never return to blocks that others lead to."""
    doubtful = {index for index in flow.order if _ends_in_call(flow.blocks[index], may_end)}
    found: list[list[int]] = [[] for _ in flow.blocks]
    reached = {0}
    todo = [0]
    while todo:
        while todo:
            index = todo.pop()
            if index not in doubtful:
                found[index] = flow.blocks[index].successors
                todo += [n for n in found[index] if n not in reached]
                reached.update(found[index])
        for index in doubtful & reached:
            behind = [n for n in flow.blocks[index].successors if n not in reached]
            found[index] = found[index] or behind
            todo += behind
        reached.update(todo)
    return found


def _ends_in_call(block: Block, may_end: MayEnd) -> bool:
    """The last that a block does is a call that may never return."""
    for step in reversed(block.steps):
        if step.effects:
            last = step.effects[-1]
            return last.kind == "call" and not last.aux.is_tail and may_end(last.aux)
    return False


def returns(flow: Flow, noreturn: Collection[str]) -> bool:
    """True where a way through the function leads to a return, if calls of `noreturn` do not come back."""
    seen = {0}
    todo = [0]
    while todo:
        block = flow.blocks[todo.pop()]
        effects = [effect for step in block.steps for effect in step.effects]
        calls = [effect.aux for effect in effects if effect.kind == "call"]
        if any(call.name in noreturn and not call.is_tail for call in calls):
            continue
        tails = [call for call in calls if call.is_tail]
        if any(call.name not in noreturn for call in tails):
            return True
        if not tails and any(effect.kind == "ret" for effect in effects):
            return True
        todo += [n for n in block.successors if n not in seen]
        seen.update(block.successors)
    return False


def availability(
    flow: Flow, resolve: Resolve, may_end: MayEnd, *, keeps: bool = False, likely: bool = False
) -> Available:
    """Solve forward; `likely` lets constants that fit any width take the narrower one.

    `keeps` says that registers which a callee leaves alone may hold arguments of the next call.
    """
    successors = ways(flow, may_end)
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
            _advance(step.effects, state, None, resolve, step.insn.mnemonic if likely else "", keeps=keeps)
        for unit in _places(flow.blocks[index]):
            state.pop(unit, None)
        for successor in successors[index]:
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
            _advance(step.effects, state, found, resolve, step.insn.mnemonic if likely else "", keeps=keeps)
    return found


def _places(block: Block) -> list[str]:
    """Registers that hold places of code and tables of them at a jump through a table: no arguments, no results."""
    last = block.steps[-1]
    if not last.effects or last.effects[-1].kind != "switch":
        return []
    found = [op.name for op in last.insn.operands if isinstance(op, Reg)]
    bases: list[str] = []
    for step in block.steps[:-1]:
        written = {effect.unit for effect in step.effects}
        bases = [name for name in bases if name not in written]
        if any(unit.startswith("jt.") for unit in written):
            bases += [op.base for op in step.insn.operands if isinstance(op, Mem) and op.base not in written]
    return found + bases


def _meet(a: Status, b: Status) -> Status:
    merged: Status = {}
    parts = {unit for side in (a, b) for unit, status in side.items() if status == "part"}
    for unit, status in a.items():
        other = b.get(unit)
        if other is not None and not unit.endswith(".cap"):
            if unit.endswith(".width"):
                # Of a value that is only partly set on some path, the rest means nothing.
                widths = [side[unit] for side in (a, b) if side.get(unit[:-6]) == "part"]
                merged[unit] = min(widths, key=int) if unit[:-6] in parts else max(status, other, key=int)
            elif status == other:
                merged[unit] = status
            else:
                merged[unit] = next(kind for kind in ("part", ENTRY, RESULT) if kind in (status, other))
    for unit in RESULTS:
        caps = [side[f"{unit}.cap"] for side in (a, b) if f"{unit}.cap" in side]
        if caps and unit in merged:
            merged[f"{unit}.cap"] = min(caps, key=int)
        if {a.get(unit), b.get(unit)} == {DEFINED, RESULT} or MIXED + unit in a or MIXED + unit in b:
            merged[MIXED + unit] = "yes"
    return merged


def _advance(
    effects: list[Effect], state: Status, found: Available | None, resolve: Resolve, mnemonic: str, *, keeps: bool
) -> None:
    for effect in effects:
        if effect.kind == "call" and found is not None:
            call: Call = effect.aux
            found.at_call[call.index] = dict(state)
            if call.is_tail:
                after = dict(state)
                _after_call(after, call, resolve(call), keeps=keeps, likely=bool(mnemonic))
                found.at_return.append(after)
        elif effect.kind == "ret" and found is not None and not any(e.kind == "call" for e in effects):
            found.at_return.append(dict(state))
    for effect in effects:
        if effect.kind == "call" and not effect.aux.is_tail:
            _after_call(state, effect.aux, resolve(effect.aux), keeps=keeps, likely=bool(mnemonic))
        elif effect.kind == "store" and mnemonic and effect.value is not None and bits(effect.value.ty) == 128:
            for node in walk(effect.value):  # what is stored whole was there to fill memory
                if node.op == "reg":
                    state.pop(node.aux, None)
        elif effect.kind == "kill":
            for key in (effect.unit, f"{effect.unit}.width", f"{effect.unit}.cap", f"{effect.unit}.zero"):
                state.pop(key, None)
        elif effect.kind == "set" and effect.unit in TRACKED:
            assert effect.value is not None
            state.pop(MIXED + effect.unit, None)
            state.pop(f"{effect.unit}.cap", None)
            width = bits(effect.value.ty)
            if effect.value.op == "const" and width == 64 and mnemonic == "pop":
                width = 32  # `push -1; pop rax` says nothing of the width
            if mnemonic == "shr" and _is_upper_half(effect.value):
                width = 32
            if effect.unit == "rax":
                is_byte = effect.partial and width == 8 and (mnemonic == "mov" or mnemonic.startswith("set"))
                if is_byte and ZERO not in state and "rax" in state:  # above it lies what was there before
                    state["rax"], state["rax.width"] = "part", "8"
                    continue
                if effect.aux == GIVEN:  # no result, whatever the callee left there
                    state.pop("rax", None)
                    continue
                if effect.partial and not mnemonic and state.get("rax") == "part":
                    state["rax.width"] = str(max(width, int(state["rax.width"])))
                    continue
                if not effect.partial:
                    _note(state, ZERO, effect.value.op == "const" and effect.value.aux == 0)
            if not effect.partial or effect.unit in state:
                state[effect.unit] = DEFINED
                if not effect.partial or effect.unit.startswith("xmm") or (mnemonic and not mnemonic.startswith("set")):
                    state[f"{effect.unit}.width"] = str(width)
            else:
                state[effect.unit] = DEFINED if effect.unit.startswith("xmm") else "part"
                state[f"{effect.unit}.width"] = str(width)


def _note(state: Status, what: str, holds: bool) -> None:
    if holds:
        state[what] = "yes"
    else:
        state.pop(what, None)


def _is_upper_half(value: E) -> bool:
    """A number of 64 bits shifted to the right by 32 or more."""
    count = value.args[1] if value.op == "lshr" and value.ty == "i64" else None
    return count is not None and count.op == "const" and count.aux >= 32


def _after_call(state: Status, call: Call, callee: Signature | None, *, keeps: bool, likely: bool) -> None:
    clobbers = call.clobbered if keeps else frozenset(CALLER_SAVED)
    state.pop(ZERO, None)
    for unit in clobbers:
        state.pop(unit, None)
        state.pop(MIXED + unit, None)
        state.pop(f"{unit}.cap", None)
    if callee is None:
        for unit, width in (("rax", "0" if likely else "64"), ("xmm0", "64")):
            if unit in clobbers:
                state[unit] = RESULT
                state[f"{unit}.width"] = width
        return
    for unit, ty in callee.returns:
        is_part = unit == "rax" and bits(ty) < 32 and not likely and not callee.is_known
        state[unit] = "part" if is_part else RESULT  # above it lies what nobody has set
        state[f"{unit}.width"] = str(bits(ty))
        if (callee.is_known or callee.is_capped) and unit == "rax" and bits(ty) < 64:
            state["rax.cap"] = str(bits(ty))  # what lies above is nothing that anybody could give on


def unread_at_end(flow: Flow, analysis: Analysis) -> list[tuple[int, str]]:
    """Blocks that leave something in an argument register which nothing but a call can want, in a later block."""
    found: list[tuple[int, str]] = []
    for index in flow.order:
        block = flow.blocks[index]
        if not block.successors:
            continue
        live = dict(analysis.live_out[index])
        later: set[str] = set()
        tested = ""
        """what the next instruction compares with zero, and nothing else reads"""
        for step in reversed(block.steps):
            if any(effect.kind == "call" for effect in step.effects):
                break
            for effect in step.effects:
                is_last = effect.kind == "set" and effect.unit in INTEGER_ARGUMENTS and effect.unit not in later
                is_unread = not live.get(effect.unit) or (effect.unit == tested and _is_load(step))
                if is_last and is_unread and step.insn.mnemonic in PLAIN_SETTERS:
                    found.append((index, effect.unit))
                later.add(effect.unit)
            tested = _tested(step)
            tested = "" if live.get(tested) or tested in later else tested
            analysis.before(step.effects, live)
    return found


def _tested(step: Step) -> str:
    """The register that `test r, r` compares with zero."""
    ops = step.insn.operands
    is_test = step.insn.mnemonic == "test" and isinstance(ops[0], Reg) and ops[0] == ops[1]
    return ops[0].name if is_test and isinstance(ops[0], Reg) else ""


def _is_load(step: Step) -> bool:
    """What `cmp` could have compared in memory, if nobody wanted it in a register."""
    ops = step.insn.operands
    return step.insn.mnemonic == "mov" and len(ops) == 2 and isinstance(ops[1], Mem)


def first_calls(flow: Flow, index: int, unit: str) -> list[Call]:
    """Calls that are reached from the end of a block with a register as it is there."""
    found: list[Call] = []
    seen: set[int] = set()
    todo = list(flow.blocks[index].successors)
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        ends = [e for step in flow.blocks[at].steps for e in step.effects if e.unit == unit or e.kind == "call"]
        if not ends:
            todo += flow.blocks[at].successors
        elif ends[0].kind == "call":
            found.append(ends[0].aux)
    return found


def reads_what_is_gone(flow: Flow, index: int, call: Call) -> bool:
    """True where code behind a call in a block reads registers that the call has lost: then it does not come back."""
    lost = call.clobbered & {*INTEGER_ARGUMENTS, "r10", "r11"} - set(RESULTS)
    seen: set[tuple[int, frozenset[str]]] = set()
    todo = [(index, _behind(flow.blocks[index], call), frozenset(lost))]
    while todo:
        at, start, units = todo.pop()
        left = set(units)
        for step in flow.blocks[at].steps[start:]:
            if any(effect.kind == "call" for effect in step.effects):
                left.clear()  # what it takes is known from above only
            reads = {e.aux for effect in step.effects for e in _read_by(effect) if e.op == "reg"}
            if reads & left and step.insn.mnemonic != "push":  # which may only make room
                return True
            left -= {effect.unit for effect in step.effects}
        following = frozenset(left)
        for successor in flow.blocks[at].successors if left else ():
            if (successor, following) not in seen:
                seen.add((successor, following))
                todo.append((successor, 0, following))
    return False


def _behind(block: Block, call: Call) -> int:
    """The number of the step behind a call."""
    return next(n for n, step in enumerate(block.steps, 1) if any(e.aux is call for e in step.effects))


def _read_by(effect: Effect) -> list[E]:
    return [node for e in (effect.value, effect.addr) if e is not None for node in walk(e)]


def is_loaded_before(flow: Flow, call: Call) -> bool:
    """True for `mov rax, [rdi]; ...; jmp rax`: with one argument, code generation jumps through memory."""
    if not call.is_tail or call.pointer is None or call.pointer.op != "reg":
        return False
    block = next(b for b in flow.blocks if any(e.kind == "call" and e.aux is call for s in b.steps for e in s.effects))
    for step in reversed(block.steps[:-1]):
        if any(effect.unit == call.pointer.aux for effect in step.effects):
            return step.insn.mnemonic == "mov" and isinstance(step.insn.operands[1], Mem)
        if any(isinstance(op, Reg) and op.name == call.pointer.aux for op in step.insn.operands):
            return False
    return False


def kept_narrow(flow: Flow) -> set[str]:
    """Argument registers of which nothing but 32 bits is read, somewhere, while they hold what came from the caller."""
    held: list[set[str] | None] = [None] * len(flow.blocks)
    held[0] = set(INTEGER_ARGUMENTS)
    narrow: set[str] = set()
    wide: set[str] = set()
    for index in flow.order:
        units = set(held[index] or ())
        for step in flow.blocks[index].steps if units else ():
            for effect in step.effects:
                for node in _read_by(effect):
                    if node.op == "reg" and node.aux in units:
                        (narrow if bits(node.ty) <= 32 else wide).add(node.aux)
                if effect.kind == "call":
                    units -= effect.aux.clobbered
            units -= {effect.unit for effect in step.effects}
        for successor in flow.blocks[index].successors:
            before = held[successor]
            held[successor] = set(units) if before is None else before & units
    return narrow - wide


def widen_by_order(flow: Flow, found: Available) -> None:
    """Arguments of 64 bits that are set with 32, known by where.

    Arguments are copied to their registers in order. `mov edx, 5` after the copy to rdi is such a copy, of 32 bits;
    before it, it made a value of 64 bits that was then where it should be.
    """
    for unit in kept_narrow(flow):
        for status in found.at_call.values():
            if status.get(unit) == ENTRY:
                status[f"{unit}.width"] = "32"
    kept = _prologue_copies(flow)
    for index in flow.order:
        setters: dict[str, tuple[int, bool, bool]] = {}
        shared: set[str] = set()
        """made once for two arguments, one of which has 64 bits"""
        for number, step in enumerate(flow.blocks[index].steps):
            insn = step.insn
            for effect in step.effects:
                if effect.kind == "call":
                    status = found.at_call.get(effect.aux.index)
                    if status is not None:
                        status.update({f"{unit}.width": "64" for unit in (*_early(setters), *shared)})
                    setters, shared = {}, set()
                elif effect.kind == "set" and effect.unit in INTEGER_ARGUMENTS:
                    ops = insn.operands
                    is_move = insn.mnemonic == "mov" and len(ops) == 2 and isinstance(ops[0], Reg)
                    source = ops[1] if is_move else None
                    if isinstance(source, Reg) and source.width == 64 and setters.get(source.name, (0, False))[1]:
                        shared.add(source.name)
                    is_short = (
                        is_move
                        and ops[0].width == 32
                        and (isinstance(ops[1], Reg) or (isinstance(ops[1], Imm) and ops[1].ref is None))
                    )
                    is_short = is_short and not (index == 0 and number in kept)
                    is_copy = is_move and isinstance(ops[1], Reg)
                    setters[effect.unit] = (number, is_short, is_copy)


def _prologue_copies(flow: Flow) -> set[int]:
    """Steps of the first block that take parameters from their registers, the last ones first, as they came.

    Where a later parameter is taken after an earlier one, it was made wider first.
    """
    taken: list[tuple[int, int]] = []
    for number, step in enumerate(flow.blocks[0].steps):
        ops = step.insn.operands
        if step.insn.mnemonic == "mov" and len(ops) == 2 and isinstance(ops[0], Reg) and isinstance(ops[1], Reg):
            if ops[1].name in INTEGER_ARGUMENTS:
                taken.append((number, INTEGER_ARGUMENTS.index(ops[1].name)))
        elif step.insn.mnemonic not in ("push", "sub"):
            break
    return {number for at, (number, unit) in enumerate(taken) if any(later < unit for _, later in taken[at + 1 :])}


def _early(setters: dict[str, tuple[int, bool, bool]]) -> list[str]:
    """Registers set by a short move before the copy to an earlier argument register."""
    early: list[str] = []
    last_copy = -1
    for unit in INTEGER_ARGUMENTS:
        number, is_short, is_copy = setters.get(unit, (-1, False, False))
        if is_short and number < last_copy:
            early.append(unit)
        elif is_copy:
            last_copy = max(last_copy, number)
    return early
