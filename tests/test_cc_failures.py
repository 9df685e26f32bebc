"""What goes wrong in `irwright cc` leaves the plain object, and nothing else."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from irwright.errors import IrwrightError
from irwright.measure import measure_object
from irwright.symbols import read_symbols
from wrapped import JSON, Ended, Wrapped, leftovers


def heed_signals() -> None:
    """Shells let what they start in the background ignore SIGINT, and nohup SIGHUP."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def slow(wrapped: Wrapped) -> Iterator[subprocess.Popen[bytes]]:
    """A tune that takes long, stopped while it searches."""
    environment = wrapped.environment(IRWRIGHT_BUDGET="60s", TMPDIR=str(wrapped.cache.parent / "tmp"))
    (wrapped.cache.parent / "tmp").mkdir()
    command = wrapped.command("-Oz", "-c", str(JSON), "-o", "j.o")
    process = subprocess.Popen(
        command, cwd=wrapped.folder, env=environment, start_new_session=True, preexec_fn=heed_signals
    )
    deadline = time.monotonic() + 60
    while not (wrapped.path("j.o").exists() and any((wrapped.cache.parent / "tmp").glob("*/seed.bc"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while not workers(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    yield process
    process.kill()
    process.wait()


def workers(group: int) -> list[int]:
    """Processes of a session beside its leader."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[3]) == group and entry.name != str(group) and fields[0] != "Z" and b"irwright" in words:
            found.append(int(entry.name))
    return found


def check_plain_object_stands(wrapped: Wrapped) -> None:
    assert wrapped.plainly("-Oz", "-c", str(JSON), "-o", "plain.o").code == 0
    assert wrapped.path("j.o").read_bytes() == wrapped.path("plain.o").read_bytes()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(wrapped: Wrapped, slow: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    slow.send_signal(sent)
    assert slow.wait(timeout=10) == -sent
    assert workers(slow.pid) == []
    check_plain_object_stands(wrapped)
    assert leftovers(wrapped) == [] and list((wrapped.cache.parent / "tmp").iterdir()) == []


def test_kill_leaves_the_plain_object_and_no_worker(wrapped: Wrapped, slow: subprocess.Popen[bytes]) -> None:
    slow.kill()
    slow.wait()
    deadline = time.monotonic() + 10
    while workers(slow.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert workers(slow.pid) == []
    check_plain_object_stands(wrapped)
    assert wrapped.cc("-Oz", "-c", str(JSON), "-o", "j.o").code == 0, "and the next build works"


def test_kills_at_random_points_leave_whole_objects_and_a_sound_cache(wrapped: Wrapped) -> None:
    """Killed anywhere, a compile leaves no object, the plain one or the tuned one; the cache never gives another."""
    words = ("-Oz", "-c", str(JSON), "-o", "j.o")
    settings = {"IRWRIGHT_BUDGET": "8", "IRWRIGHT_VERIFY": "1"}
    assert wrapped.plainly("-Oz", "-c", str(JSON), "-o", "plain.o").code == 0
    plain = wrapped.path("plain.o").read_bytes()
    started = time.monotonic()
    assert wrapped.cc(*words, **settings, IRWRIGHT_CACHE=str(wrapped.cache.parent / "other")).code == 0
    seconds = time.monotonic() - started
    assert is_whole(wrapped.path("j.o"), plain) and wrapped.path("j.o").read_bytes() != plain
    rng = random.Random(9)
    codes: list[int] = []
    for part in range(4):
        wrapped.path("j.o").unlink(missing_ok=True)
        process = subprocess.Popen(wrapped.command(*words), cwd=wrapped.folder, env=wrapped.environment(**settings))
        if part < 3:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait((part + rng.random()) / 3 * seconds)
        else:  # at the first sight of an object that is not the plain one
            while process.poll() is None and content(wrapped.path("j.o")) in (b"", plain):
                time.sleep(0.001)
        process.kill()
        codes.append(process.wait())
        # The plain compiler may outlive its parent and still be writing; nothing of ours does.
        deadline = time.monotonic() + 20
        while not is_whole(wrapped.path("j.o"), plain):
            assert time.monotonic() < deadline, "part of an object"
            time.sleep(0.02)
    assert -signal.SIGKILL in codes[:3]
    last = wrapped.cc(*words, **settings)
    assert (last.code, last.err) == (0, b"")
    made = wrapped.path("j.o").read_bytes()
    assert is_whole(wrapped.path("j.o"), plain) and made != plain
    wrapped.path("j.o").unlink()
    assert wrapped.cc(*words, **settings).code == 0
    assert wrapped.kinds()[-1] == "hit" and wrapped.path("j.o").read_bytes() == made


def content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def is_whole(path: Path, plain: bytes) -> bool:
    """No object, the plain one, or a smaller one of the same symbols."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return True
    if data == plain:
        return True
    try:
        same = read_symbols(data).strong == read_symbols(plain).strong
        return same and measure_object(data).total < measure_object(plain).total
    except IrwrightError:
        return False


@pytest.fixture
def full(tmp_path: Path) -> list[str]:
    """The words that run a command with 16 KiB of disk at `tmp_path/full`."""
    (tmp_path / "full").mkdir()
    mount = f'mount -t tmpfs -o size=16k none {tmp_path / "full"} && exec "$@"'
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    return words


def test_a_cache_on_a_full_disk_costs_no_result(wrapped: Wrapped, tmp_path: Path, full: list[str]) -> None:
    words = ("-Oz", "-c", str(JSON), "-o")
    assert wrapped.cc(*words, "other.o").code == 0
    cache, log = tmp_path / "full", wrapped.path("log.txt")
    filled = f'head -c 16384 /dev/zero > {cache}/zeros 2>&1; "$@" && "$@"'  # twice: the cache gives nothing
    command = [*full, "sh", "-c", filled, "sh", *wrapped.command(*words, "j.o")]
    environment = wrapped.environment(IRWRIGHT_CACHE=str(cache), IRWRIGHT_LOG=str(log))
    assert wrapped.run(command, wrapped.folder, b"", environment) == Ended(0, b"", b"")
    assert wrapped.path("j.o").read_bytes() == wrapped.path("other.o").read_bytes()
    assert "No space left on device" in log.read_text() and "hit" not in log.read_text()


def test_a_result_on_a_full_disk_is_the_plain_object(wrapped: Wrapped, tmp_path: Path, full: list[str]) -> None:
    """There is room for the plain object, and none for a second one beside it."""
    assert wrapped.plainly("-Oz", "-c", str(JSON), "-o", "plain.o").code == 0
    size = wrapped.path("plain.o").stat().st_size
    assert 8192 < size <= 16384
    output = tmp_path / "full" / "j.o"
    kept = f'"$@" && cat {output}'
    command = [*full, "sh", "-c", kept, "sh", *wrapped.command("-Oz", "-c", str(JSON), "-o", str(output))]
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment(IRWRIGHT_BUDGET="8"))
    assert ended.code == 0
    assert ended.out == wrapped.path("plain.o").read_bytes()
    assert ended.err == f"irwright cc: {JSON}: [Errno 28] No space left on device: plain object kept\n".encode()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("one\ntwo"), "a.c: one: plain object kept"),
        (MemoryError(), "a.c: MemoryError: plain object kept"),
        (OSError(28, "No space left on device"), "a.c: [Errno 28] No space left on device: plain object kept"),
    ],
)
def test_a_failure_keeps_the_plain_object_and_says_one_line(
    wrapped: Wrapped,
    in_process: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    said: str,
) -> None:
    import irwright.cc.tuning

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(irwright.cc.tuning, "tune_object", fail)
    assert in_process("-Oz", "-c", "a.c") == (0, f"irwright cc: {said}\n")
    assert wrapped.plainly("-Oz", "-c", "a.c", "-o", "plain.o").code == 0
    assert wrapped.path("a.o").read_bytes() == wrapped.path("plain.o").read_bytes()
    assert wrapped.kinds() == ["failed"]
    monkeypatch.undo()
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    assert wrapped.kinds()[1] != "hit", "a failure is not remembered"


