"""Pass lists against self-checking programs: does what they make still work?

For each program, a candidate (candidates.py) says which plans to build. Objects are built the way `tune` builds them,
linked, run, and compared with what plain clang makes of the program (verify/programs.py). A program whose object was
judged before is not run again.

What LLVM refuses, crashes or hangs on is counted apart: no object came of it, so nothing wrong did. A wrong result on a
program in which clang's sanitizers find undefined behaviour is counted apart too.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Self

from irwright.candidates import Candidate
from irwright.errors import InputError, LLVMError, StorageError
from irwright.files import Input, write_output
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call
from irwright.measure import protocol
from irwright.minimise import shorten_plan
from irwright.plan import Plan
from irwright.screen_results import PASSED, Judgement, JudgementStore, ProgramReport, Verdict
from irwright.verify.bundle import MAX_BUILDS, Bundler, exported
from irwright.verify.programs import (
    LeftOut,
    Limits,
    Linker,
    Program,
    Reference,
    execute,
    reference,
    undefined_behaviour,
)
from irwright.workpiece import Workpiece, Workshop


class Screener:
    """Screens one program after the other with a worker that stays; `with` ends it. Not for several threads."""

    def __init__(
        self,
        *,
        llvm: str | None = None,
        limits: Limits | None = None,
        compile_seconds: float = 30.0,
        save: Path | None = None,
    ) -> None:
        """`save` is a folder for what shows each wrong result again: program, plan, IR and object."""
        self._save = save
        self._limits = limits or Limits()
        self._clang = find(llvm=llvm).need_clang()
        self._workshop = Workshop(protocol("oz"), llvm=llvm, timeout_seconds=compile_seconds)
        self._folder = tempfile.TemporaryDirectory(prefix="irwright-screen-")
        self._linker = Linker(self._clang, Path(self._folder.name))
        self._bundler = Bundler(self._clang, self._linker, Path(self._folder.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker; harmless when closed already."""
        self._workshop.close()
        self._folder.cleanup()

    def screen(self, program: Program, candidates: Sequence[Candidate], *, minimise: bool = True) -> ProgramReport:
        """Judge every candidate on one program."""
        started = time.perf_counter()
        judgements: dict[str, Judgement] = {}
        num_objects, reason = 0, None
        with tempfile.TemporaryDirectory(dir=self._folder.name) as name:
            folder = Path(name)
            item = Input(name=program.name, path=program.path.absolute(), flags=program.all_flags)
            try:
                expected = reference(program, self._clang, self._linker, folder, self._limits)
                with self._workshop.open(item) as piece:
                    bench = _Bench(
                        program, piece, expected, self._linker, self._bundler, folder, self._limits, self._save
                    )
                    judgements = bench.judge(candidates, minimise=minimise)
                    num_objects = len(bench.seen)
            except LeftOut as left_out:
                reason = str(left_out)
            except (InputError, LLVMError) as error:
                reason = f"can't be loaded: {error}"
        return ProgramReport(
            program=program.name,
            left_out=reason,
            judgements=judgements,
            num_objects=num_objects,
            seconds=time.perf_counter() - started,
        )


