"""Make objects smaller than `clang -Oz` makes them: one file, or many at a time.

`tune` is the whole job for one input and `tune_files` for many: seed IR, baseline, search, the best plan applied
to the IR with its debug info, lowered by the user's own compiler, and measured as a file. What is not smaller
than the baseline is thrown away and the baseline's own object is the result, so no result is ever larger.

Which plan to try next is search.py's business; what a size means is measure.py's.
"""

from __future__ import annotations

import itertools
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from irwright.corpus.canonical import canonicalise
from irwright.errors import IrwrightError, LLVMError
from irwright.files import HasBitcode, Input, as_input, plan_outputs, write_output
from irwright.judge import Choice, Judge, ranked
from irwright.llvm.worker import default_jobs
from irwright.measure import Protocol, Sizes, measure_object, protocol
from irwright.minimise import minimise_plan
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.repair import UNCHANGED, Repaired
from irwright.search import search
from irwright.task import Budget, Coreset, Switches, Task
from irwright.workpiece import Workpiece, Workshop

if TYPE_CHECKING:
    from irwright.verify.verdicts import ObjectVerdict

logger = logging.getLogger(__name__)

Tunable = str | Path | bytes | HasBitcode | Input
OnProgress = Callable[[str, int, float], None]
"""called with the file, the compilations spent on it, and its smallest size so far (under the protocol)"""

