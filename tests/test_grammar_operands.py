"""Values of instructions, addresses that are constant, and names of symbols."""

from __future__ import annotations

import pytest

from grammar_tools import operands, wrong_at
from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.operands import Symbols, library_names, step_into
from irwright.grammar.reader import Reader
from irwright.grammar.types import I1, I32, I64, PTR, Type, structure

PAIR = structure(I32, PTR)


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        (I32, "%0", None),
        (I32, "%1", 1),
        (I32, "%7", 1),
        (I32, "-5", None),
        (I32, "null", 0),
        (PTR, "%1", None),
        (PTR, "@f3", None),
        (PTR, "@strlen", None),
        (PTR, "@strleng", 7),
        (PTR, "null", None),
        (PTR, "inttoptr (i64 16 to ptr)", None),
        (PTR, "getelementptr inbounds nuw ([4 x i32], ptr @g0, i64 0, i64 2)", None),
        (PTR, "getelementptr inbounds ({ i32, ptr }, ptr @g0, i64 0, i32 1)", None),
        (PTR, "getelementptr inbounds ({ i32, ptr }, ptr @g0, i64 0, i32 2)", 58),
        (PTR, "getelementptr inbounds ({ i32, ptr }, ptr @g0, i64 0, i64 1)", 58),
        (PAIR, "{ i32 1, ptr null }", None),
        (PAIR, "{ i32 1, i32 0 }", 9),
        (PAIR, "poison", None),
    ],
)
def test_values(kind: Type, text: str, place: int | None) -> None:
    found = wrong_at(lambda said, whole: operands(said, I32, PTR, whole=whole), lambda told: told.value(kind), text)
    assert found == place


def test_a_value_is_known_by_its_number_and_used() -> None:
    told = operands("%1, 7", I32, PTR)
    assert told.value(PTR) == 1 and told.flow.uses == [(1, 2)]
    told.line.need(", ")
    assert told.value(I64) == -1
    with pytest.raises(GrammarError):
        operands("7", I32).value(I32, constant=False)


def test_types_with_values() -> None:
    assert operands("i32 %0", I32).typed() == I32
    with pytest.raises(GrammarError) as caught:
        operands("i32 %0", I32).typed([PTR, I1])
    assert caught.value.position == 0


def test_steps_into_types() -> None:
    array = Type("[4 x { i32, ptr }]", "array", 0, (PAIR,), 4)
    told = operands("i64 %0", I64)
    assert step_into(told, array) == PAIR
    assert step_into(operands("i32 1"), PAIR) == PTR
    for text, kind in (("i32 2", PAIR), ("i64 1", PAIR), ("i32 0", I32)):
        with pytest.raises(GrammarError):
            step_into(operands(text), kind)


def test_values_of_phis_are_those_at_the_end_of_a_block() -> None:
    told = operands("%0", I32)
    told.flow.end_block([2])
    told.flow.begin_block()  # 2, behind 1
    assert told.phi_numbers(I32, 1) == [0]
    assert {3, 4} <= set(told.phi_numbers(I32, 2))  # in its own loop a value may come later
    assert told.phi_value(I32, 1) == 0


def test_names_are_owed_until_they_have_a_line() -> None:
    symbols = Symbols()
    symbols.use(Reader("@f1(", whole=True))
    assert symbols.owed == {"f1"}
    assert symbols.read_new(Reader("@f1(", whole=True), {"f1"}) == "f1"
    symbols.defined.add("f1")
    assert not symbols.owed and not symbols.copy().owed
    with pytest.raises(GrammarError):
        symbols.read_new(Reader("@f1(", whole=True))
    with pytest.raises(GrammarError):
        symbols.use(Reader("@frobnicate(", whole=True))
    with pytest.raises(UnfinishedError):
        symbols.use(Reader("@mall", whole=False))
    assert "malloc" in library_names() and "__stack_chk_fail" in library_names()
