"""Calls of the clang driver: source to unoptimised IR, the baseline object, and lowering a tuned module.

The unoptimised IR comes from `clang -Oz -Xclang -disable-llvm-passes`, so that it carries minsize and optsize:
a size measured from `clang -O0` IR flatters every optimiser.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from irwright.errors import IRError, SourceError, ToolchainError

SOURCE_SUFFIXES = {
    ".c": "c",
    ".cc": "c++",
    ".cpp": "c++",
    ".cxx": "c++",
    ".c++": "c++",
    ".C": "c++",
    ".i": "c",
    ".ii": "c++",
}
IR_SUFFIXES = {".ll", ".bc"}

SIZE_LEVEL = "-Oz"
UNOPTIMISED = (SIZE_LEVEL, "-Xclang", "-disable-llvm-passes")

_WITH_VALUE = {"-o", "-MF", "-MT", "-MQ", "-MJ", "--serialize-diagnostics", "-x"}
_DROPPED = {"-c", "-S", "-E", "-emit-llvm", "-MD", "-MMD", "-MP", "-MG", "-M", "-MM", "-save-temps", "-fsyntax-only"}


def compiling_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """The user's flags without output, dependency and optimisation-level options: those are irwright's to set."""
    kept: list[str] = []
    words = iter(flags)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif (
            word in _DROPPED
            or re.fullmatch(r"-O([0-3szg]|fast)?", word)
            or word.startswith(("-o", "-flto", "-save-temps="))
        ):
            continue
        else:
            kept.append(word)
    return tuple(kept)


OPTIONS_OF_KIND = {"obj": ("-c",), "asm": ("-S",), "bc": ("-c", "-emit-llvm"), "ll": ("-S", "-emit-llvm")}
"""What makes clang write an object, assembly, bitcode or textual IR."""


def seed_bitcode(
    clang: Path,
    source: Path,
    flags: Sequence[str],
    *,
    directory: Path | None = None,
    name: str | None = None,
    timeout_seconds: float = 300.0,
) -> bytes:
    """Unoptimised bitcode of a source, carrying minsize and optsize; `SourceError` with clang's first error.

    clang runs in `directory`; errors call the source `name`.
    """
    arguments = [*compiling_flags(flags), *UNOPTIMISED, "-emit-llvm", "-c", str(source)]
    return _run(clang, arguments, Path(name or source), timeout_seconds, directory)


def baseline(
    clang: Path,
    source: Path,
    flags: Sequence[str],
    kind: str = "obj",
    *,
    directory: Path | None = None,
    name: str | None = None,
    timeout_seconds: float = 300.0,
) -> bytes:
    """What `clang -Oz -c` makes of a source, or of a .ll or .bc file, as `obj`, `asm`, `bc` or `ll`."""
    arguments = [*compiling_flags(flags), SIZE_LEVEL, *OPTIONS_OF_KIND[kind], str(source)]
    return _run(clang, arguments, Path(name or source), timeout_seconds, directory)


def lower(
    clang: Path,
    bitcode: bytes,
    flags: Sequence[str],
    *,
    name: str,
    optimise_codegen: bool = True,
    assembly: bool = False,
    options: Sequence[str] = (),
    timeout_seconds: float = 300.0,
) -> bytes:
    """Generate code for a tuned module with the user's own clang and flags, running no IR passes.

    `optimise_codegen=False` is plain `clang -x ir -c` (the protocol `paper`); `options` are LLVM options for
    code generation.
    """
    level = UNOPTIMISED if optimise_codegen else ()
    with tempfile.TemporaryDirectory(prefix="irwright-") as folder:
        file = Path(folder) / "module.bc"
        file.write_bytes(bitcode)
        codegen = [word for option in options for word in ("-mllvm", option)]
        arguments = [*lowering_flags(flags), *level, *codegen, "-S" if assembly else "-c", "-x", "ir", str(file)]
        return _run(clang, arguments, Path(name), timeout_seconds)


def lowering_flags(flags: Sequence[str]) -> tuple[str, ...]:
    """The user's flags that mean something when IR is lowered: no preprocessor, no language, no debug input."""
    kept: list[str] = []
    words = iter(compiling_flags(flags))
    for word in words:
        if word in {"-I", "-D", "-U", "-include", "-isystem", "-iquote", "-idirafter", "-imacros"}:
            next(words, None)
        elif not word.startswith(("-I", "-D", "-U", "-std=", "-isystem", "-iquote", "-W", "-g")):
            kept.append(word)
    return tuple(kept)


def _run(
    clang: Path, arguments: Sequence[str], source: Path, timeout_seconds: float, directory: Path | None = None
) -> bytes:
    with tempfile.TemporaryDirectory(prefix="irwright-") as folder:
        output = Path(folder) / "out"
        command = [str(clang.absolute()), "-Qunused-arguments", *arguments, "-o", str(output)]
        try:
            run = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=timeout_seconds,
                check=False,
                cwd=directory,
            )
        except subprocess.TimeoutExpired as error:
            raise SourceError(str(source), f"clang takes over {timeout_seconds:g} s") from error
        except OSError as error:
            raise ToolchainError(f"{clang} does not run: {error.strerror}", remedy="see irwright doctor") from error
        diagnostics = run.stderr.decode(errors="replace")
        if run.returncode == 0 and output.exists():
            return output.read_bytes()
    raise _explain(source, diagnostics, run.returncode)


def _explain(source: Path, diagnostics: str, code: int) -> SourceError | IRError:
    if source.suffix in IR_SUFFIXES:
        match = re.search(r"(?:^|\n)(?:.*?:(\d+):(\d+): )?error: (.*)", diagnostics)
        if match is not None:
            line, column = (int(match.group(n) or 0) for n in (1, 2))
            return IRError(str(source), f"clang can't read it: {match.group(3)}", line=line, column=column)
    match = re.search(r"(?:^|\n)(?P<where>[^\n]*?):? ?(?:fatal )?error: (?P<what>[^\n]*)", diagnostics)
    if match is None:
        what = f"clang ends with code {code}"
    else:
        where = match.group("where").removeprefix("clang").strip(": ")
        what = f"does not compile: {match.group('what')}" + (f" ({where})" if where else "")
    return SourceError(str(source), what, diagnostics=diagnostics)
