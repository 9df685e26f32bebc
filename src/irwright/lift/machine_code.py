"""Functions that are not lifted, as assembler directives: their bytes, and relocations for all that may move.

The assembler and the linker of the original had resolved calls and addresses within one section; these get
relocations again, since the functions around are laid out anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import replace

from irwright.errors import InsideCodeError, LiftError
from irwright.lift.data import Layout, quote
from irwright.lift.expressions import Ref
from irwright.lift.objects import place
from irwright.lift.program import Code, Imm, Instruction, Mem, Program, Unwinding
from irwright.lift.unwinding import escape

Piece = tuple[int, int, int]
_RELATIVE = ("PC32", "PLT32", "PC8")
_PLAIN = (*_RELATIVE, "64", "32", "32S", "TPOFF32", "DTPOFF32")


class MachineCode:
    """Writes the functions of one program that stay machine code."""

    def __init__(self, program: Program, layout: Layout, places: dict[tuple[int, int], str], kept: Collection[str]):
        self.program = program
        self.layout = layout
        self.places = places
        self.kept = kept
        self.named: set[str] = set()
        """symbols that the code names"""

    def lines(self, code: Code) -> list[str]:
        """A function as directives, quotes escaped as in `module asm`; InsideCodeError where another must stay too."""
        lines: list[str] = []
        for piece, name in zip(code.pieces, code.piece_names, strict=True):
            lines += self._head(code, piece, name)
            unwinding = self.program.unwinding.get(piece[:2])
            lines += [] if unwinding is None else self._frame_head(unwinding, name)
            has_table = unwinding is not None and unwinding.lsda is not None
            if self._has_short_exits(code, piece) and not has_table:
                lines += self._by_instruction(code, piece, name)
            else:
                lines += self._unwound_bytes(*piece, unwinding)
                lines += self._relocations(code, piece, name, *piece[1:])
                lines += self._resolved(code, piece, name)
            lines += [] if unwinding is None else [".cfi_endproc"]
            lines += [f".size {_asm(name)}, .-{_asm(name)}"]
            lines += [] if unwinding is None else self._landing_table(unwinding, name)
            lines.append(".text")
        return lines

    def _head(self, code: Code, piece: Piece, name: str) -> list[str]:
        section, start, _ = piece
        home = self.program.sections[section]
        flags = "axG" if home.group else "ax"
        group = f",{_asm(home.group)},comdat" if home.group else ""
        align = min(home.align, start & -start) if start else home.align
        lines = [f".section {_asm(home.name)},\\22{flags}\\22,@progbits{group}", f".p2align {align.bit_length() - 1}"]
        title = _asm(name)
        if name == code.name:
            if code.symbol.binding == "global":
                lines.append(f".globl {title}")
            elif code.symbol.binding != "local":
                lines.append(f".weak {title}")
            if code.symbol.visibility != "default":
                lines.append(f".{code.symbol.visibility} {title}")
        kind = "gnu_indirect_function" if code.symbol.kind == "ifunc" else "function"
        for symbol in self.program.symbols:
            is_alias = (symbol.section, symbol.offset) == piece[:2] and symbol.name not in (name, "", code.name)
            if is_alias and symbol.binding != "local" and symbol.kind in ("func", "notype", "ifunc"):
                other = _asm(symbol.name)
                lines.append(f".{'globl' if symbol.binding == 'global' else 'weak'} {other}")
                lines += [f".type {other},@{kind}", f"{other}:"]
        return [*lines, f".type {title},@{kind}", f"{title}:"]

    def _frame_head(self, unwinding: Unwinding, name: str) -> list[str]:
        lines = [".cfi_startproc"]
        if unwinding.personality is not None:
            encoding, relocation = unwinding.personality
            symbol = self.program.symbols[relocation.symbol].name
            self.named.add(symbol)
            lines.append(f".cfi_personality {encoding}, {_asm(symbol)}")
        if unwinding.lsda is not None:
            lines.append(f".cfi_lsda {unwinding.lsda[0]}, {_asm(f'.Lkept.{name}.lsda')}")
        return lines

    def _unwound_bytes(self, section: int, start: int, end: int, unwinding: Unwinding | None) -> list[str]:
        """Code as bytes, frame instructions where they were."""
        lines: list[str] = []
        at = start
        for offset, instructions in unwinding.steps if unwinding is not None else ():
            lines += [*self._bytes(section, at, start + offset), escape(instructions)]
            at = start + offset
        return [*lines, *self._bytes(section, at, end)]

    def _landing_table(self, unwinding: Unwinding, name: str) -> list[str]:
        """The table of landing pads."""
        if unwinding.lsda is None:
            return []
        _, index, start = unwinding.lsda
        section = self.program.sections[index]
        others = [one.lsda[2] for one in self.program.unwinding.values() if one.lsda and one.lsda[1] == index]
        end = min([at for at in others if at > start], default=section.size)
        label = _asm(f".Lkept.{name}.lsda")
        lines = [".section .gcc_except_table,\\22a\\22,@progbits", ".p2align 2", f"{label}:"]
        lines += self._bytes(index, start, end)
        for offset in sorted(at for at in section.relocations if start <= at < end):
            relocation = section.relocations[offset]
            symbol = self._symbol(place(self.program, relocation.symbol, relocation.addend), 0)
            lines.append(f".reloc {label}+{offset - start}, R_X86_64_{relocation.kind}, {symbol}")
        return lines

    def _bytes(self, section: int, start: int, end: int) -> list[str]:
        data = self.program.sections[section].data[start:end]
        return [".byte " + ",".join(str(byte) for byte in data[at : at + 16]) for at in range(0, len(data), 16)]

    def _relocations(self, code: Code, piece: Piece, name: str, start: int, end: int) -> list[str]:
        """Those between two offsets of the section, relative to the piece (or to here, for an instruction)."""
        lines: list[str] = []
        home = self.program.sections[piece[0]]
        for offset in sorted(o for o in home.relocations if start <= o < end):
            relocation = home.relocations[offset]
            ref = place(self.program, relocation.symbol, relocation.addend)
            own = self.program.symbols[relocation.symbol]
            if relocation.kind not in _PLAIN and own.kind != "section":
                self.named.add(own.name)
                symbol = _sum(own.name, relocation.addend)
            else:
                # What a relative one means lies behind the addend: the distance to the instruction's end.
                back = self._end(code, offset) - offset if relocation.kind in _RELATIVE and ref.symbol is None else 0
                symbol = self._symbol(replace(ref, offset=ref.offset + back), -back)
            at = f"{_asm(name)}+{offset - piece[1]}" if name != "." else f".-{end - offset}"
            lines.append(f".reloc {at}, R_X86_64_{relocation.kind}, {symbol}")
        return lines

    def _end(self, code: Code, offset: int) -> int:
        """Where the instruction ends that has a relocation at an offset."""
        at = bisect_right(code.instructions, offset, key=lambda insn: insn.address) - 1
        if len(code.pieces) == 1 and at >= 0 and code.instructions[at].end > offset:
            return code.instructions[at].end
        return next((insn.end for insn in code.instructions if insn.address <= offset < insn.end), offset + 4)

    def _jumps(self, code: Code, piece: Piece) -> list[tuple[Instruction, int]]:
        """Direct jumps and calls without a relocation, and where they go."""
        section, start, end = piece
        relocations = self.program.sections[section].relocations
        return [
            (insn, insn.operands[0].value)
            for insn in code.instructions
            if insn.section == section and start <= insn.address < end
            and (insn.mnemonic == "call" or insn.mnemonic[0] == "j")
            and isinstance(insn.operands[0], Imm)
            and not any(offset in relocations for offset in range(insn.address, insn.end))
        ]  # fmt: skip

    def _has_short_exits(self, code: Code, piece: Piece) -> bool:
        """A jump of one byte to another function, which may come to lie too far away."""
        return any(insn.size == 2 and not piece[1] <= to < piece[2] for insn, to in self._jumps(code, piece))

    def _by_instruction(self, code: Code, piece: Piece, name: str) -> list[str]:
        """Jumps as text, so that the assembler finds their size; everything else as bytes."""
        section, start, end = piece
        label = f".Lkept.{name}."
        unwinding = self.program.unwinding.get(piece[:2])
        frame = dict(unwinding.steps) if unwinding is not None else {}
        targets: set[int] = set()
        jumps: dict[int, str] = {}
        for insn, to in self._jumps(code, piece):
            if start <= to < end:
                targets.add(to)
                jumps[insn.address] = f"{insn.mnemonic} {_asm(f'{label}{to}')}"
            else:
                jumps[insn.address] = f"{insn.mnemonic} {self._symbol(Ref(None, section, to), 0)}"
        lines: list[str] = []
        for insn in code.instructions:
            if insn.section != section or not start <= insn.address < end:
                continue
            if insn.address - start in frame:
                lines.append(escape(frame[insn.address - start]))
            if insn.address in targets:
                lines.append(f"{_asm(f'{label}{insn.address}')}:")
            if insn.address in jumps:
                lines.append(jumps[insn.address])
            else:
                lines += self._bytes(section, insn.address, insn.end)
                lines += self._relocations(code, piece, ".", insn.address, insn.end)
        return lines

    def _resolved(self, code: Code, piece: Piece, name: str) -> list[str]:
        """Relocations for what the assembler had resolved: calls, jumps and addresses within the section."""
        lines: list[str] = []
        section, start, end = piece
        relocations = self.program.sections[section].relocations
        data = self.program.sections[section].data
        for insn, to in self._jumps(code, piece):
            if not start <= to < end:
                symbol = self._symbol(Ref(None, section, to), -4)
                lines.append(f".reloc {_asm(name)}+{insn.end - 4 - start}, R_X86_64_PLT32, {symbol}")
        for insn in code.instructions:
            for op in insn.operands:
                ref = op.ref if isinstance(op, Mem) else None
                if ref is None or ref.symbol is not None or ref.section != section or start <= ref.offset < end:
                    continue
                is_here = insn.section == section and start <= insn.address < end
                if not is_here or any(offset in relocations for offset in range(insn.address, insn.end)):
                    continue
                distance = (ref.offset - insn.end).to_bytes(4, "little", signed=True)
                at = data.rindex(distance, insn.address, insn.end)
                lines.append(f".reloc {_asm(name)}+{at - start}, R_X86_64_PC32, {self._symbol(ref, at - insn.end)}")
        return lines

    def _symbol(self, ref: Ref, addend: int) -> str:
        """A place, and how far from it, as the assembler reads it."""
        found = self.layout.find(ref)
        if found is not None:
            one, offset = found
            self.named.add(one.name)
            return _sum(f".L{one.name}" if one.is_private else one.name, offset + addend)
        if ref.symbol is not None:
            self.named.add(ref.symbol)
            return _sum(ref.symbol, ref.offset + addend)
        entry = self.places.get((ref.section, ref.offset))
        if entry is not None:
            self.named.add(entry)
            return _sum(entry, addend)
        for code in self.program.functions:
            for (section, start, end), name in zip(code.pieces, code.piece_names, strict=True):
                if section == ref.section and start <= ref.offset < end:
                    if code.name not in self.kept:
                        raise InsideCodeError(code.name)
                    self.named.add(name)
                    return _sum(name, ref.offset - start + addend)
        raise LiftError(f"a place outside all functions ({self.program.sections[ref.section].name}+{ref.offset:#x})")


def _asm(name: str) -> str:
    """A symbol as the assembler reads it, inside the quotes of `module asm`."""
    return quote(name).replace('"', "\\22") if quote(name)[0] == '"' else name


def _sum(symbol: str, addend: int) -> str:
    return f"{_asm(symbol)}{addend:+d}" if addend else _asm(symbol)
