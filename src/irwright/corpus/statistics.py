"""What is in a corpus: counts, sizes, licences and languages by split, as numbers, a table and a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from irwright.corpus.store import Split
from irwright.errors import CorpusError, StorageError
from irwright.shards import ShardFolder

SPLITS: tuple[Split, ...] = ("train", "heldout")
CHARS_PER_TOKEN = 4.9
"""of canonical IR under the phrase tokenizer with 4,096 entries (measured, docs/log.md)"""
QUANTILES = (0.1, 0.5, 0.9, 0.99)
_COLUMNS = ("project", "split", "licence", "language", "functions")


@dataclass(slots=True, kw_only=True)
class SplitStats:
    """One side of the split."""

    projects: set[str] = field(default_factory=set[str])
    num_modules: int = 0
    num_functions: int = 0
    distinct: set[str] = field(default_factory=set[str])
    """hashes of canonical forms"""
    chars: int = 0
    """of the canonical forms, each once"""
    instructions: list[int] = field(default_factory=list[int])
    """of each distinct function"""
    licences: Counter[str] = field(default_factory=Counter[str])
    """functions by licence; "" is unknown"""
    languages: Counter[str] = field(default_factory=Counter[str])

    @property
    def num_tokens(self) -> int:
        """Tokens of the distinct functions, estimated from their characters."""
        return round(self.chars / CHARS_PER_TOKEN)

    @property
    def duplicate_share(self) -> float:
        """Share of functions that are exact copies of another one of this side."""
        return 1 - len(self.distinct) / self.num_functions if self.num_functions else 0.0

    def quantiles(self) -> list[int]:
        """Instructions at each of QUANTILES."""
        ordered = sorted(self.instructions)
        return [ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in QUANTILES] if ordered else []

    def to_json(self) -> dict[str, Any]:
        return {
            "projects": len(self.projects),
            "modules": self.num_modules,
            "functions": self.num_functions,
            "distinct_functions": len(self.distinct),
            "duplicate_share": round(self.duplicate_share, 4),
            "characters": self.chars,
            "tokens_estimated": self.num_tokens,
            "instructions_quantiles": dict(zip(map(str, QUANTILES), self.quantiles(), strict=False)),
            "licences": dict(self.licences.most_common()),
            "languages": dict(self.languages.most_common()),
        }


def count(corpus: ShardFolder) -> dict[Split, SplitStats]:
    """Go over all modules once; bitcode is not read."""
    found: dict[Split, SplitStats] = {split: SplitStats() for split in SPLITS}
    for row in corpus.rows(_COLUMNS):
        stats = found[row["split"]]
        stats.projects.add(row["project"])
        stats.num_modules += 1
        stats.num_functions += len(row["functions"])
        stats.licences[row["licence"]] += len(row["functions"])
        stats.languages[row["language"]] += len(row["functions"])
        for function in row["functions"]:
            if function["sha256"] not in stats.distinct:
                stats.distinct.add(function["sha256"])
                stats.chars += function["chars"]
                stats.instructions.append(function["instructions"])
    return found


def describe(found: dict[Split, SplitStats]) -> list[str]:
    """The table as lines."""
    head = ("split", "projects", "modules", "functions", "distinct", "tokens", *(f"{q:.0%}" for q in QUANTILES))
    lines = ["".join(f"{word:>12}" for word in head)]
    for split, stats in found.items():
        numbers = (len(stats.projects), stats.num_modules, stats.num_functions, len(stats.distinct), stats.num_tokens)
        cells = (split, *(f"{number:,}" for number in (*numbers, *stats.quantiles())))
        lines.append("".join(f"{cell:>12}" for cell in cells))
    lines.append(
        f"tokens: characters of the canonical form / {CHARS_PER_TOKEN}; percentages: instructions of functions"
    )
    total = sum((stats.num_functions for stats in found.values()), 0)
    for title, counts in (
        ("languages", sum((stats.languages for stats in found.values()), Counter[str]())),
        ("licences", sum((stats.licences for stats in found.values()), Counter[str]())),
    ):
        parts = (
            [f"{name or 'unknown'} {number / total:.1%}" for name, number in counts.most_common(12)] if total else []
        )
        lines.append(f"{title}: {', '.join(parts) or 'none'}")
    return lines


def plot(found: dict[Split, SplitStats], output: Path) -> None:
    """Draw sizes, projects, licences and languages into a file of the kind its suffix names (.svg, .png, .pdf)."""
    try:
        matplotlib = import_module("matplotlib")
        matplotlib.use("agg")
        pyplot = import_module("matplotlib.pyplot")
    except ModuleNotFoundError as error:
        raise CorpusError("plots need matplotlib; install it with: pip install 'irwright[bench]'") from error
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    sizes, licences, languages, splits = axes.flat
    edges = [2**power for power in range(14)]
    for split, stats in found.items():
        if stats.instructions:
            sizes.hist(stats.instructions, bins=edges, histtype="step", label=split, linewidth=1.5)
    sizes.set(xscale="log", title="distinct functions by size", xlabel="instructions, unoptimised", ylabel="functions")
    sizes.legend()
    _bars(licences, "functions by licence", sum((s.licences for s in found.values()), Counter[str]()).most_common(12))
    _bars(languages, "functions by language", sum((s.languages for s in found.values()), Counter[str]()).most_common())
    rows = [(f"{split}: {what}", n) for split, s in found.items() for what, n in _split_rows(s)]
    _bars(splits, "tokens in thousands, distinct functions, projects", rows)
    splits.set(xscale="log")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, metadata={"Date": None} if output.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise StorageError(str(output), f"can't be drawn ({error}); name a file that ends with .svg or .png") from error
    finally:
        pyplot.close(figure)


def _split_rows(stats: SplitStats) -> list[tuple[str, int]]:
    return [
        ("1,000 tokens", stats.num_tokens // 1000),
        ("functions", len(stats.distinct)),
        ("projects", len(stats.projects)),
    ]


def _bars(axes: Any, title: str, rows: Sequence[tuple[str, int]]) -> None:
    names = [name or "unknown" for name, _ in rows][::-1]
    bars = axes.barh(names, [number for _, number in rows][::-1])
    axes.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=8)
    axes.set(title=title)
    axes.margins(x=0.15)