class _Bench:
    """One program, loaded: builds plans of it and runs what comes out."""

    def __init__(
        self,
        program: Program,
        piece: Workpiece,
        expected: Reference,
        linker: Linker,
        bundler: Bundler,
        folder: Path,
        limits: Limits,
        save: Path | None,
    ) -> None:
        self._save = save
        self.seen: dict[bytes, Judgement] = {}
        """by hash of the object"""
        self._plans: dict[Plan, bytes | Judgement] = {}
        """hash of the object a plan makes, or why there is none"""
        self._states: dict[bytes, bytes] = {}
        """the same by state of the IR after the passes, for which the worker need not generate code again"""
        self._waiting: dict[bytes, bytes] = {}
        """objects by hash that were not run yet"""
        self._program = program
        self._piece = piece
        self._expected = expected
        self._linker = linker
        self._bundler = bundler
        self._folder = folder
        # Slow builds are no wrong builds: a program may take much longer than at -Oz before it counts as hanging.
        self._limits = replace(limits, seconds=max(limits.seconds, 20 * expected.seconds))
        self._exported = exported(expected.executable.read_bytes())
        self._undefined: list[str | None] = []

    def judge(self, candidates: Sequence[Candidate], *, minimise: bool) -> dict[str, Judgement]:
        """The worst verdict over each candidate's plans, by its name."""
        planned: dict[Candidate, Sequence[Plan] | Judgement] = {}
        for candidate in candidates:
            try:
                planned[candidate] = plans = candidate.plans(self._piece)
            except LLVMError as error:
                planned[candidate] = Judgement(verdict=Verdict.INVALID, detail=str(error))
                continue
            for plan in plans:
                self._build(plan)
        return {one.name: self._worst(one, plans, minimise=minimise) for one, plans in planned.items()}

    def _worst(self, candidate: Candidate, plans: Sequence[Plan] | Judgement, *, minimise: bool) -> Judgement:
        if isinstance(plans, Judgement):
            return plans
        if not plans:
            return Judgement(verdict=Verdict.UNFIT, detail="the module can't be made of pieces")
        judged = [self._judge_plan(plan) for plan in plans]
        worst = min(judged, key=lambda one: list(Verdict).index(one.verdict))
        if worst.verdict is not Verdict.WRONG:
            return worst
        plan = plans[judged.index(worst)]
        shorter = self._minimise(plan) if minimise else None
        self._keep(candidate, shorter or plan)
        undefined = self._find_undefined()
        if undefined is not None:
            detail = f"{worst.detail}; undefined behaviour: {undefined}"
            return Judgement(verdict=Verdict.UNDEFINED, detail=detail, plan=plan, minimised=shorter)
        return replace(worst, plan=plan, minimised=shorter)

    def _build(self, plan: Plan) -> bytes | Judgement:
        """Compile a plan that was not compiled before; its object waits to be run."""
        if plan not in self._plans:
            evaluator = self._piece.evaluator
            arguments = {"build": evaluator.build(plan)}
            reply = evaluator.pool.call(Call(operation="compile_new", module=evaluator.module, arguments=arguments))
            if reply.outcome.ok:
                self._plans[plan] = self._object_of(*reply.value)
            else:
                verdict = Verdict(reply.outcome.kind.value)
                self._plans[plan] = Judgement(verdict=verdict, detail=reply.outcome.detail)
        return self._plans[plan]

    def _object_of(self, state: bytes, data: bytes | None) -> bytes:
        if data is not None:
            self._states[state] = key = blake2b(data, digest_size=16).digest()
            if key not in self.seen:
                self._waiting[key] = data
        return self._states[state]

    def _judge_plan(self, plan: Plan) -> Judgement:
        built = self._build(plan)
        if isinstance(built, Judgement):
            return built
        if built not in self.seen:
            self._run_waiting()
        return self.seen[built]

    def _run_waiting(self) -> None:
        """Run all objects that wait, many in one executable. What fails there is linked and run by itself."""
        while self._waiting:
            keys = list(self._waiting)[:MAX_BUILDS]
            objects = [self._waiting.pop(key) for key in keys]
            executable = self._folder / "bundle"
            bundled = self._bundler.link(objects, executable, is_cxx=self._program.is_cxx, kept=self._exported)
            for index, (key, data) in enumerate(zip(keys, objects, strict=True)):
                passes = index in bundled and self._passes(executable, [bundled[index]])
                self.seen[key] = PASSED if passes else self._judge_object(data)

    def _passes(self, executable: Path, arguments: Sequence[str]) -> bool:
        run = execute(executable, self._folder, self._limits, arguments)
        return run.differs_from(self._expected.run) is None

    def _judge_object(self, data: bytes) -> Judgement:
        object_path, executable = self._folder / "tuned.o", self._folder / "tuned"
        object_path.write_bytes(data)
        problem = self._linker.link(object_path, executable, is_cxx=self._program.is_cxx)
        if problem is not None:
            return Judgement(verdict=Verdict.WRONG, detail=f"does not link: {problem}")
        run = execute(executable, self._folder, self._limits)
        if run.code is None:  # other work may have had the machine: once more, with patience
            patient = replace(self._limits, seconds=4 * self._limits.seconds)
            run = execute(executable, self._folder, patient)
        difference = run.differs_from(self._expected.run)
        return PASSED if difference is None else Judgement(verdict=Verdict.WRONG, detail=difference)

    def _minimise(self, plan: Plan) -> Plan:
        def cost(shorter: Plan) -> float:
            return 0.0 if self._judge_plan(shorter).verdict is Verdict.WRONG else float("inf")

        return shorten_plan(plan, cost, tails=True)

    def _keep(self, candidate: Candidate, plan: Plan) -> None:
        """Write what shows a wrong result again, where that was asked for."""
        if self._save is None:
            return
        path, evaluator = self._program.path, self._piece.evaluator
        folder = self._save / f"{self._program.name.replace('/', '-')}-{candidate.key}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(str(folder), f"can't be made: {error.strerror}") from error
        write_output(folder / path.name, path.read_bytes())
        write_output(folder / "plan.json", json.dumps(plan.to_json(), indent=2).encode() + b"\n")
        for kind in ("ll", "obj"):
            write_output(folder / f"wrong.{'o' if kind == 'obj' else kind}", evaluator.compile(plan, kind))

    def _find_undefined(self) -> str | None:
        if not self._undefined:
            clang = self._piece.toolchain.need_clang()
            self._undefined.append(undefined_behaviour(self._program, clang, self._folder, self._limits))
        return self._undefined[0]


