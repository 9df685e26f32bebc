"""The first build that passes the checks, where one function that does not is given another body.

A candidate of hundreds of functions is not thrown away for one: functions that a check refuses get the body that
LLVM's own -Oz gives them, joined with the rest as any composition is (llvm/pieces.py), and the result is checked
anew. A second attempt takes what these functions call with them, and leaves out what ran over the whole module at
the end. What comes of it competes with the next best candidate by size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from irwright.evaluator import Evaluator
from irwright.llvm.pieces import PREPARATIONS
from irwright.passes import PassList
from irwright.plan import NOTHING, Plan
from irwright.symbols import Symbols, link_problem, read_symbols, users
from irwright.verify.verdicts import ObjectVerdict, VerdictKind

MAX_ROUNDS = 3
"""other builds of one candidate"""

MAX_REPAIRS = 5
"""of all candidates"""

MAX_CALLEES = 64
"""functions that are replaced with those that call them"""


class Made(Protocol):
    """A build that can be checked."""

    @property
    def size(self) -> int:
        """What the protocol counts."""
        ...


M = TypeVar("M", bound=Made)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a build may not be handed out."""

    reason: str
    functions: tuple[tuple[str, str], ...] = ()
    """(function, why): those whose fault it is, as far as that is known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was changed in a plan before its build passed."""

    replaced: tuple[tuple[str, str], ...] = ()
    """(function, why it was given the body of -Oz)"""
    cost_bytes: int = 0
    """by which the build that passed is larger than the one that was refused first"""

    def to_json(self) -> dict[str, Any]:
        """Keys of `verified` in `irwright tune --json`."""
        replaced = [{"function": name, "reason": reason} for name, reason in self.replaced]
        return {"replaced": replaced, "replaced_bytes": self.cost_bytes}


UNCHANGED = Repaired()


@dataclass(slots=True)
class _Repair(Generic[M]):
    """One candidate, as it is built anew until it passes."""

    plan: Plan
    first_size: int = 0
    rounds: int = 0
    replaced: dict[str, str] = field(default_factory=dict[str, str])
    made: M | None = None
    """a build that waits for its check"""

    def done(self, size: int) -> Repaired:
        cost = size - self.first_size if self.replaced or self.rounds else 0
        return Repaired(replaced=tuple(sorted(self.replaced.items())), cost_bytes=cost)


def first_that_passes(
    candidates: Iterable[tuple[Plan, float]],
    make: Callable[[Plan], M | None],
    check: Callable[[M], M | Refusal],
    evaluator: Evaluator,
) -> tuple[M, Repaired] | None:
    """Build and check candidates, given with their costs, best first, until one passes.

    `make` gives None for what is not worth a check; `check` gives what passes it back, with what it found noted.
    """
    coming = _Peekable(candidates)
    waiting: list[_Repair[M]] = []
    num_repairs = 0
    while True:
        waiting.sort(key=_waiting_size)
        if waiting and not coming.is_below(_waiting_size(waiting[0])):
            repair = waiting.pop(0)
        else:
            plan = next(coming, None)
            if plan is None:
                return None
            repair = _Repair[M](plan, made=make(plan))
        made = repair.made
        if made is None:
            continue
        checked = check(made)
        if not isinstance(checked, Refusal):
            return checked, repair.done(made.size)
        repair.first_size = repair.first_size or made.size
        repair.made = _built_anew(repair, checked, make, evaluator) if num_repairs < MAX_REPAIRS else None
        if repair.made is not None:
            num_repairs += 1
            waiting.append(repair)


def _waiting_size(repair: _Repair[Any]) -> int:
    return repair.made.size if repair.made is not None else 0


def _built_anew(
    repair: _Repair[M], refusal: Refusal, make: Callable[[Plan], M | None], evaluator: Evaluator
) -> M | None:
    """The candidate with other bodies of the functions that were refused; None where there is none to try."""
    if not refusal.functions or repair.rounds >= MAX_ROUNDS:
        return None
    wrong = {name: reason for name, reason in refusal.functions if name not in repair.replaced}
    plan = repair.plan
    if repair.rounds:
        called = callees(evaluator, [name for name, _ in refusal.functions])
        wrong |= {name: f"called by {refusal.functions[0][0]}" for name in called if name not in repair.replaced}
        plan = replace(plan, finish=NOTHING, codegen_options=())
    names = {**repair.replaced, **wrong}
    other = with_oz_bodies(plan, names, evaluator)
    if other is None or other == repair.plan:
        return None
    repair.rounds += 1
    repair.plan, repair.replaced = other, names
    return make(other)


