"""Trials: what plans measured, and their store on disk, so that a killed search finds them again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from irwright.errors import StorageError
from irwright.llvm.builds import OK, Outcome, OutcomeKind
from irwright.llvm.codegen import FunctionSize
from irwright.measure import Protocol, Sizes
from irwright.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A plan, how it ended, and what it measured."""

    plan: Plan
    outcome: Outcome
    sizes: Sizes | None
    """None unless the outcome is ok"""
    num_instructions: int = 0
    """counted under the protocol `instructions` only"""
    seconds: float = 0.0

    def cost(self, protocol: Protocol) -> float:
        """What the protocol counts; infinite where there is no object."""
        if self.sizes is None:
            return float("inf")
        return self.num_instructions if protocol.counts_instructions else self.sizes.total


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTrial:
    """A plan measured function by function: every function may have had a list of its own."""

    plan: Plan
    outcome: Outcome
    sizes: dict[str, FunctionSize] = field(default_factory=dict[str, FunctionSize])
    references: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """functions of the module that each one names, itself left out"""
    seconds: float = 0.0


# ------------------------------------------------------------------ trials on disk

StoredTrials = tuple[dict[Plan, Trial], dict[Plan, FunctionTrial]]

_COLUMNS = (
    ("kind", "string"),
    ("plan", "string"),
    ("outcome", "string"),
    ("detail", "string"),
    ("text", "int64"),
    ("rodata", "int64"),
    ("unwind", "int64"),
    ("data", "int64"),
    ("bss", "int64"),
    ("num_instructions", "int64"),
    ("functions", "string"),
    ("references", "string"),
    ("seconds", "float64"),
)


class TrialStore:
    """Trials of one search in a folder of Parquet files, `trials-00000.parquet` and on.

    The format (docs/formats.md): one row a trial; `kind` is `module` or `functions`, `plan` the plan as JSON,
    `functions` a JSON object of name to [code, unwind, data] bytes. Files are written to a temporary name and
    renamed, a file is complete or absent; a kill loses at most the trials since the last file.
    """

    def __init__(self, folder: Path, *, flush_every: int = 64, flush_seconds: float = 5.0) -> None:
        self.folder = folder
        self._rows: list[dict[str, Any]] = []
        self._flush_every = flush_every
        self._flush_seconds = flush_seconds
        self._last_flush = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, trial: Trial) -> None:
        sizes = trial.sizes or Sizes(text=0, rodata=0, unwind=0, data=0, bss=0)
        row = self._row("module", trial.plan, trial.outcome, sizes.functions, trial.seconds)
        for name in ("text", "rodata", "unwind", "data", "bss"):
            row[name] = getattr(sizes, name)
        self._append({**row, "num_instructions": trial.num_instructions})

    def add_functions(self, trial: FunctionTrial) -> None:
        row = self._row("functions", trial.plan, trial.outcome, trial.sizes, trial.seconds)
        references = {name: sorted(names) for name, names in trial.references.items() if names}
        self._append({**row, "references": json.dumps(references)})

    def _row(
        self, kind: str, plan: Plan, outcome: Outcome, functions: Mapping[str, FunctionSize], seconds: float
    ) -> dict[str, Any]:
        row: dict[str, Any] = {name: 0 for name, type_name in _COLUMNS if type_name == "int64"}
        row |= {"kind": kind, "plan": json.dumps(plan.to_json()), "outcome": outcome.kind.value}
        return row | {
            "detail": outcome.detail,
            "functions": json.dumps(functions),
            "references": "{}",
            "seconds": seconds,
        }

    def _append(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        due = time.monotonic() - self._last_flush > self._flush_seconds
        if len(self._rows) >= self._flush_every or due:
            self.flush()

    def flush(self) -> None:
        """Write what is not yet on disk; `StorageError` where that fails, with the trials kept in memory."""
        self._last_flush = time.monotonic()
        if not self._rows:
            return
        pa, pq = _arrow()
        schema = pa.schema([pa.field(name, getattr(pa, type_name)()) for name, type_name in _COLUMNS])
        number = 1 + max((int(path.stem.removeprefix("trials-")) for path in self._files()), default=-1)
        path = self.folder / f"trials-{number:05d}.parquet"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(self._rows, schema=schema), temporary, compression="zstd")
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StorageError(str(path), f"trials can't be written: {error.strerror or error}") from error
        self._rows.clear()

    def _files(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if re.fullmatch(r"trials-\d+\.parquet", path.name))

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows on disk, in the order they were written."""
        for path in self._files():
            yield from self._read(path)

    @staticmethod
    def _read(path: Path) -> list[dict[str, Any]]:
        pa, pq = _arrow()
        try:
            return pq.read_table(path).to_pylist()
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise StorageError(str(path), f"not a readable Parquet file ({reason}); delete it to go on") from error

    def load(self, llvm_major: int) -> StoredTrials:
        """Every stored trial by plan."""
        trials: dict[Plan, Trial] = {}
        function_trials: dict[Plan, FunctionTrial] = {}
        for path in self._files():
            rows = self._read(path)
            try:
                self._understand(rows, llvm_major, trials, function_trials)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                problem = f"not trials of this irwright ({error!r}); delete it to go on"
                raise StorageError(str(path), problem) from error
        return trials, function_trials

    @staticmethod
    def _understand(
        rows: Iterable[Mapping[str, Any]],
        llvm_major: int,
        trials: dict[Plan, Trial],
        function_trials: dict[Plan, FunctionTrial],
    ) -> None:
        for row in rows:
            plan = Plan.from_json(json.loads(row["plan"]), llvm_major=llvm_major)
            kind = OutcomeKind(row["outcome"])
            outcome = OK if kind is OutcomeKind.OK else Outcome(kind=kind, detail=row["detail"])
            functions = {name: FunctionSize(*size) for name, size in json.loads(row["functions"]).items()}
            if row["kind"] == "functions":
                references = json.loads(row["references"])
                function_trials[plan] = FunctionTrial(
                    plan=plan,
                    outcome=outcome,
                    sizes=functions,
                    references={name: frozenset(references.get(name, ())) for name in functions},
                    seconds=row["seconds"],
                )
                continue
            numbers = {name: row[name] for name in ("text", "rodata", "unwind", "data", "bss")}
            trials[plan] = Trial(
                plan=plan,
                outcome=outcome,
                sizes=Sizes(**numbers, functions=functions) if outcome.ok else None,
                num_instructions=row["num_instructions"],
                seconds=row["seconds"],
            )


def _arrow() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet, loaded when trials are stored: they take a while, and have no types."""
    return import_module("pyarrow"), import_module("pyarrow.parquet")
