"""Pass lists: text that parses and prints back, sampling, mutation, crossover, minimising.

The passes themselves are in pass_table.py. Running a list is llvm/module.py's job, choosing one is search.py's.

A pass list has two texts. The *flat form* is what people and models write: `sroa,instcombine<max-iterations=1>,inline`,
each pass at its own level. The *pipeline* is what `opt -passes` and LLVMRunPasses take, adaptors spelled out:
`function(sroa,instcombine<max-iterations=1;no-verify-fixpoint>),cgscc(inline)`. Both parse to the same list. How passes
of one level are grouped under adaptors isn't part of a list: neighbours share one. What the flat form can't say is kept
as a `Group`: function passes inside the bottom-up walk (`cgscc(inline,function(sroa))`), `devirt<4>(...)`,
`function<eager-inv>(...)`, a plain loop pass under `loop-mssa(...)`. `repeat<2>(...)`, which newer LLVMs have no more,
is read as its passes twice.

Lists hold the newest spelling of every name; `PassList.pipeline` writes what one LLVM calls it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from irwright.errors import PassListError
from irwright.pass_table import (
    ANY_LEVEL,
    IMPLIED_PARAMETERS,
    LOSES_MEMORY_SSA,
    PASSES,
    RENAMED,
    RENAMED_PARAMETERS,
    Level,
    Parameter,
    PassInfo,
    find_parameter,
    params_worth_trying,
    spell,
    spell_parameter,
    usable_passes,
    words,
)

if TYPE_CHECKING:
    import random

DEFAULT_LLVM = 22

Adaptor = Literal["module", "cgscc", "function", "loop", "loop-mssa", "devirt", "coro-cond"]

# Adaptor -> where it may stand.
_ADAPTORS: dict[str, frozenset[str]] = {
    "module": frozenset({"module"}),
    "coro-cond": frozenset({"module"}),
    "cgscc": frozenset({"module", "cgscc"}),
    "devirt": frozenset({"module", "cgscc"}),
    "function": frozenset({"module", "cgscc", "function"}),
    "loop": frozenset({"module", "cgscc", "function", "loop"}),
    "loop-mssa": frozenset({"module", "cgscc", "function", "loop-mssa"}),
}
_KEYWORDS = (*_ADAPTORS, "repeat")

# Level a text stands at -> levels of the passes it may hold (adaptors are inferred).
_HOLDS: dict[Level, frozenset[Level]] = {
    "module": frozenset({"module", "cgscc", "function", "loop", "loop-mssa"}),
    "cgscc": frozenset({"cgscc", "function", "loop", "loop-mssa"}),
    "function": frozenset({"function", "loop", "loop-mssa"}),
    "loop": frozenset({"loop"}),
    "loop-mssa": frozenset({"loop", "loop-mssa"}),
}


def oz_pipeline(llvm_major: int) -> str:
    """The text of LLVM's own -Oz; from LLVM 23 on it takes functions that carry minsize to mean it."""
    return PassList((Pass("default", "Oz"),)).pipeline(llvm_major)


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass with its parameters; `name` is in PASSES."""

    name: str
    params: str = ""
    """The text between `<` and `>`, newest spelling; '' without."""
    level: Level | Literal[""] = ""
    """Where it runs; filled from the table. Only `verify`, `require<...>` and their like run at several levels."""

    def __post_init__(self) -> None:
        if not self.level:
            object.__setattr__(self, "level", PASSES[self.name].level)

    @property
    def info(self) -> PassInfo:
        return PASSES[self.name]

    def __str__(self) -> str:
        return f"{self.name}<{self.params}>" if self.params else self.name

    def supported(self, llvm_major: int) -> bool:
        """True if this LLVM has the pass and all its parameters, under whatever name."""
        return spell(self.name, self.params, llvm_major) is not None


@dataclass(frozen=True, slots=True)
class Group:
    """Passes under an adaptor the flat form has no words for."""

    adaptor: Adaptor
    argument: str
    """The text between `<` and `>`: a count, `eager-inv`, `no-rerun`; '' without."""
    items: tuple[Item, ...]

    def __str__(self) -> str:
        return str(PassList((self,)))


Item: TypeAlias = Pass | Group
_Wrapper: TypeAlias = Level | Literal[""]


@dataclass(frozen=True, slots=True)
class PassList:
    """An ordered list of passes; `str` is the shortest text that parses back to an equal list."""

    items: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        if any(isinstance(item, Group) for item in self.items):
            object.__setattr__(self, "items", _normalise(self.items, "module"))

    @classmethod
    def parse(cls, text: str, *, llvm_major: int = DEFAULT_LLVM, allow_excluded: bool = False) -> PassList:
        """Read the flat form or `opt -passes` text; raises PassListError pointing at the column of the mistake.

        `allow_excluded` admits passes the table leaves out, their parameters unchecked: for reading LLVM's own
        pipelines (`opt -print-pipeline-passes`), not for text of strangers.
        """
        return _Parser(text, llvm_major, allow_excluded).parse()

    @classmethod
    def sample(
        cls,
        rng: random.Random,
        *,
        llvm_major: int = DEFAULT_LLVM,
        length: int | tuple[int, int] = (1, 50),
        space: PassSpace | None = None,
    ) -> PassList:
        """Draw a list: length uniform in the inclusive range, passes uniform over the space."""
        space = space or PassSpace(llvm_major)
        count = length if isinstance(length, int) else rng.randint(*length)
        return cls(tuple(space.draw(rng) for _ in range(count)))

    def passes(self) -> Iterator[Pass]:
        """Every pass in order, those inside groups included."""
        return _leaves(self.items)

    def __len__(self) -> int:
        """Number of passes, those inside groups included."""
        return sum(1 for _ in _leaves(self.items))

    @property
    def is_flat(self) -> bool:
        """True if the flat form says it all."""
        return all(isinstance(item, Pass) and item.level == item.info.level for item in self.items)

    def __str__(self) -> str:
        return ",".join(map(str, self.items)) if self.is_flat else _render(self.items, "module", str)

    def pipeline(self, llvm_major: int = DEFAULT_LLVM, *, level: Level = "module") -> str:
        """The text this LLVM takes at `level`: for `opt -passes` and LLVMRunPasses, or LLVMRunPassesOnFunction.

        PassListError if this LLVM lacks a pass, ValueError if one can't stand at the level.
        """
        if not self.items:
            return f"no-op-{level}"

        def spelled(one: Pass) -> str:
            text = spell(one.name, one.params, llvm_major)
            if text is None:
                PassList.parse(str(self), llvm_major=llvm_major, allow_excluded=True)  # raises, with the column
            return text or one.name

        return _render(self.items if level == "module" else _normalise(self.items, level), level, spelled)

    def supported(self, llvm_major: int) -> bool:
        """True if this LLVM has every pass and parameter."""
        return all(one.supported(llvm_major) for one in self.passes())

    def restricted_to(self, llvm_major: int) -> PassList:
        """Leave out the passes this LLVM lacks or gets wrong, and parameters it lacks."""

        def portable(one: Pass) -> Pass | None:
            if one.info.left_out(llvm_major) or not one.info.supported(llvm_major):
                return None
            if one.supported(llvm_major):
                return one
            if one.info.one_parameter:
                return None
            kept = (word for word in words(one.params) if spell_parameter(one.info, word, llvm_major) is not None)
            return replace(one, params=";".join(kept))

        return PassList(_map_leaves(self.items, portable))

    def without(self, index: int) -> PassList:
        """Leave out the pass at this position of `passes()`."""
        return self.without_all({index})

    def without_all(self, indices: Collection[int]) -> PassList:
        """Leave out the passes at these positions of `passes()`; a group left empty goes too."""
        positions = iter(range(len(self)))
        return PassList(_map_leaves(self.items, lambda one: None if next(positions) in indices else one))

    def insert(self, index: int, item: Item) -> PassList:
        """Put an item before position `index` of `items`."""
        return PassList((*self.items[:index], item, *self.items[index:]))

    def splice(self, other: PassList, rng: random.Random) -> PassList:
        """A prefix of this list and a suffix of the other, each cut at a random place."""
        head = rng.randint(0, len(self.items))
        tail = rng.randint(0, len(other.items))
        return PassList(self.items[:head] + other.items[tail:])

    def mutate(
        self,
        rng: random.Random,
        *,
        llvm_major: int = DEFAULT_LLVM,
        space: PassSpace | None = None,
        max_length: int = 50,
    ) -> PassList:
        """One random edit: insert, delete, replace, swap, change parameters, repeat a slice, shuffle a window.

        The result differs from this list wherever an edit can make a difference.
        """
        space = space or PassSpace(llvm_major)
        for _ in range(20):
            edited = PassList(_edit(self.items, "module", rng, space, max_length - len(self)))
            if edited != self:
                return edited
        return self


def function_local(passlist: PassList) -> bool:
    """True if it holds only function and loop passes, so each function's result doesn't depend on the others."""
    return all(one.level in _HOLDS["function"] for one in passlist.passes())


@dataclass(frozen=True)
class PassSpace:
    """The passes lists are drawn from, for one LLVM; cheap to make, the table's part is cached."""

    llvm_major: int
    usable: tuple[PassInfo, ...] = ()
    """By name; all the table allows unless given."""

    def __post_init__(self) -> None:
        if not self.usable:
            object.__setattr__(self, "usable", usable_passes(self.llvm_major))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(info.name for info in self.usable)

    def restricted(self, keep: Callable[[PassInfo], bool]) -> PassSpace:
        """The part of the space `keep` says yes to, such as the function passes."""
        usable = tuple(info for info in self.usable if keep(info))
        if not usable:
            raise ValueError(f"no pass of LLVM {self.llvm_major} is left in the space")
        return replace(self, usable=usable)

    def draw(self, rng: random.Random, level: Level = "module") -> Pass:
        """A pass that may stand at this level, uniform by name."""
        infos = self.usable if level == "module" else _at_level(self.usable, level)
        info = rng.choice(infos or _at_level(usable_passes(self.llvm_major), level))
        return Pass(info.name, self.draw_params(info, rng))

    def draw_params(self, info: PassInfo, rng: random.Random) -> str:
        """The first parameter text (none, or Oz of the meta pipelines) half of the time, else any."""
        choices = params_worth_trying(info.name, self.llvm_major)
        return choices[0] if rng.random() < 0.5 else rng.choice(choices)


