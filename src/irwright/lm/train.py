# pyright: standard
"""The training loop, one for all stages and any number of processes.

A run is a folder:

    run.json         settings and what was made of them; a run goes on only with the same
    tokenizer.json   the vocabulary
    tokens/          the examples as tokens (tokens.py)
    checkpoints/     the last two (checkpoint.py)
    metrics.jsonl, loss.svg
    stages/NAME/     the model after each stage, as transformers reads it
    model/           the same after the last

The same command goes on from the last checkpoint, and ends with the same bytes as a run that was never stopped.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from irwright import __version__
from irwright.errors import InputError, ModelError, StorageError
from irwright.files import write_output
from irwright.lm import checkpoint
from irwright.lm.batches import MicroBatch, Position, Stream, in_order
from irwright.lm.copying import begin_copying
from irwright.lm.hf import knows_outcomes, read_model, write_folder
from irwright.lm.lora import add_lora, plain_weights
from irwright.lm.metrics import FILE as METRICS_FILE
from irwright.lm.metrics import Metrics, Progress, matmul_rate, plot, read_metrics
from irwright.lm.model import IGNORED, Llama, build
from irwright.lm.optimizer import Optimizer, clip_gradients
from irwright.lm.presets import preset
from irwright.lm.processes import Parallel, Processes, started, whole
from irwright.lm.settings import TrainSettings, check_same, rate_scale
from irwright.lm.tokenizer import STAGES, Stage, Tokenizer, train_tokenizer
from irwright.lm.tokens import TokenSet, changed_since, open_examples, tokenise, training_texts
from irwright.tasks.text import PASSES

HELDOUT_TOKENS = 200_000
VOCABULARY_CHARS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """How a run ended."""

    run: Path
    step: int
    finished: bool
    """False if it was told to stop; the same command goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """How often a run is saved; nothing here changes its result."""

    seconds: float = 600.0
    steps: int | None = None
    """Every so many steps, in place of a time."""


def train(
    settings: TrainSettings,
    *,
    examples: Path | Sequence[Path],
    run: Path,
    saving: Saving | None = None,
    parallel: Parallel = "copies",
) -> TrainResult:
    """Train on the examples of one or many folders, or go on, until all stages are done or SIGTERM comes.

    ModelError where the loss is no number; StorageError where the disk is full: the last checkpoint stands.
    """
    folders = [examples] if isinstance(examples, Path) else list(examples)
    with started(parallel) as processes, _stopping() as stopped:
        begin_run(settings, run, folders, processes)
        tokenizer, sets = _read_data(run, folders, processes)
        trainer = Trainer(settings, run, tokenizer, sets, processes, saving or Saving())
        try:
            return trainer.train(stopped)
        finally:
            trainer.close()


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """A function that says whether SIGTERM came."""
    signals: list[int] = []
    try:
        before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    except ValueError:  # not the main thread
        yield lambda: False
        return
    try:
        yield lambda: bool(signals)
    finally:
        signal.signal(signal.SIGTERM, before)


def begin_run(settings: TrainSettings, run: Path, examples: Sequence[Path], processes: Processes) -> None:
    """Make a run's folder with its vocabulary, or check that it was begun with the same settings."""
    if processes.first:
        file = run / "run.json"
        if file.exists():
            try:
                check_same(json.loads(file.read_text())["settings"], settings, run)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(str(file), f"no settings of a run ({error})") from error
        else:
            _new_run(settings, run, examples)
    processes.barrier()


def _new_run(settings: TrainSettings, run: Path, examples: Sequence[Path]) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(str(run), f"can't be made ({error.strerror or error})") from error
    if settings.init:
        tokenizer = Tokenizer.load(Path(settings.init))
    else:
        texts = training_texts(open_examples(*examples), num_chars=VOCABULARY_CHARS)
        tokenizer = train_tokenizer(texts, num_tokens=settings.vocabulary)
    tokenizer.save(run)
    versions = {"irwright": __version__, "torch": torch.__version__}
    facts = {"settings": settings.to_json(), "examples": list(map(str, examples)), "versions": versions}
    write_output(run / "run.json", (json.dumps(facts, indent=2) + "\n").encode())


