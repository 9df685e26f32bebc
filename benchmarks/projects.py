"""Real projects, built with `irwright cc` in place of the compiler: their own tests, linked bytes, build time.

    python benchmarks/projects.py                  # all projects, all variants; a killed run goes on where it was
    python benchmarks/projects.py --only zlib,lua  # some
    python benchmarks/projects.py --report         # the tables from what was run

Each project of projects_list.py is built from its Debian source archive (fetched with apt, pinned by hash) at -Oz, in
the same folder for every variant: plain clang, `irwright cc` at each budget with an empty cache (cold), and the same
again with that cache (warm). The project's test suite runs on the plain build and on each cold build. Bytes are
those of every allocated section with content of the linked libraries and executables.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from helpers import STAYING, end_helpers, helper_seconds
from projects_list import PROJECTS, Project
from report import ROOT, Report, add_out_option, at_least, below, geomean

from irwright.corpus.debian import AptFetcher, unpack
from irwright.corpus.packages import PackageSpec, default_cache
from irwright.llvm.toolchain import find

SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS = 2, 4, 8
TEST_TIMEOUT_SECONDS = 3 * 3600

LAUNCHER = """#!{python}
import sys
from irwright.start import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """One linked library or executable."""

    path: str
    """in the build folder"""
    total_bytes: int
    """allocated sections with content: text, rodata, data, unwind tables"""
    text_bytes: int
    """executable sections"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One project built in one way."""

    project: str
    variant: str
    """`plain`, `cold-8`, `warm-8` ..."""
    ok: bool
    detail: str = ""
    """the end of the output of a command that failed"""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    """of the build alone, without configure and tests"""
    linked: list[Linked] = field(default_factory=list[Linked])
    tests_passed: int | None = None
    tests_failed: int | None = None
    test_ok: bool | None = None
    """exit code of the test command was 0"""
    stats: dict[str, Any] = field(default_factory=dict[str, Any])
    """what `irwright cc --stats --json` says"""


