"""The text around lifted functions: names and declarations of what they use, globals, the module's head.

A `ModuleNames` collects what one module needs. For a single function that is declarations of everything else; for
the data module it is the globals themselves.
"""

from __future__ import annotations

from irwright.errors import InsideCodeError, LiftError
from irwright.lift.data import DataObject, Layout, quote
from irwright.lift.expressions import Ref
from irwright.lift.program import Code, Program
from irwright.lift.signatures import Signature

LAYOUT = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
FEATURES = '"target-cpu"="x86-64" "target-features"="+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic"'


def quoted(name: str) -> str:
    """A name as LLVM writes it after @."""
    return f"@{quote(name)}"


class ModuleNames:
    """Names as one module needs them."""

    def __init__(
        self, program: Program, layout: Layout, functions: dict[str, Signature], places: dict[tuple[int, int], str]
    ) -> None:
        self.program = program
        self.layout = layout
        self.functions = functions
        self.places = places
        self.weak = {symbol.name for symbol in program.symbols if symbol.section == -1 and symbol.binding == "weak"}
        """undefined symbols that may stay so"""
        self.declarations: dict[str, str] = {}
        self.pending: list[DataObject] = []
        self.defined: set[str] = set()
        self.kept: set[str] = set()
        """functions that stay machine code"""
        self.with_data = False
        """private constants are defined where they are used"""

    def symbol(self, name: str) -> str:
        return quoted(name)

    def place(self, ref: Ref) -> tuple[str, int]:
        """Symbol text and offset of a place, declared."""
        name, offset = self._name(ref)
        return quoted(name), offset

    def thread_local(self, ref: Ref) -> tuple[str, int]:
        """Symbol text and offset of a thread-local variable, declared."""
        found = self.layout.find(ref)
        if found is not None:
            self._use(found[0])
            return quoted(found[0].name), found[1]
        if ref.symbol is None:
            raise LiftError("a thread-local variable without a name")
        self.declarations.setdefault(ref.symbol, f"{quoted(ref.symbol)} = external thread_local global i8")
        return quoted(ref.symbol), ref.offset

    def _name(self, ref: Ref) -> tuple[str, int]:
        found = self.layout.find(ref)
        if found is not None:
            self._use(found[0])
            return found[0].name, found[1]
        if ref.symbol is None:
            name = self.places.get((ref.section, ref.offset))
            if name is None:
                return self._inside_kept(ref)
            self.callee(name, self.functions[name])
            return name, 0
        if ref.symbol in self.functions:
            if ref.offset:
                raise LiftError("the address of a place inside a function")
            self.callee(ref.symbol, self.functions[ref.symbol])
        else:
            self._declare(ref.symbol, is_local=True)  # named without the table: it is near
        return ref.symbol, ref.offset

    def _inside_kept(self, ref: Ref) -> tuple[str, int]:
        """A place within a function that stays machine code, so that its offsets hold."""
        for code in self.program.functions:
            for (section, start, end), name in zip(code.pieces, code.piece_names, strict=True):
                if section == ref.section and start <= ref.offset < end:
                    if code.name not in self.kept:
                        raise InsideCodeError(code.name)
                    self._piece(code, name)
                    return name, ref.offset - start
        raise LiftError("the address of a place in code")

    def _piece(self, code: Code, name: str) -> None:
        if name == code.name:
            self.callee(name, self.functions[name])
        else:
            self._declare(name, is_local=True)

    def _use(self, one: DataObject) -> None:
        if one.name in self.declarations or one.name in self.defined:
            return
        if one.is_private and one.is_constant and not one.is_whole and one.table is None and not self.with_data:
            self.defined.add(one.name)
            try:
                self.declarations[one.name] = self.definition(one)
                return
            except InsideCodeError:
                self.defined.discard(one.name)  # a jump table: the module as a whole knows whether it is one
        kind = "constant" if one.is_constant else "global"
        thread = "thread_local " if one.is_thread_local else ""
        size = f"[{one.end - one.start} x i8]"
        text = f"{quoted(one.name)} = external dso_local {thread}{kind} {size}, align {one.align}"
        self.declarations.setdefault(one.name, text)

    def _declare(self, name: str, *, is_local: bool) -> None:
        linkage = "extern_weak" if name in self.weak else "external"
        self.declarations.setdefault(name, f"{quoted(name)} = {linkage} {'dso_local ' if is_local else ''}global i8")

    def definition(self, one: DataObject) -> str:
        """A global with its content."""
        if one.is_private:
            linkage = "private " if one.is_whole else "private unnamed_addr "
        elif one.section == -3:
            linkage = "internal " if one.is_local else "common dso_local "
        elif one.is_local:
            linkage = "internal "
        else:
            weak = one.symbol is not None and one.symbol.binding in ("weak", "loos")
            linkage = "weak dso_local " if weak else "dso_local "
        if one.symbol is not None and one.symbol.visibility in ("hidden", "protected") and not one.is_local:
            linkage += f"{one.symbol.visibility} "
            linkage = linkage.replace("dso_local hidden", "hidden")
        ty, value = self.layout.initializer(one, self._constant)
        if one.section == -3:
            value = "zeroinitializer"
        thread = "thread_local " if one.is_thread_local else ""
        kind = "constant" if one.is_constant else "global"
        return f"{quoted(one.name)} = {linkage}{thread}{kind} {ty} {value}{self._section(one)}, align {one.align}"

    def zeros(self, one: DataObject) -> str:
        """A constant of an object's size, for one whose content nobody reads."""
        return (
            f"{quoted(one.name)} = dso_local constant [{one.end - one.start} x i8] zeroinitializer, align {one.align}"
        )

    def _section(self, one: DataObject) -> str:
        if one.section < 0:
            return ""
        section = self.program.sections[one.section]
        plain = (".data", ".bss", ".rodata", ".data.rel.ro", ".tdata", ".tbss", ".lbss", ".ldata", ".lrodata")
        if section.name in plain or section.name.startswith(tuple(f"{name}." for name in plain)):
            return ""
        return f', section "{section.name}"'

    def _constant(self, ref: Ref, one: DataObject, delta: int) -> str:
        """What an initializer says of a place; a relative one lies `delta` bytes into its object."""
        name, offset = self._relative(ref, one, delta) if delta else self._name(ref)
        if not offset:
            return quoted(name)
        return f"getelementptr (i8, ptr {quoted(name)}, i64 {offset})"

    def _relative(self, ref: Ref, one: DataObject, delta: int) -> tuple[str, int]:
        """An offset in data, from its own place on as relocations have it: that of a jump table means a place `delta`
        bytes before."""
        meant = Ref(ref.symbol, ref.section, ref.offset - delta, ref.kind)
        if ref.symbol is not None or ref.section < 0 or not self.program.sections[ref.section].is_code:
            if ref.symbol in self.functions and not meant.offset:
                return self.callee_name(meant), delta
            return self._name(ref)
        key = (meant.section, meant.offset)
        if one.table is not None or key in self.program.labels:
            if key in self.places:
                return self.callee_name(meant), delta
            name, offset = self._inside_kept(meant)
            return name, offset + delta
        if (ref.section, ref.offset) in self.places:
            return self.callee_name(ref), 0
        raise LiftError("offsets of places in code")

    def callee_name(self, ref: Ref) -> str:
        """The name of the function at a place, declared."""
        name = ref.symbol or self.places[ref.section, ref.offset]
        self.callee(name, self.functions[name])
        return name

    def literal(self, ref: Ref, ty: str) -> str | None:
        return self.layout.literal(ref, ty)

    def got(self, ref: Ref) -> str:
        """What a global offset table entry points at."""
        if ref.symbol is None or ref.offset:
            raise LiftError("a table entry without a name")
        if ref.symbol in self.functions:
            self.callee(ref.symbol, self.functions[ref.symbol])
        elif ref.symbol in self.layout.by_name and ref.symbol not in self.layout.inner:
            self._use(self.layout.by_name[ref.symbol])
        else:
            self._declare(ref.symbol, is_local=False)
        return quoted(ref.symbol)

    def callee(self, name: str, signature: Signature) -> str:
        """A function to call, declared."""
        is_near = name in self.functions and name not in self.program.tabled
        local = "dso_local " if is_near or self._is_near(name) else ""
        params: list[str] = []
        fixed = signature.params[: signature.num_fixed] if signature.is_variadic else signature.params
        for number, (_, ty) in enumerate(fixed):
            params.append(f"{ty} {signature.attributes.get(number, '')}".strip())
        if signature.is_variadic:
            params.append("...")
        result = f"{signature.attributes.get(-1, '')} {signature.result_text()}".strip()
        known = self.declarations.get(name, "")
        local = "extern_weak " if name in self.weak else local
        if name not in self.defined and (not known or " = extern" in known):
            twice = " returns_twice" if signature.returns_twice else ""
            self.declarations[name] = f"declare {local}{result} {quoted(name)}({', '.join(params)}){twice}"
        return quoted(name)

    def _is_near(self, name: str) -> bool:
        """True where the text names an outside function without the linker's tables."""
        return self.program.indirect is not None and name not in self.program.indirect

    def intrinsic(self, name: str, declaration: str) -> None:
        self.declarations.setdefault(name, declaration)


