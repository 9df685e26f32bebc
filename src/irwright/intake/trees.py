"""Folders of C and C++ as modules: by compile_commands.json, or by a guess at flags; nothing of the tree is run.

A source that does not compile costs itself: its reason goes to `problems`. Sources are compiled as every module of the
corpus is (corpus/build.py), outside of the tree.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from irwright.corpus.build import SEED_FLAGS, run_clang
from irwright.corpus.commands import C_SUFFIXES, CXX_SUFFIXES, Command, guess_commands, read_compile_commands, wanted
from irwright.corpus.debian import unpack
from irwright.corpus.licences import LICENCE_FILE, licence_of_project, licence_of_text
from irwright.corpus.modules import source_hash
from irwright.corpus.store import Found, Split
from irwright.errors import CorpusError

_DATABASES = ("compile_commands.json", "build/compile_commands.json", "irwright-build/compile_commands.json")
_MAX_LICENCE_BYTES = 200_000
_HEAD_BYTES = 6000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where modules are from, and what they may be used for."""

    name: str
    version: str = ""
    split: Split = "train"
    licence: str = ""
    """SPDX expression; "" lets files and licence texts say"""
    origin: str = ""


def tree_modules(
    tree: Path, project: Project, *, clang: Path, jobs: int, problems: Counter[str], flags: tuple[str, ...] = ()
) -> Iterator[Found]:
    """Every source of a tree that compiles, sorted by path; `flags` go to each."""
    tree = tree.resolve()
    licence = project.licence or tree_licence(tree)
    with tempfile.TemporaryDirectory(prefix="irwright-") as scratch, ThreadPoolExecutor(max(1, jobs)) as pool:

        def one(numbered: tuple[int, Command]) -> Found | str:
            number, command = numbered
            output = Path(scratch) / f"{number}.bc"
            found = _compile(command, tree, output, project, licence, clang=clang, flags=flags)
            if isinstance(found, str):
                logger.debug("%s: %s", tree / command.source, found)
            return found

        for found in pool.map(one, enumerate(tree_commands(tree))):
            if isinstance(found, str):
                problems[found] += 1
            else:
                yield found


def has_database(tree: Path) -> bool:
    """A tree says how its sources are compiled."""
    return any((tree / name).is_file() for name in _DATABASES)


def tree_commands(tree: Path) -> list[Command]:
    """How each source of a tree is compiled, sorted by source, one command each."""
    for name in _DATABASES:
        if (tree / name).is_file():
            commands = [c for c in read_compile_commands(tree / name, tree) if wanted(c.source, cxx=True)]
            best: dict[str, Command] = {}
            for command in sorted(commands, key=_order):
                best.setdefault(command.source, command)
            return list(best.values())
    return guess_commands(tree, cxx=True)


def _order(command: Command) -> tuple[str, int, tuple[str, ...]]:
    return command.source, len(command.flags), command.flags


def fingerprint(tree: Path) -> list[tuple[str, int, int]]:
    """Path, size and time of every file of a tree: what has the same need not be compiled again."""
    facts: list[tuple[str, int, int]] = []
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            about = path.stat()
            facts.append((path.relative_to(tree).as_posix(), about.st_size, about.st_mtime_ns))
    return facts


def tree_licence(tree: Path) -> str:
    """What the licence texts at the root of a tree say, else most of its sources."""
    texts = [
        (path.relative_to(tree).as_posix(), _head(path, _MAX_LICENCE_BYTES))
        for path in (*sorted(tree.glob("*")), tree / "debian" / "copyright")
        if path.is_file() and LICENCE_FILE.fullmatch(path.relative_to(tree).as_posix())
    ]
    sources = sorted(path for path in tree.rglob("*") if path.suffix in C_SUFFIXES + CXX_SUFFIXES)
    return licence_of_project(texts, (_head(path, _HEAD_BYTES) for path in sources[:100]))


def language_of(path: str) -> str:
    """`c` or `c++` by the suffix of a source; "" for anything else."""
    suffix = PurePosixPath(path).suffix
    return "c" if suffix in C_SUFFIXES else "c++" if suffix in CXX_SUFFIXES else ""


def _compile(
    command: Command,
    tree: Path,
    output: Path,
    project: Project,
    licence: str,
    *,
    clang: Path,
    flags: tuple[str, ...],
) -> Found | str:
    """The module of one source, or the first line of why there is none."""
    words = [*command.flags, *flags, *SEED_FLAGS, "-emit-llvm", "-c", command.source, "-o", str(output)]
    problem = run_clang(clang, words, cwd=tree)[1]
    if problem:
        return problem
    try:
        text = (tree / command.source).read_text(encoding="utf-8", errors="replace")
        data = output.read_bytes()
        output.unlink()
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return Found(
        project=project.name,
        version=project.version,
        split=project.split,
        licence=licence_of_text(text[:_HEAD_BYTES]) or licence,
        language=language_of(command.source),
        path=command.source,
        flags=(*command.flags, *flags),
        origin=project.origin,
        source_sha256=source_hash(text),
        data=data,
    )


def _head(path: Path, size: int) -> str:
    try:
        with path.open("rb") as file:
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""


def unpack_sdist(name: str, folder: Path, *, python: str) -> tuple[Path, str]:
    """Get a source distribution of PyPI by pip and unpack it below `folder`; its tree and version.

    pip runs the project's build backend to learn its metadata: code of the project, as `pip install` would run it.
    """
    downloads = folder / "download"
    words = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(downloads), name]
    result = subprocess.run([python, *words], capture_output=True, text=True, errors="replace", check=False)
    archives = sorted(downloads.glob("*.tar.*")) if downloads.is_dir() else []
    if result.returncode or not archives:
        lines = [line for line in result.stderr.splitlines() if "ERROR" in line] or ["no archive of sources"]
        raise CorpusError(f"pypi:{name} could not be fetched ({lines[-1].strip()}); check its name and the network")
    tree = folder / "tree"
    unpack(archives[0], tree)
    version = archives[0].name.removesuffix(".gz").removesuffix(".bz2").removesuffix(".xz").removesuffix(".tar")
    return tree, version.rpartition("-")[2]
