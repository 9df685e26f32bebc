"""The whole module: data, lifted functions, machine code of what is not lifted, and what binds them.

Everything is linked with external names and gets its linkage in the text at the end: the linker would rename local
symbols that several of the parts mention. A function that is not lifted stays what it was, byte for byte with its
relocations, as `module asm`; the file still links and works.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from irwright.errors import LiftError
from irwright.lift.data import DataObject, Layout, quote
from irwright.lift.expressions import Ref
from irwright.lift.lifter import FileLifter
from irwright.lift.names import FEATURES, ModuleNames, flags_text, module_text, quoted
from irwright.lift.objects import place
from irwright.lift.program import Code, Imm, Mem, Program, Symbol

TRIPLE = "x86_64-unknown-linux-gnu"


class LeftOverError(Exception):
    """Data that points into the code of a function that is lifted; the message is its name."""


class Assembler:
    """Puts the module of one file together."""

    def __init__(self, program: Program, layout: Layout, lifter: FileLifter, attributes: str, *, pic: bool) -> None:
        self.program = program
        self.layout = layout
        self.lifter = lifter
        self.attributes = attributes
        self.pic = pic
        self.named_in_asm: set[str] = set()
        """symbols that machine code names"""
        self.places = {(code.pieces[0][0], code.pieces[0][1]): code.name for code in program.functions}

    def names(self, lifter: FileLifter) -> ModuleNames:
        """A fresh collection of names under a lifter's signatures."""
        signatures = {name: lifted.signature for name, lifted in lifter.functions.items()}
        return ModuleNames(self.program, self.layout, signatures, self.places)

    def function_module(self, lifter: FileLifter, name: str, options: object) -> str:
        """One function as a module of its own; LiftError where emission finds it can't be."""
        names = self.names(lifter)
        names.defined.add(name)
        body = lifter.emit(name, names, options)  # type: ignore[arg-type]
        names.declarations.pop(name, None)
        return module_text([body], names, self.attributes, TRIPLE, flags_text(self.pic))

    def parts(self, optimised: Mapping[str, str], kept: Collection[str]) -> list[str]:
        """Textual modules to link: data first, then functions in the order of the file.

        `optimised` is the IR of lifted functions, `kept` names those that stay machine code.
        """
        bodies = {name: self._external(text) for name, text in optimised.items()}
        asm = [line for code in self.program.functions if code.name in kept for line in self._machine_code(code)]
        wanted = set(re.findall(r"@([\w.$-]+)", "\n".join(bodies.values())))
        wanted |= set(re.findall(r'@"([^"]+)"', "\n".join(bodies.values())))
        wanted |= self.named_in_asm
        data = self._data(wanted, asm, set(kept))
        return [data, *[bodies[code.name] for code in self.program.functions if code.name in bodies]]

    def _external(self, text: str) -> str:
        """Private data of the file as declarations; the data module defines it."""
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if line.startswith("@") and " = private " in line:
                match = re.match(r'@("[^"]*"|[\w.$-]+) = private unnamed_addr constant ', line)
                one = self.layout_names.get(match[1].strip('"')) if match else None
                if one is not None:
                    size = one.end - one.start
                    lines[number] = f"{quoted(one.name)} = external dso_local constant [{size} x i8], align {one.align}"
        return "\n".join(lines)

    @property
    def layout_names(self) -> dict[str, DataObject]:
        """Objects by their name in the module."""
        if not hasattr(self, "_layout_names"):
            self._layout_names = {one.name: one for found in self.layout.objects.values() for one in found}
        return self._layout_names

    def _data(self, wanted: set[str], asm: list[str], kept_code: set[str]) -> str:
        names = self.names(self.lifter)
        names.with_data = True
        names.kept = kept_code
        tables = {t.address for lifted in self.lifter.functions.values() if lifted.flow for t in lifted.flow.tables}
        texts: dict[str, str] = {}
        constructors: dict[str, list[str]] = {"llvm.global_ctors": [], "llvm.global_dtors": []}
        everything = [one for found in self.layout.objects.values() for one in found]
        everything += [one for one in self.layout.by_name.values() if one.section == -3]
        todo: list[DataObject] = []
        for one in everything:
            section = self.program.sections[one.section] if one.section >= 0 else None
            if section is not None and section.kind in ("init_array", "fini_array"):
                self._constructor(one, constructors, names)
            elif not one.is_private or one.name in wanted:
                todo.append(one)
        while todo:
            one = todo.pop()
            if one.name in texts:
                continue
            if one.is_private and (one.section, one.start) in tables and one.name not in wanted:
                continue
            names.defined.add(one.name)
            before = set(names.declarations)
            try:
                definition = names.definition(one)
            except LiftError:
                if one.is_private and one.name not in wanted:
                    continue  # a jump table that became a switch
                raise LeftOverError(one.name) from None
            texts[one.name] = definition.replace("private unnamed_addr ", "dso_local unnamed_addr ", 1)
            texts[one.name] = texts[one.name].replace(" = internal ", " = dso_local ", 1)
            for name in set(names.declarations) - before:
                if name in self.layout_names:
                    todo.append(self.layout_names[name])
        for name in texts:
            names.declarations.pop(name, None)
        bodies = [texts[one.name] for one in everything if one.name in texts]
        for name, entries in constructors.items():
            if entries:
                ty = "{ i32, ptr, ptr }"
                bodies.append(f"@{name} = appending global [{len(entries)} x {ty}] [{', '.join(entries)}]")
        used = sorted(
            {n for n in self.named_in_asm if n in texts} | ({*self.named_in_asm} & set(self.lifter.functions))
        )
        kept = [n for n in used if n in texts]
        if kept:
            values = ", ".join(f"ptr {quoted(n)}" for n in kept)
            bodies.append(
                f'@llvm.compiler.used = appending global [{len(kept)} x ptr] [{values}], section "llvm.metadata"'
            )
        text = module_text(bodies, names, self.attributes, TRIPLE, flags_text(self.pic))
        head, _, rest = text.partition("\n\n")
        return head + "\n\n" + "".join(f'module asm "{line}"\n' for line in asm) + rest

    def _constructor(self, one: DataObject, into: dict[str, list[str]], names: ModuleNames) -> None:
        section = self.program.sections[one.section]
        suffix = section.name.rpartition(".")[2]
        priority = int(suffix) if suffix.isdigit() else 65535
        which = "llvm.global_ctors" if section.kind == "init_array" else "llvm.global_dtors"
        for offset in sorted(o for o in section.relocations if one.start <= o < one.end):
            relocation = section.relocations[offset]
            symbol, _ = names.place(place(self.program, relocation.symbol, relocation.addend))
            into[which].append(f"{{ i32, ptr, ptr }} {{ i32 {priority}, ptr {symbol}, ptr null }}")

    # Machine code as it was

    def _machine_code(self, code: Code) -> list[str]:
        """A function's bytes and relocations as assembler directives."""
        lines: list[str] = []
        section, start, end = code.pieces[0]
        home = self.program.sections[section]
        name = quote(code.name).replace('"', "\\22")
        flags = "axG" if home.group else "ax"
        group = f",{home.group},comdat" if home.group else ""
        title = home.name if home.name.startswith(".text") else ".text"
        lines.append(f".section {title},\\22{flags}\\22,@progbits{group}")
        lines.append(f".p2align {max(0, home.align.bit_length() - 1) if start % max(1, home.align) == 0 else 0}")
        if code.symbol.binding == "global":
            lines.append(f".globl {name}")
        elif code.symbol.binding != "local":
            lines.append(f".weak {name}")
        if code.symbol.visibility != "default":
            lines.append(f".{code.symbol.visibility} {name}")
        lines += [f".type {name},@function", f"{name}:"]
        if self._has_short_exits(code):
            lines += self._by_instruction(code, name)
        else:
            lines += self._bytes(code, start, end)
            lines += self._relocations(code, name, start, end)
            lines += self._near_calls(code, name)
        lines += [f".size {name}, .-{name}", ".text"]
        return lines

    def _bytes(self, code: Code, start: int, end: int) -> list[str]:
        data = self.program.sections[code.pieces[0][0]].data[start:end]
        return [".byte " + ",".join(str(byte) for byte in data[at : at + 16]) for at in range(0, len(data), 16)]

    def _relocations(self, code: Code, name: str, start: int, end: int) -> list[str]:
        """Those between two offsets of the section, relative to the function (or to here, for an instruction)."""
        lines: list[str] = []
        home = self.program.sections[code.pieces[0][0]]
        base = code.pieces[0][1] if name != "." else end
        for offset in sorted(o for o in home.relocations if start <= o < end):
            relocation = home.relocations[offset]
            symbol, addend = self._asm_symbol(place(self.program, relocation.symbol, relocation.addend))
            sign = f"+{addend}" if addend > 0 else str(addend) if addend else ""
            at = f"{name}+{offset - base}" if name != "." else f".-{end - offset}"
            lines.append(f".reloc {at}, R_X86_64_{relocation.kind}, {symbol}{sign}")
        return lines

    def _has_short_exits(self, code: Code) -> bool:
        """A jump of one byte to another function, which may come to lie too far away."""
        _section, start, end = code.pieces[0]
        return any(
            insn.mnemonic[0] == "j" and insn.size == 2 and isinstance(insn.operands[0], Imm)
            and not start <= insn.operands[0].value < end
            for insn in code.instructions
        )  # fmt: skip

    def _by_instruction(self, code: Code, name: str) -> list[str]:
        """Jumps as text, so that the assembler finds their size; everything else as bytes."""
        section, start, end = code.pieces[0]
        relocations = self.program.sections[section].relocations
        label = f".Lkept.{name}."
        targets: set[int] = set()
        jumps: dict[int, str] = {}
        for insn in code.instructions:
            op = insn.operands[0] if insn.operands else None
            if (insn.mnemonic not in ("call", "jmp") and insn.mnemonic[0] != "j") or not isinstance(op, Imm):
                continue
            if any(o in relocations for o in range(insn.address, insn.end)):
                continue
            if start <= op.value < end:
                targets.add(op.value)
                jumps[insn.address] = f"{insn.mnemonic} {label}{op.value}"
            else:
                callee = self.places.get((section, op.value))
                if callee is None:
                    raise KeyError(f"a jump to section {section}+{op.value}")
                self.named_in_asm.add(callee)
                jumps[insn.address] = f"{insn.mnemonic} {callee}@PLT"
        lines: list[str] = []
        for insn in code.instructions:
            if insn.address in targets:
                lines.append(f"{label}{insn.address}:")
            if insn.address in jumps:
                lines.append(jumps[insn.address])
            else:
                lines += self._bytes(code, insn.address, insn.end)
                lines += self._relocations(code, ".", insn.address, insn.end)
        return lines

    def _near_calls(self, code: Code, name: str) -> list[str]:
        """Calls that the assembler had resolved to functions of the same section get relocations again."""
        lines: list[str] = []
        section, start, end = code.pieces[0]
        relocations = self.program.sections[section].relocations
        data = self.program.sections[section].data
        for insn in code.instructions:
            op = insn.operands[0] if insn.operands else None
            for mem in insn.operands:
                ref = mem.ref if isinstance(mem, Mem) else None
                if ref is None or ref.symbol is not None or ref.section != section or start <= ref.offset < end:
                    continue
                if any(o in relocations for o in range(insn.address, insn.end)):
                    continue
                distance = (ref.offset - insn.end).to_bytes(4, "little", signed=True)
                at = data.rindex(distance, insn.address, insn.end)
                symbol, addend = self._asm_symbol(ref)
                lines.append(f".reloc {name}+{at - start}, R_X86_64_PC32, {symbol}{addend - (insn.end - at):+d}")
            target = getattr(op, "value", None) if insn.mnemonic in ("call", "jmp") or insn.mnemonic[0] == "j" else None
            if target is None or start <= target < end or any(o in relocations for o in range(insn.address, insn.end)):
                continue
            callee = self.places.get((section, target))
            if callee is None or insn.size < 5:
                continue
            at = insn.end - 4 - start
            lines.append(f".reloc {name}+{at}, R_X86_64_PLT32, {callee}-4")
            self.named_in_asm.add(callee)
        return lines

    def _asm_symbol(self, ref: Ref) -> tuple[str, int]:
        found = self.layout.find(ref)
        if found is not None:
            one, offset = found
            self.named_in_asm.add(one.name)
            return (f".L{one.name}" if one.is_private else one.name), offset
        if ref.symbol is not None:
            self.named_in_asm.add(ref.symbol)
            return ref.symbol, ref.offset
        for code in self.program.functions:
            for index, start, end in code.pieces:
                if index == ref.section and start <= ref.offset < end:
                    self.named_in_asm.add(code.name)
                    return code.name, ref.offset - start
        raise KeyError(f"section {ref.section}+{ref.offset}")

    # Linkage

    def finish(self, ir: str, kept: Collection[str]) -> str:
        """The linked text with the linkage each symbol has, COMDATs and aliases."""
        lines = ir.split("\n")
        functions = {code.name: code for code in self.program.functions}
        comdats: set[str] = set()
        for number, line in enumerate(lines):
            if line.startswith("@"):
                lines[number] = self._data_linkage(line, comdats)
            elif line.startswith("define "):
                match = re.match(r'(define )(dso_local )?(.*?)@("[^"]*"|[\w.$-]+)\(', line)
                code = functions.get(match[4].strip('"')) if match else None
                if match is not None and code is not None:
                    lines[number] = self._function_linkage(line, match, code, comdats)
        at = next((n for n, line in enumerate(lines) if line.startswith(("@", "define ", "declare "))), len(lines))
        lines[at:at] = [f"${quote(name)} = comdat any" for name in sorted(comdats)] + ([""] if comdats else [])
        lines += self._aliases(kept)
        return "\n".join(lines)

    def _data_linkage(self, line: str, comdats: set[str]) -> str:
        match = re.match(r'@("[^"]*"|[\w.$-]+) = dso_local (unnamed_addr )?', line)
        one = self.layout_names.get(match[1].strip('"')) if match else None
        if one is None and match is not None:
            one = self.layout.by_name.get(match[1].strip('"'))
            if one is None or one.section != -3:
                return line
        if match is None or one is None:
            return line
        group = self.program.sections[one.section].group if one.section >= 0 else ""
        if group and not one.is_local:
            comdats.add(group)
            line = line.replace(", align ", f", comdat(${quote(group)}), align ", 1) if ", align " in line else line
        if one.is_private:
            return line.replace("dso_local ", "private ", 1)
        return line.replace("dso_local ", "internal ", 1) if one.is_local else line

    def _function_linkage(self, line: str, match: re.Match[str], code: Code, comdats: set[str]) -> str:
        symbol: Symbol = code.symbol
        linkage = {"local": "internal ", "weak": "weak "}.get(symbol.binding, "")
        group = self.program.sections[code.pieces[0][0]].group
        if group and symbol.binding == "weak":
            linkage = "weak_odr "
        visibility = f"{symbol.visibility} " if symbol.visibility != "default" and symbol.binding != "local" else ""
        start = f"define {linkage}{'' if linkage == 'internal ' or visibility else 'dso_local '}{visibility}{match[3]}"
        line = start + line[match.start(4) - 1 :]
        if group:
            comdats.add(group)
            line = re.sub(r"( #\d+)? \{$", lambda m: f"{m[1] or ''} comdat(${quote(group)}) {{", line)
        return line

    def _aliases(self, kept: Collection[str]) -> list[str]:
        lines: list[str] = []
        taken = {code.name for code in self.program.functions}
        for symbol in self.program.symbols:
            name = self.places.get((symbol.section, symbol.offset))
            if name is None or symbol.name in taken or not symbol.name or symbol.kind not in ("func", "notype"):
                continue
            if symbol.name.startswith(("_$", ".L")) or name in kept or symbol.binding == "local":
                continue
            linkage = "weak " if symbol.binding == "weak" else ""
            lines.append(f"{quoted(symbol.name)} = dso_local {linkage}alias i8, ptr {quoted(name)}")
        for name, one, symbol in self.layout.aliases:
            if symbol.binding != "local":
                lines.append(f"{quoted(name)} = dso_local alias i8, ptr {quoted(one.name)}")
        return lines


def attributes_text(*, size: str, frame_pointer: str) -> str:
    """Attributes of functions as clang gives them; `size` is z, s or empty."""
    words = {"z": "minsize nounwind optsize", "s": "nounwind optsize"}.get(size, "nounwind")
    return f'{words} uwtable "frame-pointer"="{frame_pointer}" "no-trapping-math"="true" {FEATURES}'
