"""Knowledge on disk: what was written is read, what is foreign is refused; the shipped files fit their LLVM."""

from __future__ import annotations

import math

import pytest

from feedback_tools import observed
from irwright.errors import InputError
from irwright.feedback import knowledge as module
from irwright.feedback.knowledge import Outcome, load_knowledge, numpy, read_knowledge, write_knowledge
from irwright.feedback.learn import LearnSettings, learn


def test_written_and_read() -> None:
    np = numpy()
    knowledge = learn(observed(), LearnSettings(), made_by='{"command": "x"}')
    data = write_knowledge(knowledge, llvm_major=22)
    read = read_knowledge(data, 22, name="x")
    assert (read.plans, read.made_by, read.neighbours) == (knowledge.plans, knowledge.made_by, knowledge.neighbours)
    assert np.abs(read.outcomes - knowledge.outcomes).max() <= 0.5001 / module.UNITS_PER_LOG
    assert write_knowledge(read, llvm_major=22) == data


def test_knowledge_of_shares_takes_the_same_numbers() -> None:
    np = numpy()
    data = observed()
    knowledge = learn(data, LearnSettings(shares=True))
    read = read_knowledge(write_knowledge(knowledge, llvm_major=22), 22, name="x")
    assert len(read.mean) > len(data.features[0])
    for number in (0, 1, 50):
        assert np.allclose(read.place(data.features[number]), knowledge.places[number], atol=1e-3)


def test_outcomes_are_shares_within_bounds() -> None:
    assert Outcome.of((50, 30, 10), (100, 60, 20)) == pytest.approx((math.log(0.5), -0.3, -0.1))
    assert Outcome.of((900, 30, 10), (100, 60, 20)).total == 0.5


@pytest.mark.parametrize("cut", [0, 100, 2000])
def test_broken_files_are_refused(cut: int) -> None:
    data = write_knowledge(learn(observed(), LearnSettings()), llvm_major=22)[:cut]
    with pytest.raises(InputError, match=r"x.npz: not a proposer that learnt from outcomes"):
        read_knowledge(data, 22, name="x.npz")


def test_features_of_another_irwright_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_knowledge(learn(observed(), LearnSettings()), llvm_major=22)
    monkeypatch.setattr(module, "NAMES", ("other",))
    with pytest.raises(InputError, match="made by another irwright"):
        read_knowledge(data, 22, name="x.npz")


@pytest.mark.parametrize("protocol", ["oz", "paper"])
def test_the_shipped_files(protocol: str) -> None:
    knowledge = load_knowledge(protocol, 22)
    assert knowledge is not None and None not in knowledge.plans
    assert knowledge.outcomes.shape == (3, knowledge.num_plans, len(knowledge.places))
    older = load_knowledge(protocol, 17)
    assert older is not None and older.num_plans == knowledge.num_plans
    assert load_knowledge("instructions", 22) is None
