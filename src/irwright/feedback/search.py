"""Which plan next, by what the ones before it did to this module.

A module of one function tries whole plans, and joins of those that did best (moves.py). In others, every function
gets a tail of its own in each compilation, all behind the base of the table's next piece, and the module is composed
of each function's best (function_search.py). What only whole lists do comes from the table as ever, and so do tails
behind a base that inlines, of functions that call static ones: what is known of a function alone says nothing of what
becomes of it with others inside.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from irwright.errors import IrwrightError
from irwright.feedback.features import describe, named_in
from irwright.feedback.guess import Guess
from irwright.feedback.knowledge import Knowledge, Outcome
from irwright.feedback.moves import is_turn, make_move
from irwright.function_search import FunctionSearch, compose_best, families_of
from irwright.llvm.bodies import split_text
from irwright.llvm.codegen import FunctionSize
from irwright.lowering import FEWEST, WAYS, Ways, best_ways, lower, lower_oz, lowers, of_oz
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.task import Task
from irwright.trials import FunctionTrial, Trial

log = logging.getLogger(__name__)

LEAST_EXPECTED = 1e-5
"""as a logarithm: where no tail promises more, a function gets that of the table's piece"""

LISTS_FIRST = (1, 2, 0, 1)
"""whole lists of the table before the first piece, by budget from 1, the last for all larger ones; where it is chosen
how code is generated, -Oz's own come first, as many as that takes"""

LARGEST = 20_000
"""instructions of a module from which the table has an order of its own, and functions are not looked at one by one"""

FEWEST_ROUNDS = 4
"""before a search ends because the last round saved little"""

FRAME_BYTES = 24
"""of unwind tables that all functions of an object share, counted with each as in an object of its own"""


def search_by_outcomes(task: Task, knowledge: Knowledge) -> None:
    """Spend the budget on what is expected to save most; some is left where knowledge has nothing to say."""
    facts = task.evaluator.facts
    known = task.baseline is not None and task.baseline.sizes is not None
    if not known or task.evaluator.protocol.counts_instructions or facts.num_instructions >= LARGEST:
        return
    if knowledge.alone_only and len(facts.functions) != 1:
        return
    try:
        raw = _bodies(task, Plan())
        features = _described(task, raw)
    except IrwrightError as error:  # IR that LLVM itself breaks
        log.debug("not described: %s", error)
        return
    if len(features) == 1:
        _search_alone(task, knowledge, *features.values())
    elif features:
        _search_functions(task, knowledge, features, {name: named_in(text) for name, text in raw.items()})


def described(task: Task) -> dict[str, list[float]]:
    """The features of each function that the module defines; compiles to text, which counts as no compilation."""
    return _described(task, _bodies(task, Plan()))


def _described(task: Task, raw: Mapping[str, str]) -> dict[str, list[float]]:
    assert task.baseline is not None and task.baseline.sizes is not None
    oz = _split(task.oz_text())
    sizes = task.baseline.sizes.functions
    return {name: describe(text, oz.get(name, ""), sizes.get(name)) for name, text in raw.items()}


def _bodies(task: Task, plan: Plan) -> dict[str, str]:
    return _split(task.evaluator.compile(plan, "ll"))


def _split(text: bytes) -> dict[str, str]:
    return {name: body.decode(errors="replace").lstrip("\n") for name, body in split_text(text).items()}


