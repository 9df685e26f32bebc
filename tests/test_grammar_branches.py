"""Ends of blocks: where they may lead, and what they may not leave behind."""

from __future__ import annotations

import pytest

from grammar_tools import operands
from irwright.errors import GrammarError
from irwright.grammar.branches import case, read_terminator
from irwright.grammar.operands import Operands
from irwright.grammar.reader import Reader
from irwright.grammar.types import I1, I8, I32, VOID, Type


def end(text: str, *values: Type, result: Type = VOID) -> tuple[Operands, list[int] | None]:
    told = operands(text, *values, result=result)
    word = told.line.need("ret ", "br ", "switch ", "unreachable")
    return told, read_terminator(told, word)


def test_a_return_gives_the_result() -> None:
    told, cases = end("ret i32 %0", I32, result=I32)
    assert cases is None and told.flow.may_end()
    assert end("ret void")[0].flow.may_end() and end("unreachable")[0].flow.may_end()
    for text, result in (("ret void", I32), ("ret i32 0", VOID), ("ret i32", I32), ("unreachable ", VOID)):
        with pytest.raises(GrammarError):
            end(text, result=result)


def test_a_branch_owes_its_blocks() -> None:
    told, _ = end("br i1 %0, label %2, label %5", I1)
    assert told.flow.owed_blocks == {2, 5} and not told.flow.may_end() and told.flow.can_begin_block()
    told, _ = end("br label %2", I1)
    assert told.flow.owed_blocks == {2}


@pytest.mark.parametrize(
    "text",
    [
        "br label %1",  # the entry has no way back
        "br label %3",  # nothing leads to the next block
        "br i1 %0, label %2, label %2",
        "br i1 %0, label %4, label %5",
        "br i1 5, label %2, label %3",
        "br i32 %0, label %2, label %3",
    ],
)
def test_branches_that_lead_nowhere(text: str) -> None:
    with pytest.raises(GrammarError):
        end(text, I1)


def test_no_end_where_a_block_is_owed_later_than_the_next() -> None:
    told, _ = end("br i1 %0, label %2, label %4", I1)
    told.flow.begin_block()  # 2
    told.flow.define(I32)  # 3
    told.line = Reader("ret void", whole=True, position=4)
    assert read_terminator(told, "ret ") is None  # 4 comes now, and has a way to it
    told.flow.begin_block()
    told.line = Reader("br label %2", whole=True, position=3)
    assert read_terminator(told, "br ") is None and told.flow.may_end()


def test_a_switch_and_its_cases() -> None:
    told, begun = end("switch i8 %0, label %5 [", I8)
    assert begun is not None and begun == [8, 5]
    values: set[int] = set()

    def say(text: str) -> bool:
        told.line = Reader(text, whole=True)
        return case(told, begun, values)

    with pytest.raises(GrammarError):
        say("  ]")  # nothing leads to the next block
    assert not say("    i8 -1, label %2")
    for wrong in ("    i8 255, label %3", "    i16 1, label %3", "    i8 300, label %3", "    i8 1, label %1"):
        with pytest.raises(GrammarError):
            say(wrong)
    assert say("  ]") and not told.flow.open and told.flow.owed_blocks == {2, 5}


@pytest.mark.parametrize("text", ["switch i1 %0, label %2 [", "switch ptr null, label %2 [", "switch i8 1, label %2 ["])
def test_switches_are_of_whole_numbers(text: str) -> None:
    if text.startswith("switch i8"):
        assert end(text, I1)[1] == [8, 2]
        return
    with pytest.raises(GrammarError):
        end(text, I1)
