"""A proposer made from trials: what is observed is what a search measures, trials are used again, bad plans refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import Run, Seeds
from irwright.coreset_build import Builder, BuildSettings, Sample
from irwright.errors import InputError
from irwright.feedback.knowledge import Outcome
from irwright.feedback.learn import LearnSettings
from irwright.feedback_build import OutcomeBuilder, learn_from, read_plans
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import protocol
from irwright.passes import PassList
from irwright.plan import Plan
from test_search import task_on

PLANS = (
    Plan(base=PassList.parse("sroa,early-cse")),
    Plan(preparation="raw", tail=PassList.parse("sroa,simplifycfg")),
    *(Plan(base=PassList.parse(text)) for text in ("dse", "gvn", "sroa", "instcombine", "reg2mem")),
)


def builder(tools: Toolchain, folder: Path, samples: list[Sample]) -> Builder:
    return Builder(samples, folder, protocol("oz"), library=tools.library.path, llvm_major=22, settings=BuildSettings())


@pytest.fixture
def samples(pool: WorkerPool, seeds: Seeds, tmp_path: Path) -> list[Sample]:
    found: list[Sample] = []
    for project in ("checksum", "machine", "numbers"):
        file = tmp_path / f"{project}.bc"
        file.write_bytes(seeds.bitcode(project))
        facts = pool.add_module(project, file.read_bytes(), name=project)
        for name in list(facts.functions)[:2]:
            found.append(Sample(name=f"{project}:{name}", project=project, bitcode=file, function=name))
    return found


def test_what_is_observed_is_what_a_search_measures(
    tools: Toolchain, pool: WorkerPool, samples: list[Sample], tmp_path: Path
) -> None:
    observed = OutcomeBuilder(builder(tools, tmp_path / "t", samples), samples, PLANS).observe(6)
    assert set(observed.names) <= {sample.name for sample in samples} and len(observed.names) >= 4
    sample = next(sample for sample in samples if sample.name == observed.names[0])
    pool.add_module("whole", sample.bitcode.read_bytes(), name="whole")
    data = pool.call(Call(operation="extract", module="whole", arguments={"function": sample.function})).unwrap("f")
    task = task_on(pool, data, budget=9)
    task.start()
    trial = task.run([PLANS[0]])[0]
    assert task.baseline is not None and task.baseline.sizes is not None and trial.sizes is not None
    of, oz = trial.sizes, task.baseline.sizes
    expected = Outcome.of((of.total, of.text, of.unwind), (oz.total, oz.text, oz.unwind))
    assert tuple(observed.outcomes[:, 0, 0]) == pytest.approx(expected)

    again = OutcomeBuilder(builder(tools, tmp_path / "t", samples), samples, PLANS).observe(6)
    assert again.names == observed.names and (again.outcomes == observed.outcomes).all()
    knowledge, checked = learn_from(observed, LearnSettings(), {"command": "x"})
    assert knowledge.num_plans == len(PLANS) == checked["plans"]
    assert checked["feedback"]["8"] <= checked["best plan of each"] + 0.01
    assert json.loads(knowledge.made_by)["cross_validation"] == checked


def test_plans_are_read_from_tables_and_lists(tmp_path: Path) -> None:
    rows = [
        {"base": "sroa"},
        {"plan": {"tail": "gvn", "preparation": "raw"}},
        {"base": "no-such-pass"},
        {"base": "sroa"},
    ]
    for content in (rows, {"lists": rows[:1], "pieces": rows[1:]}):
        (tmp_path / "plans.json").write_text(json.dumps(content))
        plans = read_plans(tmp_path / "plans.json", 22)
        assert [plan.to_json() for plan in plans] == [{"base": "sroa"}, {"tail": "gvn", "preparation": "raw"}]
    (tmp_path / "plans.json").write_text("[1]")
    with pytest.raises(InputError, match=r"plans.json: holds no plans"):
        read_plans(tmp_path / "plans.json", 22)


def test_learning_needs_a_corpus(irwright: Run, tmp_path: Path) -> None:
    ended = irwright("coreset", "learn", "-o", tmp_path / "k.npz", "--trials", tmp_path / "trials")
    assert ended.code == 1
    assert "no training modules; fetch some with: irwright corpus fetch --role training" in ended.err
    assert not list(tmp_path.iterdir())
