"""Analysis by synthesis: variants of lifting a function until one recompiles to what it came from.

A variant is a guess (what machine code leaves open), options of emission, and the pipeline that shapes the IR. Only
the sound guess may be handed out on its own word; every other one must prove itself by recompiling to equal code.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from irwright.errors import IrwrightError, LiftError
from irwright.lift.compare import Text, normalise, similarity, take_apart
from irwright.lift.data import Layout
from irwright.lift.lifted import LIKELY, SOUND, Guess
from irwright.lift.lifter import FileLifter
from irwright.lift.listing import listing
from irwright.lift.options import Options
from irwright.lift.program import Program
from irwright.lift.whole import TRIPLE, Assembler
from irwright.llvm.lowering import Lowered
from irwright.llvm.worker import Call, WorkerPool

COMBINE = "instcombine<no-verify-fixpoint>"
LIGHT = f"sroa,early-cse,{COMBINE},simplifycfg,early-cse,gvn,adce"
TAMED = "simplifycfg<no-sink-common-insts;no-hoist-common-insts;no-switch-to-lookup;keep-loops;bonus-inst-threshold=0>"
"""merges blocks and leaves what stands in them"""
PIPELINES = {
    "fold": f"sroa,early-cse,{COMBINE},{TAMED},early-cse,adce",
    "light": LIGHT,
    "sroa": "sroa",
    "oz": "default<Oz>",
    "combine": f"sroa,{COMBINE}",
    "shape": f"sroa,early-cse,{COMBINE},simplifycfg",
    "order": f"sroa,early-cse,{COMBINE},simplifycfg,reassociate,{COMBINE},gvn,adce",
    "late": f"sroa,early-cse,{COMBINE},early-cse,gvn,adce,simplifycfg",
    "flat": "sroa,simplifycfg",
    "cse": "sroa,early-cse,adce",
    "gvn": "sroa,early-cse,gvn,adce",
    "merged": "sroa,simplifycfg,early-cse,adce",
}
PLAIN = Options(apart=True)
FALLS = Options(apart=True, falls_first=True)
LAST = Options(apart=True, falls_first=True, reversed_webs=True)
NATURAL = Options(apart=True, falls_first=True, natural=True, reversed_webs=True, counted="tables")
KEPT = replace(NATURAL, reversed_webs=False)
COLD, EITHER, COUNTED = replace(NATURAL, cold=True), replace(NATURAL, either=True), replace(NATURAL, counted="all")
WEIGHTS, UNLIKELY = Options(weights=True), Options(weights=True, hot_loops=False)
SPLIT = Guess(likely=True, split=True)
WIDE = Guess(likely=True, split=True, narrow=False)
COPIES = Guess(likely=True, split=True, whole_copies=False)
TAILS = Guess(likely=True, split=True, tails=True)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to lift."""

    guess: Guess
    options: Options
    pipeline: str
    returns: str = ""
    """result type to try in place of the inferred one"""


