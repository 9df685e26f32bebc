"""Plans: plain data and back, lists and chunks, steps for a worker."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.errors import PassListError
from irwright.llvm.builds import FunctionPasses, Passes
from irwright.measure import protocol
from irwright.passes import PassList, PassSpace
from irwright.plan import CHUNK, NOTHING, Plan, chunks, function_pipeline

MAJOR = 22


LOCAL = PassSpace(MAJOR).restricted(lambda info: info.level in ("function", "loop", "loop-mssa"))


def parse(text: str) -> PassList:
    return PassList.parse(text, llvm_major=MAJOR)


lists = st.integers(0, 2**32).map(lambda seed: PassList.sample(random.Random(seed), llvm_major=MAJOR, length=(0, 20)))


tails = st.integers(0, 2**32).map(
    lambda seed: PassList.sample(random.Random(seed), llvm_major=MAJOR, length=(0, 8), space=LOCAL)
)


names = st.text(min_size=1, max_size=8)


ways = st.sampled_from([(), ("frame",), ("optsize",), ("frame", "optsize")])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    if draw(st.booleans()):
        return draw(one_plans())
    preparation, inline = draw(st.sampled_from(["raw", "early"])), draw(st.sampled_from(["", "once", "oz"]))
    parts = draw(st.lists(one_plans(), max_size=3))
    whole = [dataclasses.replace(part, finish=NOTHING, preparation=preparation, inline=inline) for part in parts]
    return Plan(finish=draw(lists), parts=tuple(whole))


@st.composite
def one_plans(draw: st.DrawFn) -> Plan:
    named = draw(st.dictionaries(names, tails, max_size=4))
    return Plan(
        base=draw(lists),
        tails=tuple(sorted(named.items(), key=lambda item: item[0])),
        tail=draw(tails),
        finish=draw(lists),
        inliner_threshold=draw(st.none() | st.integers(-100, 500)),
        codegen_options=draw(st.sampled_from([(), ("-enable-machine-outliner=always",)])),
        lowering=draw(ways),
        lowerings=tuple(sorted(draw(st.dictionaries(names, ways, max_size=3)).items(), key=lambda item: item[0])),
    )


@given(plans())
def test_plans_read_back_from_json(plan: Plan) -> None:
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), llvm_major=MAJOR)
    assert again == plan
    assert hash(again) == hash(plan)
    assert again.to_json() == plan.to_json()


@given(lists, tails, lists)
def test_a_plan_of_one_list_is_that_list(base: PassList, tail: PassList, finish: PassList) -> None:
    plan = Plan(base=base, tail=tail, finish=finish)
    assert plan.is_one_list
    assert len(plan.as_list()) == len(base) + len(tail) + len(finish)
    assert not dataclasses.replace(plan, inliner_threshold=0).is_one_list
    assert not dataclasses.replace(plan, tails=(("f", tail),)).is_one_list


def test_how_code_is_generated_is_said_for_all_or_by_function() -> None:
    plan = Plan(base=parse("sroa"), lowering=("frame",), lowerings=(("f", ()), ("g", ("optsize",))))
    assert not plan.is_one_list
    assert [plan.lowering_for(name) for name in "fgh"] == [(), ("optsize",), ("frame",)]
    part = dataclasses.replace(plan, preparation="raw", tails=(("f", NOTHING), ("h", NOTHING)))
    joined = Plan(parts=(part,), lowering=("optsize",))
    assert [joined.lowering_for(name) for name in "fh"] == [("optsize",), ("frame", "optsize")]
    assert plan.to_json() == {"base": "sroa", "lowering": ["frame"], "lowerings": {"f": [], "g": ["optsize"]}}
    with pytest.raises(ValueError, match=r"can't lower as \['optsize', 'frame'\]; there are frame, optsize, in this"):
        Plan(lowering=("optsize", "frame"))
    with pytest.raises(ValueError, match=r"can't lower as \['fast'\]"):
        Plan(lowerings=(("f", ("fast",)),))


def test_defaults_are_left_out() -> None:
    assert Plan(base=parse("sroa")).to_json() == {"base": "sroa"}
    named = Plan(base=parse("sroa"), tails=(("f", parse("gvn")),), inliner_threshold=0)
    assert named.to_json() == {"base": "sroa", "functions": {"f": "gvn"}, "inliner_threshold": 0}


def test_a_tail_changes_single_functions_only() -> None:
    with pytest.raises(ValueError, match="a tail may hold function and loop passes only"):
        Plan(base=NOTHING, tail=parse("globaldce"))
    with pytest.raises(ValueError, match="a tail may hold function and loop passes only"):
        Plan(base=NOTHING, tails=(("f", parse("inline")),))


def test_an_unknown_pass_in_a_stored_plan_is_pointed_at() -> None:
    with pytest.raises(PassListError, match="unknown pass 'instcombin' at column 6 of 'sroa,instcombin'"):
        Plan.from_json({"base": "sroa,instcombin"}, llvm_major=MAJOR)


@given(lists)
def test_chunks_put_together_are_the_list(passes: PassList) -> None:
    pieces = chunks(passes)
    assert PassList(tuple(item for piece in pieces for item in piece.items)) == passes
    assert all(len(piece.items) <= CHUNK + CHUNK // 2 for piece in pieces)


def test_steps_of_a_plan() -> None:
    plan = Plan(base=parse("sroa,globaldce"), tails=(("f", parse("gvn,loop-rotate")),), finish=parse("mergefunc"))
    steps = plan.build(MAJOR, protocol("oz").level).steps
    assert steps == (
        Passes("function(sroa),globaldce"),
        FunctionPasses((("f", "gvn,loop(loop-rotate)"),), ""),
        Passes("mergefunc"),
    )
    assert function_pipeline(NOTHING, MAJOR) == ""
