"""A tiny package from archive to modules, with the real clang and no network."""

from __future__ import annotations

import dataclasses
import fcntl
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import irwright.corpus.build as build_module
from irwright.corpus.build import BuildReport, build, describe
from irwright.corpus.modules import Failure, modules, read_manifest
from irwright.corpus.packages import PackageSpec, work_folder
from irwright.errors import CorpusError
from irwright.llvm.codegen import read_object

FILES = {
    "Makefile": "all: a.o src/b.o broken.o\n%.o: %.c ; $(CC) -O2 -DN=3 -Iinclude -c $< -o $@\n",
    "a.c": '#include "n.h"\nint twice(int x) { return x * N; }\nint other(int x) { return twice(x) + F; }\n',
    "src/b.c": '#include "n.h"\nconst char *where(void) { return __FILE__ " " __DATE__ " " __TIME__; }\n',
    "broken.c": "int broken(void) { return missing; }\n",
    "include/n.h": "#define F 4\n",
}

SPEC = PackageSpec(package="foo", version="1.0", role="training", build="make")


@pytest.fixture(scope="module")
def clang() -> Path:
    beside = Path(sys.executable).with_name("clang")
    found = beside if beside.exists() else shutil.which("clang")
    if found is None:
        pytest.skip("no clang")
    return Path(found)


