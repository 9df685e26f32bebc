"""The task `tune`, summed up: who saves how much with how many compilations, and who is better than whom.

A gain counts -Oz as a backup (the compiler's, or in process where that is smaller), as the tool does, unless a column
says otherwise. A proposer that failed on a case left it as it is. All proposers are compared on the same cases: those
whose baseline is known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from irwright.evaluation.parts import (
    SIZES,
    Cell,
    Drawing,
    Row,
    Section,
    Table,
    figures,
    percent,
    short_name,
    size_class,
    size_name,
)
from irwright.evaluation.plots import Curve, Mark, bars, curves
from irwright.evaluation.published import TUNE, TUNE_OTHER, TUNE_PAPER
from irwright.evaluation.statistics import LEVEL, holm, interval, paired
from irwright.measure import PROTOCOLS, gain

MAX_BARS = 40
"""projects that are drawn; the table has all"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one proposer did on one case with one budget."""

    case: str
    project: str
    instructions: int
    baseline: int
    best: int
    """smallest of what was proposed"""
    kept: int
    """with -Oz as a backup: the compiler's, or in process where that is smaller"""
    text: tuple[int, int]
    """bytes of code: of the baseline and, with -Oz as backup, of the result"""
    failed: bool

    @property
    def log(self) -> float:
        """Logarithm of what is left."""
        return math.log(max(self.kept, 1) / self.baseline) if self.baseline else 0.0


Points = dict[tuple[str, int], list[Point]]
"""by proposer and budget, all in the same order of cases"""


def tune_sections(rows: Sequence[Row]) -> Iterator[Section]:
    """A section for each kind of object and protocol."""
    kinds = dict.fromkeys((row["objects"], row["protocol"]) for row in rows)
    for objects, protocol in kinds:
        of_kind = [row for row in rows if (row["objects"], row["protocol"]) == (objects, protocol)]
        points = points_of(of_kind)
        if points:
            yield _section(objects, protocol, of_kind, points)


def points_of(rows: Sequence[Row]) -> Points:
    """Rows of one kind as points; empty where no case has a baseline."""
    baselines: dict[str, tuple[int, int]] = {}
    about: dict[str, Row] = {}
    for row in rows:
        about.setdefault(row["case"], row)
        if "baseline" in row:
            baselines.setdefault(row["case"], tuple(row["baseline"]))
    found: Points = {}
    for key in dict.fromkeys((row["proposer"], row["budget"]) for row in rows):
        mine = {row["case"]: row for row in rows if (row["proposer"], row["budget"]) == key and "best" in row}
        found[key] = [_point(about[case], baselines[case], mine.get(case)) for case in baselines]
    return found if baselines else {}


def _point(about: Row, baseline: tuple[int, int], row: Row | None) -> Point:
    if row is None:
        best, backup = baseline, baseline
    else:
        best = (row["best"][0], row["best"][1])
        backup = min(baseline, tuple(row.get("oz") or baseline))
    return Point(
        case=about["case"],
        project=about["project"],
        instructions=about["instructions"],
        baseline=baseline[0],
        best=best[0],
        kept=min(best[0], backup[0]),
        text=(baseline[1], best[1] if best[0] < backup[0] else backup[1]),
        failed=row is None,
    )


def geomean(points: Iterable[Point]) -> float:
    """Geometric mean of what is saved, in percent."""
    logs = [point.log for point in points]
    return 100 * (1 - math.exp(sum(logs) / len(logs))) if logs else math.nan


def interval_of(points: Sequence[Point]) -> tuple[float, float] | None:
    """Of the geometric mean, over projects."""
    sums: dict[str, list[float]] = {}
    for point in points:
        mine = sums.setdefault(point.project, [0.0, 0.0])
        mine[0] += point.log
        mine[1] += 1
    return interval(sums, lambda total: 100 * (1 - math.exp(total[0] / total[1])) if total[1] else math.nan)


