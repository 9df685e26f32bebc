"""The task `ship`, summed up: what users get after verification, and what it costs in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from irwright.evaluation.gains import Points, geomean, interval_of, points_of
from irwright.evaluation.parts import Cell, Row, Section, Table, percent, short_name
from irwright.measure import gain


def ship_sections(rows: Sequence[Row]) -> Iterator[Section]:
    """What users get: after verification, with the time it takes."""
    kinds = dict.fromkeys((row["objects"], row["protocol"]) for row in rows)
    for objects, protocol in kinds:
        of_kind = [row for row in rows if (row["objects"], row["protocol"]) == (objects, protocol)]
        points = points_of(of_kind)
        if not points:
            continue
        section = Section(title=f"What is shipped: {objects}, protocol {protocol}")
        section.text.append(
            "The whole of `irwright tune`: sizes of objects that the compiler itself lowered, after every function was "
            "run beside the original's under emulation and builds that differ were repaired or thrown away."
        )
        section.parts += [_shipped(objects, protocol, points, of_kind), _ship_times(points, of_kind)]
        yield section


def _of(rows: Sequence[Row], proposer: str, budget: int) -> list[Row]:
    return [row for row in rows if (row["proposer"], row["budget"]) == (proposer, budget) and "times" in row]


def _shipped(objects: str, protocol: str, points: Points, rows: Sequence[Row]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for (proposer, budget), group in points.items():
        total = gain([(point.baseline, point.kept) for point in group])
        functions = Counter[str]()
        for row in _of(rows, proposer, budget):
            functions.update(row["verified"])
        compared = sum(functions.values())
        lines.append(
            (
                *(short_name(proposer), budget, total.percent, geomean(group), *(interval_of(group) or (None, None))),
                *(total.improved, total.unchanged, sum(point.failed for point in group)),
                *(compared, percent(functions["equal"], compared), percent(functions["inconclusive"], compared)),
            )
        )
    return Table(
        title=f"Shipped: {objects}, protocol {protocol}",
        columns=(
            *("proposer", "compilations", "saved %", "geomean %", "from %", "to %", "improved", "unchanged", "failed"),
            *("functions compared", "equal %", "inconclusive %"),
        ),
        rows=tuple(lines),
        note="Functions are those of improved objects.",
        in_terminal=True,
    )


def _ship_times(points: Points, rows: Sequence[Row]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for proposer, budget in points:
        times = [row["times"] for row in _of(rows, proposer, budget)]
        if times:
            seconds, baseline = (sum(one[name] for one in times) for name in ("seconds", "baseline"))
            ratio = seconds / baseline if baseline else None
            lines.append((short_name(proposer), budget, seconds / len(times), baseline / len(times), ratio))
    return Table(
        title="Time, end to end",
        columns=("proposer", "compilations", "seconds a case", "clang -Oz, seconds", "times clang -Oz"),
        rows=tuple(lines),
        note="Wall time; clang compiles the same bitcode.",
        is_times=True,
    )
