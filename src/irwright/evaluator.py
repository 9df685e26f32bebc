"""Plans, trials, and the evaluator that turns one into the other.

A `Plan` says how a module is optimised: pass lists over the whole module, then optionally a function-local list
for each function, then a finishing list. An `Evaluator` runs plans on the worker pool, counts compilations,
answers a repeated plan from memory, and streams every trial to Parquet, so that a killed search finds its
trials again and ends with the same result.

What plan comes next is search.py's business; how sizes are read is measure.py's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from irwright.errors import StorageError
from irwright.llvm.codegen import CodegenLevel, FunctionSize
from irwright.llvm.compiler import (
    OK,
    Build,
    FunctionPasses,
    InlineStatics,
    ModuleFacts,
    Outcome,
    OutcomeKind,
    Part,
    Passes,
    Promote,
    Step,
    Steps,
)
from irwright.llvm.pieces import PREPARATIONS, Promoted
from irwright.llvm.worker import Call, Reply, WorkerPool
from irwright.measure import Protocol, Sizes, sizes_of
from irwright.passes import PassList, function_local

CHUNK = 8
"""Long lists run in chunks of this many passes with the state after each kept: neighbours share prefixes."""


NOTHING = PassList()

COROUTINES = "coro-early,cgscc(coro-split),coro-cleanup,globaldce"
"""splits coroutines, which LLVM's default pipelines do in between: passes that run before may break them"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to optimise one module; hashable, and plain text when written out.

    Three shapes: one list (`base`, `tail`, `finish`); the same with a list for each function (`tails`); and
    `parts`, plans in pieces that each give the functions their `tails` name, joined and then finished.
    """

    base: PassList = NOTHING
    """over the whole module"""
    tails: tuple[tuple[str, PassList], ...] = ()
    """(function, function-local list), sorted: what each function gets after the base"""
    tail: PassList = NOTHING
    """the function-local list of functions that `tails` does not name"""
    finish: PassList = NOTHING
    """over the whole module, last"""
    inliner_threshold: int | None = None
    """of every inliner in base and finish; None is LLVM's own"""
    codegen_options: tuple[str, ...] = ()
    """options of LLVM's code generation, such as `-enable-machine-outliner=always`"""
    preparation: str = ""
    """`raw` or `early`: in pieces, that is, functions keep their signatures and may be joined with those of other
    plans of the same preparation (llvm/pieces.py); "" is the module as it is"""
    inline: str = ""
    """only in pieces: `once` or `oz`, the static functions that are inlined first (Promoted.inlined)"""
    parts: tuple[Plan, ...] = ()
    """the first owns the data; each gives the functions that its `tails` name"""

    def __post_init__(self) -> None:
        if not all(function_local(tail) for tail in (self.tail, *(tail for _, tail in self.tails))):
            raise ValueError("a tail may hold function and loop passes only")
        if self.preparation not in ("", *PREPARATIONS):
            raise ValueError(f"unknown preparation {self.preparation!r}")
        if self.inline not in ("", "once", "oz") or (self.inline and not self.preparation):
            raise ValueError(f"can't inline {self.inline!r} with preparation {self.preparation!r}")
        if any(part.parts or part.finish.items for part in self.parts):
            raise ValueError("parts have no parts or finish of their own")
        if len({part.preparation for part in self.parts} | {""}) > 2 or any(
            not part.preparation for part in self.parts
        ):
            raise ValueError("parts share one preparation")

    @property
    def is_one_list(self) -> bool:
        """The plan is a single pass list, the same for every function."""
        special = self.tails or self.parts or self.preparation or self.codegen_options
        return not special and self.inliner_threshold is None

    @property
    def is_a_default_pipeline(self) -> bool:
        """The plan is one of LLVM's own pipelines for a whole compilation, such as `default<Oz>`."""
        return self.is_one_list and re.fullmatch(r"default<O\w>", str(self.as_list())) is not None

    def as_list(self) -> PassList:
        """The plan as one list (only where `is_one_list`)."""
        return PassList((*self.base.items, *self.tail.items, *self.finish.items))

    def list_for(self, function: str) -> PassList:
        """All passes a function of that name goes through, in order."""
        for part in self.parts:
            if any(name == function for name, _ in part.tails):
                return PassList((*part.list_for(function).items, *self.finish.items))
        tail = next((tail for name, tail in self.tails if name == function), self.tail)
        return PassList((*self.base.items, *tail.items, *self.finish.items))

    def build(self, llvm_major: int, level: CodegenLevel) -> Build:
        """The plan as work for a compile worker."""
        parts = tuple(Part(part._steps(llvm_major), frozenset(name for name, _ in part.tails)) for part in self.parts)
        return Build(steps=self._steps(llvm_major), parts=parts, level=level, options=self.codegen_options)

    def _steps(self, llvm_major: int) -> Steps:
        steps: list[Step] = []
        if self.preparation:
            steps.append(Promote(self.preparation))
        if self.inline:
            steps.append(InlineStatics(self.inline))
        steps += [Passes(chunk.pipeline(llvm_major), self.inliner_threshold) for chunk in chunks(self.base)]
        if self.tails or self.tail.items:
            default = function_pipeline(self.tail, llvm_major)
            pipelines = {name: function_pipeline(tail, llvm_major) for name, tail in self.tails}
            steps.append(FunctionPasses.of(pipelines, default))
        if self.finish.items:
            steps.append(Passes(self.finish.pipeline(llvm_major), self.inliner_threshold))
        return tuple(steps)

    def to_json(self) -> dict[str, Any]:
        """Plain data, defaults left out; `from_json` reads it back."""
        data: dict[str, Any] = {"base": str(self.base)} if self.base.items else {}
        if self.tails:
            data["functions"] = {name: str(tail) for name, tail in self.tails}
        if self.tail.items:
            data["tail"] = str(self.tail)
        if self.finish.items:
            data["finish"] = str(self.finish)
        if self.inliner_threshold is not None:
            data["inliner_threshold"] = self.inliner_threshold
        if self.codegen_options:
            data["codegen_options"] = list(self.codegen_options)
        if self.preparation:
            data["preparation"] = self.preparation
        if self.inline:
            data["inline"] = self.inline
        if self.parts:
            data["parts"] = [part.to_json() for part in self.parts]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, llvm_major: int) -> Self:
        """Read `to_json`'s data; PassListError on a list this LLVM does not have."""

        def read(text: str) -> PassList:
            return PassList.parse(text, llvm_major=llvm_major) if text else NOTHING

        functions: Mapping[str, str] = data.get("functions", {})
        return cls(
            base=read(data.get("base", "")),
            tails=tuple(sorted((name, read(text)) for name, text in functions.items())),
            tail=read(data.get("tail", "")),
            finish=read(data.get("finish", "")),
            inliner_threshold=data.get("inliner_threshold"),
            codegen_options=tuple(data.get("codegen_options", ())),
            preparation=data.get("preparation", ""),
            inline=data.get("inline", ""),
            parts=tuple(cls.from_json(part, llvm_major=llvm_major) for part in data.get("parts", ())),
        )


