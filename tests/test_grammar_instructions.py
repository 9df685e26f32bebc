"""Instructions, one line each: types have to fit, phis stand first, numbers go on."""

from __future__ import annotations

import pytest

from grammar_tools import operands, wrong_at
from irwright.errors import GrammarError
from irwright.grammar.instructions import said
from irwright.grammar.operands import Operands
from irwright.grammar.reader import Reader
from irwright.grammar.types import I1, I8, I32, I64, PTR, Type, vector

DOUBLE = Type("double", "float")
FOUR = vector(4, I32)
ARGUMENTS = (I32, PTR, DOUBLE, I1, FOUR, I64)  # %0 to %5; the block is 6, the next value 7


def made(text: str, whole: bool = True) -> Operands:
    return operands(text, *ARGUMENTS, whole=whole)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("%7 = load i32, ptr %1, align 4", I32),
        ("%7 = load volatile i8, ptr @g0, align 1", I8),
        ("%7 = getelementptr inbounds nuw i8, ptr %1, i64 %5", PTR),
        ("%7 = getelementptr { i32, [2 x i8] }, ptr %1, i64 0, i32 1, i64 1", PTR),
        ("%7 = alloca [16 x i8], align 16", PTR),
        ("%7 = alloca i8, i64 %5, align 16", PTR),
        ("%7 = select i1 %3, i32 %0, i32 -1", I32),
        ("%7 = icmp samesign ult i32 %0, 5", I1),
        ("%7 = icmp eq ptr %1, null", I1),
        ("%7 = icmp slt <4 x i32> %4, zeroinitializer", vector(4, I1)),
        ("%7 = fcmp nnan olt double %2, 0.000000e+00", I1),
        ("%7 = freeze i32 %0", I32),
        ("%7 = fneg nsz double %2", DOUBLE),
        ("%7 = add nuw nsw i32 %0, 1", I32),
        ("%7 = or disjoint i64 %5, 1", I64),
        ("%7 = lshr exact i64 %5, 1", I64),
        ("%7 = fmul fast double %2, %2", DOUBLE),
        ("%7 = zext nneg i32 %0 to i64", I64),
        ("%7 = trunc nuw nsw i64 %5 to i8", I8),
        ("%7 = bitcast double %2 to i64", I64),
        ("%7 = ptrtoint ptr %1 to i64", I64),
        ("%7 = uitofp i32 %0 to double", DOUBLE),
        ("%7 = extractvalue { i32, ptr } poison, 1", PTR),
        ("%7 = tail call i32 @f1(i32 %0) minsize optsize", I32),
    ],
)
def test_values_have_a_type(text: str, kind: Type) -> None:
    assert wrong_at(made, said, text) is None
    told = made(text)
    assert said(told) is None
    assert told.flow.values[7][0] == kind and told.flow.next == 8


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("%8 = load i32, ptr %1, align 4", 1),
        ("%7 = load i32, ptr %0, align 4", 20),
        ("%7 = load i32, ptr %1, align 3", 30),
        ("%7 = phi i32 [ 0, %6 ]", 5),  # nothing leads to the first block
        ("%7 = icmp ult double %2, 5", 14),
        ("%7 = fcmp olt i32 %0, 5", 14),
        ("%7 = fneg i32 %0", 10),
        ("%7 = add double %2, %2", 9),
        ("%7 = fadd i32 %0, 1", 10),
        ("%7 = add i32 %0, %5", 18),
        ("%7 = and nuw i32 %0, 1", 9),
        ("%7 = zext i64 %5 to i32", 20),
        ("%7 = trunc i32 %0 to i64", 21),
        ("%7 = bitcast double %2 to i32", 26),
        ("%7 = sitofp double %2 to double", 12),
        ("%7 = select i1 %3, i32 %0, i64 1", 28),
        ("%7 = getelementptr { i32, i8 }, ptr %1, i64 0, i32 2", 51),
        ("%7 = extractvalue i32 %0, 0", 18),
        ("%7 = call void @f1()", 10),
        ("%7 = fence seq_cst", 6),
        ("store i32 %5, ptr %1, align 4", 11),
        ("call i32 @f1()", 5),
        ("ret i32 0", 4),
    ],
)
def test_what_does_not_fit_is_refused(text: str, place: int) -> None:
    found = wrong_at(made, said, text)
    assert found == place


def test_stores_and_calls_give_nothing() -> None:
    for text in ("store i32 %0, ptr %1, align 4", "store volatile ptr null, ptr %1, align 8", "tail call void @f2()"):
        told = made(text)
        assert said(told) is None and told.flow.next == 7 and not told.flow.in_phis


def test_phis_stand_first_and_name_every_way_here() -> None:
    told = made("br i1 %3, label %7, label %9")
    said(told)
    flow = told.flow
    flow.begin_block()  # 7
    flow.define(I32)  # 8
    flow.end_block([9])
    flow.begin_block()  # 9

    def say(text: str) -> None:
        said(Operands(Reader(text, whole=True), flow, told.types, told.symbols))

    for wrong in (
        "%10 = phi i32 [ 0, %6 ]",  # 7 is missing
        "%10 = phi i32 [ %8, %6 ], [ 0, %7 ]",  # 8 is not known there
        "%10 = phi i32 [ 0, %6 ], [ 1, %6 ]",
        "%10 = phi i64 [ 0, %6 ], [ %8, %7 ]",
    ):
        with pytest.raises(GrammarError):
            said(Operands(Reader(wrong, whole=True), flow.copy(), told.types, told.symbols))
    say("%10 = phi i32 [ 0, %6 ], [ %8, %7 ]")
    say("%11 = add i32 %10, 1")
    with pytest.raises(GrammarError):
        say("%12 = phi i32 [ 0, %6 ], [ %8, %7 ]")
    say("ret void")
    assert flow.may_end()


def test_a_switch_tells_its_cases() -> None:
    assert said(made("switch i32 %0, label %9 [")) == [32, 9]


def test_in_a_hurry_blocks_end() -> None:
    told = made("%7 = load i32, ptr %1, align 4")
    told.flow.hurries = True
    with pytest.raises(GrammarError):
        said(told)
    told = made("ret void")
    told.flow.hurries = True
    assert said(told) is None
