"""What `irwright corpus add` can read: names of sources to modules.

    fetched              every package that `irwright corpus fetch` has built
    debian:NAME          a Debian source package, of the list or any other, fetched and built now
    pypi:NAME[==VERSION] a source distribution of PyPI
    FOLDER               a tree of C and C++: by its compile_commands.json, or by a guess at flags
    FILE.ll, FILE.bc     LLVM IR
    FILE.o, .s, .a       machine code, through the lifter

Names of other kinds are an error; a source of which a part fails gives the rest, and says in `problems` what failed.
"""

from __future__ import annotations

import hashlib
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from irwright import __version__
from irwright.corpus.build import build
from irwright.corpus.debian import AptFetcher, find_archive
from irwright.corpus.licences import LICENCE_FILE, licence_of_project, licence_of_text
from irwright.corpus.modules import Record, read_manifests
from irwright.corpus.packages import PackageSpec, Role, default_cache, load_packages
from irwright.corpus.store import Found, Split
from irwright.errors import CorpusError, InputError, StorageError
from irwright.intake.binaries import OBJECT_SUFFIXES, binary_modules, read_input
from irwright.intake.trees import Project, fingerprint, language_of, tree_modules, unpack_sdist
from irwright.shards import key_of

SPLITS: dict[Role, Split] = {"training": "train", "heldout": "heldout"}
_IR_SUFFIXES = (".ll", ".bc")
_HEAD_BYTES = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """How sources are read."""

    clang: Path
    jobs: int = 1
    llvm: str | None = None
    cache: Path = field(default_factory=default_cache)
    project: Project | None = None
    """of folders and files; None: named after each"""
    flags: tuple[str, ...] = ()
    """for every source of a folder"""
    problems: Counter[str] = field(default_factory=Counter[str])
    """why parts of sources gave no module"""
    known: dict[str, int] = field(default_factory=dict[str, int])
    """key of each folder or file that was read to its end, with its number of modules; none is read again"""
    skipped: list[str] = field(default_factory=list[str])
    """keys of those that this one did not read again"""

    @property
    def num_skipped(self) -> int:
        """Modules of what was not read again."""
        return sum(self.known[key] for key in self.skipped)

    def modules(self, sources: Sequence[str]) -> Iterator[Found]:
        """The modules of every source, in order.

        CorpusError for a name that means nothing, before anything is read; a source that can't be had or is broken
        costs itself.
        """
        for found in [self._modules(source) for source in sources]:
            try:
                yield from found
            except (CorpusError, InputError) as error:
                self.problems[str(error)] += 1

    def _modules(self, source: str) -> Iterator[Found]:
        kind, _, name = source.partition(":")
        path = Path(source)
        if source == "fetched":
            return fetched_modules(self.cache)
        if kind == "debian" and name:
            return self._debian(name)
        if kind == "pypi" and name:
            return self._pypi(name)
        if path.is_dir():
            project = self.project or Project(name=path.resolve().name, origin=source)
            return self._folder(path, project)
        if path.suffix in _IR_SUFFIXES and path.is_file():
            return self._ir(path)
        if path.suffix in OBJECT_SUFFIXES and path.is_file():
            return self._binary(path, self.project or Project(name=path.stem, origin=source))
        raise CorpusError(
            f"unknown source {source!r}; give a folder, a file ({', '.join((*_IR_SUFFIXES, *OBJECT_SUFFIXES))}), "
            "debian:NAME, pypi:NAME or fetched"
        )

    def _once(self, key: str, modules: Iterator[Found]) -> Iterator[Found]:
        """The modules of a source, unless it was read before and has not changed, as its key says."""
        if key in self.known:
            self.skipped.append(key)
            return
        count = 0
        for found in modules:
            count += 1
            yield found
        self.known[key] = count

    def _compiler(self) -> list[Any]:
        about = self.clang.stat()
        return [str(self.clang), about.st_size, about.st_mtime_ns, self.flags]

    def _folder(self, path: Path, project: Project) -> Iterator[Found]:
        key = key_of(str(path.resolve()), [*self._compiler(), asdict(project)], fingerprint(path))
        return self._once(key, self._tree(path, project))

    def _binary(self, path: Path, project: Project) -> Iterator[Found]:
        content = hashlib.sha256(read_input(path)).hexdigest()
        key = key_of(str(path.resolve()), [*self._compiler(), self.llvm, __version__, asdict(project)], content)
        yield from self._once(key, binary_modules(path, project, llvm=self.llvm, problems=self.problems))

    def _tree(self, path: Path, project: Project) -> Iterator[Found]:
        return tree_modules(path, project, clang=self.clang, jobs=self.jobs, problems=self.problems, flags=self.flags)

    def _debian(self, name: str) -> Iterator[Found]:
        """Build the package where it is not built yet, and read what came of it."""
        fetcher = AptFetcher(self.cache)
        spec = next((spec for spec in load_packages() if spec.package == name), None)
        if spec is None:
            version = fetcher.newest(name)
            spec = PackageSpec(package=name, version=version, role="training", build="auto", cxx=True)
        report = build([spec], cache=self.cache, clang=self.clang, jobs=1, progress=lambda _: None, fetcher=fetcher)
        self.problems.update(report.reasons)
        yield from fetched_modules(self.cache, name)

    def _pypi(self, name: str) -> Iterator[Found]:
        with tempfile.TemporaryDirectory(prefix="irwright-") as scratch:
            tree, version = unpack_sdist(name, Path(scratch), python=sys.executable)
            package = name.partition("==")[0]
            project = Project(name=f"pypi-{package}", version=version, origin=f"pypi:{package}")
            include = f"-I{sys.base_prefix}/include/python{sys.version_info[0]}.{sys.version_info[1]}"
            modules = replace(self, flags=(*self.flags, include))._tree(tree, project)
            yield from self._once(key_of([*self._compiler(), include, asdict(project)]), modules)

    def _ir(self, path: Path) -> Iterator[Found]:
        project = self.project or Project(name=path.stem, origin=str(path))
        data = read_input(path)
        yield Found(
            project=project.name,
            version=project.version,
            split=project.split,
            licence=project.licence,
            language="",
            path=path.name,
            flags=(),
            origin=project.origin,
            source_sha256="",
            data=data,
        )


