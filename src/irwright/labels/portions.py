"""Functions of a corpus in portions, each the work of one process for some seconds, with the modules they are in.

A portion's key is the hash of its functions and of whatever else decides what comes of it, so work that was done is
recognised. Portions do not depend on how many workers there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from irwright.corpus.selection import Chosen
from irwright.distribute import distribute
from irwright.errors import IrwrightError
from irwright.labels.units import Bench, Unit
from irwright.measure import PROTOCOLS
from irwright.shards import ShardFolder, key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The LLVMs that workers use."""

    library: Path
    llvm: str
    """its version"""
    aarch64: Path | None = None
    """libLLVM with that backend; without it there is no AArch64 assembly"""

    @property
    def major(self) -> int:
        return int(self.llvm.split(".")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Functions, with the bitcode of their modules."""

    key: str
    modules: tuple[tuple[bytes, tuple[Chosen, ...]], ...]


def plan_portions(functions: Sequence[Chosen], about: Sequence[Any], *, size: int) -> list[tuple[str, list[Chosen]]]:
    """(key, functions) of each portion: at most `size` neighbours of one project; `about` goes into the key."""
    portions: list[tuple[str, list[Chosen]]] = []
    for _, group in groupby(functions, key=lambda function: function.project):
        members = list(group)
        for start in range(0, len(members), size):
            part = members[start : start + size]
            facts = [[f.project, f.split, f.path, f.name, f.sha256, f.licence] for f in part]
            portions.append((key_of(*about, facts), part))
    return portions


def load_portion(corpus: ShardFolder, key: str, functions: Sequence[Chosen]) -> Portion:
    """Read the modules that a portion needs."""
    modules: list[tuple[bytes, tuple[Chosen, ...]]] = []
    rows: dict[str, list[dict[str, Any]]] = {}
    for (shard, row), group in groupby(functions, key=lambda function: (function.shard, function.row)):
        if shard not in rows:
            rows[shard] = corpus.read(corpus.get(shard), ["bitcode"])
        modules.append((rows[shard][row]["bitcode"], tuple(group)))
    return Portion(key=key, modules=tuple(modules))


def fill(
    folder: ShardFolder,
    corpus: ShardFolder,
    portions: Sequence[tuple[str, Sequence[Chosen]]],
    work: Callable[[Portion], tuple[bytes, dict[str, int]]],
    *,
    jobs: int,
    ray: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Counter[str]:
    """Do those portions that a folder has no shard of, in processes, and put their shards into it.

    `work` gives a shard, and how often each reason was why a function gave nothing: these are returned together.
    """
    missing = [(key, part) for key, part in portions if key not in folder]
    done, problems = len(portions) - len(missing), Counter[str]()
    for _, result in distribute(work, (load_portion(corpus, *one) for one in missing), jobs=jobs, ray=ray):
        done += 1
        if result.problem:
            problems[result.problem] += 1
        else:
            folder.add(result.value[0])
            problems.update(result.value[1])
        if progress is not None:
            progress(done, len(portions))
    return problems


def spread(functions: Sequence[Chosen], limit: int | None) -> list[Chosen]:
    """`limit` functions (None: all), taken from the projects in turns, in the order of the corpus."""
    if limit is None:
        return list(functions)
    rank: Counter[str] = Counter()
    ranked: list[tuple[int, int]] = []
    for number, function in enumerate(functions):
        ranked.append((rank[function.project], number))
        rank[function.project] += 1
    return [functions[number] for _, number in sorted(sorted(ranked)[:limit], key=lambda pair: pair[1])]


_LONGER = 1.05
"""In its module a function's canonical form may have longer numbers (`%t100` for `%t1`) than by itself."""

_BENCHES: dict[tuple[Tools, str], Bench] = {}


def bench(tools: Tools, protocol: str) -> Bench:
    """This process's bench on some LLVMs; it stays open."""
    if (tools, protocol) not in _BENCHES:
        _BENCHES[tools, protocol] = Bench(
            tools.library, aarch64=tools.aarch64, protocol=PROTOCOLS[protocol], llvm_major=tools.major
        )
    return _BENCHES[tools, protocol]


def units(
    portion: Portion, bench: Bench, problems: Counter[str], *, max_chars: int | None = None
) -> Iterator[tuple[Chosen, Unit]]:
    """Every function of a portion, ready to be worked on; one that LLVM can't take is counted and left out.

    Functions whose text is certain to be longer than `max_chars` are not taken out of their modules at all.
    """
    for bitcode, functions in portion.modules:
        try:
            bench.open(bitcode, functions[0].path)
        except IrwrightError as error:
            problems[str(error)] += len(functions)
            continue
        for function in functions:
            if max_chars is not None and function.chars > _LONGER * max_chars:
                continue
            try:
                unit = bench.unit(function.name)
            except IrwrightError as error:
                problems[str(error)] += 1
                continue
            yield function, unit


def about_function(function: Chosen) -> dict[str, Any]:
    """The columns that say which function a row is about."""
    fields = ("project", "split", "path", "licence", "language", "sha256", "instructions")
    return {"function": function.name, **{name: getattr(function, name) for name in fields}}


def about_columns(arrow: Any) -> dict[str, Any]:
    """Types of these columns."""
    texts = ("function", "project", "split", "path", "licence", "language", "sha256")
    return {**dict.fromkeys(texts, arrow.string()), "instructions": arrow.int64()}
