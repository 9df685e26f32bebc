"""The whole job of `irwright disassemble`: a file in, one module and a verdict for each function out.

Each function is lifted in variants (variants.py) until one recompiles to the very text it came from; the chosen
texts are linked, and what is judged is the linked module as it is written, lowered by code generation alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from irwright.errors import InputError, IrwrightError, LLVMError, NoFunctionError
from irwright.lift.archives import members
from irwright.lift.assembly import SPILL, as_module, prepare
from irwright.lift.compare import Text, normalise, similarity, take_apart
from irwright.lift.data import Layout
from irwright.lift.demangle import demangled
from irwright.lift.equivalence import compare
from irwright.lift.lifter import FileLifter
from irwright.lift.listing import listing
from irwright.lift.objects import BITCODE, Decoder, read_object
from irwright.lift.program import Program
from irwright.lift.proposals import IrProposer, Question, screened
from irwright.lift.tables import find_tables
from irwright.lift.variants import Candidate, Search
from irwright.lift.verdicts import ArchiveResult, LiftedFunction, LiftResult, Verdict
from irwright.lift.volatile import is_smallest
from irwright.lift.whole import TRIPLE, Assembler, LeftOverError, attributes_text
from irwright.lift.x86_64.sse4 import FEATURES
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call, WorkerPool

DEFAULT_BUDGET = 24
MAX_INPUT_BYTES = 64 << 20


Progress = Callable[[str, int, int], None]
"""Called with a function's name, its number and how many there are"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftSettings:
    """How much to do."""

    budget: int = DEFAULT_BUDGET
    """variants per function"""
    verify: bool = True
    function: str | None = None
    """report on this function alone"""
    llvm: str | None = None
    proposer: IrProposer | None = None
    """asked for IR of what does not come out exact"""
    timeout_seconds: float = 60.0


@dataclass(slots=True)
class Source:
    """The input, read: a program, and the text its functions are compared with."""

    program: Program
    layout: Layout
    text: Text
    object_bytes: bytes
    is_text: bool
    local_names: set[str] = field(default_factory=set[str])


def disassemble(
    what: str | Path | bytes,
    *,
    name: str | None = None,
    settings: LiftSettings | None = None,
    on_progress: Progress | None = None,
) -> LiftResult:
    """Lift assembly text or an ELF object: a path, text with a newline in it, or bytes."""
    settings = settings or LiftSettings()
    data, title = _read(what, name)
    toolchain = find("x86_64", llvm=settings.llvm)
    with WorkerPool(toolchain.library.path, jobs=1, timeout_seconds=settings.timeout_seconds) as pool:
        return Disassembler(pool, settings, on_progress).run(data, title)


def disassemble_archive(
    what: str | Path | bytes,
    *,
    name: str | None = None,
    settings: LiftSettings | None = None,
    on_progress: Progress | None = None,
) -> ArchiveResult:
    """Lift every object of a static library; those that can't be lifted are among the problems."""
    settings = settings or LiftSettings()
    started = time.monotonic()
    data, title = _read(what, name)
    if len(data) > MAX_INPUT_BYTES:
        raise InputError(title, f"has more than {MAX_INPUT_BYTES >> 20} MiB; larger files are not lifted")
    toolchain = find("x86_64", llvm=settings.llvm)
    done: list[LiftResult] = []
    problems: list[tuple[str, str]] = []
    with WorkerPool(toolchain.library.path, jobs=1, timeout_seconds=settings.timeout_seconds) as pool:
        disassembler = Disassembler(pool, settings, on_progress)
        for member, content in members(data, title):
            try:
                done.append(disassembler.run(content, member))
            except NoFunctionError:
                continue
            except IrwrightError as error:
                problems.append((member, str(error).removeprefix(f"{member}: ")))
    if settings.function is not None and not done and not problems:
        raise NoFunctionError(title, f"has no function {settings.function!r} in any of its members")
    return ArchiveResult(
        file=title,
        target=TRIPLE,
        members=tuple(done),
        problems=tuple(problems),
        seconds=time.monotonic() - started,
    )


def _read(what: str | Path | bytes, name: str | None) -> tuple[bytes, str]:
    if isinstance(what, bytes):
        return what, name or "<bytes>"
    if isinstance(what, str) and "\n" in what:
        return what.encode(errors="surrogateescape"), name or "<text>"
    return read_input(Path(what)), name or str(what)


def read_input(path: Path) -> bytes:
    """A file's bytes; InputError where it can't be read or is far too large."""
    try:
        if path.is_dir():
            raise InputError(str(path), "is a folder; name the files in it")
        with path.open("rb") as file:
            data = file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise InputError(str(path), f"can't be read: {error.strerror}") from error
    return data


