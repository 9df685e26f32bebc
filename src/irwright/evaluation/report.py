"""An evaluation as a report: sections of tables and drawings, for the terminal, as JSON, and as one HTML page.

The page (data/evaluate_report.html) needs nothing beside itself. But for tables of times, the same rows give the same
bytes; `times=False` leaves those out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import irwright
from irwright.evaluation.code_scores import emulate_section, lift_sections
from irwright.evaluation.gains import tune_sections
from irwright.evaluation.parts import Cell, Drawing, Row, Section, Table, short_name, shown
from irwright.evaluation.plots import standalone
from irwright.evaluation.run import Evaluation
from irwright.evaluation.ship_scores import ship_sections
from irwright.files import write_output

_MAX_PROBLEMS = 200


def sections_of(evaluation: Evaluation) -> list[Section]:
    """The report's parts, in their order."""
    by_task: dict[str, list[Row]] = {"tune": [], "ship": [], "disassemble": [], "emulate": []}
    for row in evaluation.rows:
        by_task[row["task"]].append(row)
    sections = [*tune_sections(by_task["tune"]), *ship_sections(by_task["ship"])]
    sections += lift_sections(by_task["disassemble"])
    if by_task["emulate"]:
        sections.append(emulate_section(by_task["emulate"]))
    return [*sections, _left_out(evaluation)]


def _left_out(evaluation: Evaluation) -> Section:
    """What is not in the numbers, and why."""
    section = Section(title="Left out and failed")
    suite = evaluation.suite
    if suite.benchmarks:
        found = {module.project for module in suite.modules}
        names = [name for name in suite.benchmarks if name not in found]
        section.text.append(
            f"{len(found)} of {len(suite.benchmarks)} benchmarks have code that compiles"
            + (f"; not {', '.join(names)}." if names else ".")
        )
    tables = (
        Table(
            title=f"Sources without a module: {len(suite.problems)}",
            columns=("source", "reason"),
            rows=suite.problems[:_MAX_PROBLEMS],
            num_texts=2,
        ),
        Table(title="No cases", columns=("reason", "number"), rows=tuple(evaluation.dropped.items())),
        Table(
            title="Measurements that failed",
            columns=("task", "proposer", "problem", "number"),
            rows=tuple(_failures(evaluation.rows)),
            num_texts=3,
        ),
        Table(
            title="Lists and answers that failed",
            columns=("task", "proposer", "what", "number"),
            rows=tuple(_failed_lists(evaluation.rows)),
            num_texts=3,
        ),
    )
    section.parts += [table for table in tables if table.rows]
    if not section.parts and not section.text:
        section.text.append("Nothing.")
    return section


def _failures(rows: Sequence[Row]) -> Iterator[tuple[Cell, ...]]:
    """Problems, those of different cases together."""
    counts = Counter[tuple[str, str, str]]()
    for row in rows:
        if "problem" in row:
            problem = str(row["problem"]).replace(row["case"], "CASE")
            if function := row["case"].rpartition(":")[2]:
                problem = re.sub(rf"^{re.escape(function)}: ", "", problem)
            counts[row["task"], short_name(row["proposer"]), problem] += 1
    for key, number in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_MAX_PROBLEMS]:
        yield (*key, number)


def _failed_lists(rows: Sequence[Row]) -> Iterator[tuple[Cell, ...]]:
    counts = Counter[tuple[str, str, str]]()
    for row in rows:
        name = short_name(row["proposer"])
        for kind, number in row.get("failed", {}).items():
            counts[row["task"], name, f"lists: {kind}"] += number
        for kind, number in row.get("asked", {}).items():
            counts[row["task"], name, f"model: {kind}"] += number
    for key, number in sorted(counts.items()):
        if number:
            yield (*key, number)


