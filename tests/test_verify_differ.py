"""Verdicts on objects that clang made: equal for the same program, different for another one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from irwright.verify.addresses import jump_target
from irwright.verify.differ import Comparer, compare_objects
from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator
from irwright.verify.image import Externals, Image
from irwright.verify.inputs import Hints, make_inputs
from irwright.verify.machine import MACHINES
from irwright.verify.trace import CallEvent
from irwright.verify.verdicts import Limits, VerdictKind
from verify_tools import Compile

SUM = """
int sum(const int *values, int count) {
    int total = 0;
    for (int i = 0; i < (count & 15); i++) total += values[i];
    return total;
}
"""


def test_equal_at_every_level(compile_c: Compile) -> None:
    signatures = compile_c.signatures(SUM)
    objects = [compile_c(SUM, level) for level in ("-O0", "-O1", "-O2", "-Oz")]
    for candidate in objects:
        verdict = compare_objects(objects[0], candidate, signatures=signatures, run_same=True)
        (function,) = verdict.functions
        assert function.kind is VerdictKind.EQUAL and function.num_conclusive == function.num_runs >= 8, function
        assert function.blocks_covered == function.blocks
        assert verdict.to_json() == {
            "functions": 1,
            "equal": 1,
            "same_code": 0,
            "inconclusive": 0,
            "different": 0,
            "block_coverage": 1.0,
        }


@pytest.mark.parametrize("change", [("+=", "-="), ("count & 15", "count & 7"), ("values[i]", "values[i + 1]")])
def test_different(compile_c: Compile, change: tuple[str, str]) -> None:
    verdict = compile_c.compare(SUM, SUM.replace(*change))
    assert verdict.different == 1
    difference = verdict.first_difference
    assert difference is not None and difference.seed is not None
    assert difference.reason.startswith(f"seed {difference.seed} (rdi=0x7e5a1234")
    assert "result 0x" in difference.reason


LEFT_OVER = """
struct record { int a, b, c, d; };
int there(struct record *);
__attribute__((noinline)) static void fill(int x) { volatile int v[12]; for (int i = 0; i < 12; i++) v[i] = x + i; }
__attribute__((noinline)) static int ask(int x) { struct record r; MORE return there(&r); }
int f(int x) { fill(x); return ask(x) + 1; }
"""


def test_what_an_earlier_call_left_on_the_stack_is_no_difference(compile_c: Compile) -> None:
    """A callee may read all of a record, of which nothing was written: each version has something else there."""
    text = LEFT_OVER.replace("MORE", "")
    moved = text.replace("v[12]", "v[19]").replace("{ fill", "{ volatile int own = x; fill")
    (verdict,) = [one for one in compile_c.compare(text, moved).functions if one.function == "f"]
    assert verdict.kind is VerdictKind.INCONCLUSIVE, verdict
    assert verdict.reason == "what an earlier call left on the stack is read"
    # What is written before is seen, and where it is not any more.
    text = LEFT_OVER.replace("MORE", "r.c = x;")
    for changed in ("r.c = x + 1;", "r.b = x;", "r.c = x; r.a = 7;"):
        other = LEFT_OVER.replace("MORE", changed).replace("{ fill", "{ volatile int own = x; fill")
        found = compile_c.compare(text, other)
        assert (found.first_difference is not None) is (changed != "r.c = x; r.a = 7;"), changed


def test_a_reference_that_traps_tells_undefined_behaviour(compile_c: Compile) -> None:
    """An index that a callee made up leaves an array on the stack: what is beside it differs between versions."""
    text = "int there(int); int f(int x) { int n[4] = {0}; int i = there(x); n[i] = 7; return n[0] + n[x & 3]; }"
    original = compile_c(text, "-Oz")
    candidate = compile_c(text.replace("int n[4]", "volatile int more[8]; more[x & 7] = 1; int n[4]"), "-Oz")
    signatures = compile_c.signatures(text)
    trapping = text.replace("n[i]", "if (i < 0 || i > 3) __builtin_trap(); n[i]")
    plain, checked = (
        compare_objects(original, candidate, reference=compile_c(one, "-O0"), signatures=signatures)
        for one in (text, trapping)
    )
    assert checked.different == 0
    assert plain.functions[0].num_runs <= checked.functions[0].num_runs


def test_differences_in_code_with_a_got_are_seen(compile_c: Compile) -> None:
    """Nothing but the addresses of things elsewhere, which are the same in every layout."""
    text = "extern int there; extern int other(int *); int f(int x) { there = x; return other(&there) + x; }"
    changed = text.replace("+ x", "- x")
    original, candidate = compile_c(text, "-Oz", "-fPIC"), compile_c(changed, "-Oz", "-fPIC")
    signatures = compile_c.signatures(text)
    reference = compile_c(text, "-O0", "-fPIC")
    verdict = compare_objects(original, candidate, reference=reference, signatures=signatures)
    assert verdict.different == 1


def test_what_lies_beside_a_variable_is_no_difference(compile_c: Compile) -> None:
    text = "int first[4] = {1, 2, 3, 4}, second[4] = {5, 6, 7, 8}; int f(int i) { return first[i & 7]; }"
    order = text.replace("int first[4] = {1, 2, 3, 4}, second", "int second").replace(
        "8};", "8}, more[4] = {9}, first[4] = {1, 2, 3, 4};"
    )
    assert compile_c.compare(text, order).different == 0
    for changed in ("second[i & 3]", "first[i & 7] + 1", "first[(i & 7) + 1]"):
        assert compile_c.compare(text, text.replace("first[i & 7]", changed)).different == 1, changed


def test_areas_of_a_string_copy_that_overlap_tell_nothing(compile_c: Compile) -> None:
    """`rep movsb` repeats what it wrote; memcpy, which it was made from, may do what it wants."""
    move = 'char *d = p + (n & 7); long k = 16; __asm__ volatile("rep movsb" : "+D"(d), "+S"(p), "+c"(k) : : "memory");'
    text = f"void f(char *p, int n) {{ {move} }}"
    copy = "void *memcpy(void *, const void *, unsigned long); void f(char *p, int n) { memcpy(p + (n & 7), p, 16); }"
    (verdict,) = compile_c.compare(text, copy).functions
    assert verdict.kind is not VerdictKind.DIFFERENT, verdict
    shorter = compile_c.compare(text, copy.replace("16", "15"))
    assert shorter.different == 0  # 8 of 8 inputs overlap, but for n & 7 == 0, where nothing is to be seen
    apart = text.replace("n & 7", "32 + (n & 7)"), copy.replace("n & 7", "32 + (n & 7)")
    assert compile_c.compare(*apart).different == 0
    assert compile_c.compare(apart[0], apart[1].replace("16", "15")).different == 1


def test_nor_is_a_register_that_was_pushed_to_make_room(compile_c: Compile) -> None:
    """As in sqlite3's pthreadMutexAlloc: `push %rax` is shorter than `sub $8, %rsp`; what it stores means nothing."""
    text = "int there(int *); int f(int x) { int a; there(&a); return a + x; }"
    elf = read_elf(compile_c(text, "-Oz"))
    image = Image(elf, Externals([elf]))
    signatures = compile_c.signatures(text)
    function = image.functions["f"]
    inputs = make_inputs(1, MACHINES[elf.machine], signatures["f"], Hints())
    seen: list[int] = []
    for forgets in (False, True):
        emulator = Emulator(image, signatures=signatures, forgets_frames=forgets)
        (event,) = emulator.run(function, inputs).events
        assert isinstance(event, CallEvent) and event.name == "there"
        seen.append(event.arguments[1][2])
    assert seen[0] != 0x5C5C5C5C and seen[1] == 0x5C5C5C5C


