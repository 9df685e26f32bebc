"""One case measured in a worker process: every row that is wanted of it.

A row is plain data; `times` alone depend on the machine. What fails, from LLVM to a model that can't be opened, is a
row with a `problem`, so that the rest goes on and failures are counted.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from irwright.errors import IrwrightError, LLVMError
from irwright.evaluation.cases import LIFTER, MODEL, Case, Measurement, Proposer, Settings, parse_proposer
from irwright.evaluation.emulating import emulated
from irwright.evaluation.lifting import answered, assembly_of, lifted
from irwright.evaluation.shipping import ship_settings, shipped
from irwright.evaluation.tuning import Scale, Tools
from irwright.files import Input
from irwright.labels.units import Bench
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import protocol
from irwright.models.answers import LanguageModel
from irwright.proposers import open_model
from irwright.task import Budget
from irwright.tuner import Tuner

LIFT_SECONDS = 240
"""for all functions of a case"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A case, and what of it is missing."""

    case: Case
    wanted: tuple[tuple[str, Measurement], ...]
    """keys and measurements"""


@dataclass(slots=True)
class _State:
    """What a worker process keeps from case to case."""

    pools: dict[Path, WorkerPool] = field(default_factory=dict[Path, WorkerPool])
    benches: dict[Path, Bench] = field(default_factory=dict[Path, Bench])
    tuners: dict[tuple[Path, str], Tuner] = field(default_factory=dict[tuple[Path, str], Tuner])
    models: dict[str, LanguageModel | IrwrightError] = field(default_factory=dict[str, LanguageModel | IrwrightError])


_STATE = _State()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Items to rows (distribute.py)."""

    tools: Tools
    settings: Settings
    tokenizer: Path | None = None
    """of a model behind a server"""

    def __call__(self, item: Item) -> list[dict[str, Any]]:
        """The rows of a case, in the order wanted."""
        return list(self._rows(item))

    def _rows(self, item: Item) -> Iterator[dict[str, Any]]:
        case = item.case
        try:
            data = self._object(case)
        except IrwrightError as error:
            yield from (row_of(case, key, one) | {"problem": str(error)} for key, one in item.wanted)
            return
        scale = Scale(self._pool(), self.tools, data, case.name, self.settings.seed)
        for key, one in item.wanted:
            row = row_of(case, key, one)
            try:
                yield row | self._measure(case, data, scale, one)
            except IrwrightError as error:
                yield row | {"problem": str(error)}

    def _object(self, case: Case) -> bytes:
        """The module that is measured: the file's, or one of the function alone."""
        if not case.function:
            return case.data
        pool = self._pool()
        pool.add_module("whole", case.data, name=case.name)
        call = Call(operation="extract", module="whole", arguments={"function": case.function})
        try:
            return pool.call(call).unwrap(case.name)
        finally:
            pool.drop_module("whole")

    def _measure(self, case: Case, data: bytes, scale: Scale, one: Measurement) -> dict[str, Any]:
        proposer = parse_proposer(one.proposer) if one.task in ("tune", "ship") else None
        name = one.proposer.partition(":")[2]
        model = self._model(name) if name else None
        if proposer is not None:
            if proposer.kind == MODEL and model is None:
                raise IrwrightError("no model is named; give one with --model")
            if one.task == "tune":
                return scale.tune(proposer, protocol(one.protocol), one.budget, model)
            return self._ship(case, data, scale, proposer, one, model)
        if one.task == "disassemble" and one.proposer == LIFTER:
            if self.tools.clang is None:
                raise LLVMError("no clang that writes assembly")
            with _limited(LIFT_SECONDS, case.name):
                return lifted(assembly_of(self.tools.clang, data, case.name), case.name, self._pool(), one.budget)
        bench = self._bench(case)
        if one.task == "disassemble":
            assert model is not None
            return answered(bench, case.function, model)
        seed = self.settings.seed
        return emulated(bench, case.function, one.number, seed=seed, predictor=one.proposer, model=model)

    def _ship(
        self,
        case: Case,
        data: bytes,
        scale: Scale,
        proposer: Proposer,
        one: Measurement,
        model: LanguageModel | None,
    ) -> dict[str, Any]:
        settings = ship_settings(
            proposer,
            one.budget,
            protocol=one.protocol,
            seed=self.settings.seed,
            timeout_seconds=self.settings.timeout_seconds,
            model=model,
        )
        key = (self.tools.library, one.protocol)
        if key not in _STATE.tuners:
            named = replace(settings, llvm=str(self.tools.library), budget=Budget(compilations=1))
            _STATE.tuners[key] = Tuner(named)
            _STATE.tuners[key].attempt(Input(name=case.name, data=data))  # starts the workers
        baseline = scale.baseline(protocol("oz")).seconds
        return shipped(_STATE.tuners[key], settings, data, case.name, baseline)

    def _pool(self) -> WorkerPool:
        library = self.tools.library
        if library not in _STATE.pools:
            seconds = self.settings.timeout_seconds
            _STATE.pools[library] = WorkerPool(library, jobs=1, timeout_seconds=seconds)
        return _STATE.pools[library]

    def _bench(self, case: Case) -> Bench:
        library = self.tools.library
        if library not in _STATE.benches:
            _STATE.benches[library] = Bench(
                library, llvm_major=self.tools.major, timeout_seconds=self.settings.timeout_seconds
            )
        bench = _STATE.benches[library]
        bench.open(case.data, case.name)
        return bench

    def _model(self, name: str) -> LanguageModel:
        if name not in _STATE.models:
            try:
                _STATE.models[name] = open_model(name, tokenizer=self.tokenizer, threads=1)
            except IrwrightError as error:
                _STATE.models[name] = error
        found = _STATE.models[name]
        if isinstance(found, IrwrightError):
            raise found
        return found


def row_of(case: Case, key: str, one: Measurement) -> dict[str, Any]:
    """The columns that say what a row is about."""
    row: dict[str, Any] = {"key": key, "task": one.task, "objects": case.objects, "project": case.project}
    row |= {"case": case.name, "instructions": case.instructions, "proposer": one.proposer}
    if one.protocol:
        row["protocol"] = one.protocol
    return row | ({"number": one.number} if one.task == "emulate" else {"budget": one.budget})


@contextmanager
def _limited(seconds: int, name: str) -> Generator[None]:
    """LLVMError where the block takes longer; in the main thread of a process, as workers are."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise LLVMError(f"{name}: over {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
