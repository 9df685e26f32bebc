"""The side of a compile that asks a helper: whom it finds, and what it does without one."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from irwright.cc import helper


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Too long a path for a socket."""
    made = tmp_path / ("long" * 30)
    made.mkdir()
    return made


def listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with helper.Short(path) as short:
        listener.bind(short)
    listener.listen()
    return listener


def answer_once(listener: socket.socket, data: bytes | None) -> threading.Thread:
    """Answer one request with itself, or with these bytes."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            asked = helper.receive(connection)
            if data is None:
                helper.send(connection, {"asked": asked})
            else:
                connection.sendall(data)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_messages_come_back_as_they_were(folder: Path) -> None:
    path = str(folder / "helper-x.sock")
    request: dict[str, Any] = {"bytes": bytes(range(256)) * 9999, "text": "ä\udc80", "none": None, "list": [1, 2.5]}
    with listen(path) as listener:
        thread = answer_once(listener, None)
        assert helper.ask(path, request) == {"asked": request}
        thread.join()


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"\x05\0\0\0\0\0\0\0abc", b"\xff" * 8, b"\x03\0\0\0\0\0\0\0abc", b"\x02\0\0\0\0\0\0\0{0"],
    ids=["nothing", "part of a size", "part of a message", "too large", "no message", "an empty one"],
)
def test_a_bad_answer_is_none(folder: Path, data: bytes) -> None:
    path = str(folder / "helper-x.sock")
    with listen(path) as listener:
        thread = answer_once(listener, data)
        assert helper.ask(path, {"a": 1}) is None
        thread.join()


def test_nobody_there_is_no_error(folder: Path) -> None:
    path = str(folder / "helper-x.sock")
    assert helper.ask(path, {}) is None
    listen(path).close()  # killed: its socket stays
    assert helper.ask(path, {}) is None
    assert helper.find(str(folder / "nowhere")) == ""


def test_a_helper_of_another_user_is_not_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(folder / "helper-x.sock")
    with listen(path):
        user = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: user + 1)
        with pytest.raises(OSError, match="of another user"):
            helper.connect(path)


def test_the_address_changes_with_whatever_decides_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {helper.address("/c")}
    assert found == {helper.address("/c")} and next(iter(found)).startswith("/c/helper-")
    with monkeypatch.context() as patch:
        patch.setattr(helper.irwright, "__version__", "0")
        found.add(helper.address("/c"))
    for name, value in (("nice", 7), ("getuid", 12345), ("readlink", "mnt:[1]"), ("sched_getaffinity", {99})):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, lambda *_, value=value: value)
            found.add(helper.address("/c"))
    with monkeypatch.context() as patch:
        patch.setattr(helper, "_FOLDERS", ("",))
        found.add(helper.address("/c"))
    assert len(found) == 7


@pytest.mark.parametrize(
    ("said", "seconds"), [("", helper.IDLE_SECONDS), ("off", 0), ("0", 0), ("40", 40), ("soon", helper.IDLE_SECONDS)]
)
def test_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, seconds: int) -> None:
    monkeypatch.setenv("IRWRIGHT_HELPER", said)
    assert helper.idle_seconds() == seconds
    Path(helper.address(str(tmp_path))).touch()
    assert bool(helper.find(str(tmp_path))) == bool(seconds)