def test_an_index_far_past_a_variable_tells_nothing(compile_c: Compile) -> None:
    """One bit is often the same in another layout, by chance."""
    text = "int first[4] = {1, 2, 3, 4}, other[64] = {1}; int f(int i) { return first[i] & 1; }"
    moved = text.replace("int first[4] = {1, 2, 3, 4}, other[64] = {1}", "int other[64] = {1}, first[4] = {1, 2, 3, 4}")
    signatures = compile_c.signatures(text)
    for level, wanted in ((moved, 0), (moved.replace("& 1", "& 2"), 1)):
        found = compare_objects(
            compile_c(text, "-Oz"), compile_c(level, "-Oz"), signatures=signatures, seeds=40, run_same=True
        )
        assert found.different == wanted, found.functions


def test_a_place_by_its_number_is_no_index(compile_c: Compile) -> None:
    """It is the same in every layout: small numbers where a program has pointers lead there too."""
    text = "int there; int f(long x) { return there + *(int *)(0x200000000 + (x & 0xff8)); }"
    assert compile_c.compare(text, text.replace("there +", "there -")).different == 1
    assert compile_c.compare(text, text.replace("there + ", "") + " ").different == 1


LOOPS = """
int ask(void); int part(int);
int f(int x) { int n = 0; while (ask() != 1) n += 3; return n > 3 ? x + n : 0; }
int g(int x) { int n = 0; for (int i = 0; i < 300; i++) n = n * 5 + part(i); return n ^ x; }
int d(int x, int *step) { return part(x) / *step; }
"""