@functools.cache
def _at_level(infos: tuple[PassInfo, ...], level: Level) -> tuple[PassInfo, ...]:
    return tuple(
        info
        for info in infos
        if info.level in _HOLDS[level] and not (level == "loop-mssa" and info.name in LOSES_MEMORY_SSA)
    )


# ---- items


def _leaves(items: Iterable[Item]) -> Iterator[Pass]:
    for item in items:
        if isinstance(item, Pass):
            yield item
        else:
            yield from _leaves(item.items)


def _map_leaves(items: tuple[Item, ...], change: Callable[[Pass], Pass | None]) -> tuple[Item, ...]:
    changed: list[Item] = []
    for item in items:
        if isinstance(item, Group):
            changed.append(replace(item, items=_map_leaves(item.items, change)))
        elif (one := change(item)) is not None:
            changed.append(one)
    return tuple(changed)


def _inner_level(adaptor: Adaptor) -> Level:
    """The level of what stands inside an adaptor."""
    if adaptor == "coro-cond":
        return "module"
    return "cgscc" if adaptor == "devirt" else adaptor


def _wrapper(item: Item, level: Level) -> _Wrapper:
    """The adaptor an item needs around it where it stands; '' if none."""
    if isinstance(item, Group):
        return _group_wrapper(item, level)
    own: Level = cast(Level, item.level)
    if own == level or level in ("loop", "loop-mssa"):
        return ""
    if own in ("loop", "loop-mssa"):
        return own if level == "function" else "function"
    return own


