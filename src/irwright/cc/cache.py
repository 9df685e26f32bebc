"""The cache of `irwright cc`: what compiles made, found again by what went into them.

Two kinds of file, both named by a hash, in sixteen folders by its first digit:

- an *entry* (`.entry`), named by the preprocessed source, the options, the compiler, irwright and the budget: object,
  diagnostics and dependency file of one compile, with a checksum in front;
- a *manifest* (`.manifest`), named by the same without preprocessing: for each compile of that command seen so far, the
  files it read with their hashes, and the entry. With it, a hit needs no preprocessor.

Files are written to a temporary name and renamed; there are no locks, so nothing can be left locked. Each folder
keeps to its share of the size limit: the files used longest ago go first. A cache that can't be read or written costs
time, never a build.

An entry is `irwright-cc 1`, checksum, byte counts of the three parts (-1: none), a newline, the parts. A manifest has
one line for an entry, `= KEY`, followed by one for each file, `HASH PATH`; newest first.
"""

from __future__ import annotations

import os
import time

from irwright.digests import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_LIMIT_BYTES = 2 << 30
NUM_FOLDERS = 16
MAX_MANIFEST_ENTRIES = 16
STALE_SECONDS = 3600.0
"""temporary files older than this were left by a killed process"""

_MAGIC = b"irwright-cc 1"
_NOT_DIRECT = (b"__DATE__", b"__TIME__", b"__TIMESTAMP__", b"#embed", b"# embed")
"""Text by which a file's own bytes do not decide what it becomes."""


class Entry:
    """What one compile made."""

    __slots__ = ("dependencies", "diagnostics", "note", "object")

    def __init__(self, object: bytes, diagnostics: bytes, dependencies: bytes | None, note: bytes) -> None:
        self.object = object
        self.diagnostics = diagnostics
        """what the compiler wrote to stderr"""
        self.dependencies = dependencies
        """the dependency file, None where none was asked for"""
        self.note = note
        """what the statistics of a hit say: bytes of the plain object and of this one"""


def hash_of(*parts: bytes) -> str:
    """A key of parts that can't run into each other."""
    digest = blake2b(digest_size=20)
    for part in parts:
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()


