"""One tuned compile from plain data to plain data, and the helper that makes many of them (helper.py).

The helper is forked from the first compile that tuned, after its work. It answers each request in a fork of its own,
which takes over folder, environment and umask of the compile that asks, reads what that would read, and writes nothing:
the object goes back in the answer. A fork whose compile is gone is ended; all end with the helper.
"""

from __future__ import annotations

import gc
import math
import os
import select
import signal
import socket
import tempfile
import time
from ctypes import CDLL
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from irwright.cc import tuning
from irwright.cc.arguments import Compile
from irwright.cc.compilers import Compiler
from irwright.cc.helper import Short, address, idle_seconds, peer_of, receive, send
from irwright.task import Budget

LOOK_SECONDS = 0.5
"""between looks at forks that are to end"""

PATIENCE_SECONDS = 5.0
"""for a fork to clean up, before it is killed"""

PRELOADED = ("irwright.judge", "irwright.verify.verifier", "irwright.verify.signatures", "irwright.verify.differ")
"""what workers import once they are forked, unless the helper has"""

MAX_DESCRIPTORS = 1 << 16
BACKLOG = 128


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Tune what helper.request_of describes: the smaller object, if there is one, and what to say of it.

    `failed` alone is the reason why that was not possible.
    """
    try:
        return _answer(request)
    except Exception as error:  # as in driver.py: whatever it is, the plain object stands and the reason is counted
        return {"failed": str(error).partition("\n")[0] or type(error).__name__}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    job, compiler = Compile([]), Compiler("", "", "", "", "", "", "")
    for target, facts in ((job, request["job"]), (compiler, request["compiler"])):
        for name, fact in facts.items():
            setattr(target, name, fact)
    tuned = tuning.tune_object(
        job,
        compiler,
        Path(job.output).read_bytes(),
        Budget.parse(request["budget"]),
        timeout_seconds=request["timeout_seconds"],
        verify_seeds=request["verify_seeds"],
        lists_only=request["lists_only"],
        keep=Path(request["keep"]),
    )
    return {
        "object": None if tuned.best is None else tuned.best.object,
        "rejected": list(tuned.rejected),
        "replaced": [f"{name}: {reason}" for name, reason in tuned.repaired.replaced],
        "facts": _facts(tuned),
    }


def _facts(tuned: tuning.Tuned) -> dict[str, int | float | str]:
    """What the statistics hold of a compile."""
    facts: dict[str, int | float | str] = {
        "plain": tuned.plain_bytes,
        "tuned": tuned.tuned_bytes,
        "compilations": tuned.num_compilations,
        "rejected": len(tuned.rejected),
        "different": sum(" differs: " in line for line in tuned.rejected),
        "replaced": len(tuned.repaired.replaced),
    }
    if (verdict := tuned.verdict) is not None:
        facts |= {
            "equal": verdict.equal,
            "same_code": verdict.same_code,
            "inconclusive": verdict.inconclusive,
            "verify_seconds": verdict.cpu_seconds,
            "reasons": " | ".join(f"{number} {reason}" for reason, number in verdict.reasons().most_common()),
        }
    return facts


# ------------------------------------------------------------------ the helper


def leave_helper(folder: str) -> None:
    """Fork a helper that outlives this process, unless one is not wanted, or could not be trusted to fork."""
    try:
        if not idle_seconds() or len(list(Path("/proc/self/task").iterdir())) != 1:
            return
        path = address(folder)
        child = os.fork()
    except OSError:
        return
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if not os.fork():
            _be_helper(path)
    finally:
        os._exit(0)


def _be_helper(path: str) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # a build waits until its pipes are closed
        os.dup2(nothing, descriptor)
    os.closerange(3, MAX_DESCRIPTORS)
    CDLL(None).prctl(15, b"irwright-helper")  # PR_SET_NAME
    for module in PRELOADED:
        import_module(module)
    gc.collect()
    gc.freeze()  # forks leave its pages alone
    with _listen(path) as listener:
        _Helper(listener).serve(idle_seconds())
        _withdraw(path, listener)


def _listen(path: str) -> socket.socket:
    """A socket at the path, in place of that of another helper, which then gets no more to do."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = f"{path}.{os.getpid()}.tmp"
    with Short(temporary) as short:
        listener.bind(short)
    listener.listen(BACKLOG)
    Path(temporary).replace(path)
    return listener


