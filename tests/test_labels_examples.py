"""Examples made by the compiler: they are true, deterministic, resumable, and the same on any number of workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import Seeds
from corpus_tools import LOOP, corpus_of, found
from irwright.coreset_build import key_of_name
from irwright.corpus.selection import select
from irwright.corpus.stripping import strip_lines
from irwright.errors import InputError, IrwrightError, LeakError, ToolchainError
from irwright.labels.examples import Made, open_examples
from irwright.labels.job import Job
from irwright.labels.portions import Tools, load_portion, plan_portions, units
from irwright.labels.search import SearchSettings
from irwright.labels.texts import TextSettings, text_examples
from irwright.labels.units import Bench, targeted
from irwright.llvm.builds import OK
from irwright.llvm.library import Library
from irwright.llvm.module import Context
from irwright.llvm.toolchain import Toolchain, find
from irwright.measure import Sizes
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.shards import ShardFolder
from irwright.tasks import emulate
from irwright.tasks.disassemble import plain_assembly
from irwright.tasks.text import split_tags
from irwright.trials import Trial, TrialStore

OZ = PassList.parse("default<Oz>")


@pytest.fixture(scope="module")
def tools_of_workers(tools: Toolchain) -> Tools:
    try:
        cross = find("aarch64-linux-gnu").library.path
    except ToolchainError:
        cross = None
    return Tools(library=tools.library.path, llvm=tools.library.version, aarch64=cross)


@pytest.fixture
def corpus(tmp_path: Path, tools: Toolchain, seeds: Seeds) -> ShardFolder:
    modules = [found(seeds.bitcode(name), project=name, path=f"{name}.c") for name in ("checksum", "numbers")]
    return corpus_of(
        tmp_path / "corpus", tools, *modules, found(LOOP.replace("OPERATION", "or"), project="held", split="heldout")
    )


def test_every_example_can_be_checked_by_the_compiler(tools_of_workers: Tools, seeds: Seeds) -> None:
    settings = TextSettings(lists_per_function=2)
    with Bench(tools_of_workers.library, aarch64=tools_of_workers.aarch64, llvm_major=22) as bench:
        functions = bench.open(seeds.bitcode("checksum"), "checksum.c").functions
        for function in functions[:3]:
            unit = bench.unit(function)
            assert unit.text.count("define ") == 1
            for row in text_examples(bench, unit, settings):
                if row["stage"] == "disassemble":
                    target = "x86-64" if "x86" in row["kind"] else "aarch64"
                    code = dict(split_tags(row["prompt"]))["<|asm|>"]
                    assert bench.assembly(row["completion"], target) == code
                    assert code.startswith(("f0:", "\t.p2align", "\t.globl"))
                if row["stage"] == "emulate":
                    parts = dict(split_tags(row["prompt"]))
                    answer = emulate.parse(row["completion"])
                    assert parts["<|ir|>"] in (unit.text, "")
                    assert bench.counts(unit, PassList.parse(parts["<|passes|>"])) == answer.counts
                    assert answer.counts is not None and answer.counts.object_bytes == row["bytes_after"]


def test_the_plain_module_is_exactly_what_the_prompt_shows(
    tools_of_workers: Tools, seeds: Seeds, library: Library
) -> None:
    with Bench(tools_of_workers.library, llvm_major=22) as bench:
        bench.open(seeds.bitcode("machine"), "machine.c")
        unit = bench.unit(bench.open(seeds.bitcode("machine"), "machine.c").functions[0])
        optimised = bench.optimised(unit, OZ)
    with Context(library) as context:
        module = context.parse(targeted(unit.text, "x86-64").encode(), name="x")
        module.run_passes("default<Oz>")
        assert strip_lines(module.text()).text == optimised
        assert 'target triple = "x86_64-unknown-linux-gnu"' in module.text()
        assert module.flag("PIC Level") == 2


def test_equal_types_of_many_units_keep_their_names(tools_of_workers: Tools, seeds: Seeds) -> None:
    """LLVM renames `%t0` when another module of the same context had one."""
    with Bench(tools_of_workers.library, llvm_major=22) as bench:
        for function in bench.open(seeds.bitcode("machine"), "machine.c").functions:
            text = bench.optimised(bench.unit(function), OZ)
            assert "%t0." not in text and "%t1." not in text


def test_code_of_one_target_has_no_assembly_of_another(tools_of_workers: Tools) -> None:
    if tools_of_workers.aarch64 is None:
        pytest.skip("no AArch64 backend")
    with Bench(tools_of_workers.library, aarch64=tools_of_workers.aarch64, llvm_major=22) as bench:
        ir = "define x86_fp80 @f0(x86_fp80 %0) {\n  ret x86_fp80 %0\n}"
        assert "fldt" in bench.assembly(ir)
        with pytest.raises(IrwrightError, match="code that is x86-64's alone has no AArch64 assembly"):
            bench.assembly(ir, "aarch64")
        assert plain_assembly("# nothing") == ""


def run(corpus: ShardFolder, folder: Path, tools: Tools, *, jobs: int = 1, limit: int | None = None) -> Made:
    job = Job(texts=TextSettings(), search=SearchSettings(), tools=tools, jobs=jobs, limit=limit)
    return job.run(corpus, folder)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_examples_of_a_corpus(corpus: ShardFolder, tmp_path: Path, tools_of_workers: Tools) -> None:
    made = run(corpus, tmp_path / "one", tools_of_workers, jobs=1)
    rows = list(open_examples(tmp_path / "one").rows())
    assert not made.problems
    assert made.num_examples == len(rows) == sum(made.stages.values())
    assert made.stages.keys() == {"pretrain", "emulate", "disassemble"}
    assert {row["project"] for row in rows if row["split"] == "heldout"} == {"held"}
    assert {row["project"] for row in rows if row["split"] == "train"} == {"checksum", "numbers"}
    assert all(row["prompt"] == "" for row in rows if row["stage"] == "pretrain")
    assert all(row["prompt"] and row["completion"] for row in rows if row["stage"] != "pretrain")

    kept = run(corpus, tmp_path / "one", tools_of_workers)
    assert kept.num_kept == 3 and kept.stages == made.stages
    run(corpus, tmp_path / "two", tools_of_workers, jobs=2)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")

    # A run that was killed behind its first shard ends with the same bytes.
    run(corpus, tmp_path / "three", tools_of_workers)
    for path in sorted((tmp_path / "three").glob("*.parquet"))[1:]:
        path.unlink()
    (tmp_path / "three" / "manifest.json").unlink()
    assert run(corpus, tmp_path / "three", tools_of_workers).num_kept == 1
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "three")


def test_outcomes_of_a_table_and_of_trials(corpus: ShardFolder, tmp_path: Path, tools_of_workers: Tools) -> None:
    texts = TextSettings(stages=("tune",), num_outcomes=3)
    job = Job(texts=texts, search=SearchSettings(num_functions=0), tools=tools_of_workers, table_size=6, limit=8)
    made = job.run(corpus, tmp_path / "out")
    rows = list(open_examples(tmp_path / "out").rows())
    following = [row for row in rows if row["kind"] == "next-list"]
    assert made.stages["tune"] == len(rows) > len(following) > 0
    for row in following:
        pieces = split_tags(row["prompt"])
        assert pieces[2] == ("<|sizes|>", str(row["bytes_oz"])) and pieces[-1][0] == "<|answer|>"
        tried = [text for tag, text in pieces if tag == "<|passes|>"]
        changes = [int(text) for tag, text in pieces[4::2] if tag == "<|sizes|>" and text]
        assert row["passes"] not in tried and row["bytes_after"] < row["bytes_oz"] + min(0, *changes)

    one = following[0]
    trials = tmp_path / "trials"
    name = f"{one['project']}/{one['path']}:{one['function']}"
    with TrialStore(trials / "functions-oz" / key_of_name(name)) as store:
        for text, size in (("default<Oz>", 200), ("sroa", 150), ("gvn", 100)):
            sizes = Sizes(text=size, rodata=0, unwind=0, data=0, bss=0)
            store.add(Trial(plan=Plan(base=PassList.parse(text)), outcome=OK, sizes=sizes))
    told = replace(job, texts=replace(texts, trials=str(trials)), limit=None)
    assert told.run(corpus, tmp_path / "told").num_functions == 1
    plain, *others = open_examples(tmp_path / "told").rows()
    assert (plain["passes"], plain["bytes_oz"], plain["bytes_after"]) == ("gvn", 200, 100)
    assert [row["prompt"].partition("<|sizes|>")[2] for row in others] == ["200<|passes|>sroa<|sizes|>-50<|answer|>"]


def test_settings_that_are_not_used_change_no_key() -> None:
    assert not {"num_outcomes", "trials"} & TextSettings().identity().keys()
    assert TextSettings(num_outcomes=2).identity()["num_outcomes"] == 2


def test_a_limit_takes_from_all_projects(corpus: ShardFolder, tmp_path: Path, tools_of_workers: Tools) -> None:
    made = run(corpus, tmp_path / "few", tools_of_workers, limit=3)
    assert made.num_functions == 3
    assert {row["project"] for row in open_examples(tmp_path / "few").rows()} == {"checksum", "numbers", "held"}


def test_other_settings_do_not_mix(corpus: ShardFolder, tmp_path: Path, tools_of_workers: Tools) -> None:
    run(corpus, tmp_path / "out", tools_of_workers, limit=2)
    texts = TextSettings(stages=("emulate",), seed=5)
    job = Job(texts=texts, search=SearchSettings(), tools=tools_of_workers, limit=2)
    with pytest.raises(InputError, match="holds 2 shards of other settings or another corpus; name another folder, or"):
        job.run(corpus, tmp_path / "out")
    made = replace(job, replace=True).run(corpus, tmp_path / "out")
    assert made.num_examples == len(list(open_examples(tmp_path / "out").rows())) == 2


def test_functions_that_are_certain_to_be_too_long_stay_where_they_are(
    corpus: ShardFolder, tools_of_workers: Tools
) -> None:
    functions = select(corpus).functions
    shortest = min(function.chars for function in functions)
    with Bench(tools_of_workers.library, llvm_major=22) as bench:

        def lengths(max_chars: int | None) -> list[int]:
            portions = [load_portion(corpus, *one) for one in plan_portions(functions, (), size=48)]
            return [
                one.chars for portion in portions for one, _ in units(portion, bench, Counter(), max_chars=max_chars)
            ]

        assert lengths(None) == [function.chars for function in functions]
        assert lengths(shortest // 2) == [] and set(lengths(shortest)) == {shortest}


def test_a_leak_stops_everything(tmp_path: Path, tools: Toolchain, tools_of_workers: Tools) -> None:
    corpus = corpus_of(
        tmp_path / "corpus",
        tools,
        found(LOOP.replace("OPERATION", "or")),
        found(LOOP.replace("OPERATION", "and"), split="heldout"),
    )
    with pytest.raises(LeakError, match="project 'one' is both"):
        run(corpus, tmp_path / "out", tools_of_workers)
    assert not (tmp_path / "out").exists()


def test_names_of_known_lists_are_true(tools_of_workers: Tools, seeds: Seeds) -> None:
    settings = TextSettings(stages=("emulate",), lists_per_function=1, names_per_function=6)
    with Bench(tools_of_workers.library, llvm_major=22) as bench:
        bench.open(seeds.bitcode("numbers"), "numbers.c")
        unit = bench.unit("fibonacci")
        rows = list(text_examples(bench, unit, settings))
        named = [row for row in rows if row["kind"].startswith("name-")]
        assert len(rows) == len(named) + 1 and named
        for row in named:
            name, counts = emulate.parse_name(row["completion"])
            code = bench.optimised(unit, PassList.parse(name))
            truth = bench.optimised(unit, PassList.parse(row["passes"]))
            if row["kind"] == "name-asm-x86-64":
                code, truth = bench.assembly(code), bench.assembly(truth)
                assert row["prompt"].endswith("<|answer|><|passes|><|x86-64|><|asm|>")
            else:
                assert row["prompt"].endswith("<|answer|><|passes|><|ir|>")
            assert emulate.same_text(code, truth)
            assert counts is not None and counts.object_bytes == row["bytes_after"]
        plain = next(row for row in rows if row not in named)
        asked = emulate.asking_for_a_name(plain["prompt"])
        assert asked.count("<|passes|>") == 2 and asked.replace("<|answer|><|passes|>", "<|answer|>") == plain["prompt"]
    assert emulate.parse_name("instcombine<|sizes|>1 2")[0] == ""


def test_given_lists_make_the_table(corpus: ShardFolder, tmp_path: Path, tools_of_workers: Tools) -> None:
    lists = (PassList.parse("sroa"), PassList.parse("mem2reg,instcombine"))
    texts = TextSettings(stages=("tune",))
    job = Job(texts=texts, search=SearchSettings(), tools=tools_of_workers, lists=lists, limit=3)
    job.run(corpus, tmp_path / "tune")
    rows = list(open_examples(tmp_path / "tune").rows())
    assert rows
    for row in rows:
        assert len(row["sizes"]) == 3 and row["sizes"][0] == row["bytes_oz"]
        assert row["bytes_after"] == min(row["sizes"])
    assert '"mem2reg,instcombine"' in (tmp_path / "tune" / "_search" / "table.json").read_text()
