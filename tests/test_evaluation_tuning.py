"""One proposer with so many compilations on one case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import Seeds
from evaluation_tools import Silent
from irwright.errors import ModelError, SourceError
from irwright.evaluation.cases import Proposer
from irwright.evaluation.tuning import Scale, Tools, real_oz
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool
from irwright.measure import PROTOCOLS
from irwright.models.answers import Scripted
from irwright.tuner import tune


@pytest.fixture(scope="module")
def scale(seeds: Seeds) -> Iterator[Scale]:
    toolchain = find()
    tools = Tools(library=toolchain.library.path, clang=toolchain.need_clang(), version=toolchain.library.version)
    with WorkerPool(tools.library) as pool:
        yield Scale(pool, tools, seeds.bitcode("checksum"), "checksum.c", seed=1)


def test_the_baseline_is_the_tuners(scale: Scale, seeds: Seeds) -> None:
    for name, protocol in PROTOCOLS.items():
        expected = tune(seeds.source("checksum"), budget=1, protocol=name, verify_seeds=0).baseline_bytes
        assert scale.baseline(protocol).cost == expected, name


def test_the_table_is_spent_as_the_tuner_spends_it(scale: Scale, seeds: Seeds) -> None:
    result = tune(seeds.source("checksum"), budget=8, strategy="coreset", verify_seeds=0)
    row = scale.tune(Proposer(name="coreset"), PROTOCOLS["oz"], 8)
    assert min(row["best"][0], row["oz"][0], row["baseline"][0]) == result.tuned_bytes
    assert row["compilations"] == result.num_compilations == 8
    assert row["failed"] == {}


def test_more_compilations_are_never_worse_for_random_lists(scale: Scale) -> None:
    best = [scale.tune(Proposer(name="random"), PROTOCOLS["oz"], budget)["best"][0] for budget in (1, 3, 8)]
    assert best == sorted(best, reverse=True)
    assert best == [scale.tune(Proposer(name="random"), PROTOCOLS["oz"], budget)["best"][0] for budget in (1, 3, 8)]


def test_a_model_spends_its_lists_and_no_more(scale: Scale) -> None:
    answers = ["nonsense", "opt -p 'sroa'", "opt -p 'module(sroa)'", "-passes=srao", "opt -p 'default<Oz>'"]
    model = Scripted(answers, "meta")
    row = scale.tune(Proposer(name="model"), PROTOCOLS["oz"], 8, model)
    assert row["compilations"] == 1  # default<Oz> is the baseline, and measured already
    assert row["asked"]["invalid"] >= 2
    assert row["asked"]["asked"] == len(model.asked)
    assert (
        row["best"][0]
        == scale.tune(Proposer(name="model"), PROTOCOLS["oz"], 1, Scripted(answers[1:2], "meta"))["best"][0]
    )


def test_what_was_proposed_may_be_worse_than_the_baseline(scale: Scale) -> None:
    row = scale.tune(Proposer(name="model"), PROTOCOLS["oz"], 1, Scripted(["opt -p 'sroa'"], "meta"))
    assert row["compilations"] == 1
    assert row["best"][0] > row["baseline"][0] + 16


def test_a_mix_with_a_model(scale: Scale) -> None:
    good = "iroutliner,default<Oz>"
    model = Scripted([f"opt -p '{good}'"], "meta")
    row = scale.tune(Proposer(name="mix:m"), PROTOCOLS["oz"], 8, model)
    assert row["compilations"] == 8 and row["asked"]["asked"] == len(model.asked) > 0
    alone = scale.tune(Proposer(name="mix"), PROTOCOLS["oz"], 8)
    assert "asked" not in alone and alone["compilations"] == 8


def test_a_model_that_knows_outcomes_is_told_them(scale: Scale) -> None:
    answers = ["sroa", "early-cse,default<Oz>", "gvn"]
    for name in ("model", "mix:m"):
        model = Scripted(answers, knows_outcomes=True)
        row = scale.tune(Proposer(name=name), PROTOCOLS["oz"], 3 if name == "model" else 8, model)
        assert row["compilations"] == (3 if name == "model" else 8)
        first, *later = (request.prompt for request in model.asked)
        assert "<|passes|>sroa<|sizes|>+" in later[0] and (name != "model" or "<|passes|>" not in first)
        assert f"<|sizes|>{row['oz'][0]}<|passes|>" in later[0]


def test_a_mix_does_without_a_model_that_hangs(scale: Scale) -> None:
    row = scale.tune(Proposer(name="mix:m"), PROTOCOLS["oz"], 8, Silent([""]))
    alone = scale.tune(Proposer(name="mix"), PROTOCOLS["oz"], 8)
    assert (row["best"], row["compilations"]) == (alone["best"], alone["compilations"])
    assert row["asked"]["timeout: no answer within 1 s"] > 0


@pytest.mark.parametrize("name", ["feedback", "mix"])
def test_proposers_that_learn_spend_their_budget(scale: Scale, name: str) -> None:
    for budget in (1, 3):
        assert scale.tune(Proposer(name=name), PROTOCOLS["oz"], budget)["compilations"] <= budget


def test_sizes_that_a_model_foresees(scale: Scale) -> None:
    model = Scripted(["sroa<|sizes|>1000 1000"])
    row = scale.tune(Proposer(name="model"), PROTOCOLS["oz"], 1, model)
    oz, size = row["oz"][0], row["best"][0]
    assert row["foreseen"] == {
        "list": pytest.approx(abs(1000 - size) / size, abs=1e-6),
        "list_as_oz": pytest.approx(abs(oz - size) / size, abs=1e-6),
        "oz": pytest.approx(abs(1000 - oz) / oz, abs=1e-6),
    }


def test_a_model_that_only_talks(scale: Scale) -> None:
    row = scale.tune(Proposer(name="model"), PROTOCOLS["oz"], 2, Scripted(["the weather is fine"]))
    assert row["compilations"] == 0
    assert row["best"][0] == pytest.approx(row["baseline"][0], abs=16)  # what LLVM's -Oz makes in process


def test_a_model_that_hangs_has_failed(scale: Scale) -> None:
    with pytest.raises(ModelError, match="timeout: no answer within 1 s"):
        scale.tune(Proposer(name="model"), PROTOCOLS["oz"], 2, Silent([""]))


def test_what_compilers_refuse() -> None:
    with pytest.raises(SourceError, match=r"^a\.c: does not compile: Invalid bitcode signature"):
        real_oz(find().need_clang(), b"BC\xc0\xdebroken", "a.c")
