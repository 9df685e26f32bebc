"""What `irwright corpus add` can read: names of sources to modules.

fetched              every package that `irwright corpus fetch` has built
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from irwright.corpus.modules import read_manifests
from irwright.corpus.packages import Role, default_cache
from irwright.corpus.store import Found, Split
from irwright.errors import CorpusError, StorageError

SPLITS: dict[Role, Split] = {"training": "train", "heldout": "heldout"}


def find_modules(sources: Sequence[str]) -> Iterator[Found]:
    """The modules of every source, in order; CorpusError for a name that means nothing."""
    for source in sources:
        if source != "fetched":
            raise CorpusError(f"unknown source {source!r}; there is fetched")
        yield from fetched_modules(default_cache())


def fetched_modules(cache: Path) -> Iterator[Found]:
    """The modules of every package that is built in the cache, package by package."""
    for record in read_manifests(cache):
        path = cache / record.bitcode
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StorageError(str(path), f"can't be read ({error.strerror}); build the package again") from error
        yield Found(
            project=record.package,
            version=record.version,
            split=SPLITS[record.role],
            licence="",
            language="c",
            path=record.path,
            flags=record.flags,
            origin=f"debian:{record.package}",
            source_sha256=record.source_sha256,
            data=data,
        )
