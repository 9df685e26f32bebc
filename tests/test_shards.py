"""Shards: whole or absent, found again without their manifest, broken ones named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from irwright.errors import StorageError
from irwright.shards import ShardFolder, arrow, encode, key_of


def shard(key: str, number: int = 1) -> bytes:
    pa, _ = arrow()
    return encode([{"n": number}, {"n": 2}], {"n": pa.int64()}, key=key, summary={"first": number})


def test_what_is_written_is_read_in_the_order_of_keys(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path / "new", kind="things")
    folder.add(shard("b", 5))
    folder.add(shard("a", 7))
    folder.about["made_by"] = "a test"
    folder.save()
    again = ShardFolder(tmp_path / "new", kind="things")
    assert [s.key for s in again.shards] == ["a", "b"]
    assert [row["n"] for row in again.rows()] == [7, 2, 5, 2]
    assert again.get("b").summary == {"first": 5}
    assert "a" in again
    assert again.about == {"made_by": "a test"}


def test_equal_content_is_one_file_with_equal_bytes(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, kind="things")
    assert folder.add(shard("a")) == folder.add(shard("a"))
    folder.save()
    assert len(list(tmp_path.iterdir())) == 2
    assert shard("a") == shard("a") != shard("a", 3)


def test_a_killed_run_loses_the_manifest_not_the_shards(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, kind="things")
    folder.add(shard("a"))
    (tmp_path / f".{'0' * 20}.parquet.99.tmp").write_bytes(b"half")
    again = ShardFolder(tmp_path, kind="things")
    assert [s.summary for s in again.shards] == [{"first": 1}]


def test_a_shard_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path, kind="things")
    path = tmp_path / folder.add(shard("a")).file
    folder.save()
    path.unlink()
    assert "a" not in ShardFolder(tmp_path, kind="things")


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"x" * len(data), lambda data: b""])
def test_a_broken_shard_is_named(tmp_path: Path, damage: Any) -> None:
    folder = ShardFolder(tmp_path, kind="things")
    one = folder.add(shard("a"))
    path = tmp_path / one.file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StorageError, match=rf"{one.file}: not a readable shard \(.*\); delete it and run the same"):
        ShardFolder(tmp_path, kind="things")
    folder.save()
    with pytest.raises(StorageError, match="not a readable shard"):
        list(ShardFolder(tmp_path, kind="things").rows())


def test_a_folder_of_another_kind_or_a_broken_manifest_is_refused(tmp_path: Path) -> None:
    ShardFolder(tmp_path, kind="corpus").save()
    with pytest.raises(StorageError, match="holds corpus of format 1, not examples of format 1; name another folder"):
        ShardFolder(tmp_path, kind="examples")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StorageError, match=r"manifest.json: not a manifest of irwright \(.*\); delete it"):
        ShardFolder(tmp_path, kind="corpus")
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "corpus", "format": 1, "shards": {"a": {"x": 1}}}))
    with pytest.raises(StorageError, match="not a manifest"):
        ShardFolder(tmp_path, kind="corpus")


def test_a_full_disk_leaves_nothing_half(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = ShardFolder(tmp_path / "file" / "below", kind="things")
    with pytest.raises(StorageError, match="can't be written"):
        folder.add(shard("a"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_keys_depend_on_every_part() -> None:
    assert key_of("a", 1, ["x"]) == key_of("a", 1, ("x",)) != key_of("a", 1, ["y"])
    assert len(key_of("a")) == 20
