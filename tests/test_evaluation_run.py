"""A whole evaluation: twice the same, killed and gone on with, and with proposers that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evaluation_tools import write_suite
from irwright.cli import main
from irwright.errors import InputError, StorageError
from irwright.evaluation import run
from irwright.evaluation.cases import Settings
from irwright.evaluation.report import report_page, sections_of, summary_text, write_report
from irwright.evaluation.run import ROWS, Evaluation, RowStore, evaluate
from irwright.tuner import tune

ALL = Settings(
    tasks=("tune", "disassemble", "emulate"),
    proposers=("coreset", "random"),
    budgets=(1, 2),
    protocols=("oz", "paper"),
    objects=("files", "functions"),
    variants=2,
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_suite(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def made(suite: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evaluation]:
    folder = tmp_path_factory.mktemp("report")
    evaluation = evaluate(suite, folder, ALL, jobs=2)
    write_report(evaluation, folder, times=False)
    return folder, evaluation


def without_times(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "times"} for row in rows]


def test_every_measurement_has_a_row(made: tuple[Path, Evaluation]) -> None:
    folder, evaluation = made
    rows = without_times(folder / ROWS)
    assert len(rows) == len(evaluation.rows) == 7 * 2 * 2 * 2 + 7 + 4 * 2
    assert not [row for row in rows if "problem" in row]
    assert evaluation.suite.problems == (("three/broken.c", "'missing.h' file not found"),)
    tuned = [row for row in rows if row["task"] == "tune"]
    assert all(row["compilations"] <= row["budget"] for row in tuned)
    assert all(row["best"][0] > 0 and row["baseline"][0] > 0 for row in tuned)
    lifted = [one for row in rows for one in row.get("functions", ())]
    assert {one["verdict"] for one in lifted} <= {"exact", "equivalent", "inconclusive"}
    assert all(row["valid"] for row in rows if row["task"] == "emulate" and row["proposer"] == "oz")


def test_the_same_evaluation_gives_the_same_bytes(suite: str, made: tuple[Path, Evaluation], tmp_path: Path) -> None:
    folder, _ = made
    again = evaluate(suite, tmp_path, ALL, jobs=1)
    write_report(again, tmp_path, times=False)
    assert without_times(tmp_path / ROWS) == without_times(folder / ROWS)
    for name in ("report.html", "report.json", "gains-files-oz.svg"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_finished_evaluation_is_not_run_again(suite: str, made: tuple[Path, Evaluation]) -> None:
    folder, _ = made
    before = (folder / ROWS).read_bytes()
    seen: list[str] = []
    evaluate(suite, folder, ALL, jobs=1, on_progress=lambda _done, _total, name: seen.append(name))
    assert seen == []
    assert (folder / ROWS).read_bytes() == before


def test_a_killed_run_goes_on(suite: str, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "irwright", "evaluate", "--suite", suite, "--budget", "1,2", "-j", "1"]
    words += ["--objects", "functions", "-o", str(tmp_path / "killed")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    path = tmp_path / "killed" / ROWS
    end = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") >= 4) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    text = path.read_text()
    kept = [json.loads(line) for line in text.splitlines()]
    path.write_text(text + '{"key": "0123", "task": "tu')  # cut short
    settings = Settings(objects=("functions",), budgets=(1, 2))
    evaluate(suite, tmp_path / "killed", settings, jobs=1)
    evaluate(suite, tmp_path / "straight", settings, jobs=1)
    assert without_times(path) == without_times(tmp_path / "straight" / ROWS)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row for row in rows if row in kept] and all(row in rows for row in kept)


def test_proposers_that_fail_are_counted(suite: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF, but not really")
    models = (str(broken), str(tmp_path / "none.gguf"))
    settings = Settings(proposers=("coreset",), models=models, budgets=(1,), objects=("files",))
    evaluation = evaluate(suite, tmp_path / "out", settings, jobs=1)
    failed = [row for row in evaluation.rows if "problem" in row]
    assert len(failed) == 2 * 3
    sections = write_report(evaluation, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "no such model; give a GGUF file" in page
    text = summary_text(evaluation, sections)
    assert "6 measurements of tune failed; the report says why" in text
    assert "1 sources gave no module" in text
    assert any(line.startswith("model:none.gguf") for line in text.splitlines())


def test_what_is_shipped_is_what_tune_makes(suite: str, tmp_path: Path) -> None:
    settings = Settings(tasks=("ship",), proposers=("coreset",), budgets=(8,), objects=("files",))
    evaluation = evaluate(suite, tmp_path, settings, jobs=1)
    expected = {
        name: tune(Path(suite) / name, budget=8, strategy="coreset").tuned_bytes
        for name in ("one/add.c", "two/copy.c", "three/pick.c")
    }
    assert {row["case"]: row["best"][0] for row in evaluation.rows} == expected
    assert all(row["best"][0] <= row["baseline"][0] for row in evaluation.rows)
    titles = [section.title for section in sections_of(evaluation)]
    assert titles == ["What is shipped: files, protocol oz", "Left out and failed"]


def test_a_model_that_nobody_named(suite: str, tmp_path: Path) -> None:
    evaluation = evaluate(suite, tmp_path, Settings(proposers=("coreset", "model"), budgets=(1,), num=1), jobs=1)
    assert {row["proposer"] for row in evaluation.rows} == {"coreset"}


def test_nothing_to_measure(suite: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no case to measure"):
        evaluate(suite, tmp_path, Settings(max_instructions=1, min_instructions=1), jobs=1)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / ROWS).write_text('{"name": "other"}\n')
    with pytest.raises(StorageError, match=r"line 1 is no row of an evaluation; name another folder"):
        RowStore(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be used"):
        RowStore(tmp_path / "file")


def test_the_page_escapes_what_it_shows(made: tuple[Path, Evaluation]) -> None:
    _, evaluation = made
    rows = tuple(row | {"project": "<script>", "case": "<b>"} for row in evaluation.rows[:4])
    strange = Evaluation(suite=evaluation.suite, settings=ALL, llvm="22", rows=rows, num_cases=1, dropped={"<i>": 1})
    page = report_page(strange, sections_of(strange))
    assert "<td>&lt;script&gt;</td>" in page and "<td>&lt;i&gt;</td>" in page
    assert page.count("<script>") == 1


def test_the_command(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--suite", suite, "--num", "1", "--budget", "1", "-o", str(tmp_path), "-j", "1"]
    words += ["--objects", "files"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--tasks", "tune"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "Gains: files, protocol oz" in out and "wrote" in out
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["num_cases"] == 1
    for wrong, message in (
        (["--tasks", "lift"], "unknown 'lift'; there are tune, ship, disassemble, emulate"),
        (["--budget", "0"], "give at least one compilation"),
        (["--budget", "x"], "'x' is no list of compilations"),
        (["--proposers", "corset"], "unknown proposer 'corset'"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*words, *wrong])
        assert end.value.code == 2
        assert message in capsys.readouterr().err


def test_rows_depend_on_what_their_proposer_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "feedback"):
        (tmp_path / name).mkdir()
    for name in ("data/coreset-oz-22.json", "data/feedback-oz-22.npz", "data/feedback-paper-22.npz"):
        (tmp_path / name).write_text(name)
    for name in ("feedback/guess.py", "lowering.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(run.resources, "files", lambda _: tmp_path)  # pyright: ignore

    def hashes() -> list[str]:
        run._shipped.cache_clear()
        return [run._shipped("oz", name) for name in ("coreset", "random", "feedback", "mix", "mix:bundled")]

    coreset, random, feedback, mix, mixed = hashes()
    assert coreset == random != feedback == mix == mixed
    (tmp_path / "data" / "feedback-paper-22.npz").write_text("other")
    assert hashes() == [coreset, random, feedback, mix, mixed]
    (tmp_path / "feedback" / "guess.py").write_text("1 + 1\n")
    changed = hashes()
    assert changed[:2] == [coreset, coreset] and changed[2] == changed[4] != feedback
    assert run._shipped("oz", "compose") != run._shipped("oz", "compose+lists") == coreset
    run._shipped.cache_clear()
