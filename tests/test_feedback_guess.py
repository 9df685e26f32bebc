"""Guesses: by features first, then by outcomes; nothing twice, failures survive."""

from __future__ import annotations

from feedback_tools import observed
from irwright.feedback.guess import Guess
from irwright.feedback.knowledge import Knowledge, Outcome
from irwright.feedback.learn import LearnSettings, learn

SETTINGS = LearnSettings(ridge=10.0, places=4)


def ask(knowledge: Knowledge, number: int, *, told: bool, tries: int) -> tuple[list[int], Guess]:
    """What is tried on a known function, which need not be among those that were learnt from."""
    data = observed(told=told)
    guess = Guess(knowledge, knowledge.place(data.features[number]))
    for _ in range(tries):
        chosen = guess.next()
        assert chosen is not None
        guess.observe(chosen, Outcome(*data.outcomes[:, chosen, number]))
    return guess.tried, guess


def test_features_choose_the_first_plan() -> None:
    knowledge = learn(observed(), SETTINGS)
    assert [ask(knowledge, number, told=True, tries=1)[0] for number in (0, 1, 2, 3)] == [[0], [3], [0], [3]]


def test_an_outcome_chooses_what_comes_next() -> None:
    data = observed(told=False)
    knowledge = learn(data.only([number >= 20 for number in range(len(data.names))]), SETTINGS)
    wrong_first = 0
    for number in range(20):
        (first, second), _ = ask(knowledge, number, told=False, tries=2)
        if first // 3 != number % 2:
            wrong_first += 1
            assert second // 3 == number % 2, "the first plan did nothing for it: it is of the other kind"
    assert wrong_first > 3, "no feature tells the kind"


def test_every_plan_comes_once_and_what_is_left_out_never() -> None:
    knowledge = learn(observed(), SETTINGS)
    guess = Guess(knowledge, knowledge.place(observed().features[0]))
    guess.leave_out(2)
    while (chosen := guess.next()) is not None:
        guess.observe(chosen, None)
    assert sorted(guess.tried) == [0, 1, 3, 4, 5]
    assert guess.best == 0, "a failure saves nothing"
    assert set(guess.expected()) == {-1.0}
