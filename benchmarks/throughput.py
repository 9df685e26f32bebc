"""How fast irwright evaluates pass lists: against processes, by workers, and where the time goes.

    python benchmarks/throughput.py [--tools DIR] [--modules N] [--quick]

Modules are the programs of examples/ and, of each, the function of median size as its own translation unit.
Every figure that is a ratio comes from one run, its two sides measured one after the other.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import processes
from report import ROOT, Cell, Report, add_out_option, at_least, below, geomean

from irwright.coreset import load_coreset
from irwright.errors import IrwrightError
from irwright.evaluator import Evaluator
from irwright.llvm import clang, toolchain
from irwright.llvm import compiler as worker_side
from irwright.llvm.builds import OK, Build, Measured, Outcome, OutcomeKind, Steps
from irwright.llvm.codegen import CodegenLevel, ObjectInfo, TargetMachines
from irwright.llvm.compiler import Compiler
from irwright.llvm.module import Module
from irwright.llvm.toolchain import LibraryFacts, Toolchain
from irwright.llvm.worker import Call, Reply, WorkerPool
from irwright.measure import protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.search import search
from irwright.task import Budget, Task
from irwright.trials import Trial

T = TypeVar("T")

PROTOCOL = protocol("oz")
JOBS = 2
TIMEOUT_SECONDS = 30.0
STATE_BYTES = 512 << 20
"""kept states of a worker: WorkerPool's own"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A module to evaluate lists on."""

    name: str
    kind: str
    """`function` or `file`"""
    bitcode: bytes
    num_instructions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How some lists went through a pool."""

    seconds: float
    in_llvm: float
    """seconds of passes and code generation, over all workers"""
    trials: list[Trial]
    num_jobs: int

    @property
    def per_second(self) -> float:
        return len(self.trials) / self.seconds

    @property
    def share_outside(self) -> float:
        """Percent of the workers' wall time not spent in passes and code generation."""
        return 100 * (1 - self.in_llvm / (self.num_jobs * self.seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is measured with: the same for every part."""

    library: Path
    llvm_major: int
    lists: tuple[PassList, ...]
    repeats: int
    search_evaluations: int

    @property
    def plans(self) -> list[Plan]:
        return [Plan(base=passes) for passes in self.lists]


def make_subjects(found: Toolchain, count: int) -> list[Subject]:
    """For `count` examples: the file, and its function of median size."""
    sources = sorted((ROOT / "examples").glob("*.c"))[:count]
    subjects: list[Subject] = []
    with WorkerPool(found.library.path) as pool:
        for source in sources:
            bitcode = clang.seed_bitcode(found.need_clang(), source, ())
            facts = pool.add_module("file", bitcode, name=source.name)
            sizes = sorted((size, name) for name, size in facts.instructions_by_function.items())
            size, name = sizes[len(sizes) // 2]
            extract = Call(operation="extract", module="file", arguments={"function": name})
            body: bytes = pool.call(extract).unwrap(name)
            pool.drop_module("file")
            subjects.append(Subject(name=f"{source.stem}.{name}", kind="function", bitcode=body, num_instructions=size))
            subjects.append(
                Subject(name=source.name, kind="file", bitcode=bitcode, num_instructions=facts.num_instructions)
            )
    return sorted(subjects, key=lambda subject: subject.kind, reverse=True)


# ------------------------------------------------------------------ evaluations per second


def measure_rate(pool: WorkerPool, subject: Subject, setting: Setting) -> Rate:
    """The lists on a module the pool has not seen; median of the repeats, parsing included."""
    rates: list[Rate] = []
    plans = setting.plans
    for _ in range(setting.repeats):
        started = time.perf_counter()
        facts = pool.add_module("subject", subject.bitcode, name=subject.name)
        evaluator = Evaluator(pool, "subject", facts, PROTOCOL, llvm_major=setting.llvm_major)
        trials = evaluator.evaluate(plans)
        seconds = time.perf_counter() - started
        pool.drop_module("subject")  # the last one: the pool forgets every size with it
        rates.append(Rate(seconds=seconds, in_llvm=evaluator.seconds_in_llvm, trials=trials, num_jobs=pool.jobs))
    return sorted(rates, key=lambda rate: rate.seconds)[len(rates) // 2]


def start_pool(library: Path, jobs: int) -> WorkerPool:
    """A pool with all its workers running."""
    pool = WorkerPool(library, jobs=jobs, timeout_seconds=TIMEOUT_SECONDS, state_bytes=STATE_BYTES)
    pool.map([Call(operation="ping")] * jobs)
    return pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The same lists on one module: by processes, and by irwright in three ways."""

    subject: Subject
    rival: processes.Run
    pooled: Rate
    """irwright on its own libLLVM"""
    alike: Rate
    """on the library of the processes"""
    alone: Rate
    """one worker, its own libLLVM"""

    @property
    def ratio(self) -> float:
        return self.pooled.per_second / self.rival.per_second

    @property
    def like_ratio(self) -> float:
        return self.alike.per_second / self.rival.per_second

    @property
    def by_jobs(self) -> float:
        return self.pooled.per_second / self.alone.per_second

    def against_processes(self) -> tuple[Cell, ...]:
        sizes = [trial.sizes.total if trial.sizes else None for trial in self.alike.trials]
        return (
            self.subject.name,
            self.subject.num_instructions,
            1000 * self.rival.cpu_seconds / len(self.rival.sizes),
            self.rival.per_second,
            self.rival.form,
            self.pooled.per_second,
            self.ratio,
            self.alike.per_second,
            self.like_ratio,
            mean_difference(sizes, self.rival.sizes),
            f"{sum(size is None for size in self.rival.sizes)} / {sum(size is None for size in sizes)}",
        )

    def scaling(self) -> tuple[Cell, ...]:
        outside = self.alone.share_outside, self.pooled.share_outside
        return (self.subject.name, self.alone.per_second, self.pooled.per_second, self.by_jobs, *outside)


def compare_rates(
    report: Report, subjects: Sequence[Subject], setting: Setting, tools: processes.Tools, like: LibraryFacts
) -> None:
    """irwright against processes, both on the tools' library; two workers against one; time outside LLVM."""
    pipelines = [passes.pipeline(setting.llvm_major) for passes in setting.lists]
    compared: list[Compared] = []
    started = time.perf_counter()
    with start_pool(setting.library, 1) as one:
        start_seconds = time.perf_counter() - started
        with start_pool(setting.library, JOBS) as two, start_pool(like.path, JOBS) as same:
            for subject in subjects:
                say(subject.name)
                rates = Compared(
                    subject=subject,
                    rival=processes.run(tools, subject.bitcode, pipelines, jobs=JOBS, timeout_seconds=TIMEOUT_SECONDS),
                    pooled=measure_rate(two, subject, setting),
                    alike=measure_rate(same, subject, setting),
                    alone=measure_rate(one, subject, setting),
                )
                compared.append(rates)
    report_rates(report, compared, len(setting.lists), tools)
    report.notes.append(f"A worker starts in {start_seconds:.2f} s, once per pool; not part of the rates.")


def report_rates(report: Report, compared: Sequence[Compared], num_lists: int, tools: processes.Tools) -> None:
    """The two tables, the goals, and what part of the ratios the library is."""
    against = [rates.against_processes() for rates in compared]
    scaling = [rates.scaling() for rates in compared]
    for kind, name in {"function": "function objects", "file": "whole files"}.items():
        of_kind = [rates for rates in compared if rates.subject.kind == kind]
        ratio = geomean([rates.ratio for rates in of_kind])
        like_ratio = geomean([rates.like_ratio for rates in of_kind])
        by_jobs = geomean([rates.by_jobs for rates in of_kind])
        against.append((f"geomean, {name}", *[None] * 5, ratio, None, like_ratio))
        scaling.append((f"geomean, {name}", None, None, by_jobs))
        wanted = {"function": 10, "file": 3}[kind]
        report.goals += [
            at_least(f"evaluations per second against processes, {name}", wanted, ratio),
            at_least(f"the same on the same libLLVM, {name}", wanted, like_ratio),
            at_least(f"two workers against one, {name}", 1.8, by_jobs),
        ]
    with_assertions = ", built with assertions" if tools.assertions else ""
    report.add_table(
        "Evaluations per second",
        (
            "module",
            "instructions",
            "processes, CPU ms each",
            "processes, 1/s",
            "form",
            "irwright, 1/s",
            "ratio",
            "irwright on the tools' libLLVM, 1/s",
            "ratio like for like",
            "sizes apart, %",
            "failed lists, processes / irwright",
        ),
        against,
        note=(
            f"{num_lists} random lists of length 1 to 50 on each module, {JOBS} at a time; processes are"
            f" `opt | llc -O2 | llvm-size` {tools.version}{with_assertions}. irwright begins with running workers"
            " and parses the module anew. Like for like is irwright on the library that opt and llc load; sizes apart"
            " is its mean difference from the sizes of the processes (the order of uses differs, and long lists"
            " run in chunks). Failed lists: with assertions, LLVM aborts on some."
        ),
    )
    report.add_table(
        "Two workers against one, and time outside LLVM",
        (
            "module",
            "1 worker, 1/s",
            "2 workers, 1/s",
            "ratio",
            "outside passes and codegen, 1 worker, %",
            "2 workers, %",
        ),
        scaling,
        note="The share of the workers' wall time: 1 - (pass seconds + emission seconds) / (workers * wall).",
    )
    slower = geomean([rates.pooled.per_second / rates.alike.per_second for rates in compared])
    report.notes.append(
        f"irwright is {slower:.2f} times as fast on its own libLLVM as on the tools' (geomean): that much of"
        " the ratio is the build of the library."
    )


def mean_difference(ours: Sequence[int | None], theirs: Sequence[int | None]) -> float:
    """Mean difference of two measurements of the same lists, in percent."""
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if one and other]
    return 100 * sum(abs(one - other) / other for one, other in pairs) / max(1, len(pairs))


# ------------------------------------------------------------------ in one process


def in_process(function: Callable[..., T], *arguments: Any) -> T:
    """Call in a process of its own: LLVM is loaded there, and what crashes loses that part alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def isolation(setting: Setting, subject: Subject) -> tuple[float, float]:
    """Milliseconds an evaluation: in this process, and through a worker; best of several rounds each."""
    builds = [plan.build(setting.llvm_major, PROTOCOL.level) for plan in setting.plans]
    calls = [Call(operation="evaluate", module="tiny", arguments={"build": build}) for build in builds]
    direct: list[float] = []
    through: list[float] = []
    compiler = Compiler(setting.library, STATE_BYTES)
    with start_pool(setting.library, 1) as pool:
        for _ in range(3 * setting.repeats):
            compiler.load("tiny", subject.bitcode, subject.name, keep_debug=False)
            started = time.perf_counter()
            for build in builds:
                attempt(functools.partial(compiler.evaluate, "tiny", build))
            direct.append(time.perf_counter() - started)
            compiler.drop("tiny")
            compiler.known.clear()

            pool.add_module("tiny", subject.bitcode, name=subject.name)
            started = time.perf_counter()
            pool.map(calls)
            through.append(time.perf_counter() - started)
            pool.drop_module("tiny")
    return 1000 * min(direct) / len(builds), 1000 * min(through) / len(builds)


def attempt(evaluate: Callable[[], T]) -> tuple[Outcome, T | None]:
    """A call of the compiler, its refusals as outcomes."""
    try:
        return OK, evaluate()
    except IrwrightError as error:
        return Outcome(kind=OutcomeKind.INVALID, detail=str(error), error=error), None


class _LocalPool:
    """As much of WorkerPool as an Evaluator needs, without the worker."""

    def __init__(self, compiler: Compiler) -> None:
        self._compiler = compiler
        self._sizes: dict[bytes, ObjectInfo] = {}

    def map(self, calls: Sequence[Call]) -> list[Reply]:
        return [self._call(call) for call in calls]

    def _call(self, call: Call) -> Reply:
        operation = getattr(self._compiler, call.operation)
        outcome, value = attempt(functools.partial(operation, call.module, **call.arguments))
        if value is not None:
            value = replace(value, info=self._sizes.setdefault(value.state, value.info))
        return Reply(outcome=outcome, value=value, seconds=0.0)


class _Forgetful(Compiler):
    """A compiler with the memo of known states, or the kept states, switched off."""

    def __init__(self, library: Path, *, memo: bool, prefixes: bool) -> None:
        super().__init__(library, STATE_BYTES)
        self._memo = memo
        self._prefixes = prefixes

    def evaluate(self, key: str, build: Build, count_instructions: bool = False) -> Measured:
        if not self._memo:
            self.known.clear()
        return super().evaluate(key, build, count_instructions)

    def _run_steps(self, key: str, steps: Steps, level: CodegenLevel) -> Module:
        if not self._prefixes:
            for state in self.states.values():
                state.close()
            self.states.clear()
        return super()._run_steps(key, steps, level)


def search_seconds(setting: Setting, subject: Subject, memo: bool, prefixes: bool) -> tuple[float, float]:
    """Wall seconds of one `evolve` search, and the cost of what it found."""
    compiler = _Forgetful(setting.library, memo=memo, prefixes=prefixes)
    compiler.load("subject", subject.bitcode, subject.name, keep_debug=False)
    pool = cast(WorkerPool, _LocalPool(compiler))
    evaluator = Evaluator(pool, "subject", compiler.facts("subject"), PROTOCOL, llvm_major=setting.llvm_major)
    task = Task(
        evaluator=evaluator,
        budget=Budget(compilations=setting.search_evaluations),
        rng=random.Random(1),
        coreset=load_coreset(PROTOCOL.name, setting.llvm_major),
    )
    started = time.perf_counter()
    best = search(task, "evolve")
    return time.perf_counter() - started, best.cost(PROTOCOL)


def breakdown(setting: Setting, subject: Subject) -> dict[str, float]:
    """CPU milliseconds an evaluation by where they are spent, in this process, which is of no use afterwards."""
    spent: defaultdict[str, float] = defaultdict(float)
    inner: list[float] = []

    def timed(owner: Any, name: str, label: str) -> None:
        function = getattr(owner, name)

        def measured(*arguments: Any, **named: Any) -> Any:
            inner.append(0.0)
            started = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                seconds = time.process_time() - started
                spent[label] += seconds - inner.pop()
                if inner:
                    inner[-1] += seconds

        setattr(owner, name, measured)

    compiler = Compiler(setting.library, STATE_BYTES)
    builds = [plan.build(setting.llvm_major, PROTOCOL.level) for plan in setting.plans]
    timed(Module, "clone", "clone")
    timed(Module, "close", "clone")
    timed(Module, "run_passes", "passes")
    timed(compiler.library.api, "LLVMPrintModuleToString", "print")
    timed(Module, "state_hash", "hash")
    timed(worker_side, "emit", "emission")
    timed(worker_side, "read_object", "read_object")
    timed(TargetMachines, "get", "machine")
    compiler.load("subject", subject.bitcode, subject.name, keep_debug=False)
    spent.clear()
    started = time.process_time()
    for build in builds:
        attempt(functools.partial(compiler.evaluate, "subject", build))
    total = time.process_time() - started
    spent["rest"] = total - sum(spent.values())
    return {label: 1000 * seconds / len(builds) for label, seconds in spent.items()}


def tabulate_isolation(report: Report, subjects: Sequence[Subject], setting: Setting) -> None:
    tiny = min((subject for subject in subjects if subject.kind == "function"), key=lambda one: one.num_instructions)
    say(f"isolation on {tiny.name}")
    direct, through = in_process(isolation, setting, tiny)
    report.goals.append(below("isolation: what a worker adds to an evaluation", 2.0, through - direct, "ms"))
    report.add_table(
        "What isolation costs",
        ("module", "instructions", "in process, ms", "through a worker, ms", "difference, ms"),
        [(tiny.name, tiny.num_instructions, direct, through, through - direct)],
        note=f"Per evaluation, {len(setting.lists)} lists, one worker, best of {3 * setting.repeats} rounds.",
    )


def tabulate_reuse(report: Report, subjects: Sequence[Subject], setting: Setting) -> None:
    rows: list[tuple[Cell, ...]] = []
    for kind in ("function", "file"):
        subject = statistics.median_low([(one.num_instructions, one.name) for one in subjects if one.kind == kind])
        chosen = next(one for one in subjects if one.name == subject[1])
        seconds: dict[tuple[bool, bool], float] = {}
        costs: set[float] = set()
        for memo, prefixes in ((True, True), (False, True), (True, False), (False, False)):
            say(f"search on {chosen.name}: memo {memo}, prefixes {prefixes}")
            taken = [in_process(search_seconds, setting, chosen, memo, prefixes) for _ in range(setting.repeats)]
            seconds[memo, prefixes] = min(wall for wall, _ in taken)
            costs.update(cost for _, cost in taken)
        if len(costs) != 1:
            raise SystemExit(f"{chosen.name}: reuse changes what a search finds: {sorted(costs)} bytes")
        best = seconds[True, True]
        switched_off = ((False, True), (True, False), (False, False))
        rows.append((chosen.name, best, *(seconds[which] / best for which in switched_off)))
    report.add_table(
        "What memo and prefix reuse save",
        ("module", "both on, s", "memo off, ratio", "prefixes off, ratio", "both off, ratio"),
        rows,
        note=(
            f"Wall time of an `evolve` search of {setting.search_evaluations} evaluations, one process, same seed,"
            " as a multiple of both on. All four find the same list."
        ),
    )


def tabulate_breakdown(report: Report, subjects: Sequence[Subject], setting: Setting) -> None:
    labels = ("clone", "passes", "print", "hash", "emission", "read_object", "machine", "rest")
    rows: list[tuple[Cell, ...]] = []
    for subject in subjects:
        say(f"breakdown on {subject.name}")
        spent = in_process(breakdown, setting, subject)
        total = sum(spent.values())
        outside = sum(spent.get(label, 0.0) for label in ("hash", "read_object", "machine", "rest"))
        rows.append((subject.name, total, *(spent.get(label, 0.0) for label in labels), 100 * outside / total))
    report.add_table(
        "Where an evaluation's time goes",
        ("module", "total, ms", *(f"{label}, ms" for label in labels), "outside libLLVM, %"),
        rows,
        note=(
            "CPU time of `Compiler.evaluate` in one process, a list at a time. `clone` holds the release of"
            " modules, `print` the text that is hashed, `machine` the look-up of the target machine, `rest` what"
            " is none of these. Outside libLLVM are hash, read_object, machine and rest."
        ),
    )


# ------------------------------------------------------------------ the command line


def help_seconds() -> float:
    """CPU seconds of `irwright --help`, best of five."""
    taken: list[float] = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "irwright", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tools", type=Path, metavar="DIR", help="folder of opt, llc and llvm-size")
    parser.add_argument("--modules", type=int, metavar="N", help="examples to take (default: 8)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 2 examples, 16 lists")
    add_out_option(parser)
    options = parser.parse_args()
    try:
        run(options.tools, options.modules or (2 if options.quick else 8), quick=options.quick, out=options.out)
    except IrwrightError as error:
        raise SystemExit(f"throughput.py: {error}") from error
    except BrokenProcessPool as error:
        raise SystemExit("throughput.py: LLVM ended the process of a part that runs without workers") from error


def run(folder: Path | None, num_modules: int, *, quick: bool, out: Path) -> None:
    """Measure everything and write the report."""
    found = toolchain.find()
    tools = processes.find_tools(folder)
    like = next(iter(toolchain.take_inventory(str(tools.installation)).libraries), None)
    if like is None or tools.major != found.major:
        raise SystemExit(f"throughput.py: {tools.folder} is LLVM {tools.version}; {found.library.version} is compared")
    rng = random.Random(22)
    lists = [PassList.sample(rng, llvm_major=found.major) for _ in range(16 if quick else 200)]
    setting = Setting(
        library=found.library.path,
        llvm_major=found.major,
        lists=tuple(lists),
        repeats=1 if quick else 3,
        search_evaluations=24 if quick else 200,
    )
    report = Report(
        "throughput",
        "Throughput of evaluations",
        summary="How many pass lists a second irwright evaluates, against processes of LLVM's own tools.",
        versions={
            "libLLVM": f"{found.library.version} ({found.library.origin})",
            "opt, llc, llvm-size": f"{tools.version}{' with assertions' if tools.assertions else ''}",
        },
        quick=quick,
    )
    subjects = make_subjects(found, num_modules)
    compare_rates(report, subjects, setting, tools, like)
    tabulate_isolation(report, subjects, setting)
    tabulate_reuse(report, subjects, setting)
    tabulate_breakdown(report, subjects, setting)
    report.goals.append(below("CPU time of `irwright --help`, best of 5", 0.2, help_seconds(), "s"))
    page = report.write(out)
    print(report.markdown())
    say(f"written to {page}")


if __name__ == "__main__":
    main()
