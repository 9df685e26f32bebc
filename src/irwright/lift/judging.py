"""The module of a file, put together and judged as it is written: lowered by code generation alone.

Nothing that was seen to behave differently is handed out: such a function gets another sound lifting, if one is found
equivalent, and else its machine code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from irwright.errors import InputError, IrwrightError, LLVMError
from irwright.lift.assembly import as_module, prepare
from irwright.lift.compare import Text, normalise, similarity, take_apart
from irwright.lift.data import Layout
from irwright.lift.demangle import demangled
from irwright.lift.equivalence import compare
from irwright.lift.listing import listing
from irwright.lift.objects import read_object
from irwright.lift.program import Program
from irwright.lift.variants import Candidate, Search
from irwright.lift.verdicts import LiftedFunction, Verdict
from irwright.lift.whole import TRIPLE, Assembler, LeftOverError
from irwright.llvm.worker import Call, WorkerPool

RIGHT = (Verdict.EXACT, Verdict.EQUIVALENT)


@dataclass(slots=True)
class Source:
    """The input, read: a program, and the text its functions are compared with."""

    program: Program
    layout: Layout
    text: Text
    object_bytes: bytes
    is_text: bool
    local_names: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A module and what is known of its functions."""

    ir: str
    asm: str
    functions: tuple[LiftedFunction, ...]

    def verdict(self, name: str) -> Verdict:
        """Of one function."""
        return next(one.verdict for one in self.functions if one.function == name)


def assemble(pool: WorkerPool, text: str) -> bytes:
    """Assembly that LLVM wrote, to an object."""
    module = as_module(prepare(text, "recompiled").text, TRIPLE)
    return pool.call(Call(operation="assemble", arguments={"text": module})).unwrap("assembly")


