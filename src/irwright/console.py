"""What the terminal shows: the table of results, the progress line, bars and side-by-side code.

Results go to stdout as plain text (colour only where stdout is a terminal), progress to stderr and only to a
terminal. rich is imported when a progress line is drawn, not before.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import click

from irwright.doctor import Diagnosis
from irwright.explain import Explanation, FunctionChange, Share, side_by_side
from irwright.lift.verdicts import ArchiveResult, LiftResult
from irwright.measure import Gain, Protocol, gain
from irwright.pass_table import PASSES, params_worth_trying, usable_passes
from irwright.screen_results import Summary, Verdict
from irwright.task import Budget
from irwright.tuner import Settings, TuneFailure, TuneResult

PLAIN_WIDTH = 160
"""columns where stdout is no terminal"""


def width() -> int:
    """Columns of the terminal on stdout."""
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if sys.stdout.isatty() else PLAIN_WIDTH


def shorten(text: str, columns: int) -> str:
    """Cut at the end, with an ellipsis."""
    return text if len(text) <= columns else text[: max(columns - 1, 0)] + "…"


def shorten_path(text: str, columns: int) -> str:
    """Cut at the front: the name of a file says more than its folder."""
    return text if len(text) <= columns else "…" + text[len(text) - columns + 1 :]


def describe_plan(result: TuneResult) -> str:
    """The plan in one line."""
    plan = result.plan
    if result.saved <= 0:
        return "-Oz stands"
    words: list[str] = []
    if plan.inliner_threshold is not None:
        words.append(f"[inliner {plan.inliner_threshold}]")
    if plan.codegen_options:
        words.append(f"[{' '.join(plan.codegen_options)}]")
    ways = {",".join(way) for way in result.lowerings().values()}
    words += [f"[{' or '.join(sorted(ways))}]"] if ways else []
    if result.is_per_function:
        lists = list(result.function_lists().values())
        count = len(set(lists))
        words.append(f"{count} {_plural(count, 'list')} for {len(lists)} {_plural(len(lists), 'function')}:")
        words.append(str(max(set(lists), key=lambda one: (lists.count(one), str(one)))))
    else:
        words.append(str(plan.as_list()))
    return " ".join(words)


def _plural(count: int, word: str) -> str:
    return word if count == 1 else word + "s"


class ResultTable:
    """Rows of `tune`, printed as they come; the columns are fixed before the first row."""

    def __init__(self, names: Sequence[str], protocol: Protocol, *, to_stderr: bool = False) -> None:
        self._protocol = protocol
        self._file = min(max((len(name) for name in names), default=4), max(24, width() // 3))
        self._num_files = len(names)
        self._num_rows = 0
        self._results: list[TuneResult] = []
        self._to_stderr = to_stderr

    def _print(self, line: str, **style: Any) -> None:
        click.secho(line, err=self._to_stderr, **style)

    def _cells(self, *cells: str) -> str:
        widths = (self._file, 10, 9, 8, 6, 6, 7, 8)
        name = shorten_path(cells[0], self._file)
        return "  ".join(
            [f"{name:<{self._file}}", *(f"{cell:>{n}}" for cell, n in zip(cells[1:], widths[1:], strict=True))]
        )

    def row(self, outcome: TuneResult | TuneFailure) -> None:
        """Print one outcome, under the header where it is the first."""
        if not self._num_rows:
            counted = "-Oz instrs" if self._protocol.counts_instructions else "-Oz bytes"
            cells = self._cells("file", counted, "tuned", "saved", "%", "tried", "seconds", "equal")
            self._print(f"{cells}  pass list", bold=True)
        self._num_rows += 1
        if isinstance(outcome, TuneFailure):
            self._print(f"{shorten_path(outcome.file, self._file):<{self._file}}  not tuned, see the error", fg="red")
            return
        self._results.append(outcome)
        cells = self._cells(
            outcome.file,
            f"{outcome.baseline_bytes:,}",
            f"{outcome.tuned_bytes:,}",
            f"{outcome.saved:,}",
            f"{outcome.saved_percent:.2f}",
            f"{outcome.num_compilations:,}",
            f"{outcome.seconds:.1f}",
            f"{outcome.verified.equal}/{len(outcome.verified.functions)}" if outcome.verified else "-",
        )
        columns = max(20, width() - len(cells) - 2)
        self._print(f"{cells}  {shorten(describe_plan(outcome), columns)}", fg="green" if outcome.saved else None)

    def footer(self, *, seconds: float, settings: Settings) -> None:
        """Totals, and what the numbers mean."""
        total = gain([(result.baseline_bytes, result.tuned_bytes) for result in self._results])
        functions = [one for result in self._results if result.verified for one in result.verified.functions]
        equal = sum(one.kind == "equal" for one in functions)
        if self._num_files > 1:
            cells = self._cells(
                "total",
                f"{total.baseline:,}",
                f"{total.tuned:,}",
                f"{total.baseline - total.tuned:,}",
                f"{total.percent:.2f}",
                f"{sum(result.num_compilations for result in self._results):,}",
                f"{seconds:.1f}",
                f"{equal}/{len(functions)}" if functions else "-",
            )
            self._print(f"{cells}  {_counts(total, self._num_rows - len(self._results))}", bold=True)
        compilers = ", ".join(sorted({f"{result.llvm} for {result.target}" for result in self._results}))
        self._print(f"\n{self._protocol.counts}; protocol {self._protocol.name}, {compilers}")
        self._print(f"-Oz is {self._protocol.baseline}; budget {settings.budget} a file, seed {settings.seed}")
        if not self._protocol.counts_instructions:
            text = gain([(result.baseline.text, result.tuned.text) for result in self._results])
            self._print(f"code alone: {text.baseline:,} to {text.tuned:,} bytes, {text.percent:.2f} % saved")
        if functions:
            blocks = sum(one.blocks for one in functions)
            covered = 100 * sum(one.blocks_covered for one in functions) / max(1, blocks)
            same = sum(one.is_same_code for one in functions)
            self._print(
                f"verified against -Oz on {settings.verify_seeds} inputs a function: {equal} of {len(functions)} equal"
                f" ({same} the same machine code), {len(functions) - equal} inconclusive, none different; "
                f"{covered:.0f} % of the blocks of those that changed ran"
            )
        replaced = [name for result in self._results for name, _ in result.repaired.replaced]
        if replaced:
            cost = sum(result.repaired.cost_bytes for result in self._results)
            self._print(f"{len(replaced)} functions failed a check and have the code of -Oz: {cost:,} bytes lost")
        if not self._to_stderr:
            written = [result.output for result in self._results if result.output]
            self._print(
                f"wrote {written[0] if len(written) == 1 else f'{len(written)} files'}"
                if written
                else "nothing written; -o keeps the results"
            )


def _counts(total: Gain, num_failed: int) -> str:
    parts = [f"geomean {total.geomean_percent:.2f} %", f"{total.improved} smaller", f"{total.unchanged} as -Oz"]
    return ", ".join(parts + ([f"{num_failed} failed"] if num_failed else []))


class ProgressLine:
    """One line on stderr that says what runs; silent where stderr is no terminal."""

    def __init__(self, num_files: int, budget: Budget) -> None:
        self._enabled = sys.stderr.isatty()
        self._num_files = num_files
        self._budget = budget
        self._done = 0
        self._running: dict[str, tuple[float, int, float]] = {}
        """file to (start, compilations, best)"""
        self._lock = threading.Lock()
        self._progress: Any = None
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self._enabled:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar = self._progress.add_task("starting", total=float(self._num_files))
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, file: str, num_compilations: int, best: float) -> None:
        """Called by searches, from any thread."""
        with self._lock:
            started = self._running.get(file, (time.monotonic(), 0, 0.0))[0]
            self._running[file] = (started, num_compilations, best)
            if self._progress is not None:
                self._show(file, num_compilations, best)

    def finished(self, file: str) -> None:
        with self._lock:
            self._done += 1
            self._running.pop(file, None)
            if self._progress is not None and self._running:
                latest = max(self._running, key=lambda name: self._running[name][0])
                self._show(latest, *self._running[latest][1:])

    def _show(self, file: str, num_compilations: int, best: float) -> None:
        shares = [self._share(started, count) for started, count, _ in self._running.values()]
        files = f"{self._done}/{self._num_files} files, " if self._num_files > 1 else ""
        size = f", {best:,.0f} smallest" if best != float("inf") else ""
        text = f"{files}{shorten_path(file, 32)}: {num_compilations:,} tried{size}".replace("[", r"\[")
        completed = min(self._done + sum(shares), self._num_files)
        self._progress.update(self._bar, completed=completed, description=text)

    def _share(self, started: float, num_compilations: int) -> float:
        shares = [0.0]
        if self._budget.compilations:
            shares.append(num_compilations / self._budget.compilations)
        if self._budget.seconds:
            shares.append((time.monotonic() - started) / self._budget.seconds)
        return min(0.99, max(shares))

    @contextmanager
    def paused(self) -> Generator[None]:
        """Take the line away while a result is printed."""
        if self._progress is None:
            yield
            return
        with self._lock:
            self._progress.stop()
            yield
            self._progress.start()


# ------------------------------------------------------------------ explain

BAR = 32
EIGHTHS = " ▏▎▍▌▋▊▉"


def print_explanation(explanation: Explanation) -> None:
    """The bars, then the code of the functions that changed most, -Oz on the left."""
    unit = "instructions" if explanation.protocol == "instructions" else "bytes"
    unoptimised = "" if explanation.unoptimised is None else f"unoptimised {explanation.unoptimised:,}, "
    click.echo(
        f"{explanation.file}: {unoptimised}-Oz {explanation.oz:,}, with this list {explanation.tuned:,} {unit}"
        f" (protocol {explanation.protocol}, in process)"
    )
    click.echo()
    _print_bars(explanation.shares, unit)
    for change in explanation.functions:
        click.echo()
        _print_change(change)


def _print_bars(shares: Sequence[Share], unit: str) -> None:
    labels = [share.text if share.scope is None else f"{share.scope}: {share.text}" for share in shares]
    column = min(max(map(len, labels), default=4), max(24, width() - BAR - 30))
    click.secho(f"{'pass':<{column}}  {'earns':>7}  {'so far':>9}", bold=True)
    # A meta pipeline earns more than all the rest; its bar may run off the scale.
    plain = [
        abs(share.earned) for share in shares if share.earned is not None and not share.text.startswith("default<")
    ]
    scale = max(plain, default=0) or max((abs(share.earned or 0) for share in shares), default=0) or 1
    for label, share in zip(labels, shares, strict=True):
        earned = "fails" if share.earned is None else f"{share.earned:+,}" if share.earned else "0"
        so_far = "" if share.cumulative is None else f"{share.cumulative:,}"
        colour = None if not share.earned else "green" if share.earned > 0 else "red"
        bar = click.style(_bar(share.earned or 0, scale), fg=colour)
        click.echo(f"{shorten(label, column):<{column}}  {earned:>7}  {so_far:>9}  {bar}".rstrip())
    click.echo(
        f"earns: {unit} the object grows by without the pass, all others kept; so far: {unit} after the list up to here"
    )


def _bar(value: int, scale: int) -> str:
    eighths = round(abs(value) / scale * BAR * 8)
    if eighths > BAR * 8:
        return "█" * BAR + "▶"
    bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
    return bar or ("▏" if value else "")


def _print_change(change: FunctionChange) -> None:
    click.secho(
        f"{change.name}: {change.baseline_bytes:,} to {change.tuned_bytes:,} bytes with unwind and constants,"
        f" {_instructions(change.baseline_lines)} to {_instructions(change.tuned_lines)} instructions",
        bold=True,
    )
    column = max(30, min(60, (width() - 3) // 2))
    click.secho(f"{'-Oz':<{column}}   tuned", dim=True)
    equal: list[str] = []
    for mark, left, right in side_by_side(change.baseline_lines, change.tuned_lines):
        row = f"{shorten(_indent(left), column):<{column}} {mark} {shorten(_indent(right), column)}".rstrip()
        if mark == " ":
            equal.append(row)
            continue
        _print_equal(equal)
        click.secho(row, fg={"|": "yellow", "<": "red", ">": "green"}[mark])
    _print_equal(equal)


def _print_equal(rows: list[str]) -> None:
    """Equal rows, all but the outer two of a long run left out."""
    if len(rows) > 6:
        rows[2:-2] = [f"    … {len(rows) - 4} equal lines"]
    for row in rows:
        click.echo(row)
    rows.clear()


def _indent(line: str) -> str:
    return line if line.endswith(":") or not line else f"    {line}"


def _instructions(lines: Sequence[str]) -> int:
    return sum(not line.endswith(":") for line in lines)


# ------------------------------------------------------------------ lifting

VERDICT_COLOURS = {"exact": "green", "equivalent": "green", "different": "red"}


def print_lifting(result: LiftResult) -> None:
    """A line for each function, then how many have which verdict."""
    _print_functions(result)
    _print_verdicts(result.totals, result.seconds)


def print_archive(result: ArchiveResult) -> None:
    """The same for each member of a static library, then for all."""
    for member in result.members:
        click.secho(member.file, bold=True, underline=True)
        _print_functions(member)
        click.echo()
    click.echo(f"{len(result.members)} members, ", nl=False)
    _print_verdicts(result.totals, result.seconds)


def _print_functions(result: LiftResult) -> None:
    column = max([8, *(min(60, len(one.demangled or one.function)) for one in result.functions)])
    click.secho(f"{'function':<{column}}  {'verdict':<12}  alike  variants       s  instructions", bold=True)
    for one in result.functions:
        verdict = click.style(f"{one.verdict:<12}", fg=VERDICT_COLOURS.get(str(one.verdict), "yellow"))
        counts = f"{one.similarity:>4.0%}  {one.num_variants:>8}  {one.seconds:>6.2f}  {one.num_instructions:>12}"
        title = one.demangled or one.function
        title = title if len(title) <= column else f"{title[: column - 1]}…"
        click.echo(f"{title:<{column}}  {verdict}  {counts}  {one.reason}".rstrip())


def _print_verdicts(totals: dict[str, int], seconds: float) -> None:
    words = ", ".join(f"{count} {name}" for name, count in totals.items() if count and name != "functions")
    functions = f"{totals['functions']} function{'' if totals['functions'] == 1 else 's'}"
    click.echo(f"{functions}{': ' if words else ''}{words}; {seconds:.1f} s")


# ------------------------------------------------------------------ doctor, passes


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Libraries, clangs, targets, and what to do."""
    facts = diagnosis.to_json()
    click.echo(f"irwright {facts['irwright']}, Python {facts['python']}, {facts['platform']}")
    click.echo(f"cache    {facts['cache']}")
    for title, entries in (("libLLVM", facts["libraries"]), ("clang", facts["clangs"])):
        click.secho(f"\n{title}", bold=True)
        if not entries:
            click.secho("  none found", fg="red")
        for entry in entries:
            click.echo(f"  {entry['version']:<8}  {entry['path']}  ({entry['origin']})")
            if "backends" in entry:
                click.echo(f"            {' '.join(entry['backends'])}")
    click.secho("\ntargets", bold=True)
    for state in diagnosis.targets:
        if state.library is None:
            click.echo(f"  {state.target:<8}  no libLLVM for it: {state.remedy}")
        elif state.clang is None:
            click.echo(f"  {state.target:<8}  .ll and .bc with libLLVM {state.library}; for C: {state.remedy}")
        else:
            maker = f"clang {state.clang}" if state.clang_lowers else f"clang {state.clang}, objects by libLLVM"
            click.secho(f"  {state.target:<8}  ready: {maker}", fg="green")
    if diagnosis.inventory.problems:
        click.secho("\nfound but not usable", bold=True)
        for problem in diagnosis.inventory.problems:
            click.echo(f"  {problem.path}: {problem.reason}")
    if not diagnosis.healthy:
        click.secho("\nC can't be tuned for this machine yet; see targets for what to install", fg="red")