Propose = Callable[[str, Task], Iterable[Plan]]
"""pass lists for a module, given its canonical, unoptimised IR and the LLVM major"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How files are tuned; the same for all files of a run."""

    budget: Budget = field(default_factory=lambda: Budget(compilations=16))
    """of each file"""
    strategy: str = "compose"
    proposer: str = "feedback"
    """who chooses what a small budget tries: one of search.FIRST_TRIES"""
    protocol: Protocol = field(default_factory=lambda: protocol("oz"))
    target: str | None = None
    """a triple; None is what the flags or the IR say, else this machine"""
    seed: int = 0
    switches: Switches = field(default_factory=Switches)
    minimise: bool = False
    """shorten the winning lists where that costs no bytes; these compilations come on top of the budget"""
    plan: Plan | None = None
    """build this plan in place of a search"""
    emit: tuple[str, ...] = ("obj",)
    """what results carry: `obj`, `bc`, `ll`, `asm`; the first one is written to the output"""
    llvm: str | None = None
    """as `toolchain.find` takes it"""
    coreset: Coreset | None = None
    """None is the one irwright brings for the protocol and LLVM"""
    propose: Propose | None = None
    """lists to try first, as from a model; they are compilations like others"""
    trials_folder: Path | None = None
    """where trials are kept, in a folder per module; a search that finds its trials there resumes"""
    timeout_seconds: float = 30.0
    """of one evaluation"""
    always_inline: bool = True
    """inline what the source marks so, whatever a list says; without, results are smaller and slower"""
    verify_seeds: int = 8
    """inputs on which each function of a result is compared with the baseline's under emulation; 0 compares nothing"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneResult:
    """What became of one input."""

    file: str
    target: str
    """triple"""
    llvm: str
    """what compiled it: `clang 22.1.8`, or `LLVM 22.1.8` where clang has no part in the object"""
    protocol: str
    baseline: Sizes
    tuned: Sizes
    baseline_bytes: int
    """what the protocol counts: bytes, or IR instructions under `instructions`"""
    tuned_bytes: int
    plan: Plan
    functions: tuple[str, ...]
    """defined in the module before any pass"""
    num_compilations: int
    seconds: float
    artefacts: Mapping[str, bytes]
    """by kind: what `Settings.emit` asked for"""
    verified: ObjectVerdict | None = None
    """what comparing the object with the baseline found; None where it is the baseline, or nothing was compared"""
    repaired: Repaired = UNCHANGED
    """functions that were given the code of -Oz, since what the search chose failed a check"""
    output: str | None = None
    """the file written"""
    warnings: tuple[str, ...] = ()
    """what the user should know, one line each"""
    notes: tuple[str, ...] = ()
    """for --debug: where in-process sizes and those of the compiler differ"""

    @property
    def saved(self) -> int:
        return self.baseline_bytes - self.tuned_bytes

    @property
    def saved_percent(self) -> float:
        return 100.0 * self.saved / self.baseline_bytes if self.baseline_bytes else 0.0

    def function_lists(self) -> dict[str, PassList]:
        """The complete list of each function: what runs over the module, its own passes, what finishes.

        Where a plan joins parts, functions that no part gives are gone: inlined, or never called.
        """
        given = {name for part in self.plan.parts for name, _ in part.tails} or set(self.functions)
        return {name: self.plan.list_for(name) for name in self.functions if name in given}

    def lowerings(self) -> dict[str, list[str]]:
        """How code is generated for functions that are not treated as by -Oz, by name (`Plan.lowering`)."""
        ways = {name: list(self.plan.lowering_for(name)) for name in self.function_lists()}
        return {name: way for name, way in ways.items() if way}

    @property
    def is_per_function(self) -> bool:
        """Functions have lists of their own."""
        return bool(self.plan.tails or self.plan.parts)

    def to_json(self) -> dict[str, Any]:
        """The row of `irwright tune --json`: these keys and no others."""
        lists: dict[str, Any] = (
            {"functions": {name: str(passes) for name, passes in self.function_lists().items()}}
            if self.is_per_function
            else {"pass_list": str(self.plan.as_list())}
        )
        return {
            "file": self.file,
            "target": self.target,
            "protocol": self.protocol,
            "baseline_bytes": self.baseline_bytes,
            "tuned_bytes": self.tuned_bytes,
            **lists,
            "lowering": self.lowerings(),
            "num_compilations": self.num_compilations,
            "seconds": round(self.seconds, 3),
            "output": self.output,
            "verified": self.verified.to_json() | self.repaired.to_json() if self.verified is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneFailure:
    """A file that could not be tuned."""

    file: str
    error: IrwrightError


def tune(
    what: Tunable,
    *,
    budget: int | str | Budget = 16,
    strategy: str = "compose",
    proposer: str = "feedback",
    protocol: str = "oz",
    target: str | None = None,
    flags: Sequence[str] = (),
    seed: int = 0,
    jobs: int | None = None,
    switches: Switches | None = None,
    minimise: bool = False,
    emit: str | Sequence[str] = "obj",
    output: str | Path | None = None,
    llvm: str | None = None,
    coreset: Coreset | None = None,
    trials_folder: str | Path | None = None,
    timeout_seconds: float = 30.0,
    always_inline: bool = True,
    verify_seeds: int = 8,
    on_progress: OnProgress | None = None,
) -> TuneResult:
    """Search for a smaller object of one source, .ll, .bc, or IR in memory; raises IrwrightError.

    `budget` is compilations (16), a time ("30s") or a Budget; `flags` are the compiler's. The result is the same
    for a seed whatever the number of `jobs` (None: all cores), unless the budget is a time. Each function is compared
    with the baseline's on `verify_seeds` inputs under emulation (0: not at all); a build that differs is left out.
    """
    settings = make_settings(
        budget=budget,
        strategy=strategy,
        proposer=proposer,
        protocol=protocol,
        target=target,
        seed=seed,
        switches=switches,
        minimise=minimise,
        emit=emit,
        llvm=llvm,
        coreset=coreset,
        trials_folder=trials_folder,
        timeout_seconds=timeout_seconds,
        always_inline=always_inline,
        verify_seeds=verify_seeds,
    )
    item = as_input(what, flags)
    (path,) = plan_outputs([item], output, settings.emit[0])
    with Tuner(settings, jobs=jobs or default_jobs(), on_progress=on_progress) as tuner:
        return tuner.tune(item, path)


def make_settings(
    *,
    budget: int | str | Budget = 16,
    protocol: str = "oz",
    emit: str | Sequence[str] = "obj",
    switches: Switches | None = None,
    coreset: Coreset | None = None,
    trials_folder: str | Path | None = None,
    **others: Any,
) -> Settings:
    """Settings from what people write: numbers, names and strings."""
    return Settings(
        budget=budget if isinstance(budget, Budget) else Budget.parse(str(budget)),
        protocol=find_protocol(protocol),
        emit=(emit,) if isinstance(emit, str) else tuple(emit),
        switches=switches or Switches(),
        coreset=coreset,
        trials_folder=None if trials_folder is None else Path(trials_folder),
        **others,
    )


find_protocol = protocol  # `tune` has a parameter of that name


def tune_files(
    inputs: Sequence[Tunable],
    settings: Settings,
    *,
    flags: Sequence[str] = (),
    output: str | Path | None = None,
    jobs: int | None = None,
    on_progress: OnProgress | None = None,
) -> Generator[TuneResult | TuneFailure]:
    """Tune many inputs, `jobs` at a time; one outcome for each, in the order of the inputs, as they are ready.

    A file that fails costs that file. Closing the generator ends the work under way and keeps its trials.
    """
    items = [as_input(what, flags) for what in inputs]
    paths = plan_outputs(items, output, settings.emit[0])
    jobs = jobs or default_jobs()
    if len(items) > 1 and jobs > 1:
        yield from _tune_in_threads(items, paths, settings, jobs, on_progress)
        return
    with Tuner(settings, jobs=jobs, on_progress=on_progress) as tuner:
        for item, path in zip(items, paths, strict=True):
            yield tuner.attempt(item, path)


class _Stopped(Exception):  # noqa: N818 - no error
    """Raised inside a search that is to end at once."""


def _tune_in_threads(
    items: Sequence[Input],
    paths: Sequence[Path | None],
    settings: Settings,
    jobs: int,
    on_progress: OnProgress | None,
) -> Generator[TuneResult | TuneFailure]:
    """A thread for each job, with workers of its own, takes files in order."""
    stop = threading.Event()
    ended: list[TuneResult | TuneFailure | BaseException | None] = [None] * len(items)
    signals = [threading.Event() for _ in items]
    indices = itertools.count()

    def progress(file: str, num_compilations: int, best: float) -> None:
        if stop.is_set():
            raise _Stopped
        if on_progress is not None:
            on_progress(file, num_compilations, best)

    def work() -> None:
        with Tuner(settings, jobs=1, on_progress=progress) as tuner:
            while not stop.is_set() and (index := next(indices)) < len(items):
                try:
                    ended[index] = tuner.attempt(items[index], paths[index])
                except BaseException as error:  # handed to the caller's thread
                    ended[index] = error
                signals[index].set()

    threads = [threading.Thread(target=work, daemon=True, name=f"tune-{n}") for n in range(min(jobs, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for index, signal in enumerate(signals):
            while not signal.wait(0.2):
                if not any(thread.is_alive() for thread in threads) and not signal.is_set():
                    raise LLVMError(f"{items[index].name}: its thread ended without a result")
            outcome = ended[index]
            if isinstance(outcome, BaseException):
                raise outcome
            assert outcome is not None
            ended[index] = None
            yield outcome
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=5.0)


class Tuner:
    """Tunes one input after the other with workers that stay; `with` closes them. Not for several threads."""

    def __init__(self, settings: Settings, *, jobs: int = 1, on_progress: OnProgress | None = None) -> None:
        self.settings = settings
        self._on_progress = on_progress
        self._workshop = Workshop(
            settings.protocol,
            target=settings.target,
            llvm=settings.llvm,
            jobs=jobs,
            timeout_seconds=settings.timeout_seconds,
            trials_folder=settings.trials_folder,
            always_inline=settings.always_inline,
        )
        self._judge = Judge(settings.verify_seeds, jobs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workshop.close()
        self._judge.close()

    def open(self, item: Input) -> AbstractContextManager[Workpiece]:
        """An input, ready to be built, with this tuner's workers."""
        return self._workshop.open(item)

    def attempt(self, item: Input, output: Path | None = None) -> TuneResult | TuneFailure:
        """`tune`, with a failure as data."""
        try:
            return self.tune(item, output)
        except IrwrightError as error:
            logger.debug("%s failed", item.name, exc_info=error)
            return TuneFailure(file=item.name, error=error)

    def tune(self, item: Input, output: Path | None = None) -> TuneResult:
        """Tune one input and write the result where `output` says."""
        started = time.monotonic()
        with self.open(item) as piece:
            result = self._tune(piece, started)
        if output is None:
            return result
        write_output(output, result.artefacts[self.settings.emit[0]])
        return replace(result, output=str(output))

    def _tune(self, piece: Workpiece, started: float) -> TuneResult:
        settings = self.settings
        warnings = _warnings(piece)
        baseline_object = piece.baseline("obj")
        baseline = measure_object(baseline_object)
        oz = piece.evaluator.evaluate([piece.plan_of_oz], free=True)[0]
        notes: list[str] = []
        if oz.sizes is not None and oz.sizes.total != baseline.total:
            notes.append(f"-Oz is {baseline.total} bytes, and {oz.sizes.total} with default<Oz> in process")
        counts_instructions = settings.protocol.counts_instructions
        baseline_bytes = oz.num_instructions if counts_instructions else baseline.total
        chosen: Choice | None = None
        if not oz.outcome.ok:
            warnings.append(
                f"{piece.item.name}: left as it is: LLVM's own -Oz ends in {oz.outcome.kind} ({oz.outcome.detail})"
            )
        elif piece.facts.functions:
            plan, cost = self._search(piece)
            if plan != piece.plan_of_oz or cost < baseline_bytes:
                candidates = ranked(piece.evaluator.trials, plan, cost, piece)
                chosen = self._judge.choose(piece, candidates, baseline_object, baseline_bytes)
                warnings += self._judge.warnings
                notes += self._judge.notes
        if chosen is None:
            artefacts = {kind: piece.baseline(kind) for kind in settings.emit if kind != "obj"}
            artefacts["obj"] = baseline_object
        else:
            artefacts = {kind: piece.build(chosen.plan, kind) for kind in settings.emit if kind != "obj"}
            artefacts["obj"] = chosen.data
        return TuneResult(
            file=piece.item.name,
            target=piece.facts.triple,
            llvm=f"{'clang' if piece.toolchain.clang_lowers else 'LLVM'} {piece.toolchain.library.version}",
            protocol=settings.protocol.name,
            baseline=baseline,
            tuned=chosen.sizes if chosen else baseline,
            baseline_bytes=baseline_bytes,
            tuned_bytes=chosen.size if chosen else baseline_bytes,
            plan=chosen.plan if chosen else piece.plan_of_oz,
            functions=piece.facts.functions,
            num_compilations=piece.evaluator.num_compilations,
            seconds=time.monotonic() - started,
            artefacts={kind: artefacts[kind] for kind in settings.emit},
            verified=chosen.verdict if chosen else None,
            repaired=chosen.repaired if chosen else UNCHANGED,
            warnings=tuple(warnings),
            notes=tuple(notes),
        )

    def _search(self, piece: Workpiece) -> tuple[Plan, float]:
        """The best plan and its cost in process."""
        settings, evaluator = self.settings, piece.evaluator
        if settings.plan is not None:
            trial = evaluator.evaluate([settings.plan])[0]
            return (settings.plan, trial.cost(settings.protocol))

        def on_trial(num_compilations: int, best: float) -> None:
            if self._on_progress is not None:
                self._on_progress(piece.item.name, num_compilations, best)

        task = Task(
            evaluator=evaluator,
            budget=settings.budget,
            rng=random.Random(settings.seed),
            coreset=self._coreset(piece.toolchain.major),
            switches=settings.switches,
            proposer=settings.proposer,
            on_trial=on_trial,
        )
        if settings.propose is not None:
            ir = canonicalise(evaluator.compile(Plan(base=PassList()), "ll").decode(errors="replace"))[0]
            task.start()
            lists = settings.propose(ir, task)
            if settings.proposer == "mix":
                task.proposed = lists
            else:
                task.run_proposed(lists)
        best = search(task, settings.strategy)
        plan = minimise_plan(best.plan, evaluator) if settings.minimise else best.plan
        return plan, evaluator.evaluate([plan])[0].cost(settings.protocol)

    def _coreset(self, llvm_major: int) -> Coreset:
        if self.settings.coreset is not None:
            return self.settings.coreset
        from irwright.coreset import load_coreset

        return load_coreset(self.settings.protocol.name, llvm_major)


def _warnings(piece: Workpiece) -> list[str]:
    """One line where most functions refuse to be optimised: IR of `clang -O0`."""
    if not piece.is_ir or not piece.facts.functions:
        return []
    text = piece.evaluator.compile(Plan(base=PassList()), "ll")
    groups = {
        name for name, words in re.findall(rb"^attributes (#\d+) = \{(.*)\}", text, re.MULTILINE) if b"optnone" in words
    }
    headers = re.findall(rb"^define .*$", text, re.MULTILINE)
    skipped = sum(any(group in groups for group in re.findall(rb"#\d+", header)) for header in headers)
    if 2 * skipped <= len(headers):
        return []
    return [
        f"{piece.item.name}: {skipped} of {len(headers)} functions are optnone (IR of clang -O0), which every pass"
        " skips; make the IR with clang -Oz -Xclang -disable-llvm-passes -emit-llvm"
    ]