def module_text(bodies: list[str], names: ModuleNames, attributes: str, triple: str, flags: str) -> str:
    """A whole textual module."""
    lines = [f'target datalayout = "{LAYOUT}"', f'target triple = "{triple}"', ""]
    lines += [text for text in names.declarations.values() if not text.startswith("declare")]
    lines += ["", *bodies]
    lines += [text for text in names.declarations.values() if text.startswith("declare")]
    lines += ["", f"attributes #0 = {{ {attributes} }}", "", flags]
    weights = ((1, 2000), (2000, 1))
    lines += [f'!{n} = !{{!"branch_weights", i32 {a}, i32 {b}}}' for n, (a, b) in enumerate(weights)]
    return "\n".join(lines) + "\n"


def flags_text(pic: bool, *, shared: bool = False) -> str:
    """Module flags as clang sets them."""
    flags = ['!{i32 1, !"wchar_size", i32 4}', '!{i32 7, !"uwtable", i32 2}']
    if pic:
        flags += ['!{i32 8, !"PIC Level", i32 2}'] + ([] if shared else ['!{i32 7, !"PIE Level", i32 2}'])
    lines = [f"!llvm.module.flags = !{{{', '.join(f'!{10 + n}' for n in range(len(flags)))}}}"]
    return "\n".join(lines + [f"!{10 + n} = {flag}" for n, flag in enumerate(flags)])
