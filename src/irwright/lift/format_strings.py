"""What a call of printf or scanf takes, by the format string it is given."""

from __future__ import annotations

import re
from collections.abc import Mapping

from irwright.lift.blocks import CALLEE_SAVED, Flow, Step
from irwright.lift.expressions import E, Ref
from irwright.lift.program import Program, Symbol

LONGEST = 4096
_CONVERSION = re.compile(
    rb"%(?P<flags>[-+ #0']*)(?P<width>\*|\d*)(?:\.(?P<precision>\*|-?\d*))?"
    rb"(?P<length>hh|h|ll|l|q|j|z|t|L)?(?P<kind>\[\^?\]?[^\]]*\]|[a-zA-Z%])"
)
_PRINTERS = re.compile(r"(__)?(f|d|s|sn|as|obstack_)?printf(_chk)?|(v?syslog)|errx?|warnx?|error")
_SCANNERS = re.compile(r"(__isoc\d+_)?(f|s)?scanf")


def printed(text: bytes) -> list[str] | None:
    """Types of the arguments that a printf format takes; None where that is not known."""
    types: list[str] = []
    for match in _CONVERSION.finditer(text):
        kind = match["kind"]
        if kind == b"%":
            continue
        types += ["i32"] * ((match["width"] == b"*") + (match["precision"] == b"*"))
        if kind in b"diouxXc":
            types.append("i64" if match["length"] in (b"l", b"ll", b"q", b"j", b"z", b"t") else "i32")
        elif kind in b"spn":
            types.append("ptr")
        elif kind in b"aAeEfFgG":
            if match["length"] == b"L":
                return None
            types.append("double")
        elif kind != b"m":
            return None
    return types


def scanned(text: bytes) -> list[str]:
    """Types of the arguments that a scanf format takes."""
    taken = [m for m in _CONVERSION.finditer(text) if m["kind"] != b"%" and m["width"] != b"*"]
    return ["ptr"] * len(taken)


def variadic_types(
    program: Program, symbols: Mapping[str, Symbol], flow: Flow, place: tuple[int, int], name: str, unit: str
) -> list[str] | None:
    """Types of what follows the format, which is in `unit` at a place; None where the format is not found.

    `symbols` are those the program defines, by name.
    """
    reader = printed if _PRINTERS.fullmatch(name) else scanned if _SCANNERS.fullmatch(name) else None
    if reader is None:
        return None
    value = _value_in(flow, flow.blocks[place[0]].steps[: place[1]], unit)
    text = _string(program, symbols, value)
    return None if text is None else reader(text)


def _value_in(flow: Flow, steps: list[Step], unit: str) -> E | None:
    """What a register holds after the steps of a block: what they set it to, or the only thing that is put there."""
    for step in reversed(steps):
        for effect in step.effects:
            is_lost = effect.kind == "call" and unit in effect.aux.clobbered
            if is_lost or (effect.kind == "kill" and effect.unit == unit):
                return None
            if effect.kind == "set" and effect.unit == unit:
                value = effect.value
                if value is not None and value.op == "reg" and value.ty == "i64":
                    unit = value.aux
                    break
                return value
    if unit not in CALLEE_SAVED:
        return None
    everywhere = [s for index in flow.order for s in flow.blocks[index].steps if s.insn.mnemonic != "pop"]
    found = [effect.value for step in everywhere for effect in step.effects if effect.unit == unit]
    return found[0] if len(found) == 1 else None


def _string(program: Program, symbols: Mapping[str, Symbol], value: E | None) -> bytes | None:
    ref: Ref | None = None
    if value is not None and value.op == "sym":
        ref = value.aux
    elif value is not None and value.op == "addr" and value.args == (None, None):
        ref = value.aux.ref
    if ref is None or ref.kind != "direct":
        return None
    section, offset = ref.section, ref.offset
    if ref.symbol is not None:
        symbol = symbols.get(ref.symbol)
        if symbol is None:
            return None
        section, offset = symbol.section, symbol.offset + ref.offset
    if section < 0 or program.sections[section].is_writable:
        return None
    data = program.sections[section].data
    end = data.find(b"\0", offset, offset + LONGEST)
    return data[offset:end] if end >= 0 else None
