"""The tasks `disassemble` and `emulate`, summed up: verdicts by size, validity, errors of sizes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from irwright.evaluation.bleu import bleu
from irwright.evaluation.parts import (
    Cell,
    Drawing,
    Row,
    Section,
    Table,
    figures,
    share_of,
    short_name,
    size_class,
    size_name,
)
from irwright.evaluation.plots import Mark, bars, stacks
from irwright.evaluation.published import DISASSEMBLE, DISASSEMBLE_NOTE, EMULATE, EMULATE_NOTE
from irwright.evaluation.statistics import interval, paired

VERDICTS = ("exact", "equivalent", "inconclusive", "different", "not-lifted")
COLOURS: dict[str, int] = dict(zip(VERDICTS, (2, 0, 4, 5, 7), strict=True))
"""of the page"""
TEXT_CLASSES = (500, 1000, 2000, 4000, 8000, 16_000, 1 << 60)
"""of the IR in a prompt: up to so many characters"""


def shares(rows: Sequence[Row], test: Callable[[Row], Any]) -> tuple[float | None, float | None, float | None]:
    """Percent that pass, and the interval over projects."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        mine = sums.setdefault(row["project"], [0.0, 0.0])
        mine[0] += bool(test(row))
        mine[1] += 1
    low, high = interval(sums, lambda total: 100 * total[0] / total[1] if total[1] else math.nan) or (None, None)
    return share_of(rows, test), low, high


# Disassembly


def lift_sections(rows: Sequence[Row]) -> Iterator[Section]:
    """A section for each kind of object."""
    for objects in dict.fromkeys(row["objects"] for row in rows):
        mine = [row for row in rows if row["objects"] == objects]
        section = Section(title=f"Disassembly, {objects}")
        section.text.append(
            "`recompiles`: functions whose IR goes through code generation again; those that stay machine code do not "
            "count. `exact`: the recompiled assembly is the same instructions on the same data. `right`: exact, or the "
            "same as the original in every conclusive run under emulation. Shares are of all functions asked about."
        )
        if objects == "files":
            section.text.append("Language models are asked about single functions alone.")
        section.text.append(DISASSEMBLE_NOTE)
        section.parts += [_drawn_lifting(mine), _verdicts(mine, objects), *_by_size(mine)]
        section.parts += [figures(DISASSEMBLE), _lift_times(mine)]
        yield section


def functions_of(rows: Sequence[Row]) -> list[Row]:
    """Every function asked about; a case that failed counts as one that was not lifted."""
    found: list[Row] = []
    for row in rows:
        if "problem" in row:
            found.append({"verdict": "not-lifted", "project": row["project"], "instructions": row["instructions"]})
        found += [{**one, "project": row["project"]} for one in row.get("functions", ())]
    return found


def _recompiles(one: Row) -> bool:
    return one["verdict"] != "not-lifted"


def _exact(one: Row) -> bool:
    return one["verdict"] == "exact"


def _right(one: Row) -> bool:
    return one["verdict"] in ("exact", "equivalent")


def _drawn_lifting(rows: Sequence[Row]) -> Drawing:
    names, tests = ("recompiles %", "right %", "exact %"), (_recompiles, _right, _exact)
    groups: list[tuple[str, list[float]]] = []
    for proposer, mine in _by_proposer(rows).items():
        found = functions_of(mine)
        groups.append((short_name(proposer), [share_of(found, test) or 0.0 for test in tests]))
    marks = [Mark(name=f"{one.name}, {one.mark}", value=one.value) for one in DISASSEMBLE if one.mark]
    svg = bars(names, groups, x_name="% of functions", marks=marks, colours=(6, 0, 2))
    return Drawing(title="Who lifts how much", svg=svg)


