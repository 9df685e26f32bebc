"""What is measured on what: the settings of an evaluation, its cases, and the measurements of each.

A *case* is a whole file or one function as an object of its own. A *measurement* is one task done on a case by one
proposer under one budget; each becomes one row (work.py), found again by its key.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from irwright.emulation import PREDICTORS, WAY
from irwright.errors import IrwrightError
from irwright.evaluation.suites import SuiteModule
from irwright.llvm.worker import WorkerPool
from irwright.measure import PROTOCOLS
from irwright.search import STRATEGIES
from irwright.shards import key_of

FORMAT = 2
"""raise it when the same measurement gives other rows"""

TASKS = ("tune", "ship", "disassemble", "emulate")
OBJECTS = ("files", "functions")
BUDGETS = (1, 2, 3, 5, 8, 16)
LIFTER = "lifter"
"""who disassembles without a model"""
MODEL, MIX = "model", "mix"
"""who ask a model; a mix does without, too"""
_SWITCHES = ("inliner", "outliner", "lists")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an evaluation is made; the same for all its cases."""

    tasks: tuple[str, ...] = ("tune",)
    proposers: tuple[str, ...] = ("coreset", "feedback", "random")
    """of the tasks tune and ship: a strategy (`compose`, with switches `compose+outliner`) or `model`; `NAME@300` has
    that budget alone"""
    models: tuple[str, ...] = ()
    """as `open_model` takes them; asked in every task"""
    budgets: tuple[int, ...] = BUDGETS
    protocols: tuple[str, ...] = ("oz",)
    objects: tuple[str, ...] = ("files", "functions")
    num: int | None = None
    """cases of each kind of object; None is all"""
    min_instructions: int = 5
    max_instructions: int = 20_000
    """of unoptimised IR; what is larger is left out"""
    variants: int = 24
    """that the lifter tries of each function"""
    lists: int = 1
    """random pass lists that are emulated on each function"""
    seed: int = 0
    timeout_seconds: float = 20.0
    """of one compilation"""

    def __post_init__(self) -> None:
        _check("task", self.tasks, TASKS)
        _check("protocol", self.protocols, tuple(PROTOCOLS))
        _check("kind of object", self.objects, OBJECTS)
        for name in self.proposers:
            parse_proposer(name)
        if not self.budgets or min(self.budgets) < 1:
            raise IrwrightError(f"bad budgets {self.budgets}; give compilations, as 1,2,3,5,8,16")
        if "emulate" in self.tasks and "functions" not in self.objects:
            raise IrwrightError("emulation is measured on functions; add functions to the kinds of object")
        if {"tune", "ship"} & set(self.tasks) and not self.proposers and not self.models:
            raise IrwrightError(f"nobody to tune with; name proposers: {', '.join(STRATEGIES)}, or a model")

    def tuners(self) -> tuple[str, ...]:
        """Who tunes; those that ask a model, once for each model, by its name."""
        named = {parse_proposer(name).name for name in self.proposers}
        asked = [*self.proposers, *([MODEL] if self.models and MODEL not in named else [])]
        found: list[str] = []
        for text in asked:
            name = parse_proposer(text).name
            if name == MODEL or (name == MIX and self.models):
                found += [text.replace(name, f"{name}:{model}", 1) for model in self.models]
            else:
                found.append(text)
        return tuple(found)


