"""Do whole projects still work when every object is replaced by its lifted and recompiled self?

    python benchmarks/relink.py                       # all four projects, clang -Oz objects
    python benchmarks/relink.py --only zlib --level 2 --compiler gcc
    python benchmarks/relink.py --assembly            # lift assembly text in place of objects

Each C file is compiled as the project's build system says, at --level; the object is lifted (one variant a function,
the sound one unless the first guess is exact), and what clang makes of the module, by code generation alone, takes
its place. Then the project's own tests run. What could not be lifted as a file is counted and stays as it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from projects import Bench, Built
from projects_list import PROJECTS, Project
from report import ROOT

from irwright.errors import IrwrightError
from irwright.lift.disassembler import LiftSettings, disassemble

NAMES = ("zlib", "bzip2", "lua", "expat")
SCRIPT = """#!/bin/sh
exec {python} {script} --as-compiler "$@"
"""


class Relink(Bench):
    """Projects built through a compiler that lifts what it made."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        super().__init__(folder, arguments.jobs)
        self.arguments = arguments
        self.log = folder / "lifted.jsonl"
        tool = self.tools / "relink"
        tool.write_text(SCRIPT.format(python=sys.executable, script=Path(__file__).resolve()))
        tool.chmod(0o755)

    def lifted(self, project: Project, variant: str) -> Built:
        """Build and test one project."""
        return self._build(project, variant)

    def _environment(self, kind: str, budget: str, cache: Path) -> dict[str, str]:
        environment = super()._environment("plain", budget, cache)
        compiler = environment["CC"] if self.arguments.compiler == "clang" else self.arguments.compiler
        environment |= {"RELINK_LEVEL": self.arguments.level, "RELINK_LOG": str(self.log)}
        environment |= {"RELINK_CLANG": environment["CC"], "RELINK_TEXT": "1" if self.arguments.assembly else ""}
        environment["RELINK_OFF"] = "1" if kind == "plain" else ""
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


def line(project: Project, built: Built, log: Path) -> str:
    """One project's row."""
    entries = [json.loads(text) for text in log.read_text().splitlines()] if log.exists() else []
    entries = [one for one in entries if f"/trees/{project.name}/" in one["object"]]
    totals: Counter[str] = Counter()
    for one in entries:
        totals.update(one.get("totals", {}))
    failed = sum("problem" in one for one in entries)
    tests = f"{built.tests_passed} passed, {built.tests_failed} failed" if built.ok else f"no build: {built.detail}"
    lifted = totals["functions"] - totals["not-lifted"]
    return (
        f"{project.name}: {len(entries)} objects ({failed} not lifted), {lifted} of {totals['functions']} functions"
        f" lifted ({totals['exact']} exact); tests: {tests}{'' if built.test_ok else ' NOT OK'}"
    )


def main() -> int:
    """Parse, run, print."""
    if sys.argv[1:2] == ["--as-compiler"]:
        return compile_and_lift(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--level", default="z")
    parser.add_argument("--compiler", default="clang")
    parser.add_argument("--assembly", action="store_true", help="lift assembly text in place of objects")
    parser.add_argument("--plain", action="store_true", help="build without lifting: do the tests pass as they are?")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "relink")
    parser.add_argument("-j", "--jobs", type=int, default=1)
    arguments = parser.parse_args()
    kind = "plain" if arguments.plain else "cold"
    bench = Relink(arguments.folder.resolve(), arguments)
    bad = 0
    for project in PROJECTS:
        if project.name in arguments.only.split(","):
            built = bench.lifted(project, f"{kind}-{arguments.compiler}{arguments.level}")
            print(line(project, built, bench.log), flush=True)
            bad += not built.test_ok
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
