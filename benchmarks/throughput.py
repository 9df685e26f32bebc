"""How fast irwright evaluates pass lists: against processes, by workers, and where the time goes.

    python benchmarks/throughput.py [--tools DIR] [--modules N] [--quick]

Modules are the programs of examples/ and, of each, the function of median size as its own translation unit.
Every figure that is a ratio comes from one run, its two sides measured one after the other. What costs how much in
one process is in throughput_inside.py.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import processes
from report import Cell, Report, add_out_option, at_least, below, geomean
from throughput_inside import tabulate_breakdown, tabulate_isolation, tabulate_reuse
from throughput_setting import JOBS, PROTOCOL, TIMEOUT_SECONDS, Setting, Subject, make_subjects, say, start_pool

from irwright.errors import IrwrightError
from irwright.evaluator import Evaluator
from irwright.llvm import toolchain
from irwright.llvm.toolchain import LibraryFacts
from irwright.llvm.worker import WorkerPool
from irwright.passes import PassList
from irwright.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How some lists went through a pool."""

    seconds: float
    in_llvm: float
    """seconds of passes and code generation, over all workers"""
    trials: list[Trial]
    num_jobs: int

    @property
    def per_second(self) -> float:
        return len(self.trials) / self.seconds

    @property
    def share_outside(self) -> float:
        """Percent of the workers' wall time not spent in passes and code generation."""
        return 100 * (1 - self.in_llvm / (self.num_jobs * self.seconds))


def measure_rate(pool: WorkerPool, subject: Subject, setting: Setting) -> Rate:
    """The lists on a module the pool has not seen; median of the repeats, parsing included."""
    rates: list[Rate] = []
    plans = setting.plans
    for _ in range(setting.repeats):
        started = time.perf_counter()
        facts = pool.add_module("subject", subject.bitcode, name=subject.name)
        evaluator = Evaluator(pool, "subject", facts, PROTOCOL, llvm_major=setting.llvm_major)
        trials = evaluator.evaluate(plans)
        seconds = time.perf_counter() - started
        pool.drop_module("subject")  # the last one: the pool forgets every size with it
        rates.append(Rate(seconds=seconds, in_llvm=evaluator.seconds_in_llvm, trials=trials, num_jobs=pool.jobs))
    return sorted(rates, key=lambda rate: rate.seconds)[len(rates) // 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The same lists on one module: by processes, and by irwright in three ways."""

    subject: Subject
    rival: processes.Run
    pooled: Rate
    """irwright on its own libLLVM"""
    alike: Rate
    """on the library of the processes"""
    alone: Rate
    """one worker, its own libLLVM"""

    @property
    def ratio(self) -> float:
        return self.pooled.per_second / self.rival.per_second

    @property
    def like_ratio(self) -> float:
        return self.alike.per_second / self.rival.per_second

    @property
    def by_jobs(self) -> float:
        return self.pooled.per_second / self.alone.per_second

    def against_processes(self) -> tuple[Cell, ...]:
        sizes = [trial.sizes.total if trial.sizes else None for trial in self.alike.trials]
        return (
            self.subject.name,
            self.subject.num_instructions,
            1000 * self.rival.cpu_seconds / len(self.rival.sizes),
            self.rival.per_second,
            self.rival.form,
            self.pooled.per_second,
            self.ratio,
            self.alike.per_second,
            self.like_ratio,
            mean_difference(sizes, self.rival.sizes),
            f"{sum(size is None for size in self.rival.sizes)} / {sum(size is None for size in sizes)}",
        )

    def scaling(self) -> tuple[Cell, ...]:
        outside = self.alone.share_outside, self.pooled.share_outside
        return (self.subject.name, self.alone.per_second, self.pooled.per_second, self.by_jobs, *outside)


def compare_rates(
    report: Report, subjects: Sequence[Subject], setting: Setting, tools: processes.Tools, like: LibraryFacts
) -> None:
    """irwright against processes, both on the tools' library; two workers against one; time outside LLVM."""
    pipelines = [passes.pipeline(setting.llvm_major) for passes in setting.lists]
    compared: list[Compared] = []
    started = time.perf_counter()
    with start_pool(setting.library, 1) as one:
        start_seconds = time.perf_counter() - started
        with start_pool(setting.library, JOBS) as two, start_pool(like.path, JOBS) as same:
            for subject in subjects:
                say(subject.name)
                rates = Compared(
                    subject=subject,
                    rival=processes.run(tools, subject.bitcode, pipelines, jobs=JOBS, timeout_seconds=TIMEOUT_SECONDS),
                    pooled=measure_rate(two, subject, setting),
                    alike=measure_rate(same, subject, setting),
                    alone=measure_rate(one, subject, setting),
                )
                compared.append(rates)
    report_rates(report, compared, len(setting.lists), tools)
    report.notes.append(f"A worker starts in {start_seconds:.2f} s, once per pool; not part of the rates.")


def report_rates(report: Report, compared: Sequence[Compared], num_lists: int, tools: processes.Tools) -> None:
    """The two tables, the goals, and what part of the ratios the library is."""
    against = [rates.against_processes() for rates in compared]
    scaling = [rates.scaling() for rates in compared]
    for kind, name in {"function": "function objects", "file": "whole files"}.items():
        of_kind = [rates for rates in compared if rates.subject.kind == kind]
        ratio = geomean([rates.ratio for rates in of_kind])
        like_ratio = geomean([rates.like_ratio for rates in of_kind])
        by_jobs = geomean([rates.by_jobs for rates in of_kind])
        against.append((f"geomean, {name}", *[None] * 5, ratio, None, like_ratio))
        scaling.append((f"geomean, {name}", None, None, by_jobs))
        wanted = {"function": 10, "file": 3}[kind]
        report.goals += [
            at_least(f"evaluations per second against processes, {name}", wanted, ratio),
            at_least(f"the same on the same libLLVM, {name}", wanted, like_ratio),
            at_least(f"two workers against one, {name}", 1.8, by_jobs),
        ]
    with_assertions = ", built with assertions" if tools.assertions else ""
    report.add_table(
        "Evaluations per second",
        (
            "module",
            "instructions",
            "processes, CPU ms each",
            "processes, 1/s",
            "form",
            "irwright, 1/s",
            "ratio",
            "irwright on the tools' libLLVM, 1/s",
            "ratio like for like",
            "sizes apart, %",
            "failed lists, processes / irwright",
        ),
        against,
        note=(
            f"{num_lists} random lists of length 1 to 50 on each module, {JOBS} at a time; processes are"
            f" `opt | llc -O2 | llvm-size` {tools.version}{with_assertions}. irwright begins with running workers"
            " and parses the module anew. Like for like is irwright on the library that opt and llc load; sizes apart"
            " is its mean difference from the sizes of the processes (the order of uses differs, and long lists"
            " run in chunks). Failed lists: with assertions, LLVM aborts on some."
        ),
    )
    report.add_table(
        "Two workers against one, and time outside LLVM",
        (
            "module",
            "1 worker, 1/s",
            "2 workers, 1/s",
            "ratio",
            "outside passes and codegen, 1 worker, %",
            "2 workers, %",
        ),
        scaling,
        note="The share of the workers' wall time: 1 - (pass seconds + emission seconds) / (workers * wall).",
    )
    slower = geomean([rates.pooled.per_second / rates.alike.per_second for rates in compared])
    report.notes.append(
        f"irwright is {slower:.2f} times as fast on its own libLLVM as on the tools' (geomean): that much of"
        " the ratio is the build of the library."
    )


def mean_difference(ours: Sequence[int | None], theirs: Sequence[int | None]) -> float:
    """Mean difference of two measurements of the same lists, in percent."""
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if one and other]
    return 100 * sum(abs(one - other) / other for one, other in pairs) / max(1, len(pairs))