def _check(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise IrwrightError(f"unknown {what} {(unknown or [''])[0]!r}; there are {', '.join(known)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposer:
    """Who tunes."""

    name: str
    """of a strategy, or `model`; with a model's name behind it, as in `model:NAME`"""
    switches: tuple[str, ...] = ()
    budget: int | None = None
    """the only one"""

    @property
    def model(self) -> str | None:
        """The model it asks."""
        return self.name.partition(":")[2] or None

    @property
    def kind(self) -> str:
        """Without the model."""
        return self.name.partition(":")[0]


def parse_proposer(text: str) -> Proposer:
    """`coreset`, `compose+outliner@300`, `model`; IrwrightError for a name that nobody has."""
    if text.startswith((f"{MODEL}:", f"{MIX}:")):
        name, at, budget = text.rpartition("@") if text.rpartition("@")[2].isdigit() else (text, "", "")
        return Proposer(name=name, budget=int(budget) if at else None)
    name, _, budget = text.partition("@")
    name, *switches = name.split("+")
    if name not in (*STRATEGIES, MODEL) or not set(switches) <= set(_SWITCHES) or (budget and not budget.isdigit()):
        raise IrwrightError(
            f"unknown proposer {text!r}; there are {', '.join((*STRATEGIES, MODEL))}, with +{' or +'.join(_SWITCHES)} "
            "and one budget behind @ where wanted (compose@300)"
        )
    return Proposer(name=name, switches=tuple(switches), budget=int(budget) if budget else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file or a function that is measured."""

    name: str
    """PROJECT/PATH, or PROJECT/PATH:FUNCTION"""
    project: str
    objects: str
    """`files` or `functions`"""
    instructions: int
    """of unoptimised IR"""
    data: bytes = field(repr=False)
    """bitcode of the whole file"""
    function: str = ""

    @property
    def sha256(self) -> str:
        """Of what is measured."""
        return hashlib.sha256(self.data + b"\0" + self.function.encode(errors="surrogateescape")).hexdigest()[:20]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One thing to find out about a case."""

    task: str
    proposer: str
    protocol: str = ""
    """of tune and ship"""
    budget: int = 0
    """of tune and ship: compilations; of disassemble: variants"""
    number: int = 0
    """of emulate: which list"""


def measurements(case: Case, settings: Settings) -> Iterator[Measurement]:
    """All that is wanted of a case, in the order of the rows."""
    for task in ("tune", "ship"):
        for protocol in settings.protocols if task in settings.tasks else ():
            for text in settings.tuners():
                only = parse_proposer(text).budget
                for budget in (only,) if only else settings.budgets:
                    name = text if only is None else text.rpartition("@")[0]
                    yield Measurement(task=task, proposer=name, protocol=protocol, budget=budget)
    if "disassemble" in settings.tasks:
        yield Measurement(task="disassemble", proposer=LIFTER, budget=settings.variants)
        if case.function:
            for model in settings.models:
                yield Measurement(task="disassemble", proposer=f"{MODEL}:{model}")
    if "emulate" in settings.tasks and case.function:
        for number in range(settings.lists):
            for name in (*PREDICTORS, *(f"{MODEL}:{model}" for model in settings.models)):
                yield Measurement(task="emulate", proposer=name, number=number)


def measurement_key(case: Case, one: Measurement, settings: Settings, about: Sequence[Any]) -> str:
    """Hash of all that decides a row but for chance; `about` is what every row depends on."""
    asked: list[Any] = [one.task, one.proposer, one.protocol, one.budget, one.number]
    if one.task == "emulate" and one.proposer not in PREDICTORS:
        asked.append(WAY)
    return key_of(FORMAT, case.name, case.sha256, asked, settings.seed, settings.timeout_seconds, about)


# Choosing


def choose_cases(
    modules: Sequence[SuiteModule], pool: WorkerPool, settings: Settings, dropped: Counter[str]
) -> list[Case]:
    """Cases of every kind wanted: the projects take turns, in an order that the seed decides."""
    facts = _Facts(modules, pool, dropped)
    cases: list[Case] = []
    for objects in settings.objects:
        found = _files(facts, settings) if objects == "files" else _functions(facts, settings)
        before = len(cases)
        for case in found:
            if settings.num is not None and len(cases) - before >= settings.num:
                break
            if case.instructions < settings.min_instructions:
                dropped[f"{objects} under {settings.min_instructions} instructions"] += 1
            elif case.instructions > settings.max_instructions:
                dropped[f"{objects} over {settings.max_instructions:,} instructions"] += 1
            else:
                cases.append(case)
    return cases


class _Facts:
    """What LLVM says of each module, asked once."""

    def __init__(self, modules: Sequence[SuiteModule], pool: WorkerPool, dropped: Counter[str]) -> None:
        self.modules = modules
        self._pool = pool
        self._dropped = dropped
        self._known: dict[tuple[str, str], dict[str, int]] = {}

    def functions(self, module: SuiteModule) -> dict[str, int]:
        """Instructions by function; none where LLVM can't read the module."""
        key = (module.project, module.path)
        if key not in self._known:
            try:
                facts = self._pool.add_module("facts", module.data, name=module.path)
                self._known[key] = {name: facts.instructions_by_function.get(name, 0) for name in facts.functions}
            except IrwrightError as error:
                self._dropped[f"modules LLVM can't read: {error}"] += 1
                self._known[key] = {}
            finally:
                self._pool.drop_module("facts")
        return self._known[key]


def _files(facts: _Facts, settings: Settings) -> Iterator[Case]:
    for module in _turns(facts.modules, random.Random(settings.seed)):
        functions = facts.functions(module)
        if functions:
            yield Case(
                name=_name(module),
                project=module.project,
                objects="files",
                instructions=sum(functions.values()),
                data=module.data,
            )


def _functions(facts: _Facts, settings: Settings) -> Iterator[Case]:
    """One function of each file in turn."""
    rng = random.Random(settings.seed)
    order = _turns(facts.modules, rng)
    left: dict[int, list[str]] = {}
    turn = list(range(len(order)))
    while turn:
        for number in list(turn):
            module = order[number]
            functions = facts.functions(module)
            if number not in left:
                left[number] = sorted(
                    name for name in functions if module.functions is None or name in module.functions
                )
                random.Random(f"{settings.seed} {module.path}").shuffle(left[number])
            if not left[number]:
                turn.remove(number)
                continue
            function = left[number].pop()
            yield Case(
                name=f"{_name(module)}:{function}",
                project=module.project,
                objects="functions",
                instructions=functions[function],
                data=module.data,
                function=function,
            )


def _name(module: SuiteModule) -> str:
    return module.path if module.path.split("/")[0] == module.project else f"{module.project}/{module.path}"


def _turns(modules: Sequence[SuiteModule], rng: random.Random) -> list[SuiteModule]:
    """All modules, the projects taking turns."""
    by_project: dict[str, list[SuiteModule]] = {}
    for module in modules:
        by_project.setdefault(module.project, []).append(module)
    for group in by_project.values():
        rng.shuffle(group)
    projects = sorted(by_project)
    rng.shuffle(projects)
    order: list[SuiteModule] = []
    while any(by_project.values()):
        order += [by_project[project].pop() for project in projects if by_project[project]]
    return order
