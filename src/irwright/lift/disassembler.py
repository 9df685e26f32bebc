"""The whole job of `irwright disassemble`: a file in, one module and a verdict for each function out.

Each function is lifted in variants (variants.py) until one recompiles to the very text it came from; the chosen
texts are linked, and the linked module is judged (judging.py).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from irwright.errors import InputError, IrwrightError, NoFunctionError
from irwright.lift.archives import members
from irwright.lift.assembly import SPILL, as_module, prepare
from irwright.lift.compare import normalise, similarity, take_apart
from irwright.lift.data import Layout
from irwright.lift.decoder import Decoder
from irwright.lift.demangle import demangled
from irwright.lift.judging import RIGHT, Judge, Source
from irwright.lift.listing import listing
from irwright.lift.objects import BITCODE, read_object
from irwright.lift.proposals import IrProposer, Question, screened
from irwright.lift.tables import find_tables
from irwright.lift.variants import Candidate, Search
from irwright.lift.verdicts import ArchiveResult, LiftResult
from irwright.lift.volatile import is_smallest
from irwright.lift.whole import TRIPLE, attributes_text
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
    keep_different: bool = False
    """hand out lifted code that behaved differently too"""
    function: str | None = None
    """report on this function alone"""
    llvm: str | None = None
    proposer: IrProposer | None = None
    """asked for IR of what does not come out exact"""
    timeout_seconds: float = 60.0


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
    if not done and not problems:
        raise InputError(title, "has no functions in any of its members")
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
        judge = Judge(self.pool, source, search, verify=self.settings.verify)
        judged = judge.judged(candidates)
        refuted = {one.function for one in judged.functions if candidates[one.function] is not rules[one.function]
                   and one.verdict not in RIGHT}  # fmt: skip
        if refuted:
            candidates |= {name_: rules[name_] for name_ in refuted}
            judged = judge.judged(candidates, judged, refuted)
        if not self.settings.keep_different:
            judged = judge.settled(candidates, judged)
        functions = judged.functions
        if wanted is not None:
            functions = tuple(one for one in functions if one.function == wanted)
        return LiftResult(
            file=name,
            target=TRIPLE,
            ir=judged.ir,
            asm=judged.asm,
            functions=functions,
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
