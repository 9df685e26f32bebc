"""Modules made of pieces: programs built by several plans at once still check themselves, and hide what they hid."""

from __future__ import annotations

import io
import random
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from conftest import MODULES
from irwright.coreset import first_plans
from irwright.errors import LLVMError
from irwright.evaluator import Evaluator
from irwright.llvm import clang
from irwright.llvm.builds import OutcomeKind
from irwright.llvm.codegen import read_object
from irwright.llvm.library import Library
from irwright.llvm.module import Context, Linkage, Module
from irwright.llvm.pieces import PREPARATIONS, STATIC, demote, promote, why_not
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import WorkerPool
from irwright.measure import protocol
from irwright.passes import PassList, PassSpace, oz_pipeline
from irwright.plan import NOTHING, Plan

MAJOR = 22
PIECES = MODULES / "pieces"
PROGRAMS = (
    "calls.c",
    "tables.c",
    "shapes.c",
    "startup.c",
    "inline.c",
    "twins.c",
    "jumps.c",
    "classes.cpp",
    "constructors.cpp",
)
NUM_ASSIGNMENTS = 12
FLAGS = {".c": (), ".cpp": ("-fno-exceptions", "-fno-rtti", "-std=c++17")}
LOCAL = PassSpace(MAJOR).restricted(lambda info: info.level in ("function", "loop", "loop-mssa"))
BASES = (
    "",
    "inline",
    "cgscc(devirt<4>(inline,function(sroa,early-cse,simplifycfg)))",
    "function(sroa),ipsccp,globalopt,deadargelim,cgscc(function-attrs,argpromotion),globaldce",
    "mergefunc,function(simplifycfg)",
    "function(sroa,simplifycfg),iroutliner",
    "hotcoldsplit,function(mem2reg,instcombine)",
)
FINISHES = ("", "", "mergefunc,iroutliner", "globalopt,globaldce,mergefunc", "default<Oz>", "globalopt,ipsccp")


def parse(text: str) -> PassList:
    return PassList.parse(text, llvm_major=MAJOR) if text else NOTHING


TAILS = tuple(dict.fromkeys(plan.tail for plan in first_plans(MAJOR).pieces))


@dataclass(frozen=True)
class Program:
    """One self-checking program of tests/modules/pieces, loaded into a pool, and how to link it."""

    name: str
    evaluator: Evaluator
    driver: Path
    folder: Path

    def run(self, data: bytes) -> int:
        """Link an object with the toolchain's clang and run it."""
        path, program = self.folder / "whole.o", self.folder / "program"
        path.write_bytes(data)
        others = [str(PIECES / "elsewhere.c")] if self.name == "inline.c" else []
        command = [str(self.driver), "-w", "-O1", str(path), *others, "-o", str(program)]
        linked = subprocess.run(command, capture_output=True, text=True)
        assert linked.returncode == 0, linked.stderr
        return subprocess.run([str(program)], timeout=20).returncode

    @cached_property
    def oz(self) -> bytes:
        return self.evaluator.compile(Plan(base=PassList.parse(oz_pipeline(MAJOR), llvm_major=MAJOR)), "obj")


def load(pool: WorkerPool, tools: Toolchain, source: Path, left_by_oz: frozenset[str] | None = None) -> Evaluator:
    data = clang.seed_bitcode(tools.need_clang(), source, FLAGS[source.suffix])
    facts = pool.add_module("m", data, name=source.name, left_by_oz=left_by_oz)
    return Evaluator(pool, "m", facts, protocol("oz"), llvm_major=MAJOR)


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, pool: WorkerPool, tools: Toolchain, tmp_path: Path) -> Program:
    name: str = request.param
    return Program(name, load(pool, tools, PIECES / name), tools.need_clang(), tmp_path)


