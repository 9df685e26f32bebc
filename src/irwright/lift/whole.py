"""The whole module: data, lifted functions, machine code of what is not lifted, and what binds them.

Everything is linked with external names and gets its linkage in the text at the end: the linker would rename local
symbols that several of the parts mention. A function that is not lifted stays what it was, byte for byte with its
relocations, as `module asm`; the file still links and works.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from irwright.errors import InputError, InsideCodeError, LiftError
from irwright.lift.data import DataObject, Layout
from irwright.lift.lifter import FileLifter
from irwright.lift.linkage import Linkage
from irwright.lift.machine_code import MachineCode
from irwright.lift.names import FEATURES, ModuleNames, flags_text, module_text, quoted
from irwright.lift.objects import place
from irwright.lift.program import Program

TRIPLE = "x86_64-unknown-linux-gnu"


class LeftOverError(Exception):
    """Functions that must stay machine code, since something points into their code."""

    def __init__(self, functions: set[str]) -> None:
        super().__init__(", ".join(sorted(functions)))
        self.functions = functions


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
        return module_text([body], names, self.attributes, TRIPLE, flags_text(self.pic, shared=self.program.is_shared))

    def parts(self, optimised: Mapping[str, str], kept: Collection[str]) -> list[str]:
        """Textual modules to link: data first, then functions in the order of the file.

        `optimised` is the IR of lifted functions, `kept` names those that stay machine code.
        """
        bodies = {name: self._external(text) for name, text in optimised.items()}
        machine = MachineCode(self.program, self.layout, self.places, kept)
        try:
            asm = [line for code in self.program.functions if code.name in kept for line in machine.lines(code)]
        except InsideCodeError as error:
            raise LeftOverError({error.function}) from error
        except LiftError as error:
            raise InputError(self.program.name, f"can't be laid out anew: {error}") from error
        self.named_in_asm = machine.named
        weak = [one.name for one in self.program.symbols if one.section == -1 and one.binding == "weak"]
        asm += [f".weak {name}" for name in weak if name in machine.named]
        wanted = set(re.findall(r"@([\w.$-]+)", "\n".join(bodies.values())))
        wanted |= set(re.findall(r'@"([^"]+)"', "\n".join(bodies.values())))
        wanted |= self.named_in_asm
        data = self._data(wanted, asm, set(kept), bodies)
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

    def _data(self, wanted: set[str], asm: list[str], kept: set[str], bodies: Mapping[str, str]) -> str:
        names = self.names(self.lifter)
        names.with_data = True
        names.kept = kept
        constructors: dict[str, list[str]] = {"llvm.global_ctors": [], "llvm.global_dtors": []}
        everything = [one for found in self.layout.objects.values() for one in found]
        everything += [one for one in self.layout.by_name.values() if one.section == -3]
        exported = {id(one) for symbol, one in self.layout.inner_symbols if symbol.binding != "local"}
        exported |= {id(one) for symbol, one in self.layout.inner_symbols if symbol.name in wanted}
        todo: list[DataObject] = []
        for one in everything:
            section = self.program.sections[one.section] if one.section >= 0 else None
            if section is not None and section.kind in ("init_array", "fini_array"):
                self._constructor(one, constructors, names)
            elif not one.is_private or one.name in wanted or id(one) in exported:
                todo.append(one)
        texts = self._definitions(todo, names, wanted, bodies)
        for name in texts:
            names.declarations.pop(name, None)
        lines = [texts[one.name] for one in everything if one.name in texts]
        for name, entries in constructors.items():
            if entries:
                ty = "{ i32, ptr, ptr }"
                lines.append(f"@{name} = appending global [{len(entries)} x {ty}] [{', '.join(entries)}]")
        used = sorted(self.named_in_asm & texts.keys())
        for name in sorted(self.named_in_asm & bodies.keys()):
            names.callee(name, self.lifter.functions[name].signature)
            used.append(name)
        if used:
            values = ", ".join(f"ptr {quoted(n)}" for n in used)
            lines.append(
                f'@llvm.compiler.used = appending global [{len(used)} x ptr] [{values}], section "llvm.metadata"'
            )
        text = module_text(lines, names, self.attributes, TRIPLE, flags_text(self.pic, shared=self.program.is_shared))
        head, _, rest = text.partition("\n\n")
        return head + "\n\n" + "".join(f'module asm "{line}"\n' for line in asm) + rest

    def _definitions(
        self, todo: list[DataObject], names: ModuleNames, wanted: set[str], bodies: Mapping[str, str]
    ) -> dict[str, str]:
        """Globals by name, and those that they name."""
        tables = {t.address for lifted in self.lifter.functions.values() if lifted.flow for t in lifted.flow.tables}
        texts: dict[str, str] = {}
        inside: set[str] = set()
        while todo:
            one = todo.pop()
            is_table = not one.is_whole and (one.section, one.start) in tables
            if one.name in texts or (one.is_private and is_table and one.name not in wanted):
                continue
            names.defined.add(one.name)
            before = set(names.declarations)
            try:
                definition = names.definition(one)
            except InsideCodeError as error:
                if is_table:
                    # It became a switch; its address only seems to be used, as an argument of which nothing is known.
                    texts[one.name] = names.zeros(one)
                elif not one.is_private or one.name in wanted:
                    inside.add(error.function)
                    # Who reads such a table jumps in a way that was not understood.
                    inside |= {name for name, text in bodies.items() if re.search(rf"@{re.escape(one.name)}\b", text)}
                continue
            except LiftError as error:
                section = self.program.sections[one.section].name
                problem = f"has {error} in {section}, which can't be written as IR"
                raise InputError(self.program.name, problem) from error
            texts[one.name] = re.sub(r" = (private|internal) ", " = dso_local ", definition, count=1)
            for name in [one for one in names.declarations if one not in before]:
                if name in self.layout_names:
                    todo.append(self.layout_names[name])
        if inside:
            raise LeftOverError(inside)
        return texts

    def _constructor(self, one: DataObject, into: dict[str, list[str]], names: ModuleNames) -> None:
        section = self.program.sections[one.section]
        suffix = section.name.rpartition(".")[2]
        priority = int(suffix) if suffix.isdigit() else 65535
        which = "llvm.global_ctors" if section.kind == "init_array" else "llvm.global_dtors"
        for offset in sorted(o for o in section.relocations if one.start <= o < one.end):
            relocation = section.relocations[offset]
            symbol, _ = names.place(place(self.program, relocation.symbol, relocation.addend))
            into[which].append(f"{{ i32, ptr, ptr }} {{ i32 {priority}, ptr {symbol}, ptr null }}")

    def finish(self, ir: str, kept: Collection[str]) -> str:
        """The linked text with the linkage each symbol has, COMDATs and aliases."""
        return Linkage(self.program, self.layout, self.places, kept, self.named_in_asm).finish(ir)


def attributes_text(*, size: str, frame_pointer: str, features: Collection[str] = ()) -> str:
    """Attributes of functions as clang gives them; `size` is z, s or empty, `features` what the processor has more."""
    words = {"z": "minsize nounwind optsize", "s": "nounwind optsize"}.get(size, "nounwind")
    more = FEATURES.replace("+x87", ",".join(["+x87", *(f"+{name}" for name in sorted(features))]))
    return f'{words} uwtable "frame-pointer"="{frame_pointer}" "no-trapping-math"="true" {more}'