class Bench:
    """The folder in which projects are built."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder = folder
        self.jobs = jobs
        self.clang = find().need_clang()
        tools = folder / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        (tools / "irwright").write_text(LAUNCHER.format(python=sys.executable))
        (tools / "irwright").chmod(0o755)
        self.tools = tools

    def result_path(self, project: Project, variant: str) -> Path:
        return self.folder / "results" / f"{project.name}-{variant}.json"

    def read(self, project: Project, variant: str) -> Built | None:
        path = self.result_path(project, variant)
        if not path.exists():
            return None
        data = json.loads(path.read_text())
        data["linked"] = [Linked(**item) for item in data["linked"]]
        if data["test_ok"] is not None:  # counted afresh: the patterns may have become better
            text = self._test_log(project, variant).read_text(errors="replace")
            data["tests_passed"], data["tests_failed"] = project.count(text)
        return Built(**data)

    def _test_log(self, project: Project, variant: str) -> Path:
        return self.folder / "logs" / f"{project.name}-{variant}-tests.log"

    def run(self, project: Project, variant: str) -> Built:
        """Build and test one project in one way; from the results where it was done before."""
        done = self.read(project, variant)
        if done is not None and done.ok:
            return done
        built = self._build(project, variant)
        path = self.result_path(project, variant)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(built), indent=1))
        temporary.replace(path)
        return built

    def _build(self, project: Project, variant: str) -> Built:
        kind, _, budget = variant.partition("-")
        tree = self.folder / "trees" / project.name / "tree"  # the same path for all: __FILE__ is in the bytes
        shutil.rmtree(tree.parent, ignore_errors=True)
        tree.parent.mkdir(parents=True)
        for source in project.sources:
            spec = PackageSpec(
                package=source.package, version=source.version, sha256=source.sha256, role="heldout", build="guess"
            )
            unpack(AptFetcher(default_cache()).fetch(spec), tree.parent / (source.folder or "tree"))
        log = self.folder / "logs" / f"{project.name}-{variant}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        cache = self.folder / "caches" / f"{project.name}-{budget}"
        if kind == "cold":
            shutil.rmtree(cache, ignore_errors=True)
        environment = self._environment(kind, budget, cache)

        def failed(command: str) -> Built:
            end_helpers(cache)
            words = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            return Built(project=project.name, variant=variant, ok=False, detail=f"{command}: {words}")

        for command in project.configure:
            if self._shell(command, tree, environment, log):
                return failed(command)
        if kind == "warm":  # of the build alone
            self._clear_stats(environment)
        wall, cpu = time.monotonic(), _cpu_seconds(cache)
        for command in project.build:
            if self._shell(command, tree, environment, log):
                return failed(command)
        wall, cpu = time.monotonic() - wall, _cpu_seconds(cache) - cpu
        end_helpers(cache)
        stats = {} if kind == "plain" else self._stats(environment)
        found = [path for pattern in project.linked for path in sorted(tree.glob(pattern)) if not path.is_symlink()]
        linked = [measure(path, tree) for path in found]
        if len(linked) < len(project.linked):
            return failed(f"of {project.linked} there is only {[item.path for item in linked]}")
        built = Built(
            project=project.name,
            variant=variant,
            ok=True,
            wall_seconds=wall,
            cpu_seconds=cpu,
            linked=linked,
            stats=stats,
        )
        if kind == "warm":
            return built
        output = self._test_log(project, variant)
        output.unlink(missing_ok=True)
        codes = [self._shell(command, tree, environment, output) for command in project.test]
        end_helpers(cache)
        passed, failures = project.count(output.read_text(errors="replace"))
        return replace(built, tests_passed=passed, tests_failed=failures, test_ok=not any(codes))

    def _environment(self, kind: str, budget: str, cache: Path) -> dict[str, str]:
        clang, clangxx = str(self.clang), str(self.clang.with_name("clang++"))
        environment = {
            **os.environ,
            "PATH": f"{self.tools}:{self.clang.parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "IRWRIGHT_CACHE": str(cache),
            "LC_ALL": "C",
            # The wheel's clang++ links with its own libc++, which is not where the loader looks.
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, self.clang.parents[1].glob("lib/*-linux-gnu"))),
            "JOBS": str(self.jobs),
        }
        for name in ("IRWRIGHT_BUDGET", "IRWRIGHT_LOG", "CFLAGS", "MAKEFLAGS"):
            environment.pop(name, None)
        if kind == "plain":
            return environment | {"CC": clang, "CXX": clangxx, "LAUNCHER": ""}
        return environment | {
            "CC": f"irwright cc -- {clang}",
            "CXX": f"irwright c++ -- {clangxx}",
            "LAUNCHER": "-DCMAKE_C_COMPILER_LAUNCHER=irwright;cc;-- -DCMAKE_CXX_COMPILER_LAUNCHER=irwright;c++;--",
            "IRWRIGHT_BUDGET": budget,
            "IRWRIGHT_LOG": f"{cache}.log",
            **STAYING,
        }

    def _shell(self, command: str, folder: Path, environment: dict[str, str], log: Path) -> int:
        with log.open("ab") as output:
            output.write(f"$ {command}\n".encode())
            output.flush()
            try:
                return subprocess.run(
                    ["bash", "-ec", command],
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=TEST_TIMEOUT_SECONDS,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                return 124

    def _stats(self, environment: dict[str, str]) -> dict[str, Any]:
        command = [str(self.tools / "irwright"), "cc", "--stats", "--json"]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    def _clear_stats(self, environment: dict[str, str]) -> None:
        subprocess.run([str(self.tools / "irwright"), "cc", "--clear"], env=environment, check=True)


def _cpu_seconds(cache: Path) -> float:
    """Of all that ended, and of the helpers of a build."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime + helper_seconds(cache)


def measure(path: Path, tree: Path) -> Linked:
    """Allocated bytes of a linked ELF file of 64 bits, little-endian."""
    data = path.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 40)
    (count,) = struct.unpack_from("<H", data, 60)
    total = text = 0
    for index in range(count):
        _, kind, flags, _, _, size = struct.unpack_from("<IIQQQQ", data, table + 64 * index)
        if flags & SHF_ALLOC and kind != SHT_NOBITS:
            total += size
            text += size if flags & SHF_EXECINSTR else 0
    return Linked(path=str(path.relative_to(tree)), total_bytes=total, text_bytes=text)


def variants(budgets: list[str]) -> list[str]:
    return ["plain", *(f"{kind}-{budget}" for budget in budgets for kind in ("cold", "warm"))]


def _bytes(built: Built) -> tuple[int, int]:
    return sum(item.total_bytes for item in built.linked), sum(item.text_bytes for item in built.linked)


def _saved(plain: int, tuned: int) -> str:
    return f"{100 * (plain - tuned) / plain:.1f} %" if plain else "–"


