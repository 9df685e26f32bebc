"""The commands behind models' training data: `irwright corpus ...` and `irwright examples`.

cli.py has the other commands, and puts these among them. Heavy imports stand inside the commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from irwright.cli_options import debug_option, llvm_option
from irwright.errors import IrwrightError

if TYPE_CHECKING:
    from irwright.labels.portions import Tools
    from irwright.llvm.toolchain import Toolchain

STAGE_NAMES = ("pretrain", "emulate", "tune", "disassemble")

corpus_option = click.option(
    "--corpus",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The corpus (default: the one in the cache).",
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1), metavar="N", help="Worker processes (default: all cores)."
)
ray_option = click.option(
    "--ray", metavar="auto|local|ADDRESS", help="Work on a Ray cluster in place of processes of this machine."
)


@click.group()
def corpus() -> None:
    """Modules that coresets and models are made from: Debian packages and your own code, split by project."""


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
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@corpus_option
@click.option("--project", metavar="NAME", help="Of folders and files (default: named after each).")
@click.option("--version", "project_version", default="", metavar="TEXT", help="Of that project.")
@click.option("--licence", default="", metavar="SPDX", help="Of that project (default: what its files say).")
@click.option(
    "--split", type=click.Choice(("train", "heldout")), default="train", show_default=True, help="Of folders and files."
)
@click.option("--flag", "flags", multiple=True, metavar="FLAG", help="A compiler flag for the sources of folders.")
@jobs_option
@ray_option
@llvm_option
@debug_option
def add(
    sources: tuple[str, ...],
    folder: Path | None,
    project: str | None,
    project_version: str,
    licence: str,
    split: Any,
    flags: tuple[str, ...],
    jobs: int | None,
    ray: str | None,
    llvm: str | None,
) -> int:
    """Put modules into a corpus.

    A SOURCE is a folder of C and C++ (with or without compile_commands.json), a file of LLVM IR (.ll, .bc) or machine
    code (.o, .s, .a: lifted), debian:NAME, pypi:NAME, or `fetched`: what `irwright corpus fetch` has built. A repeated
    or continued run does no work twice; what does not compile or can't be read costs itself.
    """
    from irwright.corpus.store import add as add_modules
    from irwright.corpus.store import default_corpus, open_corpus
    from irwright.intake.sources import Intake
    from irwright.intake.trees import Project
    from irwright.llvm.toolchain import find
    from irwright.llvm.worker import default_jobs

    toolchain = find(llvm=llvm)
    given: Project | None = None
    if project or project_version or licence or split != "train":
        if not project:
            raise click.UsageError("--version, --licence and --split are of a --project; name it")
        given = Project(name=project, version=project_version, split=split, licence=licence, origin=" ".join(sources))
    num_jobs = jobs or default_jobs()
    store = open_corpus(folder or default_corpus())
    known = dict(store.about.get("folders", {}))
    intake = Intake(clang=toolchain.need_clang(), jobs=num_jobs, llvm=llvm, project=given, flags=flags, known=known)
    added = add_modules(
        store,
        intake.modules(sources),
        library=toolchain.library.path,
        llvm=toolchain.library.version,
        jobs=num_jobs,
        ray=ray,
        progress=lambda line: click.echo(line, err=True),
    )
    store.about["folders"] = intake.known  # only now: what is in them is in the corpus
    store.save()
    num_kept = added.num_kept + intake.num_skipped
    click.echo(
        f"{added.num_modules:,} modules with {added.num_functions:,} functions added, {num_kept:,} modules were there"
    )
    problems = added.problems + intake.problems
    for reason, count in problems.most_common(20):
        click.echo(f"{count:7,}  {reason}", err=True)
    return int(bool(problems) and not added.num_modules and not num_kept)


@corpus.command()
@corpus_option
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw it (.svg, .png).")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@debug_option
def stats(folder: Path | None, plot: Path | None, as_json: bool) -> None:
    """Count the corpus: projects, functions, tokens, sizes, licences, languages; and what was fetched."""
    from irwright.corpus import statistics
    from irwright.corpus.modules import modules
    from irwright.corpus.packages import default_cache
    from irwright.corpus.store import default_corpus, open_corpus

    found = statistics.count(open_corpus(folder or default_corpus()))
    if plot is not None:
        statistics.plot(found, plot)
    if as_json:
        click.echo(json.dumps({split: numbers.to_json() for split, numbers in found.items()}, indent=2))
        return
    for line in statistics.describe(found):
        click.echo(line)
    click.echo()
    click.secho(f"{'fetched':<10}  {'packages':>8}  {'files':>8}  {'functions':>9}", bold=True)
    for role in ("training", "heldout"):
        ready = modules(role, cache=default_cache())
        packages, functions = len({module.package for module in ready}), sum(m.num_functions for m in ready)
        click.echo(f"{role:<10}  {packages:>8,}  {len(ready):>8,}  {functions:>9,}")


@corpus.command()
@corpus_option
@debug_option
def check(folder: Path | None) -> None:
    """Choose functions as `examples` does, and look for held-out code among the training ones; exit 1 if there is."""
    from irwright.corpus.selection import check_leaks, select
    from irwright.corpus.store import default_corpus, filled_corpus

    chosen = select(filled_corpus(folder or default_corpus()))
    check_leaks(chosen.functions)
    sides = {split: sum(f.split == split for f in chosen.functions) for split in ("train", "heldout")}
    click.echo(
        f"no leak: {sides['train']:,} training and {sides['heldout']:,} held-out functions of {chosen.num_seen:,}, "
        f"{chosen.num_distinct:,} of them distinct"
    )
    for reason, count in sorted(chosen.dropped.items()):
        click.echo(f"{count:7,}  left out: {reason}")


def _stages(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    unknown = [name for name in names if name not in STAGE_NAMES]
    if unknown or not names:
        raise click.BadParameter(f"unknown task {', '.join(unknown) or value!r}; there are {', '.join(STAGE_NAMES)}")
    return names


@click.command()
@corpus_option
@click.option(
    "--tasks",
    default="pretrain,emulate,disassemble",
    show_default=True,
    callback=_stages,
    metavar="NAME,...",
    help=f"What to make examples of: {', '.join(STAGE_NAMES)}.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Write the examples here."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only N functions, the projects taking turns.")
@click.option("--style", type=click.Choice(("native", "meta")), default="native", show_default=True, help="Of prompts.")
@click.option("--emulations", type=click.IntRange(0), default=1, show_default=True, help="Random lists per function.")
@click.option(
    "--names",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Random lists per function of which is asked what well-known list does the same (native prompts).",
)
@click.option(
    "--search",
    type=click.IntRange(0),
    default=2000,
    show_default=True,
    help="tune: functions to search; 0 takes the lists of the shipped table.",
)
@click.option("--compilations", type=click.IntRange(1), default=100, show_default=True, help="tune: of each search.")
@click.option(
    "--outcomes",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="tune: examples per function, at most, whose prompt says what was measured so far.",
)
@click.option(
    "--trials",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="tune: take sizes and lists from these trials (of `coreset learn`), and no other functions.",
)
@click.option("--table", type=click.IntRange(1), default=64, show_default=True, help="tune: lists for every function.")
@click.option(
    "--lists",
    "lists_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="tune: the lists of this file, one a line, in place of a search.",
)
@click.option(
    "--screen",
    "programs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="tune: drop lists under which a self-checking program of this folder goes wrong.",
)
@click.option(
    "--protocol", type=click.Choice(("oz", "paper")), default="oz", show_default=True, help="How bytes are counted."
)
@click.option(
    "--max-chars",
    type=click.IntRange(100),
    default=12_000,
    show_default=True,
    help="Longest piece of code, characters.",
)
@click.option("--no-aarch64", is_flag=True, help="Assembly of x86-64 alone.")
@click.option("--replace", is_flag=True, help="Remove what other settings left in the folder.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random choices.")
@jobs_option
@ray_option
@llvm_option
@debug_option
def examples(
    folder: Path | None,
    tasks: tuple[str, ...],
    output: Path,
    limit: int | None,
    style: Any,
    emulations: int,
    names: int,
    search: int,
    compilations: int,
    outcomes: int,
    trials: Path | None,
    table: int,
    lists_file: Path | None,
    programs: Path | None,
    protocol: str,
    max_chars: int,
    no_aarch64: bool,
    replace: bool,
    seed: int,
    jobs: int | None,
    ray: str | None,
    llvm: str | None,
) -> None:
    """Make examples (prompt and completion) of a corpus's functions, to train models on.

    Held-out functions are marked, never mixed in; a repeated or continued run makes only what is missing. For tune,
    some training functions are searched; the lists that won (or the shipped table's, --search 0) are tried on every
    function, and the best is its label.
    """
    from irwright.corpus.store import default_corpus, filled_corpus
    from irwright.labels.job import Job
    from irwright.labels.search import SearchSettings
    from irwright.labels.texts import TextSettings
    from irwright.llvm.toolchain import find
    from irwright.llvm.worker import default_jobs
    from irwright.passes import PassList

    toolchain = find(llvm=llvm)
    lines = lists_file.read_text().splitlines() if lists_file else []
    job = Job(
        texts=TextSettings(
            stages=tasks,
            seed=seed,
            style=style,
            lists_per_function=emulations,
            names_per_function=names,
            max_chars=max_chars,
            protocol=protocol,
            num_outcomes=outcomes,
            trials="" if trials is None else str(trials.absolute()),
        ),
        search=SearchSettings(num_functions=search, compilations=compilations, seed=seed, protocol=protocol),
        tools=_tools(toolchain, aarch64=not no_aarch64),
        table_size=table,
        lists=tuple(PassList.parse(line, llvm_major=toolchain.major) for line in lines if line.strip()),
        programs=programs,
        llvm=llvm,
        limit=limit,
        replace=replace,
        jobs=jobs or default_jobs(),
        ray=ray,
    )
    made = job.run(
        filled_corpus(folder or default_corpus()),
        output,
        lambda what, done, total: click.echo(f"{what}: portion {done:,} of {total:,}", err=True),
    )
    counts = ", ".join(f"{count:,} {stage}" for stage, count in sorted(made.stages.items()))
    click.echo(f"{made.num_examples:,} examples of {made.num_functions:,} functions in {output}: {counts or 'none'}")
    for reason, count in made.problems.most_common(20):
        click.echo(f"{count:7,}  {reason}", err=True)


def _tools(toolchain: Toolchain, *, aarch64: bool) -> Tools:
    """The LLVMs of workers; AArch64 only where the same version has it."""
    from irwright.labels.portions import Tools
    from irwright.llvm.toolchain import find

    library, version = toolchain.library.path, toolchain.library.version
    cross: Path | None = None
    if aarch64:
        try:
            found = find("aarch64-linux-gnu").library
            cross = found.path if found.version == version else None
        except IrwrightError:
            cross = None
        if cross is None:
            click.echo("no AArch64 assembly: pip install 'irwright[targets]', or say --no-aarch64", err=True)
    return Tools(library=library, llvm=version, aarch64=cross)
