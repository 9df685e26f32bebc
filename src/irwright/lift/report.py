"""One HTML page of lifted files: assembly, IR and recompiled assembly side by side, differences marked.

The page (data/lift_report.html) needs nothing beside itself: the functions are in it as JSON, and drawn when asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape
from importlib import resources
from typing import Any

import irwright
from irwright.lift.verdicts import LiftedFunction, LiftResult

MAX_COMPARED_LINES = 4000
"""of longer functions, lines are paired by number"""


def report_page(results: Sequence[LiftResult], title: str) -> str:
    """The page of one file, or of the members of an archive."""
    template = (resources.files(irwright) / "data" / "lift_report.html").read_text()
    functions = [_function(one, result.file) for result in results for one in result.functions]
    data = {"target": results[0].target if results else "", "functions": functions}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    head, middle, tail = template.split("@TITLE@")
    before, after = tail.split("@DATA@")
    name = escape(title)
    return f"{head}{name}{middle}{name}{before}{text}{after}"


def _function(one: LiftedFunction, file: str) -> dict[str, Any]:
    return one.to_json() | {
        "demangled": one.demangled,
        "file": file,
        "original": one.original,
        "recompiled": one.recompiled,
        "pairs": _pairs(one.original, one.recompiled),
        "ir": one.ir,
    }


def _pairs(a: tuple[str, ...], b: tuple[str, ...]) -> list[tuple[int, int, int, int, int]]:
    """(1 where equal, lines of the one, lines of the other), in order."""
    if len(a) + len(b) > MAX_COMPARED_LINES:
        common = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        return [(1, 0, common, 0, common), (0, common, len(a), common, len(b))]
    codes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return [(int(kind == "equal"), a1, a2, b1, b2) for kind, a1, a2, b1, b2 in codes]