def about(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What was measured and how, in a few lines."""
    settings = evaluation.settings
    projects = {row["project"] for row in evaluation.rows}
    lines = [
        ("suite", f"{evaluation.suite.name}: {evaluation.num_cases:,} cases of {len(projects):,} projects"),
        ("tasks", ", ".join(settings.tasks)),
    ]
    if {"tune", "ship"} & set(settings.tasks):
        lines.append(("proposers", ", ".join(short_name(name) for name in settings.tuners())))
        lines.append(("compilations", ", ".join(map(str, settings.budgets))))
        lines.append(("protocols", ", ".join(settings.protocols)))
    if settings.models:
        lines.append(("models", ", ".join(short_name(f"model:{name}") for name in settings.models)))
    sizes = f"{settings.min_instructions:,} to {settings.max_instructions:,} instructions"
    lines.append(("cases", f"{', '.join(settings.objects)} of {sizes}; seed {settings.seed}"))
    lines.append(("made with", f"irwright {irwright.__version__}, LLVM {evaluation.llvm}"))
    return lines


# As a page


def report_page(evaluation: Evaluation, sections: Sequence[Section], *, times: bool = True) -> str:
    """The report as one HTML page."""
    template = (resources.files(irwright) / "data" / "evaluate_report.html").read_text()
    title = escape(f"irwright evaluate: {evaluation.suite.name}")
    facts = "".join(f"<dt>{escape(name)}<dd>{escape(value)}" for name, value in about(evaluation))
    links = "".join(f'<a href="#s{n}">{escape(one.title)}</a>' for n, one in enumerate(sections))
    body = "\n".join(_section(number, one, times) for number, one in enumerate(sections))
    head, middle, tail = template.split("@TITLE@")
    before, after = tail.split("@BODY@")
    return f"{head}{title}{middle}{title}{before}<dl>{facts}</dl><nav>{links}</nav>\n{body}{after}"


def _section(number: int, section: Section, times: bool) -> str:
    texts = "".join(f"<p>{_code(text)}</p>" for text in section.text)
    parts = [_part(part) for part in section.parts if times or not (isinstance(part, Table) and part.is_times)]
    return f'<section id="s{number}"><h2>{escape(section.title)}</h2>{texts}\n' + "\n".join(parts) + "</section>"


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _part(part: Table | Drawing) -> str:
    note = f"<p class=note>{_code(part.note)}</p>" if part.note else ""
    if isinstance(part, Drawing):
        return f"<figure><figcaption>{escape(part.title)}</figcaption>{part.svg}{note}</figure>"
    kinds = ["" if n < part.num_texts else " class=n" for n in range(len(part.columns))]
    heads = zip(kinds, part.columns, strict=True)
    head = "".join(f"<th{kind}><button>{escape(name)}</button></th>" for kind, name in heads)
    lines = "\n".join(f"<tr>{''.join(_cell(n, cell, part) for n, cell in enumerate(row))}</tr>" for row in part.rows)
    kind = ' class="times"' if part.is_times else ""
    return (
        f"<h3>{escape(part.title)}</h3>{note}<div class=scroll><table{kind}><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )


def _cell(number: int, cell: Cell, table: Table) -> str:
    kind = "" if number < table.num_texts else " class=n"
    value = f' data-v="{cell:.6g}"' if isinstance(cell, int | float) else ""
    return f"<td{kind}{value}>{escape(shown(cell))}</td>"


# As text and data


def summary_text(evaluation: Evaluation, sections: Sequence[Section]) -> str:
    """The short report of the terminal."""
    lines = [f"{name}: {value}" for name, value in about(evaluation)]
    for section in sections:
        for part in section.parts:
            if isinstance(part, Table) and part.in_terminal:
                lines += ["", part.title, *_text_table(part)]
    failed = Counter(row["task"] for row in evaluation.rows if "problem" in row)
    missing = len(evaluation.suite.problems)
    lines.append("")
    lines += [f"{missing} sources gave no module; the report says why"] if missing else []
    lines += [f"{number} measurements of {task} failed; the report says why" for task, number in failed.items()]
    return "\n".join(lines).rstrip()


_NARROW = ("from %", "to %", "code saved %", "failed", "BLEU", "BLEU, recompiled")


def _text_table(table: Table) -> list[str]:
    kept = [n for n, name in enumerate(table.columns) if name not in _NARROW or n < table.num_texts]
    heads = [table.columns[n] for n in kept]
    cells = [[shown(row[n]) for n in kept] for row in table.rows]
    # Long heads are broken over several lines.
    widths = [max(8, *(len(row[n]) for row in cells)) for n in range(len(kept))]
    broken = [_broken(head, width) for head, width in zip(heads, widths, strict=True)]
    widths = [max(w, *(len(line) for line in head)) for w, head in zip(widths, broken, strict=True)]
    height = max(map(len, broken))
    rows = [[head[n - height + len(head)] if n >= height - len(head) else "" for head in broken] for n in range(height)]
    return [
        "  ".join(
            f"{cell:<{w}}" if kept[n] < table.num_texts else f"{cell:>{w}}"
            for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (*rows, *cells)
    ]


def _broken(head: str, width: int) -> list[str]:
    lines = [""]
    for word in head.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def report_data(evaluation: Evaluation, sections: Sequence[Section], *, times: bool = True) -> dict[str, Any]:
    """The report for machines: every table."""
    return {
        "suite": evaluation.suite.name,
        "settings": asdict(evaluation.settings),
        "irwright": irwright.__version__,
        "llvm": evaluation.llvm,
        "num_cases": evaluation.num_cases,
        "benchmarks": list(evaluation.suite.benchmarks),
        "problems": [list(problem) for problem in evaluation.suite.problems],
        "dropped": evaluation.dropped,
        "tables": [
            {"section": section.title, "title": part.title, "columns": part.columns, "rows": part.rows}
            for section in sections
            for part in section.parts
            if isinstance(part, Table) and (times or not part.is_times)
        ],
    }


def write_report(evaluation: Evaluation, folder: Path, *, times: bool = True) -> list[Section]:
    """`report.html`, `report.json` and the curves as files of their own, in a folder."""
    sections = sections_of(evaluation)
    page = report_page(evaluation, sections, times=times)
    write_output(folder / "report.html", page.encode(errors="surrogateescape"))
    for part in (part for section in sections for part in section.parts):
        if isinstance(part, Drawing) and part.file:
            write_output(folder / part.file, standalone(part.svg).encode())
    data = json.dumps(report_data(evaluation, sections, times=times), indent=1) + "\n"
    write_output(folder / "report.json", data.encode())
    return sections
