"""CPU time of a cold `irwright cc` over the compiler's own, and bytes saved, file by file; and where the time goes.

    python benchmarks/compiles.py build/compile_commands.json --only 'json_*.c,linkhash.c'

Each file is compiled at -Oz by the compiler alone (the least of three) and by `irwright cc` with an empty cache, in
which only what a build learns once is kept (the compiler's library, arenas, a helper). CPU seconds are those of all
processes. `--phases` runs the driver with its functions wrapped, without a helper; that adds a little of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

LEFT_OUT = ("-o", "-MT", "-MF", "-MQ")
PHASES = (
    ("irwright.cc.driver", "_Run._preprocess", "preprocessing, for the cache's key"),
    ("irwright.cc.driver", "_Run._compile_plainly", "plain compile"),
    ("irwright.cc.tuning", "tune_object", "tuning, the rest"),
    ("irwright.cc.tuning", "_seed", "front end once more, for unoptimised IR"),
    ("irwright.cc.tuning", "_lower", "lowering by the compiler"),
    ("irwright.cc.tuning", "load_coreset", "table of plans"),
    ("irwright.cc.tuning", "search", "search, the rest"),
    ("irwright.evaluator", "Evaluator.evaluate", "compilations of whole modules"),
    ("irwright.evaluator", "Evaluator.evaluate_functions", "compilations by function"),
    ("irwright.evaluator", "Evaluator.survey", "survey of pieces"),
    ("irwright.evaluator", "Evaluator.compile", "IR of the winner, signatures, reference"),
    ("irwright.llvm.worker", "WorkerPool.add_module", "compile worker: start, parse"),
    ("irwright.verify.verifier", "Verifier.compare", "verification"),
)


def cpu_seconds() -> float:
    """Of this process and of its children, the living ones included."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        try:
            total += int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue
    return total


def trace(words: list[str]) -> int:
    """Run the driver in this process; the last line of stderr tells its phases as JSON."""
    phases: Counter[str] = Counter({"Python: start, imports of the driver": cpu_seconds()})
    inner: list[float] = []

    def wrapped(function: Callable[..., Any], label: str) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            before = cpu_seconds()
            inner.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                spent = cpu_seconds() - before
                phases[label] += spent - inner.pop()
                if inner:
                    inner[-1] += spent

        return run

    started = cpu_seconds()
    modules = {module: __import__(module, fromlist=["x"]) for module, _, _ in PHASES}
    phases["Python: imports of tuning"] = cpu_seconds() - started
    for module, name, label in PHASES:
        owner: Any = modules[module]
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, last, wrapped(getattr(owner, last), label))
    code = modules["irwright.cc.driver"].main(words)
    phases["other"] = cpu_seconds() - sum(phases.values())
    print(json.dumps(phases), file=sys.stderr)
    return code


def measured(command: list[str], folder: str, environment: dict[str, str]) -> tuple[float, str]:
    """CPU seconds of a command, helpers among them, and what it wrote to stderr."""
    from helpers import helper_seconds

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime + helper_seconds(Path(environment["IRWRIGHT_CACHE"]))

    before = spent()
    run = subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, check=True)
    return spent() - before, run.stderr


def saved(cache: Path) -> tuple[int, int]:
    """Bytes of the plain object and of the tuned one, of the last compile."""
    (day,) = (cache / "cc" / "events").iterdir()
    event = json.loads(day.read_text().splitlines()[-1])
    return (event["plain"], event["tuned"]) if "tuned" in event else (0, 0)


def compile_flags(entry: dict[str, Any]) -> list[str]:
    words = iter(entry.get("arguments") or shlex.split(entry["command"]))
    next(words)
    kept: list[str] = []
    for word in words:
        if word in LEFT_OUT:
            next(words)
        elif word not in ("-c", "-MD", "-MMD", "-Werror", entry["file"]) and not word.startswith("-O"):
            kept.append(word)
    return kept


def main() -> int:
    if sys.argv[1:2] == ["--trace"]:
        return trace(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, help="compile_commands.json")
    parser.add_argument("--only", default="*", help="names of files, with * and ?, separated by commas")
    parser.add_argument("--phases", action="store_true", help="where the time goes")
    arguments = parser.parse_args()
    from helpers import STAYING, end_helpers  # what is traced must not pay for them
    from report import ROOT, geomean

    from irwright.llvm.toolchain import find

    clang = str(find().need_clang())
    cache = Path(tempfile.mkdtemp(prefix="irwright-compiles-"))
    helper = {"IRWRIGHT_HELPER": "off"} if arguments.phases else STAYING
    environment = {**os.environ, **helper, "IRWRIGHT_CACHE": str(cache), "PYTHONPATH": str(ROOT / "src")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling our own modules is no part of a build
    start = "import sys; from irwright.start import main; sys.exit(main())"
    ours = [sys.executable, __file__, "--trace"] if arguments.phases else [sys.executable, "-c", start, "cc", "--"]
    ratios: list[float] = []
    phases: Counter[str] = Counter()
    plain_total = total = 0.0
    sizes: list[tuple[int, int]] = []
    for entry in json.loads(arguments.database.read_text()):
        source, folder = entry["file"], entry["directory"]
        if not any(fnmatch(Path(source).name, pattern) for pattern in arguments.only.split(",")):
            continue
        command = [clang, "-Oz", "-c", *compile_flags(entry), source, "-o", str(cache / "x.o")]
        plain = min(measured(command, folder, environment)[0] for _ in range(3))
        seconds = 0.0
        for _ in range(1 if ratios else 2):  # the first time, compiler and arenas are new
            shutil.rmtree(cache / "cc" / "objects", ignore_errors=True)
            seconds, said = measured([*ours, *command], folder, environment)
        if arguments.phases:
            phases.update(json.loads(said.splitlines()[-1]))
        ratios.append(seconds / plain)
        plain_total, total = plain_total + plain, total + seconds
        before, after = saved(cache)
        sizes.append((before, after))
        cost = f"{plain:7.3f} s {seconds:7.3f} s {seconds / plain:6.1f} x"
        print(f"{Path(source).name:30} {cost} {before:8} -> {after:8} bytes", flush=True)
    end_helpers(cache)
    shutil.rmtree(cache)
    print(f"CPU time: geometric mean of {len(ratios)} files {geomean(ratios):.1f} x, sum {total / plain_total:.1f} x")
    before, after = (sum(size[part] for size in sizes) for part in (0, 1))
    shares = geomean([tuned / plain for plain, tuned in sizes if plain])
    print(f"bytes: {before} to {after}, {100 - 100 * after / before:.2f} % saved, geomean {100 - 100 * shares:.2f} %")
    for label, seconds in phases.most_common():
        print(f"  {label:42} {seconds:7.2f} s {seconds / plain_total:6.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
