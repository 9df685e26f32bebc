"""Pass lists against self-checking programs: does what they make still work?

For each program, a candidate (candidates.py) says which plans to build. Objects are built the way `tune` builds them,
linked, run, and compared with what plain clang makes of the program (verify/programs.py). A program whose object was
judged before is not run again.

What LLVM refuses, crashes or hangs on is counted apart: no object came of it, so nothing wrong did. A wrong result on a
program in which clang's sanitizers find undefined behaviour is counted apart too.
"""

from __future__ import annotations

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
from irwright.errors import InputError, LLVMError
from irwright.evaluator import Plan
from irwright.files import Input
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call
from irwright.measure import protocol
from irwright.minimise import shorten_plan
from irwright.screen_results import PASSED, Judgement, JudgementStore, ProgramReport, Verdict
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

    def __init__(self, *, llvm: str | None = None, limits: Limits | None = None, compile_seconds: float = 30.0) -> None:
        self._limits = limits or Limits()
        self._clang = find(llvm=llvm).need_clang()
        self._workshop = Workshop(protocol("oz"), llvm=llvm, timeout_seconds=compile_seconds)
        self._folder = tempfile.TemporaryDirectory(prefix="irwright-screen-")
        self._linker = Linker(self._clang, Path(self._folder.name))

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
                    bench = _Bench(program, piece, expected, self._linker, folder, self._limits)
                    for candidate in candidates:
                        judgements[candidate.name] = bench.judge(candidate, minimise=minimise)
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
        folder: Path,
        limits: Limits,
    ) -> None:
        self.seen: dict[bytes, Judgement] = {}
        """by hash of the object"""
        self._states: dict[bytes, Judgement] = {}
        """by state of the IR after the passes, for which the worker need not generate code again"""
        self._program = program
        self._piece = piece
        self._expected = expected
        self._linker = linker
        self._folder = folder
        # Slow builds are no wrong builds: a program may take much longer than at -Oz before it counts as hanging.
        self._limits = replace(limits, seconds=max(limits.seconds, 20 * expected.seconds))
        self._undefined: list[str | None] = []

    def judge(self, candidate: Candidate, *, minimise: bool) -> Judgement:
        """The worst verdict over the candidate's plans."""
        try:
            plans = candidate.plans(self._piece)
        except LLVMError as error:
            return Judgement(verdict=Verdict.INVALID, detail=str(error))
        if not plans:
            return Judgement(verdict=Verdict.UNFIT, detail="the module can't be made of pieces")
        judged = [self._judge_plan(plan) for plan in plans]
        worst = min(judged, key=lambda one: list(Verdict).index(one.verdict))
        if worst.verdict is not Verdict.WRONG:
            return worst
        plan = plans[judged.index(worst)]
        shorter = self._minimise(plan) if minimise else None
        undefined = self._find_undefined()
        if undefined is not None:
            detail = f"{worst.detail}; undefined behaviour: {undefined}"
            return Judgement(verdict=Verdict.UNDEFINED, detail=detail, plan=plan, minimised=shorter)
        return replace(worst, plan=plan, minimised=shorter)

    def _judge_plan(self, plan: Plan) -> Judgement:
        evaluator = self._piece.evaluator
        build = plan.build(evaluator.llvm_major, evaluator.protocol.level)
        call = Call(operation="compile_new", module=evaluator.module, arguments={"build": build})
        reply = evaluator.pool.call(call)
        if not reply.outcome.ok:
            return Judgement(verdict=Verdict(reply.outcome.kind.value), detail=reply.outcome.detail)
        state, data = reply.value
        if data is not None:
            key = blake2b(data, digest_size=16).digest()
            if key not in self.seen:
                self.seen[key] = self._judge_object(data)
            self._states[state] = self.seen[key]
        return self._states[state]

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
) -> Generator[ProgramReport]:
    """Screen the candidates on every program, `jobs` programs at a time; reports in the order of the programs.

    With `store`, judgements are kept in that file (JSON lines) as they are made, and those kept are not made again.
    """
    toolchain = find(llvm=llvm)
    kept = JudgementStore(store, toolchain.library.version) if store is not None else None
    stopped = threading.Event()
    idle: queue.SimpleQueue[Screener] = queue.SimpleQueue()
    screeners = [Screener(llvm=llvm, limits=limits) for _ in range(max(1, jobs))]
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
