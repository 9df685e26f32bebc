"""Worker processes: what they are started with, what is known of their death, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from irwright.processes import MEBIBYTE, WorkerProcess

HERE = Path(__file__).parent


def serve(connection: Connection, words: list[str]) -> None:
    """What the workers of these tests do."""
    while True:
        try:
            asked = connection.recv()
        except EOFError:
            return
        if asked == "words":
            connection.send((words, os.getppid()))
        elif asked == "grow":
            connection.send(len(bytes(4096 * MEBIBYTE)))
        elif asked == "fail":
            print("LLVM ERROR: out of ideas", file=sys.stderr, flush=True)
            print("the last line", file=sys.stderr, flush=True)
            os._exit(3)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    return WorkerProcess("test_processes", ["one", "two"], memory_bytes=2048 * MEBIBYTE)


def test_a_worker_serves_until_its_parent_hangs_up(worker: WorkerProcess) -> None:
    worker.connection.send("words")
    assert worker.connection.recv() == (["one", "two"], os.getpid())
    assert worker.is_alive
    worker.connection.close()
    assert worker.process.wait() == 0
    worker.close()
    worker.close()


def test_last_words_are_the_line_that_tells_or_the_last(worker: WorkerProcess) -> None:
    worker.connection.send("fail")
    worker.process.wait()
    assert worker.last_words(["LLVM ERROR"]) == "exit code 3: LLVM ERROR: out of ideas"
    assert worker.last_words(["Assertion"]) == "exit code 3"
    assert worker.last_words() == "exit code 3: the last line"
    worker.close()


def test_a_worker_that_is_killed(worker: WorkerProcess) -> None:
    os.kill(worker.process.pid, signal.SIGSEGV)
    assert worker.last_words() == "signal SIGSEGV"
    assert not worker.is_alive
    worker.close()


def test_memory_is_limited(worker: WorkerProcess) -> None:
    worker.connection.send("grow")
    worker.process.wait()
    assert worker.last_words() == "exit code 1: MemoryError"
    worker.close()


FORKING = """
import os, sys, time
from irwright.processes import WorkerProcess
worker = WorkerProcess("test_processes", ["a"], memory_bytes=0, fork=True)
worker.connection.send("words")
assert worker.connection.recv() == (["a"], os.getpid())
print(worker.process.pid, flush=True)
if "stay" in sys.argv:
    time.sleep(60)
worker.connection.send("fail")
worker.process.wait()
assert worker.last_words(["LLVM ERROR"]) == "exit code 3: LLVM ERROR: out of ideas"
worker.close()
"""


@pytest.mark.parametrize("ending", ["leave", "stay"])
def test_a_forked_worker(ending: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, ending], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        forked = int(parent.stdout.readline())
        if ending == "stay":
            os.kill(forked, 0)
            parent.kill()
        assert parent.wait() == (-signal.SIGKILL if ending == "stay" else 0)
    deadline = time.monotonic() + 5
    while is_running(forked) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(forked)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
