"""The compiled corpus as data: manifests, the modules of a role, and what two projects share.

Below `cache`/corpus, each package has a folder PACKAGE/VERSION/ with

    PATH.c.bc        unoptimised bitcode of PATH.c, carrying minsize and optsize, no debug info
    manifest.jsonl   one object per source, sorted by path; see `Record` and `Failure`
    build.json       written last: the key of the inputs, compiler and time

Copies between projects would leak from training into held-out results. Three hashes find them: of the source
without comments and blanks, of the module's canonical IR, and of each function's canonical IR. `modules` drops
files that another project holds too; functions copied into otherwise different files remain, and
`shared_functions` names them for samplers to leave out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from irwright.corpus.packages import Role
from irwright.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One compiled source, a line of manifest.jsonl."""

    package: str
    version: str
    role: Role
    path: str
    """Source, relative to the root of the package."""
    bitcode: str
    """Bitcode, relative to the cache."""
    flags: tuple[str, ...]
    """Compiler flags; paths are relative to the root of the package."""
    num_functions: int
    """Function definitions."""
    sha256: str
    """Hash of the bitcode file."""
    source_sha256: str
    """Hash of the source without comments and white space."""
    content_sha256: str
    """Hash of the canonical IR (`canonical_lines`)."""
    functions: tuple[tuple[str, str], ...]
    """Name and canonical hash of every definition, in module order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A source that gave no bitcode, a line of manifest.jsonl."""

    path: str
    reason: str
    """clang's first error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module of the corpus."""

    package: str
    version: str
    role: Role
    source: str
    """Source, relative to the root of the package."""
    bitcode: Path
    flags: tuple[str, ...]
    num_functions: int
    functions: tuple[tuple[str, str], ...]
    """Name and canonical hash of every definition, in module order."""


def modules(role: Role | None, *, cache: Path) -> list[Module]:
    """Return the modules of a role (None: both), sorted by package and source; each content once.

    A training module whose source or IR a held-out package holds too is left out; of equal modules within a
    role the first stays. Modules without functions are left out.
    """
    records = [record for record in read_manifests(cache) if record.num_functions]
    records.sort(key=lambda record: (record.role != "heldout", record.package, record.path))
    seen: set[str] = set()
    kept: list[Record] = []
    for record in records:
        keys = {record.content_sha256, record.source_sha256}
        if not seen & keys:
            kept.append(record)
        seen |= keys
    return [
        Module(
            package=record.package,
            version=record.version,
            role=record.role,
            source=record.path,
            bitcode=cache / record.bitcode,
            flags=record.flags,
            num_functions=record.num_functions,
            functions=record.functions,
        )
        for record in sorted(kept, key=lambda record: (record.package, record.path))
        if role in (None, record.role)
    ]


def shared_functions(cache: Path) -> frozenset[str]:
    """Return the hashes of functions that occur in both roles: a sampler for training must skip these."""
    by_role: dict[Role, set[str]] = {"training": set(), "heldout": set()}
    for record in read_manifests(cache):
        by_role[record.role].update(digest for _, digest in record.functions)
    return frozenset(by_role["training"] & by_role["heldout"])


def read_manifests(cache: Path) -> list[Record]:
    """Return the records of all finished packages, in the order of package, version and path."""
    folder = cache / "corpus"
    return [
        record
        for done in sorted(folder.glob("*/*/build.json"))
        for record in read_manifest(done.with_name("manifest.jsonl"))
        if isinstance(record, Record)
    ]


def read_manifest(path: Path) -> list[Record | Failure]:
    """Read one manifest.jsonl; StorageError when it is missing or broken."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_parse(json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(str(path), f"not a manifest of the corpus ({error}); build the package again") from error


def _parse(entry: dict[str, Any]) -> Record | Failure:
    if "reason" in entry:
        return Failure(**entry)
    functions = tuple((str(name), str(digest)) for name, digest in entry.pop("functions"))
    return Record(flags=tuple(entry.pop("flags")), functions=functions, **entry)


def write_manifest(path: Path, entries: Iterable[Record | Failure]) -> None:
    """Write manifest.jsonl, sorted by path."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    path.write_text("".join(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in ordered), encoding="utf-8")


def source_hash(text: str) -> str:
    """Hash C source without comments and white space."""
    # Strings first, so that a comment sign inside one is no comment.
    token = r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*|\s+'
    plain = re.sub(token, lambda match: match[0] if match[0][0] == '"' else "", text, flags=re.DOTALL)
    return hashlib.sha256(plain.encode()).hexdigest()


def canonical_lines(ir: str) -> Iterator[str]:
    """Yield the lines of textual IR that carry code: no names of files, metadata, attribute numbers or blanks."""
    for line in ir.splitlines():
        if not line or line[0] in ";!" or line.startswith(("source_filename", "attributes ")):
            continue
        line = re.sub(r", ![\w.]+ !\d+| #\d+", "", line.partition("; preds = ")[0].rstrip())
        yield re.sub(r"@(\.str|__const|__func__|__FUNCTION__|__PRETTY_FUNCTION__)[\w.]*", r"@\1", line)


def hash_ir(ir: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Hash the canonical form of a module and, without its own name, of each function definition in it.

    Inline copies of functions that are defined elsewhere (`available_externally`) are no definitions.
    """
    whole = hashlib.sha256()
    functions: list[tuple[str, str]] = []
    name, body = "", None
    for line in canonical_lines(ir):
        whole.update(line.encode() + b"\n")
        if line.startswith("define ") and not line.startswith("define available_externally "):
            match = re.search(r'@("(?:[^"\\]|\\.)*"|[\w.$-]+)\(', line)
            name = match[1].strip('"') if match else "?"
            body = _hasher(line.replace(f"@{match[1]}(", "@(", 1) if match else line)
        elif body is not None:
            body.update(line.encode() + b"\n")
        if line == "}" and body is not None:
            functions.append((name, body.hexdigest()[:16]))
            body = None
    return whole.hexdigest(), tuple(functions)


def _hasher(line: str) -> Any:
    digest = hashlib.sha256()
    digest.update(line.encode() + b"\n")
    return digest
