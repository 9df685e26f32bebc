"""The first build that is smaller and not found different is the result; what is left out is told."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Seeds
from irwright.files import as_input
from irwright.judge import Judge, ranked
from irwright.llvm.toolchain import Toolchain
from irwright.measure import protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.verify.verdicts import FunctionVerdict, ObjectVerdict, VerdictKind
from irwright.workpiece import Workpiece, Workshop

LISTS = ("sroa,simplifycfg<sink-common-insts>,default<Oz>", "sroa,instcombine,default<Oz>", "default<Oz>")


class Fake:
    """A verifier that calls the first builds wrong."""

    def __init__(self, num_wrong: int) -> None:
        self.num_wrong = num_wrong
        self.calls: list[dict[str, Any]] = []
        self.closed = False

    def compare(self, original: bytes, candidate: bytes, **options: Any) -> ObjectVerdict:
        self.calls.append({"original": original, "candidate": candidate, **options})
        wrong = len(self.calls) <= self.num_wrong
        verdict = FunctionVerdict(
            function="main",
            kind=VerdictKind.DIFFERENT if wrong else VerdictKind.EQUAL,
            reason="seed 3: returns 1, then 2" if wrong else "",
            seed=3 if wrong else None,
            num_runs=8,
            num_conclusive=8,
            blocks=2,
            blocks_covered=2,
        )
        return ObjectVerdict(functions=(verdict,))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def piece(seeds: Seeds) -> Iterator[Workpiece]:
    with Workshop(protocol("oz")) as shop, shop.open(as_input(seeds.source("machine"), ())) as opened:
        yield opened


def candidates(piece: Workpiece) -> list[tuple[Plan, float]]:
    plans = [Plan(base=PassList.parse(text)) for text in LISTS]
    return [(trial.plan, trial.cost(protocol("oz"))) for trial in piece.evaluator.evaluate(plans)]


def make_judge(fake: Fake) -> Judge:
    judge = Judge(seeds=8)
    judge._verifier = fake  # type: ignore[assignment]
    return judge


def test_the_first_smaller_build_that_is_not_different_is_taken(piece: Workpiece) -> None:
    baseline = piece.baseline("obj")
    generous = 1 << 20
    for num_wrong in range(3):
        fake = Fake(num_wrong)
        with make_judge(fake) as judge:
            choice = judge.choose(piece, candidates(piece), baseline, generous)
        assert fake.closed
        assert choice is not None and choice.plan == Plan(base=PassList.parse(LISTS[num_wrong]))
        assert choice.data == fake.calls[-1]["candidate"] and choice.size == choice.sizes.total
        assert choice.verdict is not None and choice.verdict.equal == 1
        assert len(judge.warnings) == num_wrong
        for warning in judge.warnings:
            assert "is left out, main differs: seed 3: returns 1, then 2" in warning
        assert fake.calls[0]["original"] == baseline and fake.calls[0]["seeds"] == 8
        assert {"step", "run"} <= fake.calls[0]["signatures"].keys()


def test_where_all_are_different_or_larger_there_is_none(piece: Workpiece) -> None:
    baseline = piece.baseline("obj")
    assert make_judge(Fake(9)).choose(piece, candidates(piece), baseline, 1 << 20) is None
    fake = Fake(0)
    assert make_judge(fake).choose(piece, candidates(piece), baseline, 10) is None
    assert not fake.calls, "a larger object is not worth a comparison"


def test_a_build_that_asks_more_of_the_linker_is_left_out(piece: Workpiece, tools: Toolchain, tmp_path: Path) -> None:
    """A program may count on -Oz to remove a call of a function that exists nowhere."""
    tried = candidates(piece)
    whole = piece.baseline("obj")
    other = tmp_path / "other.c"
    other.write_text("int nowhere(void); int more(void) { return nowhere(); }\n")
    fake = Fake(0)
    judge = make_judge(fake)
    baseline = subprocess.run(
        [tools.need_clang(), "-Oz", "-c", str(other), "-o", "-"], stdout=subprocess.PIPE, check=True
    ).stdout
    assert judge.choose(piece, tried, baseline, 1 << 20) is None
    assert not fake.calls
    assert len(judge.warnings) > len(tried), "and so are builds with the code of -Oz in its place"
    assert re.search(r"an object of \d+ bytes is left out, it refers to '\w+', which", judge.warnings[0])
    assert judge.choose(piece, tried, whole, 1 << 20) is not None


def test_without_seeds_nothing_is_compared(piece: Workpiece) -> None:
    judge = Judge(seeds=0)
    choice = judge.choose(piece, candidates(piece), piece.baseline("obj"), 1 << 20)
    assert choice is not None and choice.verdict is None and not judge.warnings


def test_trials_are_ranked_by_cost_one_of_each(piece: Workpiece) -> None:
    tried = candidates(piece)
    plans = [plan for plan, _ in ranked(piece.evaluator.trials, *tried[0], piece)]
    costs = [cost for _, cost in ranked(piece.evaluator.trials, *tried[0], piece)]
    assert plans[0] == tried[0][0]
    assert len(set(costs)) == len(costs)
    oz = piece.evaluator.evaluate([piece.plan_of_oz], free=True)[0].cost(protocol("oz"))
    assert all(cost < oz for cost in costs[1:])
