"""Compile packages to unoptimised bitcode, best effort: a file that fails costs that file.

The seed IR is what `clang -Oz` sees before its first pass (`-Oz -Xclang -disable-llvm-passes`), so it carries
minsize and optsize; anything else would flatter every later result. modules.py says what is written where.
A package becomes visible by one rename, so a killed run resumes with the package it was at, and ends with the
same bytes as a straight run.

    python -m irwright.corpus.build --role heldout -j 2      compile from a checkout, progress on stderr
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from irwright.corpus.commands import Command, build_environment, find_commands
from irwright.corpus.debian import AptFetcher, Fetcher, unpack
from irwright.corpus.modules import Failure, Record, hash_ir, read_manifest, source_hash, write_manifest
from irwright.corpus.packages import PackageSpec, Role, default_cache, load_packages, select_packages, work_folder
from irwright.errors import CorpusError, StorageError

SEED_FLAGS = ("-Oz", "-Xclang", "-disable-llvm-passes", "-g0", "-w", "-fno-ident")
"""How every source is compiled, beside its own flags."""

_FORMAT = 1  # raise it when what is written for the same inputs changes
_FILE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageReport:
    """What became of one package."""

    package: str
    role: Role
    status: Literal["built", "kept", "failed"]
    """`kept` was there already; `failed` gave no bitcode at all."""
    num_files: int = 0
    num_functions: int = 0
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    problem: str = ""
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What became of all packages of a build, in the order of the list."""

    packages: tuple[PackageReport, ...] = field(default=())

    @property
    def num_files(self) -> int:
        """Sources that have bitcode."""
        return sum(report.num_files for report in self.packages)

    @property
    def num_functions(self) -> int:
        """Function definitions, before any deduplication."""
        return sum(report.num_functions for report in self.packages)

    @property
    def reasons(self) -> Counter[str]:
        """How often each reason was why a file or package failed."""
        files = Counter(failure.reason for report in self.packages for failure in report.failures)
        return files + Counter(report.problem for report in self.packages if report.problem)