def draw_plan(rng: random.Random, functions: Sequence[str], preparation: str) -> Plan:
    """Two or three builds of the module, every function taken from one of them at random."""
    count = rng.choice((2, 3))
    bases = [
        Plan(preparation=preparation, inline=rng.choice(("", "once", "oz")), base=parse(rng.choice(BASES)))
        for _ in range(count)
    ]
    given: list[list[tuple[str, PassList]]] = [[] for _ in bases]
    for name in functions:
        tail = rng.choice(TAILS) if rng.random() < 0.8 else PassList.sample(rng, length=(1, 8), space=LOCAL)
        given[rng.randrange(count)].append((name, tail))
    parts = [
        replace(base, tails=tuple(sorted(tails, key=lambda item: item[0])))
        for base, tails in zip(bases, given, strict=True)
    ]
    return Plan(parts=tuple(parts), finish=parse(rng.choice(FINISHES)))


@dataclass(frozen=True)
class Symbols:
    """(name, binding) of what an object shows to others, and what it wants from them."""

    defined: frozenset[tuple[str, str]]
    undefined: frozenset[str]


def symbols(data: bytes) -> Symbols:
    tables = [s for s in ELFFile(io.BytesIO(data)).iter_sections() if isinstance(s, SymbolTableSection)]
    named = [s for table in tables for s in table.iter_symbols() if s.name and s["st_info"]["bind"] != "STB_LOCAL"]
    return Symbols(
        defined=frozenset((s.name, s["st_info"]["bind"]) for s in named if s["st_shndx"] != "SHN_UNDEF"),
        undefined=frozenset(s.name for s in named if s["st_shndx"] == "SHN_UNDEF"),
    )


# ---- programs still work


def test_programs_of_pieces_check_themselves_and_show_the_symbols_of_oz(program: Program) -> None:
    rng = random.Random(program.name)
    expected = symbols(program.oz)
    assert program.run(program.oz) == 0
    seen: set[bytes] = set()
    for number in range(NUM_ASSIGNMENTS):
        preparation = tuple(PREPARATIONS)[number % len(PREPARATIONS)]
        promoted = program.evaluator.survey(preparation)
        assert promoted is not None
        plan = draw_plan(rng, promoted.all_functions, preparation)
        data = program.evaluator.compile(plan, "obj")
        shown = symbols(data)
        # C++ inline functions and data are there or not, as they are used.
        inline = {(name, "STB_WEAK") for name, was in promoted.linkages.items() if was == Linkage.LINK_ONCE_ODR}
        assert shown.defined - inline == expected.defined - inline, plan.to_json()
        assert shown.undefined <= expected.undefined, plan.to_json()
        if data not in seen:
            assert program.run(data) == 0, plan.to_json()
        seen.add(data)
    assert len(seen) > NUM_ASSIGNMENTS // 2, "the builds hardly differ: nothing was tested"


def parts_of(*parts: tuple[str, str, tuple[str, ...]], preparation: str = "raw") -> Plan:
    """A plan of (base, tail, functions)."""
    return Plan(
        parts=tuple(
            Plan(preparation=preparation, base=parse(base), tails=tuple((name, parse(tail)) for name in sorted(names)))
            for base, tail, names in parts
        )
    )


def one(pool: WorkerPool, tools: Toolchain, folder: Path, text: str, suffix: str = ".c") -> Program:
    source = folder / f"one{suffix}"
    source.write_text(text)
    return Program("one", load(pool, tools, source), tools.need_clang(), folder)


def test_data_keeps_the_alignment_that_some_part_relies_on(pool: WorkerPool, tools: Toolchain, tmp_path: Path) -> None:
    """infer-alignment aligns a variable anew and then accesses it as aligned, in one part of several."""
    program = one(
        pool,
        tools,
        tmp_path,
        """
        struct quad { int a, b, c, d; };
        static int before = 1;
        static struct quad q = {1, 2, 3, 4};
        void set(const struct quad *from) { q = *from; before++; }
        __attribute__((noinline)) void add(int x) { q.a += x; q.b += x; q.c += x; q.d += x; }
        __attribute__((noinline)) int sum(void) { return q.a * 3 + q.b * 5 + q.c * 7 + q.d + before; }
        int main(void) { add(1); return sum() != 6 + 15 + 28 + 5 + 1; }
        """,
    )
    fast = "sroa,early-cse,slp-vectorizer,infer-alignment,instcombine"
    plan = parts_of(("globaldce", "", ("main", "set", "sum")), ("", fast, ("add",)))
    text = program.evaluator.compile(plan, "ll").decode()
    assert "ptr @q, align 16" in text, "the part did not align: nothing was tested"
    assert re.search(r"^@q = .*align 16", text, re.MULTILINE)
    assert program.run(program.evaluator.compile(plan, "obj")) == 0


