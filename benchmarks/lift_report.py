"""Tables and a plot of the lifter's exam, from the rows that lift.py kept."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lift_cases import HELDOUT
from report import Cell, Goal, Report, at_least

from irwright.evaluation.bleu import bleu

CLASSES = ((1, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, 200), (201, 1 << 30))
TITLES = {
    "clang22-Oz": "clang 22 -Oz, functions, assembly",
    "clang22-O2": "clang 22 -O2, functions, assembly",
    "clang22-Oz-files": "clang 22 -Oz, files, assembly",
    "clang22-Oz-fresh": "clang 22 -Oz, functions, assembly, the other ten packages",
    "clang22-O2-fresh": "clang 22 -O2, functions, assembly, the other ten packages",
    "clang17-Oz": "clang 17 -Oz, functions, assembly, lifted with LLVM 17",
    "gcc12-O2": "gcc 12 -O2, files, objects",
    "gcc12-Os": "gcc 12 -Os, files, objects",
    "gcc12-O2-text": "gcc 12 -O2, files, assembly",
}
SUMMARY = """`recompiles`: functions whose lifted module goes through code generation; one that stays machine code
in the module counts as not lifted. `module`: cases that gave a module at all; it holds every function. `exact`: the
recompiled assembly is the same instructions on the same data, labels, comments, cfi and directives normalised; `one`
with the first lifting, `search` within the budget of variants (24). Of what is lifted: `right` is exact or ran the same
beside the original under emulation in every conclusive run, `different` differed in one, the rest is inconclusive.
`refused` are those of the not lifted of which every lifting behaved differently; they stay machine code, and were
`different` before irwright did so. `code` is the commit of irwright that the rows are of.
BLEU (1 to 4 words, corpus level) is of the recompiled assembly, nothing where nothing is lifted."""
Row = dict[str, Any]


def write_report(folder: Callable[[str], Path], role: str, out: Path) -> None:
    """docs/results/lift.json, .md and .svg, or of the training packages lift-training.*; folders by configuration."""
    name = "lift" if role == "heldout" else f"lift-{role}"
    report = Report(name, f"Lifting assembly to IR, {'held-out' if role == 'heldout' else role} packages")
    report.summary = SUMMARY
    rows = {key: read(folder(key) / f"{key}.jsonl") for key in TITLES}
    report.add_table(
        "Functions",
        ("input", "cases", "functions", "module %", "recompiles %", "exact one %", "exact search %", "right %", "code"),
        [summary(TITLES[key], found) for key, found in rows.items() if found],
    )
    report.add_table(
        "Verdicts",
        (
            "input",
            "exact",
            "equivalent",
            "different",
            "inconclusive",
            "not lifted",
            "refused",
            "BLEU",
            "median s a case",
        ),
        [verdicts(TITLES[key], found) for key, found in rows.items() if found],
    )
    for key in ("clang22-Oz", "clang22-O2", "clang22-Oz-fresh", "clang17-Oz", "gcc12-O2"):
        if rows[key]:
            report.add_table(f"By size: {TITLES[key]}", _COLUMNS, by_size(rows[key]))
    reasons = Counter(f"{TITLES[key]}: {reason}" for key, found in rows.items() for reason in not_lifted(found))
    report.add_table("Functions not lifted, and cases without a module", ("reason", "number"), reasons.most_common(40))
    if rows["clang22-Oz-files"]:
        report.add_table("Files", ("files", "wholly exact", "share %"), [whole_files(rows["clang22-Oz-files"])])
    add_goals(report, rows)
    add_costs(report, folder(""), out / f"{name}.svg")
    if role == "heldout":
        report.notes.append(
            f"Packages: {', '.join(HELDOUT)}; their code was not looked at while the lifter was developed. Between the "
            "first run of this exam and the second, reasons that the first had printed led to two repairs: docs/log.md."
        )
    report.notes.append(
        "Where a run of all inputs did not end, rows of earlier commits stand in the table (`code`): those before"
        " 7086ccf handed out what was `different`, which is refused since. CPU times and memory are of another run."
    )
    report.notes.append(
        "Inputs of more than 200,000 bytes and cases over 240 s are left out or count as failed modules."
    )
    report.write(out)


def read(path: Path) -> list[Row]:
    """The rows of a configuration; files without functions are no cases."""
    rows: list[Row] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [row for row in rows if not row.get("problem", "").endswith("has no functions")]


def functions(rows: list[Row]) -> list[Row]:
    return [one for row in rows for one in row["functions"]]


def share(found: list[Row], test: Callable[[Row], bool]) -> float:
    """Percent."""
    return 100 * sum(map(test, found)) / len(found) if found else float("nan")


def is_lifted(one: Row) -> bool:
    return one["verdict"] != "not-lifted"


def is_exact(one: Row) -> bool:
    return one["verdict"] == "exact"


def is_first(one: Row) -> bool:
    return is_exact(one) and one["num_variants"] <= 1


def is_right(one: Row) -> bool:
    return one["verdict"] in ("exact", "equivalent")


def summary(title: str, rows: list[Row]) -> list[Cell]:
    found = functions(rows)
    lifted = [one for one in found if is_lifted(one)]
    module = 100 * sum(not row["problem"] for row in rows) / len(rows)
    return [
        *(title, len(rows), len(found), module, share(found, is_lifted), share(found, is_first)),
        *(share(found, is_exact), share(lifted, is_right)),
        ", ".join(sorted({row.get("code", "?") for row in rows})),
    ]


def verdicts(title: str, rows: list[Row]) -> list[Cell]:
    found = functions(rows)
    counted = Counter(one["verdict"] for one in found)
    names = ("exact", "equivalent", "different", "inconclusive", "not-lifted")
    seconds = statistics.median(row["seconds"] for row in rows)
    refused = sum(one.get("refused", False) for one in found)
    return [title, *(counted[name] for name in names), refused, bleu(one["bleu"] for one in found), seconds]


_COLUMNS = ("instructions", "functions", "recompiles %", "exact one %", "exact search %", "right %", "BLEU")


def by_size(rows: list[Row]) -> list[list[Cell]]:
    lines: list[list[Cell]] = []
    for low, high in CLASSES:
        found = [one for one in functions(rows) if low <= one["instructions"] <= high]
        lifted = [one for one in found if is_lifted(one)]
        title = f"{low}-{high}" if high < 1 << 30 else f"over {low - 1}"
        lines.append([title, len(found), share(found, is_lifted), share(found, is_first), share(found, is_exact)])
        lines[-1] += [share(lifted, is_right), bleu(one["bleu"] for one in found) if found else None]
    return lines


def not_lifted(rows: list[Row]) -> list[str]:
    reasons = [one["reason"].partition("(")[0].strip() for one in functions(rows) if not is_lifted(one)]
    return reasons + [
        f"no module: {row['problem'].partition(': ')[2][:80] or row['problem']}" for row in rows if row["problem"]
    ]


def whole_files(rows: list[Row]) -> list[Cell]:
    exact = sum(bool(row["functions"]) and all(map(is_exact, row["functions"])) for row in rows)
    return [len(rows), exact, 100 * exact / len(rows)]


def add_goals(report: Report, rows: dict[str, list[Row]]) -> None:
    """The numbers that were promised beside those that were measured."""
    for key, wanted in (("clang22-Oz", 99.5), ("clang22-O2", 99.5), ("gcc12-O2", 98.0), ("gcc12-Os", 98.0)):
        if rows[key]:
            report.goals.append(at_least(f"{key}: recompiles", wanted, share(functions(rows[key]), is_lifted), "%"))
    if found := functions(rows["clang22-Oz"]):
        report.goals.append(at_least("clang22-Oz: exact, one lifting", 60, share(found, is_first), "%"))
        report.goals.append(at_least("clang22-Oz: exact with search", 78, share(found, is_exact), "%"))
    if rows["clang22-Oz-files"]:
        report.goals.append(
            at_least("clang22-Oz: files wholly exact", 25, float(str(whole_files(rows["clang22-Oz-files"])[2])), "%")
        )
    for key, wanted in (("clang22-Oz", 97), ("clang22-O2", 97), ("gcc12-O2", 95), ("gcc12-Os", 95)):
        lifted = [one for one in functions(rows[key]) if is_lifted(one)]
        if lifted:
            report.goals.append(
                at_least(f"{key}: equivalent or exact, of lifted", wanted, share(lifted, is_right), "%")
            )
    everything = [one for found in rows.values() for one in functions(found)]
    number = sum(one["verdict"] == "different" for one in everything)
    if everything:
        refused = sum(one.get("refused", False) for one in everything)
        for what, count in (("different", number), ("refused since they behaved differently", refused)):
            report.goals.append(Goal(what=f"{what}, all inputs", wanted="0 functions", measured=count, met=not count))


def add_costs(report: Report, folder: Path, plot: Path) -> None:
    """CPU time by size, with a plot, and memory."""
    rows = [row for row in read(folder / "speed.jsonl") if "one" in row and "search" in row]
    if rows:
        lines: list[list[Cell]] = []
        for low, high in (*CLASSES[:-1], (201, 500), (501, 1000), (1001, 2000), (2001, 6000)):
            found = [row for row in rows if low <= row["instructions"] <= high]
            if found:
                one, search = (statistics.median(1000 * row[key] for row in found) for key in ("one", "search"))
                per = statistics.median(1000 * row["one"] / row["instructions"] for row in found)
                lines.append([f"{low}-{high}", len(found), one, search, per])
        report.add_table(
            "CPU time, clang 22 -Oz functions (median, ms)",
            ("instructions", "functions", "one lifting", "search (24)", "one lifting, per instruction"),
            lines,
            note="CPU time of irwright and its LLVM worker, from text to judged module, without emulation.",
        )
        middle = [1000 * row["one"] for row in rows if 20 <= row["instructions"] <= 50]
        if middle:
            value = statistics.median(middle)
            met = value <= 50
            report.goals.append(Goal(what="CPU, 20 to 50 instructions", wanted="<= 50 ms", measured=value, met=met))
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(svg([(row["instructions"], row["one"]) for row in rows]))
    memory = folder / "memory.json"
    if memory.exists():
        row = json.loads(memory.read_text())
        report.add_table(
            "Memory", ("object bytes", "peak MiB", "wall s", "exit code"),
            [[row["object_bytes"], row["peak_mib"], row["wall_seconds"], row["code"]]],
            note="`irwright disassemble --budget 1 --no-verify` on the assembly of the largest file.",
        )  # fmt: skip


def svg(points: list[tuple[int, float]]) -> str:
    """CPU seconds of one lifting over instructions, both logarithmic."""
    import math

    width, height, left, bottom = 640, 400, 60, 40
    spans = (math.log10(1), math.log10(6000)), (math.log10(0.005), math.log10(60))

    def place(x: float, y: float) -> tuple[float, float]:
        (x0, x1), (y0, y1) = spans
        across = (math.log10(max(x, 1)) - x0) / (x1 - x0)
        up = (math.log10(max(y, 0.005)) - y0) / (y1 - y0)
        return left + across * (width - left - 10), height - bottom - up * (height - bottom - 10)

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
    lines.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for x in (1, 10, 100, 1000, 5000):
        at, low = place(x, 0.005)
        lines.append(f'<text x="{at:.0f}" y="{low + 16:.0f}" font-size="11" text-anchor="middle">{x}</text>')
    for y in (0.01, 0.1, 1, 10):
        at, high = place(1, y)
        lines.append(f'<text x="{at - 6:.0f}" y="{high:.0f}" font-size="11" text-anchor="end">{y:g} s</text>')
        end = place(6000, y)[0]
        lines.append(f'<line x1="{at:.0f}" y1="{high:.0f}" x2="{end:.0f}" y2="{high:.0f}" stroke="#ddd"/>')
    for x, y in points:
        across, up = place(x, y)
        lines.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="2.5" fill="#3366aa" fill-opacity="0.6"/>')
    lines.append(
        f'<text x="{width // 2}" y="{height - 6}" font-size="12" text-anchor="middle">instructions</text></svg>'
    )
    return "\n".join(lines) + "\n"
