"""Linkage of a linked module, written into its text: bindings, visibility, COMDATs, sections, aliases.

Symbols that lie within a section kept whole are aliases into it. Where the text names a place in such a section that
a symbol of known size covers, it gets that symbol's name, for readers: to LLVM both are the same place.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from irwright.lift.data import DataObject, Layout, quote
from irwright.lift.names import quoted
from irwright.lift.program import Code, Program, Symbol

_NAME = r'"[^"]*"|[\w.$-]+'
_PLACE = re.compile(rf"getelementptr (?:(?:inbounds|nuw|nusw) )*\(i8, ptr @({_NAME}), i64 (-?\d+)\)")


class Linkage:
    """What the symbols of one program are to a linker."""

    def __init__(
        self,
        program: Program,
        layout: Layout,
        places: dict[tuple[int, int], str],
        kept: Collection[str],
        named_in_asm: Collection[str],
    ) -> None:
        self.program = program
        self.layout = layout
        self.places = places
        self.kept = kept
        self.named_in_asm = named_in_asm
        self.objects = {one.name: one for found in layout.objects.values() for one in found}
        self.comdats: set[str] = set()
        self.used_aliases: set[str] = set(named_in_asm)

    def finish(self, ir: str) -> str:
        """The text of a module in which everything still has external linkage, as it is to be."""
        lines = ir.split("\n")
        functions = {code.name: code for code in self.program.functions}
        for number, line in enumerate(lines):
            if line.startswith("@"):
                lines[number] = self._data(line)
            elif line.startswith("define "):
                match = re.match(rf"(define )(dso_local )?(.*?)@({_NAME})\(", line)
                code = functions.get(match[4].strip('"')) if match else None
                if match is not None and code is not None:
                    lines[number] = self._function(line, match, code)
        if any(one.is_whole for one in self.objects.values()):
            lines = [self._readable(line) for line in lines]
        aliases = self._aliases(set(re.findall(rf"^@({_NAME}) = ", ir, re.M)))
        lines = [line for line in lines if not self._declares(line, aliases)]
        at = next((n for n, line in enumerate(lines) if line.startswith(("@", "define ", "declare "))), len(lines))
        lines[at:at] = [f"${quote(name)} = comdat any" for name in sorted(self.comdats)] + (
            [""] if self.comdats else []
        )
        return "\n".join(lines + list(aliases.values()))

    # Data

    def _data(self, line: str) -> str:
        match = re.match(rf"@({_NAME}) = dso_local (unnamed_addr )?", line)
        name = match[1].strip('"') if match else ""
        one = self.objects.get(name) if match else None
        if one is None and match is not None:
            one = self.layout.by_name.get(name)
            if one is None or one.section != -3:
                return line
        if match is None or one is None:
            return line
        group = self.program.sections[one.section].group if one.section >= 0 else ""
        if group and not one.is_local:
            self.comdats.add(group)
            line = line.replace(", align ", f", comdat(${quote(group)}), align ", 1) if ", align " in line else line
        if one.is_private:
            return line.replace("dso_local ", "private ", 1)
        if one.is_local:
            return line.replace("dso_local ", "internal ", 1)
        return line.replace("dso_local ", "", 1) if one.name in self.program.tabled else line

    def _readable(self, line: str) -> str:
        """Places in whole sections by the symbols that cover them."""

        def name(match: re.Match[str]) -> str:
            one = self.objects.get(match[1].strip('"'))
            if one is None or not one.is_whole:
                return match[0]
            offset = int(match[2])
            symbol = self._cover(one, offset)
            if symbol is None:
                return match[0]
            self.used_aliases.add(symbol.name)
            inner = offset - symbol.offset
            return f"getelementptr (i8, ptr {quoted(symbol.name)}, i64 {inner})" if inner else quoted(symbol.name)

        return _PLACE.sub(name, line)

    def _cover(self, one: DataObject, offset: int) -> Symbol | None:
        for symbol, whole in self.layout.inner_symbols:
            is_inner = whole is one and symbol.name in self.layout.inner
            if is_inner and symbol.offset <= offset < symbol.offset + symbol.size:
                return symbol
        return None

    # Functions

    def _function(self, line: str, match: re.Match[str], code: Code) -> str:
        symbol: Symbol = code.symbol
        linkage = {"local": "internal ", "weak": "weak "}.get(symbol.binding, "")
        section = self.program.sections[code.pieces[0][0]]
        if section.group and symbol.binding == "weak":
            linkage = "weak_odr "
        visibility = _visibility(symbol)
        near = "" if linkage == "internal " or visibility or symbol.name in self.program.tabled else "dso_local "
        start = f"define {linkage}{near}{visibility}{match[3]}"
        line = start + line[match.start(4) - 1 :]
        words = f' section "{section.name}"' if not section.name.startswith(".text") else ""
        if section.group:
            self.comdats.add(section.group)
            words += f" comdat(${quote(section.group)})"
        return re.sub(r"( #\d+)? \{$", lambda m: f"{m[1] or ''}{words} {{", line) if words else line

    # Aliases

    def _aliases(self, taken: set[str]) -> dict[str, str]:
        """Definitions of aliases, by name."""
        lines: dict[str, str] = {}
        functions = {code.name for code in self.program.functions}
        for symbol in self.program.symbols:
            name = self.places.get((symbol.section, symbol.offset))
            if name is None or symbol.name in functions or not symbol.name or name in self.kept:
                continue
            if symbol.kind not in ("func", "notype", "ifunc") or symbol.name.startswith(("_$", ".L")):
                continue
            if symbol.binding == "local" and symbol.name not in self.named_in_asm:
                continue
            kind = "ifunc" if symbol.kind == "ifunc" else "alias"
            lines[symbol.name] = f"{quoted(symbol.name)} = {self._linkage(symbol)}{kind} i8, ptr {quoted(name)}"
        for name, one, symbol in self.layout.aliases:
            if symbol.binding != "local":
                lines[name] = f"{quoted(name)} = {self._linkage(symbol)}alias i8, ptr {quoted(one.name)}"
        for symbol, one in self.layout.inner_symbols:
            if one.name in {name.strip('"') for name in taken} and (
                symbol.binding != "local" or symbol.name in self.used_aliases
            ):
                thread = "thread_local " if one.is_thread_local else ""
                place = f"getelementptr (i8, ptr {quoted(one.name)}, i64 {symbol.offset})"
                place = place if symbol.offset else quoted(one.name)
                ty = f"[{symbol.size} x i8]"
                lines[symbol.name] = f"{quoted(symbol.name)} = {self._linkage(symbol)}{thread}alias {ty}, ptr {place}"
        return lines

    def _linkage(self, symbol: Symbol) -> str:
        """Linkage and visibility words of an alias."""
        if symbol.binding == "local":
            return "internal "
        weak = "weak " if symbol.binding == "weak" else ""
        near = "" if symbol.name in self.program.tabled else "dso_local "
        return f"{weak}{_visibility(symbol) or near}"

    def _declares(self, line: str, names: Collection[str]) -> bool:
        """True for the declaration of something that gets an alias."""
        match = re.match(rf"(?:@({_NAME}) = (?:external|extern_weak) |declare [^@]*@({_NAME})\()", line)
        return match is not None and (match[1] or match[2]).strip('"') in names


def _visibility(symbol: Symbol) -> str:
    return f"{symbol.visibility} " if symbol.visibility != "default" and symbol.binding != "local" else ""
