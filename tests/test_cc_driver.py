"""`irwright cc` as builds see it: the compiler's results where it keeps away, smaller objects where it does not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import irwright
from irwright.llvm.toolchain import Toolchain
from irwright.measure import measure_object

ROOT = Path(irwright.__file__).parents[1]
JSON = Path(__file__).parents[1] / "examples" / "json.c"

FILES = {
    "a.c": '#include "a.h"\nint twice(int x) { return add(x, x); }\nint main(void) { return twice(0); }\n',
    "a.h": "static int add(int x, int y) { return x + y; }\n",
    "b.c": "int other(void) { return 3; }\n",
    "warn.c": "int f(int x) { int unused; if (x = 1) return 2; return 0; }\n",
    "broken.c": "int f(void) { return nowhere; }\nint g( {\n",
    "cpp.cc": "namespace n { template <class T> T id(T x) { return x; } }\nint f(int x) { return n::id(x); }\n",
    "asm.s": ".globl f\nf: ret\n",
    "asm.S": "#define NAME f\n.globl NAME\nNAME: ret\n",
    "pre.i": "int pre(void) { return 4; }\n",
    "all.rsp": "-Oz -c\n'a.c' -DX='1 2'\n",
    "lto.rsp": "-Oz -flto -c a.c -o lto.o",
}


@dataclass(frozen=True)
class Ended:
    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class Wrapped:
    """A folder of sources, and how to compile in it."""

    clang: Path
    folder: Path
    cache: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IRWRIGHT_")}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        fast = {"IRWRIGHT_CACHE": str(self.cache), "IRWRIGHT_BUDGET": "2", "IRWRIGHT_VERIFY": "0"}
        return {**kept, "PYTHONPATH": path, **fast, **more}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "irwright", "cc", "--", str(self.clang), *words]

    def cc(self, *words: str, stdin: bytes = b"", **environment: str) -> Ended:
        return self.run(self.command(*words), self.folder, stdin, self.environment(**environment))

    def plainly(self, *words: str, stdin: bytes = b"") -> Ended:
        return self.run([str(self.clang), *words], self.folder, stdin, self.environment())

    @staticmethod
    def run(command: list[str], folder: Path, stdin: bytes, environment: Mapping[str, str]) -> Ended:
        run = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, env=environment, check=False)
        return Ended(run.returncode, run.stdout, run.stderr)

    def events(self) -> list[dict[str, Any]]:
        lines = [path.read_text().splitlines() for path in sorted((self.cache / "cc" / "events").glob("*"))]
        return [json.loads(line) for day in lines for line in day]

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events()]

    def path(self, name: str) -> Path:
        return self.folder / name


def write_files(folder: Path) -> None:
    """The sources and nothing else, older than now, as they always were."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))


@pytest.fixture
def wrapped(tmp_path: Path, tools: Toolchain) -> Wrapped:
    write_files(tmp_path / "work")
    return Wrapped(tools.need_clang(), tmp_path / "work", tmp_path / "cache")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


PASSED = (
    "-Oz a.c b.c -o program",
    "-Oz a.c",
    "-Oz -E a.c",
    "-Oz -E a.c -o a.i",
    "-Oz -E -dM a.c",
    "-Oz -S a.c",
    "-Oz -S a.c -o x.s",
    "-Oz -M a.c",
    "-Oz -MM a.c -MF a.dep",
    "-Oz -fsyntax-only warn.c",
    "-Oz -c asm.s",
    "-Oz -c asm.S -o asm2.o",
    "-Oz -c a.c b.c",
    "-Oz -flto -c a.c",
    "@lto.rsp",
    "-Oz -c -x c a.c -o x.o",
    "-Oz -c -x c++ a.c -o x.o",
    "-Oz -x c -c - -o stdin.o",
    "-Oz -c -save-temps a.c",
    "-Oz -c -emit-llvm a.c",
    "-Oz -c -g -gsplit-dwarf a.c",
    "-Oz -c --coverage a.c",
    "-Oz -c -fprofile-instr-generate a.c",
    "-Oz -c -fsanitize=undefined a.c",
    "-Oz -c -fstack-usage a.c",
    "-Oz -c -MJ a.json -o a.o a.c",
    "-Oz -c -Xclang -disable-llvm-passes a.c",
    "-Oz -c a.c -o /dev/null",
    "-Oz -c a.c -o -",
    "-Oz -c pre.i -mllvm -inline-threshold=1",
    "-Oz -c nowhere.c b.c",
    "-O2 -c warn.c -Wall",
    "-c a.c",
    "-O2 -c broken.c",
    "-Oz -O0 -g -c a.c -o o0.o",
    "-Oz -x c-header a.h -o a.h.pch",
    "-Oz",
    "--version",
    "-dumpmachine",
    "-Oz -c",
    "-Oz --no-such-option -c a.c",
    "-Oz -c a.c -o no/such/folder/a.o -flto",
)