def _group_wrapper(group: Group, level: Level) -> _Wrapper:
    match group.adaptor:
        case "devirt":
            return "cgscc" if level == "module" else ""
        case "loop" | "loop-mssa":
            return "function" if level in ("module", "cgscc") else ""
        case _:
            return ""


def _render(items: Sequence[Item], level: Level, write: Callable[[Pass], str]) -> str:
    parts: list[str] = []

    def wrapper_here(item: Item) -> _Wrapper:
        return _wrapper(item, level)

    for wrapper, run in groupby(items, key=wrapper_here):
        if wrapper:
            parts.append(f"{wrapper}({_render(tuple(run), wrapper, write)})")
            continue
        for item in run:
            if isinstance(item, Pass):
                parts.append(write(item))
                continue
            argument = f"<{item.argument}>" if item.argument else ""
            inner = _render(item.items, _inner_level(item.adaptor), write)
            parts.append(f"{item.adaptor}{argument}({inner})")
    return ",".join(parts)


def _normalise(items: Iterable[Item], level: Level) -> tuple[Item, ...]:
    """Dissolve groups that say nothing the flat form wouldn't, drop empty ones."""
    flat: list[Item] = []
    for item in items:
        if isinstance(item, Pass):
            if item.level not in _HOLDS[level]:
                raise ValueError(f"{item.level} pass {item.name!r} inside {level}(...)")
            flat.append(item)
            continue
        if level not in _ADAPTORS[item.adaptor]:
            raise ValueError(f"{item.adaptor}(...) inside {level}(...)")
        inner = _normalise(item.items, _inner_level(item.adaptor))
        if not inner:
            continue
        group = replace(item, items=inner)
        flat.extend(inner if _dissolves(group, level) else (group,))
    return tuple(flat)