def _read_data(
    run: Path, examples: Sequence[Path], processes: Processes
) -> tuple[Tokenizer, dict[tuple[Stage, str], TokenSet]]:
    tokenizer = Tokenizer.load(run)
    shards = open_examples(*examples)
    if processes.first:
        if checkpoint.newest(run) is not None and changed_since(shards, tokenizer, run / "tokens"):
            raise ModelError(
                f"the examples in {', '.join(map(str, examples))} changed since {run} was begun; name another -o"
            )
        tokenise(shards, tokenizer, run / "tokens")
    processes.barrier()
    return tokenizer, tokenise(shards, tokenizer, run / "tokens")


def new_model(settings: TrainSettings, tokenizer: Tokenizer) -> Llama:
    """The model a run begins with."""
    if settings.init:
        model = read_model(Path(settings.init))
        tokenizer.check_fits(model.shape.num_tokens, settings.init)
    else:
        shape = preset(settings.preset, num_tokens=tokenizer.num_tokens, context=settings.context)
        model = build(replace(shape, tied=shape.tied and not settings.copying), settings.seed)
        if settings.copying:
            begin_copying(model, torch.Generator().manual_seed(settings.seed))
    if settings.lora_rank:
        add_lora(model, settings.lora_rank, settings.seed)
    model.model.recompute = settings.recompute
    return model


