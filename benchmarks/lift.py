"""The lifter's exam: what of compiled C recompiles, is exact, is equivalent, and what it costs.

    python benchmarks/lift.py --configurations clang22-Oz,clang22-O2,gcc12-O2 --num 200     # held-out packages
    python benchmarks/lift.py --role training ...                                            # while developing
    python benchmarks/lift.py --report                                                       # tables of what was run

Functions are drawn in a fixed random order, projects taking turns (lift_cases.py); a run goes on where it was killed,
so that the first N of the order are what a table of N counts. `exact` is `irwright disassemble`'s verdict: the module
as it is written, lowered by code generation alone, gives the same instructions on the same data, labels, comments,
cfi and directives aside. A function that stays machine code counts as not lifted. What is held out: HELDOUT of
lift_cases.py for clang 22; for gcc, for clang 17 and for clang 22 where the configuration says `fresh` FRESH, which are
duktape, gawk, gmp, libpcap, libssh2, libzstd, lz4, mpfr4, readline and tcpdump.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from lift_cases import Case, bitcode_files, bitcode_functions, case_folder, source_files, source_functions
from lift_report import write_report
from report import add_out_option, machine

from irwright.corpus.packages import Role
from irwright.errors import IrwrightError
from irwright.evaluation.bleu import counts, words
from irwright.lift.disassembler import DEFAULT_BUDGET, Disassembler, LiftSettings
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool

ROOT = Path(__file__).parent.parent
LLVM17 = ROOT / ".venv" / "llvm-17.0.6.0"
GCC = Path("/usr/bin/gcc-12")
CONFIGURATIONS = (
    *("clang22-Oz", "clang22-O2", "clang22-Oz-files", "clang22-Oz-fresh", "clang22-O2-fresh"),
    *("gcc12-O2", "gcc12-Os", "gcc12-O2-text", "clang17-Oz", "speed"),
)
MAX_FILE_BYTES = 200_000
SECONDS = 240


class TooLongError(Exception):
    """A case took over its time."""


def cases(configuration: str, role: Role) -> Iterator[Case]:
    """The inputs of a configuration, in their order."""
    compiler, level, *kind = configuration.split("-")
    level = f"-{level}"
    if compiler == "clang22" and kind != ["fresh"]:
        return bitcode_files(role, level) if kind else bitcode_functions(role, level)
    if compiler == "gcc12":
        return source_files(role, GCC, level, "asm" if kind else "obj")
    toolchain = find(llvm=None if compiler == "clang22" else str(LLVM17))
    return source_functions(role, toolchain.library.path, toolchain.need_clang(), level)


def run(configuration: str, options: argparse.Namespace) -> None:
    """All cases up to the number wanted; rows are appended to the configuration's file."""
    path = case_folder(options.role, configuration) / f"{configuration}.jsonl"
    known = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set[str]()
    num_functions = 0
    llvm = str(LLVM17) if configuration.startswith("clang17") else None
    settings = LiftSettings(budget=options.budget, verify=True, llvm=llvm)
    code = machine()["irwright"].rpartition(" ")[2]
    for case in cases(configuration, options.role):
        if num_functions >= options.num or time.time() > options.until:
            return
        if len(case.data) > MAX_FILE_BYTES or case.data[:2] == b"# ":
            continue
        if case.name not in known:
            row = judge(case, settings) | {"code": code}
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{configuration} {num_functions} {row['name']} {row['problem'] or ''}", flush=True)
        num_functions += 1


