"""Readers of one line of IR, for tests of the grammar's parts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.flow import Flow
from irwright.grammar.operands import Operands, Symbols
from irwright.grammar.reader import Reader
from irwright.grammar.types import VOID, Type, Types

Read = Callable[[Operands], object]


def operands(text: str, *values: Type, result: Type = VOID, whole: bool = True) -> Operands:
    """A line inside the first block of a function whose arguments have these types."""
    flow = Flow(result=result)
    for number, kind in enumerate(values):
        flow.values[number] = (kind, -1)
        flow.next = number + 1
    flow.begin_block()
    return Operands(Reader(text, whole=whole), flow, Types(), Symbols())


def wrong_at(make: Callable[[str, bool], Operands], read: Read, text: str) -> int | None:
    """Where a whole line goes wrong; every beginning of it up to there must be known as unfinished."""
    try:
        told = make(text, True)
        read(told)
        told.line.end()
    except GrammarError as error:
        place: int | None = error.position
    else:
        place = None
    for end in range(len(text)):
        begun = make(text[:end], False)
        if place is None or end <= place:
            with pytest.raises(UnfinishedError):
                read(begun)
                if begun.line.position == end:  # all of it could be the whole
                    raise UnfinishedError(end)
    return place
