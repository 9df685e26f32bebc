"""Self-checking programs: found in folders or made by csmith, built by plain clang for reference, linked and run.

A program checks itself: it ends with code 0 where all is well, and what it prints is a function of its source alone.
What plain clang makes of it is the reference, at -O0, at -Oz, and of the code of -Oz before any pass; a program that
does not compile, fails or differs in one of these is left out with the reason, since nothing follows from it.

Programs run as this user, in a temporary folder, under limits of time, memory and file size. That contains
accidents, not malice: run no stranger's programs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from irwright.errors import InputError, ToolchainError
from irwright.llvm.clang import SIZE_LEVEL, SOURCE_SUFFIXES, UNOPTIMISED

MEBIBYTE = 1 << 20

LENIENT = (
    "-w",
    "-Wno-implicit-int",
    "-Wno-implicit-function-declaration",
    "-Wno-int-conversion",
    "-Wno-return-mismatch",
    "-Wno-incompatible-pointer-types",
    "-Wno-incompatible-function-pointer-types",
)
"""Old C compiles as it did: gcc's tests hold much of it."""

COMPILE_TIMEOUT_SECONDS = 120.0

_DIRECTIVE = re.compile(r'\{\s*dg-(?:additional-)?options\s+"([^"]*)"\s*(\{\s*target[^}]*\})?')


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One source that checks itself."""

    name: str
    """how reports call it: its path below the folder it was found in"""
    path: Path
    flags: tuple[str, ...] = ()
    """the compiler's, beside `LENIENT`"""

    @property
    def is_cxx(self) -> bool:
        return SOURCE_SUFFIXES.get(self.path.suffix) == "c++"

    @property
    def all_flags(self) -> tuple[str, ...]:
        return (*LENIENT, *self.flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run of a program may use."""

    seconds: float = 10.0
    """wall clock"""
    memory_bytes: int = 2048 * MEBIBYTE
    """address space"""
    file_bytes: int = 16 * MEBIBYTE
    """of each file it writes, what it prints included"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run ended."""

    code: int | None
    """exit code, negative for a signal; None where the time was up"""
    output: bytes

    def describe(self) -> str:
        """In a few words."""
        if self.code is None:
            return "no end within the time limit"
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"

    def differs_from(self, reference: Run) -> str | None:
        """What is wrong with this run, None if it is the reference's."""
        if self.code != reference.code:
            return self.describe()
        if self.output != reference.output:
            return f"prints {_first_difference(self.output, reference.output)}"
        return None


def _first_difference(found: bytes, expected: bytes) -> str:
    lines, wanted = found.splitlines(), expected.splitlines()
    at = next((at for at, pair in enumerate(zip(lines, wanted, strict=False)) if pair[0] != pair[1]), None)
    at = min(len(lines), len(wanted)) if at is None else at
    shown = [repr(side[at].decode(errors="replace")[:60]) if at < len(side) else "nothing" for side in (lines, wanted)]
    return f"{shown[0]} in place of {shown[1]} in line {at + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a program does when plain clang builds it."""

    run: Run
    seconds: float
    """of the longest of its runs"""
    executable: Path
    """as built at -Oz"""


class LeftOut(Exception):  # noqa: N818 - no error: data for the report
    """A program that says nothing about pass lists, and why."""


# ---------------------------------------------------------------------- where programs come from


def find_programs(folder: Path, flags: Sequence[str] = ()) -> list[Program]:
    """Every C and C++ source under a folder (or the one file), by name; flags of dg-options lines come first."""
    if not folder.exists():
        raise InputError(str(folder), "no such file or folder of programs")
    paths = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    root = folder.parent if folder.is_file() else folder
    programs = [
        Program(name=str(path.relative_to(root)), path=path, flags=(*directive_flags(path), *flags))
        for path in paths
        if path.suffix in SOURCE_SUFFIXES and path.suffix not in (".i", ".ii")
    ]
    if not programs:
        raise InputError(str(folder), "holds no C or C++ program")
    return programs


def directive_flags(path: Path) -> tuple[str, ...]:
    """Flags that change what a program means, from `{ dg-options "..." }` comments as gcc's tests have them."""
    text = path.read_text(errors="replace")
    words = [word for match in _DIRECTIVE.finditer(text) if not match.group(2) for word in match.group(1).split()]
    return tuple(word for word in words if re.match(r"-(std=|f|m|D|U)", word) and not word.startswith("-fdump"))


def csmith_programs(count: int, seed: int, folder: Path) -> list[Program]:
    """Write programs of csmith's with the seeds from `seed` on; each prints a checksum of its globals."""
    csmith = shutil.which("csmith")
    headers = sorted(Path("/usr/include").glob("csmith*"))
    if csmith is None or not headers:
        raise ToolchainError("csmith was not found", remedy="apt-get install csmith libcsmith-dev")
    folder.mkdir(parents=True, exist_ok=True)
    include = headers[-1] if headers[-1].is_dir() else headers[-1].parent
    programs: list[Program] = []
    for number in range(seed, seed + count):
        path = folder / f"csmith-{number}.c"
        if not path.exists():
            # Not by its option -o: the name would stand in the program, which would be another one in every folder.
            made = subprocess.run([csmith, "--seed", str(number)], check=True, capture_output=True, cwd=folder)
            part = path.with_suffix(".part")
            part.write_bytes(made.stdout)
            part.rename(path)
        programs.append(Program(name=path.name, path=path, flags=(f"-I{include}",)))
    return programs


# ---------------------------------------------------------------------- compile, link, run


def runtime_flags(clang: Path) -> list[str]:
    """Link flags by which programs find the C++ and unwinding libraries that came with this clang."""
    folders: list[str] = []
    for name in ("libc++.so.1", "libunwind.so.1"):
        asked = subprocess.run([str(clang), f"-print-file-name={name}"], capture_output=True, text=True, check=False)
        found = Path(asked.stdout.strip())
        if found.is_absolute() and found.exists():
            folders.append(f"-Wl,-rpath,{found.resolve().parent}")
    return list(dict.fromkeys(folders))


class Linker:
    """Links objects as one clang does. The driver is asked once for its link command: it costs more than the link."""

    def __init__(self, clang: Path, folder: Path) -> None:
        self._clang = clang
        self._folder = folder
        self._runtime = runtime_flags(clang)
        self._commands: dict[bool, list[str] | None] = {}

    def link(self, object_path: Path, executable: Path, *, is_cxx: bool, more: Sequence[Path] = ()) -> str | None:
        """Link an object, or several; the linker's first error, None if all is well."""
        driver = [str(self._clang), *(["--driver-mode=g++"] if is_cxx else []), "IN.o", "-o", "OUT", "-lm"]
        driver += self._runtime
        if is_cxx not in self._commands:
            self._commands[is_cxx] = self._ask(driver)
        command = self._commands[is_cxx] or driver
        places = {"IN.o": [str(object_path), *map(str, more)], "OUT": [str(executable)]}
        ended = subprocess.run(
            [place for word in command for place in places.get(word, [word])],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=COMPILE_TIMEOUT_SECONDS,
            check=False,
        )
        if not ended.returncode:
            return None
        return next(iter(_errors(ended.stderr)), f"the linker ends with code {ended.returncode}")

    def _ask(self, driver: Sequence[str]) -> list[str] | None:
        """The link command behind the driver's; None where its answer can't be used."""
        (self._folder / "IN.o").touch()
        asked = subprocess.run([*driver, "-###"], capture_output=True, text=True, cwd=self._folder, check=False)
        commands = [line for line in asked.stderr.splitlines() if line.startswith(' "')]
        words = shlex.split(commands[0]) if len(commands) == 1 else []
        return words if {"IN.o", "OUT"} <= set(words) else None


def _errors(stderr: bytes) -> list[str]:
    lines = stderr.decode(errors="replace").splitlines()
    return [line.partition("error: ")[2].strip()[:200] for line in lines if "error: " in line]


def compile_plain(clang: Path, program: Program, output: Path, options: Sequence[str]) -> None:
    """Compile with plain clang; LeftOut with its first error."""
    command = [str(clang), "-Qunused-arguments", *program.all_flags, *options, "-c", str(program.path), "-o"]
    try:
        ended = subprocess.run(
            [*command, str(output)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=COMPILE_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LeftOut(f"does not compile: over {COMPILE_TIMEOUT_SECONDS:g} s") from error
    if ended.returncode:
        raise LeftOut(f"does not compile: {next(iter(_errors(ended.stderr)), 'clang fails')}")


def execute(executable: Path, folder: Path, limits: Limits, arguments: Sequence[str] = ()) -> Run:
    """Run a program in a folder of its own under limits; whatever it started is dead afterwards."""
    # Limits are set by a shell that becomes the program: setting them between fork and exec is not safe in threads.
    kibibytes, blocks = limits.memory_bytes // 1024, limits.file_bytes // 512
    processor_seconds = int(limits.seconds) + 1
    memory = f"ulimit -v {kibibytes}; " if limits.memory_bytes else ""
    script = f'ulimit -c 0; ulimit -t {processor_seconds}; ulimit -f {blocks}; {memory}exec "$0" "$@"'
    printed = folder / "stdout"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script, str(executable.absolute()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
            start_new_session=True,
        )
        try:
            code = process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            code = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return Run(code=code, output=printed.read_bytes())


def reference(program: Program, clang: Path, linker: Linker, folder: Path, limits: Limits) -> Reference:
    """Build and run a program with plain clang in the ways of `REFERENCES`; LeftOut where nothing follows from it."""
    runs: list[Run] = []
    seconds = 0.0
    object_path, executable = folder / "plain.o", folder / "plain"
    for way, options in REFERENCES.items():
        try:
            compile_plain(clang, program, object_path, options)
        except LeftOut as left_out:
            if options == UNOPTIMISED and "error in backend" in str(left_out):
                continue  # coroutines are taken apart by passes: there is no code of them before
            raise
        problem = linker.link(object_path, executable, is_cxx=program.is_cxx)
        if problem is not None:
            raise LeftOut(f"does not link {way}: {problem}")
        started = time.perf_counter()
        run = execute(executable, folder, limits)
        seconds = max(seconds, time.perf_counter() - started)
        if run.code != 0:
            raise LeftOut(f"fails {way}: {run.describe()}")
        if runs and run.output != runs[0].output:
            raise LeftOut(f"prints something else {way}: {_first_difference(run.output, runs[0].output)}")
        runs.append(run)
    return Reference(run=runs[0], seconds=seconds, executable=executable)


REFERENCES = {
    "at -O0": ("-O0",),
    # Some tests count on an optimiser where a macro says that there is one.
    "as -Oz before any pass": UNOPTIMISED,
    "at -Oz": (SIZE_LEVEL,),
}
"""Ways in which plain clang must build a program that passes."""


# Not `memory` and `type`: they have false alarms (calls without prototypes, libraries without checks of their own),
# and a wrong list must not be excused by one.
SANITIZERS = "address,undefined"


def undefined_behaviour(program: Program, clang: Path, folder: Path, limits: Limits) -> str | None:
    """What clang's sanitizers say of a program at -O0; None if nothing, or where clang has none."""
    executable = folder / "sanitized"
    options = [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all", "-O0", "-g", str(program.path)]
    driver = [str(clang), *(["--driver-mode=g++"] if program.is_cxx else []), *program.all_flags]
    command = [*driver, *options, "-o", str(executable), "-lm", *runtime_flags(clang)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    try:
        ended = subprocess.run(
            [str(executable)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={"ASAN_OPTIONS": "detect_leaks=0"},
            timeout=10 * limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return _sanitizer_line(ended.stderr.decode(errors="replace").splitlines())


def _sanitizer_line(lines: Iterable[str]) -> str | None:
    for line in lines:
        match = re.search(r"(runtime error: .*|AddressSanitizer: .*)", line)
        if match is not None:
            return match.group(1)[:200]
    return None
