"""Pass lists: their texts against each other and against opt, the operations search uses."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irwright.errors import PassListError
from irwright.pass_items import Pass
from irwright.pass_rows import LOSES_MEMORY_SSA
from irwright.pass_table import params_worth_trying
from irwright.passes import PassList, PassSpace, function_local, oz_pipeline

MAJORS = range(17, 24)


def flat(text: str) -> PassList:
    return PassList.parse(text, llvm_major=22)


# ---- reading and printing


@pytest.mark.parametrize(
    ("text", "pipeline"),
    [
        ("sroa", "function(sroa)"),
        ("sroa,gvn,globalopt,gvn", "function(sroa,gvn),globalopt,function(gvn)"),
        ("inline,argpromotion,sroa", "cgscc(inline,argpromotion),function(sroa)"),
        ("sroa,indvars,loop-deletion,licm,gvn", "function(sroa,loop(indvars,loop-deletion),loop-mssa(licm),gvn)"),
        ("instcombine", "function(instcombine<no-verify-fixpoint>)"),
        ("instcombine<max-iterations=1>", "function(instcombine<max-iterations=1;no-verify-fixpoint>)"),
        ("default<Oz>,iroutliner", "default<Oz>,iroutliner"),
        (
            "cgscc(devirt<4>(inline,function(sroa,loop(indvars))))",
            "cgscc(devirt<4>(inline,function(sroa,loop(indvars))))",
        ),
        ("cgscc(inline,function(sroa)),inline", "cgscc(inline,function(sroa)),cgscc(inline)"),
        ("function<eager-inv>(sroa),gvn", "function<eager-inv>(sroa),function(gvn)"),
        ("sroa,repeat<2>(gvn,dce)", "function(sroa,gvn,dce,gvn,dce)"),
        ("cgscc(repeat<2>(inline,function(sroa)))", "cgscc(inline,function(sroa),inline,function(sroa))"),
        ("loop-mssa(loop-rotate,licm)", "function(loop-mssa(loop-rotate,licm))"),
        ("loop(repeat<3>(indvars))", "function(loop(indvars,indvars,indvars))"),
        ("cgscc(function<no-rerun;eager-inv>(sroa))", "cgscc(function<eager-inv;no-rerun>(sroa))"),
        ("", "no-op-module"),
    ],
)
def test_pipeline_spells_the_adaptors_out(text: str, pipeline: str) -> None:
    assert flat(text).pipeline(22) == pipeline
    assert flat(pipeline) == flat(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("module(default<Oz>)", "default<Oz>"),
        ("module(licm<allowspeculation>)", "licm<allowspeculation>"),
        ("function(sroa),function(loop(indvars),gvn<>)", "sroa,indvars,gvn"),
        (" sroa ,\tfunction( gvn< no-load-pre ; > ) ", "sroa,gvn<no-load-pre>"),
        ("cgscc(inline),cgscc(cgscc(argpromotion))", "inline,argpromotion"),
        ("module(function(function(sroa)),devirt<2>(inline))", "function(sroa),cgscc(devirt<2>(inline))"),
        ("lowerswitch,flattencfg,gvn<no-pre>", "lower-switch,flatten-cfg,gvn<no-scalar-pre>"),
        ("instcombine<max-iterations=007;no-verify-fixpoint>", "instcombine<max-iterations=7>"),
        ("no-op-module", ""),
    ],
)
def test_one_list_has_one_text(text: str, written: str) -> None:
    assert str(flat(text)) == written
    assert flat(written) == flat(text)
    assert hash(flat(written)) == hash(flat(text))


def test_each_llvm_gets_its_own_names() -> None:
    text = "default<Os>,lower-switch,gvn<no-scalar-pre>,function-attrs<skip-non-recursive-function-attrs>,instcombine"
    assert flat(text).pipeline(17) == (
        "default<Os>,function(lowerswitch,gvn<no-pre>),cgscc(function-attrs<skip-non-recursive>),function(instcombine)"
    )
    assert flat(text).pipeline(23) == (
        "default<O2>,function(lower-switch,gvn<no-scalar-pre>),"
        "cgscc(function-attrs<skip-non-recursive-function-attrs>),function(instcombine<no-verify-fixpoint>)"
    )
    assert [oz_pipeline(major) for major in (17, 22, 23)] == ["default<Oz>", "default<Oz>", "default<O2>"]


def test_restricted_to_drops_what_an_llvm_lacks() -> None:
    passes = flat("mergereturn,simplifycfg<switch-to-arithmetic;no-keep-loops>,repeat<2>(infer-alignment),sroa")
    assert str(passes.restricted_to(17)) == "mergereturn,simplifycfg<no-keep-loops>,sroa"
    assert passes.restricted_to(22) == passes
    assert not passes.supported(23)
    assert passes.restricted_to(23).supported(23)


def test_a_pipeline_for_an_llvm_without_the_pass_is_an_error() -> None:
    with pytest.raises(PassListError, match=r"^pass 'mergereturn' is in LLVM 17 to 22, not in LLVM 23 at column 6 of"):
        flat("sroa,mergereturn").pipeline(23)


def test_a_pipeline_for_one_function_has_no_function_adaptor() -> None:
    assert flat("sroa,indvars,repeat<2>(gvn)").pipeline(22, level="function") == "sroa,loop(indvars),gvn,gvn"
    assert PassList().pipeline(22, level="function") == "no-op-function"
    with pytest.raises(ValueError, match=r"cgscc pass 'inline' inside function\(\.\.\.\)"):
        flat("sroa,inline").pipeline(22, level="function")


SEEDS = st.integers(0, 2**32)


@st.composite
def nested_texts(draw: Callable[..., int]) -> str:
    """A valid nested text, with groups of every kind."""
    rng = random.Random(draw(SEEDS))
    space = PassSpace(22)

    def items(level: str, depth: int) -> str:
        return ",".join(item(level, depth) for _ in range(rng.randint(1, 3)))

    def item(level: str, depth: int) -> str:
        inner = {
            "module": ["module", "cgscc", "function", "function<eager-inv>", "loop", "loop-mssa", "devirt<2>"],
            "cgscc": ["cgscc", "function", "function<no-rerun;eager-inv>", "devirt<3>", "loop-mssa"],
            "function": ["function", "loop", "loop-mssa"],
        }.get(level, [])
        if depth == 0 or not inner or rng.random() < 0.4:
            return str(space.draw(rng, level))  # pyright: ignore[reportArgumentType]
        adaptor = rng.choice([*inner, f"repeat<{rng.randint(1, 3)}>"])
        base = adaptor.partition("<")[0]
        below = {"repeat": level, "devirt": "cgscc"}.get(base, base)
        return f"{adaptor}({items(below, depth - 1)})"

    return items("module", 3)


@given(nested_texts())
@settings(max_examples=300, deadline=None)
def test_both_texts_parse_back_to_the_same_list(text: str) -> None:
    passes = flat(text)
    assert flat(str(passes)) == passes
    assert flat(passes.pipeline(22)) == passes
    assert PassList(passes.items) == passes
    assert len(passes) == len(list(passes.passes()))


@given(SEEDS, st.sampled_from(MAJORS))
@settings(deadline=None)
def test_sampled_lists_print_flat_and_parse_back(seed: int, major: int) -> None:
    passes = PassList.sample(random.Random(seed), llvm_major=major)
    assert 1 <= len(passes) <= 50
    assert passes.is_flat
    assert PassList.parse(str(passes), llvm_major=major) == passes
    # 23 writes O2 for Oz: what it prints is read as what it runs
    assert PassList.parse(passes.pipeline(major), llvm_major=major).pipeline(major) == passes.pipeline(major)


# ---- operations


def test_sampling_is_uniform_in_length_and_pass_and_prefers_no_parameters() -> None:
    rng = random.Random(1)
    lists = [PassList.sample(rng, length=(3, 6)) for _ in range(2000)]
    assert set(map(len, lists)) == {3, 4, 5, 6}
    names = Counter(one.name for passes in lists for one in passes.passes())
    assert names.keys() == PassSpace(22).names
    assert max(names.values()) < 3 * min(names.values())
    bare = [not one.params for passes in lists for one in passes.passes() if one.name == "simplifycfg"]
    assert 0.3 < sum(bare) / len(bare) < 0.8
    assert len(PassList.sample(rng, length=7)) == 7


def test_the_same_seed_gives_the_same_list() -> None:
    first, second = (PassList.sample(random.Random(5)) for _ in range(2))
    assert first == second
    assert first.mutate(random.Random(3)) == second.mutate(random.Random(3))


def test_a_space_can_be_restricted() -> None:
    space = PassSpace(22).restricted(lambda info: info.level == "loop")
    passes = PassList.sample(random.Random(0), length=50, space=space)
    assert all(one.info.level == "loop" for one in passes.passes())
    assert function_local(passes)
    with pytest.raises(ValueError, match=r"^no pass of LLVM 22 is left in the space$"):
        space.restricted(lambda info: info.level == "module")
    with pytest.raises(ValueError, match=r"^LLVM 16 is older than 17, the oldest one with a pass table$"):
        PassSpace(16)


@given(nested_texts(), SEEDS)
@settings(max_examples=200, deadline=None)
def test_mutants_are_valid_differ_and_stay_within_the_length(text: str, seed: int) -> None:
    rng = random.Random(seed)
    passes = flat(text)
    for _ in range(5):
        mutant = passes.mutate(rng, max_length=len(passes) + 2)
        assert mutant != passes
        assert len(mutant) <= len(passes) + 2
        assert flat(str(mutant)) == mutant
        passes = mutant


def test_mutation_makes_every_kind_of_edit() -> None:
    passes = flat("sroa,simplifycfg,gvn,dce,adce")
    rng = random.Random(2)
    mutants = [passes.mutate(rng) for _ in range(400)]
    lengths = Counter(len(mutant) - 5 for mutant in mutants)
    assert lengths[-1] and lengths[0] and lengths[1] and max(lengths) > 1
    assert any(sorted(map(str, m.items)) == sorted(map(str, passes.items)) for m in mutants)
    assert any(re.fullmatch("sroa,simplifycfg<.*>,gvn,dce,adce", str(m)) for m in mutants)
    assert PassList().mutate(rng).items


def test_loop_passes_that_lose_memory_ssa_are_not_drawn_into_loop_mssa() -> None:
    rng = random.Random(0)
    drawn = {PassSpace(22).draw(rng, "loop-mssa").name for _ in range(2000)}
    assert "licm" in drawn and "indvars" in drawn
    assert not drawn & LOSES_MEMORY_SSA


def test_splice_joins_a_prefix_and_a_suffix() -> None:
    left, right = flat("sroa,gvn,dce"), flat("inline,adce")
    children = {str(left.splice(right, random.Random(seed))) for seed in range(300)}
    assert {"", "sroa,gvn,dce,inline,adce", "sroa,adce", "sroa,gvn,inline,adce"} <= children
    assert len(children) == 12


def test_insert_and_without() -> None:
    passes = flat("sroa,gvn,dce")
    assert str(passes.insert(1, Pass("adce"))) == "sroa,adce,gvn,dce"
    assert str(passes.without(1)) == "sroa,dce"
    nested = flat("cgscc(inline,function(sroa,gvn)),dce")
    assert str(nested.without_all({1, 2})) == "inline,dce"
    assert str(nested.without(0)) == "cgscc(function(sroa,gvn)),function(dce)"


def test_function_local_lists_hold_function_and_loop_passes_alone() -> None:
    assert function_local(flat("sroa,licm,function-simplification<Oz>,repeat<2>(gvn)"))
    assert function_local(PassList())
    assert not function_local(flat("sroa,inline"))
    assert not function_local(flat("repeat<2>(sroa,globalopt)"))


# ---- compared with opt


MODULE = """
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