def best_known(points: Points) -> float:
    """Geomean of the smallest that anybody found of each case."""
    logs = [min(point.log for point in group) for group in zip(*points.values(), strict=True)]
    return 100 * (1 - math.exp(sum(logs) / len(logs)))


def _section(objects: str, protocol: str, rows: Sequence[Row], points: Points) -> Section:
    first = next(iter(points.values()))
    projects = {point.project for point in first}
    about = PROTOCOLS[protocol]
    section = Section(title=f"Tuning {objects}, protocol {protocol}")
    section.text.append(
        f"{len(first):,} {objects} of {len(projects):,} projects. Baseline: {about.baseline}. Counted: {about.counts}. "
        "Gains have -Oz as a backup, the compiler's or in process, whichever is smaller. Intervals are of the "
        "geometric mean, 95 %, by drawing whole projects again."
    )
    section.text.append(TUNE_PAPER if protocol == "paper" else TUNE_OTHER)
    section.parts.append(_curves(objects, points, protocol))
    section.parts.append(_gains(objects, protocol, points))
    if (tests := _tests(objects, protocol, points)) is not None:
        section.parts.append(tests)
    by_project = _by_project(points)
    section.parts += [_bars(by_project), by_project, _by_size(points)]
    if (sizes := _foreseen(rows)) is not None:
        section.parts.append(sizes)
    if protocol == "paper":
        section.parts.append(figures(TUNE))
    section.parts.append(_times(rows))
    return section


def _curves(objects: str, points: Points, protocol: str) -> Drawing:
    lines: list[Curve] = []
    for proposer in dict.fromkeys(proposer for proposer, _ in points):
        budgets = sorted(budget for name, budget in points if name == proposer)
        values = [geomean(points[proposer, budget]) for budget in budgets]
        ranges = [interval_of(points[proposer, budget]) for budget in budgets]
        lines.append(Curve(name=short_name(proposer), x=budgets, y=values, ranges=ranges))
    marks = [Mark(name=one.mark, value=one.value) for one in TUNE if one.mark] if protocol == "paper" else []
    return Drawing(
        title="Gain against compilations",
        svg=curves(lines, x_name="compilations", y_name="geomean saved, %", marks=marks),
        note="Bands are 95 % intervals over projects.",
        file=f"gains-{objects}-{protocol}.svg",
    )


def _gains(objects: str, protocol: str, points: Points) -> Table:
    known = best_known(points)
    lines: list[tuple[Cell, ...]] = []
    for (proposer, budget), group in points.items():
        total = gain([(point.baseline, point.kept) for point in group])
        code = gain([point.text for point in group])
        alone = gain([(point.baseline, point.best) for point in group])
        low, high = interval_of(group) or (None, None)
        middle = geomean(group)
        lines.append(
            (
                *(short_name(proposer), budget, total.percent, middle, low, high),
                percent(middle, known) if known > 0 else None,
                *(code.percent, alone.geomean_percent, alone.improved, alone.regressed, alone.unchanged),
                sum(point.failed for point in group),
            )
        )
    return Table(
        title=f"Gains: {objects}, protocol {protocol}",
        columns=(
            *("proposer", "compilations", "saved %", "geomean %", "from %", "to %", "of best known %"),
            *("code saved %", "no backup, geomean %", "improved", "regressed", "unchanged", "failed"),
        ),
        rows=tuple(lines),
        note=f"Best known: {known:.2f} % geomean, the smallest that anybody here found of each case. Regressed: what "
        "was proposed is larger than the baseline, before the backup. Failed: the proposer ended in an error.",
        in_terminal=True,
    )