def test_no_part_concludes_from_a_body_that_another_part_gives(
    pool: WorkerPool, tools: Toolchain, tmp_path: Path
) -> None:
    """In one build an argument of an external function is unused; the other build's body still loads through it."""
    program = one(
        pool,
        tools,
        tmp_path,
        """
        __attribute__((noinline)) int next(int x, const int *y)
        {
            int unused = 0;
            if (*y == 5)
                unused = x;
            return x + 1;
        }
        int cell = 4;
        int main(void) { return next(1, &cell) != 2; }
        """,
    )
    concluding = "function(sroa,simplifycfg,adce),deadargelim"
    plan = parts_of((concluding, "", ("main",)), ("", "", ("next",)))
    assert re.search(r"call i32 @next\(.*@cell\)", program.evaluator.compile(plan, "ll").decode())
    assert program.run(program.evaluator.compile(plan, "obj")) == 0


# ---- what can't be made of pieces, and compositions that lack something

NOT_IN_PIECES = {
    "it has aliases": 'int data = 1; extern int more __attribute__((alias("data"))); int f(void) { return data; }',
    "it takes addresses of blocks": """
        int run(const char *at)
        {
            static void *const ways[] = {&&more, &&less, &&end};
            int x = 0;
            goto *ways[*at++];
        more: x++; goto *ways[*at++];
        less: x--; goto *ways[*at++];
        end: return x;
        }""",
    "it has assembly of its own": '__asm__(".globl there\\nthere:"); int f(void) { return 1; }',
}


@pytest.mark.parametrize("reason", NOT_IN_PIECES)
def test_modules_that_cannot_be_made_of_pieces_say_why(
    pool: WorkerPool, tools: Toolchain, tmp_path: Path, reason: str
) -> None:
    program = one(pool, tools, tmp_path, NOT_IN_PIECES[reason])
    assert_not_in_pieces(program, reason)


CONSTRUCTOR = """
    template <typename T> struct Counter { T n; Counter(T n) : n(n) {} virtual ~Counter() {} };
    template struct Counter<int>;
    void operator delete(void *, unsigned long) noexcept {}
"""
GROUP = """
    $group = comdat {kind}
    define weak_odr void @group() comdat {{
      ret void
    }}
    define weak_odr void @{other}() {comdat} {{
      ret void
    }}
"""


def test_constructors_of_one_comdat_say_why(pool: WorkerPool, tools: Toolchain, tmp_path: Path) -> None:
    assert_not_in_pieces(one(pool, tools, tmp_path, CONSTRUCTOR, ".cpp"), "it has comdats of several members")


@pytest.mark.parametrize(
    ("function", "alias", "accepted"),
    [
        ("", "", True),
        ("dso_local ", "hidden unnamed_addr ", True),
        ("internal ", "", False),
        ("linkonce_odr ", "", False),
        ("weak ", "", False),
        ("", "weak ", False),
        ("", "internal ", False),
    ],
)
def test_aliases_of_functions_that_stay_are_no_reason(function: str, alias: str, accepted: bool) -> None:
    text = f"@g = {alias}alias void (), ptr @f\ndefine {function}void @f() {{\n  ret void\n}}\n"
    assert (why_not(text) is None) == accepted
    assert why_not(text.replace(", ptr @f", ", getelementptr (i8, ptr @f, i64 1)")) == "it has aliases"
    assert why_not(text.replace("define", "declare").replace(" {\n  ret void\n}", "")) == "it has aliases"


