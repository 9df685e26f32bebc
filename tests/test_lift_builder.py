"""Lines of IR: what folds, and that it means the same."""

from __future__ import annotations

import pytest

from irwright.lift.builder import Builder, literal


@pytest.mark.parametrize(
    ("op", "have", "value", "want", "result"),
    [
        ("zext", "i8", "-1", "i32", "255"),
        ("sext", "i8", "-1", "i32", "-1"),
        ("trunc", "i32", "511", "i8", "-1"),
        ("trunc", "i32", "3", "i1", "true"),
        ("zext", "i1", "true", "i8", "1"),
        ("sext", "i1", "true", "i8", "-1"),
        ("ptrtoint", "ptr", "null", "i64", "0"),
        ("inttoptr", "i64", "0", "ptr", "null"),
        ("bitcast", "i32", "%x", "i32", "%x"),
    ],
)
def test_constants_are_converted(op: str, have: str, value: str, want: str, result: str) -> None:
    builder = Builder()
    assert builder.convert(op, have, value, want) == result
    assert not builder.lines


def test_conversions_undo_each_other() -> None:
    builder = Builder()
    wide = builder.convert("zext", "i32", "%x", "i64")
    assert builder.convert("trunc", "i64", wide, "i32") == "%x"
    pointer = builder.convert("inttoptr", "i64", "%y", "ptr")
    assert builder.convert("ptrtoint", "ptr", pointer, "i64") == "%y"
    assert len(builder.lines) == 2


def test_pointers_are_lanes_as_numbers() -> None:
    builder = Builder()
    builder.coerce("%p", "ptr", "<2 x double>")
    builder.coerce("%v", "<4 x i32>", "ptr")
    builder.coerce("%w", "<2 x double>", "ptr")
    text = "\n".join(builder.lines)
    assert "x ptr>" not in text
    assert text.count("ptrtoint ptr %p to i64") == 1 and text.count("inttoptr i64") == 2


def test_a_shorter_trunc_goes_around_the_extension() -> None:
    builder = Builder()
    wide = builder.convert("sext", "i32", "%x", "i64")
    builder.convert("trunc", "i64", wide, "i8")
    assert builder.lines[-1] == "  %v2 = trunc i32 %x to i8"
    builder.convert("trunc", "i64", builder.convert("zext", "i8", "%b", "i64"), "i16")
    assert builder.lines[-1].endswith("= zext i8 %b to i16")


def test_a_comparison_is_negated_by_its_predicate() -> None:
    builder = Builder()
    test = builder.compare("icmp ult", "i32", "%a", "%b")
    builder.inverse(test)
    assert builder.lines[-1] == "  %v2 = icmp uge i32 %a, %b"
    builder.inverse(builder.compare("fcmp olt", "double", "%a", "%b"))
    assert builder.lines[-1] == "  %v4 = fcmp uge double %a, %b"


def test_other_negations_cancel() -> None:
    builder = Builder()
    assert builder.inverse(builder.inverse("%c")) == "%c"
    assert builder.inverse("true") == "false"


def test_literals_are_signed() -> None:
    assert literal(255, "i8") == "-1"
    assert literal(1, "i1") == "true"


@pytest.mark.parametrize("turned", [False, True])
def test_what_a_mask_chooses_is_a_select(turned: bool) -> None:
    builder = Builder()
    mask = builder.convert("sext", "i1", "%c", "i64")
    inverse = builder.bitwise("xor", "i64", mask, str((1 << 64) - 1))
    x = builder.convert("bitcast", "double", "%x", "i64")
    y = builder.convert("bitcast", "double", "%y", "i64")
    parts = [builder.bitwise("and", "i64", mask, x), builder.bitwise("and", "i64", y, inverse)]
    builder.bitwise("or", "i64", *(reversed(parts) if turned else parts))
    assert "= select i1 %c, double %x, double %y" in builder.lines[-2]
    assert "= bitcast double" in builder.lines[-1]


def test_two_masks_choose_nothing() -> None:
    builder = Builder()
    masks = [builder.convert("sext", "i1", condition, "i64") for condition in ("%c", "%d")]
    inverse = builder.bitwise("xor", "i64", masks[1], str((1 << 64) - 1))
    parts = [builder.bitwise("and", "i64", masks[0], "%x"), builder.bitwise("and", "i64", inverse, "%y")]
    builder.bitwise("or", "i64", *parts)
    assert builder.lines[-1].split(" = ")[1].startswith("or i64")
