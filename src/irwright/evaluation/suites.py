"""What can be evaluated on: names of suites to modules.

    FOLDER               C and C++ of the user's; by its compile_commands.json, or by a guess at flags
    mibench:FOLDER       a checkout of MiBench; likewise embench:FOLDER and polybench:FOLDER (layouts.py)
    debian:NAME,NAME     Debian source packages, fetched and built where they are not in the cache
    corpus:SPLIT[:FOLDER]  the modules of a corpus (`irwright corpus add`) that are `heldout` or `train`

A module belongs to a *project*, which is what statistics resample: a benchmark, a package, the first folder of a
file's path, or a file that stands alone. A source that does not compile costs itself and is listed with its reason. All
is compiled as the corpus is: unoptimised, for size, without debug info.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from irwright.corpus.build import SEED_FLAGS, run_clang
from irwright.corpus.commands import C_SUFFIXES, CXX_SUFFIXES, Command, include_folders
from irwright.corpus.packages import default_cache
from irwright.corpus.store import default_corpus, open_corpus
from irwright.errors import CorpusError, InputError
from irwright.evaluation.layouts import LAYOUTS, Benchmark
from irwright.intake.sources import Intake, fetched_modules
from irwright.intake.trees import has_database, tree_commands

KINDS = (*LAYOUTS, "debian", "corpus")
"""What may stand before the colon of a suite's name."""
_CODE = (*C_SUFFIXES, *CXX_SUFFIXES, ".h", ".hh", ".hpp", ".hxx", ".inc", ".def")
"""what may be compiled or included"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteModule:
    """One module of a suite."""

    project: str
    path: str
    """of the source, relative to the suite"""
    data: bytes = field(repr=False)
    """unoptimised bitcode"""
    functions: frozenset[str] | None = None
    """those that count; None is all that it defines"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite, read."""

    name: str
    modules: tuple[SuiteModule, ...]
    """sorted by project and path"""
    problems: tuple[tuple[str, str], ...] = ()
    """(source or benchmark, why there is no module of it), sorted"""
    benchmarks: tuple[str, ...] = ()
    """all that a known layout has, whether or not they were found"""


def read_suite(
    name: str,
    *,
    clang: Path,
    jobs: int = 1,
    flags: Sequence[str] = (),
    llvm: str | None = None,
    cache: Path | None = None,
) -> Suite:
    """The modules of a suite; `flags` go to every source.

    InputError where the name means nothing or nothing compiles.
    """
    kind, colon, rest = name.partition(":")
    cache = cache or default_cache()
    if colon and kind in LAYOUTS:
        suite = _benchmarks(name, Path(rest), LAYOUTS[kind], clang=clang, jobs=jobs, flags=flags)
    elif colon and kind == "debian":
        suite = _debian(name, rest.split(","), Intake(clang=clang, jobs=jobs, llvm=llvm, cache=cache))
    elif colon and kind == "corpus":
        suite = _corpus(name, rest)
    elif Path(name).is_dir():
        suite = _folder(name, Path(name), clang=clang, jobs=jobs, flags=flags)
    else:
        raise InputError(name, f"no such suite; give a folder, or {', '.join(f'{kind}:...' for kind in KINDS)}")
    if not suite.modules:
        first = f": {suite.problems[0][0]}: {suite.problems[0][1]}" if suite.problems else ""
        raise InputError(name, f"holds nothing to evaluate, of {len(suite.problems)} sources none compiles{first}")
    return suite


def _suite(
    name: str,
    modules: Iterable[SuiteModule],
    problems: Iterable[tuple[str, str]],
    benchmarks: Sequence[str] = (),
) -> Suite:
    return Suite(
        name=name,
        modules=tuple(sorted(modules, key=lambda module: (module.project, module.path))),
        problems=tuple(sorted(problems)),
        benchmarks=tuple(benchmarks),
    )


# Sources


def _folder(name: str, tree: Path, *, clang: Path, jobs: int, flags: Sequence[str]) -> Suite:
    """Everything that compiles: nothing is left out as a test or example, the user named the folder."""
    commands = tree_commands(tree) if has_database(tree) else _all_sources(tree)
    if not commands:
        raise InputError(name, "is no suite: there is no C or C++ in it")
    modules, problems = _compile(tree, commands, clang=clang, jobs=jobs, flags=flags)
    return _suite(name, (SuiteModule(project=_project(path), path=path, data=data) for path, data in modules), problems)


def _project(path: str) -> str:
    """The first folder of a path, the file itself where there is none."""
    parts = PurePosixPath(path).parts
    return parts[0] if len(parts) > 1 else PurePosixPath(path).name


def _all_sources(tree: Path, include: Sequence[str] = (), flags: Sequence[str] = ()) -> list[Command]:
    """Every source below a folder, with the folders named and those from which an #include of the tree resolves."""
    files = sorted(path.relative_to(tree) for path in tree.rglob("*") if path.suffix in _CODE and path.is_file())
    sources = [path for path in files if path.suffix in C_SUFFIXES + CXX_SUFFIXES]
    folders = dict.fromkeys((*include, *include_folders(tree, files)))
    configured = ["-DHAVE_CONFIG_H"] if any(path.name == "config.h" for path in files) else []
    words = (*flags, *configured, *(f"-I{folder}" for folder in folders))
    return [Command(source=source.as_posix(), flags=words) for source in sources]