class Disassembler:
    """Lifts files, one after the other, in one pool of workers."""

    def __init__(self, pool: WorkerPool, settings: LiftSettings, on_progress: Progress | None = None) -> None:
        self.pool = pool
        self.settings = settings
        self.on_progress = on_progress

    def run(self, data: bytes, name: str) -> LiftResult:
        """The result of one file."""
        started = time.monotonic()
        source = self.read(data, name)
        if not source.program.functions and not any(source.layout.objects.values()):
            raise InputError(name, "has no functions")
        wanted = self._wanted(source, name)
        search = Search(self.pool, source.program, source.layout, source.text, self.settings.budget, attributes(source))
        candidates: dict[str, Candidate] = {}
        for number, code in enumerate(source.program.functions):
            if self.on_progress is not None:
                self.on_progress(code.name, number, len(source.program.functions))
            budget = self.settings.budget if wanted in (None, code.name) else 1
            candidates[code.name] = search.best(code.name, budget)
        rules = dict(candidates)
        if self.settings.proposer is not None:
            for name_, one in rules.items():
                if not one.is_exact and wanted in (None, name_):
                    candidates[name_] = self._proposed(self.settings.proposer, source, search, name_, one)
        ir, asm, failed = self._whole(source, search, candidates)
        sound = search.sound()
        functions = self._judge(source, candidates, asm, ir, failed, sound)
        refuted = [one.function for one in functions if candidates[one.function] is not rules[one.function]
                   and one.verdict not in (Verdict.EXACT, Verdict.EQUIVALENT)]  # fmt: skip
        if refuted:
            candidates |= {name_: rules[name_] for name_ in refuted}
            ir, asm, failed = self._whole(source, search, candidates)
            functions = self._judge(source, candidates, asm, ir, failed, sound)
        if wanted is not None:
            functions = [one for one in functions if one.function == wanted]
        return LiftResult(
            file=name,
            target=TRIPLE,
            ir=ir,
            asm=asm,
            functions=tuple(functions),
            seconds=time.monotonic() - started,
        )

    def _wanted(self, source: Source, name: str) -> str | None:
        """The function that alone is reported, by its symbol or as C++ spells it."""
        asked = self.settings.function
        if asked is None:
            return None
        symbols = [code.name for code in source.program.functions]
        found = [one for one in symbols if asked in (one, demangled(one), demangled(one).partition("(")[0])]
        if not found:
            close = get_close_matches(asked, symbols, 3) or symbols[:5]
            raise NoFunctionError(name, f"has no function {asked!r}; it has {', '.join(close)}")
        if len(found) > 1 and asked not in found:
            spelled = ", ".join(repr(demangled(one)) for one in found[:5])
            raise InputError(name, f"has several functions {asked!r}: {spelled}")
        return asked if asked in found else found[0]

    def _proposed(
        self, proposer: IrProposer, source: Source, search: Search, function: str, rules: Candidate
    ) -> Candidate:
        """The proposal that recompiles to equal code; where the rules lifted nothing, else the most similar one."""
        started = time.monotonic()
        assembly = "\n".join(source.text.functions.get(function, []))
        question = Question(function=function, assembly=assembly, ir=rules.ir, reason=rules.problem)
        texts = [text for text in proposer.propose(question) if not screened(text, function)]
        original = normalise(source.text, function)
        best, best_alike = rules, -1.0
        for lowered in search.lower([(text, "") for text in texts]):
            if lowered.problem:
                continue
            lines = normalise(search.take_apart(lowered.asm), function)
            alike = 1.0 if lines == original else similarity(original, lines)
            is_possible = lines == original or (not rules.ir and self.settings.verify)
            if is_possible and alike > best_alike:
                best_alike = alike
                best = replace(rules, ir=lowered.ir, is_exact=lines == original, similarity=alike, problem="")
        return replace(
            best,
            num_variants=rules.num_variants + len(texts),
            seconds=rules.seconds + time.monotonic() - started,
        )

    # Reading

    def read(self, data: bytes, name: str) -> Source:
        """Text is assembled; an object is read, and its functions printed for comparison."""
        if len(data) > MAX_INPUT_BYTES:
            raise InputError(name, f"has more than {MAX_INPUT_BYTES >> 20} MiB; larger files are not lifted")
        if data.startswith(b"!<arch>\n"):
            found = members(data, name)
            if len(found) != 1:
                problem = f"is an archive of {len(found)} objects; irwright.disassemble_archive lifts all of them"
                raise InputError(name, problem)
            data = found[0][1]
        if data[:4] in (b"\x7fELF", *BITCODE):
            program = read_object(data, name)
            Decoder(program).decode_all()
            program.tables = find_tables(program)
            layout = Layout(program, set())
            return Source(program, layout, listing(program, layout, layout.inner_names()), data, False)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise InputError(name, "is neither assembly text nor an ELF object") from error
        prepared = prepare(text, name)
        object_bytes = self.assemble(prepared.text, name)
        program = read_object(object_bytes, name)
        program.exact_places = True
        program.indirect = prepared.indirect
        for symbol in program.symbols:
            if symbol.section >= 0:
                program.labels[symbol.section, symbol.offset] = symbol.name
            if symbol.name.startswith(SPILL):
                program.spills.add((symbol.section, symbol.offset))
        layout = Layout(program, prepared.locals)
        compared = take_apart(text) if not prepared.is_intel else listing(program, layout)
        return Source(program, layout, compared, object_bytes, not prepared.is_intel, prepared.locals)

    def assemble(self, text: str, name: str) -> bytes:
        """Assembly text to an object; InputError with the assembler's first message."""
        reply = self.pool.call(Call(operation="assemble", arguments={"text": as_module(text, TRIPLE)}))
        if reply.outcome.ok:
            return reply.value
        detail = str(reply.outcome.error or reply.outcome.detail).partition(": ")[2] or reply.outcome.detail
        problem = f"is not x86-64 assembly as LLVM reads it: {detail.replace('<inline asm>:', 'line ')}"
        if "%" in text and re.search(r"\b(?:[dq]?word|byte) ptr\b", text, re.I):
            problem += "; AT&T and Intel syntax are mixed"
        raise InputError(name, problem)

    # The whole

    def _whole(
        self, source: Source, search: Search, candidates: dict[str, Candidate]
    ) -> tuple[str, str, dict[str, str]]:
        """Linked module, its assembly, why functions failed; InputError where names or content make no module."""
        try:
            return self._linked(source, search, candidates)
        except LLVMError as error:
            raise InputError(source.program.name, f"can't be written as a module: {error}") from error

    def _linked(
        self, source: Source, search: Search, candidates: dict[str, Candidate]
    ) -> tuple[str, str, dict[str, str]]:
        """Linked module and its assembly; functions that only fail in the whole stay machine code."""
        failed = {name: one.problem for name, one in candidates.items() if not one.ir}
        for _ in range(len(candidates) + 1):
            failed = search.sound().with_callees(failed)
            assembler = Assembler(source.program, source.layout, search.sound(), search.attributes, pic=search.pic)
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

    # Judging

    def _judge(
        self,
        source: Source,
        candidates: dict[str, Candidate],
        asm: str,
        ir: str,
        failed: dict[str, str],
        sound: FileLifter,
    ) -> list[LiftedFunction]:
        new = take_apart(asm) if source.is_text else self._listing_of(asm, source.layout)
        bodies = _bodies(ir)
        lines = {
            code.name: (normalise(source.text, code.name), normalise(new, code.name))
            for code in source.program.functions
            if code.name not in failed
        }
        verified = self._verify(source, asm, ir, [name for name, (a, b) in lines.items() if a != b], sound)
        functions: list[LiftedFunction] = []
        for code in source.program.functions:
            one = candidates[code.name]
            before, after = lines.get(code.name) or (normalise(source.text, code.name), [])
            reason = failed.get(code.name, "")
            alike = similarity(before, after)
            if code.name in failed:
                verdict, alike = Verdict.NOT_LIFTED, 0.0
            elif before == after:
                verdict = Verdict.EXACT
            else:
                verdict, reason = verified.get(code.name, (Verdict.INCONCLUSIVE, "not verified"))
            functions.append(
                LiftedFunction(
                    function=code.name,
                    verdict=verdict,
                    similarity=alike,
                    num_variants=one.num_variants,
                    seconds=one.seconds,
                    reason=reason,
                    num_instructions=len(code.instructions),
                    demangled=demangled(code.name),
                    original=tuple(before),
                    recompiled=tuple(after),
                    ir=bodies.get(code.name, ""),
                )
            )
        return functions

    def _listing_of(self, asm: str, layout: Layout) -> Text:
        prepared = prepare(asm, "recompiled")
        program = read_object(self.assemble(prepared.text, "recompiled"), "recompiled")
        return listing(program, Layout(program, prepared.locals), layout.inner_names())

    def _verify(
        self, source: Source, asm: str, ir: str, functions: list[str], sound: FileLifter
    ) -> dict[str, tuple[Verdict, str]]:
        """Verdicts of functions that are not exact, by running both versions."""
        if not self.settings.verify or not functions:
            return {}
        try:
            candidate = self.assemble(prepare(asm, "recompiled").text, "recompiled")
            found = compare(source.object_bytes, candidate, ir, functions, given=sound.needed, ending=sound.ending())
        except IrwrightError as error:
            return dict.fromkeys(functions, (Verdict.INCONCLUSIVE, str(error)))
        return {name: (Verdict(kind), reason) for name, (kind, reason) in found.items()}


def attributes(source: Source) -> str:
    """Function attributes by what the code looks like: for speed (aligned), for size (short moves), or smallest."""
    homes = {section for code in source.program.functions for section, _, _ in code.pieces}
    sections = [source.program.sections[index] for index in sorted(homes)]
    decoder = Decoder(source.program)
    for code in source.program.functions:
        if not code.instructions and not code.problem:
            decoder.decode(code)
    features = {FEATURES.get(i.mnemonic, "") for code in source.program.functions for i in code.instructions} - {""}
    if any(section.align >= 16 for section in sections):
        return attributes_text(size="", frame_pointer="none", features=features)
    size = "z" if is_smallest(i for code in source.program.functions for i in code.instructions) else "s"
    return attributes_text(size=size, frame_pointer="none", features=features)


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
