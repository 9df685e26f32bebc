"""BLEU against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from irwright.evaluation import bleu


def test_words_of_assembly() -> None:
    assert bleu.words(["movl $5, 8(%rax,%rcx,4)"]) == [
        *("movl", "$5", ",", "8", "(", "%rax", ",", "%rcx", ",", "4", ")"),
    ]


def test_equal_texts_have_1() -> None:
    text = ["a", "b", "c", "d", "e"]
    assert bleu.bleu([bleu.counts(text, text)]) == 1.0


def test_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours; as long as the reference.
    rows = [bleu.counts(["a", "b", "c", "d", "e", "f"], ["a", "b", "c", "d", "x", "f"])]
    assert bleu.bleu(rows) == pytest.approx(math.pow(5 / 6 * 3 / 5 * 2 / 4 * 1 / 3, 1 / 4))


def test_short_candidates_pay() -> None:
    rows = [bleu.counts(["a", "b", "c", "d", "e", "f", "g", "h"], ["a", "b", "c", "d"])]
    assert bleu.bleu(rows) == pytest.approx(math.exp(1 - 8 / 4))


def test_nothing_has_0() -> None:
    assert bleu.bleu([bleu.counts(["a", "b", "c", "d", "e"], [])]) == 0.0
