"""Sections of docs/results/evaluate.md out of folders of `irwright evaluate`.

    python benchmarks/evaluated.py FOLDER ... > SECTIONS.md

Each section has the command, the gains by compilations and the tests over all of them. What is said around them in the
page is written by hand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAMES = {"functions": "Functions as objects of their own", "files": "Whole files"}
DEFAULTS = {"min_instructions": 5, "max_instructions": 20_000, "budgets": [1, 2, 3, 5, 8, 16]}


def command(report: Mapping[str, Any]) -> str:
    """What made a folder, from the settings that it keeps."""
    settings = report["settings"]
    words = [f"--suite {report['suite']}", f"--objects {','.join(settings['objects'])}"]
    if settings["tasks"] != ["tune"]:
        words.append(f"--tasks {','.join(settings['tasks'])}")
    if settings["num"] is not None:
        words.append(f"--num {settings['num']}")
    if settings["max_instructions"] != DEFAULTS["max_instructions"]:
        words.append(f"--max-instructions {settings['max_instructions']}")
    words.append(f"--protocol {','.join(settings['protocols'])}")
    if settings["budgets"] != DEFAULTS["budgets"]:
        words.append(f"--budget {','.join(map(str, settings['budgets']))}")
    words.append(f"--proposers {','.join(settings['proposers'])}")
    words += [f"--model {Path(model).name}" for model in settings["models"]]
    return f"irwright evaluate {' '.join(words)} -o OUT"


def gains(table: Mapping[str, Any]) -> list[str]:
    """The rows of a table of gains."""
    lines = [
        "| proposer | compilations | saved % | geomean % (95 % over projects) | of best known % | no backup, geomean %"
        " | improved | larger without a backup | unchanged |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in table["rows"]:
        at = dict(zip(table["columns"], row, strict=True))
        lines.append(
            f"| {at['proposer']} | {at['compilations']} | {at['saved %']:.2f} | {at['geomean %']:.2f}"
            f" ({at['from %']:.1f} to {at['to %']:.1f}) | {at['of best known %']:.0f}"
            f" | {at['no backup, geomean %']:.2f} | {at['improved']} | {at['regressed']} | {at['unchanged']} |"
        )
    return lines


def comparisons(table: Mapping[str, Any]) -> list[str]:
    """Who is better over all numbers of compilations."""
    lines = ["| one | other | points | projects ahead | p (Holm) |", "|---|---|--:|--:|--:|"]
    for row in table["rows"]:
        at = dict(zip(table["columns"], row, strict=True))
        if at["compilations"] == "all":
            ahead = f"{at['one ahead, projects']} to {at['other ahead, projects']}"
            points = f"{at['difference, points']:+.2f}"
            lines.append(f"| {at['one']} | {at['other']} | {points} | {ahead} | {at['p, Holm']:.3f} |")
    return lines


def section(report: Mapping[str, Any], protocol: str) -> list[str]:
    """One kind of object under one protocol."""
    (objects,) = report["settings"]["objects"]
    largest = report["settings"]["max_instructions"]
    limit = f" of up to {largest:,} instructions" if largest != DEFAULTS["max_instructions"] else ""
    found = {table["title"]: table for table in report["tables"] if table["title"].endswith(f", protocol {protocol}")}
    return [
        f"## {NAMES[objects]}{limit}, protocol `{protocol}`",
        "",
        f"    {command(report)}",
        "",
        f"{report['num_cases']} cases.",
        "",
        *gains(found[f"Gains: {objects}, protocol {protocol}"]),
        "",
        "Over all numbers of compilations, paired permutation test over projects:",
        "",
        *comparisons(found[f"Who is better: {objects}, protocol {protocol}"]),
        "",
    ]


def main(folders: Sequence[str]) -> None:
    """Print the sections of all folders."""
    for folder in folders:
        report = json.loads((Path(folder) / "report.json").read_text())
        for protocol in report["settings"]["protocols"]:
            print("\n".join(section(report, protocol)))


if __name__ == "__main__":
    main(sys.argv[1:])
