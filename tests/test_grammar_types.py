"""Types and constants, as LLVM writes them."""

from __future__ import annotations

import pytest

from irwright.errors import GrammarError
from irwright.grammar.reader import Reader
from irwright.grammar.types import Type, Types, read_constant


def read(text: str) -> Type:
    line = Reader(text, whole=True)
    found = Types().read(line, void=True)
    line.end()
    return found


@pytest.mark.parametrize(
    "text",
    [
        "i1",
        "i33",
        "ptr",
        "void",
        "double",
        "x86_fp80",
        "[4 x i8]",
        "[0 x { i32, ptr }]",
        "<4 x float>",
        "<{ i8, [3 x i8] }>",
        "{}",
    ],
)
def test_types_are_written_back(text: str) -> None:
    assert read(text).text == text


@pytest.mark.parametrize("text", ["i0", "i129", "i01", "[4 x void]", "<4 x [2 x i8]>", "%t0x", "{ i32", "int"])
def test_others_are_none(text: str) -> None:
    with pytest.raises(GrammarError):
        read(text)


@pytest.mark.parametrize(
    ("kind", "text", "right"),
    [
        ("i8", "255", True),
        ("i8", "-128", True),
        ("i8", "256", False),
        ("i1", "true", True),
        ("i1", "1", False),
        ("ptr", "null", True),
        ("ptr", "0", False),
        ("float", "1.500000e+00", True),
        ("float", "1.100000e+00", False),
        ("double", "1.100000e+00", True),
        ("float", "0x3FF0000000000000", True),
        ("float", "0x3FB999999999999A", False),
        ("x86_fp80", "0xK3FFF8000000000000000", True),
        ("<2 x i8>", "<i8 1, i8 2>", True),
        ("<2 x i8>", "<i8 1>", False),
        ("<2 x i8>", "splat (i8 3)", True),
        ("[2 x i8]", "zeroinitializer", True),
    ],
)
def test_constants(kind: str, text: str, right: bool) -> None:
    line = Reader(text, whole=True)
    try:
        read_constant(line, read(kind))
        line.end()
    except GrammarError:
        assert not right
    else:
        assert right


def test_a_type_does_not_hold_itself() -> None:
    types = Types()
    assert types.name(0, types.read(Reader("{ i32, %t1 }", whole=True)))
    assert types.owed == {1}
    assert not types.name(1, types.read(Reader("{ [2 x %t0] }", whole=True)))


def test_named_types_come_in_any_order() -> None:
    types = Types()
    assert types.name(0, types.read(Reader("{ ptr, %t5 }", whole=True)))
    assert types.owed == {5} and {1, 4, 5, 6} <= set(types.ahead) and 0 not in types.ahead
    assert types.name(5, types.read(Reader("{ i32 }", whole=True)))
    assert types.name(2, types.read(Reader("{ %t5 }", whole=True)))
    assert not types.owed and {1, 3, 4, 6} <= set(types.ahead)


@pytest.mark.parametrize("text", ["<4 x <", "<4 x [", "<4 x {", "<4 x %"])
def test_vectors_of_vectors_end_where_they_begin(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        Types().read(Reader(text, whole=False))
    assert caught.value.position == 5
