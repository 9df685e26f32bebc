"""What is screened: lists, plans, the passes of the table, pieces joined at random, what a search finds.

A `Candidate` says for each program which plans to build of it; screen.py builds and judges them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from irwright.coreset import read_coreset
from irwright.errors import InputError
from irwright.function_search import RUN_ON_FUNCTION_SINCE
from irwright.pass_table import params_worth_trying, usable_passes
from irwright.passes import PassList
from irwright.plan import NOTHING, Plan
from irwright.search import FINISHES, search
from irwright.task import Budget, Coreset, Task
from irwright.workpiece import Workpiece

Plans = Callable[[Workpiece], Sequence[Plan]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One thing to screen."""

    name: str
    """text that tells it from all others: stored judgements are found by it"""
    plans: Plans
    """which plans to build of a program; none where it does not fit"""

    @property
    def key(self) -> str:
        return blake2b(self.name.encode(), digest_size=6).hexdigest()


def list_candidate(passes: PassList) -> Candidate:
    """One list over the whole module."""
    return plan_candidate(Plan(base=passes))


def plan_candidate(plan: Plan) -> Candidate:
    """A plan; one in pieces gives every function of a program."""
    if plan.preparation:
        return Candidate(name=json.dumps(plan.to_json()), plans=lambda piece: _whole(plan, piece))
    name = str(plan.as_list()) if plan.is_one_list else json.dumps(plan.to_json())
    return Candidate(name=name or "(no passes)", plans=lambda _: [plan])


def read_candidates(text: str, llvm_major: int) -> list[Candidate]:
    """A pass list, or a file: a table or plan (.json), or lists, one a line (`#` begins a remark)."""
    path = Path(text)
    if path.suffix == ".json" or (path.suffix and path.is_file()):
        try:
            content = path.read_text()
        except OSError as error:
            raise InputError(text, f"can't be read: {error.strerror}") from error
        if path.suffix == ".json":
            return _read_json(content, text, llvm_major)
        lines = [line.partition("#")[0].strip() for line in content.splitlines()]
        return [list_candidate(PassList.parse(line, llvm_major=llvm_major)) for line in lines if line]
    return [list_candidate(PassList.parse(text, llvm_major=llvm_major))]


def _read_json(content: str, name: str, llvm_major: int) -> list[Candidate]:
    try:
        data = json.loads(content)
        if "lists" in data or "pieces" in data:
            return coreset_candidates(read_coreset(content, llvm_major))
        return [plan_candidate(Plan.from_json(data, llvm_major=llvm_major))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(name, f"is neither a plan nor a table of plans ({error})") from error


def pass_candidates(llvm_major: int) -> list[Candidate]:
    """Every pass of the table with each of its parameters, on raw code and on code that is simplified first."""
    found: list[Candidate] = []
    for info in usable_passes(llvm_major):
        for params in params_worth_trying(info.name, llvm_major):
            text = f"{info.name}<{params}>" if params else info.name
            for before in ("", f"{SIMPLIFIED},"):
                found.append(list_candidate(PassList.parse(before + text, llvm_major=llvm_major)))
    return found


SIMPLIFIED = "sroa,early-cse<memssa>,simplifycfg,instcombine,loop-simplify,lcssa,loop-rotate"
"""Passes before the one in question: on variables in memory most find nothing to do."""


def random_candidates(count: int, seed: int, llvm_major: int) -> list[Candidate]:
    """The paper's random lists: length uniform from 1 to 50."""
    rng = random.Random(seed)
    return [list_candidate(PassList.sample(rng, llvm_major=llvm_major)) for _ in range(count)]


def coreset_candidates(coreset: Coreset) -> list[Candidate]:
    """Every list of a table, and every plan in pieces for all functions at once."""
    return [plan_candidate(plan) for plan in (*coreset.lists, *coreset.pieces)]


def joined_candidates(coreset: Coreset, count: int, seed: int) -> list[Candidate]:
    """Modules joined of a table's pieces, drawn for each function; some with passes over the whole behind."""
    table = blake2b(repr(([plan.to_json() for plan in coreset.pieces], FINISHES)).encode(), digest_size=4).hexdigest()

    def joined(number: int) -> Candidate:
        return Candidate(
            name=f"pieces of table {table} joined at random, seed {number}",
            plans=lambda piece: _joined(coreset.pieces, random.Random(f"{number} {piece.item.name}"), piece),
        )

    return [joined(number) for number in range(seed, seed + count)]


def search_candidate(strategy: str, budget: Budget, seed: int, coreset: Callable[[int], Coreset]) -> Candidate:
    """What a search of the program itself finds: every plan that beat all plans before it."""

    def plans(piece: Workpiece) -> Sequence[Plan]:
        table = coreset(piece.toolchain.major)
        task = Task(evaluator=piece.evaluator, budget=budget, rng=random.Random(seed), coreset=table)
        search(task, strategy)
        best, found = float("inf"), list[Plan]()
        for trial in piece.evaluator.trials:
            if task.cost(trial) < best:
                best = task.cost(trial)
                found.append(trial.plan)
        return found

    return Candidate(name=f"search by {strategy}, {budget}, seed {seed}", plans=plans)


def _whole(plan: Plan, piece: Workpiece) -> list[Plan]:
    """A plan in pieces as one part that gives every function."""
    functions = _functions(piece, plan.preparation)
    return [Plan(parts=(_part(plan, dict.fromkeys(functions, plan.tail)),))] if functions else []


def _joined(pieces: Sequence[Plan], rng: random.Random, piece: Workpiece) -> list[Plan]:
    preparation = rng.choice(sorted({plan.preparation for plan in pieces}))
    functions = _functions(piece, preparation)
    if not functions:
        return []
    # Few plans for a module: where each function has another base, nothing is inlined into anything.
    fitting = [plan for plan in pieces if plan.preparation == preparation]
    drawn = rng.sample(fitting, min(len(fitting), rng.randint(1, 4)))
    parts: dict[Plan, dict[str, PassList]] = {}
    for function in functions:
        plan = rng.choice(drawn)
        parts.setdefault(replace(plan, tail=NOTHING), {})[function] = plan.tail
    text = rng.choice(("", "", *FINISHES))
    finish = PassList.parse(text).restricted_to(piece.toolchain.major) if text else NOTHING
    return [Plan(parts=tuple(_part(base, tails) for base, tails in parts.items()), finish=finish)]


def _part(plan: Plan, tails: dict[str, PassList]) -> Plan:
    return replace(plan, tail=NOTHING, tails=tuple(sorted(tails.items(), key=lambda item: item[0])))


def _functions(piece: Workpiece, preparation: str) -> tuple[str, ...]:
    """What a module in pieces is made of; empty where it can't be."""
    if piece.toolchain.major < RUN_ON_FUNCTION_SINCE:
        return ()
    promoted = piece.evaluator.survey(preparation)
    return promoted.all_functions if promoted is not None else ()