class _Peekable(Iterator[Plan]):
    """Plans, one of which may be looked at before it is taken."""

    def __init__(self, candidates: Iterable[tuple[Plan, float]]) -> None:
        self._rest = iter(candidates)
        self._ahead: tuple[Plan, float] | None = None

    def __next__(self) -> Plan:
        plan, _ = self._ahead or next(self._rest)
        self._ahead = None
        return plan

    def is_below(self, size: float) -> bool:
        """The next one is smaller."""
        self._ahead = self._ahead or next(self._rest, None)
        return self._ahead is not None and self._ahead[1] < size


# -------------------------------------------------------------------- refusals


def difference(verdict: ObjectVerdict) -> Refusal | None:
    """What verification has against a build."""
    differing = [one for one in verdict.functions if one.kind is VerdictKind.DIFFERENT]
    if not differing:
        return None
    reason = f"{differing[0].function} differs: {differing[0].reason}"
    return Refusal(reason, tuple((one.function, one.reason) for one in differing))


def link_refusal(plain: Symbols, data: bytes, may_call: frozenset[str]) -> Refusal | None:
    """What a linker would have against a build, and the functions that ask too much of it."""
    tuned = read_symbols(data)
    problem = link_problem(plain, tuned, may_call)
    if problem is None:
        return None
    wanted = tuned.undefined - plain.undefined - may_call
    return Refusal(f"it {problem}", tuple((name, problem) for name in users(data, wanted)))


# --------------------------------------------------------------------- plans


def with_oz_bodies(plan: Plan, wrong: Collection[str], evaluator: Evaluator) -> Plan | None:
    """The plan with the bodies of -Oz for some functions; None where the module can't be made of pieces.

    Of a plan that is one list the smaller of two is taken: prepared in one way, and in the other.
    """
    if plan.parts:
        return _replaced(plan, plan.parts[0].preparation, wrong, evaluator)
    found: list[Plan] = []
    for preparation in PREPARATIONS:
        pieces = _in_pieces(plan, preparation, evaluator)
        other = None if pieces is None else _replaced(pieces, preparation, wrong, evaluator)
        found += [] if other is None else [other]
    trials = evaluator.evaluate(found)
    return min(trials, key=lambda trial: trial.cost(evaluator.protocol)).plan if trials else None


def _in_pieces(plan: Plan, preparation: str, evaluator: Evaluator) -> Plan | None:
    """A plan over the whole module as a module of one part."""
    promoted = evaluator.survey(plan.preparation or preparation)
    if promoted is None or plan.preparation not in ("", preparation):
        return None
    own = dict(plan.tails)
    tails = tuple((name, own.get(name, plan.tail)) for name in sorted(promoted.all_functions))
    part = replace(
        plan,
        tail=NOTHING,
        tails=tails,
        finish=NOTHING,
        codegen_options=(),
        preparation=preparation,
        inline=plan.inline or "oz",
    )
    return Plan(parts=(part,), finish=plan.finish, codegen_options=plan.codegen_options)


def _replaced(plan: Plan, preparation: str, wrong: Collection[str], evaluator: Evaluator) -> Plan | None:
    """A plan of parts with a part more, that gives the functions named and what these need that nothing else gives."""
    oz = Plan(base=PassList.parse("default<Oz>", llvm_major=evaluator.llvm_major), preparation=preparation, inline="oz")
    bodies = evaluator.evaluate_functions([oz])[0].references
    taken = {name for name in wrong if name in bodies}
    parts = [replace(part, tails=tuple(item for item in part.tails if item[0] not in taken)) for part in plan.parts]
    given = {name for part in parts for name, _ in part.tails}
    todo = sorted(taken)
    while todo:
        missing = {name for name in bodies[todo.pop()] if name in bodies} - given - taken
        taken |= missing
        todo += sorted(missing)
    if not taken or not given:
        return None
    parts = [part for part in parts if part.tails]
    return replace(plan, parts=(*parts, replace(oz, tails=tuple((name, NOTHING) for name in sorted(taken)))))


def callees(evaluator: Evaluator, names: Iterable[str]) -> list[str]:
    """Functions of the module that these call, and that those call, as far as trials tell; nearest first."""
    references: dict[str, set[str]] = {}
    for trial in evaluator.function_trials:
        for name, called in trial.references.items():
            references.setdefault(name, set()).update(called)
    found = dict.fromkeys(names)
    todo = list(found)
    for name in todo:
        for called in sorted(references.get(name, ())):
            if called not in found and len(found) < MAX_CALLEES:
                found[called] = None
                todo.append(called)
    return todo
