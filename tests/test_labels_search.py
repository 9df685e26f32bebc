"""Labels for tuning: searched, counted, screened; each label is measured again here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Seeds
from corpus_tools import corpus_of, found
from irwright.coreset import load_coreset
from irwright.errors import InputError
from irwright.labels import search
from irwright.labels.examples import open_examples
from irwright.labels.job import SEARCH_FOLDER, Job
from irwright.labels.portions import Tools
from irwright.labels.search import KIND, SearchSettings, right_lists, search_columns, winners
from irwright.labels.texts import TextSettings
from irwright.labels.units import Bench
from irwright.llvm.toolchain import Toolchain
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.screen_results import Judgement, ProgramReport, Verdict
from irwright.shards import ShardFolder, encode, key_of
from irwright.tasks import tune

PROGRAM = '#include <stdio.h>\nint main(void) { volatile int n = 3; printf("%d\\n", n * n); return 0; }\n'


def job(tools: Toolchain, *, programs: Path | None = None) -> Job:
    return Job(
        texts=TextSettings(stages=("tune",)),
        search=SearchSettings(num_functions=4, compilations=24, minimise_compilations=10, min_instructions=3),
        tools=Tools(library=tools.library.path, llvm=tools.library.version),
        table_size=4,
        programs=programs,
    )


def test_a_label_is_the_best_list_of_the_table(tmp_path: Path, tools: Toolchain, seeds: Seeds) -> None:
    modules = [
        found(seeds.bitcode("checksum"), project="one"),
        found(seeds.bitcode("numbers"), project="two"),
        found(seeds.bitcode("machine"), project="three", split="heldout"),
    ]
    corpus = corpus_of(tmp_path / "corpus", tools, *modules)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "three.c").write_text(PROGRAM)
    made = job(tools, programs=programs).run(corpus, tmp_path / "out")
    assert not made.problems

    searched = list(ShardFolder(tmp_path / "out" / SEARCH_FOLDER, kind=KIND).rows())
    assert {row["project"] for row in searched} == {"one", "two"}  # nothing held out is searched
    assert all(row["bytes_best"] <= row["bytes_oz"] for row in searched)
    assert all(24 <= row["num_compilations"] <= 34 for row in searched)
    table = json.loads((tmp_path / "out" / SEARCH_FOLDER / "table.json").read_text())
    assert table["screened"] and 0 < len(table["table"]) <= 4

    rows = list(open_examples(tmp_path / "out").rows())
    assert {row["split"] for row in rows} == {"train", "heldout"}
    for row in rows[:6]:
        answer = tune.parse(row["completion"])
        assert answer.passes is not None and str(answer.passes) == row["passes"]
        assert row["passes"] in ("default<Oz>", *table["table"])
        assert (answer.oz_bytes, answer.tuned_bytes) == (row["bytes_oz"], row["bytes_after"])
        assert row["bytes_after"] <= row["bytes_oz"]
    again = job(tools, programs=programs).run(corpus, tmp_path / "out")
    assert again.num_kept == 3


def test_without_a_search_the_lists_are_those_of_the_shipped_table(
    tmp_path: Path, tools: Toolchain, seeds: Seeds
) -> None:
    corpus = corpus_of(tmp_path / "corpus", tools, found(seeds.bitcode("checksum")))
    few = job(tools)
    replace(few, search=replace(few.search, num_functions=0)).run(corpus, tmp_path / "out")
    shipped = [str(plan.as_list()) for plan in load_coreset("oz", 22).lists if plan.is_one_list]
    rows = list(open_examples(tmp_path / "out").rows())
    assert rows and {row["passes"] for row in rows} <= {"default<Oz>", *shipped[:4]}
    assert not (tmp_path / "out" / SEARCH_FOLDER).exists()


def test_sizes_of_a_label_are_those_of_the_function(tmp_path: Path, tools: Toolchain, seeds: Seeds) -> None:
    corpus = corpus_of(tmp_path / "corpus", tools, found(seeds.bitcode("checksum")))
    job(tools).run(corpus, tmp_path / "out")
    row = next(iter(open_examples(tmp_path / "out").rows()))
    with Bench(tools.library.path, llvm_major=22) as bench:
        bench.open(seeds.bitcode("checksum"), "checksum.c")
        unit = bench.unit(row["function"])
        trials = unit.full.evaluate([Plan(), Plan(base=PassList.parse(row["passes"]))])
    assert [trial.sizes and trial.sizes.total for trial in trials] == [row["bytes_before"], row["bytes_after"]]
    assert not json.loads((tmp_path / "out" / SEARCH_FOLDER / "table.json").read_text())["screened"]


def test_winners_are_ranked_by_what_they_saved_on_training_functions(tmp_path: Path) -> None:
    results = ShardFolder(tmp_path, kind=KIND)
    rows = [
        {"split": "train", "passes": "sroa", "bytes_oz": 100, "bytes_best": 90},
        {"split": "train", "passes": "gvn", "bytes_oz": 100, "bytes_best": 80},
        {"split": "train", "passes": "sroa", "bytes_oz": 100, "bytes_best": 85},
        {"split": "train", "passes": "dse", "bytes_oz": 100, "bytes_best": 100},
        {"split": "train", "passes": "", "bytes_oz": 100, "bytes_best": 10},
        {"split": "train", "passes": "gone-in-this-llvm", "bytes_oz": 100, "bytes_best": 10},
        {"split": "heldout", "passes": "licm", "bytes_oz": 100, "bytes_best": 1},
    ]
    results.add(encode(rows, search_columns(), key=key_of("x"), summary={}))
    assert [str(passes) for passes in winners(results, 22)] == ["sroa", "gvn"]


def test_lists_that_break_programs_are_dropped(
    tmp_path: Path, tools: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="holds no C or C"):
        right_lists([PassList.parse("sroa")], tmp_path, llvm=None, jobs=1)
    (tmp_path / "three.c").write_text(PROGRAM)
    good, bad = right_lists([PassList.parse("sroa"), PassList.parse("default<Oz>")], tmp_path, llvm=None, jobs=1)
    assert [str(passes) for passes in good] == ["sroa", "default<Oz>"] and not bad
    wrong = Judgement(verdict=Verdict.WRONG, detail="prints 8")
    report = ProgramReport(program="three.c", judgements={"sroa": wrong})
    monkeypatch.setattr(search, "screen", lambda *_, **__: [report])
    good, bad = right_lists([PassList.parse("sroa"), PassList.parse("gvn")], tmp_path, llvm=None, jobs=1)
    assert [str(passes) for passes in good] == ["gvn"]
    assert bad == {"sroa": "wrong on three.c: prints 8"}