FIRST = Variant(SPLIT, NATURAL, "fold")
ORDER: tuple[Variant, ...] = (
    FIRST,
    Variant(SPLIT, KEPT, "cse"),
    Variant(SPLIT, NATURAL, "oz"),
    Variant(SPLIT, WEIGHTS, "flat"),
    Variant(WIDE, KEPT, "gvn"),
    Variant(SPLIT, NATURAL, "gvn", "i32"),
    Variant(SPLIT, NATURAL, "fold", "void"),
    Variant(SPLIT, KEPT, "gvn"),
    Variant(WIDE, NATURAL, "fold"),
    Variant(SPLIT, COLD, "fold"),
    Variant(SPLIT, EITHER, "fold"),
    Variant(SPLIT, COUNTED, "fold"),
    Variant(SPLIT, LAST, "gvn"),
    Variant(LIKELY, WEIGHTS, "flat"),
    Variant(SPLIT, PLAIN, "merged"),
    Variant(SPLIT, PLAIN, "fold"),
    Variant(SPLIT, NATURAL, "light"),
    Variant(SPLIT, NATURAL, "fold", "i8"),
    Variant(LIKELY, PLAIN, "light"),
    Variant(TAILS, PLAIN, "light"),
    Variant(COPIES, KEPT, "cse"),
    Variant(SPLIT, KEPT, "sroa"),
    Variant(SPLIT, PLAIN, "order"),
    Variant(SPLIT, NATURAL, "fold", "i64"),
    Variant(SPLIT, PLAIN, "combine"),
    Variant(SPLIT, PLAIN, "flat"),
    Variant(LIKELY, WEIGHTS, "light"),
    Variant(LIKELY, FALLS, "cse"),
    Variant(SPLIT, PLAIN, "shape"),
    Variant(COPIES, PLAIN, "fold"),
    Variant(SPLIT, WEIGHTS, "cse"),
    Variant(TAILS, FALLS, "gvn"),
    Variant(SPLIT, FALLS, "gvn", "i64"),
    Variant(SPLIT, WEIGHTS, "light"),
    Variant(LIKELY, UNLIKELY, "light"),
    Variant(LIKELY, PLAIN, "late"),
    Variant(LIKELY, PLAIN, "oz"),
)
SOUND_ORDER: tuple[Variant, ...] = (
    Variant(SOUND, PLAIN, "light"),
    Variant(SOUND, FALLS, "fold"),
    Variant(SOUND, WEIGHTS, "light"),
    Variant(SOUND, PLAIN, "oz"),
    Variant(SOUND, FALLS, "cse"),
)
BATCH = 4


@dataclass(slots=True)
class Candidate:
    """The best variant of one function."""

    ir: str = ""
    """optimised, as a module of its own; empty where nothing could be lifted"""
    is_exact: bool = False
    similarity: float = 0.0
    num_variants: int = 0
    seconds: float = 0.0
    problem: str = ""
    variant: Variant | None = None
    tried: list[Variant] = field(default_factory=list[Variant])
    is_refused: bool = False
    """lifted, but it behaved differently"""


