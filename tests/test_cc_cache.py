"""The cache of `irwright cc` finds what was put in, survives what goes wrong, and keeps to its size."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.cc.cache import Cache, Entry, hash_of, read_includes

KEY = hash_of(b"one")
OTHER = hash_of(b"other")
ENTRY = Entry(b"object", b"warning: x\n", b"a.o: a.c\n", b"10 9")


def same(entry: Entry | None, wanted: Entry) -> bool:
    return entry is not None and all(getattr(entry, name) == getattr(wanted, name) for name in Entry.__slots__)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "objects"))


def entry_file(cache: Cache, key: str = KEY) -> Path:
    return Path(cache.folder) / key[0] / f"{key[1:]}.entry"


@pytest.mark.parametrize("entry", [ENTRY, Entry(b"", b"", None, b"0 0"), Entry(b"\0" * 999, b"\n\n", b"", b"")])
def test_an_entry_comes_back(cache: Cache, entry: Entry) -> None:
    assert cache.find(KEY) is None
    cache.add(KEY, entry)
    assert same(cache.find(KEY), entry)
    assert cache.find(OTHER) is None


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert hash_of(b"ab", b"c") != hash_of(b"a", b"bc")
    assert hash_of(b"", b"x") != hash_of(b"x", b"")


@given(position=st.integers(0, 200), letter=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_entry_is_dropped(
    tmp_path_factory: pytest.TempPathFactory, position: int, letter: int, cut: bool
) -> None:
    cache = Cache(str(tmp_path_factory.mktemp("damaged")))
    cache.add(KEY, ENTRY)
    file = entry_file(cache)
    data = file.read_bytes()
    position %= len(data)
    damaged = data[:position] if cut else data[:position] + bytes([letter]) + data[position + 1 :]
    file.write_bytes(damaged)
    found = cache.find(KEY)
    if damaged == data or found is not None:
        assert same(found, ENTRY)
    else:
        assert not file.exists()


def make_files(folder: Path) -> tuple[list[bytes], float]:
    """Two sources older than now, and a time after both."""
    files = [folder / "a.c", folder / "a.h"]
    for file in files:
        file.write_text(f"int {file.stem};\n")
    return [os.fsencode(file) for file in files], time.time() + 5


def test_a_manifest_leads_to_the_entry_while_files_are_as_they_were(cache: Cache, tmp_path: Path) -> None:
    files, later = make_files(tmp_path)
    cache.add_manifest(OTHER, KEY, files, before=later)
    assert cache.look_up(OTHER) == KEY
    assert cache.look_up(KEY) is None
    (tmp_path / "a.h").write_text("long a;\n")
    assert cache.look_up(OTHER) is None
    cache.add_manifest(OTHER, hash_of(b"two"), files, before=later)
    assert cache.look_up(OTHER) == hash_of(b"two")
    (tmp_path / "a.h").write_text("int a;\n")
    assert cache.look_up(OTHER) == KEY, "both are kept"
    (tmp_path / "a.h").unlink()
    assert cache.look_up(OTHER) is None


@pytest.mark.parametrize("text", ["__DATE__", "__TIME__", "__TIMESTAMP__", '#embed "x"'])
def test_a_file_that_speaks_of_the_time_has_no_manifest(cache: Cache, tmp_path: Path, text: str) -> None:
    files, later = make_files(tmp_path)
    (tmp_path / "a.h").write_text(text)
    cache.add_manifest(OTHER, KEY, files, before=later)
    assert cache.look_up(OTHER) is None


def test_a_file_that_changed_during_the_compile_has_no_manifest(cache: Cache, tmp_path: Path) -> None:
    files, _ = make_files(tmp_path)
    cache.add_manifest(OTHER, KEY, files, before=time.time() - 60)
    assert cache.look_up(OTHER) is None


def test_a_damaged_manifest_leads_nowhere(cache: Cache, tmp_path: Path) -> None:
    files, later = make_files(tmp_path)
    cache.add_manifest(OTHER, KEY, files, before=later)
    file = Path(cache.folder) / OTHER[0] / f"{OTHER[1:]}.manifest"
    for damaged in (b"", b"= ", b"\xff\n= " + b"x" * 40, file.read_bytes()[:60], b"= " + KEY.encode()):
        file.write_bytes(damaged)
        assert cache.look_up(OTHER) is None
    cache.add_manifest(OTHER, KEY, files, before=later)
    assert cache.look_up(OTHER) == KEY


def test_the_oldest_go_when_the_cache_is_full(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), limit_bytes=16 * 5000)
    keys = [hash_of(b"%d" % number) for number in range(400)]
    keys = [key for key in keys if key[0] == keys[0][0]][:10]
    assert len(keys) == 10
    for age, key in enumerate(keys):
        cache.add(key, Entry(bytes(1000), b"", None, b""))
        os.utime(entry_file(cache, key), (1000 + age, 1000 + age))
    first_left = next(key for key in keys if entry_file(cache, key).exists())
    assert cache.find(first_left) is not None  # and used now: not the next to go
    cache.add(hash_of(b"x", keys[0][:1].encode())[:0] + keys[0][:1] + "f" * 39, Entry(bytes(1000), b"", None, b""))
    assert entry_file(cache, first_left).exists()
    assert cache.total_bytes() <= 5000
    assert not entry_file(cache, keys[0]).exists()


def test_temporary_files_of_killed_processes_go(cache: Cache) -> None:
    cache.add(KEY, ENTRY)
    folder = entry_file(cache).parent
    stale, fresh = folder / "x.entry.1.tmp", folder / "y.entry.2.tmp"
    for file in (stale, fresh):
        file.write_bytes(b"half")
    os.utime(stale, (1000, 1000))
    cache.add(KEY, ENTRY)
    assert not stale.exists() and fresh.exists()


def test_a_full_disk_costs_no_more_than_the_entry(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: object, _target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache.add(KEY, ENTRY)
    assert cache.find(KEY) is None
    assert "No space left on device" in cache.problem
    assert list(entry_file(cache).parent.iterdir()) == []


def test_clearing_removes_everything(cache: Cache) -> None:
    cache.add(KEY, ENTRY)
    assert cache.total_bytes() > 0
    cache.clear()
    assert cache.total_bytes() == 0 and cache.find(KEY) is None


def test_line_markers_name_the_files_read() -> None:
    text = (
        b'# 1 "a.c"\n# 1 "<built-in>" 1\n# 1 "<command line>" 1\n# 1 "a.c" 2\n# 1 "inc/h h.h" 1 3\nint x;\n'
        b'const char *s = "\\n# 1 \\"no.h\\"";\n# 2 "a.c" 2\n#pragma once\n'
    )
    assert read_includes(text) == [b"a.c", b"inc/h h.h"]
    assert read_includes(b"int x;\n") == []
    assert read_includes(b'# 1 "odd\\"name.h"\n') is None