@pytest.mark.parametrize("command", PASSED)
def test_what_passes_through_is_the_compilers(wrapped: Wrapped, command: str) -> None:
    """Exit code, output, diagnostics and every file, byte for byte."""
    words, stdin = command.split(), b"int in(void) { return 1; }\n"
    expected = wrapped.plainly(*words, stdin=stdin)
    wanted = contents(wrapped.folder)
    write_files(wrapped.folder)
    assert wrapped.cc(*words, stdin=stdin) == expected
    assert contents(wrapped.folder) == wanted
    assert wrapped.kinds() == ["pass"]


TUNED = (
    "-Oz -c a.c",
    "-Os -c a.c -o x.o",
    "-O2 -Oz -Wall -c warn.c",
    "-Oz -c cpp.cc -std=c++20",
    "-Oz -c pre.i",
    "@all.rsp",
    "-Oz -MD -c a.c -o out.o",
    "-Oz -MMD -MP -MF deps.mk -MT target -MQ $(x) -c a.c -o out.o",
    "-Oz -fPIC -ffunction-sections -fdata-sections -m32 -c b.c",
    "-Oz -Werror -Wall -c warn.c",
    "-Oz -c broken.c",
    "-Oz -c nowhere.c",
    "-Oz -c a.c -o no/such/folder/a.o",
    "-Oz -c a.c -lm -L/usr/lib",
)


@pytest.mark.parametrize("command", TUNED)
def test_all_but_the_object_is_the_compilers(wrapped: Wrapped, command: str) -> None:
    """Where an object is tuned, and where the cache gives it: exit code, diagnostics and every other file."""
    words = command.split()
    expected = wrapped.plainly(*words)
    wanted = contents(wrapped.folder)
    for time_around in range(2):
        write_files(wrapped.folder)
        assert wrapped.cc(*words) == expected
        found = contents(wrapped.folder)
        assert found.keys() == wanted.keys()
        for name, data in wanted.items():
            if name.endswith(".o"):
                assert measure_object(found[name]).total <= measure_object(data).total
            else:
                assert found[name] == data, name
        if expected.code == 0 and time_around == 1:
            assert wrapped.kinds()[1:] == ["hit"]


def test_a_tuned_object_is_smaller_links_and_runs(wrapped: Wrapped) -> None:
    source = str(JSON)
    assert wrapped.plainly("-Oz", "-c", source, "-o", "plain.o").code == 0
    assert wrapped.cc("-Oz", "-c", source, "-o", "tuned.o", IRWRIGHT_BUDGET="8").code == 0
    plain, tuned = (measure_object(wrapped.path(name).read_bytes()) for name in ("plain.o", "tuned.o"))
    assert tuned.total < plain.total
    (event,) = wrapped.events()
    assert (event["event"], event["plain"], event["tuned"]) == ("tuned", plain.total, tuned.total)
    for name in ("plain", "tuned"):
        assert wrapped.plainly(f"{name}.o", "-o", name).code == 0
    outputs = [wrapped.run([f"./{name}"], wrapped.folder, b"", os.environ) for name in ("plain", "tuned")]
    assert outputs[0] == outputs[1] and outputs[0].code == 0


