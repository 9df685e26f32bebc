"""The commands around language models: `irwright train` and `irwright export`.

cli.py has the other commands, and puts these among them. Heavy imports stand inside the commands; the extras that they
need are asked for by name where they are missing.
"""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from irwright.cli_options import debug_option
from irwright.errors import ToolchainError

if TYPE_CHECKING:
    from irwright.plan import Plan
    from irwright.task import Task
    from irwright.tuner import Propose

F = TypeVar("F", bound=Callable[..., Any])

STAGE_NAMES = ("pretrain", "emulate", "tune", "disassemble")

EXTRAS = {
    "train": ("torch", "transformers", "tokenizers", "safetensors", "gguf"),
    "model": ("xllamacpp", "tokenizers"),
}


def need_extra(extra: str, purpose: str) -> None:
    """ToolchainError where a package of an extra is missing."""
    missing = [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolchainError(
            f"{purpose} needs {missing[0]}, which is not installed", remedy=f"pip install 'irwright[{extra}]'"
        )


def _stages(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    stages = tuple(word.strip() for word in value.split(",") if word.strip())
    unknown = [stage for stage in stages if stage not in STAGE_NAMES]
    if unknown or not stages:
        raise click.BadParameter(f"unknown stage {value!r}; there are {', '.join(STAGE_NAMES)}")
    return stages


def _shares(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[tuple[str, float], ...]:
    """`emulate=30,tune=5` as shares of one."""
    found: dict[str, float] = {}
    for word in filter(None, (part.strip() for part in value.split(","))):
        name, _, percent = word.partition("=")
        try:
            found[name] = float(percent) / 100
        except ValueError as error:
            raise click.BadParameter(f"{word!r} is no share; say it as emulate=30,tune=5 (percent)") from error
    return tuple(found.items())


def _amount(_ctx: click.Context, _parameter: click.Parameter, value: str) -> int:
    units = {"K": 10**3, "M": 10**6, "B": 10**9}
    number, unit = (value[:-1], units[value[-1].upper()]) if value[-1:].upper() in units else (value, 1)
    try:
        amount = round(float(number) * unit)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{value!r} is no number of tokens; give 500000, 500K, 20M or 1.5B") from error
    if amount < 1:
        raise click.BadParameter("give at least one token")
    return amount


def model_options(command: F) -> F:
    """The options that say which model is asked."""
    options = (
        click.option(
            "--model",
            metavar="bundled|FILE|FOLDER|URL",
            help="Try first what this model proposes: irwright's own, a GGUF, a folder of transformers, a server's "
            "(http://HOST:PORT).",
        ),
        click.option(
            "--model-lists", type=click.IntRange(1), default=8, show_default=True, metavar="N", help="How many lists."
        ),
        click.option(
            "--tokenizer",
            type=click.Path(path_type=Path, exists=True),
            metavar="PATH",
            help="Of the model that a server has, if it is one of `irwright train`: tokenizer.json or the GGUF.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def proposing(model: str | None, *, count: int, tokenizer: Path | None, seed: int) -> Generator[Propose | None]:
    """A function that asks the model for lists, while the `with` lasts; what went wrong is said at the end."""
    if model is None:
        yield None
        return
    need_extra("model", "asking a model")
    from irwright.proposers import ModelProposer, open_model, proposed

    asked: list[ModelProposer] = []
    with open_model(model, tokenizer=tokenizer) as opened:

        def propose(ir: str, task: Task) -> Iterable[Plan]:
            proposer = ModelProposer(model=opened, llvm_major=task.evaluator.llvm_major, seed=seed)
            asked.append(proposer)
            return proposed(proposer, ir, count, task)

        yield propose
    problems = Counter(problem for proposer in asked for problem in proposer.problems)
    for problem, times in problems.most_common(5):
        click.echo(f"irwright: warning: {model}: {problem}" + (f" ({times} times)" if times > 1 else ""), err=True)
    num_invalid = sum(proposer.num_invalid for proposer in asked)
    if num_invalid:
        num_asked = sum(proposer.num_asked for proposer in asked)
        click.echo(f"irwright: warning: {model}: {num_invalid} of {num_asked} answers hold no pass list", err=True)


@click.command()
@click.option(
    "--examples",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    multiple=True,
    metavar="DIR",
    help="Of `irwright examples`; may be given again.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RUN",
    help="The run's folder; a run in it goes on.",
)
@click.option(
    "--preset", default="tiny", show_default=True, help="Shape: micro, tiny, small, base, medium, 350m, 1b, 7b, 13b."
)
@click.option(
    "--stages",
    default=",".join(STAGE_NAMES),
    show_default=True,
    callback=_stages,
    metavar="LIST",
    help="In this order.",
)
@click.option(
    "--tokens",
    "num_tokens",
    default="20M",
    show_default=True,
    callback=_amount,
    metavar="N",
    help="Of all stages together.",
)
@click.option(
    "--kept",
    default="",
    callback=_shares,
    metavar="STAGE=PERCENT,...",
    help="Tokens of other stages' examples, in a run of one stage (default: the paper's).",
)
@click.option("--context", type=click.IntRange(32), metavar="N", help="Tokens of a sequence (default: the preset's).")
@click.option(
    "--vocabulary",
    type=click.IntRange(512),
    default=4096,
    show_default=True,
    metavar="N",
    help="Tokens of a new tokenizer.",
)
@click.option(
    "--batch-tokens", type=click.IntRange(1), default=16384, show_default=True, metavar="N", help="Of one step."
)
@click.option(
    "--micro-tokens", type=click.IntRange(1), default=4096, show_default=True, metavar="N", help="In memory at a time."
)
@click.option(
    "--optimizer",
    type=click.Choice(("muon", "adamw")),
    default="muon",
    show_default=True,
    help="Muon is for matrices, AdamW for the rest.",
)
@click.option(
    "--matrix-rate", type=float, default=0.02, show_default=True, metavar="X", help="Muon's peak learning rate."
)
@click.option("--rate", type=float, default=0.003, show_default=True, metavar="X", help="AdamW's.")
@click.option(
    "--init",
    type=click.Path(exists=True, file_okay=False),
    metavar="DIR",
    help="Go on from a Llama as transformers writes it.",
)
@click.option("--lora-rank", type=click.IntRange(0), default=0, metavar="N", help="Train low-rank additions to --init.")
@click.option("--copying", is_flag=True, help="A new model begins with attention heads that copy from its prompt.")
@click.option("--recompute", is_flag=True, help="Less memory, a third more work: for large models.")
@click.option("--float32", is_flag=True, help="Multiply in float32 instead of bfloat16.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N")
@click.option(
    "--save-minutes",
    type=click.FloatRange(0.01),
    default=10.0,
    show_default=True,
    metavar="N",
    help="Between checkpoints.",
)
@click.option(
    "--parallel",
    type=click.Choice(("copies", "parts")),
    default="copies",
    show_default=True,
    help="Under torchrun: DDP or FSDP2.",
)
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Of this process (default: all cores).")
@debug_option
def train(
    examples: tuple[Path, ...],
    output: Path,
    save_minutes: float,
    parallel: Any,
    threads: int | None,
    float32: bool,
    **options: Any,
) -> None:
    """Train a model on the examples of `irwright examples`, stage by stage.

    The same command goes on from the last checkpoint. On SIGTERM a checkpoint is written, and the exit code is 0.
    Many processes: torchrun --nproc-per-node N -m irwright train ...
    """
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    need_extra("train", "training")
    from irwright.lm.settings import TrainSettings
    from irwright.lm.train import Saving
    from irwright.lm.train import train as run_training

    settings = TrainSettings(bf16=not float32, **options)
    result = run_training(
        settings, examples=examples, run=output, saving=Saving(seconds=60 * save_minutes), parallel=parallel
    )
    if os.environ.get("RANK", "0") != "0":
        return
    if result.finished:
        click.echo(f"{output}: {result.step:,} steps; the model is in {output / 'model'}")
    else:
        click.echo(f"{output}: stopped and saved after step {result.step:,}; the same command goes on", err=True)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--to", type=click.Choice(("hf", "gguf")), required=True, help="A folder for transformers, or a file for llama.cpp."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help="Write here (default: beside the run)."
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(("f32", "f16", "q8_0")),
    default="q8_0",
    show_default=True,
    help="Of a GGUF's matrices.",
)
@click.option("--stage", type=click.Choice(STAGE_NAMES), help="The model after this stage (default: the last).")
@debug_option
def export(run: Path, to: Any, output: Path | None, kind: Any, stage: str | None) -> None:
    """Write the model of RUN, a run or any Llama as transformers writes it, for other programs."""
    need_extra("train", "exporting")
    from irwright.lm.export import export as write

    name = run.resolve().name + (f"-{stage}" if stage else "")
    target = output or run.resolve().parent / (f"{name}-{kind}.gguf" if to == "gguf" else f"{name}-hf")
    write(run, target, to=to, kind=kind, stage=stage)
    click.echo(target)
