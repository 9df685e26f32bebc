"""How each source of a package is compiled: the package's own build, watched, or a guess.

There are these ways, chosen per package in the package list:

    configure   run ./configure (or another `script`), then make with a recording compiler
    make        make alone, with a recording compiler
    cmake       cmake writes compile_commands.json; nothing is built
    meson       the same with meson
    guess       every source, with every folder that holds a header somebody includes
    auto        the first of configure, cmake, meson, make for which the tree holds a file; else guess

A build need not succeed: make goes on after errors, and each attempt to compile a file is recorded. A build that
records nothing fails its package; a guess in its place would make other modules on other machines. Commands are
relative to the tree, so bitcode does not depend on where the cache is. Build systems of packages are run as they
are: code from Debian is trusted here as it is by apt.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from irwright.corpus.packages import BuildKind, PackageSpec
from irwright.errors import CorpusError

SKIPPED_FOLDERS = re.compile(
    r"(unit|system|self|regress)?[-_.]?(tests?|testing|testsuite|testdata|check)|(.*[-_])?(tests?|(oss)?fuzz(er|ing|ers)?)"
    r"|examples?|samples?|demos?|bench(marks?)?|contrib|docs?|doc-?src|tutorials?|third[-_]?party|extern(al)?|vendor"
    r"|win(32|64|ce)?|windows|msdos|dos|djgpp|msvc|vc(net|\d+)?|visualc?|vms|amiga|atari|macos(x|9)?|mac|os2|os400|beos"
    r"|qnx|tandem|nintendods|gnulib|gllib|CMakeFiles|autom4te\.cache|debian",
    re.IGNORECASE,
)
"""Folders (whole names) whose sources never enter the corpus: tests, examples, other platforms, vendored code."""

SKIPPED_FILES = re.compile(r"(.*[-_])?(tests?|fuzz(er)?|bench(mark)?|example|demo)([-_].*)?|conftest", re.IGNORECASE)
"""The same for file names without `.c`."""

C_SUFFIXES = (".c",)
CXX_SUFFIXES = (".cc", ".cpp", ".cxx", ".C", ".c++")
_SIGNS: tuple[tuple[str, BuildKind], ...] = (
    ("configure", "configure"),
    ("CMakeLists.txt", "cmake"),
    ("meson.build", "meson"),
    ("Makefile", "make"),
    ("makefile", "make"),
    ("GNUmakefile", "make"),
)
_CONFIGURE_SECONDS = 240
_MAKE_SECONDS = 1800
_AUTOCONF_ARGUMENTS = (
    *("--prefix=/usr", "--disable-shared", "--enable-static", "--disable-nls"),
    *("--disable-dependency-tracking", "--disable-maintainer-mode"),
)
_TAKES_VALUE = ("-D", "-U", "-I", "-isystem", "-iquote", "-idirafter", "-include", "-imacros")
_PATH_VALUE = ("-I", "-isystem", "-iquote", "-idirafter", "-include", "-imacros")
_DROPPED_WITH_VALUE = ("-o", "-MF", "-MT", "-MQ", "-L", "-l", "-Xlinker", "-Xclang", "-Xpreprocessor", "-arch")
_KEPT = re.compile(r"-(std=|ansi$|pthread$|trigraphs$|nostdinc$|m|f)")
_DROPPED = re.compile(
    r"-(flto|fno-lto|ffat-lto|fprofile|fcoverage|ftest-coverage|fsanitize|fdiagnostics|fcolor|fdebug"
    r"|fsyntax-only|fforce-(mem|addr)|fthread-jumps|fcse-|fexpensive-|fregmove|fschedule-)"
)

_NOT_COMPILING = ("-E", "-M", "-MM", "-S")

_RECORDER = """#!/bin/sh
# Written by irwright: runs the real compiler and, during make, records every compilation. Where it is given a stand-in,
# that is the object of all that is compiled, but for what a configure script tries.
if [ -n "$IRWRIGHT_RECORD" ]; then
  record=$(mktemp "$IRWRIGHT_RECORD/XXXXXXXXXX") && printf '%s\\0' "$PWD" "$@" >"$record"
  if [ -n "$IRWRIGHT_STAND_IN" ]; then
    compile= object= deps= source= before=
    for word; do
      case $before in -o) object=$word ;; -MF) deps=$word ;; esac
      case $word in
        -c) compile=yes ;;
        -E | -S | *conftest*) compile=no; break ;;
        -o?*) object=${{word#-o}} ;;
        -MF?*) deps=${{word#-MF}} ;;
        -*) ;;
        *.c | *.cc | *.cpp | *.cxx | *.C | *.c++) source=$word ;;
      esac
      before=$word
    done
    if [ "$compile" = yes ] && [ -f "$source" ]; then
      [ -z "$object" ] && object=${{source##*/}} && object=${{object%.*}}.o
      [ -n "$deps" ] && : >"$deps"
      exec cp "$IRWRIGHT_STAND_IN" "$object"
    fi
  fi
  exec {clang} "$@" -O0 -g0 -w
fi
exec {clang} "$@"
"""
_STAND_IN = "__attribute__((weak)) int main(void) { return 0; }"  # so that programs made of them link, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How one source is compiled; `source` and every path in `flags` inside the tree is relative to the tree."""

    source: str
    flags: tuple[str, ...]


def find_commands(spec: PackageSpec, tree: Path, *, clang: Path, log: Path) -> list[Command]:
    """Return one Command per wanted source of the unpacked package, sorted by source.

    Runs the package's build inside `tree`; its output goes to `log`. CorpusError when a needed tool is missing.
    """
    root = tree / spec.root
    if spec.build == "auto":
        spec = replace(spec, build=build_kind(root))
    if spec.build == "guess":
        commands = guess_commands(tree, skip=spec.skip, cxx=spec.cxx)
    elif spec.build == "cmake":
        commands = _from_cmake(spec, tree, root, clang=clang, log=log)
    elif spec.build == "meson":
        commands = _from_meson(spec, tree, root, clang=clang, log=log)
    else:
        commands = _from_make(spec, tree, root, clang=clang, log=log)
    if not commands:
        needs = f"; it needs {' and '.join(spec.needs)}" if spec.needs else ""
        raise CorpusError(f"the build of package {spec.package!r} compiled nothing{needs}; see {log}")
    commands = [command for command in commands if wanted(command.source, spec.skip, cxx=spec.cxx)]
    best: dict[str, Command] = {}
    for command in sorted(commands, key=lambda command: (command.source, len(command.flags), command.flags)):
        best.setdefault(command.source, command)
    return [Command(source=command.source, flags=command.flags + spec.flags) for command in best.values()]


def build_kind(root: Path) -> BuildKind:
    """What `auto` means for a tree."""
    for sign, kind in _SIGNS:
        if (root / sign).is_file():
            return kind
    return "guess"


def wanted(source: str, skip: Sequence[str] = (), *, cxx: bool = False) -> bool:
    """Whether a source (path in the archive) belongs in the corpus: no test, example, other platform or `skip`."""
    path = PurePosixPath(source)
    return (
        path.suffix in (C_SUFFIXES + CXX_SUFFIXES if cxx else C_SUFFIXES)
        and not any(SKIPPED_FOLDERS.fullmatch(part) for part in path.parts[:-1])
        and not SKIPPED_FILES.fullmatch(path.stem)
        and not any(fnmatch.fnmatchcase(source, pattern) for pattern in skip)
    )


def read_compile_commands(path: Path, tree: Path) -> list[Command]:
    """Read a compile_commands.json (clang's JSON Compilation Database); entries outside `tree` are left out."""
    commands: list[Command] = []
    try:
        for entry in json.loads(path.read_text(encoding="utf-8")):
            words: list[str] = entry.get("arguments") or shlex.split(entry["command"])
            commands += parse_arguments(words[1:], directory=Path(entry["directory"]), tree=tree)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorpusError(f"{path} is no compile_commands.json ({error}); run cmake again") from error
    return commands


def parse_arguments(arguments: Sequence[str], *, directory: Path, tree: Path) -> list[Command]:
    """Turn the arguments of one compiler call into a Command for each C or C++ file of the tree it compiles.

    Keeps what changes the meaning of the code (-D, -I, -std, -f, -m, ...) and drops optimisation, debug,
    warning, dependency and output options.
    """
    if any(word in _NOT_COMPILING for word in arguments):
        return []
    flags: list[str] = []
    sources: list[str] = []
    words = iter(arguments)
    for word in words:
        option = next((option for option in _TAKES_VALUE if word.startswith(option)), None)
        if option:
            value = word[len(option) :] or next(words, "")
            if option in _PATH_VALUE:
                value = _relative(value, directory, tree, must_exist=option in ("-include", "-imacros"))
            flags += [option, value] if len(option) > 2 else [option + value]
        elif word in _DROPPED_WITH_VALUE:
            next(words, None)
        elif _KEPT.match(word) and not _DROPPED.match(word):
            flags.append(word)
        elif not word.startswith("-") and word.endswith(C_SUFFIXES + CXX_SUFFIXES):
            sources.append(_relative(word, directory, tree, must_exist=True))
    return [
        Command(source=source, flags=tuple(flags))
        for source in sources
        if not PurePosixPath(source).is_absolute() and (tree / source).is_file()
    ]


def _relative(path: str, directory: Path, tree: Path, *, must_exist: bool) -> str:
    """Return `path`, seen from `directory`, relative to `tree`; unchanged when outside of it."""
    full = Path(os.path.normpath(directory / path))
    if must_exist and not full.exists():
        return path  # -include of a header the include path finds
    return full.relative_to(tree).as_posix() if full.is_relative_to(tree) else path


def guess_commands(tree: Path, *, skip: Sequence[str] = (), cxx: bool = False) -> list[Command]:
    """Return a Command for every wanted source: include every folder from which some #include resolves."""
    files = [path.relative_to(tree) for path in sorted(tree.rglob("*")) if path.is_file()]
    sources = [path.as_posix() for path in files if wanted(path.as_posix(), skip, cxx=cxx)]
    headers = [path for path in files if path.suffix in (".h", ".hh", ".hpp", ".hxx", ".inc", ".def", ".c")]
    headers = [path for path in headers if not any(SKIPPED_FOLDERS.fullmatch(part) for part in path.parts[:-1])]
    flags = tuple(f"-I{folder}" for folder in include_folders(tree, headers))
    if any(path.name == "config.h" for path in headers):
        flags = ("-DHAVE_CONFIG_H", *flags)
    return [Command(source=source, flags=flags) for source in sources]


def include_folders(tree: Path, files: Iterable[Path]) -> list[str]:
    """The folders of a tree from which an #include in one of the files (relative to it) names another of them."""
    files = list(files)
    included: set[str] = set()
    for path in files:
        text = (tree / path).read_text(encoding="utf-8", errors="replace")
        included |= set(re.findall(r'^\s*#\s*include\s*["<]([^">\n]+)[">]', text, re.MULTILINE))
    folders = {""}
    for path in files:
        parts = path.parts
        folders |= {"/".join(parts[:i]) for i in range(len(parts)) if "/".join(parts[i:]) in included}
    order = sorted(folders, key=lambda folder: (folder.count("/"), folder not in ("include", "src", "lib"), folder))
    return [folder or "." for folder in order]


def _from_cmake(spec: PackageSpec, tree: Path, root: Path, *, clang: Path, log: Path) -> list[Command]:
    _need("cmake", spec)
    folder = tree / "irwright-build"
    with tempfile.TemporaryDirectory(prefix="irwright-") as scratch:
        compiler = _write_recorder(Path(scratch), clang)
        command = ["cmake", "-S", str(root), "-B", str(folder), "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
        command += [f"-DCMAKE_C_COMPILER={compiler}", "-DCMAKE_INSTALL_PREFIX=/usr", *spec.configure]
        command += [f"-DCMAKE_CXX_COMPILER={compiler}++"] if spec.cxx else []
        _run(command, cwd=tree, log=log, timeout_seconds=_CONFIGURE_SECONDS)
    path = folder / "compile_commands.json"
    return read_compile_commands(path, tree) if path.exists() else []


def _from_meson(spec: PackageSpec, tree: Path, root: Path, *, clang: Path, log: Path) -> list[Command]:
    _need("meson", spec)
    folder = tree / "irwright-build"
    with tempfile.TemporaryDirectory(prefix="irwright-") as scratch:
        compiler = _write_recorder(Path(scratch), clang)
        command = ["meson", "setup", str(folder), str(root), "--buildtype=plain", *spec.configure]
        environment = {"CC": str(compiler), "CXX": f"{compiler}++"}
        _run(command, cwd=tree, log=log, timeout_seconds=_CONFIGURE_SECONDS, environment=environment)
    path = folder / "compile_commands.json"
    return read_compile_commands(path, tree) if path.exists() else []


def _from_make(spec: PackageSpec, tree: Path, root: Path, *, clang: Path, log: Path) -> list[Command]:
    _need("make", spec)
    with tempfile.TemporaryDirectory(prefix="irwright-") as scratch:
        compiler = _write_recorder(Path(scratch), clang)
        compilers = {"CC": str(compiler)} | ({"CXX": f"{compiler}++"} if spec.cxx else {})
        if spec.build == "configure":
            script = root / (spec.script or "configure")
            if not script.is_file():
                raise CorpusError(
                    f"package {spec.package!r} has no {script.name} script in {spec.root or '.'!r}; "
                    "correct its 'build', 'root' or 'script' in the package list"
                )
            script.chmod(0o755)
            autoconf = b"GNU Autoconf" in script.read_bytes()[:4000]
            arguments = [argument.replace("{cc}", str(compiler)) for argument in spec.configure]
            arguments = [*_AUTOCONF_ARGUMENTS, *arguments] if autoconf else arguments
            _run(
                [f"./{script.name}", *arguments],
                cwd=root,
                log=log,
                timeout_seconds=_CONFIGURE_SECONDS,
                environment=compilers,
            )
        records = Path(scratch) / "records"
        records.mkdir()
        stand_in = {"IRWRIGHT_STAND_IN": str(_make_stand_in(Path(scratch), clang))} if spec.stand_ins else {}
        _run(
            ["make", "-k", *(f"{name}={value}" for name, value in compilers.items()), *spec.make],
            cwd=root,
            log=log,
            timeout_seconds=_MAKE_SECONDS,
            environment={**compilers, "IRWRIGHT_RECORD": str(records), **stand_in},
        )
        commands: list[Command] = []
        for record in records.iterdir():
            directory, *arguments = record.read_bytes().decode("utf-8", errors="replace").split("\0")[:-1]
            commands += parse_arguments(arguments, directory=Path(directory), tree=tree)
    return commands


def _write_recorder(folder: Path, clang: Path) -> Path:
    """A recording C compiler; the C++ one beside it has `++` behind its name."""
    path = folder / "irwright-cc"
    driver = shlex.quote(str(clang))
    for name, command in ((path, driver), (Path(f"{path}++"), f"{driver} --driver-mode=g++")):
        name.write_text(_RECORDER.format(clang=command))
        name.chmod(0o755)
    return path


def _make_stand_in(folder: Path, clang: Path) -> Path:
    """An object that links alone and with others of its kind."""
    path = folder / "stand-in.o"
    subprocess.run([str(clang), "-x", "c", "-", "-c", "-fPIC", "-o", str(path)], input=_STAND_IN, text=True, check=True)
    return path


def _need(tool: str, spec: PackageSpec) -> None:
    if shutil.which(tool) is None:
        raise CorpusError(f"package {spec.package!r} is built with {tool}, which was not found; install {tool}")


def build_environment() -> dict[str, str]:
    """Return the environment packages are built in: none of the user's flags, a fixed locale, zone and date."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR") if key in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": "0"}


def _run(
    command: Iterable[str], *, cwd: Path, log: Path, timeout_seconds: int, environment: dict[str, str] | None = None
) -> None:
    """Run a build step; failure and timeout are only logged, whatever was recorded until then is used."""
    with log.open("ab") as output:
        words = list(command)
        output.write(f"$ {shlex.join(words)}\n".encode())
        output.flush()
        process = subprocess.Popen(
            words,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**build_environment(), **(environment or {})},
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_seconds)
            output.write(f"exit {code}\n".encode())
        except subprocess.TimeoutExpired:
            output.write(f"killed after {timeout_seconds} s\n".encode())
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
