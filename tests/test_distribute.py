"""Work spread over processes and over Ray: nothing lost, nothing twice, whatever dies."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from irwright.distribute import Done, distribute
from irwright.errors import CorpusError, WorkerError


@dataclass(frozen=True)
class Square:
    """Squares numbers; dies, fails or hangs on the given ones."""

    folder: Path
    dies_once: int = -1
    dies_always: int = -1
    fails: int = -1

    def __call__(self, item: int) -> int:
        # One file for each time an item is begun: what is done twice is seen.
        number = sum(1 for _ in self.folder.glob(f"{item}-*"))
        (self.folder / f"{item}-{number}-{os.getpid()}").touch()
        if item == self.dies_always or (item == self.dies_once and number == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == self.fails:
            raise CorpusError(f"no square of {item}")
        return item * item

    def begun(self) -> list[int]:
        return sorted(int(path.name.partition("-")[0]) for path in self.folder.iterdir())


@pytest.fixture(autouse=True)
def tests_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers unpickle classes of this file."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_item_comes_once(tmp_path: Path, jobs: int) -> None:
    work = Square(tmp_path)
    results = list(distribute(work, range(20), jobs=jobs))
    assert len(results) == 20
    assert dict(results) == {n: Done(value=n * n) for n in range(20)}
    assert work.begun() == list(range(20))
    assert len({path.name.rpartition("-")[2] for path in tmp_path.iterdir()}) == jobs


def test_a_process_that_dies_costs_only_its_item(tmp_path: Path) -> None:
    work = Square(tmp_path, dies_once=3, dies_always=5, fails=7)
    results = dict(distribute(work, range(10), jobs=2))
    good = set(range(10)) - {5, 7}
    assert {n: done.value for n, done in results.items() if not done.problem} == {n: n * n for n in good}
    assert results[5].problem == "the worker ended with signal SIGKILL"
    assert results[7].problem == "no square of 7"
    assert work.begun() == sorted([*range(10), 3, 5, 5])


def test_items_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(100):
            taken.append(n)
            yield n

    results = distribute(Square(tmp_path), items(), jobs=2)
    next(results)
    assert len(taken) <= 4
    results.close()  # type: ignore[attr-defined]


def test_a_ray_worker_that_is_killed_loses_and_repeats_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'irwright[cluster]'")
    work = Square(tmp_path, dies_once=4, fails=7)
    results = list(distribute(work, range(12), jobs=2, ray="local"))
    assert sorted(n for n, _ in results) == list(range(12))
    assert {n: done.value for n, done in results if not done.problem} == {n: n * n for n in range(12) if n != 7}
    assert dict(results)[7].problem == "no square of 7"
    assert work.begun() == sorted([*range(12), 4])


def test_no_ray_and_no_cluster_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(WorkerError, match="Ray is not installed; install it with: pip install 'irwright"):
        list(distribute(Square(tmp_path), range(3), ray="auto"))


def test_a_cluster_at_which_nobody_listens_is_told_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'irwright[cluster]'")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(
            WorkerError, match=rf"no Ray cluster at '{address}' \(.*refused\); start one with `ray start"
        ):
            list(distribute(Square(tmp_path), range(3), ray=address))
