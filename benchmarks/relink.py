"""Do whole projects still work when every object is replaced by its lifted and recompiled self?

    python benchmarks/relink.py                                     # all of them; a killed run goes on where it was
    python benchmarks/relink.py --only zlib --configurations gcc-O2 # some
    python benchmarks/relink.py --configurations clang-O2-text      # lift assembly text in place of objects
    python benchmarks/relink.py --report                            # the table of what was run

Each C file is compiled as the project's build system says, at the level of the configuration; the object is lifted
(one variant a function, the sound one unless the first guess is exact), and what clang makes of the module, by code
generation alone, takes its place. Then the project's own tests run. What could not be lifted as a file is counted and
stays as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from projects import Bench, Built
from projects_list import PROJECTS, Project
from report import Report, add_out_option, at_least, machine

from irwright.corpus.packages import default_cache
from irwright.errors import IrwrightError
from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.llvm.toolchain import find

NAMES = ("zlib", "bzip2", "lua", "expat")
CONFIGURATIONS = ("clang-Oz", "clang-O2", "gcc-O2", "gcc-Os")
SCRIPT = """#!/bin/sh
exec {python} {script} --as-compiler "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What is lifted."""

    compiler: str
    level: str
    is_text: bool
    is_lifted: bool

    @classmethod
    def parse(cls, name: str) -> Configuration:
        """`clang-Oz`, `gcc-O2`, `clang-O2-text`, `gcc-O2-plain` ..."""
        compiler, level, *more = name.split("-")
        if compiler not in ("clang", "gcc") or level[:1] != "O" or set(more) - {"text", "plain"}:
            raise SystemExit(f"unknown configuration {name!r}; they are like clang-Oz, gcc-O2, clang-O2-text")
        return cls(compiler=compiler, level=level[1:], is_text="text" in more, is_lifted="plain" not in more)


class Relink(Bench):
    """Projects built through a compiler that lifts what it made."""

    def __init__(self, folder: Path, jobs: int) -> None:
        super().__init__(folder, jobs)
        self.configuration = Configuration.parse(CONFIGURATIONS[0])
        self.log = folder / "lifted.jsonl"
        tool = self.tools / "relink"
        tool.write_text(SCRIPT.format(python=sys.executable, script=Path(__file__).resolve()))
        tool.chmod(0o755)

    def row_path(self, project: Project, name: str) -> Path:
        """Where the result of one run is kept."""
        return self.folder / "rows" / f"{project.name}-{name}.json"

    def lifted(self, project: Project, name: str) -> dict[str, Any]:
        """Build and test one project in one configuration."""
        self.configuration = Configuration.parse(name)
        self.log = self.folder / "logs" / f"{project.name}-{name}.jsonl"
        self.log.unlink(missing_ok=True)
        started = time.monotonic()
        built = self._build(project, f"cold-{name}")
        row = summary(project, built, self.log)
        row |= {"configuration": name, "seconds": round(time.monotonic() - started), "irwright": machine()["irwright"]}
        path = self.row_path(project, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row, indent=1) + "\n")
        return row

    def _environment(self, kind: str, budget: str, cache: Path) -> dict[str, str]:
        environment = super()._environment("plain", budget, cache)
        configuration = self.configuration
        compiler = environment["CC"] if configuration.compiler == "clang" else configuration.compiler
        environment |= {"RELINK_LEVEL": configuration.level, "RELINK_LOG": str(self.log)}
        environment |= {"RELINK_CLANG": environment["CC"], "RELINK_TEXT": "1" if configuration.is_text else ""}
        environment["RELINK_OFF"] = "" if configuration.is_lifted else "1"
        launcher = f"-DCMAKE_C_COMPILER_LAUNCHER=relink -DCMAKE_C_COMPILER={compiler}"
        return environment | {"CC": f"relink {compiler}", "LAUNCHER": launcher}