class Judge:
    """Modules of one file, of candidates for its functions."""

    def __init__(self, pool: WorkerPool, source: Source, search: Search, *, verify: bool) -> None:
        self.pool = pool
        self.source = source
        self.search = search
        self.verify = verify
        self.sound = search.sound()

    def judged(
        self,
        candidates: Mapping[str, Candidate],
        before: Judged | None = None,
        changed: Collection[str] = (),
    ) -> Judged:
        """The module of candidates; `before` is what was found with others for `changed`.

        What does not call the changed ones and has the code that it had keeps its verdict. InputError where names or
        content make no module.
        """
        try:
            ir, asm, failed = self._linked(candidates)
        except LLVMError as error:
            raise InputError(self.source.program.name, f"can't be written as a module: {error}") from error
        new = take_apart(asm) if self.source.is_text else self._listing_of(asm)
        lines = {
            code.name: (normalise(self.source.text, code.name), normalise(new, code.name))
            for code in self.source.program.functions
            if code.name not in failed
        }
        found = self._known(before, lines, changed)
        unsure = [name for name, (a, b) in lines.items() if a != b and name not in found]
        found |= self._verified(asm, ir, unsure)
        bodies = _bodies(ir)
        functions: list[LiftedFunction] = []
        for code in self.source.program.functions:
            one = candidates[code.name]
            old, again = lines.get(code.name) or (normalise(self.source.text, code.name), [])
            verdict, reason = found.get(code.name, (Verdict.INCONCLUSIVE, "not verified"))
            if code.name in failed:
                verdict, reason = Verdict.NOT_LIFTED, failed[code.name]
            elif old == again:
                verdict, reason = Verdict.EXACT, ""
            functions.append(
                LiftedFunction(
                    function=code.name,
                    verdict=verdict,
                    similarity=0.0 if code.name in failed else similarity(old, again),
                    num_variants=one.num_variants,
                    seconds=one.seconds,
                    reason=reason,
                    num_instructions=len(code.instructions),
                    is_refused=one.is_refused and not one.ir,
                    demangled=demangled(code.name),
                    original=tuple(old),
                    recompiled=tuple(again),
                    ir=bodies.get(code.name, ""),
                )
            )
        return Judged(ir=ir, asm=asm, functions=tuple(functions))

    def settled(self, candidates: Mapping[str, Candidate], judged: Judged) -> Judged:
        """The module without what behaves differently.

        Callees go first, since their callers behave differently with them. Another lifting has to be equivalent.
        """
        first_choice = candidates
        candidates = dict(candidates)
        waiting: dict[str, list[Candidate]] = {}
        while True:
            wrong = {one.function for one in judged.functions if one.verdict is Verdict.DIFFERENT}
            doubtful = {name for name in waiting if candidates[name].ir and judged.verdict(name) not in RIGHT}
            first = self._innermost(wrong | doubtful)
            if not first:
                return self._restored(first_choice, candidates, judged)
            for name in first:
                if name not in waiting:
                    waiting[name] = self.search.others(name, self._lines(judged, name))
                    reason = next(one.reason for one in judged.functions if one.function == name)
                    refused = f"its lifting behaved differently ({reason})"
                    candidates[name] = replace(candidates[name], ir="", is_refused=True, problem=refused)
                rest = waiting[name]
                other = rest.pop(0).ir if rest else ""
                candidates[name] = replace(candidates[name], ir=other)
            judged = self.judged(candidates, judged, first)

    def _restored(
        self, first_choice: Mapping[str, Candidate], candidates: dict[str, Candidate], judged: Judged
    ) -> Judged:
        """Refused functions that are right beside what is there now: another one, which runs call first, was wrong."""
        refused = [one.function for one in judged.functions if one.is_refused]
        for name in refused if len(refused) > 1 else ():
            again = self.judged(candidates | {name: first_choice[name]}, judged, [name])
            if again.verdict(name) in RIGHT and all(one.verdict is not Verdict.DIFFERENT for one in again.functions):
                candidates[name] = first_choice[name]
                judged = again
        return judged

    def _lines(self, judged: Judged, name: str) -> list[str]:
        return next(list(one.recompiled) for one in judged.functions if one.function == name)

    def _innermost(self, names: Collection[str]) -> list[str]:
        """Those that lead to no other; all where each does."""
        reached = {name: self._reached(name) - {name} for name in names}
        return sorted(name for name in names if not reached[name] & set(names)) or sorted(names)

    def _reached(self, name: str) -> set[str]:
        """Functions of the file that one calls, by way of others too."""
        found: set[str] = set()
        todo = [name]
        while todo:
            for callee in self.sound.functions[todo.pop()].callees & self.sound.functions.keys():
                if callee not in found:
                    found.add(callee)
                    todo.append(callee)
        return found

    def _known(
        self, before: Judged | None, lines: Mapping[str, tuple[list[str], list[str]]], changed: Collection[str]
    ) -> dict[str, tuple[Verdict, str]]:
        """Verdicts that still hold."""
        if before is None:
            return {}
        return {
            one.function: (one.verdict, one.reason)
            for one in before.functions
            if one.function in lines
            and tuple(lines[one.function][1]) == one.recompiled
            and one.function not in changed
            and not self._reached(one.function) & set(changed)
        }

    # The whole

    def _linked(self, candidates: Mapping[str, Candidate]) -> tuple[str, str, dict[str, str]]:
        """Linked module, its assembly, and why functions stay machine code, those that fail only in the whole too."""
        source, search = self.source, self.search
        failed = {name: one.problem for name, one in candidates.items() if not one.ir}
        for _ in range(len(candidates) + 1):
            failed = self.sound.with_callees(failed)
            assembler = Assembler(source.program, source.layout, self.sound, search.attributes, pic=search.pic)
            optimised = {name: one.ir for name, one in candidates.items() if name not in failed}
            try:
                parts = assembler.parts(optimised, set(failed))
            except LeftOverError as error:
                if error.functions <= failed.keys():
                    raise LLVMError("places in code that are not understood") from error
                reason = "a table of places in the code that is not understood"
                failed.update(dict.fromkeys(error.functions - failed.keys(), reason))
                continue
            linked = self._call("link", {"texts": parts})
            ir = assembler.finish(linked.ir, set(failed))
            lowered = self._call("lower", {"jobs": [(ir, "")]})[0]
            if not lowered.problem:
                return ir, lowered.asm, failed
            raise LLVMError(f"the module does not lower: {lowered.problem}")
        raise LLVMError("the module holds tables of places in its code that are not understood")

    def _call(self, operation: str, arguments: dict[str, Any]) -> Any:
        return self.pool.call(Call(operation=operation, arguments=arguments)).unwrap(operation)

    def _listing_of(self, asm: str) -> Text:
        program = read_object(assemble(self.pool, asm), "recompiled")
        local_names = prepare(asm, "recompiled").locals
        return listing(program, Layout(program, local_names), self.source.layout.inner_names())

    def _verified(self, asm: str, ir: str, functions: list[str]) -> dict[str, tuple[Verdict, str]]:
        """Verdicts of functions that are not exact, by running both versions."""
        if not self.verify or not functions:
            return {}
        given, fewest, ending = self.sound.needed, self.sound.fewest(), self.sound.ending()
        try:
            candidate = assemble(self.pool, asm)
            original = self.source.object_bytes
            found = compare(original, candidate, ir, functions, given=given, fewest=fewest, ending=ending)
        except IrwrightError as error:
            return dict.fromkeys(functions, (Verdict.INCONCLUSIVE, str(error)))
        return {name: (Verdict(kind), reason) for name, (kind, reason) in found.items()}


def _bodies(ir: str) -> dict[str, str]:
    """Text of each function of a module."""
    bodies: dict[str, str] = {}
    lines: list[str] = []
    name = ""
    for line in ir.split("\n"):
        if line.startswith("define "):
            name = line[line.index("@") + 1 :].partition("(")[0].strip('"')
            lines = []
        if name:
            lines.append(line)
            if line == "}":
                bodies[name] = "\n".join(lines)
                name = ""
    return bodies
