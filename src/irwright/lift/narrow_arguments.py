"""Arguments of 8 and 16 bits, which callers extend to 32: by how calls set them, and by how functions use them.

`movzx esi, bpl` before a call hands over a byte that callee and caller know to be extended. Within the function that
gets it, no instruction of its first block extends it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from irwright.lift.blocks import CALLER_SAVED, Block, Call, Flow
from irwright.lift.expressions import Effect
from irwright.lift.program import Instruction, Mem, Reg
from irwright.lift.signatures import INTEGER_ARGUMENTS

How = str | int
"""how a register was set: `z8`, `s16`, ... by extension of a register, `mz8`, ... of memory, a constant, `given` as the
function got it, or empty for all else"""
EXTENDED = ("z8", "z16", "s8", "s16")


def settings(flow: Flow) -> dict[int, dict[str, How]]:
    """By call: argument registers that its block sets, and how."""
    everywhere = _only_ways(flow)
    found: dict[int, dict[str, How]] = {}
    for index in flow.order:
        known: dict[str, How] = dict.fromkeys(INTEGER_ARGUMENTS, "given") if index == 0 else {}

        def of(name: str, known: dict[str, How] = known) -> How:
            return known.get(name, everywhere.get(name, ""))

        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind == "call":
                    found[effect.aux.index] = {unit: known[unit] for unit in INTEGER_ARGUMENTS if unit in known}
                    for unit in CALLER_SAVED:
                        known.pop(unit, None)
                elif effect.kind in ("set", "kill"):
                    known[effect.unit] = _how(step.insn, effect, of)
    return found


def repeated(flow: Flow) -> list[tuple[tuple[Call, str], tuple[Call, str]]]:
    """Arguments for which one block makes the same constant twice, by `push` and `pop`: one of two types has it once."""
    found: list[tuple[tuple[Call, str], tuple[Call, str]]] = []
    for index in flow.order:
        first: dict[int, tuple[Call, str]] = {}
        made: dict[str, int] = {}
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind == "call":
                    for unit, value in made.items():
                        if (before := first.setdefault(value, (effect.aux, unit))) != (effect.aux, unit):
                            found.append((before, (effect.aux, unit)))
                    made = {}
                elif effect.kind in ("set", "kill"):
                    made.pop(effect.unit, None)
                    value = effect.value
                    is_made = step.insn.mnemonic == "pop" and value is not None and value.op == "const"
                    if is_made and value is not None and effect.unit in INTEGER_ARGUMENTS:
                        made[effect.unit] = value.aux
    return found


def agreed(ways: Iterable[How]) -> str:
    """What all calls of a callee say of one argument: `z8` and the like, empty for 32 bits and more."""
    seen = set(ways)
    narrow = [how for how in EXTENDED if how in seen]
    if len(narrow) != 1:
        return ""
    how = narrow[0]
    width = int(how[1:])
    low, high = (0, (1 << width) - 1) if how[0] == "z" else (-(1 << width - 1), (1 << width - 1) - 1)
    others = seen - {how, f"m{how}", "given"}
    return how if all(isinstance(one, int) and low <= one <= high for one in others) else ""


def as_parameter(how: str) -> tuple[str, str]:
    """Type and attribute of such an argument."""
    return f"i{how[1:]}", "zeroext" if how[0] == "z" else "signext"


def taken_narrow(flow: Flow, unit: str, width: int) -> str:
    """How a parameter of which no more than `width` bits are read was extended; empty where its function extends it."""
    names = {unit}
    for step in flow.blocks[0].steps:
        insn = step.insn
        source = insn.operands[1] if len(insn.operands) == 2 else None
        if insn.mnemonic in ("movzx", "movsx") and isinstance(source, Reg) and source.name in names:
            return ""
        written = {effect.unit for effect in step.effects if effect.kind in ("set", "kill", "call")}
        is_copy = insn.mnemonic == "mov" and isinstance(source, Reg) and source.name in names
        names -= written
        if is_copy:
            names |= written
    size = 8 if width <= 8 else 16
    signed = any(
        step.insn.mnemonic == "movsx"
        and isinstance(step.insn.operands[1], Reg)
        and step.insn.operands[1].name in names
        and step.insn.operands[1].width == size
        for index in flow.order
        for step in flow.blocks[index].steps
    )
    return f"{'s' if signed else 'z'}{size}"


def masks(blocks: Iterable[Block]) -> bool:
    """True where some instruction asks for the low bits of a register by `and` or `test`."""
    return any(step.insn.mnemonic in ("and", "test") for block in blocks for step in block.steps)


def _how(insn: Instruction, effect: Effect, of: Callable[[str], How]) -> How:
    value = effect.value
    if value is None:
        return ""
    if value.op == "const" and isinstance(value.aux, int):
        return value.aux
    ops = insn.operands
    if len(ops) != 2 or not isinstance(ops[0], Reg) or ops[0].name != effect.unit:
        return ""
    if insn.mnemonic in ("movzx", "movsx") and ops[0].width == 32 and isinstance(ops[1], Reg | Mem):
        how = f"{'z' if insn.mnemonic == 'movzx' else 's'}{ops[1].width}"
        return f"m{how}" if isinstance(ops[1], Mem) else how
    if insn.mnemonic == "mov" and isinstance(ops[1], Reg) and ops[1].width >= 32:
        return of(ops[1].name)
    return ""


def _only_ways(flow: Flow) -> dict[str, How]:
    """Registers that everything in the function sets by one kind of extension."""
    found: dict[str, How] = {}
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind != "set" or effect.unit in CALLER_SAVED or step.insn.mnemonic == "pop":
                    continue
                how = _how(step.insn, effect, lambda _name: "")
                found[effect.unit] = how if found.get(effect.unit, how) == how else ""
    return {unit: how for unit, how in found.items() if how in EXTENDED}