@pytest.mark.parametrize(("part", "where"), [("hash_of", "b.c: "), ("identify", "")])
def test_a_failure_before_the_compile_leaves_it_to_the_compiler(wrapped: Wrapped, part: str, where: str) -> None:
    code = (
        "import irwright.cc.driver as d, sys\n"
        "def fail(*_): raise RuntimeError('no\\nkey')\n"
        f"d.{part} = fail\nsys.exit(d.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(wrapped.clang), "-Oz", "-c", "b.c"]
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    assert ended == Ended(0, b"", f"irwright cc: {where}RuntimeError: no key: left to the compiler\n".encode())
    assert wrapped.path("b.o").exists()


def test_a_closed_stderr_is_no_matter(wrapped: Wrapped) -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *wrapped.command("-Oz", "-c", "warn.c")]
    for _ in range(2):
        assert wrapped.run(command, wrapped.folder, b"", wrapped.environment()).code == 0
    assert wrapped.kinds()[1:] == ["hit"]


def test_exit_codes_are_seen_where_a_parent_ignores_its_children(wrapped: Wrapped) -> None:
    for source, code in (("broken.c", 1), ("b.c", 0)):
        command = ["bash", "-c", 'trap "" CHLD; exec "$@"', "bash", *wrapped.command("-Oz", "-c", source)]
        assert wrapped.run(command, wrapped.folder, b"", wrapped.environment()).code == code