@pytest.mark.parametrize("change", [("x + n", "x - n"), ("n ^ x", "n | x"), ("part(x) / *", "part(x) % *")])
def test_loops_that_wait_or_call_often_come_to_an_end(compile_c: Compile, change: tuple[str, str]) -> None:
    """A callee tires and returns what a loop waits for; runs that need more calls get them."""
    found = compile_c.compare(LOOPS, LOOPS.replace(*change))
    assert found.different == 1
    assert all(one.num_conclusive for one in compile_c.compare(LOOPS).functions)


STATIC = """
int there(int);
__attribute__((noinline)) static int half(int x) { there(x); return x >> 1; }
int f(int x) { return half(x & 6); }
"""


@pytest.mark.parametrize("static_too", [False, True])
def test_static_functions_count_where_versions_were_made_one_by_one(compile_c: Compile, static_too: bool) -> None:
    """What differs on odd numbers, callers that were optimised together may never ask for."""
    texts = STATIC, STATIC.replace("return x >> 1", "return (x + 1) >> 1")
    original, candidate = (compile_c(text, "-O1") for text in texts)
    signatures = compile_c.signatures(STATIC)
    comparer = Comparer(original, candidate, signatures=signatures, functions=["half"], static_too=static_too)
    (verdict,) = comparer.run()
    assert (verdict.kind is VerdictKind.DIFFERENT) is static_too, verdict


def test_a_function_called_first_that_never_ends_is_left_out(compile_c: Compile) -> None:
    """Static data is made by calling others first; the function under test runs all the same."""
    text = """
    int there(int), *where(void); static int state;
    void wait(int x) { for (;;) state += there(x); }
    int f(int x) { return state > 3 ? x : there(x); }
    """
    elf = read_elf(compile_c(text, "-O1"))
    emulator = Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(text))
    machine = MACHINES[elf.machine]
    inputs = make_inputs(2, machine, emulator.signatures["f"], Hints())
    before = (("wait", make_inputs(2, machine, emulator.signatures["wait"], Hints())),)
    run = emulator.run(emulator.image.functions["f"], replace(inputs, before=before))
    assert (run.is_complete, run.stuck) == (False, "wait")
    verdict = compare_objects(compile_c(text, "-O1"), compile_c(text, "-O0"), signatures=emulator.signatures)
    found = {one.function: one for one in verdict.functions}
    assert found["f"].num_conclusive == found["f"].num_runs, found["f"]


def test_programs_that_take_their_time_are_run_to_their_end_once(compile_c: Compile) -> None:
    text = "int f(void) { unsigned x = 7; for (int n = 0; n < 400000; n++) x = x * 1103515245 + 12345; return x >> 8; }"
    for changed, kind in ((text, VerdictKind.EQUAL), (text.replace("12345;", "12347;"), VerdictKind.DIFFERENT)):
        original, candidate = compile_c(text, "-O1"), compile_c(changed, "-O0")
        verdict = compare_objects(original, candidate, signatures=compile_c.signatures(text))
        assert verdict.functions[0].kind is kind, verdict.functions[0]


CALLER = """
__attribute__((noinline)) static int inner(int x) { if (x == 77777) return MORE; return x * 3; }
int outer(int x) { return inner(x) + 1; }
int other(int x) { return inner(x + 9) - 5; }
"""


@pytest.mark.parametrize("static", [False, True])
def test_callers_of_what_is_equal_need_no_run(compile_c: Compile, static: bool) -> None:
    """Their own code is what it was; they run where their callee is static, or not known to be equal."""
    text = CALLER.replace("MORE", "x - 3").replace("static" if not static else "", "")
    changed = text.replace("if (x", "volatile int y = x; if (y")
    objects = [compile_c(one, "-Oz") for one in (text, changed, text.replace("x - 3", "x - 4"))]
    signatures = compile_c.signatures(text)
    verdict = compare_objects(*objects[:2], signatures=signatures)
    runs = {one.function: one.num_runs for one in verdict.functions}
    assert verdict.equal == 3 and runs["inner"] and bool(runs["outer"] and runs["other"]) is static, verdict.functions
    (said,) = {one.reason for one in verdict.functions if one.function != "inner"}
    assert said == ("" if static else "the same machine code, and what it calls is equal")
    wrong = compare_objects(objects[0], objects[2], signatures=signatures)
    assert wrong.different and all(one.num_runs for one in wrong.functions), wrong.functions


