"""How benchmarks write down what they measured: docs/results/NAME.json, and NAME.md made from the same data.

A result names its command, the day, the machine and the versions; the load of the machine before the run tells
whether something else was running beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from irwright.llvm.worker import default_jobs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"

Cell = str | int | float | None
"""None is printed as a dash: not measured, or not measurable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a report."""

    title: str
    columns: tuple[str, ...]
    """the first one is text; units stand in the name"""
    rows: list[tuple[Cell, ...]]
    note: str = ""
    """how to read it: protocol, budget, what is compared with what"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A number that was promised, and the one that was measured."""

    what: str
    wanted: str
    """as text with its relation and unit: `>= 10 x`"""
    measured: float
    met: bool


def at_least(what: str, wanted: float, measured: float, unit: str = "x") -> Goal:
    """A goal that a bigger number meets."""
    return Goal(what=what, wanted=f">= {wanted:g} {unit}", measured=measured, met=measured >= wanted)


def below(what: str, wanted: float, measured: float, unit: str) -> Goal:
    """A goal that a smaller number meets."""
    return Goal(what=what, wanted=f"< {wanted:g} {unit}", measured=measured, met=measured < wanted)


@dataclass(slots=True)
class Report:
    """Everything one benchmark has to say."""

    name: str
    """of the files"""
    title: str
    _: KW_ONLY
    summary: str = ""
    """what was asked, in a sentence or two"""
    goals: list[Goal] = field(default_factory=list[Goal])
    tables: list[Table] = field(default_factory=list[Table])
    notes: list[str] = field(default_factory=list[str])
    versions: dict[str, str] = field(default_factory=dict[str, str])
    """of what was measured, beside irwright, Python and the machine"""
    quick: bool = False
    """a smoke run: says so on top"""
    machine: dict[str, str] = field(default_factory=lambda: machine())

    def add_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, note: str = "") -> None:
        """Append a table; rows that are too short are filled up with dashes."""
        filled = [(*row, *[None] * (len(columns) - len(row))) for row in rows]
        self.tables.append(Table(title=title, columns=tuple(columns), rows=filled, note=note))

    def write(self, folder: Path = RESULTS) -> Path:
        """Write both files; the path of the Markdown."""
        folder.mkdir(parents=True, exist_ok=True)
        data = {**asdict(self), "date": _today(), "command": _command()}
        (folder / f"{self.name}.json").write_text(json.dumps(data, indent=1) + "\n")
        page = folder / f"{self.name}.md"
        page.write_text(self.markdown())
        return page

    def markdown(self) -> str:
        """The report as a page."""
        lines = [f"# {self.title}", ""]
        if self.quick:
            lines += ["**A quick run: too short for numbers to quote.**", ""]
        lines += [self.summary, ""] if self.summary else []
        lines += [f"    {_command()}", "", f"{_today()}; {_listed({**self.machine, **self.versions})}.", ""]
        if self.goals:
            rows = [(goal.what, goal.wanted, goal.measured, "yes" if goal.met else "**no**") for goal in self.goals]
            lines += [*_table(("goal", "wanted", "measured", "met"), rows), ""]
        for table in self.tables:
            lines += [f"## {table.title}", "", *([table.note, ""] if table.note else [])]
            lines += [*_table(table.columns, table.rows), ""]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"


def add_out_option(parser: argparse.ArgumentParser) -> None:
    """`--out DIR`, the same for every benchmark."""
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the report")


def geomean(values: Sequence[float]) -> float:
    """Geometric mean; NaN of nothing."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def machine() -> dict[str, str]:
    """What a reader needs to know of this computer, and of the code that ran."""
    return {
        "cpu": _cpu(),
        "cores used": str(default_jobs()),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "irwright": _irwright(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _irwright() -> str:
    """Version and commit, with a + where files differ from the commit."""
    try:
        number = version("irwright")
    except PackageNotFoundError:
        number = "not installed"
    git = ["git", "-C", str(ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        status = [*git, "status", "--porcelain", "--", "src", "benchmarks"]
        changed = subprocess.run(status, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return number
    return f"{number} at {commit.stdout.strip()}{'+' if changed.stdout.strip() else ''}"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _command() -> str:
    """What was typed, from the root of the repository, but where the report goes; `~` is the home folder."""
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script
    home = f"{Path.home()}/"
    typed = list(sys.argv[1:])
    if "--out" in typed:
        del typed[typed.index("--out") : typed.index("--out") + 2]
    words = [
        f"~/{shlex.quote(word.removeprefix(home))}" if word.startswith(home) else shlex.quote(word) for word in typed
    ]
    return " ".join(["python", shlex.quote(str(name)), *words])


def _listed(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    ruler = [":--", *("--:" for _ in columns[1:])]
    return [_row(columns), _row(ruler), *(_row([_cell(cell) for cell in row]) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "–"
    if not isinstance(cell, float):
        return str(cell)
    magnitude = abs(cell)
    return f"{cell:.0f}" if magnitude >= 100 else f"{cell:.1f}" if magnitude >= 10 else f"{cell:.2f}"
