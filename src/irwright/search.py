"""Strategies over pass lists: which plan to try next.

All have one signature, `strategy(task)`: they spend the task's budget through its evaluator and leave the best
trial in it. `random` is the paper's; `evolve` mutates and splices whole lists from the coreset on; `coreset`
tries the table in order; `compose` chooses a list for every function by itself and is the default.

`compose` rests on this: function passes after a common base change each function independently of the others,
so one compilation can try another list on every function at once, and a module built from the winners has the
size that was measured piece by piece (it is measured again as a whole).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from irwright.errors import IrwrightError, LLVMError
from irwright.evaluator import NOTHING, Evaluator, FunctionTrial, Plan, Trial
from irwright.llvm.pieces import Promoted
from irwright.passes import PassList, PassSpace

BATCH = 8
"""Plans proposed at a time; fixed, so that the number of workers does not change what is proposed."""

FINISHES = (
    "globaldce,constmerge",
    "iroutliner",
    "mergefunc",
    "mergefunc,iroutliner",
    "deadargelim,function(instcombine<no-verify-fixpoint>,simplifycfg)",
    "globalopt,globaldce,mergefunc",
    "attributor-light,function(instcombine<no-verify-fixpoint>,simplifycfg)",
    "iroutliner,function(simplifycfg,instcombine<no-verify-fixpoint>)",
)
"""Passes over the whole module that may save something after every function is done."""

RUN_ON_FUNCTION_SINCE = 20
"""the first LLVM whose C API runs passes on one function"""

INLINER_THRESHOLDS = (-25, 0, 25)
"""tried in place of LLVM's own where the switch `inliner` is on"""

CODEGEN_OPTIONS = ("-enable-machine-outliner=always",)
"""tried where the switch `outliner` is on"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a search may spend: compilations, wall seconds, or both, whichever ends first."""

    compilations: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.compilations is None and self.seconds is None:
            raise ValueError("a budget needs compilations or seconds")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`16` is compilations, `30s` seconds, `5m` minutes."""
        units = {"s": 1.0, "m": 60.0, "h": 3600.0}
        try:
            if text[-1:] in units:
                amount = float(text[:-1]) * units[text[-1]]
                if 0 < amount < float("inf"):
                    return cls(seconds=amount)
            elif int(text) > 0:
                return cls(compilations=int(text))
        except ValueError:
            pass
        raise IrwrightError(f"bad budget {text!r}; give compilations (16) or a time (30s, 5m, 1h)")

    def __str__(self) -> str:
        parts = [f"{self.compilations} compilations"] if self.compilations is not None else []
        return " and ".join(parts + ([f"{self.seconds:g} s"] if self.seconds is not None else []))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coreset:
    """The table of good plans, each part ordered, best first."""

    lists: tuple[Plan, ...] = ()
    """whole lists, by what the first k of them save together"""
    pieces: tuple[Plan, ...] = ()
    """plans in pieces (a base and a tail), by what the modules composed of the first k save"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """What a search may change beside pass lists."""

    inliner: bool = False
    """inliner thresholds other than LLVM's"""
    outliner: bool = False
    """LLVM's machine outliner (on AArch64, -Oz runs it anyway)"""


CURVE_UNLIMITED = 1 << 30


