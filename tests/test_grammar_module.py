"""IR checked while it is said: what LLVM writes is right at every place, and what is let pass, LLVM takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import Seeds
from irwright.errors import IrwrightError
from irwright.grammar.module import CodeState, whole
from irwright.labels.units import Bench
from irwright.llvm.toolchain import Toolchain
from irwright.passes import PassList
from irwright.plan import Plan

LOOP = """declare i32 @f1(ptr noundef) local_unnamed_addr
define dso_local i32 @f0(i32 noundef %0, ptr noundef %1) local_unnamed_addr minsize nounwind optsize uwtable {
  %3 = icmp sgt i32 %0, 0
  br i1 %3, label %4, label %9
4:
  %5 = phi i32 [ %7, %4 ], [ 0, %2 ]
  %6 = tail call i32 @f1(ptr noundef %1) minsize optsize
  %7 = add nuw nsw i32 %5, 1
  %8 = icmp eq i32 %7, %0
  br i1 %8, label %9, label %4
9:
  %10 = phi i32 [ 0, %2 ], [ %6, %4 ]
  ret i32 %10
}"""


@pytest.fixture(scope="module")
def bench(tools: Toolchain) -> Iterator[Bench]:
    with Bench(tools.library.path, llvm_major=22) as opened:
        yield opened


def fault_of(text: str) -> int | None:
    """Where a text stops being the beginning of a right one, told as soon as it can be."""
    state, start = CodeState(), 0
    lines = text.split("\n")
    for line in lines[:-1]:
        found = state.after(line)
        if isinstance(found, int):
            return start + found
        state, start = found, start + len(line) + 1
    wrong = state.fault(lines[-1])
    return None if wrong is None else start + wrong


@pytest.mark.parametrize("name", ["checksum", "numbers", "machine"])
def test_what_llvm_writes_is_right_in_every_place(bench: Bench, seeds: Seeds, name: str) -> None:
    accepted = total = 0
    for function in bench.open(seeds.bitcode(name), f"{name}.c").functions:
        unit = bench.unit(function)
        for text in (unit.text, bench.optimised(unit, PassList.parse("default<Oz>"))):
            total += 1
            found = whole(text)
            if isinstance(found, CodeState) and found.may_end:
                accepted += 1
                lines = text.split("\n")
                state = CodeState()
                for line in lines:
                    assert [end for end in range(0, len(line) + 1, 3) if state.fault(line[:end]) is not None] == []
                    following = state.after(line)
                    assert isinstance(following, CodeState)
                    state = following
    assert accepted >= 0.7 * total  # a block that a switch reaches twice has no phi, and such things


WRONG = {
    "a value that is not there": ("%7 = add nuw nsw i32 %5, 1", "%7 = add nuw nsw i32 %9, 1", "%9"),
    "a value of another type": ("@f1(ptr noundef %1)", "@f1(ptr noundef %0)", "%0)"),
    "a number out of its row": ("%7 = add", "%8 = add", "8 = add"),
    "a value that does not dominate": ("ret i32 %10", "ret i32 %7", "7"),
    "a label that nothing can lead to": ("9:\n", "11:\n", "11:"),
    "another result": ("ret i32 %10", "ret ptr %10", "ptr %10"),
    "a block that is no predecessor": ("[ %6, %4 ]", "[ %6, %9 ]", ", %9 ]"),
    "no such flag": ("add nuw nsw", "and nuw nsw", "nuw"),
    "a second definition": ("declare i32 @f1", "declare i32 @f1()\ndeclare i32 @f1", None),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_found_where_it_is(bench: Bench, name: str) -> None:
    old, new, place = WRONG[name]
    assert isinstance(whole(LOOP), CodeState)
    text = LOOP.replace(old, new)
    found = whole(text)
    assert isinstance(found, int)
    assert place is None or text[found:].startswith(place) or text[found - 1 :].startswith(place), text[found:][:20]
    with pytest.raises(IrwrightError):
        bench.of_text(text).plain.compile(Plan(), "bc")


def test_names_without_a_line_are_owed() -> None:
    text = LOOP.split("\n", 1)[1]
    found = whole(text)
    assert isinstance(found, CodeState) and not found.may_end
    assert found.fault("define ") == 2 and found.fault("declare i32 @f2(") is not None
    assert found.fault("declare i32 @f1(") is None
    done = whole(f"{text}\ndeclare i32 @f1(ptr noundef)")
    assert isinstance(done, CodeState) and done.may_end


def test_types_are_named_before_they_are_used() -> None:
    types = "%t0 = type { i32, %t1, [4 x i8] }\n%t1 = type { ptr, i64 }\n"
    body = (
        "define ptr @f0(ptr %0) {\n  %2 = getelementptr inbounds nuw %t0, ptr %0, i32 0, i32 1, i32 1\n  ret ptr %2\n}"
    )
    found = whole(types + body)
    assert isinstance(found, CodeState) and found.may_end
    for old, new in (("i32 1, i32 1", "i32 1, i32 2"), ("i32 0, i32 1", "i32 0, i32 3"), ("{ ptr,", "{ %t0,")):
        assert isinstance(whole((types + body).replace(old, new, 1)), int)
    assert isinstance(whole("%t0 = type { %t1 }\n" + body.replace(", i32 1, i32 1", "")), int)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('@g0 = private unnamed_addr constant [3 x i8] c"ab\\00", align 1', None),
        ('@g0 = private unnamed_addr constant [3 x i8] c"abc\\00", align 1', "\\00"),
        ('@g0 = private unnamed_addr constant [3 x i8] c"a\\00", align 1', '", align'),
        ("@g0 = external global i32, align 7", "7"),
        ("@g0 = internal constant { i32, ptr } { i32 1, ptr null }, align 8", None),
        ("@g0 = internal constant { i32, ptr } { i32 1, ptr 0 }, align 8", "0 }"),
        ("@g0 = internal global double 0x3FF0000000000000, align 8", None),
        ("@g0 = internal global float 1.100000e+00, align 4", "0, align"),
        ("@g0 = internal global i8 300, align 1", "0, align"),
    ],
)
def test_variables(line: str, wrong: str | None) -> None:
    found = CodeState().after(line)
    assert (wrong is None) == isinstance(found, CodeState)
    if wrong is not None:
        assert isinstance(found, int) and line[found:].startswith(wrong)


def test_a_switch_and_its_cases() -> None:
    text = """define i32 @f0(i32 %0) {
  switch i32 %0, label %3 [
    i32 1, label %2
    i32 5, label %2
  ]
2:
  br label %3
3:
  ret i32 0
}"""
    found = whole(text)
    assert isinstance(found, CodeState) and found.may_end
    assert isinstance(whole(text.replace("i32 5", "i32 1")), int)
    assert isinstance(whole(text.replace("label %2", "label %4")), int)


def test_a_function_that_hurries_comes_to_its_end() -> None:
    state = whole("define i32 @f0(i32 %0) {\n  %2 = add i32 %0, 1")
    assert isinstance(state, CodeState) and state.flow is not None
    assert state.fault("  %3 = ") is None
    state.flow.hurries = True
    assert state.fault("  %3 = ") is not None and state.fault("  store ") is not None
    assert state.fault("  ret i32 %2") is None
