"""The commands `corpus` and `examples` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Run, Seeds
from corpus_tools import LOOP, corpus_of, found
from irwright.cli_corpus import STAGE_NAMES
from irwright.labels.examples import STAGES
from irwright.llvm.toolchain import Toolchain


def test_names_spelled_twice_agree() -> None:
    assert STAGE_NAMES == STAGES


def test_stats_of_nothing(irwright: Run, tmp_path: Path) -> None:
    ended = irwright("corpus", "stats", "--corpus", tmp_path)
    assert [line.split() for line in ended.out.splitlines()[-2:]] == [
        ["training", "0", "0", "0"],
        ["heldout", "0", "0", "0"],
    ]
    assert "licences: none" in ended.out


def test_stats_and_check_of_a_corpus(irwright: Run, tmp_path: Path, tools: Toolchain, seeds: Seeds) -> None:
    held = found(LOOP.replace("OPERATION", "or"), project="held", split="heldout")
    copy = found(LOOP.replace("OPERATION", "or"), project="copy")
    corpus_of(tmp_path / "corpus", tools, found(seeds.bitcode("checksum")), held, copy)
    where = ("--corpus", tmp_path / "corpus")
    counted = json.loads(irwright("corpus", "stats", *where, "--json", "--plot", tmp_path / "x.svg").out)
    assert counted["heldout"]["functions"] == counted["heldout"]["distinct_functions"] == 1
    assert counted["train"]["licences"] == {"MIT": counted["train"]["functions"]}
    assert counted["train"]["projects"] == 2 and counted["train"]["tokens_estimated"] > 100
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")
    text = irwright("corpus", "stats", *where).out
    assert "licences: MIT 100.0%" in text and "languages: c 100.0%" in text
    refused = irwright("corpus", "stats", *where, "--plot", tmp_path / "x.what")
    assert refused.code == 1 and "can't be drawn" in refused.err
    checked = irwright("corpus", "check", *where)
    assert checked.code == 0
    assert "no leak:" in checked.out and "1 held-out functions" in checked.out
    assert "1  left out: copy, held-out project" in checked.out


def test_check_finds_a_project_on_both_sides(irwright: Run, tmp_path: Path, tools: Toolchain) -> None:
    corpus_of(
        tmp_path,
        tools,
        found(LOOP.replace("OPERATION", "or")),
        found(LOOP.replace("OPERATION", "and"), split="heldout"),
    )
    ended = irwright("corpus", "check", "--corpus", tmp_path)
    assert ended.code == 1 and "project 'one' is both training and held out" in ended.err


def test_examples_from_the_command_line(irwright: Run, tmp_path: Path, tools: Toolchain, seeds: Seeds) -> None:
    corpus_of(tmp_path / "corpus", tools, found(seeds.bitcode("checksum")))
    words = ("examples", "--corpus", tmp_path / "corpus", "-o", tmp_path / "out", "--limit", "2", "-j", "1")
    ended = irwright(*words, "--tasks", "emulate,pretrain", "--no-aarch64")
    assert ended.code == 0
    assert "8 examples of 2 functions in" in ended.out and "2 emulate, 6 pretrain" in ended.out
    assert irwright(*words, "--tasks", "guess").code == 2
    refused = irwright(*words, "--tasks", "pretrain")
    assert refused.code == 1 and "shards of other settings" in refused.err


def test_an_unknown_source_is_refused(irwright: Run, tmp_path: Path) -> None:
    ended = irwright("corpus", "add", "nothing-such", "--corpus", tmp_path)
    assert ended.code == 1
    assert "unknown source 'nothing-such'" in ended.err


def test_no_corpus_is_no_clean_corpus(irwright: Run, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    for words in (("check",), ("examples", "--tasks", "pretrain", "--no-aarch64", "-o", tmp_path / "out")):
        ended = irwright(*(("corpus", *words) if words == ("check",) else words), "--corpus", nothing)
        assert ended.code == 1
        assert ended.err.endswith(f"{nothing}: holds no corpus; make one with: irwright corpus add\n")
    assert not (tmp_path / "out").exists()
