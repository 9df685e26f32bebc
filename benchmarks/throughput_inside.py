"""Where the time of an evaluation goes: isolation, reuse, parts of it; each measured in a process of its own."""

from __future__ import annotations

import functools
import multiprocessing
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from report import Cell, Report, below
from throughput_setting import PROTOCOL, STATE_BYTES, Setting, Subject, say, start_pool

from irwright.coreset import load_coreset
from irwright.errors import IrwrightError
from irwright.evaluator import Evaluator
from irwright.llvm import compiler as worker_side
from irwright.llvm.builds import OK, Build, Measured, Outcome, OutcomeKind, Steps
from irwright.llvm.codegen import CodegenLevel, ObjectInfo, TargetMachines
from irwright.llvm.compiler import Compiler
from irwright.llvm.module import Module
from irwright.llvm.worker import Call, Reply, WorkerPool
from irwright.search import search
from irwright.task import Budget, Task

T = TypeVar("T")


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