def test_aliases_come_back_as_they_were(pool: WorkerPool) -> None:
    text = b"""
        @g = hidden unnamed_addr alias i32 (), ptr @f
        @table = constant ptr @g
        define i32 @f() {
          ret i32 5
        }
        define i32 @h() {
          %1 = call i32 @g()
          ret i32 %1
        }
    """
    facts = pool.add_module("m", text, name="aliases.ll")
    assert facts.aliases == ("g",)
    evaluator = Evaluator(pool, "m", facts, protocol("oz"), llvm_major=MAJOR)
    made = evaluator.compile(parts_of(("", "", ("f",)), ("", "", ("h",))), "ll").decode()
    assert "@g = hidden unnamed_addr alias i32 (), ptr @f\n" in made
    assert "constant ptr @f\n" in made and "call i32 @f()" in made


@pytest.mark.parametrize("pic", [False, True])
def test_tables_of_addresses_become_tables_of_distances(
    pool: WorkerPool, tools: Toolchain, tmp_path: Path, pic: bool
) -> None:
    """Where code may lie anywhere: each address would be a relocation of the linked object."""
    source = tmp_path / "names.c"
    cases = "".join(f'case {number}: return "name{number}";' for number in range(9))
    source.write_text(f"const char *f(int n) {{ switch (n) {{ {cases} }} return 0; }} int g(void) {{ return 1; }}")
    module = clang.seed_bitcode(tools.need_clang(), source, ["-fPIC" if pic else "-fno-pic"])
    evaluator = Evaluator(pool, "m", pool.add_module("m", module, name="names.c"), protocol("oz"), llvm_major=MAJOR)
    plan = parts_of(("", "sroa,simplifycfg<switch-to-lookup>", ("f",)), ("", "", ("g",)))
    text = evaluator.compile(plan, "ll").decode()
    assert ("@llvm.load.relative" in text, "[9 x ptr]" in text) == (pic, not pic)


@pytest.mark.parametrize(("kind", "comdat"), [("any", "comdat($group)"), ("nodeduplicate", "")])
def test_comdats_other_than_of_one_member_say_why(
    pool: WorkerPool, tools: Toolchain, tmp_path: Path, kind: str, comdat: str
) -> None:
    text = GROUP.format(kind=kind, comdat=comdat, other="other").encode()
    facts = pool.add_module("m", text, name="group.ll")
    evaluator = Evaluator(pool, "m", facts, protocol("oz"), llvm_major=MAJOR)
    program = Program("group", evaluator, tools.need_clang(), tmp_path)
    assert_not_in_pieces(program, "it has comdats of several members")


def assert_not_in_pieces(program: Program, reason: str) -> None:
    evaluator = program.evaluator
    assert why_not(evaluator.compile(Plan(), "ll").decode()) == reason
    for preparation in PREPARATIONS:
        assert evaluator.survey(preparation) is None
    plan = parts_of(("", "", tuple(evaluator.facts.functions)))
    with pytest.raises(LLVMError, match=f"can't be made of pieces: {reason}"):
        evaluator.compile(plan, "obj")
    assert evaluator.evaluate([plan])[0].outcome.kind is OutcomeKind.INVALID


def test_words_in_strings_and_names_are_no_reason(pool: WorkerPool, tools: Toolchain, tmp_path: Path) -> None:
    text = 'const char *const alias = "an alias or = ifunc"; int ifunc(int *alias) { return *alias; }'
    evaluator = one(pool, tools, tmp_path, text).evaluator
    assert why_not(evaluator.compile(Plan(), "ll").decode()) is None
    assert evaluator.survey("raw") is not None


def test_a_composition_that_lacks_a_function_is_invalid(program: Program) -> None:
    """Whatever function is left out: an outcome that says so, or an object that needs it no more; never a hole."""
    evaluator, promoted = program.evaluator, program.evaluator.survey("raw")
    assert promoted is not None
    wanted = symbols(program.oz).undefined
    invalid = 0
    for left_out in promoted.all_functions:
        names = tuple(name for name in promoted.all_functions if name != left_out)
        plan = parts_of(("", "", names[::2]), ("", "", names[1::2]))
        trial = evaluator.evaluate([plan])[0]
        if trial.outcome.ok:
            assert left_out in promoted.functions
            assert symbols(evaluator.compile(plan, "obj")).undefined <= wanted
            continue
        invalid += 1
        assert trial.outcome.kind is OutcomeKind.INVALID
        assert f"'{left_out}'" in trial.outcome.detail
        with pytest.raises(LLVMError, match=r"lack the function|no part of"):
            evaluator.compile(plan, "obj")
    assert invalid > len(promoted.all_functions) // 2


