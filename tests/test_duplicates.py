"""Copies of functions: what merging them saves is known before, and every whole plan merges them."""

from __future__ import annotations

import random

import pytest

from irwright.duplicates import MERGE, bytes_of_duplicates, merge_duplicates
from irwright.evaluator import Evaluator
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.worker import WorkerPool
from irwright.measure import protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.search import search
from irwright.task import Budget, Coreset, Task
from verify_tools import Compile

TEMPLATES = """
template <class T> struct List {
  T *items; int count, room;
  void add(T item) {
    if (count == room) { int more = room * 2 + 8; T *all = new T[more];
      for (int i = 0; i < count; i++) all[i] = items[i];
      delete[] items; items = all; room = more; }
    items[count++] = item;
  }
};
void both(List<int *> &a, List<char *> &b, List<double *> &c) { a.add(nullptr); b.add(nullptr); c.add(nullptr); }
"""

ALIKE = b"""
define %s i32 @%s(i32 %%%s) %s {
  %%%s = mul i32 %%%s, 3
  %%2 = call i32 @%s(i32 %%%s)
  ret i32 %%2
}
"""


def function(
    name: bytes, *, value: bytes = b"v", linkage: bytes = b"dso_local", flags: bytes = b"", n: bytes = b"x"
) -> bytes:
    return ALIKE % (linkage, name, n, flags, value, n, name, value)


def task_on(pool: WorkerPool, compile_c: Compile, *, budget: int, text: str = TEMPLATES) -> Task:
    bitcode = compile_c.ir(text, "-Xclang", "-disable-O0-optnone", language="c++").encode()
    facts = pool.add_module("m", bitcode, name="m")
    lists = tuple(Plan(base=PassList.parse(one, llvm_major=22)) for one in ("thinlto<Oz>", "sroa,default<Oz>"))
    return Task(
        evaluator=Evaluator(pool, "m", facts, protocol("oz"), llvm_major=22),
        budget=Budget(compilations=budget),
        rng=random.Random(0),
        coreset=Coreset(lists=lists),
    )


@pytest.mark.parametrize(
    ("second", "saved"),
    [
        (function(b"g", value=b"other", n=b"y"), 50 - 5),
        (function(b"g", linkage=b"internal", flags=b"unnamed_addr"), 60),
        (function(b"g", linkage=b"linkonce_odr", flags=b"unnamed_addr minsize comdat"), 0),  # other attributes
        (function(b"g", linkage=b"linkonce_odr", flags=b"comdat"), 50 - 5),  # has an address of its own
        (function(b"g").replace(b"3", b"4"), 0),
    ],
)
def test_copies_go_or_jump(second: bytes, saved: int) -> None:
    size = FunctionSize(code=40, unwind=10, data=10)
    assert bytes_of_duplicates(function(b"f") + second, {"f": size, "g": size}) == saved


def test_a_function_without_code_is_no_copy() -> None:
    assert bytes_of_duplicates(function(b"f") + function(b"g"), {"f": FunctionSize(40, 0, 0)}) == 0


def test_whole_plans_merge_what_templates_made(pool: WorkerPool, compile_c: Compile) -> None:
    task = task_on(pool, compile_c, budget=1)
    best = search(task, "coreset")
    assert task.baseline is not None and task.baseline.sizes is not None
    assert str(best.plan.finish) == MERGE
    saved = task.cost(task.baseline) - task.cost(best)
    assert task.finish_saves == pytest.approx(saved, rel=0.1)
    assert saved > 0.2 * task.cost(task.baseline)


def test_a_module_without_copies_keeps_its_plans(pool: WorkerPool, compile_c: Compile) -> None:
    task = task_on(pool, compile_c, budget=1, text="int f(int a) { return a * 3; }\nint g(int a) { return a / 7; }\n")
    before = task.coreset
    task.start()
    merge_duplicates(task)
    assert task.coreset == before and not task.finish.items and task.finish_saves == 0
