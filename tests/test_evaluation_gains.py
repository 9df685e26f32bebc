"""Tables of tuning against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from evaluation_tools import tune_row
from irwright.evaluation.gains import best_known, geomean, points_of, tune_sections
from irwright.evaluation.parts import Cell, Drawing, Section, Table


def table(sections: list[Section], title: str) -> list[dict[str, Cell]]:
    parts = [part for section in sections for part in section.parts if isinstance(part, Table)]
    found = [part for part in parts if part.title.startswith(title)]
    return [dict(zip(part.columns, row, strict=True)) for part in found for row in part.rows]


def rows(**sizes: Sequence[int | None]) -> list[dict[str, object]]:
    """Rows of one budget for each proposer; a case per size, each a project of its own."""
    return [
        tune_row(f"p{n}/a.c", proposer, 3, size) for proposer, found in sizes.items() for n, size in enumerate(found)
    ]


def test_a_gain_has_a_backup() -> None:
    (row,) = table(list(tune_sections(rows(coreset=[900, 1100, 1000, 800]))), "Gains")
    assert row["saved %"] == pytest.approx(7.5)  # 300 of 4,000
    assert row["geomean %"] == pytest.approx(100 * (1 - (0.9 * 0.8) ** 0.25))
    assert (row["improved"], row["regressed"], row["unchanged"], row["failed"]) == (2, 1, 1, 0)
    assert row["no backup, geomean %"] == pytest.approx(100 * (1 - (0.9 * 1.1 * 0.8) ** 0.25))
    assert row["code saved %"] == pytest.approx(7.5)
    assert row["of best known %"] == pytest.approx(100)
    low, high = row["from %"], row["to %"]
    assert isinstance(low, float) and isinstance(high, float) and 0 <= low < 7.9 < high <= 20


def test_oz_in_process_is_a_backup_too() -> None:
    made = [row | {"oz": [980, 480]} for row in rows(coreset=[1100, 990, 900])]
    (row,) = table(list(tune_sections(made)), "Gains")
    assert row["saved %"] == pytest.approx(100 * (20 + 20 + 100) / 3000)
    assert row["code saved %"] == pytest.approx(100 * (20 + 20 + 50) / 1500)
    assert (row["improved"], row["regressed"]) == (2, 1)


def test_who_fails_leaves_the_case_as_it_is() -> None:
    found = table(list(tune_sections(rows(coreset=[900, 900], random=[800, None]))), "Gains")
    assert [row["failed"] for row in found] == [0, 1]
    assert found[1]["geomean %"] == pytest.approx(100 * (1 - math.sqrt(0.8)))
    assert found[1]["unchanged"] == 1


def test_a_case_without_a_baseline_counts_for_nobody() -> None:
    points = points_of(rows(coreset=[900, None], random=[800, None]))
    assert [len(group) for group in points.values()] == [1, 1]
    assert list(tune_sections(rows(coreset=[None]))) == []


def test_best_known_is_the_best_of_each_case() -> None:
    points = points_of(rows(coreset=[900, 1000], random=[1000, 800]))
    assert best_known(points) == pytest.approx(100 * (1 - math.sqrt(0.9 * 0.8)))
    assert geomean(points["coreset", 3]) == pytest.approx(100 * (1 - math.sqrt(0.9)))


def test_a_difference_is_shown_by_six_projects_that_agree() -> None:
    better, worse = [900, 910, 920, 930, 940, 950, 905, 915], [1000] * 8
    (row,) = table(list(tune_sections(rows(coreset=better, random=worse))), "Who is better")
    assert row["better"] == "coreset"
    assert row["p"] == pytest.approx(2 / 2**8)
    (row,) = table(list(tune_sections(rows(coreset=better[:5], random=worse[:5]))), "Who is better")
    assert row["better"] == "no difference shown"


def test_all_budgets_are_a_question_of_their_own() -> None:
    made = [
        tune_row(f"p{n}/a.c", proposer, budget, best)
        for n in range(8)
        for proposer, budget, best in (
            ("coreset", 1, 990),
            ("coreset", 3, 900),
            ("random", 1, 1000),
            ("random", 3, 950),
        )
    ]
    made += [tune_row(f"p{n}/a.c", "compose", 300, 800) for n in range(8)]
    found = table(list(tune_sections(made)), "Who is better")
    assert [(row["one"], row["other"], row["compilations"]) for row in found] == [
        *(("coreset", "random", "all"), ("coreset", "random", 1), ("coreset", "random", 3)),
    ]
    mean = 50 * (math.log(1000 / 990) + math.log(950 / 900))
    assert found[0]["difference, points"] == pytest.approx(mean)
    assert found[0]["gain, times the other's"] is None  # over all
    assert found[1]["gain, times the other's"] is None  # the other saves nothing
    assert [found[2][name] for name in ("gain, times the other's", "from", "to")] == [pytest.approx(2.0)] * 3
    assert [row["p, Holm"] for row in found] == [pytest.approx(p / 2**8) for p in (2, 4, 4)]


def test_sections_by_kind_and_protocol() -> None:
    made = [
        tune_row("p/a.c", "coreset", 1, 900),
        tune_row("p/a.c", "coreset", 1, 950) | {"protocol": "paper"},
        tune_row("p/a.c:f", "coreset", 1, 90, baseline=100) | {"objects": "functions", "protocol": "paper"},
    ]
    sections = list(tune_sections(made))
    assert [section.title for section in sections] == [
        *("Tuning files, protocol oz", "Tuning files, protocol paper", "Tuning functions, protocol paper"),
    ]
    drawings = [next(part for part in section.parts if isinstance(part, Drawing)) for section in sections]
    assert ["LLM Compiler 13B 5.26" in drawing.svg for drawing in drawings] == [False, True, True]
    assert "can't be compared" in sections[0].text[1]
    assert "stand beside" in sections[1].text[1]


def test_projects_and_sizes() -> None:
    made = [
        tune_row("p/a.c", "coreset", 1, 900),
        tune_row("p/b.c", "coreset", 1, 1000),
        tune_row("q/a.c", "coreset", 1, 500, baseline=1000) | {"instructions": 30},
    ]
    sections = list(tune_sections(made))
    found = table(sections, "By project")
    assert [(row["project"], row["cases"], row["coreset, 1, saved %"]) for row in found] == [
        *(("p", 2, pytest.approx(5.0)), ("q", 1, pytest.approx(50.0))),
    ]
    assert [(row["instructions"], row["cases"]) for row in table(sections, "By size")] == [
        *(("20 to 49", 1), ("100 to 199", 2)),
    ]


def test_sizes_that_models_foresee() -> None:
    errors: tuple[dict[str, float], ...] = ({"oz": 0.1, "list": 0.2, "list_as_oz": 0.05}, {"list_as_oz": 0.15}, {})
    made = [tune_row(f"p{n}/a.c", "model:m", k, 900, foreseen=one) for n, one in enumerate(errors) for k in (1, 8)]
    (row,) = table(list(tune_sections(made)), "Sizes foreseen")
    assert (row["cases"], row["sizes named"]) == (3, 1)
    off = [row[name] for name in ("-Oz off %", "list off %", "list off %, were it as -Oz")]
    assert off == [pytest.approx(10.0), pytest.approx(20.0), pytest.approx(10.0)]
    assert table(list(tune_sections([tune_row("p/a.c", "coreset", 1, 900)])), "Sizes foreseen") == []


def test_times() -> None:
    (row,) = table(list(tune_sections([tune_row("p/a.c", "coreset", 8, 900)])), "Time")
    assert row["with the baseline, times the baseline alone"] == pytest.approx(3.0)
    assert (row["in LLVM %"], row["in the model %"]) == (pytest.approx(50.0), None)
