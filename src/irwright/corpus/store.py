"""The corpus as Parquet: a row for each module, its functions with hashes and signatures in it.

A corpus is a folder of shards (shards.py) of the kind `corpus`; docs/formats.md lists the columns. Modules come in as
`Found` from sources.py; `add` sends them in portions to worker processes, which read them with LLVM and hash their
functions, and keeps what comes back. A portion that is there already costs nothing; a module that LLVM can't read
costs itself. Which functions are used for what is decided later, over the whole corpus (selection.py).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from irwright.corpus.canonical import canonical_functions
from irwright.corpus.near import signature
from irwright.corpus.packages import default_cache
from irwright.distribute import distribute
from irwright.errors import InputError, IrwrightError
from irwright.llvm.builds import Build
from irwright.llvm.worker import Call, WorkerPool
from irwright.shards import ShardFolder, arrow, encode, key_of

Split = Literal["train", "heldout"]
"""What a project's modules may be used for: never both."""

KIND = "corpus"
_FORMAT = 1  # raise it when what is made of the same modules changes
_PORTION_MODULES = 64
_PORTION_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A module before it is in the corpus: unoptimised bitcode or textual IR, and where it is from."""

    project: str
    version: str
    split: Split
    licence: str
    """SPDX expression; "" where it is not known"""
    language: str
    """`c`, `c++`, or "" where it is not known"""
    path: str
    """source, relative to the root of the project"""
    flags: tuple[str, ...]
    origin: str
    """where the project is from: `debian:zlib`, `pypi:lz4`, a path"""
    source_sha256: str
    """of the source without comments and white space; "" where there is no source"""
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an `add` did."""

    num_modules: int = 0
    num_functions: int = 0
    num_kept: int = 0
    """modules that were in the corpus before"""
    problems: Counter[str] = field(default_factory=Counter[str])
    """why modules are not in it"""


def module_columns() -> dict[str, Any]:
    """Columns of a corpus and their types."""
    pa, _ = arrow()
    text = pa.string()
    function = pa.struct(
        [
            ("name", text),
            ("sha256", text),
            ("instructions", pa.int32()),
            ("chars", pa.int32()),
            ("signature", pa.binary()),
        ]
    )
    return {
        **dict.fromkeys(("project", "version", "split", "licence", "language", "path"), text),
        "flags": pa.list_(text),
        **dict.fromkeys(("origin", "target", "llvm", "sha256", "source_sha256", "content_sha256"), text),
        "functions": pa.list_(function),
        "bitcode": pa.binary(),
    }


def open_corpus(folder: Path) -> ShardFolder:
    """The corpus in a folder, which may be new."""
    return ShardFolder(folder, kind=KIND)


def filled_corpus(folder: Path) -> ShardFolder:
    """The corpus in a folder; InputError where there is none."""
    corpus = open_corpus(folder)
    if not corpus.shards:
        raise InputError(str(folder), "holds no corpus; make one with: irwright corpus add")
    return corpus


def default_corpus() -> Path:
    """Where the corpus is when nobody says."""
    return default_cache() / "parquet"


