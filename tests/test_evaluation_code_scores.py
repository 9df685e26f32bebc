"""Tables of disassembly and emulation against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from irwright.evaluation.code_scores import emulate_section, functions_of, lift_sections, shares
from irwright.evaluation.parts import Cell, Drawing, Section, Table

WORDS = [5, 4, 3, 2, 5, 4, 3, 2, 5, 5]
"""the counts of BLEU of a text that is its reference"""


def table(section: Section, title: str) -> list[dict[str, Cell]]:
    """Rows of a table by the names of its columns; of columns that are called alike, the first."""
    (part,) = (part for part in section.parts if isinstance(part, Table) and part.title.startswith(title))
    return [dict(reversed(list(zip(part.columns, row, strict=True)))) for row in part.rows]


def lift_row(project: str, *verdicts: str, proposer: str = "lifter") -> dict[str, Any]:
    about = {"instructions": 10, "variants": 1, "reason": ""}
    functions = [{"verdict": verdict, **about, "bleu": _bleu(verdict)} for verdict in verdicts]
    row = {"task": "disassemble", "objects": "files", "project": project, "proposer": proposer, "instructions": 30}
    return row | {"case": f"{project}/a.c", "functions": functions, "times": {"seconds": 2.0}}


def _bleu(verdict: str) -> list[int]:
    return [0] * 9 + [5] if verdict == "not-lifted" else WORDS


def test_verdicts() -> None:
    rows = [lift_row("p", "exact", "equivalent", "different"), lift_row("q", "exact", "not-lifted")]
    (section,) = lift_sections(rows)
    (row,) = table(section, "Disassembly: files")
    assert (row["cases"], row["failed"], row["functions"]) == (2, 0, 5)
    assert (row["recompiles %"], row["exact %"], row["right %"]) == (80.0, 40.0, 60.0)
    assert [row[name] for name in ("exact", "equivalent", "inconclusive", "different", "not-lifted")] == [2, 1, 0, 1, 1]
    assert row["BLEU, recompiled"] == 100.0
    whole = row["BLEU"]
    assert isinstance(whole, float) and 70 < whole < 80  # 4 of 5 texts are there: exp(1 - 5/4)
    first, second = (part.svg for part in section.parts if isinstance(part, Drawing))
    assert "lifter, right %: 60.00" in first and "LLM Compiler FTD 13B, exact 13.8" in first
    assert "10 to 19, different: 1 of 5" in second


def test_a_case_that_failed_is_a_function_that_was_not_lifted() -> None:
    failed = {"project": "p", "instructions": 7, "proposer": "lifter", "objects": "files", "problem": "no module"}
    rows = [lift_row("q", "exact"), failed]
    assert [one["verdict"] for one in functions_of(rows)] == ["exact", "not-lifted"]
    (section,) = lift_sections(rows)
    (row,) = table(section, "Disassembly: files")
    assert (row["failed"], row["recompiles %"]) == (1, 50.0)


def test_shares_have_intervals_over_projects() -> None:
    rows = [{"project": f"p{n}", "ok": n < 2} for n in range(4)]
    share, low, high = shares(rows, lambda row: row["ok"])
    assert share == 50.0
    assert low is not None and high is not None and 0 <= low < 50 < high <= 100
    assert shares([], lambda row: row["ok"]) == (None, None, None)


def answer(case: str, proposer: str, error: float | None, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"task": "emulate", "objects": "functions", "project": case, "case": case, "number": 0}
    row |= {"proposer": proposer, "output": "ir", "valid": True, "exact": error == 0, "bytes_error": error}
    return row | {"instructions_error": error, "chars": 700, "times": {"seconds": 1.0}} | more


def test_answers() -> None:
    rows = [answer(f"p{n}", "oz", error) for n, error in enumerate((0.1, 0.2, 0.0))]
    rows += [answer("p0", "m", 0.0), answer("p1", "m", None, valid=False, output="asm")]
    rows += [{"project": "p2", "case": "p2", "number": 0, "proposer": "m", "problem": "LLVM fails"}]
    section = emulate_section(rows)
    oz, model = table(section, "Emulation: answers")
    assert (oz["asked"], oz["valid %"], oz["exact %"]) == (3, 100.0, pytest.approx(100 / 3))
    assert (oz["bytes off %"], oz["sizes named"]) == (pytest.approx(10.0), 3)
    assert (model["asked"], model["failed"], model["sizes named"]) == (3, 1, 1)
    assert (model["valid %"], model["bytes off %"]) == (pytest.approx(100 / 3), 0.0)
    assert [row["wanted"] for row in table(section, "By what")] == ["ir", "ir", "asm"]
    assert {row["characters of IR"] for row in table(section, "By length")} == {"to 1,000"}


def test_sizes_are_compared_where_both_are_named() -> None:
    rows = [answer(f"p{n}", "oz", 0.2) for n in range(6)]
    rows += [answer(f"p{n}", "m", 0.1) for n in range(5)] + [answer("p5", "m", None)]
    (row,) = table(emulate_section(rows), "Sizes against")
    assert (row["answers"], row["nearer, projects"], row["farther, projects"]) == (5, 5, 0)
    assert row["nearer, points"] == pytest.approx(10.0)
    assert row["p"] == 2 / 32