class Trainer:
    """One process's part of a run."""

    def __init__(
        self,
        settings: TrainSettings,
        run: Path,
        tokenizer: Tokenizer,
        sets: dict[tuple[Stage, str], TokenSet],
        processes: Processes,
        saving: Saving,
    ) -> None:
        self.settings, self.run, self.tokenizer, self.sets = settings, run, tokenizer, sets
        self.processes, self.saving = processes, saving
        self.model = new_model(settings, tokenizer).to(processes.device)
        self.context = settings.context or self.model.shape.context
        self.wrapped = processes.wrap(self.model)
        self.optimizer = Optimizer(
            self.model.named_parameters(),
            muon=settings.optimizer == "muon" and not settings.lora_rank,
            matrix_rate=settings.matrix_rate,
            rate=settings.rate,
            weight_decay=settings.weight_decay,
        )
        self.plan = settings.plan()
        self.step, self.stage, self.stage_step = 0, 0, 0
        self._position: Position | None = None
        keep_bytes = self._resume()
        self._metrics = Metrics(run / METRICS_FILE, keep_bytes=keep_bytes) if processes.first else None
        self._saved_at, self._saved_step = time.monotonic(), self.step
        self._last_good = checkpoint.newest(run)

    def close(self) -> None:
        if self._metrics:
            self._metrics.close()

    # ---- what is kept

    def _tensors(self) -> dict[str, Tensor]:
        named = self.model.named_parameters()
        own = {f"model.{name}": parameter.data for name, parameter in named if parameter.requires_grad}
        return own | {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}

    def _resume(self) -> int:
        """Take up the last checkpoint if there is one; how much of metrics.jsonl belongs to it."""
        folder = checkpoint.newest(self.run)
        if folder is None:
            return 0
        state = checkpoint.load_state(folder)
        checkpoint.load_tensors(folder, state, self._tensors())
        self.step, self.stage, self.stage_step = state.step, state.stage, state.stage_step
        self._position = Position.from_json(state.position) if state.position else None
        self.optimizer.num_steps = state.optimizer_steps
        return state.metrics_bytes

    def save(self, stream: Stream | None) -> None:
        """Write a checkpoint."""
        state = checkpoint.State(
            step=self.step,
            stage=self.stage,
            stage_step=self.stage_step,
            position=stream.position.to_json() if stream else None,
            optimizer_steps=self.optimizer.num_steps,
            metrics_bytes=self._metrics.num_bytes if self._metrics else 0,
            sharded=self.processes.sharded,
        )
        self._saved_at, self._saved_step = time.monotonic(), self.step
        barrier = self.processes.barrier if self.processes.sharded else None
        if barrier or self.processes.first:
            self._last_good = checkpoint.save(
                self.run, state, self._tensors(), first=self.processes.first, barrier=barrier
            )

    def _try_save(self, stream: Stream) -> None:
        """Save in the middle: a full disk is said, and training goes on; the end of the run will try again."""
        try:
            self.save(stream)
        except StorageError as error:
            print(f"irwright: warning: {error}; training goes on, unsaved since step {self.step}", file=sys.stderr)

    def _due(self) -> bool:
        if self.saving.steps is not None:
            return self.step - self._saved_step >= self.saving.steps
        seconds = time.monotonic() - self._saved_at if self.processes.first else 0.0
        (longest,) = self.processes.summed([seconds])  # only the first counts, so that all agree
        return longest >= self.saving.seconds

    # ---- the loop

    def train(self, stopped: Callable[[], bool]) -> TrainResult:
        """All that is left of the plan."""
        num_steps = sum(steps for _, steps in self.plan)
        bare = None
        if sys.stderr.isatty() and self.processes.first:
            tokens = max(self.settings.micro_tokens, self.context)
            bare = matmul_rate(self.model.shape, tokens, device=self.processes.device, bf16=self.settings.bf16)
        progress = Progress(num_steps, self.step)
        with progress.shown():
            while self.stage < len(self.plan):
                if not self._train_stage(stopped, progress, bare):
                    return TrainResult(run=self.run, step=self.step, finished=False)
        self._end()
        return TrainResult(run=self.run, step=self.step, finished=True)

    def _train_stage(self, stopped: Callable[[], bool], progress: Progress, bare: float | None) -> bool:
        """The rest of the current stage; False if told to stop in it."""
        stage, num_steps = self.plan[self.stage]
        stream = Stream(
            stage,
            self.sets,
            context=self.context,
            micro_tokens=self.settings.micro_tokens,
            seed=self.settings.seed,
            mix=self.settings.mix(stage),
            position=self._position,
        )
        while self.stage_step < num_steps:
            row = self._one_step(stage, stream, rate_scale(self.stage_step, num_steps))
            if self._metrics:
                self._metrics.add(row)
                share = None if bare is None else row["flops"] / row["seconds"] / bare
                progress.step(row, share=share)
            (stop,) = self.processes.summed([float(stopped())])
            if stop:
                self.save(stream)
                return False
            if self.stage_step < num_steps and self._due():
                self._try_save(stream)
        self._end_stage(stage)
        return True

    def _one_step(self, stage: Stage, stream: Stream, scale: float) -> dict[str, Any]:
        """Forward, backward and update on one step's micro-batches; its line for metrics.jsonl."""
        began = time.perf_counter()
        batches: list[MicroBatch] = []
        while sum(batch.num_tokens for batch in batches) < self.settings.batch_tokens:
            batches.append(stream.take())
        num_targets = max(1, sum(batch.num_targets for batch in batches))
        losses = [
            self._backward(batch, num_targets, last=number == len(batches) - 1) for number, batch in enumerate(batches)
        ]
        losses = self.processes.summed(losses)
        for batch, loss in zip(batches, losses, strict=True):
            if not math.isfinite(loss):
                self._fail(f"the loss is {loss}", stage, batch)
        gradient = clip_gradients(self.model.parameters(), self.settings.clip)
        if not math.isfinite(gradient):
            self._fail(f"the gradient's norm is {gradient}", stage, batches[0])
        self.optimizer.step(scale)
        for parameter in self.model.parameters():
            parameter.grad = None
        self.step += 1
        self.stage_step += 1
        flops = sum(3 * self.model.shape.matmul_flops(batch.ids.shape[1] // 2) * batch.num_tokens for batch in batches)
        return {
            "step": self.step,
            "stage": stage,
            "loss": sum(losses) / num_targets,
            "tokens": sum(batch.num_tokens for batch in batches),
            "targets": num_targets,
            "rate": scale,
            "gradient": gradient,
            "flops": flops,
            "seconds": time.perf_counter() - began,
        }

    def _backward(self, batch: MicroBatch, num_targets: int, *, last: bool) -> float:
        """Add a micro-batch's gradients; the summed loss of this process's rows."""
        own = batch.part(self.processes.rank, self.processes.world)
        device = self.processes.device
        ids, targets = torch.from_numpy(own.ids).to(device), torch.from_numpy(own.targets).to(device)
        with self.processes.accumulating(self.wrapped, last=last):
            with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
                loss = self.wrapped(ids, targets)
            # Processes' gradients are averaged; those of rows are to be summed.
            (loss * (self.processes.world / num_targets)).backward()
        return loss.item()

    def _fail(self, what: str, stage: Stage, batch: MicroBatch) -> None:
        kept = f"the last good checkpoint is {self._last_good}" if self._last_good else "nothing was saved before"
        raise ModelError(f"{what} at step {self.step + 1} ({stage}, {batch.name}); {kept}")

    # ---- ends

    def _end_stage(self, stage: Stage) -> None:
        self._measure_heldout()
        self._write_model(self.run / "stages" / stage)
        self.stage, self.stage_step, self._position = self.stage + 1, 0, None
        self.save(None)

    def _end(self) -> None:
        self._write_model(self.run / "model")
        if self.processes.first:
            with contextlib.suppress(OSError):
                plot(read_metrics(self.run / METRICS_FILE), self.run / "loss.svg")
        self.processes.barrier()

    def _write_model(self, folder: Path) -> None:
        weights = {name: whole(parameter.data) for name, parameter in self.model.named_parameters()}
        if self.processes.first:
            if self.settings.lora_rank:
                weights = plain_weights(weights, self.settings.lora_rank)
            outcomes = self._knows_outcomes()
            write_folder(folder, self.model.shape, weights, self.tokenizer, knows_outcomes=outcomes)
        self.processes.barrier()

    def _knows_outcomes(self) -> bool:
        """True if the model, or the one it began with, has seen prompts of `tune` that say what was measured."""
        if self.settings.init and knows_outcomes(Path(self.settings.init)):
            return True
        tuned = any("tune" in self.settings.mix(stage) for stage, _ in self.plan[: self.stage + 1])
        known = self.tokenizer.is_native and tuned
        return known and self.sets["tune", "train"].has_in_prompt(self.tokenizer.id_of(PASSES))

    @torch.no_grad()
    def _measure_heldout(self) -> None:
        """Loss and token accuracy on held-out examples of every stage so far."""
        for stage, _ in self.plan[: self.stage + 1]:
            row = heldout_row(self.model, self.sets[stage, "heldout"], self.context, self.settings, self.processes)
            if row and self._metrics:
                self._metrics.add({"heldout": stage, "step": self.step, **row})


@torch.no_grad()
def heldout_row(
    model: Llama,
    tokens: TokenSet,
    context: int,
    settings: TrainSettings,
    processes: Processes,
    *,
    max_tokens: int = HELDOUT_TOKENS,
) -> dict[str, Any]:
    """Loss and accuracy by token on the first `max_tokens` of a set; empty where it is empty."""
    loss, hits, count = 0.0, 0, 0
    device = processes.device
    for batch in in_order(tokens, context=context, micro_tokens=settings.micro_tokens, max_tokens=max_tokens):
        ids, targets = torch.from_numpy(batch.ids).to(device), torch.from_numpy(batch.targets).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
            logits = model(ids).float()
        learned = targets != IGNORED
        loss += torch.nn.functional.cross_entropy(logits[learned], targets[learned], reduction="sum").item()
        hits += int((logits[learned].argmax(-1) == targets[learned]).sum())
        count += int(learned.sum())
    return {"loss": loss / count, "accuracy": hits / count, "targets": count} if count else {}


__all__ = ["STAGES", "Saving", "TrainResult", "TrainSettings", "Trainer", "train"]