def add(
    corpus: ShardFolder,
    modules: Iterable[Found],
    *,
    library: Path,
    llvm: str,
    jobs: int,
    ray: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Added:
    """Put modules into a corpus; those of a portion that is there are left as they are."""
    done = Added()
    total = Counter[str]()
    sent: list[tuple[str, int]] = []  # project and number of modules; not the modules, which would stay in memory

    def missing() -> Iterator[Portion]:
        for portion in _portions(modules, llvm):
            if portion.key in corpus:
                total["kept"] += len(portion.modules)
                continue
            sent.append((portion.modules[0].project, len(portion.modules)))
            yield portion

    for number, result in distribute(Pack(library), missing(), jobs=jobs, ray=ray):
        project, count = sent[number]
        if result.problem:
            done.problems[result.problem] += count
            continue
        shard = corpus.add(result.value[0])
        done.problems.update(result.value[1])
        total["modules"] += shard.num_rows
        total["functions"] += shard.summary["num_functions"]
        if progress is not None:
            progress(f"{project}: {shard.num_rows} modules")
    corpus.save()
    return Added(
        num_modules=total["modules"],
        num_functions=total["functions"],
        num_kept=total["kept"],
        problems=done.problems,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Modules of one project that make a shard."""

    key: str
    llvm: str
    modules: tuple[Found, ...]


def _portions(modules: Iterable[Found], llvm: str) -> Iterator[Portion]:
    """Neighbours of one project, up to a number of modules and bytes."""
    waiting: list[Found] = []
    size = 0

    def portion() -> Portion:
        parts = [[m.project, m.version, m.split, m.licence, m.language, m.path, m.flags, m.origin] for m in waiting]
        data = [hashlib.sha256(module.data).hexdigest() for module in waiting]
        return Portion(key=key_of(KIND, _FORMAT, llvm, parts, data), llvm=llvm, modules=tuple(waiting))

    for module in modules:
        full = len(waiting) >= _PORTION_MODULES or size + len(module.data) > _PORTION_BYTES
        if waiting and (full or waiting[-1].project != module.project):
            yield portion()
            waiting, size = [], 0
        waiting.append(module)
        size += len(module.data)
    if waiting:
        yield portion()


_POOLS: dict[Path, WorkerPool] = {}


@dataclass(frozen=True, slots=True)
class Pack:
    """Portions to shards, in a worker process (distribute.py)."""

    library: Path

    def __call__(self, portion: Portion) -> tuple[bytes, dict[str, int]]:
        """The shard, and how often each reason was why a module is not in it."""
        if self.library not in _POOLS:
            _POOLS[self.library] = WorkerPool(self.library, jobs=1, timeout_seconds=60.0)
        rows: list[dict[str, Any]] = []
        problems = Counter[str]()
        for module in portion.modules:
            try:
                rows.append(module_row(module, _POOLS[self.library], portion.llvm))
            except IrwrightError as error:
                problems[str(error).removeprefix(f"{module.path}: ")] += 1
        summary = _summary(rows)
        return encode(rows, module_columns(), key=portion.key, summary=summary), dict(problems)


def module_row(module: Found, pool: WorkerPool, llvm: str) -> dict[str, Any]:
    """A row of the corpus; IrwrightError where LLVM can't read the module."""
    facts = pool.add_module("m", module.data, name=module.path)
    arguments = {"build": Build(), "kind": "ll"}
    text = pool.call(Call(operation="compile", module="m", arguments=arguments)).unwrap(module.path)
    bitcode = module.data
    if not bitcode.startswith(b"BC"):
        arguments = {"build": Build(), "kind": "bc"}
        bitcode = pool.call(Call(operation="compile", module="m", arguments=arguments)).unwrap(module.path)
    bodies = canonical_functions(text.decode(errors="surrogateescape"))
    functions: list[dict[str, Any]] = []
    for name, body in bodies.items():
        functions.append(
            {
                "name": _clean(name),
                "sha256": hashlib.sha256(body.encode(errors="surrogateescape")).hexdigest()[:32],
                "instructions": facts.instructions_by_function.get(name.strip('"'), 0),
                "chars": len(body),
                "signature": signature(body),
            }
        )
    content = "".join(function["sha256"] for function in functions)
    return {
        **{name: getattr(module, name) for name in ("project", "version", "split", "licence", "language", "path")},
        **{name: getattr(module, name) for name in ("origin", "source_sha256")},
        "flags": [_clean(flag) for flag in module.flags],
        "target": facts.triple,
        "llvm": llvm,
        "sha256": hashlib.sha256(module.data).hexdigest(),
        "content_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "functions": functions,
        "bitcode": bitcode,
    }


def _clean(text: str) -> str:
    """Text that is valid UTF-8; names of functions lose their quotes."""
    return text.strip('"').encode(errors="replace").decode()


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "projects": sorted({f"{row['project']} {row['version']}" for row in rows}),
        "split": rows[0]["split"] if rows else "",
        "num_functions": sum(len(row["functions"]) for row in rows),
    }
