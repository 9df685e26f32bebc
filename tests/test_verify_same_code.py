"""Functions that need no run: found where everything they lead to is the same, never where something differs."""

from __future__ import annotations

import pytest

from irwright.verify.differ import compare_objects
from irwright.verify.elf import read_elf
from irwright.verify.image import Externals, Image
from irwright.verify.same_code import same_functions
from irwright.verify.verdicts import VerdictKind
from verify_tools import Compile

PROGRAM = """
extern int there(int); extern int counter;
static const int table[8] = {1, 1, 2, 3, 5, 8, 13, 21};
int state = 5; static int hidden; const char *name = "one";
__attribute__((noinline)) static int inner(int x) { hidden += x; return x * 3; }
__attribute__((noinline)) static int loop(int n) { return n ? loop(n - 1) + table[n & 7] : state; }
int first(int x) { return x + 1; }
int calls(int x) { return inner(x) + there(x); }
int again(int x) { return calls(x) - 1; }
int reads(int x) { return table[x & 7] + counter + state; }
const char *text(int x) { return x ? "two" : name; }
int recurses(int n) { return loop(n) + 2; }
double adds(double x) { return x * 1.5 + 2.25; }
long takes(void) { return (long)&inner + (long)&counter; }
"""
NAMES = "first calls again reads text recurses adds takes inner loop".split()  # noqa: SIM905


def same(compile_c: Compile, one: str, other: str, *flags: str, follow_code: bool = True) -> set[str]:
    objects = [read_elf(compile_c(text, "-Oz", *flags), "x") for text in (one, other)]
    externals = Externals(objects)
    return set(same_functions(*(Image(elf, externals) for elf in objects), follow_code=follow_code))


@pytest.mark.parametrize("flags", [(), ("-fPIC",), ("-fno-pic",), ("-ffunction-sections", "-fdata-sections")])
def test_an_object_is_the_same_as_itself(compile_c: Compile, flags: tuple[str, ...]) -> None:
    found = same(compile_c, PROGRAM, PROGRAM, *flags)
    assert found >= set(NAMES)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (("x + 1", "x + 2"), {"first"}),
        (("x + 1;", "there(x) + there(x + 9);"), {"first"}),  # other functions move, and are the same
        (("return x * 3", "return x * 5"), {"inner", "calls", "again", "takes"}),
        (("5, 8, 13", "5, 9, 13"), {"reads", "loop", "recurses"}),
        (("state = 5", "state = 6"), {"reads", "loop", "recurses", "text"}),
        (('"two"', '"too"'), {"text"}),
        (('"one"', '"won"'), {"text", "reads", "loop", "recurses"}),  # by `name`, beside `state`
        (('"two" : name', '"two" + 1 : name'), {"text"}),
        (("1.5", "1.75"), {"adds"}),
        (("+ there(x); }", "+ where(x); } int where(int);"), {"calls", "again"}),
        (("static int hidden", "static int before, hidden"), set[str]()),
        (("(long)&counter", "(long)&state"), {"takes"}),
        (("loop(n - 1)", "loop(n - 2)"), {"loop", "recurses"}),
    ],
)
def test_what_leads_to_a_change_is_changed(compile_c: Compile, change: tuple[str, str], changed: set[str]) -> None:
    assert change[0] in PROGRAM
    other = PROGRAM.replace(*change)
    other = "int where(int);\n" + other if "where" in other else other
    found = same(compile_c, PROGRAM, other)
    assert not found & changed, "missed"
    assert set(NAMES) - changed <= found


def test_variables_that_change_places_are_seen(compile_c: Compile) -> None:
    text = "int a = 1, b = 1; int get(void) { return a; } int set(int x) { return b = x; }"
    assert same(compile_c, text, text) == {"get", "set"}
    assert same(compile_c, text, text.replace("int a = 1, b", "int b = 1, a")) == set()


def test_a_jump_table_is_not_looked_at(compile_c: Compile) -> None:
    cases = "".join(f"case {number}: e{number}(); return {number * number % 7};" for number in range(12))
    declared = "".join(f"void e{number}(void);" for number in range(12))
    text = f"{declared} int f(int x) {{ switch (x) {{ {cases} }} return 5; }} int g(int x) {{ return x; }}"
    assert same(compile_c, text, text) == {"g"}


def test_an_index_from_before_a_variable_sees_all_of_it(compile_c: Compile) -> None:
    """`table[x - 5]` is code that names an address before the table."""
    text = "static const int first[3] = {4, 5, 6}, table[3] = {1, 2, 3}; int f(int x) { return table[x - 5]; }"
    text += " int g(int x) { return first[x]; }"
    assert same(compile_c, text, text) >= {"f", "g"}
    assert "f" not in same(compile_c, text, text.replace("{1, 2, 3}", "{1, 2, 9}"))


def test_the_verdict_says_that_nothing_ran(compile_c: Compile) -> None:
    objects = [compile_c(text, "-Oz") for text in (PROGRAM, PROGRAM.replace("x + 1", "x + 2"))]
    verdict = compare_objects(*objects, signatures=compile_c.signatures(PROGRAM), functions=["first", "calls"])
    first, calls = sorted(verdict.functions, key=lambda one: one.function != "first")
    assert first.kind is VerdictKind.DIFFERENT and first.num_runs
    assert (calls.kind, calls.reason, calls.num_runs) == (VerdictKind.EQUAL, "the same machine code", 0)
    assert verdict.same_code == 1 and verdict.block_coverage == 1


def test_aarch64_is_run(compile_c: Compile) -> None:
    data = compile_c("int f(int x) { return x; }", "-Oz")
    elf = read_elf(data, "x")
    image = Image(elf, Externals([elf]))
    image.is_x86 = False
    assert same_functions(image, image) == frozenset()


def test_code_whose_callees_changed_is_what_it_was(compile_c: Compile) -> None:
    other = PROGRAM.replace("return x * 3", "return x * 5 + 8")
    assert same(compile_c, PROGRAM, PROGRAM, follow_code=False) >= set(NAMES)
    assert set(NAMES) - same(compile_c, PROGRAM, other, follow_code=False) == {"inner", "takes"}  # by its distance
    changed = PROGRAM.replace("inner(x) + there", "inner(x + 1) + there")
    assert set(NAMES) - same(compile_c, PROGRAM, changed, follow_code=False) == {"calls"}
