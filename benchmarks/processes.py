"""The rival of throughput.py: one evaluation as three processes, `opt`, `llc` and `llvm-size`.

It gets what makes it fast: no verifiers, bitcode in between, two evaluations at a time, and of two ways to hand
data on (pipes, or files in memory) the one that is faster on the module at hand.
"""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from irwright.errors import ToolchainError
from irwright.llvm.toolchain import xtc_tool

MEMORY_FOLDER = Path("/dev/shm")
"""files here cost no disk"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """opt, llc and llvm-size of one build of LLVM."""

    folder: Path
    version: str
    assertions: bool
    """built with assertions, which make it slower"""

    @property
    def installation(self) -> Path:
        return self.folder.parent

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def find_tools(folder: Path | None) -> Tools:
    """The tools in `folder`, by default of the extra `targets`."""
    if folder is None:
        opt = xtc_tool("opt")
        if opt is None:
            raise ToolchainError("opt, llc and llvm-size are not installed", remedy="pip install 'irwright[targets]'")
        folder = opt.parent
    folder = folder.expanduser().absolute()
    for name in ("opt", "llc", "llvm-size"):
        if not (folder / name).is_file():
            raise ToolchainError(f"no {name} in {str(folder)!r}", remedy="name the bin folder of an LLVM with --tools")
    text = subprocess.run([str(folder / "opt"), "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"LLVM version (\d+\.\d+\.\d+)", text)
    if match is None:
        raise ToolchainError(f"{folder / 'opt'} does not tell its version", remedy="name another folder with --tools")
    return Tools(folder=folder, version=match.group(1), assertions="with assertions" in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the processes did with some pipelines."""

    form: str
    """`pipes` or `files`"""
    seconds: float
    """wall time of all"""
    cpu_seconds: float
    """of all processes, which other work on the machine changes less"""
    sizes: list[int | None]
    """text + data of llvm-size; None where a process failed or took too long"""

    @property
    def per_second(self) -> float:
        return len(self.sizes) / self.seconds


def run(tools: Tools, bitcode: bytes, pipelines: Sequence[str], *, jobs: int, timeout_seconds: float) -> Run:
    """Evaluate every pipeline, `jobs` at a time, in the faster form."""
    folder = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="irwright-", dir=folder) as name,
        ThreadPoolExecutor(max_workers=jobs) as pool,
    ):
        source = Path(name) / "module.bc"
        source.write_bytes(bitcode)

        def go(form: str, some: Sequence[str]) -> Run:
            evaluate = FORMS[form]

            def one(pipeline: str) -> int | None:
                return evaluate(tools, source, pipeline, timeout_seconds)

            started, used = time.perf_counter(), _cpu_seconds_of_children()
            sizes = list(pool.map(one, some))
            seconds, used = time.perf_counter() - started, _cpu_seconds_of_children() - used
            return Run(form=form, seconds=seconds, cpu_seconds=used, sizes=sizes)

        sample = pipelines[: 4 * jobs]
        for form in FORMS:  # the first start of a program reads it from disk
            go(form, sample[:jobs])
        trials = [go(form, sample) for _ in range(2) for form in FORMS]
        return go(min(trials, key=lambda trial: trial.seconds).form, pipelines)


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _opt(tools: Tools, source: Path, pipeline: str, output: str) -> list[str]:
    return [str(tools.folder / "opt"), "-disable-verify", f"-passes={pipeline}", str(source), "-o", output]


def _llc(tools: Tools, source: str, output: str) -> list[str]:
    # As clang: position-independent; llc does not look at the module's flag.
    options = ["-disable-verify", "-filetype=obj", "-O2", "-relocation-model=pic"]
    return [str(tools.folder / "llc"), *options, source, "-o", output]


def _size(tools: Tools, source: str) -> list[str]:
    return [str(tools.folder / "llvm-size"), source]


def _total(output: bytes) -> int | None:
    """text + data of llvm-size's only line."""
    lines = output.split(b"\n")
    if len(lines) < 2:
        return None
    fields = lines[1].split()
    return int(fields[0]) + int(fields[1])


def _through_pipes(tools: Tools, source: Path, pipeline: str, timeout_seconds: float) -> int | None:
    quiet = subprocess.DEVNULL
    commands = [_opt(tools, source, pipeline, "-"), _llc(tools, "-", "-"), _size(tools, "-")]
    running: list[subprocess.Popen[bytes]] = []
    for command in commands:
        before = running[-1].stdout if running else quiet
        running.append(subprocess.Popen(command, stdin=before, stdout=subprocess.PIPE, stderr=quiet))
        if len(running) > 1:
            previous = running[-2].stdout
            assert previous is not None
            previous.close()  # ours; the next process holds its own
    try:
        output, _ = running[-1].communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        for process in running:
            process.kill()
        output, _ = running[-1].communicate()
    codes = [process.wait() for process in running]
    return _total(output) if not any(codes) else None


def _through_files(tools: Tools, source: Path, pipeline: str, timeout_seconds: float) -> int | None:
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        optimised, made = f"{folder}/a.bc", f"{folder}/a.o"
        output = b""
        for command in (_opt(tools, source, pipeline, optimised), _llc(tools, optimised, made), _size(tools, made)):
            try:
                done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)
            except subprocess.TimeoutExpired:
                return None
            if done.returncode != 0:
                return None
            output = done.stdout
        return _total(output)


FORMS: dict[str, Callable[[Tools, Path, str, float], int | None]] = {
    "pipes": _through_pipes,
    "files": _through_files,
}
