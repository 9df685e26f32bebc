"""Memory that inputs are made of: the same from a file as made anew, whatever happened to the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from irwright.verify import inputs
from irwright.verify.inputs import ARENA_SIZE, arena, keep_arenas, kept, make_arena


def test_an_arena_comes_back_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "verify"
    made = kept(folder, 3)
    assert made == make_arena(3) and len(made) == ARENA_SIZE
    (file,) = folder.iterdir()
    assert file.name.startswith("arena-") and file.name.endswith("-3")

    def never(_variant: int) -> bytes:
        raise AssertionError

    monkeypatch.setattr(inputs, "make_arena", never)
    assert kept(folder, 3) == made


@pytest.mark.parametrize("damage", [b"", b"x" * 40, None])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    made = kept(tmp_path, 5)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage if damage is not None else whole[:-1] + bytes([whole[-1] ^ 1]))
    assert kept(tmp_path, 5) == made
    assert file.read_bytes() == whole


def test_files_of_another_version_go(tmp_path: Path) -> None:
    (tmp_path / "arena-0123456789ab-1").write_bytes(b"old")
    kept(tmp_path, 1)
    (file,) = tmp_path.iterdir()
    assert file.name != "arena-0123456789ab-1"


def test_a_folder_that_can_not_be_written_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept(Path("/proc/nothing"), 2) == make_arena(2)
    monkeypatch.setattr(inputs, "_arena_folder", [])
    keep_arenas(Path("/proc/nothing"))
    inputs._arena.cache_clear()  # pyright: ignore[reportPrivateUsage]
    assert arena(2) == make_arena(2)
    inputs._arena.cache_clear()  # pyright: ignore[reportPrivateUsage]