def compile_and_lift(command: list[str]) -> int:
    """What stands for the compiler: run it, then lift the object it made, if it made one of a C file."""
    command = [f"-O{os.environ['RELINK_LEVEL']}" if word[:2] == "-O" else word for word in command]
    code = subprocess.run(command, check=False).returncode
    sources = [word for word in command if word.endswith(".c")]
    if code or "-c" not in command or len(sources) != 1 or os.environ["RELINK_OFF"]:
        return code
    made = Path(command[command.index("-o") + 1] if "-o" in command else Path(sources[0]).with_suffix(".o").name)
    if made.suffix != ".o" and made.suffix != ".lo":
        return code
    entry: dict[str, Any] = {"object": str(made.resolve()), "source": sources[0]}
    text = made.with_suffix(".relink.s")
    if os.environ["RELINK_TEXT"]:
        words = [word for word in command if word not in ("-c", "-o", str(made))]
        subprocess.run([*words, "-S", "-o", str(text)], check=True)
    try:
        settings = LiftSettings(budget=1, verify=False, timeout_seconds=300)
        result = disassemble(text if text.exists() else made, settings=settings)
    except IrwrightError as error:
        entry["problem"] = str(error)
    else:
        entry |= {"totals": result.totals}
        entry["reasons"] = [[one.function, one.reason] for one in result.functions if one.verdict == "not-lifted"]
        module = made.with_suffix(".relink.ll")
        module.write_text(result.ir, errors="surrogateescape")
        lower = [os.environ["RELINK_CLANG"], "-w", "-x", "ir", "-Oz", "-Xclang", "-disable-llvm-passes", "-c"]
        done = subprocess.run([*lower, str(module), "-o", str(made)], capture_output=True, text=True, check=False)
        if done.returncode:
            entry["problem"] = f"does not recompile: {done.stderr[:300]}"
            return subprocess.run(command, check=False).returncode
    with Path(os.environ["RELINK_LOG"]).open("a") as log:
        log.write(json.dumps(entry) + "\n")
    return 0


def summary(project: Project, built: Built, log: Path) -> dict[str, Any]:
    """What came of one build."""
    entries = [json.loads(text) for text in log.read_text().splitlines()] if log.exists() else []
    totals: Counter[str] = Counter()
    for one in entries:
        totals.update(one.get("totals", {}))
    return {
        "project": project.name,
        "objects": len(entries),
        "problems": [f"{Path(one['object']).name}: {one['problem']}" for one in entries if "problem" in one],
        "functions": totals["functions"],
        "lifted": totals["functions"] - totals["not-lifted"],
        "exact": totals["exact"],
        "reasons": Counter(reason for one in entries for _, reason in one.get("reasons", ())).most_common(5),
        "tests_passed": built.tests_passed,
        "tests_failed": built.tests_failed,
        "ok": bool(built.ok and built.test_ok),
        "detail": built.detail,
    }


def report(bench: Relink, names: list[str]) -> Report:
    """The table of everything that was run."""
    page = Report(
        name="relink",
        title="Projects whose every object is its lifted self",
        summary="Each object of a project is lifted, one variant a function, recompiled by code generation alone, and"
        " linked in place of what the compiler made; then the project's own tests run.",
        versions={"clang": find().library.version, "gcc": gcc_version()},
    )
    rows: list[tuple[str | int | float | None, ...]] = []
    green = wanted = 0
    for name in names:
        for project in PROJECTS:
            path = bench.row_path(project, name)
            if project.name not in NAMES:
                continue
            wanted += 1
            if not path.exists():
                rows.append((f"{project.name}, {name}", "not run"))
                continue
            row = json.loads(path.read_text())
            green += row["ok"]
            tests = f"{row['tests_passed']}" + (f", **{row['tests_failed']} failed**" if row["tests_failed"] else "")
            kept = len(row["problems"])
            rows.append(
                (f"{project.name}, {name}", row["objects"], kept, row["functions"], row["lifted"], row["exact"], tests,
                 "yes" if row["ok"] else "**no**", row["irwright"].rpartition(" ")[2])
            )  # fmt: skip
            page.notes += [f"{project.name}, {name}: {problem}" for problem in row["problems"]]
    columns = ("project, compiler", "objects", "not lifted", "functions", "lifted", "exact", "tests passed", "all pass")
    page.goals.append(at_least("projects whose own tests pass", wanted, green, f"of {wanted}"))
    page.add_table("Runs", (*columns, "commit"), rows, note="`not lifted` objects stay as the compiler made them.")
    return page


def gcc_version() -> str:
    """Of the gcc that makes objects here."""
    done = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"


def main() -> int:
    """Parse, run, print."""
    if sys.argv[1:2] == ["--as-compiler"]:
        return compile_and_lift(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--configurations", default=",".join(CONFIGURATIONS))
    parser.add_argument("--again", action="store_true", help="run also what was run before")
    parser.add_argument("--report", action="store_true", help="write the table of what was run, and run nothing")
    parser.add_argument("--folder", type=Path, default=default_cache() / "relink")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    add_out_option(parser)
    arguments = parser.parse_args()
    bench = Relink(arguments.folder.resolve(), arguments.jobs)
    bad = 0
    names = arguments.configurations.split(",")
    for name in names if not arguments.report else ():
        for project in PROJECTS:
            path = bench.row_path(project, name)
            if project.name not in arguments.only.split(",") or (path.exists() and not arguments.again):
                continue
            row = bench.lifted(project, name)
            print(json.dumps({key: row[key] for key in row if key != "reasons"}), flush=True)
            bad += not row["ok"]
    print(report(bench, list(CONFIGURATIONS) if arguments.report else names).write(arguments.out))
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
