"""What a report is made of: sections of tables and drawings, as plain data that terminal and page print alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from irwright.evaluation.published import Published

Row = dict[str, Any]
Cell = str | int | float | None
"""None is not measured, or not measurable"""

SIZES = ((1, 9), (10, 19), (20, 49), (50, 99), (100, 199), (200, 499), (500, 999), (1000, 4999), (5000, 1 << 60))
"""classes of instructions"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of a report; the unit of a column stands in its name."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    """how to read it"""
    in_terminal: bool = False
    """is part of the short summary"""
    is_times: bool = False
    """holds times, which differ from run to run"""
    num_texts: int = 1
    """first columns that are text"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing of a report."""

    title: str
    svg: str
    note: str = ""
    file: str = ""
    """what it is called as a file of its own; empty where it is none"""


@dataclass(slots=True, kw_only=True)
class Section:
    """A part of a report with a headline."""

    title: str
    text: list[str] = field(default_factory=list[str])
    """paragraphs"""
    parts: list[Table | Drawing] = field(default_factory=list[Table | Drawing])


def figures(published: Sequence[Published]) -> Table:
    """What others published, as a table."""
    rows = tuple((one.name, one.what, one.value) for one in published)
    return Table(title="Published", columns=("who", "what", "%"), rows=rows, num_texts=2)


def size_class(instructions: int) -> int:
    """The number of the class in SIZES."""
    return next((n for n, (low, high) in enumerate(SIZES) if low <= instructions <= high), 0)


def size_name(number: int) -> str:
    """As tables call a class."""
    low, high = SIZES[number]
    return f"{low:,} to {high:,}" if high < 1 << 60 else f"{low:,} and more"


def shown(cell: Cell) -> str:
    """A cell as text."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if isinstance(cell, float):
        if 0 < abs(cell) < 0.0001:
            return f"{cell:.0e}"
        return f"{cell:.4f}" if 0 < abs(cell) < 0.01 else f"{cell:,.2f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def percent(part: float, whole: float) -> float | None:
    """A share in percent, None of nothing."""
    return 100 * part / whole if whole else None


def share_of(rows: Sequence[Row], test: Callable[[Row], Any]) -> float | None:
    """Percent of the rows that pass."""
    return percent(sum(bool(test(row)) for row in rows), len(rows))


def short_name(proposer: str) -> str:
    """A proposer as tables call it: of a model's path, the file's name."""
    kind, colon, model = proposer.partition(":")
    return f"{kind}:{model if '://' in model else model.rstrip('/').rpartition('/')[2]}" if colon else proposer
