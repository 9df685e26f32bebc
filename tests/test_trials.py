"""Trials: their store on disk, whatever is in its folder."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irwright.errors import StorageError
from irwright.llvm.builds import OK, Outcome, OutcomeKind
from irwright.llvm.codegen import FunctionSize
from irwright.measure import Sizes
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.trials import FunctionTrial, Trial, TrialStore

MAJOR = 22


def parse(text: str) -> PassList:
    return PassList.parse(text, llvm_major=MAJOR)


def trials() -> list[Trial]:
    sizes = Sizes(text=1, rodata=2, unwind=3, data=4, bss=5, functions={"f": FunctionSize(1, 3, 0)})
    return [
        Trial(plan=Plan(base=parse("sroa")), outcome=OK, sizes=sizes, num_instructions=9, seconds=0.25),
        Trial(
            plan=Plan(base=parse("gvn"), tails=(('ä "f"', parse("dse")),)),
            outcome=Outcome(kind=OutcomeKind.TIMEOUT, detail="no end within 1 s"),
            sizes=None,
        ),
    ]


def function_trials() -> list[FunctionTrial]:
    sizes = {"f": FunctionSize(1, 3, 0), "g": FunctionSize(5, 0, 8)}
    references = {"f": frozenset({"g"}), "g": frozenset[str]()}
    crash = Outcome(kind=OutcomeKind.CRASH, detail="signal SIGSEGV")
    return [
        FunctionTrial(plan=Plan(base=parse("sroa")), outcome=OK, sizes=sizes, references=references, seconds=1.0),
        FunctionTrial(plan=Plan(base=parse("licm")), outcome=crash),
    ]


def write(folder: Path) -> None:
    with TrialStore(folder, flush_every=1) as store:
        for trial in trials():
            store.add(trial)
        for trial in function_trials():
            store.add_functions(trial)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "run")
    assert [path.name for path in sorted((tmp_path / "run").iterdir())] == [
        f"trials-{number:05d}.parquet" for number in range(4)
    ]
    whole, pieces = TrialStore(tmp_path / "run").load(MAJOR)
    assert list(whole.values()) == trials()
    assert whole[trials()[0].plan].sizes.functions == {"f": FunctionSize(1, 3, 0)}  # type: ignore[union-attr]
    assert list(pieces.values()) == function_trials()


def test_rows_are_as_documented(tmp_path: Path) -> None:
    write(tmp_path)
    row = next(iter(TrialStore(tmp_path).rows()))
    assert row == {
        "kind": "module", "plan": '{"base": "sroa"}', "outcome": "ok", "detail": "",
        "text": 1, "rodata": 2, "unwind": 3, "data": 4, "bss": 5, "num_instructions": 9,
        "functions": '{"f": [1, 3, 0]}', "references": "{}", "seconds": 0.25,
    }  # fmt: skip


def test_few_trials_wait_for_the_flush(tmp_path: Path) -> None:
    store = TrialStore(tmp_path, flush_every=10)
    store.add(trials()[0])
    assert not list(tmp_path.iterdir())
    store.flush()
    store.flush()
    assert len(list(tmp_path.iterdir())) == 1


def test_time_alone_makes_a_flush(tmp_path: Path) -> None:
    store = TrialStore(tmp_path, flush_every=10, flush_seconds=0.0)
    store.add(trials()[0])
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and so on PAR1", bytes(1000)])
def test_a_file_that_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trials-00000.parquet"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"not a readable Parquet file \((.|\n)*\); delete it to go on$") as caught:
        TrialStore(tmp_path).load(MAJOR)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, cut: float) -> None:
    write(tmp_path)
    path = tmp_path / "trials-00002.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(StorageError, match=r"trials-00002\.parquet: not a readable Parquet file"):
        TrialStore(tmp_path).load(MAJOR)


@pytest.mark.parametrize(
    "change",
    [
        {"plan": "{"},
        {"plan": "[]"},
        {"plan": '{"base": 5}'},
        {"outcome": "fine"},
        {"functions": '{"f": [1]}'},
        {"functions": "5"},
    ],
)
def test_a_row_of_something_else(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path)
    path = tmp_path / "trials-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([{**table.to_pylist()[0], **change}], schema=table.schema), path)
    with pytest.raises(StorageError, match=r"trials-00000\.parquet: not trials of this irwright \(.*\); delete it"):
        TrialStore(tmp_path).load(MAJOR)


def test_a_parquet_file_of_something_else(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "trials-00000.parquet")
    with pytest.raises(StorageError, match="not trials of this irwright"):
        TrialStore(tmp_path).load(MAJOR)


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trials-mine.parquet").write_text("notes")
    (tmp_path / "trials-00000.5.tmp").write_text("half a file")
    write(tmp_path)
    assert len(TrialStore(tmp_path).load(MAJOR)[0]) == 2
    assert (tmp_path / "trials-mine.parquet").read_text() == "notes"


def test_a_full_disk_keeps_the_trials(tmp_path: Path) -> None:
    """The write fails half way, nothing half-written stays, and the next flush has every trial."""
    store = TrialStore(tmp_path, flush_every=100)
    for trial in trials():
        store.add(trial)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"trials-00000\.parquet: trials can't be written: .+"):
            store.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    store.flush()
    assert list(TrialStore(tmp_path).load(MAJOR)[0].values()) == trials()


def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = TrialStore(tmp_path / "file" / "run", flush_every=1)
    with pytest.raises(StorageError, match="trials can't be written: Not a directory"):
        store.add(trials()[0])
