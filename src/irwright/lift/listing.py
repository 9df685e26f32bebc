"""An object's functions as comparable text: what compare.py takes from assembly text, made from decoded bytes.

Places in code become labels, places in data become labels with their content, so that two objects compare equal
where their instructions, the names they use and the constants they read are equal, wherever things lie.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from irwright.lift.assembly import KEPT
from irwright.lift.compare import Text
from irwright.lift.data import DataObject, Layout
from irwright.lift.decoder import Decoder
from irwright.lift.expressions import Ref
from irwright.lift.objects import place
from irwright.lift.program import Code, Imm, Instruction, Mem, Program

Inner = Mapping[str, tuple[str, int]]
"""Symbols within sections that are kept whole: by the section's name and an offset they compare equal"""


def listing(program: Program, layout: Layout, inner: Inner | None = None) -> Text:
    """Functions and data of a program as a Text."""
    text = Text()
    Decoder(program).decode_all()
    places = {(code.pieces[0][0], code.pieces[0][1]): code.name for code in program.functions}
    for code in program.functions:
        text.functions[code.name] = _function(code, program, layout, places, text, inner or {})
    return text


def _function(
    code: Code, program: Program, layout: Layout, places: dict[tuple[int, int], str], text: Text, inner: Inner
) -> list[str]:
    own = {(insn.section, insn.address) for insn in code.instructions}
    labels: set[tuple[int, int]] = set()
    lines: list[tuple[tuple[int, int], str]] = []

    def name(ref: Ref) -> str:
        place_ = (ref.section, ref.offset if ref.symbol is None else _symbol_offset(program, ref))
        if place_ in own:
            labels.add(place_)
            return f".LB{place_[0]}_{place_[1]}"
        section, start = inner.get(_plain(ref.symbol), ("", 0)) if ref.symbol is not None else ("", 0)
        if section:
            return f"{section}+{start + ref.offset}"
        found = layout.find(ref)
        if found is not None:
            one, offset = found
            if one.is_whole:
                return f"{one.name}+{offset}"
            label = f".LD{one.section}_{one.start}" if one.is_private else one.name
            if one.is_private and label not in text.data:
                text.data[label] = []  # guards against data that names itself
                text.data[label] = _content(one, program, layout, own, labels)
            return f"{label}+{offset}" if offset else label
        if ref.symbol is None:
            return places.get(place_, f"code{place_[0]}_{place_[1]}")
        return f"{ref.symbol}+{ref.offset}" if ref.offset else ref.symbol

    for insn in code.instructions:
        lines.append(((insn.section, insn.address), _instruction(insn, name)))
    out: list[str] = []
    for place_, line in lines:
        if place_ in labels:
            out.append(f".LB{place_[0]}_{place_[1]}:")
        out.append(line)
    return out


def _plain(symbol: str) -> str:
    return symbol.removeprefix(KEPT).removesuffix("$local")


def _symbol_offset(program: Program, ref: Ref) -> int:
    for symbol in program.symbols:
        if symbol.name == ref.symbol and symbol.section == ref.section and ref.section >= 0:
            return symbol.offset + ref.offset
    return -1


def _instruction(insn: Instruction, name: object) -> str:
    assert callable(name)
    text = insn.text
    for op in insn.operands:
        if isinstance(op, Imm) and (op.ref is not None or insn.mnemonic == "call" or insn.mnemonic[0] == "j"):
            ref = op.ref if op.ref is not None else Ref(None, insn.section, op.value)
            text = f"{insn.prefix} {insn.mnemonic} {name(ref)}".strip()
            if insn.mnemonic not in ("call",) and insn.mnemonic[0] != "j":
                text = re.sub(r"(0x[0-9a-f]+|\d+)$", f"{ref.kind} {name(ref)}", insn.text)
        elif isinstance(op, Mem) and op.ref is not None:
            text = re.sub(r"\[[^\]]*\]", f"[{op.base} {op.index} {op.scale} {op.ref.kind} {name(op.ref)}]", text)
    return text


def _content(
    one: DataObject, program: Program, layout: Layout, own: set[tuple[int, int]], labels: set[tuple[int, int]]
) -> list[str]:
    if one.section < 0 or program.sections[one.section].kind == "nobits":
        return [f".zero {one.end - one.start}"]
    section = program.sections[one.section]
    lines: list[str] = []
    at = one.start
    while at < one.end and at - one.start < 1 << 16:
        relocation = section.relocations.get(at)
        if relocation is None:
            lines.append(f".byte {section.data[at]}")
            at += 1
            continue
        ref = place(program, relocation.symbol, relocation.addend)
        size = 8 if relocation.kind == "64" else 4
        offset = ref.offset if ref.symbol is None else _symbol_offset(program, ref)
        target = (ref.section, offset - (at - one.start if size == 4 else 0))
        if target in own:
            labels.add(target)
            lines.append(f".{'quad' if size == 8 else 'long'} .LB{target[0]}_{target[1]}")
        else:
            found = layout.find(ref)
            what = ref.symbol or (found[0].name if found is not None and not found[0].is_private else "data")
            lines.append(f".{'quad' if size == 8 else 'long'} {what}+{ref.offset if ref.symbol else 0}")
        at += size
    return lines
