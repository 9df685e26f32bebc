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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from irwright.errors import IrwrightError
from irwright.evaluator import NOTHING, Evaluator, FunctionTrial, Plan, Trial
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
                if amount > 0:
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
    coreset: Sequence[Plan] = ()
    switches: Switches = field(default_factory=Switches)
    best: Trial | None = None
    baseline: Trial | None = None
    curve: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(compilations, best cost) at every improvement"""
    on_trial: Callable[[int, float], None] | None = None
    """called with compilations spent and the best cost, for progress"""
    _started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Compilations that may still be spent; 0 when the time is up."""
        if self.budget.seconds is not None and time.monotonic() - self._started >= self.budget.seconds:
            return 0
        if self.budget.compilations is None:
            return CURVE_UNLIMITED
        return max(0, self.budget.compilations - self.evaluator.num_compilations)

    @property
    def share_spent(self) -> float:
        """0 at the start, 1 when the budget is gone."""
        shares = [0.0]
        if self.budget.compilations:
            shares.append(self.evaluator.num_compilations / self.budget.compilations)
        if self.budget.seconds:
            shares.append((time.monotonic() - self._started) / self.budget.seconds)
        return min(1.0, max(shares))

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
    assert task.best is not None
    return task.best


def random_search(task: Task) -> None:
    """The paper's: lists of uniform length 1 to 50 from all passes and meta pipelines."""
    while task.left:
        task.run([Plan(base=PassList.sample(task.rng, llvm_major=task.evaluator.llvm_major)) for _ in range(BATCH)])


def coreset_search(task: Task) -> None:
    """The table in its order, the last compilation for the module made of each function's best."""
    _compose_table(task, _run_table(task, task.left))


