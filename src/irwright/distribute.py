"""The same function on many items: in processes of this machine, or on a Ray cluster.

`distribute` yields results as they come, each with the number of its item. A process or node that dies costs the item
it was on, which is tried again; an item that keeps killing its process ends as a `Done` with a problem, and so does one
that raises an error of irwright's. So nothing is lost and nothing comes twice; what results mean, and where they are
kept so that a later run need not ask again, is the caller's business (shards.py).

Processes of this machine are those of processes.py.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import Any

from irwright.errors import IrwrightError, WorkerError
from irwright.processes import WorkerProcess

Work = Callable[[Any], Any]
"""What is done to an item: picklable, as are items and results. State that is dear to make (a compile worker) is kept
by the work itself, in its module."""

RETRIES = 2
_KNOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of one item."""

    value: Any = None
    problem: str = ""
    """why there is no value, in one line"""


def distribute(
    work: Work, items: Iterable[Any], *, jobs: int = 1, ray: str | None = None, retries: int = RETRIES
) -> Iterator[tuple[int, Done]]:
    """(number of the item, what became of it), in the order in which they end.

    `ray` is the address of a cluster, `auto` the one this machine belongs to, `local` a new one of `jobs` workers.
    Items are taken as they are needed, a few more than there are workers.
    """
    if ray is not None:
        return _on_ray(work, items, address=ray, jobs=jobs, retries=retries)
    return _here(work, items, jobs=max(1, jobs), retries=retries)


class _Worker:
    """One process that does one item at a time."""

    def __init__(self, work: Work) -> None:
        self.process = WorkerProcess("irwright.distribute", (), memory_bytes=0)
        self.connection = self.process.connection
        self.connection.send(work)

    def begin(self, item: Any) -> None:
        with contextlib.suppress(OSError):  # it died between two items: seen when its answer is read
            self.connection.send(item)


def _here(work: Work, items: Iterable[Any], *, jobs: int, retries: int) -> Iterator[tuple[int, Done]]:
    queue = iter(enumerate(items))
    again: deque[tuple[int, Any]] = deque()
    tries: dict[int, int] = {}
    idle: list[_Worker] = []
    running: dict[Connection, tuple[_Worker, int, Any]] = {}
    try:
        while True:
            while len(running) < jobs:
                number, item = again.popleft() if again else next(queue, (-1, None))
                if number < 0:
                    break
                worker = idle.pop() if idle else _Worker(work)
                running[worker.connection] = (worker, number, item)
                worker.begin(item)
            if not running:
                return
            for connection in wait(list(running)):
                worker, number, item = running.pop(connection)  # type: ignore[arg-type]
                try:
                    done: Done = worker.connection.recv()
                except (EOFError, OSError):
                    words = f"the worker ended with {worker.process.last_words()}"
                    worker.process.close()
                    tries[number] = tries.get(number, 0) + 1
                    if tries[number] <= retries:
                        again.append((number, item))
                        continue
                    done = Done(problem=words)
                else:
                    idle.append(worker)
                yield number, done
    finally:
        for worker in [*idle, *(worker for worker, _, _ in running.values())]:
            worker.process.close()


def run(work: Work, item: Any) -> Done:
    """Do one item in this process."""
    try:
        return Done(value=work(item))
    except IrwrightError as error:
        return Done(problem=str(error))


def serve(connection: Connection, _words: Sequence[str]) -> None:
    """Be a worker (processes.py) until the connection is closed."""
    work: Work = connection.recv()
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        connection.send(run(work, item))


def _on_ray(work: Work, items: Iterable[Any], *, address: str, jobs: int, retries: int) -> Iterator[tuple[int, Done]]:
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address, jobs)
    try:
        remote = ray.remote(num_cpus=1, max_retries=retries)(run)
        shared = ray.put(work)
        limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        queue = iter(enumerate(items))
        running: dict[Any, int] = {}
        while True:
            while len(running) < limit:
                number, item = next(queue, (-1, None))
                if number < 0:
                    break
                running[remote.remote(shared, item)] = number
            if not running:
                return
            ready, _ = ray.wait(list(running), num_returns=1)
            for reference in ready:
                number = running.pop(reference)
                try:
                    done: Done = ray.get(reference)
                except ray.exceptions.RayError as error:
                    done = Done(problem=f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}")
                yield number, done
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str, jobs: int) -> None:
    _knock(address)
    options: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False, "logging_level": "ERROR"}
    try:
        if address == "local":
            ray.init(address="local", num_cpus=jobs, **options)
        else:
            options.pop("include_dashboard")
            ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise _no_cluster(address, (str(error).strip() or repr(error)).splitlines()[0]) from error


def _knock(address: str) -> None:
    """WorkerError where nobody listens at HOST:PORT, for which Ray itself waits five minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> WorkerError:
    return WorkerError(
        f"no Ray cluster at {address!r} ({reason}); start one with `ray start --head`, or leave --ray out"
    )


def _ray() -> Any:
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise WorkerError("Ray is not installed; install it with: pip install 'irwright[cluster]'") from error
