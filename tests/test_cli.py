"""The command line as a user meets it: what it prints, where, and how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import Run, Seeds
from irwright.llvm.clang import baseline
from irwright.llvm.toolchain import Toolchain
from irwright.measure import measure_object

KEYS = {
    "file",
    "target",
    "protocol",
    "baseline_bytes",
    "tuned_bytes",
    "num_compilations",
    "seconds",
    "output",
    "verified",
}


def test_help_and_version(irwright: Run) -> None:
    for words in (["-h"], ["--help"], ["tune", "-h"], ["explain", "--help"], ["corpus", "fetch", "-h"]):
        assert irwright(*words).code == 0
    assert irwright("--version").out.startswith("irwright 0.")
    text = irwright("-h").out
    assert [
        text.index(f"\n  {name} ") for name in ("tune", "explain", "doctor", "passes", "corpus", "coreset")
    ] == sorted(text.index(f"\n  {name} ") for name in ("tune", "explain", "doctor", "passes", "corpus", "coreset"))


def test_help_loads_no_heavy_module() -> None:
    heavy = {"rich", "pyarrow", "irwright.tuner", "irwright.passes"}
    code = f"import sys, irwright.cli; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_table_of_files_and_their_total(irwright: Run, seeds: Seeds, tmp_path: Path) -> None:
    ended = irwright("tune", "-b", "3", "-o", tmp_path / "out", seeds.source("machine"), seeds.source("numbers"))
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].split() == [
        "file",
        "-Oz",
        "bytes",
        "tuned",
        "saved",
        "%",
        "tried",
        "seconds",
        "equal",
        "pass",
        "list",
    ]
    assert lines[3].startswith("total ")
    assert "protocol oz, clang" in ended.out
    assert "budget 3 compilations a file, seed 0" in ended.out
    assert "code alone: " in ended.out
    assert lines[-1] == "wrote 2 files"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"machine.o", "numbers.o"}
    tuned = int(lines[1].split()[2].replace(",", ""))
    assert measure_object((tmp_path / "out" / "machine.o").read_bytes()).total == tuned


def test_nothing_is_written_unasked(
    irwright: Run, seeds: Seeds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = irwright("tune", "-b", "1", seeds.source("numbers"))
    assert ended.out.endswith("nothing written; -o keeps the results\n")
    assert not list(tmp_path.iterdir())


def test_json(irwright: Run, seeds: Seeds, tmp_path: Path) -> None:
    ended = irwright("tune", "-b", "3", "--json", "-o", tmp_path / "x.o", seeds.source("machine"))
    (row,) = json.loads(ended.out)
    assert set(row) - {"pass_list", "functions", "lowering"} == KEYS
    assert ("pass_list" in row) != ("functions" in row)
    assert row["output"] == str(tmp_path / "x.o")
    assert row["tuned_bytes"] == measure_object((tmp_path / "x.o").read_bytes()).total
    assert row["num_compilations"] == 3


@pytest.mark.parametrize(("kind", "suffix"), [("bc", ".bc"), ("ll", ".ll"), ("asm", ".s")])
def test_emit(irwright: Run, seeds: Seeds, tmp_path: Path, kind: str, suffix: str) -> None:
    assert irwright("tune", "-b", "1", "--emit", kind, "-o", f"{tmp_path}/", seeds.source("numbers")).code == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"numbers{suffix}"]


def test_standard_input_and_output(seeds: Seeds) -> None:
    command = [sys.executable, "-m", "irwright", "tune", "-b", "1", "--emit", "ll", "-", "-o", "-"]
    run = subprocess.run(command, input=seeds.bitcode("numbers"), capture_output=True, check=True)
    assert run.stdout.startswith(b"; ModuleID")
    assert b"<stdin>" in run.stderr  # the table makes room


def test_compile_commands(irwright: Run, tools: Toolchain, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "build").mkdir()
    (tmp_path / "src" / "v.h").write_text("#define V 3\n")
    for name in ("a", "b"):
        (tmp_path / "src" / f"{name}.c").write_text(f'#include "v.h"\nint {name}(int x) {{ return x * V + W; }}\n')
    entries = [
        {
            "directory": str(tmp_path / "build"),
            "file": f"../src/{name}.c",
            "command": f"cc -O2 -I../src -DW={w} -c ../src/{name}.c -o {name}.o",
        }
        for name, w in (("a", 1000), ("b", 0))
    ]
    (tmp_path / "build" / "compile_commands.json").write_text(json.dumps(entries))
    out = tmp_path / "out"
    ended = irwright("tune", "-b", "2", "-p", tmp_path / "build", "--json", "-o", out)
    rows = json.loads(ended.out)
    assert [Path(row["output"]).name for row in rows] == ["a.o", "b.o"]
    alone = baseline(tools.need_clang(), tmp_path / "src" / "a.c", [f"-I{tmp_path / 'src'}", "-DW=1000"])
    assert rows[0]["baseline_bytes"] == measure_object(alone).total > rows[1]["baseline_bytes"]
    (row,) = json.loads(irwright("tune", "-b", "1", "-p", tmp_path / "build", "--json", tmp_path / "src" / "b.c").out)
    assert Path(row["file"]).name == "b.c"


def test_one_bad_file_among_many(irwright: Run, seeds: Seeds, tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("int f( {")
    (tmp_path / "cut.bc").write_bytes(seeds.bitcode("machine")[:999])
    ended = irwright(
        "tune", "-b", "1", "-o", tmp_path / "out", tmp_path / "bad.c", seeds.source("numbers"), tmp_path / "cut.bc"
    )
    assert ended.code == 1
    first, second = ended.err.splitlines()
    assert first.startswith(f"irwright: error: {tmp_path / 'bad.c'}: does not compile: ")
    assert second.startswith(f"irwright: error: {tmp_path / 'cut.bc'}: broken bitcode (")
    assert ended.out.count("not tuned, see the error") == 2
    assert "2 failed" in ended.out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["numbers.o"]


def test_no_file_is_a_usage_error(irwright: Run) -> None:
    assert "name the files to tune, or a compile_commands.json with -p" in irwright("tune").err


def test_errors_are_one_line_and_debug_shows_the_traceback(irwright: Run) -> None:
    ended = irwright("tune", "missing.c")
    assert ended == (1, "", "irwright: error: missing.c: can't be read: No such file or directory\n")
    ended = irwright("--debug", "tune", "missing.c")
    assert ended.err.startswith("Traceback")
    assert ended.err.endswith("irwright: error: missing.c: can't be read: No such file or directory\n")


def test_the_error_of_a_target_names_the_file(irwright: Run, seeds: Seeds) -> None:
    ended = irwright("tune", "--target", "vax", seeds.source("numbers"))
    assert ended.code == 1
    assert ended.err.startswith(f"irwright: error: {seeds.source('numbers')}: unknown target 'vax'; known are ")


def test_an_unknown_pass(irwright: Run, seeds: Seeds) -> None:
    ended = irwright("explain", "--passes", "sroa,instcombin", seeds.source("numbers"))
    assert ended.code == 1
    assert (
        ended.err
        == "irwright: error: unknown pass 'instcombin' at column 6 of 'sroa,instcombin'; did you mean 'instcombine'?\n"
    )


def test_interrupted_with_trials_kept_and_no_output(seeds: Seeds, tmp_path: Path) -> None:
    """Ctrl-C in a search that would take an hour, with two files under way in threads and with one."""
    for sources in ([seeds.source("machine"), seeds.source("numbers")], [seeds.source("machine")]):
        trials = tmp_path / f"trials-{len(sources)}"
        command = [sys.executable, "-m", "irwright", "tune", "-b", "1h", "--strategy", "random", "-j", "2"]
        process = subprocess.Popen(
            [*command, "--trials", trials, "-o", f"{tmp_path}/out/", *sources],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background of a shell is started with SIGINT ignored, and would hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        until = time.monotonic() + 60
        while len(list(trials.glob("*/trials-*.parquet"))) < len(sources) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err.strip()) == (130, "", "irwright: interrupted")
        assert not list((tmp_path / "out").iterdir())
        assert len(list(trials.iterdir())) == len(sources)
        assert not list(trials.rglob("*.tmp"))


def test_a_reader_that_goes_away(seeds: Seeds) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "irwright", "passes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    process.wait(30)
    assert error == b""


def test_doctor(irwright: Run, tools: Toolchain) -> None:
    ended = irwright("doctor")
    assert ended.code == 0
    assert str(tools.library.path) in ended.out
    assert os.environ["IRWRIGHT_CACHE"] in ended.out
    facts = json.loads(irwright("doctor", "--json").out)
    assert facts["healthy"]
    assert str(tools.library.path) in [library["path"] for library in facts["libraries"]]
    states = {state["target"]: state for state in facts["targets"]}
    assert states["x86_64"]["ready"] or states["aarch64"]["ready"]
    for state in states.values():
        assert state["ready"] or "install" in state["remedy"]


def test_passes(irwright: Run) -> None:
    ended = irwright("passes")
    assert "\niroutliner " in ended.out or "\niroutliner\n" in ended.out
    assert int(ended.out.splitlines()[-1].split()[0]) >= 100
    left_out = irwright("passes", "--left-out").out
    assert "\nstructurizecfg " in left_out
    assert "default<Oz" not in irwright("passes", "--llvm-version", "23").out
