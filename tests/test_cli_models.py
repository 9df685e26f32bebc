"""The commands `train` and `export`, and what they say where something is missing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from conftest import Run, Seeds
from irwright import cli_models


def test_without_the_extra(irwright: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli_models.EXTRAS, "train", ("no_such_package",))
    for words in (("train", "--examples", tmp_path, "-o", tmp_path / "run"), ("export", tmp_path, "--to", "hf")):
        ended = irwright(*words)
        assert ended.code == 1
        assert "needs no_such_package, which is not installed; pip install 'irwright[train]'" in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra `train`")
def test_a_small_run_and_its_exports(irwright: Run, tmp_path: Path) -> None:
    from lm_tools import write_examples

    words = "--preset micro --stages pretrain,tune --tokens 4K --vocabulary 640 --context 256 --batch-tokens 1024"
    examples = write_examples(tmp_path / "examples")
    ended = irwright("train", *words.split(), "--examples", examples, "-o", tmp_path / "run")
    assert (ended.code, ended.out) == (
        0,
        f"{tmp_path / 'run'}: 4 steps; the model is in {tmp_path / 'run' / 'model'}\n",
    )
    again = [*words.split(), "--examples", examples, "-o", tmp_path / "more", "--init", tmp_path / "run" / "model"]
    ended = irwright("train", *again, "--stages", "tune", "--kept", "emulate=30,pretrain=5")
    assert ended.code == 0 and '"kept": [' in (tmp_path / "more" / "run.json").read_text()
    ended = irwright("export", tmp_path / "run", "--to", "gguf", "--stage", "pretrain")
    assert ended.code == 0 and (tmp_path / "run-pretrain-q8_0.gguf").stat().st_size > 100_000
    ended = irwright("export", tmp_path / "run", "--to", "hf", "-o", tmp_path / "hf")
    assert ended.code == 0 and (tmp_path / "hf" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--stages tune,dance", "unknown stage 'tune,dance'; there are pretrain, emulate, tune, disassemble"),
        ("--tokens lots", "'lots' is no number of tokens; give 500000, 500K, 20M or 1.5B"),
        ("--tokens inf", "'inf' is no number of tokens; give 500000, 500K, 20M or 1.5B"),
        ("--tokens 0", "give at least one token"),
        ("--kept emulate=lots", "'emulate=lots' is no share; say it as emulate=30,tune=5 (percent)"),
    ],
)
def test_usage(irwright: Run, tmp_path: Path, words: str, message: str) -> None:
    ended = irwright("train", "--examples", tmp_path, "-o", tmp_path / "run", *words.split())
    assert ended.code == 2 and message in ended.err.replace("\n", " ")


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra `train`")
def test_copying_wants_room(irwright: Run, tmp_path: Path) -> None:
    from lm_tools import write_examples

    examples = write_examples(tmp_path / "examples")
    ended = irwright("train", "--preset", "micro", "--copying", "--examples", examples, "-o", tmp_path / "run")
    assert ended.code == 1 and "a width of 64 and heads of 32" in ended.err.replace("\n", " ")


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra `train`")
def test_no_examples(irwright: Run, tmp_path: Path) -> None:
    ended = irwright("train", "--examples", tmp_path, "-o", tmp_path / "run")
    assert ended.code == 1 and "no examples in it; `irwright examples` makes some" in ended.err


@pytest.mark.parametrize("outcomes", [False, True])
def test_tuning_with_a_model(irwright: Run, tmp_path: Path, seeds: Seeds, outcomes: bool) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra `model`")
    from lm_tools import small_model, small_tokenizer

    from irwright.lm.export import write_gguf

    vocabulary = small_tokenizer()
    model = small_model(vocabulary.num_tokens)
    write_gguf(tmp_path / "m.gguf", model, vocabulary, kind="q8_0", outcomes=outcomes)
    (tmp_path / "small.c").write_text("int twice(int x) { return x + x; }\n")
    words = ["tune", tmp_path / "small.c", "--budget", "6", "--json", "--model", tmp_path / "m.gguf"]
    ended = irwright(*words, "--model-lists", "3")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)[0]["num_compilations"] == 6
    large = irwright("tune", seeds.source("checksum"), "--json", *words[-2:], "--budget", "2", "--no-verify")
    assert large.code == 0
    assert "m.gguf: too-long: HTTP 400" in large.err
    gone = irwright("tune", tmp_path / "small.c", "--model", tmp_path / "none.gguf")
    assert gone.code == 1 and "no such model; give a GGUF file" in gone.err