def test_a_tuned_object_is_compared_with_the_plain_one(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", str(JSON), "-o", "j.o", IRWRIGHT_BUDGET="8", IRWRIGHT_VERIFY="2").code == 0
    (event,) = wrapped.events()
    assert event["event"] == "tuned" and event["different"] == 0
    assert event["equal"] >= 1


def test_a_candidate_that_differs_is_left_out(
    wrapped: Wrapped, in_process: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from irwright.cc import tuning
    from irwright.verify.differ import FunctionVerdict, ObjectVerdict, VerdictKind

    compared: list[int] = []

    def compare(_plain: bytes, candidate: bytes, *_: object) -> ObjectVerdict:
        compared.append(measure_object(candidate).total)
        kind = VerdictKind.DIFFERENT if len(compared) == 1 else VerdictKind.EQUAL
        counts = {"seed": 1, "num_runs": 8, "num_conclusive": 8, "blocks": 1, "blocks_covered": 1}
        return ObjectVerdict(functions=(FunctionVerdict(function="f", kind=kind, reason="returns 1", **counts),))

    monkeypatch.setattr(tuning, "_compare", compare)
    monkeypatch.setenv("IRWRIGHT_VERIFY", "8")
    monkeypatch.setenv("IRWRIGHT_BUDGET", "8")
    monkeypatch.setenv("IRWRIGHT_LOG", "log.txt")
    assert in_process("-Oz", "-c", str(JSON), "-o", "j.o") == (0, "")
    (event,) = wrapped.events()
    assert (event["rejected"], event["different"]) == (1, 1)
    assert len(compared) == 2 and event["tuned"] == compared[1] >= compared[0]
    assert "rejected: f differs: returns 1 (" in wrapped.path("log.txt").read_text()


def test_debug_information_stays(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-g", "-c", str(JSON), "-o", "j.o", IRWRIGHT_BUDGET="8").code == 0
    assert wrapped.kinds() == ["tuned"]
    data = wrapped.path("j.o").read_bytes()
    assert b".debug_info" in data and b"json.c" in data


def test_always_and_disable(wrapped: Wrapped) -> None:
    assert wrapped.cc("-O2", "-c", "a.c", IRWRIGHT_ALWAYS="1").code == 0
    assert wrapped.kinds() in (["tuned"], ["kept"])
    assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_DISABLE="1").code == 0
    assert len(wrapped.kinds()) == 1
    assert wrapped.plainly("-Oz", "-c", "b.c", "-o", "plain.o").code == 0
    assert wrapped.path("b.o").read_bytes() == wrapped.path("plain.o").read_bytes()


def test_a_time_is_a_budget_too(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "a.c", IRWRIGHT_BUDGET="1s").code == 0
    assert wrapped.kinds() in (["tuned"], ["kept"])


# ------------------------------------------------------------------ the cache


def test_a_changed_header_is_compiled_again(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    first = wrapped.path("a.o").read_bytes()
    wrapped.path("a.h").write_text("static int add(int x, int y) { return x * y + 12345; }\n")
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    assert wrapped.path("a.o").read_bytes() != first
    wrapped.path("a.h").write_text(FILES["a.h"])
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    assert wrapped.path("a.o").read_bytes() == first
    assert [kind == "hit" for kind in wrapped.kinds()] == [False, False, True]


@pytest.mark.parametrize("change", ["-DX=1", "-Os", "-g", "-Wall", "budget"])
def test_another_option_is_another_compile(wrapped: Wrapped, change: str) -> None:
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    words, environment = ([], {"IRWRIGHT_BUDGET": "1"}) if change == "budget" else ([change], {})
    assert wrapped.cc("-Oz", "-c", "a.c", *words, **environment).code == 0
    assert "hit" not in wrapped.kinds()


def test_a_hit_without_a_manifest_preprocesses(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    manifests = list((wrapped.cache / "cc" / "objects").rglob("*.manifest"))
    assert len(manifests) == 1
    manifests[0].unlink()
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    assert wrapped.kinds()[1:] == ["hit"]
    assert manifests[0].exists(), "and notes the files again"


def test_the_time_of_day_is_never_remembered(wrapped: Wrapped) -> None:
    wrapped.path("time.c").write_text("const char *now = __TIME__;\n")
    os.utime(wrapped.path("time.c"), (1000, 1000))
    wrapped.cc("-Oz", "-c", "time.c")
    time.sleep(1.1)
    wrapped.cc("-Oz", "-c", "time.c")
    assert "hit" not in wrapped.kinds()


def test_a_damaged_entry_is_made_again(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    first = wrapped.path("a.o").read_bytes()
    (entry,) = (wrapped.cache / "cc" / "objects").rglob("*.entry")
    entry.write_bytes(entry.read_bytes()[:-5])
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    assert wrapped.path("a.o").read_bytes() == first
    assert "hit" not in wrapped.kinds()
    assert wrapped.cc("-Oz", "-c", "a.c").code == 0
    assert wrapped.kinds()[-1] == "hit"


def test_the_cache_can_be_off_or_unwritable(wrapped: Wrapped) -> None:
    for _ in range(2):
        assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_CC_CACHE="off") == Ended(0, b"", b"")
    assert "hit" not in wrapped.kinds()
    for _ in range(2):
        assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_CACHE="/proc/irwright") == Ended(0, b"", b"")


def test_a_hit_that_can_not_be_written_is_the_compilers_error(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "b.c").code == 0
    words = ("-Oz", "-c", "b.c", "-o", "no/such/folder/b.o")
    assert wrapped.cc(*words) == wrapped.plainly(*words)


def test_two_builds_at_once(wrapped: Wrapped) -> None:
    commands = [wrapped.command("-Oz", "-c", "a.c", "-o", f"a{number % 2}.o") for number in range(4)]
    runs = [
        subprocess.Popen(command, cwd=wrapped.folder, env=wrapped.environment(), stderr=subprocess.PIPE)
        for command in commands
    ]
    assert [run.communicate()[1] for run in runs] == [b""] * 4
    assert [run.returncode for run in runs] == [0] * 4
    assert wrapped.path("a0.o").read_bytes() == wrapped.path("a1.o").read_bytes()
    assert leftovers(wrapped) == []


def leftovers(wrapped: Wrapped) -> list[Path]:
    return [path for folder in (wrapped.folder, wrapped.cache) for path in folder.rglob("*.tmp")]


# ------------------------------------------------------------------ what goes wrong


@pytest.fixture
def slow(wrapped: Wrapped) -> Iterator[subprocess.Popen[bytes]]:
    """A tune that takes long, stopped while it searches."""
    environment = wrapped.environment(IRWRIGHT_BUDGET="60s", TMPDIR=str(wrapped.cache.parent / "tmp"))
    (wrapped.cache.parent / "tmp").mkdir()
    command = wrapped.command("-Oz", "-c", str(JSON), "-o", "j.o")
    process = subprocess.Popen(command, cwd=wrapped.folder, env=environment, start_new_session=True)
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


@pytest.fixture
def in_process(
    wrapped: Wrapped, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """The driver in this process, so that parts of it can be broken."""
    from irwright.cc.driver import main

    for name, value in wrapped.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(wrapped.folder)

    def run(*words: str) -> tuple[int, str]:
        capfd.readouterr()
        code = main([str(wrapped.clang), *words])
        return code, capfd.readouterr().err

    return run


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


def test_a_failure_before_the_compile_leaves_it_to_the_compiler(wrapped: Wrapped) -> None:
    code = (
        "import irwright.cc.driver as d, sys\n"
        "def fail(*_): raise RuntimeError('no\\nkey')\n"
        "d.hash_of = fail\nsys.exit(d.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(wrapped.clang), "-Oz", "-c", "b.c"]
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    assert ended == Ended(0, b"", b"irwright cc: b.c: RuntimeError: no key: left to the compiler\n")
    assert wrapped.path("b.o").exists()


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


def test_start_up_imports_nothing_heavy(wrapped: Wrapped) -> None:
    """A pass-through and a hit must not pay for what only a search needs."""
    code = (
        "import sys, irwright.cc.driver as d, irwright.start\n"
        "d._become = lambda words: 0\n"
        "d.main([sys.argv[1], '-E', 'a.c']); d.main([sys.argv[1], '-Oz', '-c', 'b.c'])\n"
        "heavy = {'click', 'dataclasses', 'typing', 're', 'json', 'subprocess', 'pathlib', 'irwright.tuner'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert wrapped.cc("-Oz", "-c", "b.c").code == 0
    command = [
        sys.executable,
        "-IS",
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}",
        str(wrapped.clang),
    ]
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    assert ended == Ended(0, b"[]\n", b"")
    assert wrapped.kinds()[1:] == ["pass", "hit"]


# ------------------------------------------------------------------ wrappers and statistics


def test_installed_wrappers_are_compilers(wrapped: Wrapped) -> None:
    command = [sys.executable, "-m", "irwright", "cc", "--install", "bin", "--", str(wrapped.clang)]
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    names = ["bin/clang", "bin/cc", "bin/clang++", "bin/c++"]
    assert (ended.code, ended.out.decode().split()) == (0, names)
    for name, source in zip(names, ("a.c", "b.c", "cpp.cc", "a.c"), strict=True):
        ended = wrapped.run([f"./{name}", "-Oz", "-c", source], wrapped.folder, b"", wrapped.environment())
        assert ended.code == 0, ended
        assert (b"deprecated" in ended.err) == (name == "bin/c++"), "clang++ takes .c as C++ and says so"
    assert all(kind in ("tuned", "kept") for kind in wrapped.kinds())


def test_statistics_of_a_build(wrapped: Wrapped) -> None:
    for words in ("-Oz -c a.c", "-Oz -c a.c", "-Oz -E a.c", "a.o -o a"):
        assert wrapped.cc(*words.split()).code == 0
    command = [sys.executable, "-m", "irwright", "cc", "--stats"]
    stats = wrapped.run([*command, "--json"], wrapped.folder, b"", wrapped.environment())
    data = json.loads(stats.out)
    assert data["compiles"]["hit"] == 1 and data["objects"] == 1
    assert data["passed_through"] == {"only preprocesses or checks": 1, "links": 1}
    assert data["cache_bytes"] > 0
    text = wrapped.run([*command, "--clear", "--clear-cache"], wrapped.folder, b"", wrapped.environment())
    assert b"1 from the cache" in text.out
    data = json.loads(wrapped.run([*command, "--json"], wrapped.folder, b"", wrapped.environment()).out)
    assert data["objects"] == 0 and data["cache_bytes"] == 0


def test_the_log_tells_what_was_done(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_LOG="log.txt").code == 0
    assert wrapped.cc("-Oz", "-E", "b.c", IRWRIGHT_LOG="log.txt").code == 0
    first, second = wrapped.path("log.txt").read_text().splitlines()
    assert " b.c -> b.o in " in first
    assert second.endswith(f"only preprocesses or checks: {wrapped.clang} -Oz -E b.c")


def test_the_older_entry_point_works_too(wrapped: Wrapped) -> None:
    command = [sys.executable, "-c", "from irwright.cli import main; main()", "cc", "--"]
    ended = wrapped.run([*command, str(wrapped.clang), "-Oz", "-c", "b.c"], wrapped.folder, b"", wrapped.environment())
    assert ended == Ended(0, b"", b"")
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    assert ended.code == 2
    assert b"name the compiler after --, as in: irwright cc -- clang -Oz -c foo.c" in ended.err


# ------------------------------------------------------------------ build systems

PROGRAMS = Path(__file__).parents[1] / "examples"


def need(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")


def test_make_builds_the_examples_in_parallel(wrapped: Wrapped) -> None:
    need("make")
    sources = sorted(PROGRAMS.glob("*.c"))[:5]
    names = [source.stem for source in sources]
    for source in sources:
        shutil.copy(source, wrapped.folder)
    wrapped.path("Makefile").write_text(
        f"all: {' '.join(names)}\n%: %.c\n%.o: %.c\n\t$(CC) -Oz -c $<\n%: %.o\n\t$(CC) $< -o $@ -lm\n"
    )
    cc = " ".join(wrapped.command())
    ended = wrapped.run(["make", "-j2", f"CC={cc}"], wrapped.folder, b"", wrapped.environment())
    assert ended.code == 0, ended.err.decode()
    kinds = wrapped.kinds()
    assert kinds.count("pass") == 5 and "failed" not in kinds and len(kinds) == 10
    for name in names:
        assert wrapped.plainly("-Oz", f"{name}.c", "-o", f"{name}.plain", "-lm").code == 0
        runs = [wrapped.run([f"./{name}{end}"], wrapped.folder, b"", os.environ) for end in ("", ".plain")]
        assert runs[0] == runs[1]


@pytest.mark.parametrize("how", ["launcher", "variable"])
def test_cmake_builds_with_it(wrapped: Wrapped, how: str) -> None:
    need("cmake", "make")
    wrapped.path("CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(mini C)\nadd_library(b SHARED b.c)\n"
        "add_executable(program a.c)\ntarget_link_libraries(program b)\n"
    )
    launch = ";".join(wrapped.command()[:-1])
    environment, words = wrapped.environment(CC=str(wrapped.clang)), [f"-DCMAKE_C_COMPILER_LAUNCHER={launch}"]
    if how == "variable":
        environment, words = wrapped.environment(CC=" ".join(wrapped.command())), []
    configure = ["cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=MinSizeRel", *words]
    for command in (configure, ["cmake", "--build", "build"]):
        ended = wrapped.run(command, wrapped.folder, b"", environment)
        assert ended.code == 0, ended.out.decode() + ended.err.decode()
    assert sum(kind in ("tuned", "kept") for kind in wrapped.kinds()) == 2
    assert wrapped.run(["build/program"], wrapped.folder, b"", os.environ).code == 0


def test_meson_builds_with_it(wrapped: Wrapped) -> None:
    need("meson", "ninja")
    wrapped.path("meson.build").write_text("project('mini', 'c')\nexecutable('program', 'a.c', 'b.c')\n")
    environment = wrapped.environment(CC=" ".join(wrapped.command()))
    for command in (["meson", "setup", "build", "--buildtype=minsize"], ["ninja", "-C", "build"]):
        ended = wrapped.run(command, wrapped.folder, b"", environment)
        assert ended.code == 0, ended.out.decode() + ended.err.decode()
    assert sum(kind in ("tuned", "kept") for kind in wrapped.kinds()) == 2
    assert wrapped.run(["build/program"], wrapped.folder, b"", os.environ).code == 0
