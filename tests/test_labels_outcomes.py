"""Examples that hold outcomes: the answer is new and the best there is, and sizes come from trials as they are."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from irwright.coreset_build import key_of_name
from irwright.labels.outcomes import KnownTrials, Measured, next_lists
from irwright.llvm.builds import OK, Outcome, OutcomeKind
from irwright.measure import Sizes
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.tasks.tune import MAX_TRIED
from irwright.trials import Trial, TrialStore

LISTS = [PassList.parse(text) for text in ("sroa", "sroa,gvn", "gvn", "dse", "adce", "early-cse", "licm,sroa", "sink")]
OZ = PassList.parse("default<Oz>")


@given(st.lists(st.none() | st.integers(50, 150), min_size=1, max_size=8), st.integers(0, 99))
def test_the_answer_is_the_best_of_what_is_left(costs: list[int | None], seed: int) -> None:
    table = [Measured(passes=passes, cost=cost) for passes, cost in zip(LISTS, costs, strict=False)]
    known = {one.passes: one.known_cost for one in table}
    found = list(next_lists(table, 100, 6, random.Random(seed)))
    assert len({one.outcomes for one in found}) == len(found) <= 6
    for one in found:
        tried = [case.passes for case in one.outcomes.tried]
        assert 1 <= len(tried) <= MAX_TRIED and one.passes not in tried
        assert one.cost == min(cost for passes, cost in known.items() if passes not in tried)
        assert one.cost < min(100, *(known[passes] for passes in tried))
        assert all(
            known[case.passes] == (float("inf") if case.change is None else 100 + case.change)
            for case in one.outcomes.tried
        )
    assert found == list(next_lists(table, 100, 6, random.Random(seed)))


def test_no_example_where_nothing_saves() -> None:
    table = [Measured(passes=passes, cost=100) for passes in LISTS]
    assert list(next_lists(table, 100, 6, random.Random(1))) == []
    assert list(next_lists([], 100, 6, random.Random(1))) == []


def trial(passes: PassList, size: int | None) -> Trial:
    sizes = None if size is None else Sizes(text=size, rodata=0, unwind=0, data=0, bss=0)
    outcome = OK if size is not None else Outcome(kind=OutcomeKind.CRASH)
    return Trial(plan=Plan(base=passes), outcome=outcome, sizes=sizes)


def test_trials_are_read_by_function_and_give_a_table(tmp_path: Path) -> None:
    known = KnownTrials(folder=tmp_path, protocol="oz", llvm_major=22)
    assert known.table(3) == [] and not known.has("p", "a.c", "f0")
    costs = [{"sroa": 90, "gvn": 60, "dse": 90}, {"sroa": 90, "gvn": 100, "dse": 100}, {"sroa": 100, "dse": None}]
    for number, row in enumerate(costs):
        with TrialStore(tmp_path / "functions-oz" / key_of_name(f"p/a.c:f{number}")) as store:
            store.add(trial(OZ, 100))
            store.add(replace(trial(OZ, 1), plan=Plan(base=OZ, inliner_threshold=1)))  # no single list
            for text, size in row.items():
                store.add(trial(PassList.parse(text), size))
    assert known.has("p", "a.c", "f0") and known.of("p", "a.c", "none") == {}
    assert known.of("p", "a.c", "f2") == {OZ: 100, LISTS[0]: 100, PassList.parse("dse"): None}
    assert list(map(str, known.table(3))) == ["sroa", "dse"]  # gvn was not tried on all
