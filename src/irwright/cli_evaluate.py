"""The commands `evaluate` and `emulate`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from irwright.cli_models import need_extra
from irwright.cli_options import PROTOCOL_NAMES, CompilerFlagsCommand, debug_option, llvm_option
from irwright.errors import IrwrightError

if TYPE_CHECKING:
    from irwright.emulation import Emulation

TASK_NAMES = ("tune", "ship", "disassemble", "emulate")
OBJECT_NAMES = ("files", "functions")


def _names(_ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))
    known = {"tasks": TASK_NAMES, "protocols": PROTOCOL_NAMES, "objects": OBJECT_NAMES}.get(parameter.name or "", ())
    unknown = [word for word in words if known and word not in known]
    if unknown or not words:
        raise click.BadParameter(f"unknown {(unknown or [value])[0]!r}; there are {', '.join(known)}")
    return words


def _numbers(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        numbers = sorted({int(word) for word in value.split(",")})
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no list of compilations; give 1,2,3,5,8,16") from error
    if numbers[0] < 1:
        raise click.BadParameter("give at least one compilation")
    return tuple(numbers)


def _list_option(name: str, parameter: str, default: str, text: str, metavar: str = "NAME,...") -> Any:
    return click.option(
        name, parameter, default=default, show_default=True, callback=_names, metavar=metavar, help=text
    )


@click.command(cls=CompilerFlagsCommand)
@click.option(
    "--suite",
    required=True,
    metavar="SUITE",
    help="What to measure on: a folder of C and C++, mibench:DIR, embench:DIR, polybench:DIR, debian:PKG,PKG or "
    "corpus:heldout.",
)
@_list_option("--tasks", "tasks", "tune", "Of tune, ship (tuned, verified, timed as a whole), disassemble and emulate.")
@_list_option(
    "--proposers",
    "proposers",
    "coreset,feedback,random",
    "Who tunes: coreset, feedback, mix, random, compose, evolve, model; compose@300 with one budget of its own.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="bundled|FILE|FOLDER|URL",
    help="A language model that is asked in every task (as in tune); may be given more than once.",
)
@click.option(
    "--tokenizer", type=click.Path(path_type=Path, exists=True), metavar="PATH", help="Of the model a server has."
)
@click.option(
    "--budget",
    "budgets",
    default="1,2,3,5,8,16",
    show_default=True,
    callback=_numbers,
    metavar="N,...",
    help="Compilations.",
)
@_list_option("--protocol", "protocols", "oz", "Of oz, paper and instructions.")
@_list_option("--objects", "objects", "files,functions", "Whole files, functions as objects, or both.")
@click.option("--num", type=click.IntRange(1), metavar="N", help="Cases of each kind of object (default: all).")
@click.option(
    "--max-instructions",
    type=click.IntRange(1),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Larger cases are left out.",
)
@click.option(
    "--variants", type=click.IntRange(1), default=24, show_default=True, metavar="N", help="The lifter's, a function."
)
@click.option(
    "--lists", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Emulated on each function."
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of cases, lists and searches.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="Of one compilation.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Rows and report go here; a run that was killed goes on from it.",
)
@click.option("--no-times", is_flag=True, help="Leave times out of the report: the same rows, the same bytes.")
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Worker processes (default: all cores).")
@click.option("--ray", metavar="ADDRESS", help="Measure on a Ray cluster (auto, local, or its address).")
@llvm_option
@debug_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    suite: str,
    output: Path,
    no_times: bool,
    jobs: int | None,
    ray: str | None,
    llvm: str | None,
    tokenizer: Path | None,
    **options: Any,
) -> int:
    """Measure proposers, models and the lifter on a suite, and write a report.

    Everything is compared at equal numbers of compilations, with intervals and tests over projects. The folder gets
    report.html (one page), report.json (its tables) and cases.jsonl (a row for each measurement); what is in it
    already is not measured again. Flags for the compiler come after --, as in: -- -Iinclude -DNDEBUG
    """
    from irwright.evaluation.cases import Settings
    from irwright.evaluation.report import summary_text, write_report
    from irwright.evaluation.run import evaluate as measure

    if options["models"]:
        need_extra("model", "asking a model")
    try:
        settings = Settings(**options)
    except IrwrightError as error:
        raise click.UsageError(str(error)) from error
    started = time.monotonic()
    evaluation = measure(
        suite,
        output,
        settings,
        flags=ctx.meta["compiler_flags"],
        jobs=jobs,
        ray=ray,
        llvm=llvm,
        tokenizer=tokenizer,
        on_progress=_progress,
    )
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    sections = write_report(evaluation, output, times=not no_times)
    click.echo(summary_text(evaluation, sections))
    click.echo(f"\nwrote {output / 'report.html'}, report.json and cases.jsonl ({time.monotonic() - started:.0f} s)")
    return 1 if all("problem" in row for row in evaluation.rows) else 0


def _progress(done: int, total: int, name: str) -> None:
    """One line that is written over, on a terminal alone."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{done:,} of {total:,} cases, {name[:60]}", err=True, nl=False)


