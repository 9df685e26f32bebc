"""Functions that take `...`: the register save area and the writes of a va_list become `llvm.va_start`.

The System V ABI has a variadic function store all argument registers that hold no named parameter, the vector ones
if `al` is not zero. A va_list is {i32 gp_offset, i32 fp_offset, ptr overflow_area, ptr register_area}: its offsets
say how many parameters have names.
"""

from __future__ import annotations

from dataclasses import dataclass

from irwright.errors import LiftError
from irwright.lift.expressions import Effect, walk
from irwright.lift.flow import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, Block, Flow

SAVE_AREA_BYTES = 176


@dataclass(frozen=True, slots=True)
class Variadic:
    """What the writes of va_lists say."""

    num_integers: int
    num_floats: int
    save_area: int
    """frame offset"""
    memory_bytes: int = 0
    """of parameters with names that lie in memory"""


def find_variadic(flow: Flow) -> Variadic | None:
    """Recognise and rewrite a variadic function; None where it is none."""
    test = _test_of_al(flow)
    lists = [
        (flow.blocks[index], effect)
        for index in flow.order
        for step in flow.blocks[index].steps
        for effect in step.effects
        if effect.kind == "store" and effect.value is not None and effect.value.op == "frame" and effect.value.aux >= 8
    ]
    if test is None:
        return None
    if not lists:
        raise LiftError("a variadic function whose va_list is not understood")
    found: Variadic | None = None
    for block, overflow in lists:
        if overflow.addr is None or overflow.addr.op != "frame" or overflow.value is None:
            raise LiftError("a variadic function whose va_list is not understood")
        one = _rewrite_list(block, overflow)
        if found is not None and found != one:
            raise LiftError("a variadic function with va_lists that disagree")
        found = one
    assert found is not None
    _drop_saves(flow, found)
    _drop_test(flow, *test)
    return found


def _test_of_al(flow: Flow) -> tuple[int, int] | None:
    """Block and step of the `test al, al` that guards the saves of vector registers."""
    for index in flow.order[:4]:
        for number, step in enumerate(flow.blocks[index].steps):
            later = flow.blocks[index].steps[number:]
            branches = any(s.effects and s.effects[-1].kind == "branch" for s in later)
            if step.insn.text == "test al, al" and branches:
                return (index, number) if _guards_saves(flow, index) else None
            if any(e.kind == "call" for e in step.effects):
                return None
    return None


def _guards_saves(flow: Flow, index: int) -> bool:
    following = flow.blocks[flow.blocks[index].successors[-1]]
    moves = ("movaps", "movdqa", "movapd", "movups", "movdqu", "movupd")
    return any("xmm0" in step.insn.text and step.insn.mnemonic in moves for step in following.steps)


def _rewrite_list(block: Block, overflow: Effect) -> Variadic:
    assert overflow.addr is not None
    start = overflow.addr.aux - 8
    assert overflow.value is not None
    beyond = int(overflow.value.aux)
    offsets: dict[int, int] = {}
    area: int | None = None
    mine: list[Effect] = []
    for step in block.steps:
        for effect in step.effects:
            if effect.kind != "store" or effect.addr is None or effect.addr.op != "frame" or effect.value is None:
                continue
            at = effect.addr.aux - start
            value = effect.value
            if at in (0, 4) and value.op == "const":
                mine.append(effect)
                if value.ty == "i64":
                    offsets[0], offsets[4] = value.aux & 0xFFFFFFFF, value.aux >> 32
                else:
                    offsets[at] = value.aux
            elif at == 16 and value.op == "frame":
                mine.append(effect)
                area = value.aux
            elif effect is overflow:
                mine.append(effect)
            elif at == 0 and value.op == "reg":
                constant = _constant_in(block, value.aux)
                if constant is not None:
                    mine.append(effect)
                    offsets[0], offsets[4] = constant & 0xFFFFFFFF, constant >> 32
    if area is None or set(offsets) != {0, 4}:
        raise LiftError("a variadic function whose va_list is not understood")
    for effect in mine[:-1]:
        effect.kind, effect.value, effect.addr = "none", None, None
    last = mine[-1]
    address = last.addr
    assert address is not None
    last.kind, last.value = "va_start", None
    last.addr = type(address)("frame", "i64", (), start)
    return Variadic(offsets[0] // 8, (offsets[4] - 48) // 16, area, beyond - 8)


def _constant_in(block: Block, unit: str) -> int | None:
    found: int | None = None
    for step in block.steps:
        for effect in step.effects:
            value = effect.value if effect.kind == "set" and effect.unit == unit else None
            if value is not None and value.op == "const" and value.ty == "i64":
                found = value.aux if found is None else None
    return found


def _drop_saves(flow: Flow, variadic: Variadic) -> None:
    low, high = variadic.save_area, variadic.save_area + SAVE_AREA_BYTES
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                at = effect.addr
                if effect.kind == "store" and at is not None and at.op == "frame" and low <= at.aux < high:
                    if effect.value is None or effect.value.op != "reg":
                        raise LiftError("a register save area with other uses")
                    if effect.value.aux not in (*INTEGER_ARGUMENTS, *FLOAT_ARGUMENTS):
                        raise LiftError("a register save area with other uses")
                    effect.kind, effect.value, effect.addr = "none", None, None
                    continue
                if effect.kind == "set" and effect.value is not None and effect.value.op == "frame":
                    continue  # only its address in a register
                for root in (effect.value, effect.addr):
                    if any(node.op == "frame" and low <= node.aux < high for node in walk(root)):
                        raise LiftError("a register save area with other uses")


def _drop_test(flow: Flow, index: int, _number: int) -> None:
    """The branch on `al` goes the short way."""
    block = flow.blocks[index]
    branch = next(e for step in block.steps for e in step.effects if e.kind == "branch")
    target, falls = block.successors
    saves = flow.blocks[falls]
    if any(e.kind not in ("none", "set", "kill", "jump") for s in saves.steps for e in s.effects):
        raise LiftError("a variadic function that does more than save registers")
    branch.kind, branch.value = "jump", None
    for step in block.steps:
        if step.insn.text == "test al, al":
            step.effects = []
    block.successors = [target]
    saves.predecessors.remove(index)
    flow.order.remove(falls)
    for successor in saves.successors:
        if falls in flow.blocks[successor].predecessors:
            flow.blocks[successor].predecessors.remove(falls)