def _verdicts(rows: Sequence[Row], objects: str) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for proposer in dict.fromkeys(row["proposer"] for row in rows):
        mine = [row for row in rows if row["proposer"] == proposer]
        found = functions_of(mine)
        counted = Counter(one["verdict"] for one in found)
        counts = [one["bleu"] for one in found if "bleu" in one]
        again = [one["bleu"] for one in found if "bleu" in one and _recompiles(one)]
        lines.append(
            (
                *(short_name(proposer), len(mine), sum("problem" in row for row in mine), len(found)),
                *(*shares(found, _recompiles), *shares(found, _exact), share_of(found, _right)),
                *(counted[name] for name in VERDICTS),
                100 * bleu(counts) if counts else None,
                100 * bleu(again) if again else None,
            )
        )
    return Table(
        title=f"Disassembly: {objects}",
        columns=(
            *("proposer", "cases", "failed", "functions", "recompiles %", "from %", "to %", "exact %", "from %"),
            *("to %", "right %", *VERDICTS, "BLEU", "BLEU, recompiled"),
        ),
        rows=tuple(lines),
        note="Intervals are over projects. BLEU (1 to 4 words, times 100) is of the recompiled assembly over all "
        "functions, with nothing where nothing is lifted, and of those that recompile alone. Failed: no module, or the "
        "case took too long.",
        in_terminal=True,
    )


def _by_size(rows: Sequence[Row]) -> Iterator[Table | Drawing]:
    for proposer in dict.fromkeys(row["proposer"] for row in rows):
        found = functions_of([row for row in rows if row["proposer"] == proposer])
        classes = sorted({size_class(one["instructions"]) for one in found})
        groups = {n: [one for one in found if size_class(one["instructions"]) == n] for n in classes}
        counts = {n: Counter(one["verdict"] for one in group) for n, group in groups.items()}
        used = [name for name in VERDICTS if any(counted[name] for counted in counts.values())]
        drawn = [(size_name(n), [counts[n][name] for name in used]) for n in classes]
        yield Drawing(
            title=f"Verdicts by machine instructions: {short_name(proposer)}",
            svg=stacks(used, drawn, [COLOURS[name] for name in used]),
        )
        lines = [
            (size_name(n), len(g), share_of(g, _recompiles), share_of(g, _exact), share_of(g, _right))
            for n, g in groups.items()
        ]
        yield Table(
            title=f"By size: {short_name(proposer)}",
            columns=("instructions", "functions", "recompiles %", "exact %", "right %"),
            rows=tuple(lines),
        )


def _lift_times(rows: Sequence[Row]) -> Table:
    return _seconds(rows, "Wall time of a case, from assembly to verdicts; of a model, its answer.")


def _seconds(rows: Sequence[Row], note: str) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for proposer in dict.fromkeys(row["proposer"] for row in rows):
        times = [row["times"]["seconds"] for row in rows if row["proposer"] == proposer and "times" in row]
        if times:
            lines.append((short_name(proposer), len(times), sum(times) / len(times), max(times)))
    columns = ("proposer", "cases", "mean, s", "longest, s")
    return Table(title="Time", columns=columns, rows=tuple(lines), note=note, is_times=True)


# Emulation


def emulate_section(rows: Sequence[Row]) -> Section:
    """What a pass list makes of a function: who says it."""
    section = Section(title="Emulation of pass lists, functions")
    section.text.append(
        "`valid`: LLVM takes the IR, or the assembler the assembly. `exact`: it is the compiler's own text. The error "
        "of a size is its share of the true one, the mean over answers that name a size (MAPE). `oz` answers with what "
        "-Oz makes of the function and `unchanged` with the function as it was: what is free."
    )
    section.text.append(EMULATE_NOTE)
    section.parts += [_drawn(rows), _answers(rows), _by_output(rows), _by_text(rows)]
    if (tests := _size_tests(rows)) is not None:
        section.parts.append(tests)
    section.parts += [figures(EMULATE), _seconds(rows, "Wall time of an answer.")]
    return section


def _valid(row: Row) -> bool:
    return row.get("valid", False)


def _same(row: Row) -> bool:
    return row.get("exact", False)