def screen(
    programs: Sequence[Program],
    candidates: Sequence[Candidate],
    *,
    llvm: str | None = None,
    jobs: int = 1,
    limits: Limits | None = None,
    store: Path | None = None,
    minimise: bool = True,
    save: Path | None = None,
) -> Generator[ProgramReport]:
    """Screen the candidates on every program, `jobs` programs at a time; reports in the order of the programs.

    With `store`, judgements are kept in that file (JSON lines) as they are made, and those kept are not made again.
    `save` is a folder for what shows each wrong result again.
    """
    toolchain = find(llvm=llvm)
    kept = JudgementStore(store, toolchain.library.version) if store is not None else None
    stopped = threading.Event()
    idle: queue.SimpleQueue[Screener] = queue.SimpleQueue()
    screeners = [Screener(llvm=llvm, limits=limits, save=save) for _ in range(max(1, jobs))]
    for screener in screeners:
        idle.put(screener)

    def work(program: Program) -> ProgramReport:
        known = kept.known(program, candidates) if kept is not None else None
        missing = [one for one in candidates if known is None or one.name not in known.judgements]
        if known is not None and (known.left_out is not None or not missing):
            return known
        screener = idle.get()
        try:
            report = screener.screen(program, missing, minimise=minimise)
        finally:
            idle.put(screener)
        if kept is None or known is None or stopped.is_set():  # what ends because workers are closed is no judgement
            return report
        kept.add(program, report, candidates)
        judgements = {**known.judgements, **report.judgements}
        return replace(
            report,
            judgements={one.name: judgements[one.name] for one in candidates if one.name in judgements},
            num_objects=known.num_objects + report.num_objects,
            seconds=known.seconds + report.seconds,
        )

    executor = ThreadPoolExecutor(max_workers=len(screeners), thread_name_prefix="screen")
    try:
        yield from executor.map(work, programs)
    finally:
        stopped.set()
        executor.shutdown(wait=False, cancel_futures=True)
        for screener in screeners:
            screener.close()
        if kept is not None:
            kept.close()