@table = internal global [16 x i32] zeroinitializer
declare void @sink(i32)

define internal i32 @step(i32 %x) minsize optsize {
  %slot = alloca i32
  store i32 %x, ptr %slot
  %old = load i32, ptr %slot
  %new = add nsw i32 %old, 3
  ret i32 %new
}

define i32 @sum(ptr %a, i32 %n) minsize optsize {
entry:
  %i = alloca i32
  %s = alloca i32
  store i32 0, ptr %i
  store i32 0, ptr %s
  br label %head
head:
  %iv = load i32, ptr %i
  %more = icmp slt i32 %iv, %n
  br i1 %more, label %body, label %done
body:
  %at = getelementptr inbounds i32, ptr %a, i32 %iv
  %v = load i32, ptr %at
  %stepped = call i32 @step(i32 %v)
  %acc = load i32, ptr %s
  %acc2 = add nsw i32 %acc, %stepped
  store i32 %acc2, ptr %s
  %iv2 = add nsw i32 %iv, 1
  store i32 %iv2, ptr %i
  br label %head
done:
  %result = load i32, ptr %s
  switch i32 %result, label %other [
    i32 0, label %zero
    i32 1, label %one
    i32 2, label %two
  ]
zero:
  ret i32 7
one:
  call void @sink(i32 %result)
  br label %other
two:
  call void @sink(i32 %n)
  br label %other
other:
  %cell = getelementptr inbounds [16 x i32], ptr @table, i32 0, i32 3
  %t = load i32, ptr %cell
  %r = add i32 %t, %result
  ret i32 %r
}
"""


def run_opt(opt: Path, pipeline: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(opt), f"-passes={pipeline}", "-S", "-o", "-", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.ll"
    path.write_text(MODULE, encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(15))
def test_opt_accepts_random_flat_lists(seed: int, module: Path, opt: Path) -> None:
    pipeline = PassList.sample(random.Random(seed), length=(5, 50)).pipeline(22)
    run = run_opt(opt, f"{pipeline},verify", module)
    assert run.returncode == 0, (pipeline, run.stderr[-500:])


@given(nested_texts())
@settings(max_examples=15, deadline=None)
def test_opt_accepts_nested_lists(opt: Path, text: str) -> None:
    pipeline = flat(text).pipeline(22)
    command = [str(opt), f"-passes={pipeline}", "-disable-output", "-"]
    run = subprocess.run(command, input=MODULE, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, (pipeline, run.stderr[-500:])


def test_every_pass_with_every_text_worth_trying_runs_in_opt(module: Path, opt: Path) -> None:
    for info in PassSpace(22).usable:
        texts = [str(Pass(info.name, params)) for params in params_worth_trying(info.name, 22)]
        pipeline = flat(",".join([*texts, "sroa", *texts])).pipeline(22)
        run = run_opt(opt, f"{pipeline},verify", module)
        assert run.returncode == 0, (pipeline, run.stderr[-500:])


def test_the_inferred_adaptors_are_the_ones_opt_prints(module: Path, opt: Path) -> None:
    pipeline = flat("sroa,gvn-hoist,inline,globalopt,indvars,loop-deletion,licm,adce").pipeline(22)
    command = [str(opt), f"-passes={pipeline}", "-print-pipeline-passes", "-disable-output", str(module)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert PassList.parse(printed.removesuffix(",verify")).without_all(()) == flat(
        "sroa<modify-cfg>,gvn-hoist,inline,globalopt,indvars,loop-deletion,licm<allowspeculation>,adce"
    )


@pytest.mark.parametrize("meta", ["default<Oz>", "default<O3>", "lto<Oz>", "thinlto-pre-link<Os>"])
def test_llvms_own_pipelines_are_read_and_do_the_same(meta: str, module: Path, opt: Path) -> None:
    command = [str(opt), f"-passes={meta}", "-print-pipeline-passes", "-disable-output", str(module)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    passes = PassList.parse(printed, allow_excluded=True)
    assert PassList.parse(str(passes), allow_excluded=True) == passes
    assert run_opt(opt, passes.pipeline(22), module).stdout == run_opt(opt, meta, module).stdout


def test_the_whole_program_pipeline_keeps_external_symbols(module: Path, opt: Path) -> None:
    assert "define dso_local i32 @sum" in (out := run_opt(opt, "lto<Oz>", module).stdout) or "define i32 @sum" in out


def test_importing_is_cheap() -> None:
    code = (
        "import dataclasses, errno, random, sys, time; import irwright.errors; start = time.process_time()\n"
        "import irwright.passes; print(time.process_time() - start); print('difflib' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        for _ in range(3)
    ]
    seconds, difflib = zip(*(run.stdout.split() for run in runs), strict=True)
    assert min(map(float, seconds)) < 0.05  # under 0.01 on an idle machine
    assert set(difflib) == {"False"}