def _compile(
    tree: Path, commands: Sequence[Command], *, clang: Path, jobs: int, flags: Sequence[str]
) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    """(source, bitcode) of what compiles, (source, reason) of the rest."""
    tree = tree.resolve()
    with tempfile.TemporaryDirectory(prefix="irwright-") as scratch, ThreadPoolExecutor(max(1, jobs)) as threads:

        def one(numbered: tuple[int, Command]) -> bytes | str:
            number, command = numbered
            output = Path(scratch) / f"{number}.bc"
            words = [*command.flags, *flags, *SEED_FLAGS, "-emit-llvm", "-c", command.source, "-o", str(output)]
            problem = run_clang(clang, words, cwd=tree)[1]
            return problem or output.read_bytes()

        results = list(threads.map(one, enumerate(commands)))
    modules = [(c.source, result) for c, result in zip(commands, results, strict=True) if isinstance(result, bytes)]
    problems = [(c.source, result) for c, result in zip(commands, results, strict=True) if isinstance(result, str)]
    return modules, problems


def _benchmarks(
    name: str, tree: Path, layout: Sequence[Benchmark], *, clang: Path, jobs: int, flags: Sequence[str]
) -> Suite:
    """The benchmarks of a known layout, each with its own flags; those that are not there are problems."""
    if not tree.is_dir():
        raise InputError(name, f"there is no folder {str(tree)!r}")
    modules: list[SuiteModule] = []
    problems: list[tuple[str, str]] = []
    for benchmark in layout:
        folder = next((folder for pattern in benchmark.folders for folder in sorted(tree.glob(pattern))), None)
        if folder is None or not folder.is_dir():
            problems.append((benchmark.name, f"there is no folder {benchmark.folders[0]!r}"))
            continue
        where = folder.relative_to(tree).as_posix()
        found, failed = _compile_benchmark(tree, folder, benchmark, clang=clang, jobs=jobs, flags=flags)
        modules += [SuiteModule(project=benchmark.name, path=f"{where}/{path}", data=data) for path, data in found]
        problems += [(f"{where}/{path}", reason) for path, reason in failed]
        if not found and not failed:
            problems.append((benchmark.name, f"there is no C in {where!r}"))
    if not modules and len(problems) == len(layout):
        raise InputError(name, f"is no such suite: it has none of the folders {layout[0].folders[0]!r}, ...")
    return _suite(name, modules, problems, [benchmark.name for benchmark in layout])


def _compile_benchmark(
    tree: Path, folder: Path, benchmark: Benchmark, *, clang: Path, jobs: int, flags: Sequence[str]
) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    if has_database(folder):
        commands = tree_commands(folder)
    else:
        around = [str(path.resolve()) for pattern in benchmark.around for path in sorted(tree.glob(pattern))]
        commands = [
            command
            for command in _all_sources(folder, around, benchmark.flags)
            if benchmark.wants(command.source) and not command.source.endswith(CXX_SUFFIXES)
        ]
    return _compile(folder, commands, clang=clang, jobs=jobs, flags=flags)


# Modules that are there


def _debian(name: str, packages: Sequence[str], intake: Intake) -> Suite:
    modules: list[SuiteModule] = []
    problems: list[tuple[str, str]] = []
    for package in dict.fromkeys(filter(None, packages)):
        try:
            found = list(fetched_modules(intake.cache, package)) or list(intake.modules([f"debian:{package}"]))
        except CorpusError as error:
            problems.append((package, str(error)))
            continue
        modules += [SuiteModule(project=package, path=one.path, data=one.data) for one in found]
        if not found:
            problems.append((package, "no source of it compiles"))
    problems += [(reason, f"{times} sources") for reason, times in sorted(Counter(intake.problems).items())]
    return _suite(name, _distinct(modules), problems)


def _distinct(modules: Iterable[SuiteModule]) -> list[SuiteModule]:
    seen: set[bytes] = set()
    return [module for module in modules if not (module.data in seen or seen.add(module.data))]


def _corpus(name: str, rest: str) -> Suite:
    """Each module and each function once, by their canonical forms."""
    split, _, folder = rest.partition(":")
    if split not in ("heldout", "train"):
        raise InputError(name, f"unknown split {split!r}; there are heldout and train")
    corpus = open_corpus(Path(folder) if folder else default_corpus())
    columns = ("project", "split", "path", "content_sha256", "functions", "bitcode")
    modules: list[SuiteModule] = []
    seen: set[str] = set()
    rows = (row for row in corpus.rows(columns) if row["split"] == split and row["functions"])
    for row in sorted(rows, key=lambda row: (row["project"], row["path"])):
        new = {function["name"] for function in row["functions"] if function["sha256"] not in seen}
        if row["content_sha256"] not in seen:
            modules.append(
                SuiteModule(project=row["project"], path=row["path"], data=row["bitcode"], functions=frozenset(new))
            )
        seen |= {row["content_sha256"], *(function["sha256"] for function in row["functions"])}
    if not modules:
        raise InputError(name, f"no {split} modules in {corpus.folder}; make them with: irwright corpus add")
    return _suite(name, modules, [])