class Alone:
    """What to try next on a module of one function."""

    def __init__(self, task: Task, knowledge: Knowledge, features: Sequence[float]) -> None:
        self._knowledge = knowledge
        assert task.baseline is not None
        self._baseline = task.baseline
        self._families = _families(task, knowledge)
        self._lowers = lowers(task)
        self._guess = Guess(knowledge, knowledge.place(features))
        self._index: dict[Plan, int] = {}
        self._made: dict[Plan, Plan] = {}
        """plans that make an object: those that they were made of"""
        self._costs: dict[Plan, float] = {}
        """of all plans that were tried, by what they are made of"""
        self._num_proposed = 0
        for index, plan in enumerate(knowledge.plans):
            if plan is not None and self.fits(plan) and self.whole(plan) not in self._index:
                self._index[self.whole(plan)] = index
            else:
                self._guess.leave_out(index)

    def fits(self, plan: Plan) -> bool:
        """The module can be made by such a plan."""
        if plan.lowering and not self._lowers:
            return False
        return not plan.preparation or plan.preparation in self._families

    def whole(self, plan: Plan) -> Plan:
        """A plan as one that makes an object: a plan in pieces gives the function."""
        return self._families[plan.preparation].whole(plan) if plan.preparation else plan

    def next(self) -> Plan | None:
        """The plan that promises most, or one made of the best so far where that is due; None where none is left."""
        chosen = self._guess.next()
        plan = None if chosen is None else self._knowledge.plans[chosen]
        if is_turn(self._num_proposed):
            ranked = sorted(self._costs, key=self._costs.__getitem__)  # ties stay in the order of trials
            plan = make_move(ranked, plan, self._costs) or plan
        self._num_proposed += 1
        if plan is None:
            return None
        made = self.whole(plan)
        self._made[made] = plan
        return made

    def observe(self, trial: Trial) -> None:
        """Think again, given what became of a plan, whoever proposed it."""
        plan = self._made.get(trial.plan, trial.plan)
        index = self._index.get(trial.plan)
        if index is not None and (known := self._knowledge.plans[index]) is not None:
            plan = known
        if not plan.parts and not plan.tails:
            self._costs[plan] = float("inf") if trial.sizes is None else trial.sizes.total
        if index is not None and index not in self._guess.tried:
            self._guess.observe(index, _of_object(trial, self._baseline))


def _search_alone(task: Task, knowledge: Knowledge, features: Sequence[float]) -> None:
    """One plan after the other on a module of one function."""
    alone = Alone(task, knowledge, features)
    while task.left and (plan := alone.next()) is not None:
        for trial in task.run([plan]):
            alone.observe(trial)


def _families(task: Task, knowledge: Knowledge) -> dict[str, FunctionSearch]:
    pieces = [plan for plan in (*task.coreset.pieces, *knowledge.plans) if plan is not None and plan.preparation]
    return {family.preparation: family for family in families_of(task, pieces=pieces)}


def _of_object(trial: Trial, baseline: Trial) -> Outcome | None:
    if trial.sizes is None:
        return None
    assert baseline.sizes is not None
    of, oz = trial.sizes, baseline.sizes
    return Outcome.of((of.total, of.text, of.unwind), (oz.total, oz.text, oz.unwind))


def _search_functions(
    task: Task, knowledge: Knowledge, features: Mapping[str, list[float]], named: Mapping[str, frozenset[str]]
) -> None:
    """Whole lists of the table, then a tail for every function in each compilation, then the module of the best.

    `named` has what the body of each function names.
    """
    num_lists = FEWEST if lowers(task) else LISTS_FIRST[min(task.left, len(LISTS_FIRST)) - 1]
    num_rounds = task.left - num_lists - 1
    guesses = _guesses(task, knowledge, features)
    ways = _try_lists(task, knowledge, guesses, num_lists)
    families = {family.preparation: family for family in families_of(task, num_rounds)} if num_rounds > 0 else {}
    if families:
        static = frozenset[str]().union(*(family.static for family in families.values()))
        calling = frozenset(name for name, names in named.items() if names & static)
        rounds = _Rounds(task, knowledge, families, guesses, calling, ways)
        pieces = [plan for plan in task.coreset.pieces if plan.preparation in families]
        _run_rounds(task, rounds, families, pieces[:num_rounds])
        compose_best(task, families.values())
        if task.least_gain:
            task.end()
    # What composing did not need goes to what pieces can't do: the next whole lists.
    tried = {trial.plan for trial in task.evaluator.trials}
    lists = [lower(plan, ways) for plan in task.coreset.lists]
    task.run_lists([plan for plan in lists if plan not in tried][: task.left])


def _guesses(task: Task, knowledge: Knowledge, features: Mapping[str, list[float]]) -> dict[str, Guess]:
    """What is thought of each function that -Oz leaves."""
    assert task.baseline is not None and task.baseline.sizes is not None
    oz = task.baseline.sizes.functions
    return {name: Guess(knowledge, knowledge.place(numbers)) for name, numbers in features.items() if name in oz}


