"""The commands of the table of good plans, `irwright coreset ...`.

cli.py has the other commands, and puts this one among them. Heavy imports stand inside the commands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from irwright import __version__
from irwright.cli_options import PROTOCOL_NAMES, debug_option, llvm_option

if TYPE_CHECKING:
    from irwright.coreset_build import Builder, BuildSettings, Sample
    from irwright.llvm.toolchain import Toolchain


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


output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Write the table here."
)
trials_option = click.option(
    "--trials", type=click.Path(path_type=Path), required=True, help="Keep trials here, and resume from them."
)


@coreset.command("order-large")
@protocol_option
@output_option
@trials_option
@click.option("--modules", "num_modules", type=click.IntRange(1), metavar="N", help="How many large training modules.")
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Modules at a time (default: all cores).")
@llvm_option
@debug_option
def order_large(
    protocol: str, output: Path, trials: Path, num_modules: int | None, jobs: int | None, llvm: str | None
) -> None:
    """Order the plans of the shipped table once more, for large modules: broadcast to large training files."""
    from dataclasses import replace

    from irwright.coreset import read_coreset, table_text, write_coreset
    from irwright.coreset_build import BuildSettings, training_samples
    from irwright.corpus.packages import default_cache
    from irwright.files import write_output
    from irwright.llvm.toolchain import find

    toolchain = find(llvm=llvm)
    settings = BuildSettings()
    if num_modules is not None:
        settings = replace(settings, large_modules=num_modules)
    text = table_text(protocol, toolchain.major)
    builder = _builder(training_samples(default_cache(), settings.seed), trials, protocol, toolchain, settings, jobs)
    table = builder.order_for_large(read_coreset(text, toolchain.major))
    made_by = {
        **json.loads(text)["made_by"],
        "large_command": f"irwright coreset order-large --protocol {protocol} --trials TRIALS -o TABLE",
        "large_modules": settings.large_modules,
        "large_from": settings.large_from,
        "large_to": settings.large_to,
    }
    write_output(output, write_coreset(table, protocol=protocol, llvm_major=toolchain.major, made_by=made_by).encode())
    click.echo(f"an order for modules from {table.large_from:,} instructions on in {output}")


@coreset.command("build")
@protocol_option
@output_option
@trials_option
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
    from irwright.coreset_build import BuildSettings, training_samples
    from irwright.corpus.packages import default_cache
    from irwright.files import write_output
    from irwright.llvm.toolchain import find

    toolchain = find(llvm=llvm)
    given = {
        "search_modules": search_modules,
        "search_compilations": compilations,
        "broadcast_modules": broadcast_modules,
        "seed": seed,
    }
    settings = BuildSettings(**{name: value for name, value in given.items() if value is not None})
    builder = _builder(training_samples(default_cache(), settings.seed), trials, protocol, toolchain, settings, jobs)
    made_by = {
        "command": f"irwright coreset build --protocol {protocol} --trials TRIALS -o TABLE",
        "irwright": __version__,
        "llvm": toolchain.library.version,
        **asdict(settings),
    }
    table = builder.run()
    write_output(output, write_coreset(table, protocol=protocol, llvm_major=toolchain.major, made_by=made_by).encode())
    click.echo(f"{len(table.lists)} lists and {len(table.pieces)} plans in pieces in {output}")


@coreset.command("learn")
@protocol_option
@output_option
@trials_option
@click.option(
    "--plans", type=click.Path(path_type=Path, exists=True), help="A table or list of plans (default: known)."
)
@click.option("--functions", "num", type=click.IntRange(20), default=500, show_default=True, help="To try them on.")
@click.option("--alone-only", is_flag=True, help="What is learnt serves modules of one function only.")
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Functions at a time (default: all cores).")
@llvm_option
@debug_option
def learn_outcomes(
    protocol: str,
    output: Path,
    trials: Path,
    plans: Path | None,
    num: int,
    alone_only: bool,
    jobs: int | None,
    llvm: str | None,
) -> None:
    """Learn from outcomes of plans on training functions what `tune --proposer feedback` knows."""
    from irwright.coreset_build import BuildSettings
    from irwright.corpus.packages import default_cache
    from irwright.feedback.knowledge import load_knowledge, write_knowledge
    from irwright.feedback.learn import LearnSettings
    from irwright.feedback_build import OutcomeBuilder, learn_from, read_plans, training_functions
    from irwright.files import write_output
    from irwright.llvm.toolchain import find

    toolchain = find(llvm=llvm)
    shipped = load_knowledge(protocol, toolchain.major)
    known = () if shipped is None else tuple(plan for plan in shipped.plans if plan is not None)
    tried = known if plans is None else read_plans(plans, toolchain.major)
    settings = BuildSettings()
    samples = list(training_functions(default_cache(), settings.seed))
    builder = _builder(samples, trials, protocol, toolchain, settings, jobs)
    observed = OutcomeBuilder(builder, samples, tried).observe(num)
    made_by = {
        "command": f"irwright coreset learn --protocol {protocol} --functions {num} --trials TRIALS -o FILE",
        "irwright": __version__,
        "llvm": toolchain.library.version,
    }
    knowledge, checked = learn_from(observed, LearnSettings(alone_only=alone_only, shares=True), made_by)
    write_output(output, write_knowledge(knowledge, llvm_major=toolchain.major))
    for name in ("fixed order", "feedback"):
        saved = ", ".join(f"{percent} % at {k}" for k, percent in checked[name].items())
        click.echo(f"{name}, other projects: {saved}")
    click.echo(f"{checked['plans']} plans on {checked['functions']} functions in {output}")


def _builder(
    samples: Sequence[Sample],
    trials: Path,
    protocol: str,
    toolchain: Toolchain,
    settings: BuildSettings,
    jobs: int | None,
) -> Builder:
    """A build that says on stderr how far it is."""
    from irwright.coreset_build import Builder
    from irwright.llvm.worker import default_jobs
    from irwright.measure import PROTOCOLS

    return Builder(
        samples,
        trials,
        PROTOCOLS[protocol],
        library=toolchain.library.path,
        llvm_major=toolchain.major,
        settings=settings,
        jobs=jobs or default_jobs(),
        progress=lambda what, done, total: click.echo(f"{what} {done}/{total}", err=True),
    )
