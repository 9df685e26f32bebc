"""`irwright cc` as builds see it: the compiler's results where it keeps away, smaller objects where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from irwright.cc import driver
from irwright.measure import measure_object
from wrapped import FILES, JSON, ROOT, Ended, Wrapped, contents, leftovers, write_files

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


def test_how_code_is_generated_is_left_alone_where_that_is_asked(wrapped: Wrapped) -> None:
    """A switch that is part of what the cache knows an object by."""
    made: list[bytes] = []
    for asked in ("0", "1"):
        settings = {"IRWRIGHT_BUDGET": "2", "IRWRIGHT_CC_CACHE": "1G", "IRWRIGHT_LISTS_ONLY": asked}
        assert wrapped.cc("-Oz", "-c", str(JSON), "-o", "j.o", **settings).code == 0
        made.append(wrapped.path("j.o").read_bytes())
    plain, lists = (event["event"] for event in wrapped.events())
    assert plain == "tuned" and lists in ("tuned", "kept")
    frames = [data.count(b"\x55\x48\x89\xe5") for data in made]  # push %rbp; mov %rsp, %rbp
    assert frames[0] > frames[1] == 0


def test_a_candidate_that_differs_is_left_out(
    wrapped: Wrapped, in_process: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from irwright.cc import tuning
    from irwright.verify.verdicts import FunctionVerdict, ObjectVerdict, VerdictKind

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


def test_targets_of_a_build_share_what_was_tuned(wrapped: Wrapped) -> None:
    """As Meson and CMake compile a source for several targets: objects and dependency files of their own."""
    for name in ("one", "two", "three"):
        words = ["-DX=1"] if name == "three" else []
        wrapped.path(f"{name}.o").write_bytes(b"old")
        ended = wrapped.cc("-Oz", "-c", "a.c", *words, "-MD", "-MQ", f"{name}.o", "-MF", f"{name}.d", "-o", f"{name}.o")
        assert ended == Ended(0, b"", b"")
        assert wrapped.path(f"{name}.d").read_text().startswith(f"{name}.o: a.c a.h")
    assert wrapped.kinds()[:2] == [wrapped.kinds()[0], "hit"] and wrapped.kinds()[2] != "hit"
    assert wrapped.path("one.o").read_bytes() == wrapped.path("two.o").read_bytes()
    assert wrapped.cc("-Oz", "-c", "a.c", "-MD", "-MQ", "two.o", "-MF", "two.d", "-o", "two.o") == Ended(0, b"", b"")
    assert wrapped.kinds()[3] == "hit" and wrapped.path("two.d").read_text().startswith("two.o: ")


def test_tables_are_part_of_what_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(driver.irwright, "__file__", str(tmp_path / "__init__.py"))
    stamps = [driver.tables_stamp("19.1.7")]
    for name in ("coreset-oz-22.json", "feedback-oz-22.npz", "feedback-oz-19.npz"):
        (tmp_path / "data" / name).write_text("x")
        stamps.append(driver.tables_stamp("19.1.7"))
    assert len(set(stamps)) == 4


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


def test_start_up_imports_nothing_heavy(wrapped: Wrapped) -> None:
    """A pass-through and a hit must not pay for what only a search needs."""
    code = (
        "import sys, irwright.cc.driver as d, irwright.start\n"
        "d._become = lambda words: 0\n"
        "d.main([sys.argv[1], '-E', 'a.c']); d.main([sys.argv[1], '-Oz', '-c', 'b.c'])\n"
        "heavy = {'click', 'dataclasses', 'typing', 're', 'json', '_hashlib', 'subprocess', 'pathlib', 'ctypes'}\n"
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
