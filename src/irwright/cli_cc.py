"""The commands `cc` and `c++`: their help, statistics and wrappers.

Commands of a build (`irwright cc -- clang ...`) come here only where start.py was not the entry point; they go to
cc/driver.py either way.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from irwright.cli_options import CompilerFlagsCommand, debug_option


class CompilerCommand(CompilerFlagsCommand):
    """`irwright cc [OPTIONS] [-- COMPILER ARGUMENTS...]`."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*click.Command.collect_usage_pieces(self, ctx), "[-- COMPILER ARGUMENTS...]"]


@click.command(cls=CompilerCommand)
@click.option("--stats", is_flag=True, help="Show what builds saved so far: bytes, cache hits, reasons, top files.")
@click.option("--json", "as_json", is_flag=True, help="Print the statistics as JSON.")
@click.option("--clear", is_flag=True, help="Begin the statistics anew.")
@click.option("--clear-cache", is_flag=True, help="Empty the cache.")
@click.option(
    "--install",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the wrappers clang, cc, clang++ and c++ into a folder; a compiler after -- is what they run.",
)
@debug_option
@click.pass_context
def cc(ctx: click.Context, stats: bool, as_json: bool, clear: bool, clear_cache: bool, install: Path | None) -> int:
    """Run a compiler command of a build, and make its object smaller: CC="irwright cc -- clang".

    Compiles with -Oz or -Os of one C or C++ source to an object (-c) are tuned; whatever else goes to the compiler
    untouched. The plain object is made first, and is what stays where nothing smaller is found or something goes
    wrong.

    \b
    IRWRIGHT_BUDGET    what an object may cost: compilations (8) or wall time (30s)
    IRWRIGHT_ALWAYS    1: tune compiles without -Os or -Oz too
    IRWRIGHT_LISTS_ONLY  1: choose pass lists alone, not how code is generated
    IRWRIGHT_DISABLE   1: do nothing but run the compiler
    IRWRIGHT_VERIFY    inputs on which results are compared with the plain object (8), 0 for none
    IRWRIGHT_CC_CACHE  how large the cache may get (2G), or off
    IRWRIGHT_HELPER    seconds a helper waits for the next compile (15), or off
    IRWRIGHT_CACHE     where cache and statistics are (~/.cache/irwright)
    IRWRIGHT_LOG       a file to write a line on every command to
    """
    from irwright.cc.driver import home, main, open_cache

    command: tuple[str, ...] = ctx.meta["compiler_flags"]
    if install is not None:
        from irwright.cc.wrappers import install as write_wrappers

        for path in write_wrappers(install, *command[:1]):
            click.echo(path)
        return 0
    if not (stats or clear or clear_cache):
        if not command:
            raise click.UsageError("name the compiler after --, as in: irwright cc -- clang -Oz -c foo.c")
        return main(command)
    if stats:
        from irwright.cc.stats import lines_of, read_stats

        told = read_stats(home())
        click.echo(json.dumps(told.to_json(), indent=2) if as_json else "\n".join(lines_of(told)))
    if clear:
        from irwright.cc.stats import clear_events

        clear_events(home())
    cache = open_cache()
    if clear_cache and cache is not None:
        cache.clear()
    return 0


@click.command("c++", cls=CompilerCommand)
@click.pass_context
def cxx(ctx: click.Context) -> int:
    """Run a C++ compiler command of a build, as `irwright cc` does: CXX="irwright c++ -- clang++"."""
    from irwright.cc.driver import main

    command: tuple[str, ...] = ctx.meta["compiler_flags"]
    if not command:
        raise click.UsageError("name the compiler after --, as in: irwright c++ -- clang++ -Oz -c foo.cc")
    return main(command)
