"""Pass lists: text that parses and prints back, the space they are drawn from, sampling, mutation, crossover.

The passes themselves are in pass_table.py, items and their nesting in pass_items.py, the parser in pass_parser.py.
Running a list is llvm/module.py's job, choosing one is search.py's, shortening one is minimise.py's.

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
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from irwright.pass_items import (
    HOLDS,
    Group,
    Item,
    Pass,
    inner_level,
    is_flat,
    leaves,
    map_leaves,
    normalise,
    render,
    shortest_text,
)
from irwright.pass_parser import parse_items
from irwright.pass_rows import LOSES_MEMORY_SSA, Level
from irwright.pass_table import PassInfo, params_worth_trying, spell, spell_parameter, usable_passes, words

if TYPE_CHECKING:
    import random

DEFAULT_LLVM = 22


def oz_pipeline(llvm_major: int) -> str:
    """The text of LLVM's own -Oz; from LLVM 23 on it takes functions that carry minsize to mean it."""
    return PassList((Pass("default", "Oz"),)).pipeline(llvm_major)


@dataclass(frozen=True, slots=True)
class PassList:
    """An ordered list of passes; `str` is the shortest text that parses back to an equal list."""

    items: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        if any(isinstance(item, Group) for item in self.items):
            object.__setattr__(self, "items", normalise(self.items, "module"))

    @classmethod
    def parse(cls, text: str, *, llvm_major: int = DEFAULT_LLVM, allow_excluded: bool = False) -> PassList:
        """Read the flat form or `opt -passes` text; raises PassListError pointing at the column of the mistake.

        `allow_excluded` admits passes the table leaves out, their parameters unchecked: for reading LLVM's own
        pipelines (`opt -print-pipeline-passes`), not for text of strangers.
        """
        return cls(parse_items(text, llvm_major=llvm_major, allow_excluded=allow_excluded))

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
        return leaves(self.items)

    def __len__(self) -> int:
        """Number of passes, those inside groups included."""
        return sum(1 for _ in leaves(self.items))

    @property
    def is_flat(self) -> bool:
        """True if the flat form says it all."""
        return is_flat(self.items)

    def __str__(self) -> str:
        return shortest_text(self.items)

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

        return render(self.items if level == "module" else normalise(self.items, level), level, spelled)

    def supported(self, llvm_major: int) -> bool:
        """True if this LLVM has every pass and parameter."""
        return all(one.supported(llvm_major) for one in self.passes())

    def restricted_to(self, llvm_major: int) -> PassList:
        """Leave out the passes this LLVM lacks or gets wrong, and parameters it lacks."""

        def portable(one: Pass) -> Pass | None:
            if one.info.excluded or not one.info.supported(llvm_major):
                return None
            if one.supported(llvm_major):
                return one
            if one.info.one_parameter:
                return None
            kept = (word for word in words(one.params) if spell_parameter(one.info, word, llvm_major) is not None)
            return replace(one, params=";".join(kept))

        return PassList(map_leaves(self.items, portable))

    def without(self, index: int) -> PassList:
        """Leave out the pass at this position of `passes()`."""
        return self.without_all({index})

    def without_all(self, indices: Collection[int]) -> PassList:
        """Leave out the passes at these positions of `passes()`; a group left empty goes too."""
        positions = iter(range(len(self)))
        return PassList(map_leaves(self.items, lambda one: None if next(positions) in indices else one))

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
    return all(one.level in HOLDS["function"] for one in passlist.passes())


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
        if info.level in HOLDS[level] and not (level == "loop-mssa" and info.name in LOSES_MEMORY_SSA)
    )


# ---- random edits


def _edit(items: tuple[Item, ...], level: Level, rng: random.Random, space: PassSpace, room: int) -> tuple[Item, ...]:
    """One random edit of the items that stand at `level`; at most `room` passes more than before."""
    if not items:
        return (space.draw(rng, level),)
    at = rng.randrange(len(items))
    chosen = items[at]
    if isinstance(chosen, Group) and rng.random() < 0.8:
        inner = _edit(chosen.items, inner_level(chosen.adaptor), rng, space, room)
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
        case "parameters" if isinstance(chosen, Pass) and not chosen.info.excluded:
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
