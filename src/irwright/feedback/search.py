"""Which plan next, by what the ones before it did to this module.

A module of one function tries whole plans. In others, every function gets a tail of its own in each compilation, all
behind the base that promises most, and the module is composed of each function's best (function_search.py); what only
whole lists do comes from the table as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from irwright.evaluator import FunctionTrial, Plan, Trial
from irwright.feedback.features import describe
from irwright.feedback.guess import Guess
from irwright.feedback.knowledge import Knowledge, Outcome
from irwright.function_search import FunctionSearch, base_of, compose_winners, families_of
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.module import Module
from irwright.passes import PassList
from irwright.task import Task

LEAST_EXPECTED = 1e-5
"""as a logarithm: where no tail promises more, a function gets that of the table's piece"""

FRAME_BYTES = 24
"""of unwind tables that all functions of an object share, counted with each as in an object of its own"""


def search_by_outcomes(task: Task, knowledge: Knowledge) -> None:
    """Spend the budget on what is expected to save most; some is left where knowledge has nothing to say."""
    if task.evaluator.protocol.counts_instructions or task.baseline is None or task.baseline.sizes is None:
        return
    if len(task.evaluator.facts.functions) == 1:
        _search_alone(task, knowledge, task.baseline)
    elif task.evaluator.facts.functions:
        _search_functions(task, knowledge, task.baseline)


def described(task: Task, baseline: Trial) -> dict[str, list[float]]:
    """The features of each function that the module defines; compiles to text, which counts as no compilation."""
    raw = _bodies(task, Plan())
    oz = _bodies(task, _plan_of_oz(task))
    assert baseline.sizes is not None
    sizes = baseline.sizes.functions
    return {name: describe(text, oz.get(name, ""), sizes.get(name)) for name, text in raw.items()}


def _bodies(task: Task, plan: Plan) -> dict[str, str]:
    text = task.evaluator.compile(plan, "ll")
    return {name: body.decode(errors="replace").lstrip("\n") for name, body in Module.split_text(text).items()}


def _plan_of_oz(task: Task) -> Plan:
    return Plan(base=PassList.parse("default<Oz>", llvm_major=task.evaluator.llvm_major))


def _search_alone(task: Task, knowledge: Knowledge, baseline: Trial) -> None:
    """One plan after the other on a module of one function."""
    families = _families(task, knowledge)
    (features,) = described(task, baseline).values()
    guess = Guess(knowledge, knowledge.place(features))
    for index, plan in enumerate(knowledge.plans):
        if plan is not None and plan.preparation and plan.preparation not in families:
            guess.leave_out(index)
    while task.left and (chosen := guess.next()) is not None:
        plan = knowledge.plans[chosen]
        assert plan is not None
        (trial,) = task.run([families[plan.preparation].whole(plan) if plan.preparation else plan])
        guess.observe(chosen, _of_object(trial, baseline))


def _families(task: Task, knowledge: Knowledge) -> dict[str, FunctionSearch]:
    pieces = [plan for plan in (*task.coreset.pieces, *knowledge.plans) if plan is not None and plan.preparation]
    return {family.preparation: family for family in families_of(task, pieces=pieces)}


def _of_object(trial: Trial, baseline: Trial) -> Outcome | None:
    if trial.sizes is None:
        return None
    assert baseline.sizes is not None
    of, oz = trial.sizes, baseline.sizes
    return Outcome.of((of.total, of.text, of.unwind), (oz.total, oz.text, oz.unwind))


def _search_functions(task: Task, knowledge: Knowledge, baseline: Trial) -> None:
    """Whole lists of the table, then a tail for every function in each compilation, then the module of the best."""
    num_lists = task.coreset.num_lists(task.left)
    families = _families(task, knowledge)
    num_rounds = task.left - num_lists - 1
    if num_rounds < 1 or not families:
        return
    task.run(task.coreset.lists[:num_lists])
    rounds = {name: _Rounds(task, knowledge, baseline, family) for name, family in families.items()}
    pieces = [plan for plan in task.coreset.pieces if plan.preparation in rounds]
    for piece in pieces[:num_rounds]:
        rounds[piece.preparation].run(piece)
    compose_winners(task, min(families.values(), key=FunctionSearch.predicted))


class _Rounds:
    """Compilations that try a tail on every function of a module."""

    def __init__(self, task: Task, knowledge: Knowledge, baseline: Trial, family: FunctionSearch) -> None:
        self.task = task
        self.family = family
        self.knowledge = knowledge
        assert baseline.sizes is not None
        self._oz: Mapping[str, FunctionSize] = baseline.sizes.functions
        features = described(task, baseline)
        self._guesses = {
            name: Guess(knowledge, knowledge.place(features[name])) for name in self._oz if name in features
        }
        self._tails: dict[str, dict[PassList, int]] = {}
        for index, plan in enumerate(knowledge.plans):
            if plan is not None and plan.preparation == family.preparation:
                self._tails.setdefault(_kind(plan), {}).setdefault(plan.tail, index)

    def run(self, piece: Plan) -> None:
        """Try a piece of the table, but for each function the tail that promises most."""
        base = base_of(piece)
        tails = self._tails.get(_kind(piece), {})
        chosen: dict[str, PassList] = {}
        for name, guess in self._guesses.items():
            values = guess.expected()
            best = max(tails.items(), key=lambda item: values[item[1]], default=None)
            if best is not None and values[best[1]] > LEAST_EXPECTED:
                chosen[name] = best[0]
        plan = replace(base, tail=piece.tail, tails=tuple(sorted(chosen.items(), key=lambda item: item[0])))
        for trial in self.task.run_functions([plan]):
            self.family.add([trial])
            self._observe(trial, tails, chosen)

    def _observe(
        self, trial: FunctionTrial, tails: Mapping[PassList, int], chosen: Mapping[str, PassList]
    ) -> None:
        for name in self._guesses:
            size = trial.sizes.get(name)
            index = tails.get(chosen.get(name, trial.plan.tail))
            if index is None:
                continue
            if index in self._guesses[name].tried:
                continue
            outcome = None
            if size is not None:
                oz = self._oz[name]
                outcome = Outcome.of(_sizes(size), _sizes(oz))
            if size is not None or not trial.outcome.ok:
                self._guesses[name].observe(index, outcome)
            else:  # inlined: no outcome, nothing to try again
                self._guesses[name].leave_out(index)


def _kind(plan: Plan) -> str:
    """Plans of one kind differ in tail and inlining: what a tail does is much the same behind any of their bases."""
    base = str(plan.base)
    return "" if base == "inline" else base


def _sizes(size: FunctionSize) -> tuple[int, int, int]:
    return (size.total + FRAME_BYTES, size.code, size.unwind)
