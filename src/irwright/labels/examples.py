"""Examples from a corpus: prompt and completion for every stage, as shards that models are trained on.

An examples folder is a folder of shards (shards.py) of the kind `examples`; docs/formats.md lists the columns. The
functions that selection.py chooses are made in portions, each of a few modules; a portion's key is the hash of its
functions, the settings and the LLVM, so a run that was killed, or is repeated, makes only what is missing, and ends
with the same files. How many workers there are, here or on Ray, changes nothing in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from irwright.corpus.selection import Selection
from irwright.errors import InputError, IrwrightError
from irwright.labels.outcomes import KnownTrials
from irwright.labels.portions import (
    Portion,
    Tools,
    about_columns,
    about_function,
    bench,
    fill,
    plan_portions,
    spread,
    units,
)
from irwright.labels.texts import TextSettings, text_examples
from irwright.shards import ShardFolder, arrow, encode

KIND = "examples"
STAGES = ("pretrain", "emulate", "tune", "disassemble")
_FORMAT = 1  # raise it when what is made of the same functions changes
_PORTION_FUNCTIONS = 48


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
    texts = ("stage", "prompt", "completion", "kind", "passes")
    numbers = ("bytes_before", "bytes_oz", "bytes_after")
    sizes = {"sizes": pa.list_(pa.int64())}
    return {**dict.fromkeys(texts, pa.string()), **about_columns(pa), **dict.fromkeys(numbers, pa.int64()), **sizes}


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
    selection: Selection,
    replace: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Made:
    """Make the examples of a selection (of `limit` of its functions, the projects taking turns).

    The folder then holds these and no others: where it has some of other settings or of another corpus, InputError,
    or with `replace` they are removed.
    """
    functions = spread(selection.functions, limit)
    about = [KIND, _FORMAT, tools.llvm, bool(tools.aarch64), settings.identity()]
    portions = plan_portions(functions, about, size=_PORTION_FUNCTIONS)
    num_kept = sum(key in examples for key, _ in portions)
    _only(examples, {key for key, _ in portions}, replace=replace)
    work = Write(tools, settings)
    by_hash = sorted(portions, key=lambda portion: portion[0])  # a run that is stopped early has all projects
    report = None if progress is None else partial(progress, "examples")
    problems = fill(examples, corpus, by_hash, work, jobs=jobs, ray=ray, progress=report)
    total = Counter[str]()
    for shard in examples.shards:
        total.update(shard.summary["stages"])
    examples.about |= {"made_by": {"settings": settings.identity(), "llvm": tools.llvm, "limit": limit}}
    examples.save()
    return Made(
        num_examples=sum(total.values()),
        num_functions=len(functions),
        num_kept=num_kept,
        stages=total,
        problems=problems,
    )


def _only(examples: ShardFolder, keys: set[str], *, replace: bool) -> None:
    stale = [shard.key for shard in examples.shards if shard.key not in keys]
    if stale and not replace:
        raise InputError(
            str(examples.folder),
            f"holds {len(stale)} shards of other settings or another corpus; name another folder, or say --replace",
        )
    for key in stale:
        examples.remove(key)


@dataclass(frozen=True, slots=True)
class Write:
    """Portions to shards, in a worker process (distribute.py)."""

    tools: Tools
    settings: TextSettings

    def __call__(self, portion: Portion) -> tuple[bytes, dict[str, int]]:
        """The shard, and how often each reason was why a function gave nothing."""
        problems = Counter[str]()
        rows: list[dict[str, Any]] = []
        bench_here = bench(self.tools, self.settings.protocol)
        trials = KnownTrials(
            folder=Path(self.settings.trials), protocol=self.settings.protocol, llvm_major=self.tools.major
        )
        for function, unit in units(portion, bench_here, problems, max_chars=self.settings.max_chars):
            try:
                known = trials.of(function.project, function.path, function.name) if self.settings.trials else None
                for example in text_examples(bench_here, unit, self.settings, known):
                    rows.append({**example, **about_function(function)})
            except IrwrightError as error:
                problems[str(error)] += 1
        summary = {
            "stages": dict(Counter(row["stage"] for row in rows)),
            "split": portion.modules[0][1][0].split,
            "project": portion.modules[0][1][0].project,
        }
        return encode(rows, example_columns(), key=portion.key, summary=summary), dict(problems)
