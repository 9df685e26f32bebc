"""The helper of a build: a process that has imported what tuning needs, and forks for every compile that asks.

A compile spends a third of its time on imports, so the first that tunes leaves a copy of itself behind (serving.py),
and those after it hand their work over. The helper answers the processes of one user, one version of irwright, one
cgroup and one view of the file system; it ends by itself when nobody has asked for a while. Without one, or when it
fails, each compile does its own work.

Here is the side of the compile, which imports nothing heavy. A message is eight bytes of length and what `marshal`
makes of plain data; both ends ask the system who the other is.
"""

from __future__ import annotations

import marshal
import os
import struct
import sys

import irwright
from irwright.cc.cache import hash_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from irwright.cc.arguments import Compile
    from irwright.cc.compilers import Compiler

IDLE_SECONDS = 15
LONGEST_IDLE_SECONDS = 86400
CONNECT_SECONDS = 2.0
MAX_MESSAGE_BYTES = 1 << 30

_FOLDERS = ("", "/cc", "/feedback", "/llvm", "/verify")
"""of irwright, whose code a helper runs"""
_VIEW = ("/proc/self/ns/mnt", "/proc/self/ns/user", "/proc/self/ns/pid")


def idle_seconds() -> int:
    """How long a helper waits for work, as IRWRIGHT_HELPER says (`off`, or seconds); 0: there is to be none."""
    said = os.environ.get("IRWRIGHT_HELPER", "")
    if sys.platform != "linux" or said == "off":
        return 0
    return min(int(said), LONGEST_IDLE_SECONDS) if said.isdecimal() else IDLE_SECONDS


def address(folder: str) -> str:
    """The socket of the helper that may serve this process; OSError where that can't be told."""
    with open("/proc/self/cgroup", "rb") as file:
        cgroup = file.read()
    root = os.stat("/")
    facts = (irwright.__version__, irwright.__file__, sys.executable, os.getuid(), os.getgid(), os.nice(0))
    view = (*map(os.readlink, _VIEW), root.st_dev, root.st_ino, sorted(os.sched_getaffinity(0)))
    return f"{folder}/helper-{hash_of(repr(facts).encode(), repr(view).encode(), cgroup, _stamps())[:16]}.sock"


def _stamps() -> bytes:
    """What changes when the code does."""
    package = os.path.dirname(irwright.__file__)
    stamps: list[str] = []
    for folder in _FOLDERS:
        with os.scandir(package + folder) as entries:
            stamps += [f"{entry.path} {entry.stat().st_mtime_ns}" for entry in entries if entry.name.endswith(".py")]
    return "\n".join(sorted(stamps)).encode(errors="surrogateescape")


def request_of(job: Compile, compiler: Compiler, **settings: str | float) -> dict[str, Any]:
    """What serving.answer needs to tune the object that was just compiled, as plain data."""
    status = os.stat(job.output)
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "job": {name: getattr(job, name) for name in type(job).__slots__},
        "compiler": {name: getattr(compiler, name) for name in type(compiler).__slots__},
        "plain": [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns],
        "folder": os.getcwd(),
        "umask": umask,
        "environment": dict(os.environ),
        **settings,
    }


def find(folder: str) -> str:
    """The socket of a helper that seems to be there; empty where there is none, or none is wanted."""
    if not idle_seconds():
        return ""
    try:
        path = address(folder)
    except OSError:
        return ""
    return path if os.path.exists(path) else ""


def ask(path: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """The answer of a helper; None where there is none, or it failed: then the work is the caller's."""
    try:
        with connect(path) as connection:
            connection.settimeout(None)
            send(connection, request)
            return receive(connection) or None
    except (OSError, ValueError, EOFError, TypeError):
        return None


def connect(path: str) -> socket:
    """A connection to a helper of this user; OSError where there is none."""
    import socket

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_SECONDS)
        with Short(path) as short:
            connection.connect(short)
        if peer_of(connection)[1] != os.getuid():
            raise OSError("a helper of another user")
    except BaseException:
        connection.close()
        raise
    return connection


def peer_of(connection: socket) -> tuple[int, int, int]:
    """Process, user and group at the other end."""
    import socket

    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))


class Short:
    """A path of a socket, however long, in the hundred bytes that the system takes."""

    def __init__(self, path: str) -> None:
        self._folder, _, self._name = path.rpartition("/")
        self._descriptor = -1

    def __enter__(self) -> str:
        self._descriptor = os.open(self._folder or "/", os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._descriptor}/{self._name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def send(connection: socket, message: dict[str, Any]) -> None:
    data = marshal.dumps(message)
    connection.sendall(struct.pack("<Q", len(data)) + data)


def receive(connection: socket) -> dict[str, Any]:
    """The next message; EOFError where the other end is gone, ValueError on what is none."""
    size: int = struct.unpack("<Q", _exactly(connection, 8))[0]
    if size > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {size} bytes")
    return marshal.loads(_exactly(connection, size))


def _exactly(connection: socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise EOFError("the other end is gone")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