def _logs_by_project(points: Sequence[Point]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for point in points:
        sums.setdefault(point.project, []).append(point.log)
    return {project: sum(logs) / len(logs) for project, logs in sums.items()}


def _tests(objects: str, protocol: str, points: Points) -> Table | None:
    """Every pair over all budgets that both have, and at each; each of the two families corrected together."""
    logs = {key: _logs_by_project(group) for key, group in points.items()}
    names = list(dict.fromkeys(proposer for proposer, _ in points))
    common = {
        (one, other): [k for name, k in points if name == one and (other, k) in points]
        for one, other in combinations(names, 2)
    }
    whole = [(one, other, budgets) for (one, other), budgets in common.items() if len(budgets) > 1]
    single = [(one, other, [budget]) for (one, other), budgets in common.items() for budget in budgets]
    lines: list[tuple[Cell, ...]] = []
    for family in (whole, single):
        results = [paired(_differences(logs, *pair)) for pair in family]
        corrected = holm([result.p for result in results])
        for (one, other, budgets), result, p in zip(family, results, corrected, strict=True):
            better = "no difference shown" if p >= LEVEL else short_name(one if result.difference > 0 else other)
            budget = budgets[0] if len(budgets) == 1 else "all"
            numbers = (budget, result.difference, result.ahead, result.behind, result.p, p)
            ratio = _ratio(points[one, budgets[0]], points[other, budgets[0]]) if len(budgets) == 1 else (None,) * 3
            lines.append((short_name(one), short_name(other), *numbers, better, *ratio))
    if not lines:
        return None
    return Table(
        title=f"Who is better: {objects}, protocol {protocol}",
        columns=(
            *("one", "other", "compilations", "difference, points", "one ahead, projects", "other ahead, projects"),
            *("p", "p, Holm", "better", "gain, times the other's", "from", "to"),
        ),
        rows=tuple(lines),
        note="Paired, two-sided permutation test on the signs of the differences between projects (mean logarithm of "
        "what is left, each project counting once; over all numbers of compilations that both have, their mean). "
        "Corrected by Holm, the rows over all compilations and those at each by themselves. With fewer than six "
        "projects that differ no p falls under 0.05. The last columns are the ratio of geometric means of what is "
        "saved, and its 95 % interval over projects, draws in which the other saves nothing left out.",
        num_texts=2,
    )


def _ratio(one: Sequence[Point], other: Sequence[Point]) -> tuple[float | None, float | None, float | None]:
    """The first's gain as a multiple of the other's, and its interval; None where the other gains nothing."""
    sums: dict[str, list[float]] = {}
    for first, second in zip(one, other, strict=True):
        mine = sums.setdefault(first.project, [0.0, 0.0, 0.0])
        for place, value in enumerate((first.log, second.log, 1.0)):
            mine[place] += value

    def ratio(total: Sequence[float]) -> float:
        gains = [1 - math.exp(value / total[2]) for value in total[:2]]
        return gains[0] / gains[1] if gains[1] > 1e-6 else math.nan

    value = ratio([sum(column) for column in zip(*sums.values(), strict=True)])
    if math.isnan(value):
        return None, None, None
    low, high = interval(sums, ratio) or (None, None)
    return value, low, high


def _differences(
    logs: dict[tuple[str, int], dict[str, float]], one: str, other: str, budgets: Sequence[int]
) -> dict[str, float]:
    """What the first is ahead by project, in points, over some budgets."""
    sums: dict[str, float] = {}
    for budget in budgets:
        first, second = logs[one, budget], logs[other, budget]
        for project in first:
            sums[project] = sums.get(project, 0.0) + 100 * (second[project] - first[project]) / len(budgets)
    return sums


def _top(points: Points) -> dict[str, list[Point]]:
    """Every proposer's points at its largest budget."""
    largest: dict[str, int] = {}
    for proposer, budget in points:
        largest[proposer] = max(budget, largest.get(proposer, 0))
    return {f"{short_name(name)}, {budget}": points[name, budget] for name, budget in largest.items()}


def _by_project(points: Points) -> Table:
    top = _top(points)
    first = next(iter(top.values()))
    lines: list[tuple[Cell, ...]] = []
    for project in sorted({point.project for point in first}):
        mine = [point for point in first if point.project == project]
        saved = [
            gain([(point.baseline, point.kept) for point in group if point.project == project]).percent
            for group in top.values()
        ]
        lines.append((project, len(mine), sum(point.baseline for point in mine), *saved))
    return Table(
        title="By project: bytes saved",
        columns=("project", "cases", "baseline", *(f"{name}, saved %" for name in top)),
        rows=tuple(lines),
        note="Each proposer with its largest number of compilations.",
    )


def _bars(by_project: Table) -> Drawing:
    rows = sorted(by_project.rows, key=lambda row: (-int(row[2] or 0), str(row[0])))[:MAX_BARS]
    names = [name.removesuffix(", saved %") for name in by_project.columns[3:]]
    groups = [(str(row[0]), [float(value or 0) for value in row[3:]]) for row in rows]
    left = len(by_project.rows) - len(rows)
    note = f"The {len(rows)} largest; {left} smaller ones are in the table." if left else ""
    return Drawing(title="By project", svg=bars(names, groups, x_name="bytes saved, %"), note=note)


def _by_size(points: Points) -> Table:
    top = _top(points)
    first = next(iter(top.values()))
    lines: list[tuple[Cell, ...]] = []
    for number in range(len(SIZES)):
        count = sum(size_class(point.instructions) == number for point in first)
        if count:
            saved = [geomean(p for p in group if size_class(p.instructions) == number) for group in top.values()]
            lines.append((size_name(number), count, *saved))
    return Table(
        title="By size: geomean",
        columns=("instructions", "cases", *(f"{name}, geomean %" for name in top)),
        rows=tuple(lines),
        note="Instructions of the unoptimised IR.",
    )


def _foreseen(rows: Sequence[Row]) -> Table | None:
    """Sizes that models name with their first list."""
    lines: list[tuple[Cell, ...]] = []
    for proposer in dict.fromkeys(row["proposer"] for row in rows if row.get("foreseen")):
        mine = [row for row in rows if row["proposer"] == proposer and "foreseen" in row]
        smallest = min(row["budget"] for row in mine)
        found = [row["foreseen"] for row in mine if row["budget"] == smallest]
        means = [_mean([100 * one[name] for one in found if name in one]) for name in ("oz", "list", "list_as_oz")]
        lines.append((short_name(proposer), len(found), sum("list" in one for one in found), *means))
    if not lines:
        return None
    return Table(
        title="Sizes foreseen with a model's first list",
        columns=("proposer", "cases", "sizes named", "-Oz off %", "list off %", "list off %, were it as -Oz"),
        rows=tuple(lines),
        note="Mean share by which a size is off. The last column is free: it says that the list's size is that of -Oz.",
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _times(rows: Sequence[Row]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for proposer, budget in dict.fromkeys((row["proposer"], row["budget"]) for row in rows):
        mine = [row for row in rows if (row["proposer"], row["budget"]) == (proposer, budget) and "times" in row]
        sums = Counter[str]()
        for row in mine:
            sums.update(row["times"])
        if not mine:
            continue
        lines.append(
            (
                *(short_name(proposer), budget, sum(row["compilations"] for row in mine) / len(mine)),
                sums["seconds"] / len(mine),
                percent(sums["llvm"], sums["seconds"]),
                percent(sums["proposer"], sums["seconds"]) if "proposer" in sums else None,
                (sums["seconds"] + sums["baseline"]) / sums["baseline"] if sums["baseline"] else None,
            )
        )
    return Table(
        title="Time",
        columns=(
            *("proposer", "compilations allowed", "spent, mean", "seconds a case", "in LLVM %", "in the model %"),
            "with the baseline, times the baseline alone",
        ),
        rows=tuple(lines),
        note="Wall time of the search alone: neither seed IR, verification nor final code generation is in it.",
        is_times=True,
    )
