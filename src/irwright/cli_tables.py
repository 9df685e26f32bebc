"""The commands behind the table of good plans: `irwright corpus ...`, what it is made from, and `irwright coreset ...`.

cli.py has the other commands, and puts these among them. Heavy imports stand inside the commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from irwright import __version__
from irwright.cli_options import PROTOCOL_NAMES, debug_option, llvm_option


@click.group()
def corpus() -> None:
    """Get the C of Debian source packages as bitcode, to build coresets and models from."""


@corpus.command()
@click.argument("packages", nargs=-1)
@click.option("--role", type=click.Choice(("training", "heldout")), help="Only the packages of this role.")
@click.option("--keep-trees", is_flag=True, help="Leave the build trees in the cache.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Packages at a time.")
@llvm_option
@debug_option
def fetch(packages: tuple[str, ...], role: Any, keep_trees: bool, jobs: int, llvm: str | None) -> int:
    """Fetch and compile PACKAGES (default: all of the list); what is there already is kept."""
    from irwright.corpus.build import build
    from irwright.corpus.packages import default_cache, load_packages, select_packages
    from irwright.llvm.toolchain import find

    chosen = load_packages(role)
    if packages:
        chosen = select_packages(packages, chosen)
    clang = find(llvm=llvm).need_clang()
    report = build(
        chosen,
        cache=default_cache(),
        clang=clang,
        jobs=jobs,
        progress=lambda line: click.echo(line, err=True),
        keep_trees=keep_trees,
    )
    click.echo(f"{report.num_files:,} files, {report.num_functions:,} functions of {len(chosen)} packages")
    for reason, count in report.reasons.most_common(20):
        click.echo(f"{count:7,}  {reason}")
    return int(any(entry.status == "failed" for entry in report.packages))


@corpus.command()
@debug_option
def stats() -> None:
    """Count packages, files and functions in the cache, by role, each content once."""
    from irwright.corpus.modules import modules
    from irwright.corpus.packages import default_cache

    click.secho(f"{'role':<10}  {'packages':>8}  {'files':>8}  {'functions':>9}", bold=True)
    for role in ("training", "heldout"):
        found = modules(role, cache=default_cache())
        packages, functions = len({module.package for module in found}), sum(m.num_functions for m in found)
        click.echo(f"{role:<10}  {packages:>8,}  {len(found):>8,}  {functions:>9,}")


@click.group()
def coreset() -> None:
    """The ordered table of good pass lists that searches begin with."""


protocol_option = click.option(
    "--protocol", type=click.Choice(PROTOCOL_NAMES), default="oz", show_default=True, help="The table's protocol."
)


@coreset.command()
@protocol_option
@click.option("--llvm-version", type=click.IntRange(17), default=22, show_default=True, help="Of which LLVM.")
@debug_option
def show(protocol: str, llvm_version: int) -> None:
    """Print the table that tune begins with, best plan first."""
    from irwright.coreset import load_coreset

    table = load_coreset(protocol, llvm_version)
    for title, plans in (("whole lists", table.lists), ("plans in pieces, joined per function", table.pieces)):
        click.secho(f"{len(plans)} {title}", bold=True)
        for number, plan in enumerate(plans, 1):
            click.echo(f"{number:4}  {plan.as_list() if plan.is_one_list else json.dumps(plan.to_json())}")


@coreset.command("build")
@protocol_option
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Write the table here.")
@click.option(
    "--trials", type=click.Path(path_type=Path), required=True, help="Keep trials here, and resume from them."
)
@click.option("--search-modules", type=click.IntRange(1), metavar="N", help="How many training modules to search.")
@click.option("--compilations", type=click.IntRange(1), metavar="N", help="What each search may cost.")
@click.option("--broadcast-modules", type=click.IntRange(1), metavar="N", help="How many to try the winners on.")
@click.option("--seed", type=int, metavar="N", help="Of the search's random choices.")
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Modules at a time (default: all cores).")
@llvm_option
@debug_option
def build_coreset(
    protocol: str,
    output: Path,
    trials: Path,
    search_modules: int | None,
    compilations: int | None,
    broadcast_modules: int | None,
    seed: int | None,
    jobs: int | None,
    llvm: str | None,
) -> None:
    """Make a table from the training modules of `irwright corpus fetch`: search, broadcast, order."""
    from dataclasses import asdict

    from irwright.coreset import write_coreset
    from irwright.coreset_build import Builder, BuildSettings, training_samples
    from irwright.corpus.packages import default_cache
    from irwright.files import write_output
    from irwright.llvm.toolchain import find
    from irwright.llvm.worker import default_jobs
    from irwright.measure import PROTOCOLS

    toolchain = find(llvm=llvm)
    given = {
        "search_modules": search_modules,
        "search_compilations": compilations,
        "broadcast_modules": broadcast_modules,
        "seed": seed,
    }
    settings = BuildSettings(**{name: value for name, value in given.items() if value is not None})
    builder = Builder(
        training_samples(default_cache(), settings.seed),
        trials,
        PROTOCOLS[protocol],
        library=toolchain.library.path,
        llvm_major=toolchain.major,
        settings=settings,
        jobs=jobs or default_jobs(),
        progress=lambda what, done, total: click.echo(f"{what} {done}/{total}", err=True),
    )
    made_by = {
        "command": f"irwright coreset build --protocol {protocol} --trials TRIALS -o TABLE",
        "irwright": __version__,
        "llvm": toolchain.library.version,
        **asdict(settings),
    }
    table = builder.run()
    write_output(output, write_coreset(table, protocol=protocol, llvm_major=toolchain.major, made_by=made_by).encode())
    click.echo(f"{len(table.lists)} lists and {len(table.pieces)} plans in pieces in {output}")