def _dissolves(group: Group, level: Level) -> bool:
    match group.adaptor:
        case "module":
            return True
        case "function":
            return not group.argument
        case "cgscc":
            return level == "cgscc" or all(_wrapper(item, "module") == "cgscc" for item in group.items)
        case "loop" | "loop-mssa":
            plain = all(isinstance(item, Pass) and item.level == group.adaptor for item in group.items)
            return plain or level == group.adaptor
        case _:
            return False


# ---- random edits


def _edit(items: tuple[Item, ...], level: Level, rng: random.Random, space: PassSpace, room: int) -> tuple[Item, ...]:
    """One random edit of the items that stand at `level`; at most `room` passes more than before."""
    if not items:
        return (space.draw(rng, level),)
    at = rng.randrange(len(items))
    chosen = items[at]
    if isinstance(chosen, Group) and rng.random() < 0.8:
        inner = _edit(chosen.items, _inner_level(chosen.adaptor), rng, space, room)
        return (*items[:at], replace(chosen, items=inner), *items[at + 1 :])
    match rng.choice(("insert", "delete", "replace", "swap", "parameters", "duplicate", "shuffle")):
        case "insert" if room > 0:
            at = rng.randint(0, len(items))
            return (*items[:at], space.draw(rng, level), *items[at:])
        case "delete":
            return items[:at] + items[at + 1 :]
        case "swap":
            other = rng.randrange(len(items))
            swapped = list(items)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            return tuple(swapped)
        case "parameters" if isinstance(chosen, Pass) and not chosen.info.left_out(space.llvm_major):
            changed = replace(chosen, params=space.draw_params(chosen.info, rng))
            return (*items[:at], changed, *items[at + 1 :])
        case "duplicate":
            piece = items[at : at + rng.randint(1, 8)]
            to = rng.randint(0, len(items))
            return items if len(PassList(piece)) > room else items[:to] + piece + items[to:]
        case "shuffle":
            window = list(items[at : at + rng.randint(2, 8)])
            rng.shuffle(window)
            return (*items[:at], *window, *items[at + len(window) :])
        case _:
            return (*items[:at], space.draw(rng, level), *items[at + 1 :])


# ---- minimising


class _OutOfBudgetError(Exception):
    pass