def build(
    packages: Sequence[PackageSpec],
    *,
    cache: Path,
    clang: Path,
    jobs: int,
    progress: Callable[[str], None],
    fetcher: Fetcher | None = None,
    keep_trees: bool = False,
) -> BuildReport:
    """Fetch and compile packages, `jobs` at a time; those already built with the same inputs are kept.

    A package that fails is reported and the others go on. `keep_trees` leaves the build trees in
    `cache`/corpus-work/trees. The log of every build is in `cache`/corpus-work/logs.
    """
    fetcher = fetcher or AptFetcher(cache)
    identity = _identify(clang)

    def one(spec: PackageSpec) -> PackageReport:
        report = _build_or_keep(
            spec, cache=cache, clang=clang, identity=identity, fetcher=fetcher, keep_trees=keep_trees
        )
        progress(describe(report))
        return report

    with _only_build(cache), ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        futures = [pool.submit(one, spec) for spec in packages]
        try:
            return BuildReport(packages=tuple(future.result() for future in futures))
        except BaseException:  # Ctrl-C, a full disk: do not start what is still queued
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _only_build(cache: Path) -> Generator[None]:
    """Hold the lock of the cache, and remove what a killed build left behind; CorpusError if another build runs."""
    trees = work_folder(cache) / "trees"
    trees.mkdir(parents=True, exist_ok=True)
    with (work_folder(cache) / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CorpusError(f"another build of the corpus in {cache} is running; wait for it to end") from error
        for left in trees.glob(".*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def describe(report: PackageReport) -> str:
    """Return one line for a person."""
    if report.status == "failed":
        return f"{report.package}: failed: {report.problem}"
    lost = f", {len(report.failures)} failed" if report.failures else ""
    return (
        f"{report.package} ({report.role}): {report.num_files} files, {report.num_functions} functions{lost}, "
        f"{report.status}, {report.seconds:.0f} s"
    )


def _build_or_keep(
    spec: PackageSpec, *, cache: Path, clang: Path, identity: str, fetcher: Fetcher, keep_trees: bool
) -> PackageReport:
    inputs = {name: value for name, value in asdict(spec).items() if value and name != "needs"}
    key = hashlib.sha256(json.dumps([_FORMAT, identity, inputs], sort_keys=True).encode()).hexdigest()
    final = cache / "corpus" / spec.package / spec.version
    try:
        if _is_built(final, key):
            return _report(spec, final, status="kept", seconds=0.0)
        started = time.monotonic()
        _build_package(spec, final, key=key, cache=cache, clang=clang, fetcher=fetcher, keep_trees=keep_trees)
        return _report(spec, final, status="built", seconds=time.monotonic() - started)
    except (CorpusError, subprocess.TimeoutExpired) as error:
        return PackageReport(package=spec.package, role=spec.role, status="failed", problem=str(error))
    except OSError as error:
        raise StorageError(
            str(final), f"package could not be built ({error}); free space or name another cache"
        ) from error


def _is_built(final: Path, key: str) -> bool:
    try:
        return bool(json.loads((final / "build.json").read_text())["key"] == key)
    except (OSError, ValueError, KeyError):
        return False


def _report(spec: PackageSpec, final: Path, *, status: Literal["built", "kept"], seconds: float) -> PackageReport:
    entries = read_manifest(final / "manifest.jsonl")
    records = [entry for entry in entries if isinstance(entry, Record)]
    return PackageReport(
        package=spec.package,
        role=spec.role,
        status=status,
        num_files=len(records),
        num_functions=sum(record.num_functions for record in records),
        failures=tuple(entry for entry in entries if isinstance(entry, Failure)),
        seconds=seconds,
    )


def _build_package(
    spec: PackageSpec, final: Path, *, key: str, cache: Path, clang: Path, fetcher: Fetcher, keep_trees: bool
) -> None:
    """Compile one package into a temporary folder and rename it to `final`."""
    archive = fetcher.fetch(spec)
    started = time.monotonic()
    trees, log = work_folder(cache) / "trees", work_folder(cache) / "logs" / f"{spec.package}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=trees, prefix=f".{spec.package}-") as scratch:
        tree, output = Path(scratch) / "tree", Path(scratch) / "output"
        output.mkdir()
        unpack(archive, tree)
        commands = find_commands(spec, tree, clang=clang, log=log)
        entries = [
            _compile(spec, command, tree=tree, output=output, where=final.relative_to(cache), clang=clang)
            for command in commands
        ]
        if keep_trees:
            kept = trees / spec.package
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(tree, kept, symlinks=True)
        if not any(isinstance(entry, Record) for entry in entries):
            first = next((entry.reason for entry in entries if isinstance(entry, Failure)), "no sources found")
            raise CorpusError(f"no file of package {spec.package!r} compiled ({first}); correct or drop its entry")
        write_manifest(output / "manifest.jsonl", entries)
        summary = {"key": key, "package": spec.package, "version": spec.version, "role": spec.role}
        summary |= {"seconds": round(time.monotonic() - started, 1)}
        (output / "build.json").write_text(json.dumps(summary) + "\n")
        for outdated in final.parent.iterdir():
            shutil.rmtree(outdated)
        output.rename(final)


def _compile(
    spec: PackageSpec, command: Command, *, tree: Path, output: Path, where: Path, clang: Path
) -> Record | Failure:
    """Compile one source to bitcode below `output`, which will become `where` in the cache."""
    bitcode = output / f"{command.source}.bc"
    bitcode.parent.mkdir(parents=True, exist_ok=True)
    words = [*command.flags, *SEED_FLAGS, "-emit-llvm", "-c", command.source, "-o", str(bitcode)]
    problem = run_clang(clang, words, cwd=tree)[1]
    if not problem:
        # The text is only for counting and hashing; reading the bitcode back proves it whole, too.
        text, problem = run_clang(
            clang, ["-x", "ir", str(bitcode), *SEED_FLAGS, "-S", "-emit-llvm", "-o", "-"], cwd=tree
        )
        if not problem:
            content, functions = hash_ir(text)
            return Record(
                package=spec.package,
                version=spec.version,
                role=spec.role,
                path=command.source,
                bitcode=(where / f"{command.source}.bc").as_posix(),
                flags=command.flags,
                num_functions=len(functions),
                sha256=hashlib.sha256(bitcode.read_bytes()).hexdigest(),
                source_sha256=source_hash((tree / command.source).read_text(encoding="utf-8", errors="replace")),
                content_sha256=content,
                functions=functions,
            )
    bitcode.unlink(missing_ok=True)
    return Failure(path=command.source, reason=problem)


def run_clang(clang: Path, arguments: Sequence[str], *, cwd: Path) -> tuple[str, str]:
    """Run clang; return its output and the first error line (empty: none)."""
    try:
        result = subprocess.run(
            [str(clang), *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FILE_SECONDS,
            env=build_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"clang took more than {_FILE_SECONDS} s"
    if not result.returncode:
        return result.stdout, ""
    errors = [line.partition("error: ")[2] for line in result.stderr.splitlines() if "error: " in line]
    return "", errors[0] if errors else f"clang exited with {result.returncode}"


def _identify(clang: Path) -> str:
    result = subprocess.run([str(clang), "--version"], capture_output=True, text=True, check=True)
    return "\n".join(result.stdout.splitlines()[:2])


def main(arguments: Sequence[str] | None = None) -> int:
    """Build from the command line; the user's command is `irwright corpus fetch`."""
    parser = argparse.ArgumentParser(description="compile Debian source packages to bitcode")
    parser.add_argument("packages", nargs="*", help="only these packages")
    parser.add_argument("--role", choices=("training", "heldout"))
    parser.add_argument("--clang", type=Path, default=Path(sys.executable).with_name("clang"))
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--keep-trees", action="store_true")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    packages = load_packages(options.role)
    if options.packages:
        packages = select_packages(options.packages, packages)
    report = build(
        packages,
        cache=options.cache,
        clang=options.clang,
        jobs=options.jobs,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
        keep_trees=options.keep_trees,
    )
    print(f"{report.num_files} files, {report.num_functions} functions")
    for reason, count in report.reasons.most_common(40):
        print(f"{count:5} {reason}")
    return int(any(entry.status == "failed" for entry in report.packages))


if __name__ == "__main__":
    sys.exit(main())
