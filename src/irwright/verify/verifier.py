"""Verification in processes of its own: an emulator that crashes or hangs costs one verdict, not the caller.

A worker loads the objects of a comparison and then compares one function for each message. A worker that dies, or takes
too long, is replaced, and its function is inconclusive. Messages are pickled between processes of ours.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irwright.errors import IrwrightError, WorkerError
from irwright.processes import MEBIBYTE, WorkerProcess, Workers
from irwright.verify.verdicts import FunctionVerdict, Limits, ObjectVerdict, Unchanged, VerdictKind

if TYPE_CHECKING:
    from irwright.verify.differ import Comparer
    from irwright.verify.signatures import Signature

GRACE_SECONDS = 5.0
"""for loading, and for the run that is under way when a function's time is over"""
BUSY = 4.0
"""times the limits, of processor time, after which a worker is given up: other processes may be in the way"""
LOADED_PER_SECOND = 40_000
"""bytes of an object, at least"""
FUNCTIONS_PER_WORKER = 6
"""another worker pays from so many on: each has to load the objects"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What a worker needs to build a Comparer."""

    original: bytes
    candidate: bytes
    reference: bytes | None
    signatures: dict[str, Signature]
    seeds: int
    limits: Limits
    functions: tuple[str, ...] | None
    names: tuple[str, str, str]
    run_same: bool
    before: bytes | None = None
    """another candidate, whose verdicts are known"""
    static_too: bool = False

    def comparer(self) -> Comparer:
        from irwright.verify.differ import Comparer  # the emulator, in workers alone

        return Comparer(
            self.original,
            self.candidate,
            reference=self.reference,
            signatures=self.signatures,
            seeds=self.seeds,
            limits=self.limits,
            functions=self.functions,
            names=self.names,
            run_same=self.run_same,
            before=self.before,
            static_too=self.static_too,
        )


class _Worker(WorkerProcess):
    """One worker process, and what it is at."""

    def __init__(self, memory_bytes: int, words: Sequence[str], *, fork: bool) -> None:
        super().__init__("irwright.verify.verifier", words, memory_bytes=memory_bytes, fork=fork)
        self.deadline = 0.0
        self.function: str | None = None

    def ask(self, message: Any, seconds: float) -> Any:
        """Send a message and wait for the answer; WorkerError where none comes."""
        try:
            self.connection.send(message)
            if not self.connection.poll(seconds):
                raise WorkerError(f"no end within {seconds:g} s")
            answer = self.connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(self.last_words()) from error
        if isinstance(answer, IrwrightError):
            raise answer
        return answer


class Verifier(Workers[_Worker]):
    """Some worker processes that compare objects; `with` closes them. Not for several threads."""

    def __init__(
        self,
        *,
        jobs: int = 1,
        memory_bytes: int = 16384 * MEBIBYTE,
        fork: bool = False,
        arena_folder: Path | None = None,
    ) -> None:
        """`memory_bytes` is address space: an emulator reserves a gigabyte and uses little of it.

        `fork` starts workers in a tenth of a second less, as for a compile worker's pool; `arena_folder` is where they
        keep what would be made anew (inputs.py).
        """
        super().__init__(jobs=jobs)
        self._memory_bytes = memory_bytes
        self._fork = fork
        self._words = [] if arena_folder is None else [str(arena_folder)]

    def compare(
        self,
        original: bytes,
        candidate: bytes,
        *,
        reference: bytes | Callable[[], bytes] | None = None,
        signatures: Mapping[str, Signature] | None = None,
        seeds: int = 8,
        limits: Limits | None = None,
        functions: Collection[str] | None = None,
        names: tuple[str, str, str] = ("original", "candidate", "reference"),
        run_same: bool = False,
        before: tuple[bytes, ObjectVerdict] | None = None,
        static_too: bool = False,
    ) -> ObjectVerdict:
        """As differ.compare_objects; a function on which a worker is lost is inconclusive.

        A `reference` that has to be made is asked for where functions differ, and these are compared with it anew.
        Static functions are told different with `static_too` alone: where each version was made function by function.
        `before` is another candidate and its verdicts, which stand for the functions that are the same in both.
        """
        if self._closed:
            raise WorkerError("this verifier is closed")
        task = _Task(
            original=original,
            candidate=candidate,
            reference=None if callable(reference) else reference,
            signatures=dict(signatures or {}),
            seeds=seeds,
            limits=limits or Limits(),
            functions=None if functions is None else tuple(functions),
            names=names,
            run_same=run_same,
            before=before[0] if before is not None else None,
            static_too=static_too,
        )
        known = before[1].functions if before is not None else ()
        verdict = _Comparison(self, task, {one.function: one for one in known}).run()
        differing = tuple(one.function for one in verdict.functions if one.kind is VerdictKind.DIFFERENT)
        if not differing or not callable(reference):
            return verdict
        again = _Comparison(self, replace(task, reference=reference(), functions=differing, before=None), {}).run()
        both = verdict.cpu_seconds + again.cpu_seconds
        return replace(verdict.with_functions(again.functions), cpu_seconds=both)

    def take(self) -> _Worker:
        """A worker that lives, for a comparison to use and to give back."""
        return self.take_idle() or _Worker(self._memory_bytes, self._words, fork=self._fork)

    def give_back(self, worker: _Worker) -> None:
        self._idle.append(worker)


_Loaded = tuple[tuple[str, ...], frozenset[str], Unchanged]
"""names of the functions to compare; `Comparer.known` and `unchanged`"""


class _Comparison:
    """One comparison on a verifier's workers."""

    def __init__(self, verifier: Verifier, task: _Task, known: Mapping[str, FunctionVerdict]) -> None:
        """`known` are verdicts on the candidate before."""
        self.verifier = verifier
        self.task = task
        self.known = known
        self.verdicts: dict[str, FunctionVerdict] = {}
        self.covered: dict[str, int] = {}
        self.cpu_seconds = 0.0
        self.workers: list[_Worker] = []

    def run(self) -> ObjectVerdict:
        try:
            names, known, unchanged = self._start()
            self.verdicts |= {name: self.known[name] for name in known if name in self.known}
            left = [name for name in names if name not in self.verdicts]
            self._compare([name for name in left if name not in unchanged.leads_to])
            callers = [name for name in left if name in unchanged.leads_to]
            concluded = {name: unchanged.verdict(name, self.verdicts) for name in callers}
            self.verdicts |= {name: verdict for name, verdict in concluded.items() if verdict is not None}
            self._compare([name for name in callers if concluded[name] is None])
            self._finish()
        except BaseException:
            for worker in self.workers:
                self.verifier.lose(worker)
            raise
        for worker in self.workers:
            self.verifier.give_back(worker)
        verdicts = tuple(self._with_coverage(name) for name in names)
        return ObjectVerdict(functions=verdicts, cpu_seconds=self.cpu_seconds)

    def _load(self) -> tuple[_Worker, _Loaded]:
        worker = self.verifier.take()
        try:
            return worker, worker.ask(("load", self.task), self.patience)
        except WorkerError:
            self.verifier.lose(worker)
            raise
        except IrwrightError:
            self.verifier.give_back(worker)
            raise

    @property
    def patience(self) -> float:
        """Seconds in which a worker has to answer what concerns all of an object."""
        size = len(self.task.original) + len(self.task.candidate) + len(self.task.reference or b"")
        return BUSY * (self.task.limits.function_seconds + GRACE_SECONDS + size / LOADED_PER_SECOND)

    def _start(self) -> _Loaded:
        """The functions to compare, and those that are the same in the candidate before."""
        worker, names = self._load()
        self.workers.append(worker)
        return names

    def _compare(self, names: Sequence[str]) -> None:
        pending = deque(names)
        wanted = min(self.verifier.jobs, 1 + len(names) // FUNCTIONS_PER_WORKER)
        while len(self.workers) < wanted:
            self.workers.append(self._load()[0])
        running: dict[Any, _Worker] = {}
        idle = list(self.workers)
        limit = BUSY * (self.task.limits.function_seconds + GRACE_SECONDS)
        while pending or running:
            while pending and idle:
                worker = idle.pop()
                worker.function = pending.popleft()
                worker.deadline = time.monotonic() + limit
                try:
                    worker.connection.send(("compare", worker.function))
                except OSError:
                    idle.append(self._replace(worker))
                    continue
                running[worker.connection] = worker
            first = min(worker.deadline for worker in running.values()) if running else 0.0
            for connection in wait(list(running), max(0.0, first - time.monotonic())):
                worker = running.pop(connection)
                try:
                    verdict = worker.connection.recv()
                except (EOFError, OSError):
                    idle.append(self._replace(worker))
                    continue
                if isinstance(verdict, IrwrightError):
                    verdict = _lost(worker.function, str(verdict))
                self.verdicts[verdict.function] = verdict
                idle.append(worker)
            for worker in [worker for worker in running.values() if worker.deadline <= time.monotonic()]:
                del running[worker.connection]
                idle.append(self._replace(worker, f"no end within {limit:g} s"))

    def _replace(self, worker: _Worker, reason: str = "") -> _Worker:
        """Another worker for one that is lost, whose function is inconclusive."""
        reason = reason or f"the emulator crashed ({worker.last_words()})"
        assert worker.function is not None
        self.verdicts[worker.function] = _lost(worker.function, reason)
        self.workers.remove(worker)
        self.verifier.lose(worker)
        other, _ = self._load()
        self.workers.append(other)
        return other

    def _finish(self) -> None:
        """Blocks that the workers' runs covered, together."""
        for worker in self.workers:
            covered, seconds = worker.ask(("covered",), self.patience)
            self.cpu_seconds += seconds
            for name, mask in covered.items():
                self.covered[name] = self.covered.get(name, 0) | mask

    def _with_coverage(self, name: str) -> FunctionVerdict:
        verdict = self.verdicts[name]
        covered = max(verdict.blocks_covered, self.covered.get(name, 0).bit_count())
        return replace(verdict, blocks_covered=covered)


def _lost(name: str | None, reason: str) -> FunctionVerdict:
    return FunctionVerdict(
        function=name or "",
        kind=VerdictKind.INCONCLUSIVE,
        reason=reason,
        seed=None,
        num_runs=0,
        num_conclusive=0,
        blocks=0,
        blocks_covered=0,
    )


# --------------------------------------------------------------------- the worker


def serve(connection: Connection, words: Sequence[str]) -> None:
    """Compare what is asked for until the other end is closed; words: the folder of arenas, where they are kept."""
    for folder in words:
        from irwright.verify.inputs import keep_arenas

        keep_arenas(Path(folder))
    comparer: Comparer | None = None
    started = 0.0
    while True:
        try:
            operation, *arguments = connection.recv()
        except EOFError:
            return
        answer: Any
        try:
            if operation == "load":
                comparer = None  # free the last one's emulators first
                started = time.process_time()
                task: _Task = arguments[0]
                comparer = task.comparer()
                answer = tuple(comparer.names), comparer.known, comparer.unchanged
            else:
                assert comparer is not None
                if operation == "compare":
                    answer = comparer.compare(arguments[0])
                else:
                    answer = comparer.covered(), time.process_time() - started
        except IrwrightError as error:
            answer = error
        except MemoryError:
            answer = WorkerError("out of memory")
        connection.send(answer)
