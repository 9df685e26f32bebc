"""The commands `corpus` and `examples` as a user meets them."""

from __future__ import annotations

from pathlib import Path

from conftest import Run, Seeds
from corpus_tools import corpus_of, found
from irwright.cli_corpus import STAGE_NAMES
from irwright.labels.examples import STAGES
from irwright.llvm.toolchain import Toolchain


def test_names_spelled_twice_agree() -> None:
    assert STAGE_NAMES == STAGES


def test_corpus_stats_of_an_empty_cache(irwright: Run) -> None:
    ended = irwright("corpus", "stats")
    assert [line.split() for line in ended.out.splitlines()[1:3]] == [
        ["training", "0", "0", "0"],
        ["heldout", "0", "0", "0"],
    ]


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