def _withdraw(path: str, listener: socket.socket) -> None:
    """Remove the socket, unless another helper has put its own there; what waits in this one does its own work."""
    with Short(path) as short, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.1)
        try:
            probe.connect(short)
            is_ours = peer_of(probe)[0] == os.getpid()
        except OSError:
            return
        if is_ours:
            Path(short).unlink()
    listener.close()


class _Helper:
    """Forks one process for each compile that asks."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._poller = select.poll()
        self._poller.register(listener, select.POLLIN)
        self._connections: dict[int, socket.socket] = {}
        """by descriptor: of those who have not asked yet, and of those that forks work for"""
        self._forks: dict[int, int] = {}
        """process of each connection that has one"""
        self._ending: dict[int, float] = {}
        """processes whose compile is gone, and when they are killed"""
        self._signals, ended = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller.register(self._signals, select.POLLIN)
        signal.signal(signal.SIGCHLD, _wake)
        signal.set_wakeup_fd(ended, warn_on_full_buffer=False)

    def serve(self, idle: float) -> None:
        """Until nobody has asked for `idle` seconds."""
        until = time.monotonic() + idle
        while self._connections or time.monotonic() < until:
            if self._connections:
                until = time.monotonic() + idle
            wait = LOOK_SECONDS if self._ending else max(0.0, until - time.monotonic())
            for descriptor, event in self._poller.poll(1000 * wait):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif descriptor == self._signals:
                    os.read(descriptor, 4096)
                elif event & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                    self._end(descriptor)
                else:
                    self._fork(descriptor)
            self._reap()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if peer_of(connection)[1] != os.getuid():
            connection.close()
            return
        self._connections[connection.fileno()] = connection
        self._poller.register(connection, select.POLLIN | select.POLLRDHUP)

    def _fork(self, descriptor: int) -> None:
        self._poller.modify(descriptor, select.POLLRDHUP)
        process = os.fork()
        if not process:
            self._be_fork(self._connections[descriptor])
        self._forks[descriptor] = process

    def _be_fork(self, connection: socket.socket) -> NoReturn:
        try:
            helper = os.getppid()
            CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            signal.signal(signal.SIGTERM, _leave)
            if os.getppid() != helper:
                raise SystemExit
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for other in (self._listener, *self._connections.values()):
                if other is not connection:
                    other.close()
            request = receive(connection)
            os.chdir(request["folder"])
            os.umask(request["umask"])
            os.environ.clear()
            os.environ.update(request["environment"])
            tempfile.tempdir = None  # as that environment says
            status = Path(request["job"]["output"]).stat()
            seen = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]
            send(connection, answer(request) if seen == request["plain"] else {})
        finally:
            os._exit(0)

    def _end(self, descriptor: int) -> None:
        """Who asked is gone, or has its answer: so is its fork soon."""
        self._poller.unregister(descriptor)
        process = self._forks.get(descriptor)
        if process is None:
            self._connections.pop(descriptor).close()
            return
        self._ending[process] = time.monotonic() + PATIENCE_SECONDS
        os.kill(process, signal.SIGTERM)

    def _reap(self) -> None:
        for descriptor, process in list(self._forks.items()):
            if not os.waitpid(process, os.WNOHANG)[0]:
                if self._ending.get(process, math.inf) < time.monotonic():
                    os.kill(process, signal.SIGKILL)
                continue
            if self._ending.pop(process, None) is None:
                self._poller.unregister(descriptor)
            self._connections.pop(descriptor).close()
            del self._forks[descriptor]


def _wake(_number: int, _frame: object) -> None:
    """The pipe of `set_wakeup_fd` is what wakes."""


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit
