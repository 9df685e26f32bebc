"""Compile workers: clean processes in which LLVM may crash, hang or eat memory without losing anything else.

A worker (compiler.py) keeps modules parsed and evaluates in place, without a fork per evaluation: a call costs
one message each way (about 0.1 ms). What goes wrong in LLVM comes back as an `Outcome`; a worker that died is
replaced and only the call it was on is lost.

Messages are pickled between processes of ours over a socket pair; nothing from outside is ever unpickled.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from irwright.errors import LLVMError, WorkerError
from irwright.llvm.builds import FunctionsMeasured, Measured, ModuleFacts, Outcome, OutcomeKind
from irwright.llvm.codegen import FunctionSize, ObjectInfo
from irwright.processes import MEBIBYTE, WorkerProcess, Workers

TELLING = ("LLVM ERROR", "Assertion", "bad_alloc", "Error")
"""what the line holds in which a dying worker says why"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: an operation of `compiler.Compiler` by name, on a module by key (None: no module)."""

    operation: str
    module: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a Call; `value` is None unless the outcome is ok."""

    outcome: Outcome
    value: Any
    seconds: float
    """wall time seen by the caller, messages included"""

    def unwrap(self, what: str) -> Any:
        """The value, or the outcome as an error that names `what`."""
        if self.outcome.ok:
            return self.value
        if self.outcome.error is not None:
            raise self.outcome.error
        raise LLVMError(f"{what}: LLVM ended in {self.outcome.kind} ({self.outcome.detail})")


class _Worker(WorkerProcess):
    """One worker process, and what it was told."""

    def __init__(self, library: Path, memory_bytes: int, state_bytes: int, *, fork: bool) -> None:
        words = [str(library), str(state_bytes)]
        super().__init__("irwright.llvm.compiler", words, memory_bytes=memory_bytes, fork=fork)
        self.loaded: set[str] = set()
        self.known_sent = 0

    def wait_ready(self) -> tuple[str, tuple[str, ...]]:
        try:
            _, value = self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            detail = self.last_words(TELLING)
            self.close()
            raise WorkerError(f"the compile worker did not start: {detail}") from error
        return value


@dataclass(slots=True)
class _Running:
    index: int
    worker: _Worker
    deadline: float
    started: float


class WorkerPool(Workers[_Worker]):
    """Some workers on one library; `with` closes them.

    Modules are registered once with `add_module` and loaded by each worker when a call first needs them. `fork` starts
    workers in a tenth of a second less; only for processes with one thread, that have not loaded libLLVM.
    """

    def __init__(
        self,
        library: Path,
        *,
        jobs: int = 1,
        timeout_seconds: float = 30.0,
        memory_bytes: int = 4096 * MEBIBYTE,
        state_bytes: int = 512 * MEBIBYTE,
        fork: bool = False,
    ) -> None:
        super().__init__(jobs=jobs)
        self.library = library
        self.timeout_seconds = timeout_seconds
        self._fork = fork
        self._memory_bytes = memory_bytes
        self._state_bytes = state_bytes
        self._modules: dict[str, dict[str, Any]] = {}
        self._sizes: dict[bytes, ObjectInfo | FunctionSize] = {}
        self._known: list[bytes] = []
        self._generation = 1

    def add_module(
        self,
        key: str,
        data: bytes,
        *,
        name: str,
        keep_debug: bool = False,
        left_by_oz: frozenset[str] | None = None,
    ) -> ModuleFacts:
        """Register bitcode or textual IR under `key`; raises what LLVM says of bad input.

        `left_by_oz` names the functions that have code after -Oz, which else costs a run of its passes.
        """
        if key in self._modules:
            self.drop_module(key)
        self._modules[key] = {"data": data, "name": name, "keep_debug": keep_debug, "left_by_oz": left_by_oz}
        reply = self.call(Call(operation="facts", module=key))
        if not reply.outcome.ok:
            del self._modules[key]
        return reply.unwrap(name)

    def drop_module(self, key: str) -> None:
        """Forget a module here and in every idle worker."""
        self._modules.pop(key, None)
        if not self._modules:
            self._known.clear()
            self._sizes.clear()
            self._generation += 1
            for worker in self._idle:
                worker.known_sent = 0
        for worker in [worker for worker in self._idle if key in worker.loaded]:
            worker.loaded.discard(key)
            try:
                self._send(worker, "drop", {"key": key})
                worker.connection.recv()
            except (EOFError, OSError):
                self._idle.remove(worker)
                self.lose(worker)

    def _send(self, worker: _Worker, operation: str, arguments: dict[str, Any]) -> None:
        """Send a call, with the states that became known since this worker last heard."""
        known = self._known[worker.known_sent :]
        worker.known_sent = len(self._known)
        worker.connection.send((operation, arguments, self._generation, known))

    def call(self, call: Call, *, timeout_seconds: float | None = None) -> Reply:
        """One call, waited for."""
        return self.map([call], timeout_seconds=timeout_seconds)[0]

    def map(self, calls: Sequence[Call], *, timeout_seconds: float | None = None) -> list[Reply]:
        """All calls on all workers; replies in the order of the calls."""
        replies: list[Reply | None] = [None] * len(calls)
        for index, reply in self.stream(calls, timeout_seconds=timeout_seconds):
            replies[index] = reply
        return [reply for reply in replies if reply is not None]

    def stream(self, calls: Iterable[Call], *, timeout_seconds: float | None = None) -> Iterator[tuple[int, Reply]]:
        """(index, reply) as they finish; abandoning the iterator ends the calls under way."""
        if self._closed:
            raise WorkerError("this worker pool is closed")
        limit = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        pending = deque(enumerate(calls))
        running: dict[Connection, _Running] = {}
        try:
            while pending or running:
                while pending and len(running) < self.jobs:
                    index, call = pending.popleft()
                    worker = self._take_worker()
                    now = time.monotonic()
                    reply = self._begin(worker, call, limit)
                    if reply is None:
                        running[worker.connection] = _Running(index, worker, now + limit, now)
                    else:
                        yield index, reply
                if not running:
                    continue
                patience = max(0.0, min(run.deadline for run in running.values()) - time.monotonic())
                ready = wait(list(running), patience)
                for connection in ready:
                    run = running.pop(connection)  # type: ignore[arg-type]
                    yield run.index, self._finish(run)
                now = time.monotonic()
                for connection in [c for c, run in running.items() if run.deadline <= now]:
                    run = running.pop(connection)
                    self.lose(run.worker)
                    detail = f"no end within {limit:g} s"
                    outcome = Outcome(kind=OutcomeKind.TIMEOUT, detail=detail)
                    yield run.index, Reply(outcome=outcome, value=None, seconds=now - run.started)
        finally:
            for run in running.values():
                run.worker.close()

    def _take_worker(self) -> _Worker:
        idle = self.take_idle()
        if idle is not None:
            return idle
        worker = _Worker(self.library, self._memory_bytes, self._state_bytes, fork=self._fork)
        worker.wait_ready()
        return worker

    def _begin(self, worker: _Worker, call: Call, limit: float) -> Reply | None:
        """Send a call; a Reply only where the worker was lost, or refused the module, before it could begin."""
        arguments = dict(call.arguments)
        started = time.monotonic()
        try:
            if call.module is not None:
                arguments["key"] = call.module
                if call.module not in worker.loaded:
                    self._send(worker, "load", {"key": call.module, **self._modules[call.module]})
                    if not worker.connection.poll(limit):
                        self.lose(worker)
                        outcome = Outcome(kind=OutcomeKind.TIMEOUT, detail=f"parsing takes over {limit:g} s")
                        return Reply(outcome=outcome, value=None, seconds=time.monotonic() - started)
                    outcome, _ = worker.connection.recv()
                    if not outcome.ok:
                        self._idle.append(worker)
                        return Reply(outcome=outcome, value=None, seconds=time.monotonic() - started)
                    worker.loaded.add(call.module)
            self._send(worker, call.operation, arguments)
        except (EOFError, OSError):
            return self._crashed(worker, started)
        return None

    def _finish(self, run: _Running) -> Reply:
        try:
            outcome, value = run.worker.connection.recv()
        except (EOFError, OSError):
            return self._crashed(run.worker, run.started)
        self._idle.append(run.worker)
        if isinstance(value, Measured):
            value = self._complete(value)
        elif isinstance(value, FunctionsMeasured):
            value = self._complete_functions(value)
        return Reply(outcome=outcome, value=value, seconds=time.monotonic() - run.started)

    def _complete(self, measured: Measured) -> Measured:
        """Fill in the sizes of a state that was measured before, or remember them."""
        if measured.info is None:
            return replace(measured, info=self._sizes[measured.state])
        self._remember(measured.state, measured.info)
        return measured

    def _complete_functions(self, measured: FunctionsMeasured) -> FunctionsMeasured:
        for name, size in measured.sizes.items():
            self._remember(measured.states[name], size)
        sizes = {name: self._sizes.get(state) for name, state in measured.states.items()}
        return replace(measured, sizes={name: size for name, size in sizes.items() if size is not None})

    def _remember(self, state: bytes, size: ObjectInfo | FunctionSize) -> None:
        if state not in self._sizes:
            self._sizes[state] = size
            self._known.append(state)

    def _crashed(self, worker: _Worker, started: float) -> Reply:
        words = worker.last_words(TELLING)
        memory = "bad_alloc" in words or "out of memory" in words or "MemoryError" in words
        kind = OutcomeKind.MEMORY if memory else OutcomeKind.CRASH
        self.lose(worker)
        return Reply(outcome=Outcome(kind=kind, detail=words), value=None, seconds=time.monotonic() - started)


def default_jobs() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