def _tests(built: Built) -> str:
    if built.tests_passed is None:
        return "–"
    failed = f", **{built.tests_failed} failed**" if built.tests_failed else ""
    verdict = "" if built.test_ok or built.tests_failed else ", **exit code not 0**"
    return f"{built.tests_passed}{failed}{verdict}"


def report(bench: Bench, budgets: list[str]) -> Report:
    """The tables of everything that was run."""
    page = Report(
        name="projects",
        title="Projects built with `irwright cc`",
        summary=(
            "Debian source packages built at -Oz for x86-64 with plain clang and with irwright in front of it. "
            "**Times are preliminary: other jobs ran on the machine's two cores.** Sizes and tests don't depend on it."
        ),
        versions={"clang": find().library.version},
    )
    for budget in budgets:
        _add_budget(page, bench, budget)
    rows: list[tuple[str, ...]] = []
    for project in PROJECTS:
        built = [bench.read(project, variant) for variant in variants(budgets)]
        rows += [
            (item.project, item.variant, item.detail.replace("\n", " ")[:300]) for item in built if item and not item.ok
        ]
    if rows:
        page.add_table("Builds that failed", ("project", "variant", "end of the log"), rows)
    done = [project for project in PROJECTS if any(bench.read(project, f"cold-{budget}") for budget in budgets)]
    page.notes += [f"{project.name}: {project.note}" for project in done if project.note]
    missing = [project.name for project in PROJECTS if project not in done]
    if missing:
        page.notes.append(f"not run yet: {', '.join(missing)}")
    return page


Row = tuple[str | int | float | None, ...]

COLUMNS = (
    "project",
    "plain bytes",
    "tuned bytes",
    "saved",
    "text saved",
    "tests, plain",
    "tests, tuned",
    "objects smaller + same + failed",
    "functions equal + inconclusive",
    "plain CPU s",
    "cold x",
    "warm x",
)
FILE_COLUMNS = ("file", "plain bytes", "tuned bytes", "saved", "plain text", "tuned text", "text saved")


def _add_budget(page: Report, bench: Bench, budget: str) -> None:
    """The tables and goals of one budget, over the projects that were built with it."""
    found: list[tuple[Built, Built, Built | None]] = []
    for project in PROJECTS:
        plain, cold = bench.read(project, "plain"), bench.read(project, f"cold-{budget}")
        if plain is not None and cold is not None and plain.ok and cold.ok:
            warm = bench.read(project, f"warm-{budget}")
            found.append((plain, cold, warm if warm is not None and warm.ok else None))
    if not found:
        return
    before = [sum(part) for part in zip(*(_bytes(plain) for plain, _, _ in found), strict=True)]
    after = [sum(part) for part in zip(*(_bytes(cold) for _, cold, _ in found), strict=True)]
    passed = sum(cold.tests_passed or 0 for _, cold, _ in found)
    rows: list[Row] = [_row(*built) for built in found]
    rows.append(
        ("all", before[0], after[0], _saved(before[0], after[0]), _saved(before[1], after[1]), None, str(passed))
    )
    green = sum(_results(cold) == _results(plain) for plain, cold, _ in found)
    wanted = 2.5 if budget == "8" else 4.0
    page.goals.append(
        at_least(
            f"bytes saved at budget {budget}, {len(found)} projects", wanted, 100 * (1 - after[0] / before[0]), "%"
        )
    )
    page.goals.append(at_least(f"suites as green as plain at budget {budget}, of {len(found)}", len(found), green, ""))
    cold_ratio = geomean([cold.cpu_seconds / plain.cpu_seconds for plain, cold, _ in found])
    warm_ratio = geomean([warm.cpu_seconds / plain.cpu_seconds for plain, _, warm in found if warm is not None])
    if budget == "8":
        page.goals.append(below("CPU time of a cold build over clang's, geometric mean", 8, cold_ratio, "x"))
        page.goals.append(below("CPU time of a warm build over clang's, geometric mean", 1.2, warm_ratio, "x"))
    note = (
        f"Linked libraries and executables; {budget} compilations for each object. `cold x` and `warm x`: CPU time "
        f"of the build over plain clang's; geometric mean {cold_ratio:.1f} cold, {warm_ratio:.2f} warm."
    )
    page.add_table(f"Budget {budget}", COLUMNS, rows, note=note)
    seen = _seen([cold for _, cold, _ in found])
    if seen:
        words = "Of the objects that were put in place; none of their functions is different."
        page.add_table(f"What verification said at budget {budget}", SEEN_COLUMNS, seen, note=words)
    files = [row for plain, cold, _ in found for row in _file_rows(plain, cold)]
    page.add_table(f"Every linked file at budget {budget}", FILE_COLUMNS, files)