def test_callers_of_what_changed_get_a_share_of_the_work(compile_c: Compile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their own code is what it was; what differs in the callee is found nevertheless."""
    text = CALLER.replace("MORE", "x - 3")
    texts = text, text.replace("if (x", "volatile int y = x; if (y")
    objects = [compile_c(one, "-Oz") for one in texts]
    signatures = compile_c.signatures(text)
    runs: list[int] = []
    for share in (1.0, 1 / 4):
        monkeypatch.setattr("irwright.verify.differ.UNCHANGED_SHARE", share)
        comparer = Comparer(*objects, signatures=signatures, limits=Limits(work_per_seed=8))
        verdicts = [comparer.compare(name) for name in ("outer", "other")]
        assert all(one.kind is VerdictKind.EQUAL for one in verdicts)
        runs.append(sum(one.num_runs for one in verdicts))
    assert 16 <= runs[1] < 0.7 * runs[0], runs


def test_doubts_are_work(compile_c: Compile) -> None:
    """Each run that tells whether a difference is one costs what other runs do."""
    one, two = "int first[4] = {1, 2, 3, 4};", "int second[4] = {5, 6, 7, 8};"
    code = " int f(int i) { return first[i & 7]; }"
    objects = [compile_c(text + code, "-Oz") for text in (one + two, two + one)]
    comparer = Comparer(*objects, signatures=compile_c.signatures(one + code))
    verdict = comparer.compare("f")
    assert verdict.kind is not VerdictKind.DIFFERENT and verdict.num_runs > verdict.num_conclusive
    doubts = comparer._doubts  # pyright: ignore[reportPrivateUsage]
    assert doubts.work >= verdict.num_runs - verdict.num_conclusive


TABLE = """
__attribute__((noinline)) int first(int a) { FIRST }
__attribute__((noinline)) int second(int a) { SECOND }
int (*table[2])(int) = {first, NAMED};
int run(int at) { return table[at & 1](at); }
"""


@pytest.mark.parametrize(
    ("second", "named", "unnamed", "kind"),
    [
        ("return first(a);", "first", False, VerdictKind.EQUAL),
        ("return first(a);", "second", False, VerdictKind.EQUAL),
        ("return a * 7 + 1;", "first", False, VerdictKind.DIFFERENT),  # it has an address of its own
        ("return a * 7 + 1;", "first", True, VerdictKind.EQUAL),  # as destructors of C++ don't
        ("return a * 7 + 2;", "first", True, VerdictKind.DIFFERENT),
        ("return first(a + 1);", "first", False, VerdictKind.DIFFERENT),
    ],
)
def test_merged_functions_may_stand_for_each_other(
    compile_c: Compile, second: str, named: str, unnamed: bool, kind: VerdictKind
) -> None:
    original = TABLE.replace("FIRST", "return a * 7 + 1;").replace("SECOND", "return a * 7 + 1;")
    merged = TABLE.replace("FIRST", "return a * 7 + 1;").replace("SECOND", second).replace("NAMED", named)
    objects = [compile_c(text, "-Oz", "-fno-pic") for text in (original.replace("NAMED", "second"), merged)]
    signatures = compile_c.signatures(original.replace("NAMED", "second"))
    signatures["second"] = replace(signatures["second"], is_unnamed=unnamed)
    verdict = compare_objects(*objects, signatures=signatures)
    assert verdict.functions[-1].function == "run" and verdict.functions[-1].kind is kind, verdict.first_difference


@pytest.mark.parametrize(
    ("name", "code", "target"),
    [
        ("x86-64", "e9 0b 00 00 00", 0x1010),
        ("x86-64", "eb fe 90 90 90", 0x1000),
        ("x86-64", "90 eb fe 90 90", None),
        ("AArch64", "02 00 00 14 00", 0x1008),
        ("AArch64", "ff ff ff 17 00", 0xFFC),
        ("AArch64", "c0 03 5f d6 00", None),
    ],
)
def test_where_jumps_lead(name: str, code: str, target: int | None) -> None:
    def read(address: int, size: int) -> bytes:
        return bytes.fromhex(code)[:size]

    side = SimpleNamespace(machine=SimpleNamespace(name=name), memory=SimpleNamespace(read=read))
    assert jump_target(cast(Emulator, side), 0x1000) == target


def test_what_a_caller_left_in_registers_is_no_difference(compile_c: Compile) -> None:
    """In each of its bytes: gcc writes a byte of a register and stores all of it."""
    text = 'long f(int n) { long left; __asm__("mov %%r15, %0" : "=r"(left)); return n + (left >> 32); }'
    assert compile_c.compare(text, text.replace("r15", "r14").replace("left >> 32", "~left >> 32")).different == 0