class Cache:
    """A folder of entries and manifests; every method works, or quietly does nothing."""

    def __init__(self, folder: str, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.problem = ""
        """why something could not be written"""

    def find(self, key: str) -> Entry | None:
        """The entry of that key; a damaged one is dropped."""
        path = self._path(key, ".entry")
        data = _read(path)
        if data is None:
            return None
        entry = _unpack(data)
        if entry is None:
            _remove(path)
        else:
            _touch(path)
        return entry

    def add(self, key: str, entry: Entry) -> None:
        """Keep an entry."""
        self._write(self._path(key, ".entry"), _pack(entry))

    def look_up(self, manifest_key: str) -> str | None:
        """The key of the entry whose files are all as they were; None where there is none."""
        path = self._path(manifest_key, ".manifest")
        data = _read(path)
        if data is None:
            return None
        hashes: dict[bytes, str | None] = {}
        for key, files in _read_manifest(data):
            if all(_is_as_it_was(name, wanted, hashes) for wanted, name in files):
                _touch(path)
                return key
        return None

    def add_manifest(self, manifest_key: str, key: str, files: Iterable[bytes], *, before: float) -> None:
        """Note that these files led to that entry, unless one changed since `before` or speaks of the time."""
        lines = [b"= " + key.encode()]
        for name in files:
            wanted = _hash_if_steady(name, before)
            if wanted is None or b"\n" in name:
                return
            lines.append(wanted.encode() + b" " + name)
        path = self._path(manifest_key, ".manifest")
        mine = b"\n".join(lines)
        others = (b"\n= " + block for block in _blocks(_read(path) or b"") if not block.startswith(key.encode()))
        self._write(path, b"".join([mine, *list(others)[: MAX_MANIFEST_ENTRIES - 1]]))

    def total_bytes(self) -> int:
        """Bytes of all files kept."""
        return sum(size for digit in "0123456789abcdef" for _, size, _ in self._files(digit))

    def clear(self) -> None:
        """Remove all entries and manifests."""
        for digit in "0123456789abcdef":
            for path, _, _ in self._files(digit):
                _remove(path)

    def _path(self, key: str, suffix: str) -> str:
        return f"{self.folder}/{key[0]}/{key[1:]}{suffix}"

    def _write(self, path: str, data: bytes) -> None:
        temporary = f"{path}.{os.getpid()}.tmp"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError as error:
            self.problem = f"{path}: {error.strerror or error}"
            _remove(temporary)
            return
        self._keep_to_limit(path[len(self.folder) + 1])

    def _keep_to_limit(self, digit: str) -> None:
        """Drop what was used longest ago, and what killed processes left, from one folder."""
        share = self.limit_bytes // NUM_FOLDERS
        files, now = self._files(digit), time.time()
        total = sum(size for _, size, _ in files)
        for path, size, used in sorted(files, key=lambda file: file[2]):
            is_stale = path.endswith(".tmp") and now - used > STALE_SECONDS
            if total > share or is_stale:
                _remove(path)
                total -= size

    def _files(self, digit: str) -> list[tuple[str, int, float]]:
        """(path, bytes, when last used) of the files of one folder."""
        found: list[tuple[str, int, float]] = []
        try:
            with os.scandir(f"{self.folder}/{digit}") as files:
                for file in files:
                    status = file.stat()
                    found.append((file.path, status.st_size, status.st_mtime))
        except OSError:
            pass  # not there, or being cleared by another process
        return found


def read_includes(preprocessed: bytes) -> list[bytes] | None:
    """Files that line markers of a preprocessed source name; None where one name has letters that are escaped."""
    names: dict[bytes, None] = {}
    for block in (b"\n" + preprocessed).split(b"\n# ")[1:]:
        parts = block.partition(b"\n")[0].split(b'"')
        if len(parts) > 3 or (len(parts) == 3 and b"\\" in parts[1]):
            return None
        if len(parts) == 3 and not parts[1].startswith(b"<"):
            names[parts[1]] = None
    return list(names)


def _is_as_it_was(name: bytes, wanted: str, hashes: dict[bytes, str | None]) -> bool:
    if name not in hashes:
        data = _read(name)
        hashes[name] = None if data is None else blake2b(data, digest_size=16).hexdigest()
    return hashes[name] == wanted


def _hash_if_steady(name: bytes, before: float) -> str | None:
    """The hash of a file, None where it changed after `before` or may become something else tomorrow."""
    try:
        status = os.stat(name)
    except OSError:
        return None
    data = _read(name)
    if data is None or max(status.st_mtime, status.st_ctime) >= before or any(word in data for word in _NOT_DIRECT):
        return None
    return blake2b(data, digest_size=16).hexdigest()


def _blocks(manifest: bytes) -> list[bytes]:
    return manifest.removeprefix(b"= ").split(b"\n= ") if manifest.startswith(b"= ") else []


def _read_manifest(data: bytes) -> list[tuple[str, list[tuple[str, bytes]]]]:
    """(key of the entry, [(hash, path)]) of every block; damaged lines match no file."""
    found: list[tuple[str, list[tuple[str, bytes]]]] = []
    for block in _blocks(data):
        key, *lines = block.split(b"\n")
        files = [(line[:32].decode(errors="replace"), line[33:]) for line in lines]
        if len(key) == 40 and files:
            found.append((key.decode(errors="replace"), files))
    return found


def _pack(entry: Entry) -> bytes:
    parts = (entry.object, entry.diagnostics, entry.dependencies, entry.note)
    sizes = b" ".join(b"%d" % (-1 if part is None else len(part)) for part in parts)
    body = sizes + b"\n" + b"".join(part for part in parts if part is not None)
    return _MAGIC + b" " + blake2b(body, digest_size=16).hexdigest().encode() + b" " + body


def _unpack(data: bytes) -> Entry | None:
    """The entry in a file, None where it is damaged."""
    magic, checksum, body = data[: len(_MAGIC)], data[len(_MAGIC) + 1 : len(_MAGIC) + 33], data[len(_MAGIC) + 34 :]
    if magic != _MAGIC or blake2b(body, digest_size=16).hexdigest().encode() != checksum:
        return None
    head, _, rest = body.partition(b"\n")
    parts: list[bytes | None] = []
    for size in map(int, head.split()):
        parts.append(None if size < 0 else rest[:size])
        rest = rest[max(size, 0) :]
    made, diagnostics, dependencies, note = parts
    return Entry(made or b"", diagnostics or b"", dependencies, note or b"")


def _read(path: str | bytes) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _touch(path: str) -> None:
    """Note that a file was used now."""
    try:
        os.utime(path)
    except OSError:
        pass  # gone, or a cache that can't be written: it is used all the same


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