def test_a_part_that_merged_shared_data_is_invalid(pool: WorkerPool, tools: Toolchain) -> None:
    """global-merge moves variables into one; what another part calls by name would be a second copy."""
    evaluator = load(pool, tools, PIECES / "tables.c")
    names = evaluator.facts.functions
    for merging, other in (("global-merge<max-offset=4096>", ""), ("", "global-merge<max-offset=4096>")):
        trial = evaluator.evaluate([parts_of((merging, "", names[::2]), (other, "", names[1::2]))])[0]
        assert trial.outcome.kind is OutcomeKind.INVALID
        assert trial.outcome.detail == "a part of 'tables.c' has merged data that all parts share"


# ---- promote and demote


def test_demote_takes_back_what_promote_did(library: Library, tools: Toolchain, program: Program) -> None:
    """Linkage and visibility of every function and variable, comdats too; promoted statics are visible between."""
    source = PIECES / program.name
    data = clang.seed_bitcode(tools.need_clang(), source, FLAGS[source.suffix])
    with Context(library) as context, context.parse(data, name=program.name) as module:
        before, comdats = linkages(module), module.text().count(" comdat ")
        statics = {name for name, (linkage, _) in before.items() if linkage in STATIC}
        promoted = promote(module, optimised=())
        between = linkages(module)
        assert {*promoted.functions, *promoted.data} & statics
        assert all(between[name][0] not in STATIC for name in (*promoted.functions, *promoted.data))
        assert not module.text().count(" comdat ")
        demote(module, promoted)
        assert linkages(module) == before
        assert module.text().count(" comdat ") == comdats
        assert module.verify() is None


def linkages(module: Module) -> dict[str, tuple[int, int]]:
    """(linkage, visibility) by name; private counts as internal, as which it comes back."""
    found: dict[str, tuple[int, int]] = {}
    for name, ref in [*module.function_refs(), *module.global_refs()]:
        linkage = module.linkage(ref)
        static = Linkage.INTERNAL if linkage == Linkage.PRIVATE else linkage
        found[name] = (static, module.api.LLVMGetVisibility(ref))
    return found


def test_survey_tells_how_functions_hang_together(pool: WorkerPool, tools: Toolchain) -> None:
    promoted = load(pool, tools, PIECES / "calls.c").survey("raw")
    assert promoted is not None
    assert {"visible", "user", "main"} == set(promoted.roots)
    assert {"fibonacci", "odd", "even", "often"} <= set(promoted.functions)
    assert "never" not in promoted.all_functions
    assert "outside" not in promoted.inlined["once"], "called twice"
    assert "once" in promoted.inlined["once"] and "often" not in promoted.inlined["once"]
    assert "fibonacci" not in promoted.inlined["oz"]
    oz = Plan(base=PassList.parse(oz_pipeline(tools.major), llvm_major=tools.major))
    left = read_object(load(pool, tools, PIECES / "calls.c").compile(oz, "obj")).functions
    assert load(pool, tools, PIECES / "calls.c", left_by_oz=frozenset(left)).survey("raw") == promoted
    none_left = load(pool, tools, PIECES / "calls.c", left_by_oz=frozenset()).survey("raw")
    assert none_left is not None and "fibonacci" in none_left.inlined["oz"]
    tables = load(pool, tools, PIECES / "tables.c").survey("raw")
    assert tables is not None
    assert {"twice", "square", "negate"} <= set(tables.roots), "data refers to them"
    assert not {"twice", "square", "negate"} & set(tables.inlined["once"])
    assert {"calls", "history", "squares", "table"} <= set(tables.data)
