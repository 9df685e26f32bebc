"""Lines read from the left: whole ones, and beginnings that can still become something."""

from __future__ import annotations

import pytest

from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.reader import Reader


def test_the_longest_of_some_texts_is_read() -> None:
    line = Reader("nuw nsw i32", whole=True)
    assert line.need("nuw ", "nuw nsw ", "nsw ") == "nuw nsw "
    assert line.maybe("i64") == "" and line.looks_at("i32") and line.need("i32") == "i32"
    line.end()
    with pytest.raises(GrammarError) as raised:
        Reader("nux", whole=True).need("nuw ", "exact ")
    assert raised.value.position == 2


def test_a_beginning_is_unfinished_and_a_whole_line_is_not() -> None:
    with pytest.raises(UnfinishedError):
        Reader("nu", whole=False).need("nuw ")
    with pytest.raises(GrammarError) as raised:
        Reader("nu", whole=True).need("nuw ")
    assert not isinstance(raised.value, UnfinishedError) and raised.value.position == 2
    with pytest.raises(GrammarError):
        Reader("rest", whole=True).end()


@pytest.mark.parametrize(("text", "position"), [("256", 2), ("-129", 3), ("007", 2), ("-0", 1), ("x", 0), ("-", 1)])
def test_numbers_have_bounds(text: str, position: int) -> None:
    with pytest.raises(GrammarError) as raised:
        Reader(text, whole=True).number(-128, 255)
    assert raised.value.position == position


def test_numbers_that_may_go_on() -> None:
    assert Reader("-12,", whole=False).number(-128, 255) == -12
    for text in ("", "-", "1", "-1"):
        with pytest.raises(UnfinishedError):
            Reader(text, whole=False).number(-128, 255)
    with pytest.raises(GrammarError) as raised:
        Reader("-", whole=False).number(0, 255)
    assert not isinstance(raised.value, UnfinishedError)


def test_one_of_some_numbers() -> None:
    assert Reader("%12,", whole=False).choice([1, 12, 3], mark="%") == 12
    with pytest.raises(UnfinishedError):
        Reader("%1", whole=False).choice([12], mark="%")
    with pytest.raises(GrammarError) as raised:
        Reader("%14", whole=False).choice([12, 3], mark="%")
    assert raised.value.position == 2
    with pytest.raises(GrammarError):
        Reader("1", whole=True).choice([12])
