"""The command `screen`. cli.py puts it among the others; heavy imports stand inside the command."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from irwright.cli_options import PROTOCOL_NAMES, STRATEGY_NAMES, CompilerFlagsCommand, debug_option, llvm_option

if TYPE_CHECKING:
    from irwright.candidates import Candidate
    from irwright.screen_results import ProgramReport


@click.command(cls=CompilerFlagsCommand)
@click.argument("lists", nargs=-1, metavar="[LIST|FILE]...")
@click.option(
    "--programs",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Self-checking C and C++ programs; may be given again.",
)
@click.option("--csmith", type=click.IntRange(1), metavar="N", help="Also N programs of csmith's.")
@click.option(
    "--coreset", "coresets", multiple=True, type=click.Choice(PROTOCOL_NAMES[:2]), help="Screen this shipped table."
)
@click.option("--joined", type=click.IntRange(1), metavar="N", help="Also N joins of the tables' pieces at random.")
@click.option("--each-pass", is_flag=True, help="Screen every pass of the pass space by itself.")
@click.option("--random", "num_random", type=click.IntRange(1), metavar="N", help="Screen N random lists.")
@click.option("--search", type=click.Choice(STRATEGY_NAMES), help="Screen what this search finds for each program.")
@click.option("-b", "--budget", default="16", show_default=True, metavar="N|TIME", help="Of --search, each program.")
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Of what is drawn or searched.")
@click.option("--max-programs", type=click.IntRange(1), metavar="N", help="Only N of the programs, spread evenly.")
@click.option("--run-seconds", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Limit of each run.")
@click.option(
    "--store",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep judgements here (JSON lines), and go on from them.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write program, shortest plan, IR and object of each wrong result there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Programs at a time (default: all cores).")
@llvm_option
@debug_option
@click.pass_context
def screen(
    ctx: click.Context,
    lists: tuple[str, ...],
    folders: tuple[Path, ...],
    csmith: int | None,
    max_programs: int | None,
    run_seconds: float,
    store: Path | None,
    save: Path | None,
    as_json: bool,
    jobs: int | None,
    llvm: str | None,
    seed: int,
    **what: object,
) -> int:
    """Check that pass lists keep self-checking programs working.

    Give LISTs, files of lists (one a line), a plan or a table (.json), or let options name what to screen. A program
    is right if it ends with code 0 and prints what plain clang's builds of it print. Exits with 1 if any is wrong.
    Programs run as you, under limits of time and memory: run no stranger's.
    """
    from irwright.llvm.toolchain import find
    from irwright.llvm.worker import default_jobs
    from irwright.screen import screen as screen_programs
    from irwright.screen_results import Summary
    from irwright.verify.programs import Limits, csmith_programs, find_programs

    if not folders and not csmith:
        raise click.UsageError("name programs to screen with: --programs DIR, or --csmith N")
    started = time.monotonic()
    toolchain = find(llvm=llvm)
    candidates = _candidates(lists, toolchain.major, seed=seed, **what)  # type: ignore[arg-type]
    programs = [one for folder in folders for one in find_programs(folder, ctx.meta["compiler_flags"])]
    with tempfile.TemporaryDirectory(prefix="irwright-csmith-") as scratch:
        if csmith:
            programs += csmith_programs(csmith, seed, Path(scratch))
        if max_programs is not None and max_programs < len(programs):
            programs = [programs[at * len(programs) // max_programs] for at in range(max_programs)]
        limits = Limits(seconds=run_seconds)
        reports: list[ProgramReport] = []
        num_jobs = jobs or default_jobs()
        running = screen_programs(programs, candidates, llvm=llvm, jobs=num_jobs, limits=limits, store=store, save=save)
        for report in running:
            reports.append(report)
            if sys.stderr.isatty():
                click.echo(f"\r{len(reports)}/{len(programs)} {report.program:<60.60}", err=True, nl=False)
    if sys.stderr.isatty():
        click.echo("\r" + " " * 78 + "\r", err=True, nl=False)
    summary = Summary.of(reports, candidates, llvm=toolchain.library.version, seconds=time.monotonic() - started)
    if as_json:
        click.echo(json.dumps(summary.to_json(), indent=2))
    else:
        from irwright.console import print_screening

        print_screening(summary)
    return 1 if summary.num_wrong else 0


def _candidates(
    lists: Sequence[str],
    major: int,
    *,
    seed: int,
    coresets: Sequence[str],
    joined: int | None,
    each_pass: bool,
    num_random: int | None,
    search: str | None,
    budget: str,
) -> list[Candidate]:
    from irwright import candidates as make
    from irwright.coreset import load_coreset
    from irwright.task import Budget

    found = [one for text in lists for one in make.read_candidates(text, major)]
    for name in coresets:
        found += make.coreset_candidates(load_coreset(name, major))
    if joined:
        for name in coresets or ("oz",):
            found += make.joined_candidates(load_coreset(name, major), joined, seed)
    if each_pass:
        found += make.pass_candidates(major)
    if num_random:
        found += make.random_candidates(num_random, seed, major)
    if search:
        found.append(make.search_candidate(search, Budget.parse(budget), seed, lambda llvm: load_coreset("oz", llvm)))
    unique = list({one.name: one for one in found}.values())
    if not unique:
        raise click.UsageError("name what to screen: pass lists, --coreset, --each-pass, --random N or --search")
    return unique