def evolve(task: Task) -> None:
    """Evolution of whole lists: begin with the coreset, then mutate and splice what was best."""
    major = task.evaluator.llvm_major
    space = PassSpace(major)
    population: list[tuple[float, int, PassList]] = []

    def admit(trials: Iterable[Trial]) -> None:
        for trial in trials:
            entry = (task.cost(trial), len(trial.plan.base), trial.plan.base)
            if trial.outcome.ok and all(entry[2] != known for _, _, known in population):
                population.append(entry)
        population.sort(key=lambda entry: entry[:2])
        # Lists of equal cost are mostly the same state: keep two of each.
        counts: Counter[float] = Counter()
        kept: list[tuple[float, int, PassList]] = []
        for entry in population:
            counts[entry[0]] += 1
            if counts[entry[0]] <= 2:
                kept.append(entry)
        population[:] = kept[:16]

    seeds = [Plan(base=plan.as_list()) for plan in task.coreset if plan.is_one_list]
    share = len(seeds) if task.budget.compilations is None else max(4, task.budget.compilations // 6)
    admit(task.run(seeds[:share]))
    while task.left:
        children: list[Plan] = []
        for _ in range(BATCH):
            dice = task.rng.random()
            if dice < 0.1 or not population:
                child = PassList.sample(task.rng, llvm_major=major)
            else:
                child = _pick(population, task.rng)
                if dice < 0.5:
                    child = child.splice(_pick(population, task.rng), task.rng)
                for _ in range(task.rng.randint(1, 3)):
                    child = child.mutate(task.rng, llvm_major=major, space=space)
            children.append(Plan(base=child))
        admit(task.run(children))


def compose(task: Task) -> None:
    """A list for every function: the table, evolution of each function's lists, composition, finishing passes."""
    if task.left < 2 * BATCH + 8:
        coreset_search(task)
        return
    total = task.left
    unlimited = task.budget.compilations is None
    table = _run_table(task, len(task.coreset) if unlimited else max(BATCH, total // 8))
    reserve = 4 * BATCH if unlimited else min(3 * BATCH, total // 5)
    base = table.best_base()
    if base is None:  # nothing but failures: the table does not fit this module
        random_search(task)
        return
    lists = _FunctionLists(task, base, table)
    while task.left > reserve and (not unlimited or task.share_spent < 0.85):
        lists.generation(min(BATCH, task.left - reserve))
    composed = task.run([lists.plan()])
    if composed and composed[0].outcome.ok:
        _finish(task, composed[0])
    if task.best is not None and task.best.plan.base != base.base:
        _finish(task, task.best)


# ------------------------------------------------------------------ the table and its composition


class _Table:
    """Whole-object trials of coreset plans, and what each list made of each function, by base."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.trials: list[Trial] = []

    def add(self, trials: Iterable[Trial]) -> None:
        self.trials += [trial for trial in trials if trial.outcome.ok]

    def bases(self) -> dict[Plan, list[Trial]]:
        """Trials grouped by what they share: everything but the tail."""
        groups: dict[Plan, list[Trial]] = {}
        for trial in self.trials:
            groups.setdefault(replace(trial.plan, tail=NOTHING, tails=()), []).append(trial)
        return groups

    def predicted(self, trials: Sequence[Trial]) -> tuple[float, dict[str, PassList]]:
        """Cost of the module composed of each function's best list, and those lists."""
        best: dict[str, tuple[int, PassList]] = {}
        for trial in trials:
            assert trial.sizes is not None
            for name, size in trial.sizes.functions.items():
                if name not in best or size.total < best[name][0]:
                    best[name] = (size.total, trial.plan.tail)
        anchor = min(trials, key=self._task.cost)
        assert anchor.sizes is not None
        saved = sum(size.total - best[name][0] for name, size in anchor.sizes.functions.items())
        return self._task.cost(anchor) - saved, {name: tail for name, (_, tail) in best.items()}

    def best_base(self) -> Plan | None:
        groups = self.bases()
        if not groups:
            return None
        return min(groups, key=lambda base: self.predicted(groups[base])[0])

    def best_composition(self) -> tuple[float, Plan | None]:
        """The cheapest predicted composition that is no single list already tried."""
        best: tuple[float, Plan | None] = (float("inf"), None)
        for base, trials in self.bases().items():
            cost, tails = self.predicted(trials)
            if cost < best[0] and len(set(tails.values())) > 1:
                best = (cost, _composed(base, tails))
        return best


def _composed(base: Plan, tails: dict[str, PassList]) -> Plan:
    """The plan in which the commonest list is the default and the others are named."""
    default = Counter(tails.values()).most_common(1)[0][0]
    named = tuple(sorted((name, tail) for name, tail in tails.items() if tail != default))
    return replace(base, tail=default, tails=named)


def _can_compose(task: Task) -> bool:
    return not task.evaluator.protocol.counts_instructions and task.evaluator.llvm_major >= RUN_ON_FUNCTION_SINCE


def _run_table(task: Task, compilations: int) -> _Table:
    """Try the coreset in order, keeping the last compilation for a composition where that promises more."""
    table = _Table(task)
    plans = list(task.coreset)
    spare = min(compilations, task.left)
    while plans and spare > 0:
        if spare <= 2 and _can_compose(task) and table.best_composition()[0] < task.best_cost:
            break
        step = 1 if spare <= BATCH else 4
        batch, plans = plans[: min(step, spare)], plans[min(step, spare) :]
        table.add(task.run(batch))
        spare -= len(batch)
    return table


def _compose_table(task: Task, table: _Table) -> None:
    cost, plan = table.best_composition() if _can_compose(task) else (0.0, None)
    if plan is not None and cost < task.best_cost and task.left:
        task.run([plan])


# ------------------------------------------------------------------ evolution per function


@dataclass(slots=True)
class _Candidates:
    """What is known of one function: its best lists and everything tried."""

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
        same = sum(known == size for known, _, _ in self.best)
        if same < 2 or entry[1] < max(length for known, length, _ in self.best if known == size):
            self.best.append(entry)
            self.best.sort(key=lambda item: item[:2])
            del self.best[6:]
        return improved


class _FunctionLists:
    """Evolution of a list for every function of one base, all functions in one compilation."""

    def __init__(self, task: Task, base: Plan, table: _Table) -> None:
        self._task = task
        self._base = base
        self._rng = task.rng
        self._major = task.evaluator.llvm_major
        self._space = PassSpace(self._major).restricted(lambda info: info.level in ("function", "loop", "loop-mssa"))
        self._functions: dict[str, _Candidates] = {}
        self._donors: list[PassList] = [plan.tail for plan in task.coreset if plan.tail.items]
        for trial in table.bases()[base]:
            assert trial.sizes is not None
            for name, size in trial.sizes.functions.items():
                self._note(name, size.total, trial.plan.tail)

    def _note(self, name: str, size: int, tail: PassList) -> None:
        candidates = self._functions.setdefault(name, _Candidates())
        candidates.tried.add(tail)
        if candidates.note(size, tail) and len(candidates.tried) > 8:
            self._donors.append(tail)  # what helped one function is worth trying on others
            del self._donors[:-64]

    def generation(self, count: int) -> None:
        """Propose and measure `count` plans."""
        plans = [self._propose() for _ in range(count)]
        for plan, trial in zip(plans, self._task.run_functions(plans), strict=False):
            proposed = dict(plan.tails)
            for name, tail in proposed.items():
                self._functions[name].tried.add(tail)
            if trial.outcome.ok:
                for name, size in trial.sizes.items():
                    if name in proposed:
                        self._note(name, size.total, proposed[name])

    def _propose(self) -> Plan:
        tails = [(name, self._candidate(candidates)) for name, candidates in self._functions.items()]
        return replace(self._base, tails=tuple(sorted((name, tail) for name, tail in tails if tail is not None)))

    def _candidate(self, candidates: _Candidates) -> PassList | None:
        """A list not yet tried on this function, None when that is hard to find or seldom pays."""
        if candidates.stale > 60 and self._rng.random() < 0.5:
            return None
        for _ in range(6):
            tail = self._draw(candidates)
            if tail not in candidates.tried and tail.items:
                candidates.tried.add(tail)
                return tail
        return None

    def _draw(self, candidates: _Candidates) -> PassList:
        rng = self._rng
        own = candidates.best[min(int(rng.expovariate(0.8)), len(candidates.best) - 1)][2]
        dice = rng.random()
        if dice < 0.30 and self._donors:
            return rng.choice(self._donors)
        if dice < 0.40:
            return PassList.sample(rng, llvm_major=self._major, length=(2, 24), space=self._space)
        if dice < 0.60 and self._donors:
            own = own.splice(rng.choice(self._donors), rng)
        for _ in range(rng.choice((1, 1, 2, 3))):
            own = own.mutate(rng, llvm_major=self._major, space=self._space, max_length=40)
        return own

    def plan(self) -> Plan:
        """The module of winners."""
        return _composed(self._base, {name: known.best[0][2] for name, known in self._functions.items()})


def _finish(task: Task, composed: Trial) -> None:
    """Try the finishing passes and the switches on a plan, then join those that help."""
    major = task.evaluator.llvm_major
    variants = [replace(composed.plan, finish=PassList.parse(text, llvm_major=major)) for text in FINISHES]
    if task.switches.outliner:
        variants += [replace(composed.plan, codegen_options=(option,)) for option in CODEGEN_OPTIONS]
    trials = task.run(variants)
    helpful = sorted((trial for trial in trials if task.cost(trial) < task.cost(composed)), key=task.cost)
    best = composed
    for trial in helpful:
        if best is composed:
            best = trial
            continue
        joined = replace(
            best.plan,
            finish=PassList((*best.plan.finish.items, *trial.plan.finish.items)),
            codegen_options=tuple(dict.fromkeys((*best.plan.codegen_options, *trial.plan.codegen_options))),
        )
        for measured in task.run([joined]):
            best = min(best, measured, key=task.cost)


def _pick(population: Sequence[tuple[float, int, PassList]], rng: random.Random) -> PassList:
    """Tournament of three."""
    return min((rng.choice(population) for _ in range(3)), key=lambda entry: entry[:2])[2]


STRATEGIES: dict[str, Strategy] = {
    "compose": compose,
    "coreset": coreset_search,
    "evolve": evolve,
    "random": random_search,
}
