"""Intervals and tests against what is known by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from irwright.evaluation.statistics import EXACT_UP_TO, holm, interval, paired


def mean(total: Sequence[float]) -> float:
    return total[0] / total[1]


def test_an_interval_needs_three_projects() -> None:
    assert interval({"a": (1, 1), "b": (2, 1)}, mean) is None
    assert interval({"a": (1, 1), "b": (1, 1), "c": (1, 1)}, mean) == (1, 1)


def test_an_interval_is_about_as_wide_as_theory_says() -> None:
    projects = {f"p{n}": (float(n % 10), 1.0) for n in range(200)}
    found = interval(projects, mean)
    assert found is not None
    low, high = found
    expected = 1.96 * math.sqrt(8.25 / 200)  # the variance of 0 to 9 is 8.25
    assert low == pytest.approx(4.5 - expected, abs=0.06)
    assert high == pytest.approx(4.5 + expected, abs=0.06)


def test_intervals_do_not_depend_on_the_order_of_projects() -> None:
    projects = {name: (float(n**4), 2.0) for n, name in enumerate("abcdef")}
    again = dict(reversed(projects.items()))
    assert interval(projects, mean) == interval(again, mean)


def test_large_projects_count_more() -> None:
    projects = {"large": (1000.0, 1000.0), **{f"small{n}": (0.0, 1.0) for n in range(9)}}
    found = interval(projects, mean)
    assert found is not None
    assert found[0] < 0.01 and found[1] > 0.99


def test_six_projects_that_agree() -> None:
    result = paired({f"p{n}": 1.0 + n for n in range(6)})
    assert result.p == 2 / 64  # all signs alike, one way or the other
    assert (result.ahead, result.behind, result.difference) == (6, 0, 3.5)


def test_projects_without_difference_do_not_count() -> None:
    result = paired({"a": 0.0, "b": 1.0, "c": -1.0})
    assert (result.p, result.ahead, result.behind) == (1.0, 1, 1)
    assert paired({"a": 0.0}).p == 1.0


def test_many_projects_are_drawn() -> None:
    # 19 of 20 ahead by the same amount: 42 of 2**20 flips are as far from 0.
    values = {f"p{n}": 1.0 for n in range(19)} | {"other": -1.0}
    assert len(values) > EXACT_UP_TO
    assert paired(values).p < 0.001
    assert paired(values) == paired(dict(reversed(values.items())))
    balanced = {f"p{n}": (-1.0) ** n for n in range(20)}
    assert paired(balanced).p == 1.0


def test_drawn_and_exact_agree() -> None:
    values = [1.5, -0.2, 0.7, 0.4, -1.1, 0.9, 0.3, 2.0, -0.6, 1.2, 0.1, 0.5, -0.3, 0.8]
    exact = paired({f"p{n:02}": value for n, value in enumerate(values)})
    more = paired({f"p{n:02}": value for n, value in enumerate([*values, 1e-9])})
    assert more.p == pytest.approx(exact.p, abs=0.01)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
