"""Worker processes: started or forked, talked to over a socket, and what they said when they died.

A worker is a module with a function `serve(connection, words)`. Its parent may kill it at any time; it never outlives
its parent. Messages are pickled between processes of ours; nothing from outside is ever unpickled. What is asked, and
what becomes of a worker that dies, is the business of llvm/worker.py and verify/verifier.py.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from ctypes import CDLL
from importlib import import_module
from multiprocessing.connection import Connection
from socket import socketpair
from types import TracebackType
from typing import BinaryIO, Generic, NoReturn, Self, TypeVar

MEBIBYTE = 1 << 20
MAX_LOG_BYTES = MEBIBYTE
_START = "import sys; from irwright.processes import main; main(sys.argv[1:])"


class WorkerProcess:
    """One worker as its parent sees it."""

    def __init__(self, module: str, words: Sequence[str], *, memory_bytes: int, fork: bool = False) -> None:
        """Start a worker: `module` is imported there, and `words` are given to its `serve`.

        `memory_bytes` limits its address space (0: not at all). A forked worker begins as a copy of this process, with
        what is imported here; only for processes with one thread that have not loaded libLLVM.
        """
        ours, theirs = socketpair()
        words = [str(theirs.fileno()), str(os.getpid()), str(memory_bytes), module, *words]
        self.log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self.process: subprocess.Popen[bytes] | _Forked
        if fork:
            self.process = _fork(ours.close, self.log, words)
        else:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _START, *words],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
            )
        theirs.close()
        self.connection = Connection(ours.detach())

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self, telling: Sequence[str] = ()) -> str:
        """How the process died, and of what it wrote the first line that holds one of `telling`, else the last."""
        code = self.process.wait()
        died = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read(MAX_LOG_BYTES).decode(errors="replace").strip().splitlines()]
        told = [line for line in lines if any(word in line for word in telling)]
        if not telling and code > 0:
            told = lines[-1:]
        return f"{died}: {told[0][:300]}" if told else died

    def close(self) -> None:
        """End it, and all that is kept of it; harmless when it is dead."""
        self.connection.close()
        if self.is_alive:
            self.process.kill()
        self.process.wait()
        self.log.close()


W = TypeVar("W", bound=WorkerProcess)


class Workers(Generic[W]):
    """Workers that wait for work, of one kind; `with` ends them. Not for several threads."""

    def __init__(self, *, jobs: int) -> None:
        self.jobs = max(1, jobs)
        self.num_replaced = 0
        """workers lost to a crash, a hang or memory so far"""
        self._idle: list[W] = []
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers; harmless when closed already."""
        self._closed = True
        for worker in self._idle:
            worker.close()
        self._idle.clear()

    def lose(self, worker: W) -> None:
        """End a worker that is of no more use."""
        self.num_replaced += 1
        worker.close()

    def take_idle(self) -> W | None:
        """A worker that lives; those that died between two calls, killed from outside, are lost."""
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            self.lose(worker)
        return None


class _Forked:
    """A forked process, with what is needed here of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._wait(os.WNOHANG)

    def wait(self) -> int:
        code = self._wait(0)
        assert code is not None
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def _fork(close_ours: Callable[[], None], log: BinaryIO, words: Sequence[str]) -> _Forked:
    pid = os.fork()
    return _Forked(pid) if pid else _be_forked(close_ours, log, words)


def _be_forked(close_ours: Callable[[], None], log: BinaryIO, words: Sequence[str]) -> NoReturn:
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        close_ours()
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted, not a path
            os.dup2(nothing.fileno(), 0)
        gc.freeze()  # what is imported stays
        gc.enable()
        main(words)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # nothing of the parent's is to be cleaned up here


def main(words: Sequence[str]) -> None:
    """Be a worker: descriptor of the socket, parent, bytes of memory, the module that serves, and words for it."""
    descriptor, parent, memory_bytes, module, *rest = words
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the parent
        if os.getppid() != int(parent):  # it died before that
            return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if int(memory_bytes):
        resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    import_module(module).serve(Connection(int(descriptor)), rest)
