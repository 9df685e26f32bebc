"""Textual IR checked while it is being said, line by line: where does it stop being the beginning of a right module?

`CodeState` is what is known after some whole lines; `fault` reads one more line, which may be unfinished, without
changing it, `after` gives the state behind a whole one. What it lets pass, LLVM takes (tests compare); it refuses some
of what LLVM would take.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.attributes import (
    read_align,
    read_argument_attributes,
    read_function_attributes,
    read_result_attributes,
)
from irwright.grammar.branches import case
from irwright.grammar.data import read_initial
from irwright.grammar.flow import Flow
from irwright.grammar.instructions import said
from irwright.grammar.operands import Operands, Symbols
from irwright.grammar.reader import Reader
from irwright.grammar.types import VOID, Type, Types

_LINKAGES = ("internal ", "linkonce_odr ", "weak ", "weak_odr ")
_DATA = ("private ", "internal ", "weak ", "linkonce_odr ", "common ")
_NOBODY = Flow(result=VOID)


@dataclass(slots=True)
class CodeState:
    """A module as far as it was said in whole lines."""

    types: Types = field(default_factory=Types)
    symbols: Symbols = field(default_factory=Symbols)
    flow: Flow | None = None
    """the function that is open"""
    cases: list[int] | None = None
    """of a switch that is open: bits, then targets"""
    case_values: set[int] = field(default_factory=set[int])
    num_functions: int = 0
    hurries: bool = False
    """no more is said than has to be"""

    def copy(self) -> CodeState:
        return CodeState(
            types=self.types.copy(),
            symbols=self.symbols.copy(),
            flow=self.flow and self.flow.copy(),
            cases=self.cases and list(self.cases),
            case_values=set(self.case_values),
            num_functions=self.num_functions,
            hurries=self.hurries,
        )

    @property
    def may_end(self) -> bool:
        """True if the module is whole here."""
        return self.flow is None and self.num_functions > 0 and not self.symbols.owed

    def fault(self, text: str) -> int | None:
        """Where the beginning of a line goes wrong, if it does."""
        try:
            self.copy()._line(Reader(text, whole=False))
        except UnfinishedError:
            return None
        except GrammarError as wrong:
            return wrong.position
        return None

    def after(self, text: str) -> CodeState | int:
        """The state after a whole line, or where that goes wrong."""
        state = self.copy()
        try:
            state._line(Reader(text, whole=True))
        except GrammarError as wrong:
            return wrong.position
        return state

    # ---- lines

    def _line(self, line: Reader) -> None:
        if self.flow is None:
            self._outside(line)
        elif self.cases is not None:
            if case(self._operands(line), self.cases, self.case_values):
                self.cases, self.case_values = None, set()
        elif self.flow.open:
            line.need("  ")
            self.cases = said(self._operands(line))
        else:
            self._between(line, self.flow)

    def _operands(self, line: Reader) -> Operands:
        return Operands(line, self.flow or _NOBODY, self.types, self.symbols)

    def _between(self, line: Reader, flow: Flow) -> None:
        """After a terminator: a label, or the end of the function."""
        options = [f"{flow.next}:"] if flow.can_begin_block() else []
        word = line.need(*options, *(["}"] if flow.may_end() else []))
        line.end()
        if word == "}":
            self.flow = None
        else:
            flow.begin_block()

    def _outside(self, line: Reader) -> None:
        owed = self.symbols.owed
        options = [] if self.types.owed else ["define ", "declare ", "@"]
        if self.num_functions and owed:
            options = ["declare "]  # only what is missing, so that an end is in sight
        elif self.hurries:
            options = ["define "] if not self.num_functions and not self.types.owed else []
        word = line.need(*options, *([] if self.types.done else ["%t"]))
        if word == "%t":
            self._type(line)
            return
        self.types.done = True
        if word == "define ":
            self._define(line)
        elif word == "declare ":
            self._declare(line)
        else:
            line.position -= 1
            self._data(line)

    def _type(self, line: Reader) -> None:
        number = line.choice(self.types.ahead)
        line.need(" = type ")
        start = line.position
        found = self.types.read(line)
        if found.kind != "struct" or found.name >= 0:
            raise GrammarError(start)
        line.end()
        if not self.types.name(number, found):
            raise GrammarError(start)

    def _data(self, line: Reader) -> None:
        name = self.symbols.read_new(line)
        line.need(" = ")
        is_declared = bool(line.maybe("external "))
        private = "" if is_declared else line.maybe(*_DATA).strip()
        if private not in ("private", "internal"):
            line.maybe("hidden ")
        line.maybe("dso_local ")
        if line.maybe("thread_local ", "thread_local(initialexec) ", "thread_local(localdynamic) "):
            self.symbols.thread_local.add(name)
        line.maybe("unnamed_addr ", "local_unnamed_addr ")
        line.need("global ", *([] if private == "common" else ["constant "]))
        kind = self.types.read(line)
        if not is_declared:
            line.need(" ")
            if private == "common":
                line.need(*(["null"] if kind.kind == "ptr" else ["0"] if kind.kind == "int" else ["zeroinitializer"]))
            else:
                read_initial(self._operands(line), kind)
        line.need(", align ")
        read_align(line)
        line.end()
        self.symbols.defined.add(name)

    def _declare(self, line: Reader) -> None:
        line.maybe("extern_weak ")
        line.maybe("hidden ")
        line.maybe("dso_local ")
        line.maybe("fastcc ")
        self._result(line)
        name = self.symbols.read_new(line, self.symbols.owed if self.num_functions else None)
        self._parameters(line, None)
        line.maybe(" local_unnamed_addr", " unnamed_addr")
        read_function_attributes(line)
        if line.maybe(" align "):
            read_align(line)
        line.end()
        self.symbols.defined.add(name)

    def _result(self, line: Reader) -> Type:
        wanted = read_result_attributes(line)
        start = line.position
        found = self.types.read(line, void=True)
        if not wanted.allows(found) or (found == VOID and start and line.text[:start].endswith("noundef ")):
            raise GrammarError(start)
        line.need(" ")
        return found

    def _define(self, line: Reader) -> None:
        linkage = line.maybe(*_LINKAGES)
        if linkage != "internal ":
            line.maybe("hidden ", "protected ")
        line.maybe("dso_local ")
        line.maybe("fastcc ")
        flow = Flow(result=self._result(line))
        name = self.symbols.read_new(line)
        self._parameters(line, flow)
        line.maybe(" unnamed_addr", " local_unnamed_addr")
        read_function_attributes(line)
        if line.maybe(" align "):
            read_align(line)
        line.need(" {")
        line.end()
        self.symbols.defined.add(name)
        self.num_functions += 1
        flow.begin_block()
        self.flow = flow

    def _parameters(self, line: Reader, flow: Flow | None) -> None:
        """Parameters with their parentheses; those of a definition have numbers."""
        line.need("(")
        if line.maybe(")"):
            return
        returned = False
        while True:
            if line.maybe("...)"):
                if flow is not None:
                    flow.is_variadic = True
                return
            kind = self.types.read(line)
            start = line.position
            found = read_argument_attributes(line, kind)
            if "returned" in found and (returned or (flow is not None and flow.result != kind)):
                raise GrammarError(start)
            returned = returned or "returned" in found
            if flow is not None:
                line.need(f" %{flow.next}")
                flow.values[flow.next] = (kind, -1)
                flow.next += 1
            if line.need(", ", ")") == ")":
                return


def whole(text: str) -> CodeState | int:
    """The state after all lines of a text, or where it goes wrong."""
    return _after_lines(CodeState(), text.split("\n"))


def _after_lines(state: CodeState, lines: Iterable[str]) -> CodeState | int:
    start = 0
    for line in lines:
        found = state.after(line)
        if isinstance(found, int):
            return start + found
        state, start = found, start + len(line) + 1
    return state