def _error(rows: Sequence[Row], name: str) -> tuple[float | None, float | None, float | None]:
    """Mean error in percent and its interval."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        if row.get(name) is not None:
            mine = sums.setdefault(row["project"], [0.0, 0.0])
            mine[0] += row[name]
            mine[1] += 1
    total = [sum(column) for column in zip(*sums.values(), strict=True)] or [0.0, 0.0]
    if not total[1]:
        return None, None, None
    low, high = interval(sums, lambda drawn: 100 * drawn[0] / drawn[1] if drawn[1] else math.nan) or (None, None)
    return 100 * total[0] / total[1], low, high


def _by_proposer(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {
        proposer: [row for row in rows if row["proposer"] == proposer]
        for proposer in dict.fromkeys(row["proposer"] for row in rows)
    }


def _answers(rows: Sequence[Row]) -> Table:
    lines = [
        (
            *(short_name(proposer), len(mine), sum("problem" in row for row in mine), *shares(mine, _valid)),
            *(*shares(mine, _same), *_error(mine, "bytes_error")),
            *(_error(mine, "instructions_error")[0], sum(row.get("bytes_error") is not None for row in mine)),
        )
        for proposer, mine in _by_proposer(rows).items()
    ]
    return Table(
        title="Emulation: answers",
        columns=(
            *("proposer", "asked", "failed", "valid %", "from %", "to %", "exact %", "from %", "to %"),
            *("bytes off %", "from %", "to %", "instructions off %", "sizes named"),
        ),
        rows=tuple(lines),
        note="Bytes are those of the object with -Oz code generation (protocol oz); random lists of 1 to 50 passes.",
        in_terminal=True,
    )


def _drawn(rows: Sequence[Row]) -> Drawing:
    names = ("valid %", "exact %", "bytes off %")
    groups: list[tuple[str, list[float]]] = []
    for proposer, mine in _by_proposer(rows).items():
        values = (share_of(mine, _valid), share_of(mine, _same), _error(mine, "bytes_error")[0])
        groups.append((short_name(proposer), [value or 0.0 for value in values]))
    marks = [Mark(name=f"{one.name}, {one.mark}", value=one.value) for one in EMULATE if one.mark]
    svg = bars(names, groups, x_name="%", marks=marks)
    return Drawing(title="Valid and exact answers, and how far sizes are off", svg=svg)


def _by_output(rows: Sequence[Row]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for proposer, mine in _by_proposer(rows).items():
        for output in ("ir", "asm"):
            part = [row for row in mine if row.get("output") == output]
            if part:
                off = _error(part, "bytes_error")[0]
                lines.append(
                    (short_name(proposer), output, len(part), share_of(part, _valid), share_of(part, _same), off)
                )
    columns = ("proposer", "wanted", "asked", "valid %", "exact %", "bytes off %")
    return Table(title="By what was wanted", columns=columns, rows=tuple(lines), num_texts=2)


def _by_text(rows: Sequence[Row]) -> Table:
    lines: list[tuple[Cell, ...]] = []
    for proposer, mine in _by_proposer(rows).items():
        for low, high in zip((0, *TEXT_CLASSES), TEXT_CLASSES, strict=False):
            part = [row for row in mine if low < row.get("chars", 0) <= high]
            if part:
                name = f"to {high:,}" if high < 1 << 60 else f"over {low:,}"
                off = _error(part, "bytes_error")[0]
                lines.append(
                    (short_name(proposer), name, len(part), share_of(part, _valid), share_of(part, _same), off)
                )
    columns = ("proposer", "characters of IR", "asked", "valid %", "exact %", "bytes off %")
    return Table(title="By length", columns=columns, rows=tuple(lines), num_texts=2)


def _size_tests(rows: Sequence[Row]) -> Table | None:
    """Each model's sizes against those of -Oz, where both name one."""
    groups = _by_proposer(rows)
    lines: list[tuple[Cell, ...]] = []
    truth = {(row["case"], row["number"]): row for row in groups.get("oz", ()) if row.get("bytes_error") is not None}
    for proposer, mine in groups.items():
        sums: dict[str, list[float]] = {}
        for row in mine:
            other = truth.get((row["case"], row["number"]))
            if proposer != "oz" and other is not None and row.get("bytes_error") is not None:
                sums.setdefault(row["project"], []).append(100 * (other["bytes_error"] - row["bytes_error"]))
        if sums:
            result = paired({project: sum(values) / len(values) for project, values in sums.items()})
            number = sum(map(len, sums.values()))
            lines.append((short_name(proposer), number, result.difference, result.ahead, result.behind, result.p))
    if not lines:
        return None
    return Table(
        title="Sizes against those of -Oz",
        columns=("proposer", "answers", "nearer, points", "nearer, projects", "farther, projects", "p"),
        rows=tuple(lines),
        note="On answers that name a size; paired permutation test over projects, uncorrected.",
    )