class Search:
    """Variants of the functions of one file; analyses under each guess are made once."""

    def __init__(
        self, pool: WorkerPool, program: Program, layout: Layout, text: Text, budget: int, attributes: str
    ) -> None:
        self.pool = pool
        self.program = program
        self.layout = layout
        self.text = text
        self.budget = budget
        self.attributes = attributes
        self.pic = True
        self.lifters: dict[Guess, FileLifter] = {}
        self.compares_text = bool(program.exact_places)

    def lifter(self, guess: Guess) -> FileLifter:
        """The file analysed under a guess."""
        found = self.lifters.get(guess)
        if found is None:
            found = self.lifters[guess] = FileLifter(self.program, guess)
            found.analyse()
        return found

    def sound(self) -> FileLifter:
        """The analysis whose word is taken."""
        return self.lifter(SOUND)

    def best(self, name: str, budget: int | None = None) -> Candidate:
        """The equal variant, else the most similar sound one."""
        started = time.monotonic()
        budget = self.budget if budget is None else budget
        wanted = normalise(self.text, name)
        best = Candidate()
        seen: set[str] = set()
        for batch in self._batches(ORDER[: max(1, budget)]):
            done = self._try(name, batch, wanted, best, seen, sound=False)
            if done:
                break
        if not best.is_exact:
            best.ir, best.similarity = "", 0.0
            sound = SOUND_ORDER[: max(1, min(len(SOUND_ORDER), budget))]
            for batch in self._batches(sound):
                if self._try(name, batch, wanted, best, seen, sound=True):
                    break
        best.seconds = time.monotonic() - started
        if best.ir:
            best.problem = ""
        return best

    def others(self, name: str, known: list[str]) -> list[Candidate]:
        """Other sound liftings than the one that recompiles to these lines, the most similar first."""
        wanted = normalise(self.text, name)
        seen = [known]
        found: list[Candidate] = []
        for variant in SOUND_ORDER:
            try:
                lowered = self.lower([(self.emit(name, variant), PIPELINES[variant.pipeline])])[0]
                lines = [] if lowered.problem else normalise(self.take_apart(lowered.asm), name)
            except IrwrightError:
                continue
            if lines and lines not in seen:
                seen.append(lines)
                found.append(Candidate(ir=lowered.ir, similarity=similarity(wanted, lines), variant=variant))
        return sorted(found, key=lambda one: -one.similarity)

    def _batches(self, variants: tuple[Variant, ...]) -> Iterator[list[Variant]]:
        """The first alone, since most often it is the one; then a few at a time."""
        yield list(variants[:1])
        for at in range(1, len(variants), BATCH):
            yield list(variants[at : at + BATCH])

    def _try(
        self, name: str, batch: list[Variant], wanted: list[str], best: Candidate, seen: set[str], *, sound: bool
    ) -> bool:
        """Lower a batch; True when one is equal, or nothing can be lifted at all."""
        jobs: list[tuple[str, str]] = []
        owners: list[Variant] = []
        for variant in batch:
            try:
                text = self.emit(name, variant)
            except LiftError as error:
                best.problem = str(error)
                continue
            except (AssertionError, KeyError, IndexError, ValueError) as error:  # a form nobody thought of
                best.problem = f"not understood ({type(error).__name__}: {error})"
                continue
            pipeline = PIPELINES[variant.pipeline]
            if pipeline + text in seen and not sound:
                continue
            seen.add(pipeline + text)
            jobs.append((text, pipeline))
            owners.append(variant)
        for variant, lowered in zip(owners, self.lower(jobs), strict=True):
            best.num_variants += 1
            if lowered.problem:
                best.problem = best.problem or f"LLVM: {lowered.problem}"
                continue
            try:
                lines = normalise(self.take_apart(lowered.asm), name)
            except IrwrightError as error:  # names that LLVM writes and does not read
                best.problem = best.problem or f"does not assemble again: {error}"
                continue
            equal = lines == wanted
            alike = 1.0 if equal else similarity(wanted, lines) if sound else 0.0
            if equal or (sound and (not best.ir or alike > best.similarity)):
                best.ir, best.similarity, best.is_exact, best.variant = lowered.ir, alike, equal, variant
            if equal:
                return True
        return False

    def take_apart(self, asm: str) -> Text:
        """Functions of assembly, in the form that the original is compared in."""
        if self.compares_text:
            return take_apart(asm)
        from irwright.lift.assembly import as_module, prepare
        from irwright.lift.objects import read_object

        prepared = prepare(asm, "recompiled")
        module = as_module(prepared.text, TRIPLE)
        data = self.pool.call(Call(operation="assemble", arguments={"text": module})).unwrap("assembly")
        program = read_object(data, "recompiled")
        return listing(program, Layout(program, prepared.locals), self.layout.inner_names())

    def emit(self, name: str, variant: Variant) -> str:
        """The unoptimised module of a variant."""
        lifter = self.lifter(variant.guess)
        lifted = lifter.functions[name]
        if lifted.problem:
            raise LiftError(lifted.problem)
        assembler = Assembler(self.program, self.layout, lifter, self.attributes, pic=self.pic)
        if not variant.returns:
            return assembler.function_module(lifter, name, variant.options)
        with lifter.returning(name, variant.returns):
            return assembler.function_module(lifter, name, variant.options)

    def lower(self, jobs: list[tuple[str, str]]) -> list[Lowered]:
        """All in one call; one by one where LLVM died of one of them."""
        if not jobs:
            return []
        reply = self.pool.call(Call(operation="lower", arguments={"jobs": jobs}))
        if reply.outcome.ok:
            return reply.value
        if len(jobs) == 1:
            return [Lowered(problem=f"{reply.outcome.kind} ({reply.outcome.detail})")]
        return [self.lower([job])[0] for job in jobs]
