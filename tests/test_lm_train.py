"""Training: a stopped run ends as a straight one does, many processes as one, and what goes wrong loses nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lm_tools import llama_2_tokenizer, small_model, small_tokenizer, torch, write_examples

from irwright.errors import InputError, ModelError, StorageError
from irwright.lm import checkpoint, lora
from irwright.lm import train as module
from irwright.lm.export import export
from irwright.lm.hf import knows_outcomes, read_weights, write_folder
from irwright.lm.metrics import read_metrics
from irwright.lm.settings import TrainSettings, rate_scale
from irwright.lm.tokenizer import Tokenizer
from irwright.models.answers import Request
from irwright.models.gguf_file import read_head
from irwright.proposers import open_model

SETTINGS = TrainSettings(
    preset="micro", num_tokens=24_000, vocabulary=640, context=256, batch_tokens=1024, micro_tokens=512, bf16=False
)
SAVING = module.Saving(steps=4)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """A run that was never stopped."""
    run = tmp_path_factory.mktemp("straight")
    result = module.train(SETTINGS, examples=examples, run=run, saving=SAVING)
    assert result.finished
    return run


def curve(run: Path) -> list[tuple[Any, ...]]:
    rows = read_metrics(run / "metrics.jsonl")
    return [(row["step"], row.get("stage"), row.get("heldout"), row["loss"]) for row in rows]


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def test_the_loss_falls_and_every_stage_leaves_a_model(straight: Path) -> None:
    rows = [row for row in read_metrics(straight / "metrics.jsonl") if row.get("stage") == "pretrain"]
    assert rows[-1]["loss"] < rows[0]["loss"] * 0.7
    assert sorted(path.name for path in (straight / "stages").iterdir()) == sorted(SETTINGS.stages)
    assert (straight / "loss.svg").exists()
    assert len(list((straight / "checkpoints").iterdir())) == checkpoint.KEPT


class _StopAt(module.Trainer):
    """Told to stop after a step."""

    at = 0

    def train(self, stopped: Any) -> module.TrainResult:
        return super().train(lambda: stopped() or self.step == self.at)


@pytest.mark.parametrize("at", [3, 14])
def test_a_stopped_run_ends_as_a_straight_one(
    straight: Path, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(_StopAt, "at", at)
    with monkeypatch.context() as patch:
        patch.setattr(module, "Trainer", _StopAt)
        result = module.train(SETTINGS, examples=examples, run=tmp_path, saving=SAVING)
    assert not result.finished and result.step == at
    assert module.train(SETTINGS, examples=examples, run=tmp_path, saving=SAVING).finished
    assert curve(tmp_path) == curve(straight)
    assert weights(tmp_path) == weights(straight)


def test_a_run_killed_between_checkpoints(
    straight: Path, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(range(100))
    real = module.Trainer._one_step

    def dies(self: module.Trainer, *words: Any) -> dict[str, Any]:
        if next(steps) == 10:
            raise KeyboardInterrupt
        return real(self, *words)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module.Trainer, "_one_step", dies)
        module.train(SETTINGS, examples=examples, run=tmp_path, saving=SAVING)
    assert len(curve(tmp_path)) == 10
    module.train(SETTINGS, examples=examples, run=tmp_path, saving=SAVING)
    assert curve(tmp_path) == curve(straight)
    assert weights(tmp_path) == weights(straight)


def test_other_settings_are_refused(straight: Path, examples: Path) -> None:
    other = TrainSettings(**{**SETTINGS.to_json(), "stages": SETTINGS.stages, "seed": 1})
    with pytest.raises(ModelError, match="was begun with seed 0, not 1; give it again or another -o"):
        module.train(other, examples=examples, run=straight)


def test_a_loss_that_is_no_number(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.Trainer._backward

    def spoiled(self: module.Trainer, *words: Any, **named: Any) -> float:
        loss = real(self, *words, **named)
        return float("nan") if self.step == 6 else loss

    monkeypatch.setattr(module.Trainer, "_backward", spoiled)
    with pytest.raises(ModelError, match=r"the loss is nan at step 7 \(pretrain, window 0, first example \d+ of"):
        module.train(SETTINGS, examples=examples, run=tmp_path, saving=SAVING)
    kept = checkpoint.newest(tmp_path)
    assert kept is not None and checkpoint.load_state(kept).step == 4


def test_a_full_disk_in_a_save_loses_nothing(
    straight: Path, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = checkpoint.write_safetensors, iter(range(100))

    def full(path: Path, *words: Any) -> None:
        if path.parent.name.startswith(".step") and next(calls) == 1:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        real(path, *words)

    monkeypatch.setattr(checkpoint, "write_safetensors", full)
    module.train(SETTINGS, examples=examples, run=tmp_path, saving=SAVING)
    said = capsys.readouterr().err
    assert "the checkpoint can't be written (No space left on device); training goes on, unsaved since step 8" in said
    assert weights(tmp_path) == weights(straight)
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_a_broken_checkpoint(straight: Path, examples: Path, tmp_path: Path) -> None:
    folder = checkpoint.newest(straight)
    assert folder is not None
    state = checkpoint.load_state(folder)
    with pytest.raises(StorageError, match=r"'model.x' is missing, expected \(1,\): another model's"):
        checkpoint.load_tensors(folder, state, {"model.x": torch.zeros(1)})
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(StorageError, match="no state of a training run"):
        checkpoint.load_state(tmp_path)
    (tmp_path / "cut.safetensors").write_bytes((folder / checkpoint.WEIGHTS).read_bytes()[:1000])
    with pytest.raises(InputError, match=r"cut\.safetensors: not readable as safetensors"):
        checkpoint.read_safetensors(tmp_path / "cut.safetensors")


def test_going_on_from_another_model(examples: Path, tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    model = small_model(tokenizer.num_tokens)
    write_folder(tmp_path / "base", model.shape, dict(model.named_parameters()), tokenizer)
    settings = TrainSettings(
        init=str(tmp_path / "base"), stages=("tune",), num_tokens=2048, batch_tokens=1024, context=256, rate=1e-4
    )
    module.train(settings, examples=examples, run=tmp_path / "run")
    first = read_metrics(tmp_path / "run" / "metrics.jsonl")[0]
    assert first["stage"] == "tune"
    (tmp_path / "base" / "model.safetensors").rename(tmp_path / "base" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no model\.safetensors in it; other formats are not read, since they are"):
        module.train(settings, examples=examples, run=tmp_path / "other")


def test_a_model_that_saw_outcomes_says_so(straight: Path, tmp_path: Path) -> None:
    assert not knows_outcomes(straight / "model")  # lists of `emulate` are no outcomes
    seen = write_examples(tmp_path / "seen", outcomes=True)
    settings = replace(SETTINGS, num_tokens=2048, init=str(straight / "model"), stages=("emulate", "tune"))
    module.train(settings, examples=seen, run=tmp_path / "run")
    assert [knows_outcomes(tmp_path / "run" / "stages" / name) for name in settings.stages] == [False, True]
    export(tmp_path / "run", tmp_path / "m.gguf", to="gguf")
    assert read_head(tmp_path / "m.gguf").knows_outcomes
    export(tmp_path / "run", tmp_path / "hf", to="hf")
    assert knows_outcomes(tmp_path / "hf")
    later = replace(settings, init=str(tmp_path / "hf"), stages=("pretrain",))
    module.train(later, examples=write_examples(tmp_path / "plain"), run=tmp_path / "later")
    assert knows_outcomes(tmp_path / "later" / "model")


def test_a_new_model_may_begin_with_heads_that_copy() -> None:
    settings = TrainSettings(copying=True, seed=3)
    model = module.new_model(settings, small_tokenizer())
    assert not model.shape.tied and model.lm_head is not None and model.lm_head.weight.any()
    assert module.new_model(TrainSettings(seed=3), small_tokenizer()).lm_head is None
    assert "copying" in settings.to_json() and "copying" not in TrainSettings().to_json()
    with pytest.raises(ModelError, match="only a new model can begin with heads that copy"):
        TrainSettings(copying=True, init="there")


def test_low_rank_additions(examples: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    tokenizer = small_tokenizer()
    model = small_model(tokenizer.num_tokens)
    write_folder(tmp_path / "base", model.shape, dict(model.named_parameters()), tokenizer)
    settings = TrainSettings(
        init=str(tmp_path / "base"), lora_rank=2, stages=("tune",), num_tokens=8192, batch_tokens=1024, context=256
    )
    run = tmp_path / "run"
    module.train(settings, examples=examples, run=run, saving=SAVING)
    losses = [row["loss"] for row in read_metrics(run / "metrics.jsonl") if "stage" in row]
    assert losses[-1] < losses[0]
    folder = checkpoint.newest(run)
    assert folder is not None
    kept = checkpoint.read_safetensors(folder / checkpoint.WEIGHTS)
    assert kept and all("lora_" in name for name in kept)
    before, after = read_weights(tmp_path / "base"), read_weights(run / "model")
    assert before.keys() == after.keys()
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(lora.TARGETS)
    # The merged model says what the additions beside the base said.
    beside = module.new_model(settings, tokenizer)
    state = checkpoint.load_state(folder)
    checkpoint.load_tensors(
        folder, state, {f"model.{name}": p.data for name, p in beside.named_parameters() if p.requires_grad}
    )
    ids = torch.arange(30)[None]
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(run / "model")(ids).logits
        torch.testing.assert_close(beside(ids), merged, rtol=1e-3, atol=1e-3)


def test_going_on_from_a_model_with_another_kind_of_tokenizer(examples: Path, tmp_path: Path) -> None:
    tokenizer = llama_2_tokenizer()
    model = small_model(tokenizer.num_tokens)
    write_folder(tmp_path / "base", model.shape, dict(model.named_parameters()), tokenizer)
    assert not tokenizer.is_native and tokenizer.begin_ids == [1] and tokenizer.end_id == 2
    settings = TrainSettings(
        init=str(tmp_path / "base"), stages=("tune",), num_tokens=2048, batch_tokens=1024, context=256, rate=1e-4
    )
    module.train(settings, examples=examples, run=tmp_path / "run")
    with pytest.raises(ModelError, match="the model's tokenizer is not byte-level"):
        export(tmp_path / "run", tmp_path / "m.gguf", to="gguf")
    with open_model(str(tmp_path / "run")) as opened:
        assert opened.style == "meta"
        assert opened.ask(Request(prompt="[INST] x [/INST]", max_tokens=4)).outcome == "ok"


def test_examples_that_changed(examples: Path, tmp_path: Path) -> None:
    few = write_examples(tmp_path / "examples", 20)
    settings = TrainSettings(**{**SETTINGS.to_json(), "stages": ("tune",), "num_tokens": 2048})
    module.train(settings, examples=few, run=tmp_path / "run")
    with pytest.raises(ModelError, match=r"the examples in .* changed since .* was begun; name another -o"):
        module.train(settings, examples=examples, run=tmp_path / "run")


def test_recomputed_activations_give_the_same(straight: Path, examples: Path, tmp_path: Path) -> None:
    settings = TrainSettings(**{**SETTINGS.to_json(), "stages": SETTINGS.stages, "recompute": True})
    module.train(settings, examples=examples, run=tmp_path)
    assert curve(tmp_path) == curve(straight)


def test_learning_rates_rise_and_fall() -> None:
    rates = [rate_scale(step, 100) for step in range(100)]
    assert rates[0] < rates[3] == max(rates) == 1.0
    assert rates[-1] < 0.1 and rates == [*rates[:4], *sorted(rates[4:], reverse=True)]
    assert SETTINGS.plan()[0] == ("pretrain", 13)


def command(examples: Path, run: Path, *more: str) -> list[str]:
    words = "train --preset micro --tokens 24K --vocabulary 640 --context 256 --batch-tokens 1024 --micro-tokens 512"
    return ["-m", "irwright", *words.split(), "--float32", "--examples", str(examples), "-o", str(run), *more]


def test_sigterm_saves_and_ends_well(straight: Path, examples: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, *command(examples, tmp_path, "--threads", "1")]
    started = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    while started.poll() is None and not (tmp_path / "metrics.jsonl").exists():
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate()
    assert started.returncode == 0
    state = checkpoint.newest(tmp_path)
    assert state is not None
    if "stopped and saved after step" in said:  # it may have been quicker than we were
        assert "the same command goes on" in said
        assert subprocess.run(words, env=environment, check=False, capture_output=True).returncode == 0
    assert [row[:3] for row in curve(tmp_path)] == [row[:3] for row in curve(straight)]


@pytest.mark.parametrize("parallel", ["copies", "parts"])
def test_two_processes_are_as_one(straight: Path, examples: Path, tmp_path: Path, parallel: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    shared["MASTER_PORT"] = str(port)
    processes = [
        subprocess.Popen(
            [sys.executable, *command(examples, tmp_path, "--parallel", parallel)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ended = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    losses, expected = ([row[3] for row in curve(run)] for run in (tmp_path, straight))
    assert losses[:5] == pytest.approx(expected[:5], rel=1e-4)
    assert losses == pytest.approx(expected, rel=2e-2)  # Muon multiplies in bfloat16: rounding differs, and adds up
    folder = checkpoint.newest(tmp_path)
    assert folder is not None
    state = checkpoint.load_state(folder)
    assert state.sharded == (parallel == "parts")
    alone = module.new_model(SETTINGS, Tokenizer.load(tmp_path))
    checkpoint.load_tensors(folder, state, {f"model.{name}": p.data for name, p in alone.named_parameters()})
    written = read_weights(tmp_path / "model")
    assert all(torch.equal(written[name], parameter) for name, parameter in alone.named_parameters())
