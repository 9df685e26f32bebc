"""Strategies over pass lists: which plan to try next.

All have one signature, `strategy(task)`: they spend the task's budget through its evaluator and leave the best
trial in it. `random` is the paper's; `evolve` mutates and splices whole lists from the coreset on; `coreset`
tries the table in order; `compose` chooses a list for every function by itself and is the default.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from irwright.duplicates import merge_duplicates
from irwright.errors import IrwrightError, LLVMError
from irwright.feedback.knowledge import load_knowledge
from irwright.feedback.mix import search_by_bandit
from irwright.feedback.search import search_by_outcomes
from irwright.function_search import FunctionSearch, compose_best, compose_winners, families_of
from irwright.lowering import CYCLE, FEWEST, best_ways, lower_best, lower_oz, lowers
from irwright.passes import PassList, PassSpace
from irwright.plan import Plan
from irwright.task import BATCH, Task
from irwright.trials import Trial

FINISHES = (
    "globaldce,constmerge",
    "iroutliner",
    "mergefunc",
    "mergefunc,iroutliner",
    "deadargelim,function(instcombine<no-verify-fixpoint>,simplifycfg)",
    "globalopt,globaldce,mergefunc",
    "iroutliner,function(simplifycfg,instcombine<no-verify-fixpoint>)",
)
"""Passes over the whole module that may save something after every function is done."""

INLINER_THRESHOLDS = (-25, 0, 25)
"""tried in place of LLVM's own where the switch `inliner` is on"""

CODEGEN_OPTIONS = ("-enable-machine-outliner=always",)
"""tried where the switch `outliner` is on"""


Strategy = Callable[[Task], None]


