"""Calls: results, arguments, and what intrinsics ask for."""

from __future__ import annotations

import pytest

from grammar_tools import operands, wrong_at
from irwright.errors import GrammarError
from irwright.grammar.calls import read_call, read_fast
from irwright.grammar.operands import Operands
from irwright.grammar.reader import Reader
from irwright.grammar.types import I32, PTR, VOID, Type


def made(text: str, whole: bool) -> Operands:
    told = operands(text, I32, PTR, whole=whole)
    told.flow.values[1] = (PTR, -1)
    return told


def fault(text: str, *, wants_value: bool) -> int | None:
    return wrong_at(made, lambda told: read_call(told, wants_value=wants_value), text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("i32 @f1(ptr noundef %1, i32 7) minsize optsize", None),
        ("noundef i32 @strlen(ptr noundef nonnull %1)", None),
        ("fast double @llvm.fabs.f64(double 1.000000e+00)", None),
        ("fastcc i32 %1(i32 %0)", None),
        ("i32 (ptr, ...) @printf(ptr %1, i32 %0)", None),
        ("i32 (ptr, ...) @printf(i32 %0)", 23),
        ("i32 @llvm.smax.i32(i32 %0, i32 3)", None),
        ("i32 @llvm.smax.i64(i64 1, i64 3)", 16),
        ("i32 @llvm.smax.i32(i32 %0)", 25),
        ("i32 @llvm.abs.i32(i32 %0, i1 true)", None),
        ("i32 @llvm.abs.i32(i32 %0, i1 %0)", 29),
        ("zeroext ptr @f1()", 8),
        ("i32 @f1(i32 %1)", 13),
        ("i32 @f1(ptr returned %1)", None),
        ("i32 @llvm.sleep()", 11),
        ("void @f1()", 0),
        ("i32 %0()", 5),
    ],
)
def test_calls_that_give_something(text: str, place: int | None) -> None:
    if "returned" in text:  # what a call says of its own argument is not said here
        with pytest.raises(GrammarError):
            read_call(made(text, True), wants_value=True)
        return
    assert fault(text, wants_value=True) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("void @f1(i32 %0)", None),
        ("void @llvm.memset.p0.i64(ptr align 4 %1, i8 0, i64 16, i1 false)", None),
        ("void @llvm.memset.p0.i64(ptr %1, i8 0, i64 16, i1 0)", 50),
        ("void @llvm.lifetime.start.p0(ptr %1)", 11),
        ("void @llvm.va_start.p0(ptr %1)", 14),
        ("i32 @f1()", 0),
    ],
)
def test_calls_that_give_nothing(text: str, place: int | None) -> None:
    assert fault(text, wants_value=False) == place


def test_lifetimes_are_of_allocas_and_lists_of_variadic_functions() -> None:
    told = made("void @llvm.lifetime.start.p0(ptr nonnull %1)", True)
    told.flow.allocas.add(1)
    assert read_call(told, wants_value=False) == VOID
    told = made("void @llvm.va_start.p0(ptr %1)", True)
    told.flow.is_variadic = True
    assert read_call(told, wants_value=False) == VOID


def test_thread_local_variables_have_an_intrinsic() -> None:
    told = made("ptr @llvm.threadlocal.address.p0(ptr nonnull @g0)", True)
    told.symbols.thread_local.add("g0")
    assert read_call(told, wants_value=True) == PTR
    with pytest.raises(GrammarError):
        read_call(made(told.line.text, True), wants_value=True)


def test_a_result_with_overflow_is_a_struct() -> None:
    told = made("{ i32, i1 } @llvm.umul.with.overflow.i32(i32 %0, i32 2)", True)
    found = read_call(told, wants_value=True)
    assert isinstance(found, Type) and found.text == "{ i32, i1 }"


def test_flags_of_floating_point_have_an_order() -> None:
    line = Reader("nnan ninf nsz double", whole=True)
    read_fast(line)
    assert line.rest == "double"
    line = Reader("nsz nnan double", whole=True)
    read_fast(line)
    assert line.rest == "nnan double"
