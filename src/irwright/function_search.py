"""Search for every function of a module by itself, all functions in one compilation.

After a common base, function passes change each function independently of the others: one compilation can try
another list on every function at once, and a module built from the winners has the size that was measured piece by
piece (it is measured again as a whole). Functions of different bases are joined by the linker (llvm/pieces.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from irwright.llvm.pieces import Promoted
from irwright.lowering import WAYS, Ways, lower, lowers
from irwright.passes import PassList, PassSpace
from irwright.plan import NOTHING, Plan
from irwright.task import BATCH, Task
from irwright.trials import FunctionTrial, Trial

RUN_ON_FUNCTION_SINCE = 20
"""the first LLVM whose C API runs passes on one function"""

OTHER_WAY = 0.2
"""how often a function's code is generated in another way than its smallest so far"""

MAX_ANCHORS = 32
"""trials whose sets of kept functions are starts of a composition"""


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


class FunctionSearch:
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
        self._bases: list[Plan] = list(dict.fromkeys(base_of(plan) for plan in plans))
        self._candidates: dict[tuple[str, Plan], _Candidates] = {}
        self._choices: dict[str, dict[frozenset[str], _Choice]] = {}
        self._anchors: dict[frozenset[str], None] = {}
        """the functions that the module of each trial keeps"""
        self._donors: list[PassList] = list(dict.fromkeys(plan.tail for plan in plans if plan.tail.items))

    @property
    def static(self) -> frozenset[str]:
        """Functions that may be inlined everywhere and left out then; not the inline functions of C++."""
        return frozenset(self._promoted.functions) - frozenset(self._promoted.linkages)

    def add(self, trials: Iterable[FunctionTrial]) -> None:
        """Take over what trials of plans in pieces measured."""
        for trial in trials:
            if not trial.outcome.ok:
                continue
            plain, named = base_of(trial.plan), dict(trial.plan.tails)
            for name, size in trial.sizes.items():
                base = replace(plain, lowering=trial.plan.lowering_for(name))
                self._note(name, base, named.get(name, trial.plan.tail), size.total, trial.references[name])
            if len(self._anchors) < MAX_ANCHORS:
                called = {name: trial.references[name] for name in trial.sizes}
                self._anchors[frozenset(reached(self._promoted.roots, called))] = None

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

    def whole(self, plan: Plan) -> Plan:
        """A plan in pieces as a module of its own: every function built by it."""
        names = sorted(self._promoted.all_functions)
        return Plan(parts=(replace(plan, tail=NOTHING, tails=tuple((name, plan.tail) for name in names)),))

    def generation(self, count: int) -> None:
        """Propose and measure `count` plans, each with one base and a list of its own for every function."""
        chosen = self.choose()
        weights = [1 + 4 * sum(base_of(choice.base) == base for choice in chosen.values()) for base in self._bases]
        bases = self._rng.choices(self._bases, weights, k=count)
        self.add(self._task.run_functions([self._propose(base) for base in bases]))

    def _propose(self, base: Plan) -> Plan:
        tails: list[tuple[str, PassList]] = []
        ways: dict[str, Ways] = {}
        for name in self._choices:
            ways[name] = self._way(name)
            lowered = replace(base, lowering=ways[name])
            tail = self._candidate(self._candidates.setdefault((name, lowered), _Candidates()))
            tails.append((name, tail))
        return lower(replace(base, tails=tuple(sorted(tails, key=_name))), ways)

    def _way(self, name: str) -> Ways:
        """How to generate a function's code next: mostly as its smallest so far."""
        if not lowers(self._task):
            return ()
        if self._rng.random() < OTHER_WAY:
            return self._rng.choice(WAYS)
        return min(self._choices[name].values(), key=lambda choice: choice.size).base.lowering

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

        Starts from each function's smallest, and from the smallest that call no static function but those that one of
        the trials keeps. Where all are chosen one by one, hardly a static function is inlined by all of its callers,
        and the copies inlined by some are no gain: of a thousand functions, only the second way finds what saves.
        """
        order = [name for name in self._promoted.all_functions if name in self._choices]
        anchored = [self._smallest(order, anchor) for anchor in self._anchors]
        starts = [self._smallest(order, None), *([min(anchored, key=self._total)] if anchored else [])]
        chosen = min((self._improve(start, order) for start in starts), key=self._total)
        kept = self._reached(chosen)
        return {name: chosen[name] for name in order if name in kept}

    def _improve(self, chosen: dict[str, _Choice], order: Sequence[str]) -> dict[str, _Choice]:
        """Change one function at a time: one that no longer calls a static function may save it, larger itself."""
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
        return chosen

    def _smallest(self, order: Sequence[str], anchor: frozenset[str] | None) -> dict[str, _Choice]:
        """The smallest choice of each function, of those that call none beside `anchor` where there are any."""
        chosen: dict[str, _Choice] = {}
        for name in order:
            choices = self._choices[name].values()
            fitting = choices if anchor is None else [one for one in choices if one.references <= anchor] or choices
            chosen[name] = min(fitting, key=lambda choice: choice.size)
        return chosen

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
        return reached(self._promoted.roots, {name: choice.references for name, choice in chosen.items()})

    def _total(self, chosen: dict[str, _Choice]) -> int:
        return sum(chosen[name].size for name in self._reached(chosen))

    def predicted(self) -> float:
        """Bytes of the functions of the module of winners."""
        return sum(choice.size for choice in self.choose().values()) if self._choices else float("inf")

    def plan(self) -> Plan | None:
        """The module of winners; None where nothing was measured."""
        by_base: dict[Plan, list[tuple[str, PassList]]] = {}
        chosen = self.choose()
        for name, choice in chosen.items():
            by_base.setdefault(base_of(choice.base), []).append((name, choice.tail))
        if not by_base:
            return None
        ordered = sorted(by_base.items(), key=lambda item: (-len(item[1]), self._bases.index(item[0])))
        made = (replace(base, tails=tuple(sorted(tails, key=_name))) for base, tails in ordered)
        ways = {name: choice.base.lowering for name, choice in chosen.items()}
        parts = tuple(lower(part, {name: ways[name] for name, _ in part.tails}) for part in made)
        return Plan(parts=parts, finish=self._task.finish)


def families_of(
    task: Task, num_pieces: int | None = None, *, pieces: Sequence[Plan] | None = None
) -> list[FunctionSearch]:
    """A search in pieces for each preparation of the first `num_pieces` pieces, or of all (None: the table's).

    Empty where module, protocol or LLVM admit none.
    """
    if task.evaluator.protocol.counts_instructions or task.evaluator.llvm_major < RUN_ON_FUNCTION_SINCE:
        return []
    pieces = task.coreset.pieces if pieces is None else pieces
    families: list[FunctionSearch] = []
    for preparation in dict.fromkeys(plan.preparation for plan in pieces[:num_pieces]):
        promoted = task.evaluator.survey(preparation)
        if promoted is not None and promoted.all_functions:
            plans = [plan for plan in pieces if plan.preparation == preparation]
            families.append(FunctionSearch(task, promoted, plans))
    return families


def compose_winners(task: Task, pieces: FunctionSearch) -> Trial | None:
    """The module of the winners, measured as a whole; None where there is none, or no compilation left."""
    plan = pieces.plan()
    if plan is None or not task.left:
        return None
    trial = task.run([plan])[0]
    return trial if trial.outcome.ok else None


def compose_best(task: Task, families: Iterable[FunctionSearch]) -> None:
    """The module of winners of the family that promises least bytes; measured, unless predictions are trusted.

    It costs nothing where its functions, measured one by one, promise no less than the best so far.
    """
    best = min(families, key=FunctionSearch.predicted)
    plan = best.plan()
    if plan is None or not task.left:
        return
    if task.trusts_predictions:
        task.predict(plan, best.predicted())
    elif task.foreseen(best.predicted()).total < task.best_cost:
        compose_winners(task, best)


def reached(roots: Iterable[str], called: Mapping[str, Iterable[str]]) -> set[str]:
    """The functions that are called from the roots, the roots among them; `called` has those that there are."""
    seen: set[str] = set()
    todo = [name for name in roots if name in called]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += [other for other in called[name] if other in called]
    return seen


def base_of(plan: Plan) -> Plan:
    return replace(plan, tail=NOTHING, tails=(), lowering=(), lowerings=())


def _name(item: tuple[str, PassList]) -> str:
    return item[0]