@click.command(cls=CompilerFlagsCommand)
@click.argument("path", metavar="FILE")
@click.option("--passes", required=True, metavar="LIST", help="The pass list, as in `opt -passes`.")
@click.option("--model", metavar="bundled|FILE|FOLDER|URL", help="Who foresees; without, what -Oz does is guessed.")
@click.option(
    "--tokenizer", type=click.Path(path_type=Path, exists=True), metavar="PATH", help="Of the model a server has."
)
@click.option("--function", metavar="NAME", help="This function alone, as an object of its own.")
@click.option(
    "--output",
    type=click.Choice(("ir", "asm")),
    default="ir",
    show_default=True,
    help="What is foreseen: LLVM IR or assembly.",
)
@click.option("--diff/--no-diff", "with_diff", default=True, help="Show where the prediction is not what LLVM does.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, the code of both included.")
@llvm_option
@debug_option
@click.pass_context
def emulate(
    ctx: click.Context,
    path: str,
    passes: str,
    model: str | None,
    tokenizer: Path | None,
    function: str | None,
    output: Literal["ir", "asm"],
    with_diff: bool,
    as_json: bool,
    llvm: str | None,
) -> int:
    """Foresee what a pass list makes of code, and compare with what LLVM makes of it.

    FILE is C, C++ or LLVM IR; flags for the compiler come after --. Both sides work on the code as a model is shown it,
    in canonical form. The exit code is 0 whether or not the prediction is right.
    """
    from irwright.emulation import emulate as foresee

    if model is not None:
        need_extra("model", "asking a model")
    result = foresee(
        path,
        passes,
        function=function,
        model=model,
        output=output,
        flags=ctx.meta["compiler_flags"],
        llvm=llvm,
        tokenizer=tokenizer,
    )
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        _print_emulation(result, with_diff)
    return 0


def _print_emulation(result: Emulation, with_diff: bool) -> None:
    before, truth, predicted = result.before, result.truth, result.predicted
    width = max(9, len(result.predictor))
    click.secho(f"{'':<{width}}  {'instructions':>12}  {'bytes':>8}", bold=True)
    for name, counts in (("before", before), ("opt", truth), (result.predictor, predicted)):
        numbers = ("–", "–") if counts is None else (f"{counts.num_instructions:,}", f"{counts.object_bytes:,}")
        click.echo(f"{name:<{width}}  {numbers[0]:>12}  {numbers[1]:>8}")
    one = result.score
    what = "IR" if result.output == "ir" else "assembly"
    words = [
        f"exact: the {what} is LLVM's own" if one.exact else f"valid {what}, not LLVM's" if one.valid else "not valid"
    ]
    words += [f"bytes off by {100 * one.bytes_error:.1f} %"] if one.bytes_error is not None else ["no size named"]
    click.echo(", ".join(words) + (f" ({one.problem})" if one.problem else ""))
    if with_diff and not one.exact:
        for line in result.diff():
            click.secho(line, fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))
