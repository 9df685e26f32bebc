"""Examples from a corpus: prompt and completion for every stage, as shards that models are trained on.

An examples folder is a folder of shards (shards.py) of the kind `examples`; docs/formats.md lists the columns. The
functions that selection.py chooses are made in portions, each of a few modules; a portion's key is the hash of its
functions, the settings and the LLVM, so a run that was killed, or is repeated, makes only what is missing, and ends
with the same files. How many workers there are, here or on Ray, changes nothing in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from irwright.corpus.selection import Chosen, Selection, check_leaks, select
from irwright.distribute import distribute
from irwright.errors import IrwrightError
from irwright.labels.texts import TextSettings, text_examples
from irwright.labels.units import Bench
from irwright.measure import PROTOCOLS
from irwright.shards import ShardFolder, arrow, encode, key_of

KIND = "examples"
STAGES = ("pretrain", "emulate", "tune", "disassemble")
_FORMAT = 1  # raise it when what is made of the same functions changes
_PORTION_FUNCTIONS = 48


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
    """Functions that make a shard, with their modules."""

    key: str
    modules: tuple[tuple[bytes, tuple[Chosen, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a run did."""

    num_examples: int = 0
    num_functions: int = 0
    num_kept: int = 0
    """shards that were there before"""
    stages: Counter[str] = field(default_factory=Counter[str])
    problems: Counter[str] = field(default_factory=Counter[str])
    """why functions or portions gave nothing"""


def example_columns() -> dict[str, Any]:
    """Columns of an examples folder and their types."""
    pa, _ = arrow()
    texts = ("stage", "project", "split", "function", "prompt", "completion", "kind", "passes")
    more = ("path", "licence", "language", "sha256")
    numbers = ("instructions", "bytes_before", "bytes_oz", "bytes_after")
    return {**dict.fromkeys((*texts, *more), pa.string()), **dict.fromkeys(numbers, pa.int64())}


def open_examples(folder: Path) -> ShardFolder:
    """The examples in a folder, which may be new."""
    return ShardFolder(folder, kind=KIND)


def make(
    corpus: ShardFolder,
    examples: ShardFolder,
    tools: Tools,
    settings: TextSettings,
    *,
    jobs: int,
    ray: str | None = None,
    limit: int | None = None,
    selection: Selection | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Make the examples of a corpus (of its first `limit` functions, the projects taking turns)."""
    chosen = selection or select(corpus, max_instructions=settings.max_chars // 8)
    check_leaks(chosen.functions)
    functions = chosen.functions if limit is None else _spread(chosen.functions, limit)
    portions = list(_plan(functions, tools, settings))
    missing = [number for number, (key, _) in enumerate(portions) if key not in examples]
    total, problems = Counter[str](), Counter[str]()
    done = len(portions) - len(missing)

    def load() -> Iterator[Portion]:
        for number in missing:
            yield _load(corpus, *portions[number])

    for _, result in distribute(Write(tools, settings), load(), jobs=jobs, ray=ray):
        done += 1
        if result.problem:
            problems[result.problem] += 1
        else:
            examples.add(result.value[0])
            problems.update(result.value[1])
        if progress is not None:
            progress(done, len(portions))
    keep = {key for key, _ in portions}
    for shard in examples.shards:
        if shard.key in keep:
            total.update(shard.summary["stages"])
    examples.about |= {"made_by": {"settings": asdict(settings), "llvm": tools.llvm, "limit": limit}}
    examples.save()
    return Made(
        num_examples=sum(total.values()),
        num_functions=len(functions),
        num_kept=len(portions) - len(missing),
        stages=total,
        problems=problems,
    )


def _spread(functions: Sequence[Chosen], limit: int) -> list[Chosen]:
    """`limit` functions, taken from the projects in turns, in the order of the corpus."""
    rank: Counter[str] = Counter()
    ranked: list[tuple[int, int]] = []
    for number, function in enumerate(functions):
        ranked.append((rank[function.project], number))
        rank[function.project] += 1
    return [functions[number] for _, number in sorted(sorted(ranked)[:limit], key=lambda pair: pair[1])]


def _plan(functions: Sequence[Chosen], tools: Tools, settings: TextSettings) -> Iterator[tuple[str, list[Chosen]]]:
    """(key, functions) of each portion: neighbours, modules whole where they are small."""
    about = [KIND, _FORMAT, tools.llvm, bool(tools.aarch64), asdict(settings)]
    waiting: list[Chosen] = []
    for _, group in groupby(functions, key=lambda function: (function.shard, function.row)):
        members = list(group)
        if waiting and (len(waiting) + len(members) > _PORTION_FUNCTIONS or waiting[-1].project != members[0].project):
            yield _key(about, waiting), waiting
            waiting = []
        waiting = waiting + members
        while len(waiting) > _PORTION_FUNCTIONS:
            yield _key(about, waiting[:_PORTION_FUNCTIONS]), waiting[:_PORTION_FUNCTIONS]
            waiting = waiting[_PORTION_FUNCTIONS:]
    if waiting:
        yield _key(about, waiting), waiting


def _key(about: list[Any], functions: Sequence[Chosen]) -> str:
    return key_of(*about, [[f.project, f.split, f.path, f.name, f.sha256, f.licence] for f in functions])


def _load(corpus: ShardFolder, key: str, functions: Sequence[Chosen]) -> Portion:
    """Read the modules that a portion needs."""
    modules: list[tuple[bytes, tuple[Chosen, ...]]] = []
    rows: dict[str, list[dict[str, Any]]] = {}
    for (shard, row), group in groupby(functions, key=lambda function: (function.shard, function.row)):
        if shard not in rows:
            rows[shard] = corpus.read(corpus.get(shard), ["bitcode"])
        modules.append((rows[shard][row]["bitcode"], tuple(group)))
    return Portion(key=key, modules=tuple(modules))


_BENCHES: dict[Tools, Bench] = {}


def bench(tools: Tools) -> Bench:
    """This process's bench on some LLVMs."""
    if tools not in _BENCHES:
        _BENCHES[tools] = Bench(tools.library, aarch64=tools.aarch64, protocol=PROTOCOLS["oz"], llvm_major=tools.major)
    return _BENCHES[tools]


@dataclass(frozen=True, slots=True)
class Write:
    """Portions to shards, in a worker process (distribute.py)."""

    tools: Tools
    settings: TextSettings

    def __call__(self, portion: Portion) -> tuple[bytes, dict[str, int]]:
        """The shard, and how often each reason was why a function gave nothing."""
        rows: list[dict[str, Any]] = []
        problems = Counter[str]()
        bench_here = bench(self.tools)
        for bitcode, functions in portion.modules:
            try:
                bench_here.open(bitcode, functions[0].path)
            except IrwrightError as error:
                problems[str(error)] += len(functions)
                continue
            for function in functions:
                try:
                    unit = bench_here.unit(function.name)
                    for example in text_examples(bench_here, unit, self.settings):
                        rows.append({**example, **about_function(function)})
                except IrwrightError as error:
                    problems[str(error)] += 1
        summary = {
            "stages": dict(Counter(row["stage"] for row in rows)),
            "split": portion.modules[0][1][0].split,
            "project": portion.modules[0][1][0].project,
        }
        return encode(rows, example_columns(), key=portion.key, summary=summary), dict(problems)


def about_function(function: Chosen) -> dict[str, Any]:
    """The columns that say where an example is from."""
    fields = ("project", "split", "path", "licence", "language", "sha256", "instructions")
    return {"function": function.name, **{name: getattr(function, name) for name in fields}}
