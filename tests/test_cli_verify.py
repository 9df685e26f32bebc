"""`irwright verify`: what it prints, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import Run
from verify_tools import Compile

TEXT = "int twice(int n) { return n * 2; }\nint half(int n) { return n / 2; }\n"


@pytest.fixture
def files(compile_c: Compile, tmp_path: Path) -> Path:
    (tmp_path / "a.o").write_bytes(compile_c(TEXT, "-Oz"))
    (tmp_path / "b.o").write_bytes(compile_c(TEXT.replace("* 2", "* 3"), "-O2"))
    (tmp_path / "a0.o").write_bytes(compile_c(TEXT, "-O0"))
    (tmp_path / "a.ll").write_text(compile_c.ir(TEXT))
    return tmp_path


def test_equal(irwright: Run, files: Path) -> None:
    ended = irwright(
        "verify", files / "a0.o", files / "a.o", "--ir", files / "a.ll", "--reference", files / "a0.o", "-j", "1"
    )
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].split() == ["function", "verdict", "runs", "blocks", "reason"]
    rows = [line.split()[:4] for line in lines[1:3]]
    assert [(name, verdict, blocks) for name, verdict, _, blocks in rows] == [
        ("twice", "equal", "1/1"),
        ("half", "equal", "1/1"),
    ]
    for conclusive, num in (row[2].split("/") for row in rows):
        assert int(conclusive) == int(num) >= 8
    assert lines[3] == "2 functions: 2 equal, 0 inconclusive, 0 different; 100 % of their blocks ran"


def test_different(irwright: Run, files: Path) -> None:
    ended = irwright("verify", files / "a.o", files / "b.o", "--ir", files / "a.ll", "-j", "1")
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith(f"irwright: {files / 'b.o'}: twice is different: seed ")
    assert ended.out.splitlines()[1].split()[:2] == ["twice", "different"]


def test_json_and_one_function(irwright: Run, files: Path) -> None:
    ended = irwright(
        "verify", files / "a.o", files / "b.o", "--ir", files / "a.ll", "--function", "half", "--seeds", "3", "--json"
    )
    assert ended.code == 0
    row = json.loads(ended.out)
    (verdict,) = row.pop("verdicts")
    assert row == {"functions": 1, "equal": 1, "same_code": 0, "inconclusive": 0, "different": 0, "block_coverage": 1.0}
    assert (verdict["function"], verdict["kind"]) == ("half", "equal")
    assert verdict["num_runs"] >= 3


def test_errors(irwright: Run, files: Path) -> None:
    missing = files / "none.o"
    ended = irwright("verify", files / "a.o", missing)
    assert (ended.code, ended.err) == (1, f"irwright: error: {missing}: can't be read: No such file or directory\n")
    ended = irwright("verify", files / "a.o", files / "a.ll")
    assert (ended.code, ended.err) == (1, f"irwright: error: {files / 'a.ll'}: is no ELF object\n")
    assert irwright("verify", files / "a.o").code == 2
