"""Tables of what is shipped against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation_tools import tune_row
from irwright.evaluation.parts import Table
from irwright.evaluation.ship_scores import ship_sections


def ship_row(case: str, best: int | None, **verified: int) -> dict[str, Any]:
    row = tune_row(case, "coreset", 8, best) | {"task": "ship", "verified": verified, "warnings": 0}
    return row | ({"times": {"seconds": 4.0, "baseline": 0.5}} if best is not None else {})


def test_what_is_shipped() -> None:
    rows = [ship_row("p/a.c", 900, equal=3, inconclusive=1), ship_row("q/a.c", 1000), ship_row("r/a.c", 800, equal=4)]
    (section,) = ship_sections(rows)
    first, second = (
        dict(zip(part.columns, part.rows[0], strict=True)) for part in section.parts if isinstance(part, Table)
    )
    assert section.title == "What is shipped: files, protocol oz"
    assert first["saved %"] == pytest.approx(10.0)
    assert (first["improved"], first["unchanged"], first["failed"]) == (2, 1, 0)
    assert (first["functions compared"], first["equal %"], first["inconclusive %"]) == (8, 87.5, 12.5)
    assert (second["seconds a case"], second["times clang -Oz"]) == (4.0, 8.0)


def test_a_case_that_failed_is_as_it_was() -> None:
    rows = [ship_row("p/a.c", 900), ship_row("p/b.c", 1000) | {"proposer": "random"}, ship_row("p/b.c", None)]
    (section,) = ship_sections(rows)
    table = section.parts[0]
    assert isinstance(table, Table)
    assert [row[table.columns.index("failed")] for row in table.rows] == [1, 1]


def test_nothing_was_shipped() -> None:
    assert list(ship_sections([])) == []
    assert list(ship_sections([ship_row("p/a.c", None)])) == []
