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


Argument = tuple[Call, str]
Key = tuple[str, str]


def wide_constants(
    flow: Flow, key_of: Callable[[Argument], Key], is_open: Callable[[Key], bool], has_32_bits: Callable[[Key], bool]
) -> set[Key]:
    """Arguments that are constants of 64 bits, by `key_of` what is known of them.

    Code generation makes a constant of one type once in a block, and once for all that follow a use in another. Where
    `push 1; pop rdi` stands again, one of the two has another type. `is_open`: nothing else tells the width.
    """
    pairs = _repeated(flow)
    in_pairs = {call.index for before, after in pairs if after is not None for call, _ in (before, after)}
    found: set[Key] = set()
    for before, after in pairs:
        key = key_of(before)
        if after is None:
            if before[0].index not in in_pairs and is_open(key):
                found.add(key)
            continue
        second = key_of(after)
        if key == second or {key, second} & found:
            continue
        if is_open(key) and is_open(second):
            found.add(second if before[0] is after[0] else key)
        elif is_open(key) and has_32_bits(second):
            found.add(key)
        elif is_open(second) and has_32_bits(key):
            found.add(second)
    return found


def _repeated(flow: Flow) -> list[tuple[Argument, Argument | None]]:
    """Arguments whose constant is made again for another one, or (None) for another number of 32 bits."""
    made = _constants(flow)
    found: list[tuple[Argument, Argument | None]] = []
    for number, (index, value, owner) in enumerate(made):
        for other, same, before in made[:number]:
            if value != same or (index != other and (owner is not None) == (before is not None)):
                continue
            if index != other and not _leads(flow, other, index):
                continue
            if before is not None:
                found.append((before, owner))
            elif owner is not None:
                found.append((owner, None))
    return found


def _constants(flow: Flow) -> list[tuple[int, int, Argument | None]]:
    """Blocks, values and uses of small constants."""
    wide = _wide_registers(flow)
    found: list[tuple[int, int, Argument | None]] = []
    for index in flow.order:
        made: dict[str, int] = {}
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind == "call":
                    found += [(index, value, (effect.aux, unit)) for unit, value in made.items()]
                    made = {}
                elif effect.kind in ("set", "kill"):
                    made.pop(effect.unit, None)
                    value = effect.value
                    if step.insn.mnemonic == "pop" and value is not None and value.op == "const":
                        if effect.unit in INTEGER_ARGUMENTS:
                            made[effect.unit] = value.aux
                        elif effect.unit not in wide:
                            found.append((index, value.aux, None))
    return found


def _wide_registers(flow: Flow) -> set[str]:
    """Registers of which something reads or writes 64 bits, other than saving them."""
    found: set[str] = set()
    for index in flow.order:
        for step in flow.blocks[index].steps:
            if step.insn.mnemonic not in ("push", "pop"):
                for op in step.insn.operands:
                    if isinstance(op, Mem):
                        found |= {op.base, op.index}
                    elif isinstance(op, Reg) and op.width == 64:
                        found.add(op.name)
    return found


def _leads(flow: Flow, first: int, index: int) -> bool:
    """Every way to a block leads through another."""
    seen, todo = {0, first}, [0]
    while todo and first:
        for successor in flow.blocks[todo.pop()].successors:
            if successor == index:
                return False
            if successor not in seen:
                seen.add(successor)
                todo.append(successor)
    return True


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


def taken_narrow(flow: Flow, unit: str, width: int, *, masked: bool) -> str:
    """How a parameter of which no more than `width` bits are read was extended; empty where its function extends it.

    `masked`: more are read, but only for `and`; then an instruction on the part alone has to tell of it.
    """
    size = 8 if width <= 8 else 16
    names, ever = {unit}, {unit}
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
            ever |= written
    operands = [op for index in flow.order for step in flow.blocks[index].steps for op in step.insn.operands]
    if masked and not any(isinstance(op, Reg) and op.width == size and op.name in ever for op in operands):
        return ""
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
