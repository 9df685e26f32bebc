"""Functions that take `...`: the register save area and the writes of a va_list become `llvm.va_start`.

The System V ABI has a variadic function store all argument registers that hold no named parameter, the vector ones
if `al` is not zero. A va_list is {i32 gp_offset, i32 fp_offset, ptr overflow_area, ptr register_area}: its offsets
say how many parameters have names.

Where optimisation took the va_list apart, code uses the two areas directly. Their addresses are then read from the
va_list after `va_start`, into the units `va.area` and `va.over`; from one made at entry, where the code's own isn't
understood or isn't there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from irwright.errors import LiftError, VaListError
from irwright.lift.blocks import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, Block, Flow, Step
from irwright.lift.expressions import Address, E, Effect, reg, walk
from irwright.lift.program import Instruction, Reg

SAVE_AREA_BYTES = 176
AREA, OVERFLOW = "va.area", "va.over"


@dataclass(frozen=True, slots=True)
class Variadic:
    """What the writes of va_lists say."""

    num_integers: int
    num_floats: int
    save_area: int
    """frame offset"""
    memory_bytes: int = 0
    """of parameters with names that lie in memory"""


@dataclass(slots=True)
class _VaList:
    """A va_list that a block fills."""

    found: Variadic
    writes: list[tuple[Step, Effect]]
    start: int
    """frame offset"""


def find_variadic(flow: Flow) -> Variadic | None:
    """Recognise and rewrite a variadic function; None where it is none."""
    test = _test_of_al(flow)
    if test is None:
        return None
    lists = [
        (flow.blocks[index], effect)
        for index in flow.order
        for step in flow.blocks[index].steps
        for effect in step.effects
        if effect.kind == "store" and effect.value is not None and effect.value.op == "frame" and effect.value.aux >= 8
    ]
    try:
        read = [_read_list(block, overflow) for block, overflow in lists]
        if not read or any(one.found != read[0].found for one in read):
            raise VaListError("a variadic function whose va_list is not understood")
        found, saved = read[0].found, _from_saves(flow, test)
        if found != replace(saved, memory_bytes=found.memory_bytes) or (found.memory_bytes and found.num_integers < 6):
            # `va_arg` at compile time: the va_list begins behind what was read.
            raise VaListError("a variadic function whose va_list begins later")
        _start(flow, found, read)
        _drop_saves(flow, found)
    except VaListError:
        found = _from_saves(flow, test)
        _drop_saves(flow, found)
        _start_at_entry(flow, found)
    _drop_test(flow, *test)
    return found


# The test of `al`


def _test_of_al(flow: Flow) -> tuple[int, int] | None:
    """Block and step of the `test al, al` that guards the saves of vector registers; it may test a copy."""
    names = {"rax"}
    for index in flow.order[:4]:
        for number, step in enumerate(flow.blocks[index].steps):
            ops = step.insn.operands
            later = flow.blocks[index].steps[number:]
            branches = any(s.effects and s.effects[-1].kind == "branch" for s in later)
            if step.insn.mnemonic == "test" and _is_byte_of(ops[0], names) and ops[0] == ops[1] and branches:
                return (index, number) if _guards_saves(flow, index) else None
            if any(e.kind == "call" for e in step.effects):
                return None
            target = ops[0].name if ops and isinstance(ops[0], Reg) else ""
            if step.insn.mnemonic == "mov" and target and isinstance(ops[1], Reg) and ops[1].name in names:
                names.add(target)
            elif any(e.kind == "set" and e.unit == target for e in step.effects):
                names.discard(target)
    return None


def _is_byte_of(op: object, names: set[str]) -> bool:
    return isinstance(op, Reg) and op.width == 8 and not op.high and op.name in names


def _guards_saves(flow: Flow, index: int) -> bool:
    return bool(_vector_saves(flow, index))


def _vector_saves(flow: Flow, index: int) -> dict[int, int]:
    """Frame offsets by vector register that the block behind the test of `al` saves."""
    found: dict[int, int] = {}
    successors = flow.blocks[index].successors
    for step in flow.blocks[successors[-1]].steps if len(successors) == 2 else ():
        for effect in step.effects:
            value, addr = effect.value, effect.addr
            if effect.kind != "store" or value is None or addr is None or addr.op != "frame" or value.op != "reg":
                continue
            if value.aux in FLOAT_ARGUMENTS:
                found[FLOAT_ARGUMENTS.index(value.aux)] = addr.aux
    areas = {at - 48 - 16 * number for number, at in found.items()}
    return found if len(areas) == 1 else {}


def _from_saves(flow: Flow, test: tuple[int, int]) -> Variadic:
    """How many parameters have names, by the first registers that are saved."""
    vectors = _vector_saves(flow, test[0])
    area = min(at - 48 - 16 * number for number, at in vectors.items())
    saved = [
        number
        for index in flow.order
        for step in flow.blocks[index].steps
        for effect in step.effects
        if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame"
        for number, unit in enumerate(INTEGER_ARGUMENTS)
        if effect.addr.aux == area + 8 * number and effect.value is not None
        if effect.value.op == "reg" and effect.value.aux == unit
    ]
    return Variadic(min(saved, default=len(INTEGER_ARGUMENTS)), min(vectors), area)


# The code's own va_lists


def _read_list(block: Block, overflow: Effect) -> _VaList:
    if overflow.addr is None or overflow.addr.op != "frame" or overflow.value is None:
        raise VaListError("a variadic function whose va_list is not understood")
    start = overflow.addr.aux - 8
    beyond = int(overflow.value.aux)
    offsets: dict[int, int] = {}
    area: int | None = None
    mine: list[tuple[Step, Effect]] = []
    for step in block.steps:
        for effect in step.effects:
            if effect.kind != "store" or effect.addr is None or effect.addr.op != "frame" or effect.value is None:
                continue
            at = effect.addr.aux - start
            value = effect.value
            if at in (0, 4) and value.op == "const":
                mine.append((step, effect))
                if value.ty == "i64":
                    offsets[0], offsets[4] = value.aux & 0xFFFFFFFF, value.aux >> 32
                else:
                    offsets.setdefault(at, value.aux)
            elif at == 16 and value.op == "frame":
                mine.append((step, effect))
                area = value.aux
            elif effect is overflow:
                mine.append((step, effect))
            elif at == 0 and value.op == "reg":
                constant = _constant_in(block, value.aux)
                if constant is not None:
                    mine.append((step, effect))
                    offsets[0], offsets[4] = constant & 0xFFFFFFFF, constant >> 32
    if area is None or set(offsets) != {0, 4} or len(mine) > 4:
        raise VaListError("a variadic function whose va_list is not understood")
    return _VaList(Variadic(offsets[0] // 8, (offsets[4] - 48) // 16, area, beyond - 8), mine, start)


def _constant_in(block: Block, unit: str) -> int | None:
    found: int | None = None
    for step in block.steps:
        for effect in step.effects:
            value = effect.value if effect.kind == "set" and effect.unit == unit else None
            if value is not None and value.op == "const" and value.ty == "i64":
                found = value.aux if found is None else None
    return found


def _start(flow: Flow, found: Variadic, lists: list[_VaList]) -> None:
    """The last write of each va_list becomes `va_start`, the others go; other uses of the areas read it."""
    written = {id(effect) for one in lists for _, effect in one.writes}
    uses = [use for use in _uses(flow, found) if id(use[2]) not in written and not _is_save(use[2], found)]
    others = [use for use in uses if not _is_plain(use[2])]
    if others and (len(lists) > 1 or not _all_after(flow, lists[0].writes[0][0], others)):
        raise VaListError("a variadic function whose areas are used before its va_list is made")
    for one in lists:
        # Other uses may stand between the writes: all of it is there from the first on.
        home, start = one.writes[0 if others else -1]
        for _, effect in one.writes:
            effect.kind, effect.value, effect.addr = "none", None, None
        start.kind, start.addr = "va_start", E("frame", "i64", (), one.start)
        if others:
            home.effects += [Effect("set", unit, E("fixed", "i64", (), unit)) for unit in (AREA, OVERFLOW)]
    if others:
        _move_behind(flow, lists[0].writes[0][0], found, uses)


def _move_behind(flow: Flow, start: Step, found: Variadic, uses: list[tuple[Step, int, Effect, E]]) -> None:
    """Registers that got addresses of the areas before these are known get them after that."""
    before = _not_behind(flow, start)
    sets = [e.unit for i in flow.order for s in flow.blocks[i].steps if id(s) in before for e in s.effects]
    moved: list[Effect] = []
    for step, _, effect, node in uses:
        _redirect(node, found)
        if id(step) in before:
            if sets.count(effect.unit) == 1:
                moved.append(Effect("set", effect.unit, effect.value))
            effect.kind, effect.value = "kill", None
    for index in flow.order:
        steps = flow.blocks[index].steps
        if moved and any(step is start for step in steps):
            at = next(number for number, step in enumerate(steps) if step is start)
            steps.insert(at + 1, Step(_nothing(start), moved, start.stack, False))


def _nothing(step: Step) -> Instruction:
    return replace(step.insn, mnemonic="nop", operands=(), text="nop", prefix="")


def _start_at_entry(flow: Flow, found: Variadic) -> None:
    """A va_list of our own, filled before anything else."""
    for _, _, _, node in _uses(flow, found):
        _redirect(node, found)
    first = flow.blocks[0].steps[0]
    sets = [Effect("set", unit, E("fixed", "i64", (), unit)) for unit in (AREA, OVERFLOW)]
    flow.blocks[0].steps.insert(0, Step(_nothing(first), [Effect("va_start"), *sets], 0, False))


def _uses(flow: Flow, found: Variadic) -> Iterator[tuple[Step, int, Effect, E]]:
    """Every mention of a place in the save area or among the arguments in memory that have no name."""
    low, high = found.save_area, found.save_area + SAVE_AREA_BYTES
    beyond = 8 + found.memory_bytes
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects if step.has_frame else ():
                roots = [effect.value, effect.addr]
                roots += [effect.aux] if effect.kind == "cmpxchg" else []
                roots += [effect.aux[2]] if effect.kind == "string" else []
                for root in roots:
                    for node in walk(root):
                        if node.op == "frame" and (low <= node.aux < high or node.aux >= beyond):
                            yield step, index, effect, node


def _is_plain(effect: Effect) -> bool:
    """Only its address in a register: what reads that knows the place."""
    return effect.kind == "set" and effect.value is not None and effect.value.op == "frame"


def _redirect(node: E, found: Variadic) -> None:
    """A place in an area, by the address that the va_list has."""
    if node.op != "frame":
        return  # shared within its instruction
    in_area = node.aux < found.save_area + SAVE_AREA_BYTES and node.aux < 8
    offset = node.aux - (found.save_area if in_area else 8 + found.memory_bytes)
    node.op, node.args = "addr", (reg("i64", AREA if in_area else OVERFLOW), None)
    node.aux = Address(1, offset)


def _not_behind(flow: Flow, start: Step) -> set[int]:
    """Steps (by identity) that can be reached without passing one, and that one."""
    found: set[int] = set()
    seen, todo = {0}, [0]
    while todo:
        block = flow.blocks[todo.pop()]
        for step in block.steps:
            found.add(id(step))
            if step is start:
                break
        else:
            new = set(block.successors) - seen
            seen |= new
            todo += new
    return found


def _all_after(flow: Flow, start: Step, uses: list[tuple[Step, int, Effect, E]]) -> bool:
    before = _not_behind(flow, start)
    return all(id(step) not in before for step, _, _, _ in uses)


# What is left of the prologue


def _is_save(effect: Effect, variadic: Variadic) -> bool:
    """The store of an argument register to its place in the save area."""
    at, value = effect.addr, effect.value
    if effect.kind != "store" or at is None or value is None or at.op != "frame" or value.op != "reg":
        return False
    offset = at.aux - variadic.save_area
    if value.aux in INTEGER_ARGUMENTS:
        return offset == 8 * INTEGER_ARGUMENTS.index(value.aux)
    return value.aux in FLOAT_ARGUMENTS and offset == 48 + 16 * FLOAT_ARGUMENTS.index(value.aux)


def _drop_saves(flow: Flow, variadic: Variadic) -> None:
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if _is_save(effect, variadic):
                    effect.kind, effect.value, effect.addr = "none", None, None


def _drop_test(flow: Flow, index: int, number: int) -> None:
    """The branch on `al` goes the short way."""
    block = flow.blocks[index]
    branch = next(e for step in block.steps for e in step.effects if e.kind == "branch")
    target, falls = block.successors
    saves = flow.blocks[falls]
    if any(e.kind not in ("none", "set", "kill", "jump") for s in saves.steps for e in s.effects):
        raise LiftError("a variadic function that does more than save registers")
    branch.kind, branch.value = "jump", None
    block.steps[number].effects = []
    block.successors = [target]
    saves.predecessors.remove(index)
    flow.order.remove(falls)
    for successor in saves.successors:
        if falls in flow.blocks[successor].predecessors:
            flow.blocks[successor].predecessors.remove(falls)
