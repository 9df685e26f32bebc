"""Drawings are well-formed, say what they show, and are the same for the same numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.evaluation.plots import Curve, Mark, bars, curves, stacks, standalone, ticks


def words(svg: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.text and node.text.strip()]


def test_curves() -> None:
    line = Curve(name="a<b", x=[1, 3, 8], y=[0.5, 1.5, 2.5], ranges=[(0, 1), (1, 2), None])
    svg = curves([line], x_name="compilations", y_name="saved, %", marks=[Mark(name="published", value=5.26)])
    found = words(svg)
    assert {"a<b", "published 5.26", "compilations", "a<b, 3: 1.50 (1.00 to 2.00)"} <= set(found)
    assert svg == curves([line], x_name="compilations", y_name="saved, %", marks=[Mark(name="published", value=5.26)])


def test_curves_of_next_to_nothing() -> None:
    point = Curve(name="one", x=[300], y=[0.0], ranges=[(0.0, 0.0)])
    assert "one" in words(curves([point, point], x_name="x", y_name="y"))
    assert "x" in words(curves([], x_name="x", y_name="y"))


def test_bars() -> None:
    found = words(bars(["coreset", "random"], [("bzip2", [1.5, -0.5]), ("a" * 40, [0, 0])], x_name="saved, %"))
    assert "bzip2, random: -0.50" in found
    assert any(word.endswith("…") for word in found)


def test_levels_of_bars() -> None:
    found = words(bars(["exact"], [("lifter", [60.0])], x_name="%", marks=[Mark(name="published", value=13.8)]))
    assert "published 13.8" in found


def test_a_file_of_its_own() -> None:
    svg = standalone(bars(["exact"], [("lifter", [60.0])], x_name="%"))
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    used = set(re.findall(r"var\((--\w+)\)", svg))
    assert used and all(f"{name}:#" in svg for name in used)


def test_stacks() -> None:
    found = words(stacks(["exact", "different"], [("1 to 9", [3, 1]), ("none", [0, 0])], [2, 5]))
    assert "1 to 9, exact: 3 of 4" in found
    assert not any(word.startswith("none,") for word in found)


@given(st.floats(-50, 50), st.floats(0.001, 100))
def test_ticks_are_around_and_few(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert found == sorted(set(found))
    assert len(found) <= 9
    assert found[0] <= low + 1e-6 and found[-1] >= low + span - 1e-6


def test_ticks_are_round() -> None:
    assert ticks(0, 6) == [0, 1, 2, 3, 4, 5, 6]
    assert ticks(0, 0.9) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
