"""Attributes: which stand where, beside which others, and with what behind them."""

from __future__ import annotations

import pytest

from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.attributes import (
    FUNCTION,
    read_align,
    read_argument_attributes,
    read_function_attributes,
    read_result_attributes,
)
from irwright.grammar.reader import Reader
from irwright.grammar.types import I8, I32, I64, PTR, Type, integer

DOUBLE = Type("double", "float")


def argument_fault(text: str, kind: Type) -> int | None:
    line = Reader(text, whole=True)
    try:
        read_argument_attributes(line, kind)
        line.end()
    except GrammarError as error:
        return error.position
    return None


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        (PTR, " noundef nonnull align 8 dereferenceable(24)", None),
        (PTR, " noalias readonly captures(none)", None),
        (PTR, " captures(ret: address, provenance) initializes((0, 8), (16, 24))", None),
        (PTR, " readonly writeonly", 9),
        (PTR, " readonly readonly", 9),
        (PTR, " captures(none) captures(address)", 15),
        (PTR, " align 3", 7),
        (PTR, " align 8192", 8),
        (PTR, " dereferenceable(0)", 17),
        (PTR, " initializes((8, 8))", 17),
        (PTR, " initializes((0, 8), (4, 9))", 22),
        (PTR, " zeroext", 0),
        (I32, " noundef signext", None),
        (I32, " zeroext signext", 8),
        (I32, " range(i32 0, 2)", None),
        (I32, " range(i32 5, 5)", 14),
        (I32, " range(i64 0, 2)", 8),
        (I32, " nonnull", 0),
        (integer(24), " range(i24 0, 2)", 0),
        (DOUBLE, " nofpclass(nan inf)", None),
        (DOUBLE, " nofpclass(zero)", 11),
        (DOUBLE, " align 8", 0),
    ],
)
def test_attributes_of_arguments(kind: Type, text: str, place: int | None) -> None:
    found = argument_fault(text, kind)
    assert (found is None) == (place is None)
    if place is not None:
        assert found is not None and place <= found <= place + 9


def test_arguments_tell_what_was_found() -> None:
    line = Reader(" noundef align 8 initializes((0, 4)) %0", whole=True)
    assert read_argument_attributes(line, PTR) == {"noundef", "align", "initializes("}
    assert line.rest == " %0"


@pytest.mark.parametrize(
    ("text", "kind", "allowed", "refused"),
    [
        ("noundef zeroext i8", "int", I8, PTR),
        ("noundef nonnull align 8 ptr", "ptr", PTR, I64),
        ("dereferenceable_or_null(8) ptr", "ptr", PTR, I64),
        ("nofpclass(nan) double", "float", DOUBLE, I32),
        ("range(i32 -1, 2) i32", "int", I32, I64),
        ("noundef i8", "", I8, None),
    ],
)
def test_attributes_of_results_ask_for_a_type(text: str, kind: str, allowed: Type, refused: Type | None) -> None:
    line = Reader(text, whole=True)
    wanted = read_result_attributes(line)
    assert wanted.kind == kind and wanted.allows(allowed) and line.rest == allowed.text
    assert refused is None or not wanted.allows(refused)


def test_results_of_one_kind_take_no_attribute_of_another() -> None:
    line = Reader("zeroext nonnull ptr", whole=True)
    read_result_attributes(line)
    assert line.rest == "nonnull ptr"


@pytest.mark.parametrize(
    ("text", "arguments", "rest"),
    [
        (" minsize nounwind optsize uwtable {", None, " {"),
        (" memory(argmem: readwrite, errnomem: write) uwtable", None, ""),
        (" memory(read, argmem: write)", None, ""),
        (" noinline alwaysinline", None, " alwaysinline"),
        (" minsize uwtable", [], " uwtable"),  # of a call
        (" allocsize(0)", [I64], ""),
        (" allocsize(0,1) minsize", [I64, I64], ""),
        (" allocsize(0)", [PTR], " allocsize(0)"),
    ],
)
def test_attributes_of_functions(text: str, arguments: list[Type] | None, rest: str) -> None:
    line = Reader(text, whole=True)
    read_function_attributes(line, arguments=arguments)
    assert line.rest == rest


@pytest.mark.parametrize("text", [" memory(errnomem: read, argmem: read)", " memory(none", " memory(all)"])
def test_effects_have_an_order(text: str) -> None:
    with pytest.raises(GrammarError):
        read_function_attributes(Reader(text, whole=True))


@pytest.mark.parametrize("word", [word for word in FUNCTION if "(" not in word])
def test_a_begun_attribute_may_go_on(word: str) -> None:
    for end in range(len(word) + 1):
        with pytest.raises(UnfinishedError):
            read_function_attributes(Reader(f" {word[:end]}", whole=False))


def test_alignments_are_powers_of_two() -> None:
    read_align(Reader("16", whole=True))
    with pytest.raises(GrammarError):
        read_align(Reader("24", whole=True))
