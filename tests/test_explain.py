"""What passes earn: shares that add up, and assembly compared function by function."""

from __future__ import annotations

import pytest

from conftest import Seeds
from irwright.console import print_explanation
from irwright.explain import explain, functions_of_assembly, side_by_side
from irwright.files import as_input
from irwright.passes import PassList
from irwright.plan import NOTHING, Plan
from irwright.task import Coreset
from irwright.tuner import make_settings

LIST = "sroa,simplifycfg<sink-common-insts>,default<Oz>"
PIECES = Coreset(
    lists=(Plan(base=PassList.parse(LIST)),),
    pieces=tuple(
        Plan(base=PassList.parse(base), tail=PassList.parse("instcombine,simplifycfg"), preparation="raw")
        for base in ("sroa,early-cse", "sroa,gvn-hoist,instcombine")
    ),
)


def test_a_list_taken_apart(seeds: Seeds) -> None:
    explanation = explain(as_input(seeds.source("machine")), make_settings(), passes=LIST, jobs=1)
    assert [share.text for share in explanation.shares] == LIST.split(",")
    assert explanation.shares[-1].cumulative == explanation.tuned < explanation.oz
    sroa, sink, oz = explanation.shares
    assert oz.earned is not None and sroa.earned is not None and sink.earned is not None
    assert min(sroa.earned, sink.earned) > 0 > oz.earned  # -Oz undoes some of what the two before it sank
    # What the last pass earns is what the list before it leaves.
    assert sink.cumulative is not None
    assert oz.earned == sink.cumulative - explanation.tuned
    assert explanation.result.tuned_bytes <= explanation.result.baseline_bytes


def test_code_of_the_functions_that_changed_most(seeds: Seeds) -> None:
    explanation = explain(as_input(seeds.source("machine")), make_settings(), passes=LIST, num_functions=1, jobs=1)
    (change,) = explanation.functions
    assert change.tuned_bytes < change.baseline_bytes
    assert f"{change.name}:" in (change.baseline_lines + change.tuned_lines)
    assert not any(line.startswith(".cfi") for line in change.tuned_lines)


def test_the_list_that_tuning_finds(seeds: Seeds, capsys: pytest.CaptureFixture[str]) -> None:
    settings = make_settings(budget=24, coreset=PIECES)
    explanation = explain(as_input(seeds.source("machine")), settings, jobs=1)
    assert explanation.plan == explanation.result.plan
    assert explanation.tuned == explanation.result.tuned_bytes
    assert any(share.scope for share in explanation.shares)
    print_explanation(explanation)
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split() == ["pass", "earns", "so", "far"]
    assert sum("█" in line or "▏" in line for line in printed) >= 1


def test_each_part_of_a_plan_has_a_share(seeds: Seeds) -> None:
    from dataclasses import replace

    plan = Plan(
        base=PassList.parse("sroa,instcombine"),
        tail=PassList.parse("simplifycfg"),
        tails=(("step", PassList.parse("gvn,adce")), ("zero", NOTHING)),
        finish=PassList.parse("globaldce"),
    )
    explanation = explain(
        as_input(seeds.source("machine")), replace(make_settings(), plan=plan), num_functions=0, jobs=1
    )
    parts = [(share.text, share.scope) for share in explanation.shares]
    assert parts == [
        ("sroa", None),
        ("instcombine", None),
        ("simplifycfg", None),
        ("gvn,adce", "step"),
        ("globaldce", None),
    ]
    assert explanation.shares[-1].cumulative == explanation.tuned
    assert explanation.functions == ()


ASSEMBLY = """\t.text
\t.globl\tf
\t.type\tf,@function
f:                                      # @f
\t.cfi_startproc
# %bb.0:
\tpushq\t%rbp
.LBB7_1:                                # =>This Inner Loop Header
\taddl\t$1, %eax                        # a note
\tjne\t.LBB7_1
.Lfunc_end7:
\t.size\tf, .Lfunc_end7-f
\t.type\tdata,@object
data:
\t.long 1
"""


def test_functions_of_assembly() -> None:
    assert functions_of_assembly(ASSEMBLY) == {"f": ("f:", "pushq %rbp", ".L1:", "addl $1, %eax", "jne .L1")}


def test_side_by_side() -> None:
    rows = list(side_by_side(("a", "b", "c", "x"), ("a", "d", "c")))
    assert rows == [(" ", "a", "a"), ("|", "b", "d"), (" ", "c", "c"), ("<", "x", "")]
