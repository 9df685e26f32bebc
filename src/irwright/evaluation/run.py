"""The whole job of `irwright evaluate`: a suite in, rows and a report out; killed, it goes on where it was.

The folder holds `cases.jsonl`, a row for each measurement (docs/formats.md), and what report.py makes of it. Rows
are appended as cases end, by this process alone; at the end the file is put in order. Rows of other settings stay in it
and are no part of the report.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import irwright
from irwright.distribute import distribute
from irwright.errors import InputError, StorageError
from irwright.evaluation.cases import Case, Measurement, Settings, choose_cases, measurement_key, measurements
from irwright.evaluation.suites import Suite, read_suite
from irwright.evaluation.tuning import Tools
from irwright.evaluation.work import Item, Measure, row_of
from irwright.files import write_output
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool, default_jobs
from irwright.proposers import BUNDLED, bundled_model

ROWS = "cases.jsonl"

Progress = Callable[[int, int, str], None]
"""called with cases done, cases in all, and the case that ended"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All that was measured, and on what."""

    suite: Suite
    settings: Settings
    llvm: str
    rows: tuple[dict[str, Any], ...]
    """in a fixed order"""
    num_cases: int
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """what of the suite is no case, by reason"""
    seconds: float = 0.0


def evaluate(
    suite: str | Suite,
    output: str | Path,
    settings: Settings | None = None,
    *,
    flags: Sequence[str] = (),
    jobs: int | None = None,
    ray: str | None = None,
    llvm: str | None = None,
    tokenizer: Path | None = None,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Measure a suite into a folder, or what of it is missing there; IrwrightError where nothing can be measured."""
    settings = settings or Settings()
    toolchain = find(llvm=llvm)
    compiler = toolchain.need_clang()
    jobs = jobs or default_jobs()
    if isinstance(suite, str):
        suite = read_suite(suite, clang=compiler, jobs=jobs, flags=flags, llvm=llvm)
    tools = Tools(
        library=toolchain.library.path,
        clang=compiler if toolchain.clang_lowers else None,
        version=str(toolchain.library.version),
    )
    dropped = Counter[str]()
    with WorkerPool(tools.library, jobs=1, timeout_seconds=settings.timeout_seconds) as pool:
        cases = choose_cases(suite.modules, pool, settings, dropped)
    if not cases:
        raise InputError(suite.name, f"has no case to measure: {dict(dropped) or 'no functions'}")
    folder = Path(output)
    wanted = _wanted(cases, settings, tools)
    store = RowStore(folder)
    missing = [
        Item(case=case, wanted=tuple((key, one) for key, one in asked if store.is_missing(key)))
        for case, asked in wanted
    ]
    missing = [item for item in missing if item.wanted]
    work = Measure(tools=tools, settings=settings, tokenizer=tokenizer)
    num_done = len(cases) - len(missing)
    for number, done in distribute(work, missing, jobs=jobs, ray=ray):
        item = missing[number]
        rows = (
            done.value
            if not done.problem
            else [row_of(item.case, *one) | {"problem": done.problem} for one in item.wanted]
        )
        store.add(rows)
        num_done += 1
        if on_progress is not None:
            on_progress(num_done, len(cases), item.case.name)
    store.finish()
    rows = tuple(store.rows[key] for _, asked in wanted for key, _ in asked)
    return Evaluation(
        suite=suite,
        settings=settings,
        llvm=tools.version,
        rows=rows,
        num_cases=len(cases),
        dropped=dict(sorted(dropped.items())),
    )


def _wanted(
    cases: Sequence[Case], settings: Settings, tools: Tools
) -> list[tuple[Case, list[tuple[str, Measurement]]]]:
    """What is to be measured, by key."""
    models = {name: _identity(name) for name in settings.models}
    about = [tools.version]

    def key(case: Case, one: Measurement) -> str:
        tables = _shipped(one.protocol, one.proposer) if one.protocol else ""
        more = [tables, models.get(one.proposer.partition(":")[2], "")]
        return measurement_key(case, one, settings, [*about, *more])

    return [(case, [(key(case, one), one) for one in measurements(case, settings)]) for case in cases]


@cache
def _shipped(protocol: str, proposer: str) -> str:
    """Hash of what irwright brings for a protocol: the table, and what is called after the proposer (a mix: all).

    How outcomes are made use of is part of it, and how `compose` chooses code generation; the table's order and other
    searches (FORMAT) are not.
    """
    package = resources.files(irwright)
    learnt = proposer == "feedback" or proposer.startswith("mix")
    kinds = ("coreset", "feedback") if learnt else ("coreset",)
    files = [
        file
        for file in (package / "data").iterdir()
        if any(file.name.startswith(f"{kind}-{protocol}-") for kind in kinds)
    ]
    if learnt:
        files += [file for file in (package / "feedback").iterdir() if file.name.endswith(".py")]
    if protocol == "oz" and proposer == "compose":
        files.append(package / "lowering.py")
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _identity(model: str) -> list[Any]:
    """What tells a model from another of the same name, without reading it."""
    path = bundled_model() if model == BUNDLED else Path(model)
    if not path.is_file():
        return [model]
    about = path.stat()
    return [model, about.st_size, about.st_mtime_ns]


class RowStore:
    """`cases.jsonl` of a folder, written by one process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ROWS
        self.rows: dict[str, dict[str, Any]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        except OSError as error:
            raise StorageError(str(folder), f"can't be used: {error.strerror or error}") from error
        for row in self._read(text):
            self.rows[row["key"]] = row
        if text and not text.endswith("\n"):  # killed while it wrote: the next line begins anew
            self._append("\n")

    def _read(self, text: str) -> Iterator[dict[str, Any]]:
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if not line:
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
                if line.startswith('{"key": "'):  # cut short by a kill: measured again
                    continue
            if not isinstance(row, dict) or not {"key", "task"} <= row.keys():
                raise StorageError(str(self.path), f"line {number + 1} is no row of an evaluation; name another folder")
            yield row

    def is_missing(self, key: str) -> bool:
        """There is no row, or one that says what failed: that is tried again."""
        return key not in self.rows or "problem" in self.rows[key]

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Keep rows, at once."""
        self.rows.update({row["key"]: row for row in rows})
        self._append("".join(_line(row) for row in rows))

    def _append(self, text: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise StorageError(str(self.path), f"can't be written: {error.strerror or error}") from error

    def finish(self) -> None:
        """Write all rows in an order that does not depend on who measured what first."""
        ordered = sorted(self.rows.values(), key=_order)
        write_output(self.path, "".join(map(_line, ordered)).encode())


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("task", "objects", "protocol", "case", "proposer")
    return (*(row.get(name, "") for name in names), row.get("budget", 0), row.get("number", 0), row["key"])


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
