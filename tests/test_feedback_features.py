"""Features: counts agree with LLVM's own, and say what a text shows."""

from __future__ import annotations

import math

import pytest

from conftest import Seeds
from irwright.evaluator import Evaluator
from irwright.feedback.features import (
    NAMES,
    PER_BYTES,
    SHARED_BYTES,
    SIZES,
    count_body,
    describe,
    named_in,
    with_shares,
)
from irwright.llvm.bodies import split_text
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.worker import WorkerPool
from irwright.measure import protocol
from irwright.plan import Plan

LOOP = """define internal void @f(ptr %p, i32 %n) {
  %c = call i32 @g(ptr %p)
  br label %head

head:                                             ; preds = %head, %0
  %i = phi i32 [ 0, %0 ], [ %next, %head ]
  %next = add i32 %i, 300
  %q = getelementptr i8, ptr %p, i64 200
  tail call void @llvm.memset.p0.i64(ptr %q, i8 0, i64 %x, i1 false)
  call void %h(ptr null)
  %more = icmp ult i32 %next, %n
  br i1 %more, label %head, label %"to end"

"to end":                                         ; preds = %head
  ret void"""


def test_what_a_text_shows() -> None:
    counts = count_body(LOOP)
    wanted = {"phi": 1, "add": 1, "br": 2, "ret": 1, "call": 3, "call_direct": 1, "call_memset": 1, "call_indirect": 1}
    wanted |= {"blocks": 3, "instructions": 10, "arguments": 2, "conditional": 1, "back": 1, "large_offsets": 1}
    wanted |= {"void": 1, "static": 1}
    assert {name: counts[name] for name in wanted} == wanted


@pytest.mark.parametrize("name", ["checksum", "machine", "numbers"])
def test_instructions_are_counted_as_llvm_counts_them(pool: WorkerPool, seeds: Seeds, name: str) -> None:
    facts = pool.add_module("m", seeds.bitcode(name), name=name)
    text = Evaluator(pool, "m", facts, protocol("oz"), llvm_major=22).compile(Plan(), "ll")
    bodies = {name: body.decode().lstrip("\n") for name, body in split_text(text).items()}
    switches = {name: count_body(body)["switch"] for name, body in bodies.items()}
    counted = {name: count_body(body)["instructions"] for name, body in bodies.items()}
    assert counted == facts.instructions_by_function
    assert any(switches.values()) == (name == "machine")


def test_a_function_that_is_gone_after_oz() -> None:
    numbers = dict(zip(NAMES, describe(LOOP, "", None), strict=True))
    assert numbers["size_missing"] == 1 and numbers["oz_instructions"] == 0
    assert numbers["raw_instructions"] == math.log1p(10)
    there = dict(zip(NAMES, describe(LOOP, LOOP, FunctionSize(code=7, unwind=3, data=0)), strict=True))
    assert (there["size_code"], there["size_missing"]) == (math.log1p(7), 0)


def test_names_in_a_body_without_its_own() -> None:
    text = 'define i32 @one(i32 %0) {\n  %2 = call i32 @two(i32 %0)\n  store ptr @"a b", ptr @data.1\n  ret i32 %2\n}\n'
    assert named_in(text) == {"two", "a b", "data.1"}
    assert named_in("") == frozenset()


def test_shares_are_counts_beside_the_bytes_of_oz() -> None:
    numbers = describe(LOOP, LOOP, FunctionSize(code=7, unwind=3, data=0))
    wide = with_shares(numbers)
    assert wide[: len(NAMES)] == numbers and len(wide) == 2 * len(NAMES) - len(SIZES) + 1
    shares = dict(zip(NAMES, wide[len(NAMES) : -1], strict=False))
    assert shares["raw_call"] == pytest.approx(3 * PER_BYTES / (SHARED_BYTES + 10))
    assert wide[-1] == pytest.approx(PER_BYTES**3 / (SHARED_BYTES + 10))
    gone = with_shares(describe(LOOP, "", None))
    assert gone[-1] == pytest.approx(PER_BYTES**3 / SHARED_BYTES), "no bytes of its own"