def judge(case: Case, settings: LiftSettings) -> dict[str, Any]:
    """What becomes of one case."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLongError(f"over {SECONDS} s")

    row: dict[str, Any] = {"name": case.name, "project": case.project, "problem": "", "functions": []}
    started = time.monotonic()
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        toolchain = find("x86_64", llvm=settings.llvm)
        with WorkerPool(toolchain.library.path, jobs=1, timeout_seconds=60) as pool:
            result = Disassembler(pool, settings).run(case.data, case.name)
        for one in result.functions:
            counted = counts(words(one.original), words(one.recompiled))
            row["functions"].append({**one.to_json(), "reason": one.reason[:200], "bleu": counted})
    except (IrwrightError, TooLongError) as error:
        row["problem"] = str(error)[:300]
    finally:
        signal.alarm(0)
    row["seconds"] = round(time.monotonic() - started, 3)
    return row


# Speed


def run_speed(options: argparse.Namespace) -> None:
    """CPU time of one lifting (no search, no verification) by size, and of a search; peak memory on a large file."""
    path = case_folder(options.role) / "speed.jsonl"
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    known = {row["name"] for row in rows}
    toolchain = find("x86_64")
    by_class: dict[int, int] = {}
    with WorkerPool(toolchain.library.path, jobs=1, timeout_seconds=120) as pool:
        for case in bitcode_functions(options.role, "-Oz"):
            if time.time() > options.until or sum(by_class.values()) >= options.num:
                break
            size = case.data.count(b"\n\t") - case.data.count(b"\n\t.")
            number = max(size, 1).bit_length()
            if case.name in known or case.data[:2] == b"# " or not size or size > 6000:
                by_class[number] = by_class.get(number, 0) + (case.name in known)
                continue
            if by_class.get(number, 0) >= options.num // 8 and size < 500:
                continue
            row: dict[str, Any] = {"name": case.name, "instructions": size}
            try:
                for name, budget in (("one", 1), ("search", DEFAULT_BUDGET)):
                    before = cpu_seconds()
                    Disassembler(pool, LiftSettings(budget=budget, verify=False)).run(case.data, case.name)
                    row[name] = round(cpu_seconds() - before, 4)
            except IrwrightError as error:
                row["problem"] = str(error)[:200]
            by_class[number] = by_class.get(number, 0) + 1
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")


def cpu_seconds() -> float:
    """CPU time of this process and its children so far."""
    nanoseconds = 0
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            nanoseconds += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return time.process_time() + nanoseconds / 1e9


def run_memory(options: argparse.Namespace) -> None:
    """Peak memory of `irwright disassemble` on the largest file of the role, without search."""
    best = max(bitcode_files(options.role, "-O2"), key=lambda case: len(case.data) if case.data[:2] != b"# " else 0)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "large.s", Path(folder) / "large.o"
        source.write_bytes(best.data)
        subprocess.run([str(find().need_clang()), "-c", str(source), "-o", str(made)], check=True)
        command = [sys.executable, "-m", "irwright", "disassemble", str(source), "--budget", "1", "--no-verify"]
        started = time.monotonic()
        done = subprocess.run([*command, "-o", os.devnull], capture_output=True, timeout=900, check=False)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        row = {"name": best.name, "object_bytes": made.stat().st_size, "peak_mib": round(peak, 1)}
        row |= {"wall_seconds": round(time.monotonic() - started, 1), "code": done.returncode}
        (case_folder(options.role) / "memory.json").write_text(json.dumps(row))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", choices=("heldout", "training"), default="heldout")
    parser.add_argument("--configurations", default=",".join(CONFIGURATIONS))
    parser.add_argument("--num", type=int, default=500, help="cases of each configuration")
    parser.add_argument("--budget", type=int, default=DEFAULT_BUDGET, help="variants per function")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop each configuration after so long")
    parser.add_argument("--report", action="store_true", help="write the tables of what was run, and run nothing")
    add_out_option(parser)
    options = parser.parse_args()
    for configuration in options.configurations.split(",") if not options.report else ():
        options.until = time.time() + 60 * options.minutes
        if configuration == "speed":
            run_speed(options)
        elif configuration == "memory":
            run_memory(options)
        else:
            run(configuration, options)
    write_report(lambda key: case_folder(options.role, key), options.role, options.out)


if __name__ == "__main__":
    main()