def minimise(
    passlist: PassList,
    cost: Callable[[PassList], float],
    *,
    insert: Sequence[Item] = (),
    sort: bool = True,
    max_evaluations: int | None = None,
) -> PassList:
    """Shorten a list without raising its cost; see `minimise_steps`. `cost` is never asked twice about one list."""
    steps = minimise_steps(passlist, insert=insert, sort=sort, max_evaluations=max_evaluations)
    try:
        candidate = next(steps)
        while True:
            candidate = steps.send(cost(candidate))
    except StopIteration as stop:
        return cast(PassList, stop.value)


def minimise_steps(
    passlist: PassList,
    *,
    insert: Sequence[Item] = (),
    sort: bool = True,
    max_evaluations: int | None = None,
) -> Generator[PassList, float, PassList]:
    """Yield the lists whose cost is wanted, be sent each cost, return the shortest list found no worse than the first.

    Drops chunks, then single passes (delta debugging, Zeller 1999), then parameters; sorts by name where the cost
    allows, so that equal lists meet; with `insert`, puts candidates wherever they lower the cost; all that until
    nothing changes or the budget is used up. A list that fails costs `math.inf`.
    """
    search = _Minimiser(passlist, math.inf if max_evaluations is None else max_evaluations)
    try:
        search.best_cost = yield from search.evaluate(passlist)
        while True:
            before = search.best
            yield from search.drop()
            yield from search.drop_parameters()
            if sort:
                yield from search.sort()
            for item in insert:
                yield from search.insert(item)
            if search.best == before:
                return search.best
    except _OutOfBudgetError:
        return search.best


_Steps: TypeAlias = Generator[PassList, float, None]