@dataclass(slots=True)
class Task:
    """One module to make small: what may be spent, and the best found so far."""

    evaluator: Evaluator
    budget: Budget
    rng: random.Random
    coreset: Coreset = field(default_factory=Coreset)
    switches: Switches = field(default_factory=Switches)
    best: Trial | None = None
    baseline: Trial | None = None
    curve: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(compilations, best cost) at every improvement"""
    on_trial: Callable[[int, float], None] | None = None
    """called with compilations spent and the best cost, for progress"""
    _started: float = field(default_factory=time.monotonic)
    _limit: float = 1.0

    @property
    def left(self) -> int:
        """Compilations that may still be spent; 0 when the time is up."""
        if self.budget.seconds is not None and time.monotonic() - self._started >= self.budget.seconds * self._limit:
            return 0
        if self.budget.compilations is None:
            return CURVE_UNLIMITED
        return max(0, int(self.budget.compilations * self._limit) - self.evaluator.num_compilations)

    @property
    def share_spent(self) -> float:
        """0 at the start, 1 when the budget is gone."""
        shares = [0.0]
        if self.budget.compilations:
            shares.append(self.evaluator.num_compilations / self.budget.compilations)
        if self.budget.seconds:
            shares.append((time.monotonic() - self._started) / self.budget.seconds)
        return min(1.0, max(shares))

    @contextmanager
    def until(self, share: float) -> Generator[None]:
        """Within the block, the budget ends when this share of it is spent."""
        whole, self._limit = self._limit, share
        yield
        self._limit = whole

    def cost(self, trial: Trial) -> float:
        return trial.cost(self.evaluator.protocol)

    @property
    def best_cost(self) -> float:
        return float("inf") if self.best is None else self.cost(self.best)

    def start(self) -> None:
        """Measure the baseline, which is never counted: a search can't end worse than it."""
        plan = Plan(base=PassList.parse("default<Oz>", llvm_major=self.evaluator.llvm_major))
        self.baseline = self.evaluator.evaluate([plan], free=True)[0]
        self._note(self.baseline)

    def run(self, plans: Sequence[Plan]) -> list[Trial]:
        """Evaluate as many of the plans as the budget allows; keep the best."""
        trials = self.evaluator.evaluate(plans[: self.left])
        for trial in trials:
            self._note(trial)
        self._report()
        return trials

    def run_functions(self, plans: Sequence[Plan]) -> list[FunctionTrial]:
        """The same, function by function; what comes of it is measured as a whole later."""
        trials = self.evaluator.evaluate_functions(plans[: self.left])
        self._report()
        return trials

    def _note(self, trial: Trial) -> None:
        if self.cost(trial) < self.best_cost:
            self.best = trial
            self.curve.append((self.evaluator.num_compilations, self.cost(trial)))

    def _report(self) -> None:
        if self.on_trial is not None:
            self.on_trial(self.evaluator.num_compilations, self.best_cost)


Strategy = Callable[[Task], None]


