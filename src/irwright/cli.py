"""The command line: a command parses, calls one library function, prints.

Shared options are in cli_options.py, other commands in files of their own: `corpus` and `examples` in cli_corpus.py,
`coreset` in cli_tables.py, `cc` and `c++` in cli_cc.py, `screen` in cli_screen.py, `verify` in cli_verify.py,
`disassemble` and `roundtrip` in cli_lift.py, `emulate` and `evaluate` in
cli_evaluate.py.

stdout carries the result, stderr progress, warnings and errors. Exit codes: 0 all is well, 1 an error of one
line, 2 usage, 130 interrupted. Heavy imports stand inside the commands: `irwright --help` is to start at once.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from irwright import __version__
from irwright.cli_cc import cc, cxx
from irwright.cli_corpus import corpus, examples
from irwright.cli_evaluate import emulate, evaluate
from irwright.cli_lift import disassemble, roundtrip
from irwright.cli_models import export, model_options, proposing, train
from irwright.cli_options import KIND_NAMES, CompilerFlagsCommand, debug_option, llvm_option, tuning_options
from irwright.cli_screen import screen
from irwright.cli_tables import coreset
from irwright.cli_verify import verify
from irwright.errors import IrwrightError

if TYPE_CHECKING:
    from irwright.files import Input
    from irwright.tuner import Settings, TuneResult

logger = logging.getLogger(__name__)

INTERRUPTED = 130


class OrderedGroup(click.Group):
    """Commands in the order they are defined in: the main job first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=OrderedGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", "-V", message="irwright %(version)s")
@debug_option
def cli() -> None:
    """Make objects smaller than `clang -Oz` does, by searching LLVM pass lists."""


def _settings(
    *,
    inliner: bool,
    outliner: bool,
    lists_only: bool,
    trials: Path | None,
    timeout: float,
    jobs: int | None,
    verify_seeds: int,
    no_verify: bool,
    ignore_always_inline: bool,
    **others: Any,
) -> Settings:
    from irwright.task import Switches
    from irwright.tuner import make_settings

    return make_settings(
        switches=Switches(inliner=inliner, outliner=outliner, lists=lists_only),
        trials_folder=trials,
        timeout_seconds=timeout,
        verify_seeds=0 if no_verify else verify_seeds,
        always_inline=not ignore_always_inline,
        **others,
    )


def _read_inputs(paths: Sequence[str], compile_commands: Path | None, flags: tuple[str, ...]) -> list[Input]:
    from dataclasses import replace

    from irwright.files import Input, as_input, read_compile_commands

    if compile_commands is not None:
        entries = read_compile_commands(compile_commands, [Path(path) for path in paths])
        return [replace(entry, flags=(*entry.flags, *flags)) for entry in entries]
    if not paths:
        raise click.UsageError("name the files to tune, or a compile_commands.json with -p")
    stdin = paths.count("-")
    if stdin > 1:
        raise click.UsageError("standard input can be read once")
    return [
        Input(name="<stdin>", data=sys.stdin.buffer.read(), flags=flags) if path == "-" else as_input(path, flags)
        for path in paths
    ]


@cli.command(cls=CompilerFlagsCommand)
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("-o", "--output", metavar="FILE|FOLDER", help="Write the result here; a folder for several inputs.")
@click.option("--emit", type=click.Choice(KIND_NAMES), default="obj", show_default=True, help="What to write.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of results in place of the table.")
@click.option(
    "-p",
    "--compile-commands",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Tune what a compile_commands.json compiles (those of PATH... if any), each with its own flags.",
)
@tuning_options
@model_options
@click.pass_context
def tune(
    ctx: click.Context,
    paths: tuple[str, ...],
    output: str | None,
    emit: str,
    as_json: bool,
    compile_commands: Path | None,
    model: str | None,
    model_lists: int,
    tokenizer: Path | None,
    **options: Any,
) -> int:
    """Search for smaller objects of C, C++ and LLVM IR files.

    PATH is a .c, .cc, .cpp, .cxx, .i, .ll or .bc file, or - for IR from standard input. Compiler flags come
    after --, as in: irwright tune -o build/ src/*.c -- -Iinclude -DNDEBUG

    Without -o nothing is written. A result is never larger than what clang -Oz makes: where nothing smaller is
    found, that is the result.
    """
    from dataclasses import replace

    from irwright.console import ProgressLine, ResultTable
    from irwright.tuner import TuneFailure, tune_files

    started = time.monotonic()
    if options["proposer"] == "model" and model is None:
        raise click.UsageError("--proposer model needs a --model")
    inputs = _read_inputs(paths, compile_commands, ctx.meta["compiler_flags"])
    settings = _settings(emit=emit, **options)
    table = ResultTable([item.name for item in inputs], settings.protocol, to_stderr=output == "-")
    if output == "-" and (len(inputs) > 1 or as_json):
        raise click.UsageError("-o - writes one result to standard output, and nothing else")
    results: list[TuneResult] = []
    with (
        proposing(model, count=model_lists, tokenizer=tokenizer, seed=settings.seed) as propose,
        ProgressLine(len(inputs), settings.budget) as progress,
    ):
        for outcome in tune_files(
            inputs,
            replace(settings, propose=propose),
            output=None if output == "-" else output,
            jobs=options["jobs"],
            on_progress=progress.update,
        ):
            progress.finished(outcome.file)
            with progress.paused():
                if isinstance(outcome, TuneFailure):
                    _print_error(outcome.error, file=outcome.file, debug=ctx.meta.get("debug", False))
                else:
                    results.append(outcome)
                    _print_remarks(outcome)
                if not as_json and (results or len(inputs) > 1):
                    table.row(outcome)
    if as_json:
        click.echo(json.dumps([result.to_json() for result in results], indent=2))
    elif results:
        table.footer(seconds=time.monotonic() - started, settings=settings)
    if output == "-" and results:
        sys.stdout.buffer.write(results[0].artefacts[emit])
    return 0 if len(results) == len(inputs) else 1