def help_seconds() -> float:
    """CPU seconds of `irwright --help`, best of five."""
    taken: list[float] = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "irwright", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tools", type=Path, metavar="DIR", help="folder of opt, llc and llvm-size")
    parser.add_argument("--modules", type=int, metavar="N", help="examples to take (default: 8)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 2 examples, 16 lists")
    add_out_option(parser)
    options = parser.parse_args()
    try:
        run(options.tools, options.modules or (2 if options.quick else 8), quick=options.quick, out=options.out)
    except IrwrightError as error:
        raise SystemExit(f"throughput.py: {error}") from error
    except BrokenProcessPool as error:
        raise SystemExit("throughput.py: LLVM ended the process of a part that runs without workers") from error


def run(folder: Path | None, num_modules: int, *, quick: bool, out: Path) -> None:
    """Measure everything and write the report."""
    found = toolchain.find()
    tools = processes.find_tools(folder)
    like = next(iter(toolchain.take_inventory(str(tools.installation)).libraries), None)
    if like is None or tools.major != found.major:
        raise SystemExit(f"throughput.py: {tools.folder} is LLVM {tools.version}; {found.library.version} is compared")
    rng = random.Random(22)
    lists = [PassList.sample(rng, llvm_major=found.major) for _ in range(16 if quick else 200)]
    setting = Setting(
        library=found.library.path,
        llvm_major=found.major,
        lists=tuple(lists),
        repeats=1 if quick else 3,
        search_evaluations=24 if quick else 200,
    )
    report = Report(
        "throughput",
        "Throughput of evaluations",
        summary="How many pass lists a second irwright evaluates, against processes of LLVM's own tools.",
        versions={
            "libLLVM": f"{found.library.version} ({found.library.origin})",
            "opt, llc, llvm-size": f"{tools.version}{' with assertions' if tools.assertions else ''}",
        },
        quick=quick,
    )
    subjects = make_subjects(found, num_modules)
    compare_rates(report, subjects, setting, tools, like)
    tabulate_isolation(report, subjects, setting)
    tabulate_reuse(report, subjects, setting)
    tabulate_breakdown(report, subjects, setting)
    report.goals.append(below("CPU time of `irwright --help`, best of 5", 0.2, help_seconds(), "s"))
    page = report.write(out)
    print(report.markdown())
    say(f"written to {page}")


if __name__ == "__main__":
    main()