def test_a_bad_budget_is_a_failure_of_ours(wrapped: Wrapped) -> None:
    ended = wrapped.cc("-Oz", "-c", "a.c", IRWRIGHT_BUDGET="many")
    assert ended.code == 0
    assert ended.err.decode() == (
        "irwright cc: a.c: bad budget 'many'; give compilations (16) or a time (30s, 5m, 1h): plain object kept\n"
    )


def test_another_compiler_passes_through_and_is_told_once(wrapped: Wrapped) -> None:
    compiler = wrapped.path("mycc")
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && echo mycc 1.0 && exit\necho compiled > b.o\nexit 3\n')
    compiler.chmod(0o755)
    command = [sys.executable, "-m", "irwright", "cc", "--", "./mycc", "-Oz", "-c", "b.c"]
    ended = [wrapped.run(command, wrapped.folder, b"", wrapped.environment()) for _ in range(2)]
    assert [run.code for run in ended] == [3, 3]
    said = f"irwright cc: {compiler} is no clang of LLVM (mycc 1.0): its objects are left as they are\n"
    assert [run.err.decode() for run in ended] == [said, ""]
    assert wrapped.path("b.o").read_text() == "compiled\n"


def test_a_compiler_that_is_not_there(wrapped: Wrapped) -> None:
    command = [sys.executable, "-m", "irwright", "cc", "--", "no-such-cc", "-Oz", "-c", "b.c"]
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    assert ended.code == 127
    assert ended.err.decode() == (
        "irwright cc: error: 'no-such-cc' does not run (No such file or directory); name a compiler after --\n"
    )


def test_a_target_without_backend_passes_through(wrapped: Wrapped) -> None:
    words = ("--target=powerpc64-linux-gnu", "-Oz", "-nostdinc", "-c", "b.c")
    expected = wrapped.plainly(*words)
    assert wrapped.cc(*words) == expected
    assert wrapped.events()[0]["reason"] == "other target"


def test_a_call_that_oz_removes_stays_removed(wrapped: Wrapped) -> None:
    """Programs count on dead calls being gone: a candidate that keeps one would not link."""
    wrapped.path("dead.c").write_text(
        "extern void no_such_function(void);\nstatic int size(void) { return sizeof(int); }\n"
        "int f(int *p, int n) { int s = 0; if (size() != sizeof(int)) no_such_function();\n"
        "for (int i = 0; i < n; i++) s += p[i] * i; return s; }\n"
        "int main(void) { int a[3] = {0, 0, 0}; return f(a, 3); }\n"
    )
    assert wrapped.cc("-Oz", "-c", "dead.c", IRWRIGHT_BUDGET="16").code == 0
    assert wrapped.plainly("dead.o", "-o", "dead").code == 0