def search(task: Task, strategy: str) -> Trial:
    """Run a strategy by name until the budget is spent; the best trial, the baseline where nothing is smaller."""
    if strategy not in STRATEGIES:
        raise IrwrightError(f"unknown strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    return search_by(task, STRATEGIES[strategy])


def search_by(task: Task, strategy: Strategy) -> Trial:
    """`search` by any function that spends a task's budget."""
    task.coreset = task.coreset.for_module(task.evaluator.facts.num_instructions)
    task.start()
    merge_duplicates(task)
    strategy(task)
    if task.best is None:
        outcome = task.baseline.outcome if task.baseline is not None else None
        detail = f": {outcome.kind} ({outcome.detail})" if outcome is not None else ""
        raise LLVMError(f"LLVM makes no code for this module, with -Oz or any other list{detail}")
    return task.best


def random_search(task: Task) -> None:
    """The paper's: lists of uniform length 1 to 50 from all passes and meta pipelines."""
    while task.left:
        task.run([Plan(base=PassList.sample(task.rng, llvm_major=task.evaluator.llvm_major)) for _ in range(BATCH)])


def coreset_search(task: Task) -> None:
    """The table in its order: whole lists, then pieces, the last compilation for the module made of them."""
    spare = task.left
    num_lists = task.coreset.num_lists(spare)
    alone = len(task.evaluator.facts.functions) == 1
    num_pieces = len(task.coreset.pieces) if alone else max(0, spare - num_lists - 1)
    families = families_of(task, num_pieces) if num_pieces else []
    if not families:
        task.run_lists(task.coreset.lists[:spare])
        return
    if alone:
        num_lists = min(spare, task.coreset.num_lists(spare + 1))
        task.run(task.coreset.lists[:num_lists])
        _run_alone(task, families)
        return
    task.run(task.coreset.lists[:num_lists])
    _run_pieces(task, families, max(0, task.left - 1))
    compose_best(task, families)
    if task.left:
        task.run(task.coreset.lists[num_lists : num_lists + task.left])


def feedback(task: Task) -> None:
    """What promises most by the outcomes so far; the table's order where nothing was learnt, or for what is left."""
    knowledge = load_knowledge(task.evaluator.protocol.name, task.evaluator.llvm_major)
    if knowledge is not None:
        search_by_outcomes(task, knowledge)
    if task.evaluator.num_compilations or task.left <= FEWEST or not lowers(task):
        coreset_search(task)
        return
    ways = best_ways(lower_oz(task))  # large, or unknown
    with task.keeping(1):
        coreset_search(task)
    lower_best(task, ways)


def mix(task: Task) -> None:
    """What outcomes foretell, a model's lists and the table in turns, the more often the more each has saved."""
    search_by_bandit(task, load_knowledge(task.evaluator.protocol.name, task.evaluator.llvm_major))
    if task.left:
        coreset_search(task)


def evolve(task: Task) -> None:
    """Evolution of whole lists: begin with the coreset, then mutate and splice what was best."""
    seeds = [plan.as_list() for plan in task.coreset.lists if plan.is_one_list]
    share = len(seeds) if task.budget.compilations is None else max(4, task.budget.compilations // 6)
    _evolve(task, seeds[:share], lambda passes: Plan(base=passes), length=(1, 50), fresh=0.1)


def _evolve(
    task: Task, seeds: Sequence[PassList], make: Callable[[PassList], Plan], *, length: tuple[int, int], fresh: float
) -> None:
    """Spend the budget on lists bred from the seeds; `make` turns a list into a plan, `fresh` is the share drawn."""
    major = task.evaluator.llvm_major
    space = PassSpace(major)
    population: list[tuple[float, int, PassList]] = []

    def admit(lists: Sequence[PassList]) -> None:
        known = {passes for _, _, passes in population}
        for passes, trial in zip(lists, task.run([make(passes) for passes in lists]), strict=False):
            if trial.outcome.ok and passes not in known:
                known.add(passes)
                population.append((task.cost(trial), len(passes), passes))
        population.sort(key=lambda entry: entry[:2])
        # Lists of equal cost are mostly the same state: keep two of each.
        counts: Counter[float] = Counter()
        kept: list[tuple[float, int, PassList]] = []
        for entry in population:
            counts[entry[0]] += 1
            if counts[entry[0]] <= 2:
                kept.append(entry)
        population[:] = kept[:16]

    def child() -> PassList:
        dice = task.rng.random()
        if dice < fresh or not population:
            return PassList.sample(task.rng, llvm_major=major, length=length)
        bred = _pick(population, task.rng)
        if dice < 0.5:
            bred = bred.splice(_pick(population, task.rng), task.rng)
        for _ in range(task.rng.randint(1, 3)):
            bred = bred.mutate(task.rng, llvm_major=major, space=space, max_length=length[1])
        return bred

    admit(seeds)
    while task.left:
        admit([child() for _ in range(BATCH)])


def compose(task: Task) -> None:
    """A list for every function: the table, evolution of each function's lists, joining, finishing passes."""
    if task.left <= len(task.coreset.pieces) // 2 + 8:
        FIRST_TRIES[task.proposer](task)
        if task.left:  # the table is shorter than the budget, or does not fit the module
            evolve(task)
        return
    unlimited = task.budget.compilations is None
    task.run_proposed(task.proposed)
    total = task.left
    task.run(task.coreset.lists[: len(task.coreset.lists) if unlimited else max(4, total // 20)])
    ways = best_ways(lower_oz(task)) if lowers(task) else {}
    families = families_of(task)
    if not families:
        with task.keeping(1):
            evolve(task)
        lower_best(task, ways)
        evolve(task)  # where nothing was left to lower
        return
    _run_pieces(task, families, len(task.coreset.pieces) if unlimited else max(BATCH, total // 6), lowered=bool(ways))
    first = {pieces: compose_winners(task, pieces) for pieces in families}
    pieces = min(families, key=lambda pieces: _cost_of(task, first[pieces]))
    while task.share_spent < 0.65:
        pieces.generation(min(BATCH, task.left))
    composed = compose_winners(task, pieces)
    if task.switches.inliner:
        _try_thresholds(task)
    seeds = [plan.as_list() for plan in task.coreset.lists if plan.is_one_list]
    with task.until(0.82):
        _evolve(task, seeds[:16], lambda passes: Plan(base=passes), length=(1, 50), fresh=0.1)
    lower_best(task, ways)
    if composed is not None:
        _finish(task, composed)


def _cost_of(task: Task, trial: Trial | None) -> float:
    return float("inf") if trial is None else task.cost(trial)


def _run_pieces(task: Task, families: Sequence[FunctionSearch], count: int, *, lowered: bool = False) -> None:
    """Try the first `count` pieces of the table, `lowered` in turns."""
    by_preparation = {pieces.preparation: pieces for pieces in families}
    table = [plan for plan in task.coreset.pieces[:count] if plan.preparation in by_preparation]
    if lowered:
        table = [replace(plan, lowering=way) for plan, way in zip(table, itertools.cycle(CYCLE), strict=False)]
    while table and task.left:
        for trial in task.run_functions(table[:BATCH]):
            by_preparation[trial.plan.preparation].add([trial])
        table = table[BATCH:]


def _run_alone(task: Task, families: Sequence[FunctionSearch]) -> None:
    """The pieces of the table on a module of one function: each is measured as the object it makes."""
    by_preparation = {pieces.preparation: pieces for pieces in families}
    table = [plan for plan in task.coreset.pieces if plan.preparation in by_preparation]
    while table and task.left:
        task.run([by_preparation[plan.preparation].whole(plan) for plan in table[:BATCH]])
        table = table[BATCH:]


def _try_thresholds(task: Task) -> None:
    """Other inliner thresholds on the best single list and on -Oz; they act on the meta pipelines in a list."""
    lists = [trial for trial in task.evaluator.trials if trial.plan.is_one_list and trial.outcome.ok]
    oz = Plan(base=PassList.parse("default<Oz>", llvm_major=task.evaluator.llvm_major))
    plans = dict.fromkeys((*(trial.plan for trial in sorted(lists, key=task.cost)[:1]), oz))
    task.run([replace(plan, inliner_threshold=threshold) for plan in plans for threshold in INLINER_THRESHOLDS])


def _finish(task: Task, composed: Trial) -> None:
    """Try the switches on a plan, then spend what is left on passes over the whole of it."""
    plan = composed.plan
    if task.switches.outliner:
        for trial in task.run([replace(plan, codegen_options=(option,)) for option in CODEGEN_OPTIONS]):
            if task.cost(trial) < task.cost(composed):
                plan = trial.plan
    read = (PassList.parse(text).restricted_to(task.evaluator.llvm_major) for text in FINISHES)
    seeds = [passes for passes in dict.fromkeys(read) if passes.items]
    _evolve(task, seeds, lambda passes: replace(plan, finish=passes), length=(1, 12), fresh=0.2)


def _pick(population: Sequence[tuple[float, int, PassList]], rng: random.Random) -> PassList:
    """Tournament of three."""
    return min((rng.choice(population) for _ in range(3)), key=lambda entry: entry[:2])[2]


FIRST_TRIES: dict[str, Strategy] = {
    "coreset": coreset_search,
    "feedback": feedback,
    "model": coreset_search,  # behind the model's own lists, which whoever has the model runs first
    "mix": mix,
}
"""by proposer: how a budget is spent that is too small for anything but choosing"""

STRATEGIES: dict[str, Strategy] = {
    "compose": compose,
    "coreset": coreset_search,
    "evolve": evolve,
    "feedback": feedback,
    "mix": mix,
    "random": random_search,
}
