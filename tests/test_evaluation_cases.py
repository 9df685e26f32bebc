"""Which cases are chosen, and what is measured of each."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation_tools import write_suite
from irwright.errors import IrwrightError
from irwright.evaluation.cases import (
    Case,
    Measurement,
    Proposer,
    Settings,
    choose_cases,
    measurement_key,
    measurements,
    parse_proposer,
)
from irwright.evaluation.suites import Suite, SuiteModule, read_suite
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return read_suite(str(write_suite(tmp_path_factory.mktemp("suite"))), clang=find().need_clang())


def choose(suite: Suite, dropped: Counter[str] | None = None, **settings: object) -> list[Case]:
    with WorkerPool(find().library.path) as pool:
        return choose_cases(suite.modules, pool, Settings(**settings), Counter() if dropped is None else dropped)  # type: ignore[arg-type]


def test_projects_take_turns(suite: Suite) -> None:
    cases = choose(suite, min_instructions=1)
    assert sorted(case.name for case in cases if case.objects == "files") == sorted(
        ["one/add.c", "two/copy.c", "three/pick.c"]
    )
    functions = [case for case in cases if case.objects == "functions"]
    assert {case.project for case in functions[:3]} == {"one", "two", "three"}
    assert sorted(case.name for case in functions) == sorted(
        ["one/add.c:add", "two/copy.c:copy", "two/copy.c:length", "three/pick.c:pick"]
    )


def test_a_large_project_does_not_come_first(suite: Suite) -> None:
    module = suite.modules[0]
    large = [replace(module, project="large", path=f"{n}.c") for n in range(9)]
    mixed = replace(suite, modules=(*large, replace(module, project="small", path="0.c")))
    for seed in range(4):
        for objects in ("files", "functions"):
            cases = choose(mixed, objects=(objects,), num=2, seed=seed)
            assert {case.project for case in cases} == {"large", "small"}


def test_the_same_seed_chooses_the_same(suite: Suite) -> None:
    names = [
        [case.name for case in choose(suite, objects=("functions",), num=3, seed=seed)] for seed in (1, 1, 2, 3, 4)
    ]
    assert names[0] == names[1]
    assert len({tuple(one) for one in names}) > 1
    assert all(len(one) == 3 for one in names)


def test_sizes_are_limited(suite: Suite) -> None:
    dropped = Counter[str]()
    cases = choose(suite, dropped, objects=("functions",), min_instructions=20, max_instructions=25)
    assert all(20 <= case.instructions <= 25 for case in cases)
    assert sum(dropped.values()) == 4 - len(cases)
    assert any(name.startswith("functions under 20") for name in dropped)


def test_modules_that_llvm_refuses_are_counted() -> None:
    dropped = Counter[str]()
    broken = SuiteModule(project="p", path="a.c", data=b"BC\xc0\xdenothing")
    assert choose(Suite(name="s", modules=(broken,)), dropped) == []
    assert [name.partition(":")[0] for name in dropped] == ["modules LLVM can't read"]


def test_proposers_by_name() -> None:
    assert parse_proposer("coreset") == Proposer(name="coreset")
    assert parse_proposer("compose+outliner@300") == Proposer(name="compose", switches=("outliner",), budget=300)
    assert parse_proposer("feedback+lists") == Proposer(name="feedback", switches=("lists",))
    assert parse_proposer("model:/a/b@c.gguf").model == "/a/b@c.gguf"
    assert parse_proposer("coreset").model is None
    assert parse_proposer("model:http://host:80@8") == Proposer(name="model:http://host:80", budget=8)
    for wrong in ("corset", "coreset@x", "compose+inline", ""):
        with pytest.raises(IrwrightError, match=re.escape(f"unknown proposer {wrong!r}; there are compose, coreset")):
            parse_proposer(wrong)


def test_settings_are_checked() -> None:
    for wrong, message in (
        ({"tasks": ("tune", "lift")}, "unknown task 'lift'; there are tune, ship, disassemble, emulate"),
        ({"objects": ()}, "unknown kind of object ''"),
        ({"protocols": ("o2",)}, "unknown protocol 'o2'"),
        ({"budgets": (0, 1)}, r"bad budgets \(0, 1\)"),
        ({"proposers": ()}, "nobody to tune with"),
        (
            {"tasks": ("emulate",), "objects": ("files",)},
            "emulation is measured on functions; add functions to the kinds of object",
        ),
    ):
        with pytest.raises(IrwrightError, match=message):
            Settings(**wrong)  # type: ignore[arg-type]


CASE = Case(name="p/a.c:f", project="p", objects="functions", instructions=9, data=b"BC", function="f")


def test_what_is_measured_of_a_case() -> None:
    settings = Settings(
        tasks=("tune", "disassemble", "emulate"),
        proposers=("coreset", "compose@300", "model"),
        models=("a.gguf",),
        budgets=(1, 2),
        protocols=("oz", "paper"),
    )
    found = list(measurements(CASE, settings))
    assert [(one.proposer, one.budget) for one in found if one.protocol == "paper"] == [
        *(("coreset", 1), ("coreset", 2), ("compose", 300), ("model:a.gguf", 1), ("model:a.gguf", 2)),
    ]
    assert [one.proposer for one in found if one.task == "disassemble"] == ["lifter", "model:a.gguf"]
    assert [one.proposer for one in found if one.task == "emulate"] == ["oz", "unchanged", "model:a.gguf"]
    assert len(set(found)) == len(found)


def test_models_tune_without_being_named() -> None:
    assert Settings(proposers=("random",), models=("a", "b")).tuners() == ("random", "model:a", "model:b")
    assert Settings(proposers=("model@8",), models=("a",)).tuners() == ("model:a@8",)
    assert Settings(proposers=("mix", "coreset")).tuners() == ("mix", "coreset")
    assert Settings(proposers=("mix", "coreset"), models=("a",)).tuners() == ("mix:a", "coreset", "model:a")
    assert parse_proposer("mix:a").kind == "mix"


def test_keys_tell_measurements_apart() -> None:
    one = Measurement(task="tune", proposer="coreset", protocol="oz", budget=3)
    other = Measurement(task="tune", proposer="coreset", protocol="oz", budget=5)
    keys = {
        measurement_key(CASE, one, Settings(), ["22"]),
        measurement_key(CASE, other, Settings(), ["22"]),
        measurement_key(CASE, one, Settings(seed=1), ["22"]),
        measurement_key(CASE, one, Settings(), ["23"]),
    }
    assert len(keys) == 4
    # What is measured beside it does not matter.
    assert measurement_key(CASE, one, Settings(num=7, budgets=(1,)), ["22"]) in keys


def test_a_suite_of_files_is_not_read_twice(suite: Suite, tmp_path: Path) -> None:
    assert choose(suite, objects=("files",), num=1)[0].sha256 == choose(suite, objects=("files",), num=1)[0].sha256
