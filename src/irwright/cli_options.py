"""Options that several commands share.

Names of strategies and protocols are spelled here again, because the modules that define them are slow to import; a
test compares them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from irwright.errors import IrwrightError

F = TypeVar("F", bound=Callable[..., Any])

STRATEGY_NAMES = ("compose", "coreset", "evolve", "feedback", "mix", "random")
PROPOSER_NAMES = ("coreset", "feedback", "model", "mix")
PROTOCOL_NAMES = ("oz", "paper", "instructions")
KIND_NAMES = ("obj", "bc", "ll", "asm")


class CompilerFlagsCommand(click.Command):
    """A command whose arguments after `--` are compiler flags, kept as they are in `ctx.meta`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta["compiler_flags"] = tuple(args[at + 1 :])
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMPILER FLAGS]"]


def _set_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta["debug"] = True
        logging.getLogger("irwright").setLevel(logging.DEBUG)


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_set_debug,
    help="Show log messages, and the traceback of an error.",
)

llvm_option = click.option("--llvm", metavar="VERSION|PATH", help="An LLVM version (19), libLLVM, clang or folder.")


def _budget(_ctx: click.Context, _parameter: click.Parameter, value: str) -> Any:
    from irwright.task import Budget

    try:
        return Budget.parse(value)
    except IrwrightError as error:
        raise click.BadParameter(str(error)) from error


_TUNING_OPTIONS = (
    click.option(
        "-b",
        "--budget",
        default="16",
        show_default=True,
        callback=_budget,
        metavar="N|TIME",
        help="What each file may cost: compilations (16) or wall time (30s, 5m).",
    ),
    click.option(
        "--strategy", type=click.Choice(STRATEGY_NAMES), default="compose", show_default=True, help="How to search."
    ),
    click.option(
        "--proposer",
        type=click.Choice(PROPOSER_NAMES),
        default="feedback",
        show_default=True,
        help="Who chooses what a small budget tries: a table in fixed order, the outcomes so far, a"
        " --model (and then the table), or all of them by what each has saved.",
    ),
    click.option(
        "--protocol",
        type=click.Choice(PROTOCOL_NAMES),
        default="oz",
        show_default=True,
        help="How size is measured, and against what.",
    ),
    click.option("--target", metavar="TRIPLE", help="Compile for this target (default: what flags or IR say)."),
    click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Of the search's random choices."),
    llvm_option,
    click.option("--inliner", is_flag=True, help="Also try inliner thresholds other than LLVM's."),
    click.option("--outliner", is_flag=True, help="Also try LLVM's machine outliner."),
    click.option(
        "--lists-only",
        is_flag=True,
        help="Choose pass lists alone, not how code is generated: no frame pointers, nothing as by -Os.",
    ),
    click.option(
        "--ignore-always-inline",
        is_flag=True,
        help="Leave functions marked always_inline to the lists: smaller, slower, and no fortified libc calls.",
    ),
    click.option("--minimise", is_flag=True, help="Shorten the winning list; costs compilations on top."),
    click.option(
        "--trials",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Keep trials here, and resume from them.",
    ),
    click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(0.1),
        default=30.0,
        show_default=True,
        help="What one compilation may take.",
    ),
    click.option(
        "--verify-seeds",
        metavar="N",
        type=click.IntRange(1),
        default=8,
        show_default=True,
        help="Inputs on which each function of a result is compared with -Oz's, under emulation.",
    ),
    click.option("--no-verify", is_flag=True, help="Compare nothing."),
    click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Compile workers (default: all cores)."),
    debug_option,
)


def tuning_options(command: F) -> F:
    """The options that say how a file is searched."""
    for option in reversed(_TUNING_OPTIONS):
        command = option(command)
    return command
