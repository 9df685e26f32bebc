"""What a search works on: the budget, the table of good plans, the switches, and the best found so far."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from irwright.errors import IrwrightError
from irwright.evaluator import Evaluator
from irwright.measure import Sizes
from irwright.passes import PassList
from irwright.plan import NOTHING, Plan
from irwright.trials import FunctionTrial, Trial

BATCH = 8
"""Plans proposed at a time; fixed, so that the number of workers does not change what is proposed."""

_INLINES = re.compile(r"inline|<O\w>")
"""pass lists that inline something, LLVM's own pipelines among them"""

MUCH_LARGER = 1.1
"""times the bytes of the best so far: so large become modules of inline functions without inlining"""

UNLIMITED = 1 << 30
"""compilations left where only time is limited"""


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
    lists_first: tuple[int, ...] = ()
    """for each budget from 1, how many whole lists come before the pieces; found with the order"""
    large: Coreset | None = None
    """the same plans in the order that suits large modules"""
    large_from: int = 0
    """instructions of the unoptimised module from which it is large"""

    def for_module(self, num_instructions: int) -> Coreset:
        """The table in the order for a module of this size."""
        return self.large if self.large is not None and num_instructions >= self.large_from else self

    def num_lists(self, compilations: int) -> int:
        """How many whole lists come first; the rest goes to pieces and the module composed of them."""
        if not self.lists_first:
            return min(compilations, 4)
        return min(compilations, self.lists_first[min(compilations, len(self.lists_first)) - 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """What a search may change beside pass lists."""

    inliner: bool = False
    """inliner thresholds other than LLVM's"""
    outliner: bool = False
    """LLVM's machine outliner (on AArch64, -Oz runs it anyway)"""
    lists: bool = False
    """nothing but pass lists: code is generated as by -Oz"""


@dataclass(slots=True)
class Task:
    """One module to make small: what may be spent, and the best found so far."""

    evaluator: Evaluator
    budget: Budget
    rng: random.Random
    coreset: Coreset = field(default_factory=Coreset)
    switches: Switches = field(default_factory=Switches)
    proposer: str = "coreset"
    """who chooses where a budget is small: one of search.FIRST_TRIES"""
    proposed: Iterable[Plan] = ()
    """by a model; tried where the proposer is `mix`. One that is no sequence depends on what was measured before"""
    best: Trial | None = None
    baseline: Trial | None = None
    trusts_predictions: bool = False
    """a module composed of measured functions is not measured: the caller measures what it makes of it"""
    least_gain: float = 0.0
    """share of the baseline's bytes that a compilation has to save for another one, where somebody waits"""
    curve: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(compilations, best cost) at every improvement"""
    on_trial: Callable[[int, float], None] | None = None
    """called with compilations spent and the best cost, for progress"""
    finish: PassList = NOTHING
    """what every whole plan ends with (duplicates.py)"""
    finish_saves: int = 0
    """bytes it is known to save on the code of -Oz"""
    clock: Callable[[], float] = time.monotonic
    """seconds, of which a budget of time is made"""
    _oz_text: bytes | None = None
    _started: float = field(init=False)
    _limit: float = 1.0
    _is_over: bool = False

    def __post_init__(self) -> None:
        self._started = self.clock()

    @property
    def left(self) -> int:
        """Compilations that may still be spent; 0 when the time is up, or more would not pay."""
        if self._is_over:
            return 0
        if self.budget.seconds is not None and self.clock() - self._started >= self.budget.seconds * self._limit:
            return 0
        if self.budget.compilations is None:
            return UNLIMITED
        return max(0, int(self.budget.compilations * self._limit) - self.evaluator.num_compilations)

    def end(self) -> None:
        """Spend nothing more, whatever the budget is."""
        self._is_over = True

    @property
    def share_spent(self) -> float:
        """0 at the start, 1 when the budget is gone."""
        shares = [0.0]
        if self.budget.compilations:
            shares.append(self.evaluator.num_compilations / self.budget.compilations)
        if self.budget.seconds:
            shares.append((self.clock() - self._started) / self.budget.seconds)
        return min(1.0, max(shares))

    @contextmanager
    def until(self, share: float) -> Generator[None]:
        """Within the block, the budget ends when this share of it is spent."""
        whole, self._limit = self._limit, share
        yield
        self._limit = whole

    @contextmanager
    def keeping(self, compilations: int) -> Generator[None]:
        """Within the block, so many compilations of the budget are not spent; no matter where it is a time."""
        total = self.budget.compilations
        with self.until(self._limit if total is None else max(0.0, self._limit - (compilations - 0.5) / total)):
            yield

    def cost(self, trial: Trial) -> float:
        return trial.cost(self.evaluator.protocol)

    @property
    def best_cost(self) -> float:
        return float("inf") if self.best is None else self.cost(self.best)

    def oz_text(self) -> bytes:
        """The module as -Oz leaves it, as text; counts as no compilation. IrwrightError where LLVM breaks it."""
        if self._oz_text is None:
            self._oz_text = self.evaluator.compile(self._oz(), "ll")
        return self._oz_text

    def _oz(self) -> Plan:
        return Plan(base=PassList.parse("default<Oz>", llvm_major=self.evaluator.llvm_major))

    def start(self) -> None:
        """Measure the baseline, which is never counted: a search can't end worse than it.

        Where it is known, as from an object that the compiler made, it stands.
        """
        if self.baseline is not None:
            self._note(self.baseline)
            return
        self.baseline = self.evaluator.evaluate([self._oz()], free=True)[0]
        self._note(self.baseline)

    def run(self, plans: Sequence[Plan]) -> list[Trial]:
        """Evaluate as many of the plans as the budget allows; keep the best."""
        trials = self.evaluator.evaluate(plans[: self.left])
        for trial in trials:
            self._note(trial)
        self._report()
        return trials

    def run_lists(self, plans: Sequence[Plan]) -> None:
        """Whole lists: all, but where a gain is asked for, none without inlining once one made much more code."""
        if not self.least_gain:
            self.run(plans)
            return
        limit = MUCH_LARGER * self.best_cost
        needs_inlining = False
        for plan in plans:
            inlines = _INLINES.search(str(plan.base)) is not None
            if inlines or not needs_inlining:
                trials = self.run([plan])
                needs_inlining |= not inlines and any(self.cost(trial) > limit for trial in trials)
        self.end()

    def run_proposed(self, plans: Iterable[Plan]) -> None:
        """Run a sequence at once, anything else plan by plan, taking no plan that can't be run."""
        if isinstance(plans, Sequence):
            self.run(plans)
            return
        left = iter(plans)
        while self.left and (plan := next(left, None)) is not None:
            self.run([plan])

    def run_functions(self, plans: Sequence[Plan]) -> list[FunctionTrial]:
        """The same, function by function; what comes of it is measured as a whole later."""
        trials = self.evaluator.evaluate_functions(plans[: self.left])
        self._report()
        return trials

    def foreseen(self, function_bytes: float) -> Sizes:
        """Sizes of a module whose functions have so many bytes before `finish`, its data those of the baseline."""
        assert self.baseline is not None and self.baseline.sizes is not None
        sizes = self.baseline.sizes
        own = sizes.functions.keys() - set(self.evaluator.facts.aliases)  # which have the size of what they stand for
        change = int(function_bytes) - sum(sizes.functions[name].total for name in own) - self.finish_saves
        return replace(sizes, text=sizes.text + change, functions={})

    def predict(self, plan: Plan, function_bytes: float) -> Trial:
        """Such a module, taken as measured."""
        trial = self.evaluator.take_as_measured(plan, self.foreseen(function_bytes))
        self._note(trial)
        self._report()
        return trial

    def _note(self, trial: Trial) -> None:
        if self.cost(trial) < self.best_cost:
            self.best = trial
            self.curve.append((self.evaluator.num_compilations, self.cost(trial)))

    def _report(self) -> None:
        if self.on_trial is not None:
            self.on_trial(self.evaluator.num_compilations, self.best_cost)
