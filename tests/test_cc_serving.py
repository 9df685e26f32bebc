"""Helpers of builds: the same objects as without one, nothing left behind, and no build that fails for one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from irwright.cc.helper import connect, peer_of
from wrapped import JSON, Wrapped, contents

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="helpers are for Linux")


def sockets(wrapped: Wrapped) -> list[Path]:
    return sorted((wrapped.cache / "cc").glob("helper-*.sock"))


def helpers(wrapped: Wrapped) -> list[int]:
    found: list[int] = []
    for path in sockets(wrapped):
        try:
            with connect(str(path)) as connection:
                found.append(peer_of(connection)[0])
        except OSError:
            continue
    return found


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def helped(wrapped: Wrapped) -> Iterator[int]:
    """The helper that a first compile left."""
    assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_HELPER="60").code == 0
    until(lambda: helpers(wrapped))
    (process,) = helpers(wrapped)
    yield process
    if is_there(process):
        os.kill(process, signal.SIGKILL)


def test_a_helper_makes_the_same_objects(wrapped: Wrapped, helped: int, tmp_path: Path) -> None:
    words = ("-Oz", "-c", str(JSON), "-MD", "-o", "j.o")
    settings = {"IRWRIGHT_BUDGET": "4", "IRWRIGHT_VERIFY": "1"}
    apart = str(tmp_path / "other")
    assert wrapped.cc(*words, **settings, IRWRIGHT_CACHE=apart).code == 0
    alone = contents(wrapped.folder)
    wrapped.path("j.o").unlink()
    before = helper_ticks(helped)
    ended = wrapped.cc(*words, **settings, IRWRIGHT_HELPER="60")
    assert (ended.code, ended.out, ended.err) == (0, b"", b"")
    assert contents(wrapped.folder) == alone
    until(lambda: helper_ticks(helped) > before)  # it was asked
    assert wrapped.events()[-1]["equal"] > 0 and helpers(wrapped) == [helped]


def helper_ticks(process: int) -> int:
    """Of the processor, that forks of a helper have taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[13]) + int(fields[14])


def test_a_failure_comes_back_as_one_line(wrapped: Wrapped, helped: int) -> None:
    ended = wrapped.cc("-Oz", "-c", "a.c", IRWRIGHT_HELPER="60", IRWRIGHT_BUDGET="many")
    assert ended.code == 0 and b"bad budget 'many'" in ended.err and ended.err.endswith(b": plain object kept\n")
    assert is_there(helped)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_compile_that_is_ended_ends_its_fork(wrapped: Wrapped, helped: int, sent: signal.Signals) -> None:
    temporary = wrapped.cache.parent / "tmp"
    temporary.mkdir()
    environment = wrapped.environment(IRWRIGHT_HELPER="60", IRWRIGHT_BUDGET="60s", TMPDIR=str(temporary))
    command = wrapped.command("-Oz", "-c", str(JSON), "-o", "j.o")
    process = subprocess.Popen(command, cwd=wrapped.folder, env=environment)
    until(lambda: any(temporary.glob("*/seed.bc")))
    assert children(helped)
    process.send_signal(sent)
    process.wait()
    until(lambda: not children(helped))
    assert list(temporary.iterdir()) == []
    assert wrapped.cc("-Oz", "-c", "a.c", IRWRIGHT_HELPER="60").code == 0


def test_without_its_helper_a_compile_does_its_own_work(wrapped: Wrapped, helped: int) -> None:
    environment = wrapped.environment(IRWRIGHT_HELPER="60", IRWRIGHT_BUDGET="8", IRWRIGHT_VERIFY="1")
    command = wrapped.command("-Oz", "-c", str(JSON), "-o", "j.o")
    process = subprocess.Popen(command, cwd=wrapped.folder, env=environment)
    until(lambda: len(children(helped)) == 1)
    (fork,) = children(helped)
    os.kill(helped, signal.SIGKILL)
    assert process.wait() == 0
    assert not is_there(fork)
    assert wrapped.kinds()[-1] == "tuned"
    until(lambda: helpers(wrapped))  # another one was left
    (other,) = helpers(wrapped)
    assert other != helped and len(sockets(wrapped)) == 1
    os.kill(other, signal.SIGKILL)


def test_a_helper_ends_by_itself_and_takes_its_socket_along(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_HELPER="1").code == 0  # its pipes were closed, or this would wait
    until(lambda: helpers(wrapped))
    until(lambda: not sockets(wrapped))


def test_none_is_left_where_none_is_wanted(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_HELPER="off").code == 0
    time.sleep(0.3)
    assert sockets(wrapped) == []