def print_passes(llvm_major: int) -> None:
    """The pass space of one LLVM: name, level, parameters tried."""
    infos = usable_passes(llvm_major)
    column = max(len(info.name) for info in infos)
    click.secho(f"{'pass':<{column}}  {'level':<9}  parameters tried", bold=True)
    for info in infos:
        tried = " ".join(f"<{text}>" if text else "-" for text in params_worth_trying(info.name, llvm_major))
        click.echo(f"{info.name:<{column}}  {info.level:<9}  {'' if tried == '-' else tried}".rstrip())
    click.echo(f"{len(infos)} passes of LLVM {llvm_major}; --left-out lists the others with the reasons")


def print_left_out(llvm_major: int) -> None:
    """Passes this LLVM has and lists may not hold, and why."""
    infos = sorted((info for info in PASSES.values() if info.supported(llvm_major)), key=lambda info: info.name)
    reasons = [(info.name, reason) for info in infos if (reason := info.excluded)]
    column = max(len(name) for name, _ in reasons)
    for name, reason in reasons:
        click.echo(f"{name:<{column}}  {reason}")
    click.echo(f"{len(reasons)} passes of LLVM {llvm_major} left out")


def print_screening(summary: Summary) -> None:
    """Which candidates are wrong or make no code, on which programs."""
    kinds = [verdict for verdict in Verdict if summary.totals[verdict]]
    click.secho("  ".join(f"{verdict:>9}" for verdict in kinds) + "  list or plan", bold=True)
    uneven = {name: counts for name, counts in summary.by_candidate.items() if set(counts) != {Verdict.PASS}}
    for name, counts in uneven.items() if len(summary.by_candidate) > 40 else summary.by_candidate.items():
        cells = "  ".join(f"{counts[verdict]:>9,}" for verdict in kinds)
        shown = shorten(name, max(20, width() - len(cells) - 2))
        click.secho(f"{cells}  {shown}", fg="red" if counts[Verdict.WRONG] else None)
    cells = "  ".join(f"{summary.totals[verdict]:>9,}" for verdict in kinds)
    num = len(summary.by_candidate)
    click.secho(f"{cells}  {num:,} in all, {num - len(uneven):,} of them pass everywhere", bold=True)
    for program, name, one in summary.failures(Verdict.WRONG, Verdict.UNDEFINED):
        click.secho(f"\n{one.verdict}: {program}: {one.detail}", fg="red" if one.verdict is Verdict.WRONG else None)
        plan = one.minimised or one.plan
        click.echo(f"  with {name if plan is None else json.dumps(plan.to_json())}")
    num_objects = sum(report.num_objects for report in summary.reports)
    click.echo(
        f"\n{summary.num_screened:,} programs, {num_objects:,} different objects linked and run, "
        f"LLVM {summary.llvm}, {summary.seconds:.0f} s"
    )
    for reason, count in summary.left_out.most_common():
        click.echo(f"{count:,} programs left out: {reason}")
