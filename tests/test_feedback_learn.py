"""Learning: better than a fixed order where features or outcomes tell, on projects that were not learnt from."""

from __future__ import annotations

import pytest

from feedback_tools import observed
from irwright.feedback.learn import LearnSettings, cross_validate, cross_validate_order, fixed_order, folds

SETTINGS = LearnSettings(ridge=10.0, places=4)


@pytest.mark.parametrize("told", [True, False])
def test_feedback_beats_the_fixed_order(told: bool) -> None:
    data = observed(told=told)
    fixed = cross_validate_order(data, tries=3).mean(axis=0)
    chosen = cross_validate(data, SETTINGS, tries=3).mean(axis=0)
    assert (chosen[0] < fixed[0] - 0.02) == told, "the first try has features alone"
    assert chosen[2] <= fixed[2] + 0.001


def test_a_fixed_order_is_greedy() -> None:
    assert fixed_order(observed(), 3)[:2] == [0, 3]


def test_folds_keep_projects_whole() -> None:
    data = observed()
    masks = list(folds(data.projects, 3))
    assert sum(mask.astype(int) for mask in masks).tolist() == [1] * len(data.names)
    for mask in masks:
        asked = {name for name, inside in zip(data.projects, mask, strict=True) if inside}
        assert asked.isdisjoint(data.only(~mask).projects)
