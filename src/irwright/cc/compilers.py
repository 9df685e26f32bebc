"""Which compiler a command runs, and the libLLVM that reads its IR.

What was found is kept beside the cache, keyed by path, size and time of the compiler and of the library, so that a
build asks `clang --version` once. A compiler that can't be tuned for is asked again after an hour: LLVM may have been
installed since.
"""

from __future__ import annotations

import os
import sys
import time

import irwright

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

ASK_AGAIN_SECONDS = 3600.0

NO_ELF = ("apple", "darwin", "macos", "ios", "windows", "mingw", "msvc", "cygwin", "wasm", "emscripten", "aix", "zos")
"""Parts of triples whose objects are no ELF: their sizes can't be read yet"""

BACKENDS = (
    ("x86_64", "X86"),
    ("amd64", "X86"),
    ("i386", "X86"),
    ("i486", "X86"),
    ("i586", "X86"),
    ("i686", "X86"),
    ("aarch64", "AArch64"),
    ("arm64", "AArch64"),
    ("arm", "ARM"),
    ("thumb", "ARM"),
    ("riscv", "RISCV"),
)
"""Which of LLVM's backends serves a triple that begins so"""

_FORMAT = "irwright-compiler 1"


class Compiler:
    """A compiler as it was found."""

    __slots__ = ("backends", "command", "is_new", "library", "library_version", "path", "problem", "stamps", "version")

    def __init__(
        self, path: str, stamps: str, version: str, library: str, library_version: str, backends: str, problem: str
    ) -> None:
        self.path = path
        """the program itself, where links lead"""
        self.command = path
        """as it is started: clang++ is a link to clang that means C++"""
        self.stamps = stamps
        """sizes and times of compiler and library"""
        self.version = version
        """such as 22.1.8"""
        self.library = library
        """path of the libLLVM of the same major"""
        self.library_version = library_version
        self.backends = backends
        """of the library, separated by spaces"""
        self.problem = problem
        """why objects of this compiler can't be tuned; empty where they can"""
        self.is_new = False
        """found just now and not remembered: what is wrong with it is said once"""

    @property
    def identity(self) -> bytes:
        """What a cache key holds of a compiler."""
        facts = (self.path, os.path.basename(self.command), self.stamps, self.version, self.library)
        return "\0".join(facts).encode(errors="surrogateescape")

    def serves(self, target: str) -> bool:
        """True where objects for this triple can be tuned."""
        backend = next((backend for prefix, backend in BACKENDS if target.startswith(prefix)), "")
        return backend in self.backends.split() and not any(part in target for part in NO_ELF)


def which(name: str) -> str | None:
    """The executable that a name means, as a shell finds it."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else None
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = f"{folder or '.'}/{name}"
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def identify(path: str, folder: str) -> Compiler:
    """The compiler at `path`; answers are kept in `folder`."""
    real = os.path.realpath(path)
    memory = f"{folder}/{real.replace('%', '%%').replace('/', '%')}"
    found = _recall(memory, real)
    if found is None:
        found = _ask(real)
        found.is_new = True
        _remember(memory, found)
    found.command = path
    return found


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "none"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _recall(memory: str, real: str) -> Compiler | None:
    try:
        with open(memory, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
        age = time.time() - os.stat(memory).st_mtime
    except OSError:
        return None
    if len(lines) != 9 or lines[0] != _FORMAT or lines[1] != real:
        return None
    compiler = Compiler(*lines[1:8])
    if compiler.stamps != _stamps(real, compiler.library) or (compiler.problem and age > ASK_AGAIN_SECONDS):
        return None
    return compiler


def _stamps(compiler: str, library: str) -> str:
    return f"{_stamp(compiler)} {_stamp(library) if library else ''}"


def _remember(memory: str, compiler: Compiler) -> None:
    facts = [getattr(compiler, name) for name in Compiler.__init__.__code__.co_varnames[1:8]]
    temporary = f"{memory}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(memory), exist_ok=True)
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join([_FORMAT, *facts, ""]))
        os.replace(temporary, memory)
    except OSError:
        pass  # it will be asked again


def see_packages() -> None:
    """Make this process, and those it starts, find what Python finds normally: wrappers start it without."""
    if not sys.flags.no_site:
        return
    import site

    site.main()
    root = os.path.dirname(os.path.dirname(irwright.__file__))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))


def _ask(real: str) -> Compiler:
    """Run the compiler and look for its library."""
    see_packages()
    import re
    import subprocess

    def refused(problem: str) -> Compiler:
        return Compiler(real, _stamps(real, ""), version, "", "", "", problem)

    version = ""
    if any(part in sys.platform for part in NO_ELF):
        return refused(f"objects of {sys.platform} can't be measured yet: they are left as they are")
    try:
        run = subprocess.run([real, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return refused(f"{real} does not tell its version: {error}".replace("\n", " "))
    match = re.search(r"clang version (\d+\.\d+\.\d+)", run.stdout)
    if match is None or "Apple" in run.stdout:
        first = run.stdout.partition("\n")[0] or "no version"
        return refused(f"{real} is no clang of LLVM ({first}): its objects are left as they are")
    version = match.group(1)
    from irwright.errors import IrwrightError
    from irwright.llvm.toolchain import OLDEST_MAJOR

    major = version.partition(".")[0]
    if int(major) < OLDEST_MAJOR:
        oldest = f"LLVM {OLDEST_MAJOR} is the oldest that can be tuned for"
        return refused(f"{real} is clang {version}, and {oldest}: its objects are left as they are")
    try:
        library = _library_of(real, version)
    except (IrwrightError, OSError) as error:
        return refused(f"{real}: {error}".replace("\n", " "))
    if library is None:
        return refused(
            f"no libLLVM {major} for {real} {version}: its objects are left as they are; install llvm-{major}, or pip "
            f"install karellen-llvm-core=={major}.*"
        )
    path, library_version, backends = library
    return Compiler(real, _stamps(real, str(path)), version, str(path), library_version, " ".join(backends), "")


def _library_of(real: str, version: str) -> tuple[Path, str, tuple[str, ...]] | None:
    """(path, version, backends) of the libLLVM that reads this clang's bitcode: its own, else one of its major."""
    from irwright.llvm.toolchain import take_inventory

    major = version.partition(".")[0]
    for place in (real, None):
        libraries = [library for library in take_inventory(place).libraries if str(library.major) == major]
        libraries.sort(key=lambda library: library.version != version)
        if libraries:
            return libraries[0].path, libraries[0].version, libraries[0].backends
    return None
