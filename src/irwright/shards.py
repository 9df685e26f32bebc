"""Folders of Parquet shards: content-addressed, resumable, each shard either whole or absent.

A folder holds `manifest.json` and files `SHA256.parquet` (the first 20 digits of the hash of the file's own bytes). A
shard belongs to a *key*, the hash of everything it was made from, so a run that finds its key has nothing to do. Key
and summary stand in the footer of each file too: a folder whose manifest was lost or is behind, since the run was
killed, is read from its files. What columns mean is the business of who writes them (corpus/store.py, labels/).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from irwright.errors import StorageError

FORMAT = 1
_FOOTER = b"irwright"
_MANIFEST_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of a folder."""

    key: str
    """hash of what it was made from"""
    file: str
    num_rows: int
    num_bytes: int
    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """what its writer wants to be known without reading it"""


def key_of(*parts: Any) -> str:
    """The key of whatever is made from these values (plain data)."""
    text = json.dumps([FORMAT, *parts], sort_keys=True, default=list)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:20]


def encode(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], *, key: str, summary: Mapping[str, Any]
) -> bytes:
    """A shard as bytes: the same rows give the same bytes. `columns` are names and types of pyarrow."""
    pa, pq = arrow()
    footer = json.dumps({"format": FORMAT, "key": key, "summary": summary}, sort_keys=True).encode()
    schema = pa.schema([pa.field(name, kind) for name, kind in columns.items()], metadata={_FOOTER: footer})
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), out, compression="zstd", compression_level=9)
    return out.getvalue()


class ShardFolder:
    """A folder of shards of one kind, written by one process at a time."""

    def __init__(self, folder: Path, *, kind: str) -> None:
        """Open or begin a folder; StorageError where it holds something else or a broken file."""
        self.folder = folder
        self.kind = kind
        self.about: dict[str, Any] = {}
        """what the folder was made by; written to the manifest"""
        self._shards: dict[str, Shard] = {}
        self._saved = time.monotonic()
        self._open()

    @property
    def shards(self) -> list[Shard]:
        """All shards, by key: an order that does not depend on which was written first."""
        return [self._shards[key] for key in sorted(self._shards)]

    def __contains__(self, key: str) -> bool:
        return key in self._shards

    def get(self, key: str) -> Shard:
        """The shard of that key."""
        return self._shards[key]

    def add(self, data: bytes) -> Shard:
        """Write a shard that `encode` made; what is there already stays."""
        name = f"{hashlib.sha256(data).hexdigest()[:20]}.parquet"
        shard = self._read_footer(name, io.BytesIO(data), len(data))
        if shard.key in self._shards:
            return self._shards[shard.key]
        self._write(name, data)
        self._shards[shard.key] = shard
        if time.monotonic() - self._saved > _MANIFEST_SECONDS:
            self.save()
        return shard

    def remove(self, key: str) -> None:
        """Forget a shard and delete its file."""
        shard = self._shards.pop(key)
        (self.folder / shard.file).unlink(missing_ok=True)
        self.save()

    def save(self) -> None:
        """Write the manifest."""
        rows = {shard.key: {k: v for k, v in asdict(shard).items() if k != "key"} for shard in self.shards}
        data = {"format": FORMAT, "kind": self.kind, **self.about, "shards": rows}
        self._write("manifest.json", (json.dumps(data, indent=1, sort_keys=True) + "\n").encode())
        self._saved = time.monotonic()

    def read(self, shard: Shard, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The rows of a shard as plain data; StorageError where the file is missing or broken."""
        pa, pq = arrow()
        path = self.folder / shard.file
        try:
            return cast(
                "list[dict[str, Any]]",
                pq.read_table(path, columns=None if columns is None else list(columns)).to_pylist(),
            )
        except (OSError, pa.ArrowException) as error:
            raise _broken(path, error) from error

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows of all shards, shard by shard in the order of `shards`."""
        for shard in self.shards:
            yield from self.read(shard, columns)

    def _open(self) -> None:
        path = self.folder / "manifest.json"
        listed: dict[str, Any] = {}
        if path.exists():
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                kind, listed = data["kind"], data.pop("shards")
                known = {key: Shard(key=key, **row) for key, row in listed.items()}
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise StorageError(
                    str(path), f"not a manifest of irwright ({error!r}); delete it, it is made again"
                ) from error
            if kind != self.kind or data["format"] != FORMAT:
                problem = f"holds {kind} of format {data['format']}, not {self.kind} of format {FORMAT}"
                raise StorageError(str(self.folder), f"{problem}; name another folder")
            self._shards = {key: shard for key, shard in known.items() if (self.folder / shard.file).exists()}
            self.about = {name: value for name, value in data.items() if name not in ("format", "kind")}
        have = {shard.file for shard in self._shards.values()}
        for file in sorted(self.folder.glob("*.parquet")) if self.folder.is_dir() else []:
            if re.fullmatch(r"[0-9a-f]{20}\.parquet", file.name) and file.name not in have:
                shard = self._read_footer(file.name, file, file.stat().st_size)
                self._shards[shard.key] = shard

    def _read_footer(self, name: str, source: Any, num_bytes: int) -> Shard:
        pa, pq = arrow()
        try:
            metadata = pq.read_metadata(source)
            footer = json.loads(metadata.metadata[_FOOTER])
            return Shard(
                key=str(footer["key"]),
                file=name,
                num_rows=metadata.num_rows,
                num_bytes=num_bytes,
                summary=footer["summary"],
            )
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise _broken(self.folder / name, error) from error

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StorageError(str(path), f"can't be written: {error.strerror or error}") from error


def _broken(path: Path, error: Exception) -> StorageError:
    reason = (str(error) or repr(error)).splitlines()[0]
    return StorageError(str(path), f"not a readable shard ({reason}); delete it and run the same command again")


def arrow() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet, loaded when shards are: they take a while, and have no types."""
    return import_module("pyarrow"), import_module("pyarrow.parquet")
