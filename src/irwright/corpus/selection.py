"""Which functions of a corpus are used: each content once, split by project, nothing held out among the training ones.

`select` goes over all functions in a fixed order, held-out projects first, and takes a function whose canonical form
(exactly) and signature (nearly, near.py) are new; so a copy of held-out code never trains a model. `check_leaks` looks
again at what was chosen, by means of its own, and raises: a leak must not be averaged away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from irwright.corpus.near import THRESHOLD, NearIndex, pairs_alike
from irwright.corpus.store import Split
from irwright.errors import LeakError
from irwright.shards import ShardFolder

COLUMNS = ("project", "version", "split", "licence", "language", "path", "functions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One function of the corpus, and where it is."""

    shard: str
    """key of the shard that holds its module"""
    row: int
    """of the module in the shard"""
    project: str
    split: Split
    licence: str
    language: str
    path: str
    name: str
    sha256: str
    """of the canonical form"""
    instructions: int
    """of unoptimised IR"""
    chars: int
    """of the canonical form"""
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was chosen, and what was not."""

    functions: tuple[Chosen, ...] = ()
    num_seen: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    """functions that were left out, by reason"""

    @property
    def num_distinct(self) -> int:
        """Different canonical forms, near-duplicates and all sizes included."""
        return len(self.functions) + sum(n for why, n in self.dropped.items() if not why.startswith("copy"))


def select(
    corpus: ShardFolder,
    *,
    min_instructions: int = 3,
    max_instructions: int = 1 << 30,
    near: float | None = THRESHOLD,
) -> Selection:
    """Choose functions; `near` is the share from which functions are copies (None: only exact copies are)."""
    dropped = Counter[str]()
    chosen: list[Chosen] = []
    owner: dict[str, Chosen] = {}
    index = NearIndex(near) if near is not None else None
    num_seen = 0
    for function in _in_order(corpus):
        num_seen += 1
        first = owner.setdefault(function.sha256, function)
        if first is not function:
            dropped[f"copy, {_where(first, function)}"] += 1
        elif not min_instructions <= function.instructions <= max_instructions:
            dropped["too small" if function.instructions < min_instructions else "too large"] += 1
        elif index is not None and index.any_alike(function.signature):
            dropped["nearly a copy"] += 1
        else:
            chosen.append(function)
            if index is not None:
                index.add(function.sha256, function.signature)
    return Selection(functions=tuple(chosen), num_seen=num_seen, dropped=dropped)


def _where(first: Chosen, again: Chosen) -> str:
    if first.project == again.project:
        return "same project"
    return "another project" if first.split == again.split else "held-out project"


def _in_order(corpus: ShardFolder) -> Iterable[Chosen]:
    """Every function: held-out first, then by project, path and place in the module."""
    modules: list[tuple[tuple[Any, ...], str, int, dict[str, Any]]] = []
    for shard in corpus.shards:
        for number, row in enumerate(corpus.read(shard, COLUMNS)):
            order = (row["split"] != "heldout", row["project"], row["version"], row["path"], shard.key, number)
            modules.append((order, shard.key, number, row))
    modules.sort(key=lambda module: module[0])
    for _, key, number, row in modules:
        for function in row["functions"]:
            yield Chosen(
                shard=key,
                row=number,
                project=row["project"],
                split=row["split"],
                licence=row["licence"],
                language=row["language"],
                path=row["path"],
                name=function["name"],
                sha256=function["sha256"],
                instructions=function["instructions"],
                chars=function["chars"],
                signature=function["signature"],
            )


def check_leaks(functions: Sequence[Chosen], *, near: float | None = THRESHOLD) -> None:
    """Raise LeakError where a project, a canonical form or a near-duplicate is on both sides of the split."""
    sides: dict[Split, list[Chosen]] = {"train": [], "heldout": []}
    for function in functions:
        sides[function.split].append(function)
    _disjoint("project", {f.project for f in sides["train"]}, {f.project for f in sides["heldout"]})
    _disjoint("function", {f.sha256 for f in sides["train"]}, {f.sha256 for f in sides["heldout"]})
    if near is None:
        return
    names = {f.sha256: f"{f.name} of {f.project}" for f in functions}
    train, heldout = ([(f.sha256, f.signature) for f in sides[split]] for split in ("train", "heldout"))
    for one, other, share in pairs_alike(train, heldout, near):
        raise LeakError(
            f"{names[one]} (training) is {share:.0%} like {names[other]} (held out); "
            "make the examples again from a corpus without it"
        )


def _disjoint(what: str, train: set[str], heldout: set[str]) -> None:
    if both := sorted(train & heldout):
        others = f", and so are {len(both) - 1} others" if len(both) > 1 else ""
        raise LeakError(
            f"{what} {both[0]!r} is both training and held out{others}; "
            "make the examples again from a corpus in which each project has one split"
        )