class FolderFetcher:
    """Brings archives from a folder; counts what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        folder.mkdir()

    def add(self, package: str, files: dict[str, str]) -> None:
        with tarfile.open(self.folder / f"{package}.tar.xz", "w:xz") as tar:
            for name, text in files.items():
                member = tarfile.TarInfo(f"{package}-1.0/{name}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))

    def fetch(self, spec: PackageSpec) -> Path:
        self.fetched.append(spec.package)
        path = self.folder / f"{spec.package}.tar.xz"
        if not path.exists():
            raise CorpusError(f"package {spec.package!r} is not here")
        return path


Run = Callable[..., BuildReport]


@pytest.fixture
def fetcher(tmp_path: Path) -> FolderFetcher:
    fetcher = FolderFetcher(tmp_path / "archives")
    fetcher.add("foo", FILES)
    return fetcher


@pytest.fixture
def run(tmp_path: Path, clang: Path, fetcher: FolderFetcher) -> Run:
    def run(*specs: PackageSpec, cache: Path = tmp_path / "cache", jobs: int = 1) -> BuildReport:
        return build(specs, cache=cache, clang=clang, jobs=jobs, progress=lambda line: None, fetcher=fetcher)

    return run


def all_files(cache: Path) -> dict[str, bytes]:
    """Every file of the corpus, without the time in build.json."""
    files = {
        path.relative_to(cache).as_posix(): path.read_bytes()
        for path in sorted((cache / "corpus").rglob("*"))
        if path.is_file()
    }
    for name in [name for name in files if name.endswith("build.json")]:
        summary = json.loads(files[name])
        summary.pop("seconds")
        files[name] = json.dumps(summary).encode()
    return files


def test_package_becomes_modules(run: Run, tmp_path: Path) -> None:
    report = run(SPEC)
    found = modules("training", cache=tmp_path / "cache")
    assert [(module.source, module.num_functions) for module in found] == [("a.c", 2), ("src/b.c", 1)]
    assert found[0].flags == ("-DN=3", "-Iinclude")
    assert found[0].bitcode == tmp_path / "cache/corpus/foo/1.0/a.c.bc"
    assert [name for name, _ in found[0].functions] == ["twice", "other"]
    assert found[0].bitcode.read_bytes()[:4] == b"BC\xc0\xde"
    assert (report.num_files, report.num_functions) == (2, 3)
    assert describe(report.packages[0]).startswith("foo (training): 2 files, 3 functions, 1 failed, built, ")


def test_broken_file_costs_one_file(run: Run, tmp_path: Path) -> None:
    report = run(SPEC)
    failure = Failure(path="broken.c", reason="use of undeclared identifier 'missing'")
    assert report.packages[0].failures == (failure,)
    assert report.reasons == {failure.reason: 1}
    assert failure in read_manifest(tmp_path / "cache/corpus/foo/1.0/manifest.jsonl")
    assert not (tmp_path / "cache/corpus/foo/1.0/broken.c.bc").exists()


def test_seed_ir_is_unoptimised_and_carries_minsize(run: Run, tmp_path: Path, clang: Path) -> None:
    run(SPEC)
    bitcode = tmp_path / "cache/corpus/foo/1.0/a.c.bc"
    command = [str(clang), "-x", "ir", str(bitcode), "-Xclang", "-disable-llvm-passes", "-S", "-emit-llvm", "-o", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "alloca i32" in text
    assert "minsize" in text
    assert "optsize" in text
    assert "optnone" not in text
    assert "!DI" not in text


def test_object_is_the_one_clang_makes_from_the_source(run: Run, tmp_path: Path, clang: Path) -> None:
    run(SPEC)
    (tmp_path / "n.h").write_text(FILES["include/n.h"])
    (tmp_path / "a.c").write_text(FILES["a.c"])
    inputs = (
        [f"-I{tmp_path}", "-DN=3", str(tmp_path / "a.c")],
        ["-x", "ir", str(tmp_path / "cache/corpus/foo/1.0/a.c.bc")],
    )
    texts: list[bytes] = []
    for words in inputs:
        command = [str(clang), "-Oz", "-fno-ident", *words, "-c", "-o", str(tmp_path / "a.o")]
        subprocess.run(command, check=True)
        data = (tmp_path / "a.o").read_bytes()
        section = next(section for section in read_object(data).sections if section.name == ".text")
        texts.append(data[section.offset : section.offset + section.size])
    assert texts[0] == texts[1]
    assert texts[0]


def test_bytes_do_not_depend_on_place_time_or_jobs(run: Run, tmp_path: Path, fetcher: FolderFetcher) -> None:
    fetcher.add("bar", FILES | {"a.c": "int bar;", "src/b.c": "int bar2(void) { return __LINE__; }"})
    bar = dataclasses.replace(SPEC, package="bar")
    run(SPEC, bar, cache=tmp_path / "one")
    run(bar, SPEC, cache=tmp_path / "elsewhere" / "two", jobs=2)
    assert all_files(tmp_path / "one") == all_files(tmp_path / "elsewhere" / "two")


def test_second_run_keeps_what_is_done(run: Run, tmp_path: Path, fetcher: FolderFetcher) -> None:
    first = run(SPEC)
    second = run(SPEC)
    assert [report.packages[0].status for report in (first, second)] == ["built", "kept"]
    assert second.num_functions == first.num_functions
    assert fetcher.fetched == ["foo"]
    changed = run(dataclasses.replace(SPEC, flags=("-DMORE",)))
    assert changed.packages[0].status == "built", "other flags make other bitcode"


def test_a_new_version_replaces_the_old_one(run: Run, tmp_path: Path) -> None:
    run(SPEC)
    run(dataclasses.replace(SPEC, version="1.1"))
    assert {module.version for module in modules("training", cache=tmp_path / "cache")} == {"1.1"}


def test_killed_run_resumes_to_the_same_bytes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(SPEC, cache=tmp_path / "straight")
    real = build_module._compile  # pyright: ignore[reportPrivateUsage]

    def killed(spec: PackageSpec, command: build_module.Command, **places: Path) -> object:
        if command.source == "src/b.c":
            raise KeyboardInterrupt
        return real(spec, command, **places)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "_compile", killed)
        with pytest.raises(KeyboardInterrupt):
            run(SPEC)
    assert modules("training", cache=tmp_path / "cache") == [], "half a package is not visible"
    left = work_folder(tmp_path / "cache") / "trees" / ".foo-left-by-a-kill"
    left.mkdir()
    assert run(SPEC).packages[0].status == "built"
    assert all_files(tmp_path / "cache") == all_files(tmp_path / "straight")
    assert not left.exists()


def test_broken_package_costs_one_package(run: Run, fetcher: FolderFetcher) -> None:
    fetcher.add("bad", FILES | {"Makefile": "all: broken.o\n"})
    specs = [dataclasses.replace(SPEC, package=name) for name in ("absent", "bad", "foo")]
    report = run(*specs)
    assert [entry.status for entry in report.packages] == ["failed", "failed", "built"]
    assert describe(report.packages[0]) == "absent: failed: package 'absent' is not here"
    assert report.packages[1].problem == (
        "no file of package 'bad' compiled (use of undeclared identifier 'missing'); correct or drop its entry"
    )


def test_copies_between_roles_leave_training(run: Run, tmp_path: Path, fetcher: FolderFetcher) -> None:
    fetcher.add(
        "held", {"Makefile": FILES["Makefile"], "a.c": "/* vendored */\n" + FILES["a.c"], "include/n.h": "#define F 4"}
    )
    run(SPEC, dataclasses.replace(SPEC, package="held", role="heldout"))
    assert [module.source for module in modules("training", cache=tmp_path / "cache")] == ["src/b.c"]
    assert [module.package for module in modules("heldout", cache=tmp_path / "cache")] == ["held"]


def test_two_builds_of_one_cache(run: Run, tmp_path: Path) -> None:
    work_folder(tmp_path / "cache").mkdir(parents=True)
    with (work_folder(tmp_path / "cache") / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CorpusError, match=r"^another build of the corpus in \S+ is running; wait for it to end$"):
            run(SPEC)
    assert run(SPEC).num_files == 2


def test_users_flags_do_not_reach_the_build(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(SPEC, cache=tmp_path / "plain")
    monkeypatch.setenv("CFLAGS", "-DN=9")
    monkeypatch.setenv("CCC_OVERRIDE_OPTIONS", "# +-DN=9")
    run(SPEC)
    assert all_files(tmp_path / "cache") == all_files(tmp_path / "plain")