def _print_remarks(result: TuneResult) -> None:
    for line in result.warnings:
        click.echo(f"irwright: warning: {line}", err=True)
    for line in result.notes:
        logger.debug("%s: %s", result.file, line)


@cli.command(cls=CompilerFlagsCommand)
@click.argument("path", metavar="PATH")
@click.option("--passes", metavar="LIST", help="Explain this pass list (default: the one that tuning finds).")
@click.option("--functions", type=click.IntRange(0), default=2, show_default=True, help="How many to show the code of.")
@tuning_options
@click.pass_context
def explain(ctx: click.Context, path: str, passes: str | None, functions: int, **options: Any) -> None:
    """Show which passes of a list earn how many bytes, and how the code of functions changed."""
    from irwright.console import ProgressLine, print_explanation
    from irwright.explain import explain as take_apart

    (item,) = _read_inputs([path], None, ctx.meta["compiler_flags"])
    settings = _settings(**options)
    with ProgressLine(1, settings.budget) as progress:
        explanation = take_apart(
            item,
            settings,
            passes=passes,
            num_functions=functions,
            jobs=options["jobs"],
            on_progress=progress.update,
        )
    _print_remarks(explanation.result)
    print_explanation(explanation)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@llvm_option
@debug_option
def doctor(as_json: bool, llvm: str | None) -> int:
    """Show the LLVM libraries and clangs found, the targets they serve, and what is missing.

    Exits with 1 where C can't be tuned for this machine.
    """
    from irwright.doctor import diagnose

    diagnosis = diagnose(llvm)
    if as_json:
        click.echo(json.dumps(diagnosis.to_json(), indent=2))
    else:
        from irwright.console import print_diagnosis

        print_diagnosis(diagnosis)
    return 0 if diagnosis.healthy else 1


@cli.command()
@click.option("--llvm-version", type=click.IntRange(17), default=22, show_default=True, help="Of which LLVM.")
@click.option("--left-out", is_flag=True, help="List the passes left out, with the reasons, instead.")
@debug_option
def passes(llvm_version: int, left_out: bool) -> None:
    """List the passes that pass lists are made of."""
    from irwright.console import print_left_out, print_passes

    (print_left_out if left_out else print_passes)(llvm_version)


cli.add_command(cc)
cli.add_command(cxx)
cli.add_command(screen)
cli.add_command(verify)
cli.add_command(disassemble)
cli.add_command(roundtrip)
cli.add_command(emulate)
cli.add_command(evaluate)
cli.add_command(corpus)
cli.add_command(examples)
cli.add_command(train)
cli.add_command(export)
cli.add_command(coreset)


def _print_error(error: IrwrightError, *, file: str = "", debug: bool = False) -> None:
    """One line that names the file."""
    if debug:
        import traceback

        traceback.print_exception(error)
    where = f"{file}: " if file and file not in str(error) else ""
    click.echo(f"irwright: error: {where}{error}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `irwright`."""
    logging.basicConfig(format="irwright: %(levelname)s: %(message)s", level=logging.WARNING)
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = words[: words.index("--")] if "--" in words else words
    sys.exit(_run(words, debug="--debug" in own))


def _run(words: list[str], *, debug: bool) -> int:
    try:
        code = cli.main(args=words, prog_name="irwright", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("irwright: interrupted", err=True)
        return INTERRUPTED
    except IrwrightError as error:
        _print_error(error, debug=debug)
        return 1
    except BrokenPipeError:
        sys.stdout = None  # nobody reads: nothing more to say, not even at exit
        return 1
    return code if isinstance(code, int) else 0