def _try_lists(task: Task, knowledge: Knowledge, guesses: Mapping[str, Guess], count: int) -> dict[str, Ways]:
    """Whole lists: -Oz's own, its code generated as promises most for each function; the best ways that are known."""
    if not lowers(task):
        task.run(task.coreset.lists[:count])
        return {}
    oz = of_oz(task)
    index = {
        way: number for number, plan in enumerate(knowledge.plans) for way in WAYS if plan == replace(oz, lowering=way)
    }
    first: dict[str, Ways] = {}
    for name, guess in guesses.items():
        # Alone, a compilation has to be smaller as a whole; before others, functions may lose what the next wins back.
        values = guess.expected() if task.left > 1 else guess.foretold()
        best = max(index, key=lambda way: values[index[way]], default=())
        first[name] = best if index and values[index[best]] > LEAST_EXPECTED else ()
    trials = lower_oz(task, first if index else None, at_most=count)
    assert task.baseline is not None and task.baseline.sizes is not None
    for trial in trials[1:] if not task.finish.items else ():  # what is merged tells nothing of the plan
        for name, guess in guesses.items():
            number = index.get(trial.plan.lowering_for(name))
            size = trial.sizes.functions.get(name) if trial.sizes is not None else None
            if number is not None and size is not None and number not in guess.tried:
                guess.observe(number, Outcome.of(_sizes(size), _sizes(task.baseline.sizes.functions[name])))
    return best_ways(trials)


def _run_rounds(task: Task, rounds: _Rounds, families: Mapping[str, FunctionSearch], pieces: Sequence[Plan]) -> None:
    """All of them, but where the task asks for a gain, only until one saved less."""
    if not task.least_gain:
        for piece in pieces:
            rounds.run(piece)
        return
    # What inlines comes near -Oz, and shows soonest how much is to be saved.
    pieces = [*pieces[1:FEWEST_ROUNDS], *pieces[:1], *pieces[FEWEST_ROUNDS:]]
    wanted = task.least_gain * task.best_cost
    before = float("inf")
    for number, piece in enumerate(pieces, 1):
        rounds.run(piece)
        if number >= FEWEST_ROUNDS - 1:
            now = min(family.predicted() for family in families.values())
            if number >= FEWEST_ROUNDS and before - now < wanted:
                return
            before = now


class _Rounds:
    """Compilations that each try one tail on every function of a module."""

    def __init__(
        self,
        task: Task,
        knowledge: Knowledge,
        families: Mapping[str, FunctionSearch],
        guesses: Mapping[str, Guess],
        calling: frozenset[str],
        ways: Mapping[str, Ways],
    ) -> None:
        """`calling` names functions that static ones may be inlined into, `ways` how to generate code if need be."""
        assert task.baseline is not None and task.baseline.sizes is not None
        self._task = task
        self._families = families
        self._calling = calling
        self._oz: Mapping[str, FunctionSize] = task.baseline.sizes.functions
        self._guesses = guesses
        self._ways = ways
        self._tails: dict[tuple[str, str], dict[tuple[PassList, Ways], int]] = {}
        for index, plan in enumerate(knowledge.plans):
            if plan is not None and plan.preparation and (not plan.lowering or lowers(task)):
                self._tails.setdefault(_kind(plan), {}).setdefault((plan.tail, plan.lowering), index)

    def run(self, piece: Plan) -> None:
        """Try a piece of the table, but for each function the tail that promises most."""
        tails = self._tails.get(_kind(piece), {})
        known = [name for name in self._guesses if name not in self._calling or not _inlines(piece)]
        chosen: dict[str, PassList] = {}
        ways = dict(self._ways)
        for name in known:
            values = self._guesses[name].expected()
            best = max(tails.items(), key=lambda item: values[item[1]], default=None)
            if best is not None and values[best[1]] > LEAST_EXPECTED:
                chosen[name], ways[name] = best[0]
        named = tuple(sorted(chosen.items(), key=lambda item: item[0]))
        for trial in self._task.run_functions([lower(replace(piece, tails=named), ways)]):
            self._families[piece.preparation].add([trial])
            self._observe(trial, tails, chosen, known)

    def _observe(
        self,
        trial: FunctionTrial,
        tails: Mapping[tuple[PassList, Ways], int],
        chosen: Mapping[str, PassList],
        names: Iterable[str],
    ) -> None:
        for name in names:
            size = trial.sizes.get(name)
            index = tails.get((chosen.get(name, trial.plan.tail), trial.plan.lowering_for(name)))
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


def _kind(plan: Plan) -> tuple[str, str]:
    """Plans of one kind differ in tail and inlining: what a tail does is much the same behind any of their bases."""
    base = str(plan.base)
    return plan.preparation, "" if base == "inline" else base


def _inlines(piece: Plan) -> bool:
    """Other functions may be inlined before the tail."""
    return bool(piece.inline) or any(one.info.name == "inline" for one in piece.base.passes())


def _sizes(size: FunctionSize) -> tuple[int, int, int]:
    return (size.total + FRAME_BYTES, size.code, size.unwind)