def fetched_modules(cache: Path, package: str | None = None) -> Iterator[Found]:
    """The modules of every package that is built in the cache (or of one), package by package."""
    records = (record for record in read_manifests(cache) if package in (None, record.package))
    for (name, version), group in groupby(records, key=lambda record: (record.package, record.version)):
        members = list(group)
        licences = archive_licences(cache, name, version, members)
        for record in members:
            yield _fetched(record, cache, licences.get(record.path, licences[""]))


def _fetched(record: Record, cache: Path, licence: str) -> Found:
    path = cache / record.bitcode
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(str(path), f"can't be read ({error.strerror}); build the package again") from error
    return Found(
        project=record.package,
        version=record.version,
        split=SPLITS[record.role],
        licence=licence,
        language=language_of(record.path),
        path=record.path,
        flags=record.flags,
        origin=f"debian:{record.package}",
        source_sha256=record.source_sha256,
        data=data,
    )


def archive_licences(cache: Path, package: str, version: str, records: Sequence[Record]) -> dict[str, str]:
    """The licence of a package under "", and of those of its sources that name one themselves.

    Read from the release archive in the cache; all unknown where it is gone.
    """
    archive = find_archive(cache, package, version)
    if archive is None:
        return {"": ""}
    wanted = {record.path for record in records}
    texts: list[tuple[str, str]] = []
    heads: dict[str, str] = {}
    with tarfile.open(archive) as tar:
        files = [member for member in tar if member.isfile()]
        roots = {PurePosixPath(member.name.removeprefix("./")).parts[0] for member in files}
        for member in files:
            parts = PurePosixPath(member.name.removeprefix("./")).parts
            path = "/".join(parts[1:] if len(roots) == 1 and len(parts) > 1 else parts)
            is_licence = LICENCE_FILE.fullmatch(path) is not None
            content = tar.extractfile(member) if is_licence or path in wanted else None
            if content is not None and is_licence:
                texts.append((path, content.read().decode(errors="replace")))
            elif content is not None:
                heads[path] = content.read(_HEAD_BYTES).decode(errors="replace")
    own = {path: licence for path, head in heads.items() if (licence := licence_of_text(head))}
    return {**own, "": licence_of_project(texts, heads.values())}
