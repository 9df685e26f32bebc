"""What pass lists are made of: passes and groups of them, how they nest, how they print.

Which passes there are is in pass_table.py, reading text in pass_parser.py. Lists, with all that can be done to them,
are in passes.py, which explains the two texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, TypeAlias, cast

from irwright.pass_rows import Level
from irwright.pass_table import PASSES, PassInfo, spell

Adaptor = Literal["module", "cgscc", "function", "loop", "loop-mssa", "devirt", "coro-cond"]

# Adaptor -> where it may stand.
ADAPTORS: dict[str, frozenset[str]] = {
    "module": frozenset({"module"}),
    "coro-cond": frozenset({"module"}),
    "cgscc": frozenset({"module", "cgscc"}),
    "devirt": frozenset({"module", "cgscc"}),
    "function": frozenset({"module", "cgscc", "function"}),
    "loop": frozenset({"module", "cgscc", "function", "loop"}),
    "loop-mssa": frozenset({"module", "cgscc", "function", "loop-mssa"}),
}

# Level a text stands at -> levels of the passes it may hold (adaptors are inferred).
HOLDS: dict[Level, frozenset[Level]] = {
    "module": frozenset({"module", "cgscc", "function", "loop", "loop-mssa"}),
    "cgscc": frozenset({"cgscc", "function", "loop", "loop-mssa"}),
    "function": frozenset({"function", "loop", "loop-mssa"}),
    "loop": frozenset({"loop"}),
    "loop-mssa": frozenset({"loop", "loop-mssa"}),
}


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
        return shortest_text(normalise((self,), "module"))


Item: TypeAlias = Pass | Group
_Wrapper: TypeAlias = Level | Literal[""]


def leaves(items: Iterable[Item]) -> Iterator[Pass]:
    """Every pass in order, those inside groups included."""
    for item in items:
        if isinstance(item, Pass):
            yield item
        else:
            yield from leaves(item.items)


def map_leaves(items: tuple[Item, ...], change: Callable[[Pass], Pass | None]) -> tuple[Item, ...]:
    """Change every pass, or drop it (None), in the order of `leaves`; groups stay, empty ones too."""
    changed: list[Item] = []
    for item in items:
        if isinstance(item, Group):
            changed.append(replace(item, items=map_leaves(item.items, change)))
        elif (one := change(item)) is not None:
            changed.append(one)
    return tuple(changed)


def is_flat(items: Iterable[Item]) -> bool:
    """True if the flat form says it all."""
    return all(isinstance(item, Pass) and item.level == item.info.level for item in items)


def inner_level(adaptor: Adaptor) -> Level:
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


def render(items: Sequence[Item], level: Level, write: Callable[[Pass], str]) -> str:
    """The pipeline at `level`: items with the adaptors they need, neighbours under one; `write` spells a pass."""
    parts: list[str] = []

    def wrapper_here(item: Item) -> _Wrapper:
        return _wrapper(item, level)

    for wrapper, run in groupby(items, key=wrapper_here):
        if wrapper:
            parts.append(f"{wrapper}({render(tuple(run), wrapper, write)})")
            continue
        for item in run:
            if isinstance(item, Pass):
                parts.append(write(item))
                continue
            argument = f"<{item.argument}>" if item.argument else ""
            inner = render(item.items, inner_level(item.adaptor), write)
            parts.append(f"{item.adaptor}{argument}({inner})")
    return ",".join(parts)


def shortest_text(items: Sequence[Item]) -> str:
    """The flat form where it says it all, else the pipeline; of normalised items at module level."""
    return ",".join(map(str, items)) if is_flat(items) else render(items, "module", str)


def normalise(items: Iterable[Item], level: Level) -> tuple[Item, ...]:
    """Dissolve groups that say nothing the flat form wouldn't, drop empty ones."""
    flat: list[Item] = []
    for item in items:
        if isinstance(item, Pass):
            if item.level not in HOLDS[level]:
                raise ValueError(f"{item.level} pass {item.name!r} inside {level}(...)")
            flat.append(item)
            continue
        if level not in ADAPTORS[item.adaptor]:
            raise ValueError(f"{item.adaptor}(...) inside {level}(...)")
        inner = normalise(item.items, inner_level(item.adaptor))
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
