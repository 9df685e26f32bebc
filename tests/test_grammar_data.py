"""What variables hold at first."""

from __future__ import annotations

import pytest

from grammar_tools import operands, wrong_at
from irwright.grammar.data import read_initial
from irwright.grammar.reader import Reader
from irwright.grammar.types import Types


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        ("i32", "-7", None),
        ("i32", "null", 0),
        ("ptr", "null", None),
        ("ptr", "@f1", None),
        ("ptr", "getelementptr inbounds ([4 x i8], ptr @g1, i64 0, i64 2)", None),
        ("[3 x i8]", 'c"ab\\00"', None),
        ("[3 x i8]", 'c"a\\\\b"', None),
        ("[3 x i8]", 'c"ab"', 4),
        ("[3 x i8]", 'c"abcd"', 5),
        ("[3 x i8]", 'c"ab\\0g"', 6),
        ("[3 x i8]", "zeroinitializer", None),
        ("[2 x i16]", "[i16 1, i16 2]", None),
        ("[2 x i16]", "[i16 1]", 6),
        ("[2 x i16]", "[i16 1, i8 2]", 9),
        ("[0 x i16]", "zeroinitializer", None),
        ("[0 x i16]", "[i16 1]", 0),
        ("{ i32, ptr }", "{ i32 1, ptr @g3 }", None),
        ("{ i32, ptr }", "{ i32 1 }", 7),
        ("<{ i8, i32 }>", "<{ i8 1, i32 2 }>", None),
        ("<{ i8, i32 }>", "{ i8 1, i32 2 }", 0),
        ("{ i8, [2 x { i8 }] }", "{ i8 1, [2 x { i8 }] [{ i8 } { i8 1 }, { i8 } zeroinitializer] }", None),
        ("double", "1.500000e+00", None),
    ],
)
def test_initial_values(kind: str, text: str, place: int | None) -> None:
    wanted = Types().read(Reader(kind, whole=True))
    found = wrong_at(lambda said, whole: operands(said, whole=whole), lambda told: read_initial(told, wanted), text)
    assert found == place