SEEN_COLUMNS = (
    "project",
    "functions",
    "equal",
    "of them the same code",
    "inconclusive",
    "given the code of -Oz",
    "CPU ms a function that ran",
    "inconclusive, by reason",
)


def _seen(colds: list[Built]) -> list[Row]:
    """What verification said of the functions of the objects that were put in place."""
    rows: list[Row] = []
    reasons: Counter[str] = Counter()
    sums = Counter[str]()
    seconds = 0.0
    for cold in colds:
        functions: dict[str, int] = cold.stats.get("functions", {})
        own = Counter[str](cold.stats.get("reasons", {}))
        spent = cold.stats.get("verify_seconds")
        counts = {name: functions.get(name, 0) for name in ("equal", "same_code", "inconclusive")}
        counts["replaced"] = cold.stats.get("replaced", 0)
        if not counts["equal"] + counts["inconclusive"]:
            continue
        rows.append(_seen_row(cold.project, counts, spent, own))
        if spent is not None:
            sums.update(counts)
            reasons.update(own)
            seconds += spent
    return [*rows, _seen_row("all with times", sums, seconds, reasons)] if sums else rows


def _seen_row(name: str, counts: Mapping[str, int], seconds: float | None, reasons: Counter[str]) -> Row:
    functions = counts["equal"] + counts["inconclusive"]
    ran = functions - counts["same_code"]
    return (
        name,
        functions,
        f"{counts['equal']} ({100 * counts['equal'] / functions:.1f} %)",
        counts["same_code"] if seconds is not None else None,
        counts["inconclusive"],
        counts["replaced"],
        f"{1000 * seconds / max(1, ran):.1f}" if seconds is not None else None,
        ", ".join(f"{number} {reason}" for reason, number in reasons.most_common()) or None,
    )


def _results(built: Built) -> tuple[int | None, int | None, bool | None]:
    return built.tests_passed, built.tests_failed, built.test_ok


def _row(plain: Built, cold: Built, warm: Built | None) -> Row:
    (plain_total, plain_text), (total, text) = _bytes(plain), _bytes(cold)
    compiles, functions = cold.stats["compiles"], cold.stats.get("functions", {"equal": "–", "inconclusive": "–"})
    return (
        plain.project,
        plain_total,
        total,
        _saved(plain_total, total),
        _saved(plain_text, text),
        _tests(plain),
        _tests(cold),
        f"{compiles['tuned']} + {compiles['kept']} + {compiles['failed']}",
        f"{functions['equal']} + {functions['inconclusive']}",
        round(plain.cpu_seconds, 1),
        f"{cold.cpu_seconds / plain.cpu_seconds:.1f}",
        f"{warm.cpu_seconds / plain.cpu_seconds:.2f}" if warm is not None else None,
    )


def _file_rows(plain: Built, cold: Built) -> list[Row]:
    before = {item.path: item for item in plain.linked}
    pairs = [(before[item.path], item) for item in cold.linked if item.path in before]
    return [
        (
            f"{plain.project}: {item.path}",
            was.total_bytes,
            item.total_bytes,
            _saved(was.total_bytes, item.total_bytes),
            was.text_bytes,
            item.text_bytes,
            _saved(was.text_bytes, item.text_bytes),
        )
        for was, item in pairs
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="projects, separated by commas")
    parser.add_argument("--budgets", default="8,64", help="compilations for each object, separated by commas")
    parser.add_argument("--work", type=Path, default=default_cache() / "projects", help="where they are built")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="of make")
    parser.add_argument("--report", action="store_true", help="write the tables of what was run, and run nothing")
    add_out_option(parser)
    arguments = parser.parse_args()
    budgets = arguments.budgets.split(",")
    bench = Bench(arguments.work, arguments.jobs)
    chosen = [project for project in PROJECTS if not arguments.only or project.name in arguments.only.split(",")]
    if not arguments.report:
        for project in chosen:
            for variant in variants(budgets):
                built = bench.run(project, variant)
                total, text = _bytes(built)
                words = f"{total} bytes, {text} text, {built.wall_seconds:.0f} s, tests {_tests(built)}"
                print(f"{project.name:10} {variant:8} {words if built.ok else built.detail}", flush=True)
                if not built.ok:
                    break
            report(bench, budgets).write(arguments.out)
    print(report(bench, budgets).write(arguments.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