def search(task: Task, strategy: str) -> Trial:
    """Run a strategy by name until the budget is spent; the best trial, the baseline where nothing is smaller."""
    if strategy not in STRATEGIES:
        raise IrwrightError(f"unknown strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    task.start()
    STRATEGIES[strategy](task)
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
    families = _families(task) if _num_lists(spare) < spare else []
    if not families:
        task.run(task.coreset.lists[:spare])
        return
    num_lists = _num_lists(spare)
    task.run(task.coreset.lists[:num_lists])
    _run_pieces(task, families, max(0, task.left - 1))
    _compose(task, min(families, key=_Pieces.predicted))
    if task.left:
        task.run(task.coreset.lists[num_lists : num_lists + task.left])


def _num_lists(compilations: int) -> int:
    """How many whole lists of the coreset come before its pieces; chosen on training modules (docs/log.md)."""
    if compilations < 5:
        return compilations
    return 0 if compilations < 10 else 4


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
        coreset_search(task)
        if task.left:  # the table is shorter than the budget, or does not fit the module
            evolve(task)
        return
    unlimited = task.budget.compilations is None
    total = task.left
    task.run(task.coreset.lists[: len(task.coreset.lists) if unlimited else max(4, total // 20)])
    families = _families(task)
    if not families:
        evolve(task)
        return
    _run_pieces(task, families, len(task.coreset.pieces) if unlimited else max(BATCH, total // 6))
    first = {pieces: _compose(task, pieces) for pieces in families}
    pieces = min(families, key=lambda pieces: _cost_of(task, first[pieces]))
    while task.share_spent < 0.65:
        pieces.generation(min(BATCH, task.left))
    composed = _compose(task, pieces)
    if task.switches.inliner:
        _try_thresholds(task)
    seeds = [plan.as_list() for plan in task.coreset.lists if plan.is_one_list]
    with task.until(0.82):
        _evolve(task, seeds[:16], lambda passes: Plan(base=passes), length=(1, 50), fresh=0.1)
    if composed is not None:
        _finish(task, composed)


def _cost_of(task: Task, trial: Trial | None) -> float:
    return float("inf") if trial is None else task.cost(trial)


def _families(task: Task) -> list[_Pieces]:
    """A search in pieces for each preparation of the coreset; empty where module, protocol or LLVM admit none."""
    if task.evaluator.protocol.counts_instructions or task.evaluator.llvm_major < RUN_ON_FUNCTION_SINCE:
        return []
    families: list[_Pieces] = []
    for preparation in dict.fromkeys(plan.preparation for plan in task.coreset.pieces):
        promoted = task.evaluator.survey(preparation)
        if promoted is not None and promoted.all_functions:
            plans = [plan for plan in task.coreset.pieces if plan.preparation == preparation]
            families.append(_Pieces(task, promoted, plans))
    return families


def _run_pieces(task: Task, families: Sequence[_Pieces], count: int) -> None:
    """Try the first `count` pieces of the table."""
    by_preparation = {pieces.preparation: pieces for pieces in families}
    table = [plan for plan in task.coreset.pieces[:count] if plan.preparation in by_preparation]
    while table and task.left:
        for trial in task.run_functions(table[:BATCH]):
            by_preparation[trial.plan.preparation].add([trial])
        table = table[BATCH:]


def _compose(task: Task, pieces: _Pieces) -> Trial | None:
    plan = pieces.plan()
    if plan is None or not task.left:
        return None
    trial = task.run([plan])[0]
    return trial if trial.outcome.ok else None


# ------------------------------------------------------------------ a list for every function


@dataclass(slots=True)
class _Candidates:
    """What is known of one function under one base: its best lists and everything tried."""

    best: list[tuple[int, int, PassList]] = field(default_factory=list[tuple[int, int, PassList]])
    """(bytes, passes, list), best first"""
    tried: set[PassList] = field(default_factory=set[PassList])
    stale: int = 0
    """candidates since the last improvement"""

    def note(self, size: int, tail: PassList) -> bool:
        """Add a measurement; True if it is smaller than all before."""
        improved = not self.best or size < self.best[0][0]
        self.stale = 0 if improved else self.stale + 1
        entry = (size, len(tail), tail)
        same = [length for known, length, _ in self.best if known == size]
        if len(same) < 2 or entry[1] < max(same):
            self.best.append(entry)
            self.best.sort(key=lambda item: item[:2])
            del self.best[6:]
        return improved


@dataclass(frozen=True, slots=True)
class _Choice:
    """One way to build a function."""

    size: int
    base: Plan
    tail: PassList
    references: frozenset[str]


class _Pieces:
    """Search for every function of a module by itself, all functions in one compilation.

    A function is built by a base (a plan in pieces: what is inlined, first simplifications) and a function-local
    tail. Functions of different bases are joined by LLVM's linker.
    """

    def __init__(self, task: Task, promoted: Promoted, plans: Sequence[Plan]) -> None:
        self.preparation = plans[0].preparation
        self._task = task
        self._promoted = promoted
        self._rng = task.rng
        self._major = task.evaluator.llvm_major
        self._space = PassSpace(self._major).restricted(lambda info: info.level in ("function", "loop", "loop-mssa"))
        self._bases: list[Plan] = list(dict.fromkeys(_base_of(plan) for plan in plans))
        self._candidates: dict[tuple[str, Plan], _Candidates] = {}
        self._choices: dict[str, dict[frozenset[str], _Choice]] = {}
        self._donors: list[PassList] = list(dict.fromkeys(plan.tail for plan in plans if plan.tail.items))

    def add(self, trials: Iterable[FunctionTrial]) -> None:
        """Take over what trials of plans in pieces measured."""
        for trial in trials:
            if not trial.outcome.ok:
                continue
            base, named = _base_of(trial.plan), dict(trial.plan.tails)
            for name, size in trial.sizes.items():
                self._note(name, base, named.get(name, trial.plan.tail), size.total, trial.references[name])

    def _note(self, name: str, base: Plan, tail: PassList, size: int, references: frozenset[str]) -> None:
        candidates = self._candidates.setdefault((name, base), _Candidates())
        candidates.tried.add(tail)
        candidates.note(size, tail)
        choices = self._choices.setdefault(name, {})
        statics = references.intersection(self._promoted.functions)
        smallest = min((choice.size for choice in choices.values()), default=size + 1)
        known = choices.get(statics)
        if known is None or size < known.size or (size == known.size and len(tail) < len(known.tail)):
            choices[statics] = _Choice(size, base, tail, statics)
            if size < smallest and len(candidates.tried) > BATCH:
                self._donors.append(tail)  # what helped one function is worth trying on others
                del self._donors[:-64]

    def generation(self, count: int) -> None:
        """Propose and measure `count` plans, each with one base and a list of its own for every function."""
        chosen = self.choose()
        weights = [1 + 4 * sum(choice.base == base for choice in chosen.values()) for base in self._bases]
        bases = self._rng.choices(self._bases, weights, k=count)
        self.add(self._task.run_functions([self._propose(base) for base in bases]))

    def _propose(self, base: Plan) -> Plan:
        tails: list[tuple[str, PassList]] = []
        for name in self._choices:
            tail = self._candidate(self._candidates.setdefault((name, base), _Candidates()))
            tails.append((name, tail))
        return replace(base, tails=tuple(sorted(tails, key=lambda item: item[0])))

    def _candidate(self, candidates: _Candidates) -> PassList:
        """A list not yet tried on this function; one of its best where that is hard to find or seldom pays."""
        if candidates.stale <= 60 or self._rng.random() < 0.5:
            for _ in range(6):
                tail = self._draw(candidates)
                if tail not in candidates.tried:
                    candidates.tried.add(tail)
                    return tail
        return candidates.best[0][2] if candidates.best else NOTHING

    def _draw(self, candidates: _Candidates) -> PassList:
        rng = self._rng
        dice = rng.random()
        if (dice < 0.3 or not candidates.best) and self._donors:
            return rng.choice(self._donors)
        if dice < 0.4 or not candidates.best:
            return PassList.sample(rng, llvm_major=self._major, length=(2, 24), space=self._space)
        own = candidates.best[min(int(rng.expovariate(0.8)), len(candidates.best) - 1)][2]
        if dice < 0.6 and self._donors:
            own = own.splice(rng.choice(self._donors), rng)
        for _ in range(rng.choice((1, 1, 2, 3))):
            own = own.mutate(rng, llvm_major=self._major, space=self._space, max_length=40)
        return own

    def choose(self) -> dict[str, _Choice]:
        """A choice for every function that is reached from outside, of least total size.

        Starts from each function's smallest and improves one function at a time: a choice that no longer calls
        a static function may be larger itself and still save that function.
        """
        order = [name for name in self._promoted.all_functions if name in self._choices]
        chosen = {name: min(self._choices[name].values(), key=lambda choice: choice.size) for name in order}
        total = self._total(chosen)
        several = [name for name in order if len(self._choices[name]) > 1]
        for _ in range(3 if len(several) * len(order) < 20_000 else 0):
            before = total
            for name in several:
                kept = chosen[name]
                for choice in self._choices[name].values():
                    previous = chosen[name]
                    chosen[name] = choice
                    candidate = self._total(chosen)
                    if candidate < total:
                        total, kept = candidate, choice
                    else:
                        chosen[name] = previous
                chosen[name] = kept
            total = self._drop_statics(chosen, total)
            if total == before:
                break
        return {name: chosen[name] for name in order if name in self._reached(chosen)}

    def _drop_statics(self, chosen: dict[str, _Choice], total: int) -> int:
        """Let all callers of a static function do without it at once, where that is smaller; the new total."""
        callers: dict[str, list[str]] = {}
        for name in self._reached(chosen):
            for called in chosen[name].references:
                callers.setdefault(called, []).append(name)
        for static, names in sorted(callers.items()):
            previous = {name: chosen[name] for name in names}
            for name in names:
                without = [choice for choice in self._choices[name].values() if static not in choice.references]
                if not without:
                    break
                chosen[name] = min(without, key=lambda choice: choice.size)
            candidate = self._total(chosen)
            if candidate < total:
                total = candidate
            else:
                chosen.update(previous)
        return total

    def _reached(self, chosen: dict[str, _Choice]) -> set[str]:
        seen: set[str] = set()
        todo = [name for name in self._promoted.roots if name in chosen]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += [called for called in chosen[name].references if called in chosen]
        return seen

    def _total(self, chosen: dict[str, _Choice]) -> int:
        return sum(chosen[name].size for name in self._reached(chosen))

    def predicted(self) -> float:
        """Bytes of the functions of the module of winners."""
        return sum(choice.size for choice in self.choose().values()) if self._choices else float("inf")

    def plan(self) -> Plan | None:
        """The module of winners; None where nothing was measured."""
        by_base: dict[Plan, list[tuple[str, PassList]]] = {}
        for name, choice in self.choose().items():
            by_base.setdefault(choice.base, []).append((name, choice.tail))
        if not by_base:
            return None
        parts = sorted(by_base.items(), key=lambda item: (-len(item[1]), self._bases.index(item[0])))
        return Plan(parts=tuple(replace(base, tails=tuple(sorted(tails, key=_name))) for base, tails in parts))


def _base_of(plan: Plan) -> Plan:
    return replace(plan, tail=NOTHING, tails=())


def _name(item: tuple[str, PassList]) -> str:
    return item[0]


def _try_thresholds(task: Task) -> None:
    """Other inliner thresholds on the best single list and on -Oz; they act on the meta pipelines in a list."""
    lists = [trial for trial in task.evaluator.trials if trial.plan.is_one_list and trial.outcome.ok]
    best = min(lists, key=task.cost).plan
    oz = Plan(base=PassList.parse("default<Oz>", llvm_major=task.evaluator.llvm_major))
    plans = dict.fromkeys((best, oz))
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


STRATEGIES: dict[str, Strategy] = {
    "compose": compose,
    "coreset": coreset_search,
    "evolve": evolve,
    "random": random_search,
}