def chunks(passes: PassList) -> list[PassList]:
    """The list in pieces that are run one by one, each from a kept state.

    LLVM keeps analyses from pass to pass within a call, so cutting can change the code a little. The cuts depend
    on nothing but the list: what was measured is what is built.
    """
    if len(passes.items) <= CHUNK + CHUNK // 2:
        return [passes] if passes.items else []
    return [PassList(passes.items[start : start + CHUNK]) for start in range(0, len(passes.items), CHUNK)]


def function_pipeline(tail: PassList, llvm_major: int) -> str:
    """A function-local list as text for one function: without the `function(...)` around it."""
    if not tail.items:
        return ""
    return tail.pipeline(llvm_major, level="function")


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


class Evaluator:
    """Runs plans on one module under one protocol.

    Every plan evaluated for the first time counts as one compilation, whether or not code had to be generated;
    the same plan again is free. Results come in the order of the plans whatever the number of workers.
    """

    def __init__(
        self,
        pool: WorkerPool,
        module: str,
        facts: ModuleFacts,
        protocol: Protocol,
        *,
        llvm_major: int,
        store: TrialStore | None = None,
        always_inline: bool = True,
    ) -> None:
        """`always_inline` honours the mark of that name: a list that leaves it alone gets the pass in front."""
        self.pool = pool
        self.module = module
        self.facts = facts
        self.protocol = protocol
        self.llvm_major = llvm_major
        self._always_inline = always_inline and facts.has_always_inline
        self.num_compilations = 0
        self.seconds_in_llvm = 0.0
        """spent by workers in passes and code generation, over all workers"""
        self._store = store
        self._trials: dict[Plan, Trial] = {}
        self._function_trials: dict[Plan, FunctionTrial] = {}
        self._surveys: dict[str, Promoted | None] = {}
        self._stored: StoredTrials = store.load(llvm_major) if store is not None else ({}, {})

    @property
    def trials(self) -> list[Trial]:
        """Every whole-object trial so far, in order."""
        return list(self._trials.values())

    @property
    def function_trials(self) -> list[FunctionTrial]:
        """Every trial by function so far, in order."""
        return list(self._function_trials.values())

    def evaluate(self, plans: Sequence[Plan], *, free: bool = False) -> list[Trial]:
        """Measure whole objects; `free` leaves the count alone (for the baseline)."""
        fresh = list(dict.fromkeys(plan for plan in plans if plan not in self._trials))
        self.num_compilations += 0 if free else len(fresh)
        missing = [plan for plan in fresh if plan not in self._stored[0]]
        replies = dict(zip(missing, self.pool.map([self._call(plan) for plan in missing]), strict=True))
        for plan in fresh:
            trial = self._stored[0].get(plan) or self._trial(plan, replies[plan])
            self._trials[plan] = trial
            if plan in replies and self._store is not None:
                self._store.add(trial)
        return [self._trials[plan] for plan in plans]

    def take_as_measured(self, plan: Plan, sizes: Sizes) -> Trial:
        """A trial of sizes that the caller knows; counted like any other."""
        self.num_compilations += 1
        trial = Trial(plan=plan, outcome=OK, sizes=sizes)
        self._trials[plan] = trial
        return trial

    def evaluate_functions(self, plans: Sequence[Plan]) -> list[FunctionTrial]:
        """Measure every function by itself, generating code only for functions not seen before."""
        fresh = list(dict.fromkeys(plan for plan in plans if plan not in self._function_trials))
        self.num_compilations += len(fresh)
        missing = [plan for plan in fresh if plan not in self._stored[1]]
        calls = [self._call(plan, "evaluate_functions") for plan in missing]
        replies = dict(zip(missing, self.pool.map(calls), strict=True))
        for plan in fresh:
            trial = self._stored[1].get(plan) or self._function_trial(plan, replies[plan])
            self._function_trials[plan] = trial
            if plan in replies and self._store is not None:
                self._store.add_functions(trial)
        return [self._function_trials[plan] for plan in plans]

    def survey(self, preparation: str) -> Promoted | None:
        """What a build in pieces works with, None where the module can't be made of pieces."""
        if self.facts.has_coroutines:  # which are made of several functions only as they are compiled
            return None
        if preparation not in self._surveys:
            arguments = {"preparation": preparation}
            reply = self.pool.call(Call(operation="survey", module=self.module, arguments=arguments))
            self._surveys[preparation] = reply.value if reply.outcome.ok else None
        return self._surveys[preparation]

    def compile(self, plan: Plan, kind: str) -> bytes:
        """The result of a plan as `obj`, `asm`, `ll` or `bc`; verified, not counted."""
        arguments = {"build": self.build(plan), "kind": kind}
        return self.pool.call(Call(operation="compile", module=self.module, arguments=arguments)).unwrap(self.module)

    def reference(self) -> bytes:
        """The object of hardly optimised code with which verification tells undefined behaviour; not counted."""
        call = Call(operation="reference", module=self.module, arguments={"level": self.protocol.level})
        reply = self.pool.call(call)
        return reply.value if reply.outcome.ok else self.compile(Plan(), "obj")

    def build(self, plan: Plan) -> Build:
        """The plan as work for a compile worker, `always_inline` honoured, coroutines split."""
        build = plan.build(self.llvm_major, self.protocol.level)
        if plan.parts or plan.preparation or plan.is_a_default_pipeline:
            return build  # each of these inlines what is marked by itself
        first = [COROUTINES] if self.facts.has_coroutines else []
        first += ["always-inline"] if self._always_inline else []
        return replace(build, steps=(*map(Passes, first), *build.steps))

    def _call(self, plan: Plan, operation: str = "evaluate") -> Call:
        arguments: dict[str, Any] = {"build": self.build(plan)}
        if operation == "evaluate":
            arguments["count_instructions"] = self.protocol.counts_instructions
        return Call(operation=operation, module=self.module, arguments=arguments)

    def _trial(self, plan: Plan, reply: Reply) -> Trial:
        value = reply.value
        if value is None:
            return Trial(plan=plan, outcome=reply.outcome, sizes=None, seconds=reply.seconds)
        self.seconds_in_llvm += value.pass_seconds + value.emit_seconds
        return Trial(
            plan=plan,
            outcome=reply.outcome,
            sizes=sizes_of(value.info),
            num_instructions=value.num_instructions,
            seconds=reply.seconds,
        )

    def _function_trial(self, plan: Plan, reply: Reply) -> FunctionTrial:
        if reply.value is None:
            return FunctionTrial(plan=plan, outcome=reply.outcome, seconds=reply.seconds)
        self.seconds_in_llvm += reply.value.pass_seconds + reply.value.emit_seconds
        value = reply.value
        return FunctionTrial(
            plan=plan,
            outcome=reply.outcome,
            sizes=value.sizes,
            references=value.references,
            seconds=reply.seconds,
        )


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