class _Minimiser:
    def __init__(self, first: PassList, budget: float) -> None:
        self.best = first
        self.best_cost = math.inf
        self._budget = budget
        self._known: dict[PassList, float] = {}

    def evaluate(self, candidate: PassList) -> Generator[PassList, float, float]:
        known = self._known.get(candidate)
        if known is not None:
            return known
        if self._budget <= 0:
            raise _OutOfBudgetError
        self._budget -= 1
        cost = yield candidate
        self._known[candidate] = cost
        return cost

    def accept(self, candidate: PassList, *, below: float) -> Generator[PassList, float, bool]:
        """Take the candidate if its cost is at most `below`."""
        cost = yield from self.evaluate(candidate)
        if cost > below:
            return False
        self.best, self.best_cost = candidate, cost
        return True

    def drop(self) -> _Steps:
        chunk = max(len(self.best) // 2, 1)
        while len(self.best):
            dropped = False
            start = 0
            while start < (count := len(self.best)):
                rest = self.best.without_all(range(start, min(start + chunk, count)))
                if (yield from self.accept(rest, below=self.best_cost)):
                    dropped = True
                else:
                    start += chunk
            if chunk > 1:
                chunk //= 2
            elif not dropped:
                return

    def drop_parameters(self) -> _Steps:
        for at, one in enumerate(self.best.passes()):
            if not one.params or not one.info.accepts or one.info.one_parameter:
                continue
            positions = iter(range(len(self.best)))

            def bare(each: Pass, positions: Iterator[int] = positions, at: int = at) -> Pass:
                return replace(each, params="") if next(positions) == at else each

            yield from self.accept(PassList(_map_leaves(self.best.items, bare)), below=self.best_cost)

    def sort(self) -> _Steps:
        whole = PassList(tuple(sorted(self.best.items, key=str)))
        if whole == self.best or (yield from self.accept(whole, below=self.best_cost)):
            return
        swapped = True
        while swapped:
            swapped = False
            for at in range(len(self.best.items) - 1):
                items = self.best.items
                if str(items[at]) <= str(items[at + 1]):
                    continue
                candidate = PassList((*items[:at], items[at + 1], items[at], *items[at + 2 :]))
                swapped |= yield from self.accept(candidate, below=self.best_cost)

    def insert(self, item: Item) -> _Steps:
        for at in range(len(self.best.items) + 1):
            candidate = self.best.insert(at, item)
            if (yield from self.accept(candidate, below=math.nextafter(self.best_cost, -math.inf))):
                return


# ---- reading text


class _Parser:
    """Recursive descent over one text; positions count from 0, columns in errors from 1."""

    def __init__(self, text: str, llvm_major: int, allow_excluded: bool) -> None:
        self._text = text
        self._major = llvm_major
        self._allow_excluded = allow_excluded
        self._at = 0
        self._depth = 0

    def parse(self) -> PassList:
        if self._text.strip() in ("", "no-op-module"):
            return PassList()
        items = self._list("module", "")
        if self._peek() == ")":
            raise self._error("')' without '('", self._at)
        return PassList(items)

    def _error(self, problem: str, at: int, suggestions: Sequence[str] = ()) -> PassListError:
        return PassListError(problem, text=self._text, column=at + 1, suggestions=suggestions)

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _list(self, level: Level, inside: str) -> tuple[Item, ...]:
        """Items up to the end or an unopened `)`; `inside` is the adaptor around them, for messages."""
        items: list[Item] = []
        while True:
            items += self._item(level, inside)
            following = self._peek()
            if following in ("", ")"):
                return tuple(items)
            if following != ",":
                raise self._error(f"expected ',' but found {following!r}", self._at)
            self._at += 1

    def _item(self, level: Level, inside: str) -> tuple[Item, ...]:
        self._peek()
        start = self._at
        while self._text[self._at : self._at + 1] not in ("", ",", "<", ">", "(", ")"):
            self._at += 1
        name = self._text[start : self._at].rstrip()
        if not name:
            raise self._error("empty item", start)
        argument_at = self._at + 1
        argument = self._argument(name)
        if name == "repeat":
            return self._repeat(argument, level, inside, start)
        if name in _ADAPTORS:
            return (self._group(cast(Adaptor, name), argument, level, inside, start),)
        if self._peek() == "(":
            self._look_up(name, start)
            raise self._error(f"{name!r} takes no passes in parentheses; only {', '.join(_KEYWORDS)} do", self._at)
        return (self._pass(name, argument, level, inside, start, argument_at),)

    def _argument(self, name: str) -> str:
        """The text between `<` and `>`, '' without."""
        start = self._at
        if self._text[start : start + 1] != "<":
            return ""
        depth = 0
        for at in range(start, len(self._text)):
            depth += {"<": 1, ">": -1}.get(self._text[at], 0)
            if depth == 0:
                self._at = at + 1
                return self._text[start + 1 : at]
        raise self._error(f"'<' after {name!r} is never closed", start)

    def _repeat(self, argument: str, level: Level, inside: str, start: int) -> tuple[Item, ...]:
        count = int(self._count("repeat", argument, start))
        items = self._parenthesised("repeat", level, inside, start)
        if len(items) * count > 10_000:
            raise self._error("'repeat' makes more than 10000 passes", start)
        return items * count

    def _group(self, adaptor: Adaptor, argument: str, level: Level, inside: str, start: int) -> Group:
        if level not in _ADAPTORS[adaptor]:
            raise self._error(f"{adaptor}(...) can't stand inside {inside}(...)", start)
        argument = self._group_argument(adaptor, argument, level, start)
        return Group(adaptor, argument, self._parenthesised(adaptor, _inner_level(adaptor), adaptor, start))

    def _parenthesised(self, keyword: str, level: Level, inside: str, start: int) -> tuple[Item, ...]:
        if self._peek() != "(":
            raise self._error(f"{keyword!r} needs passes in parentheses", start)
        opened = self._at
        self._at += 1
        self._depth += 1
        if self._depth > 50:
            raise self._error("more than 50 adaptors inside each other", start)
        items = self._list(level, inside)
        if self._peek() != ")":
            raise self._error(f"'(' after {keyword!r} is never closed", opened)
        self._at += 1
        self._depth -= 1
        return items

    def _count(self, keyword: str, argument: str, start: int) -> str:
        argument = argument.strip()
        if not (argument.isdecimal() and argument.isascii() and len(argument) < 10 and 0 < int(argument) <= 100):
            raise self._error(f"{keyword!r} needs a count from 1 to 100, as in {keyword}<2>(...)", start)
        return str(int(argument))

    def _group_argument(self, adaptor: Adaptor, argument: str, level: Level, start: int) -> str:
        if adaptor == "devirt":
            return self._count(adaptor, argument, start)
        given = {word.strip() for word in argument.split(";") if word.strip()}
        accepted: set[str] = set()
        if adaptor == "function" and level != "function":
            accepted = {"eager-inv", "no-rerun"} if level == "cgscc" else {"eager-inv"}
        if given <= accepted:
            return ";".join(sorted(given))
        takes = " and ".join(sorted(accepted)) or "nothing"
        raise self._error(f"{adaptor!r} takes {takes} between '<' and '>' here, not {argument!r}", start)

    def _pass(self, name: str, argument: str, level: Level, inside: str, start: int, argument_at: int) -> Pass:
        info = self._look_up(name, start)
        own = level if info.name in ANY_LEVEL else info.level
        if own not in _HOLDS[level]:
            if own == "loop-mssa":
                raise self._error(f"pass {name!r} needs loop-mssa(...), not {inside}(...)", start)
            raise self._error(f"{own} pass {name!r} can't stand inside {inside}(...)", start)
        if level == "loop-mssa" and info.name in LOSES_MEMORY_SSA:
            raise self._error(f"pass {name!r} loses MemorySSA; it needs loop(...), not {inside}(...)", start)
        if info.left_out(self._major):
            return Pass(info.name, argument, own)
        return Pass(info.name, self._parameters(info, argument, start, argument_at), own)

    def _look_up(self, name: str, start: int) -> PassInfo:
        newer = next((new for new, (old, _) in RENAMED.items() if old == name), name)
        info = PASSES.get(newer)
        if info is None:
            import difflib  # slow to import, needed on mistakes alone

            allowed = (n for n, i in PASSES.items() if self._allow_excluded or not i.left_out(self._major))
            known = [*allowed, *_KEYWORDS]
            close = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
            raise self._error(f"unknown pass {name!r}", start, close)
        if not info.supported(self._major):
            raise self._error(f"pass {name!r} is {_span_text(info)}, not in LLVM {self._major}", start)
        reason = info.left_out(self._major)
        if reason and not self._allow_excluded:
            raise self._error(f"pass {name!r} is left out of pass lists ({reason})", start)
        return info

    def _parameters(self, info: PassInfo, argument: str, start: int, at: int) -> str:
        given: list[str] = []
        implied, _ = IMPLIED_PARAMETERS.get(info.name, ("", 0))
        for piece in argument.split(";"):
            word = piece.strip()
            if word and word != implied:
                given.append(self._parameter(info, word, at + len(piece) - len(piece.lstrip())))
            at += len(piece) + 1
        if info.one_parameter and len(given) != 1:
            accepted = ", ".join(p.name for p in info.accepts)
            raise self._error(f"pass {info.name!r} needs one of {accepted} between '<' and '>'", start)
        return ";".join(given)

    def _parameter(self, info: PassInfo, word: str, at: int) -> str:
        names = {old: new for new, (old, _) in RENAMED_PARAMETERS.get(info.name, {}).items()}
        word = names.get(word, word)
        parameter = find_parameter(info, word)
        if parameter is None:
            accepted = [f"{p.name}=N" if p.number else p.name for p in info.accepts if p.supported(self._major)]
            takes = f"accepted: {', '.join(accepted)}" if accepted else "it takes none"
            raise self._error(f"unknown parameter {word!r} of {info.name!r} ({takes})", at)
        if spell_parameter(info, word, self._major) is None:
            span = _span_text(parameter)
            raise self._error(f"parameter {word!r} of {info.name!r} is {span}, not in LLVM {self._major}", at)
        name, equals, value = word.partition("=")
        return f"{name}={int(value)}" if equals else name


def _span_text(what: PassInfo | Parameter) -> str:
    if what.until is None:
        return f"in LLVM {what.since} and later"
    return f"in LLVM {what.since} to {what.until}" if what.since < what.until else f"only in LLVM {what.since}"
