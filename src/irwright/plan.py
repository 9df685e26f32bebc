"""Plans: how a module is optimised, as plain hashable data.

A `Plan` says how a module is optimised: pass lists over the whole module, then optionally a function-local list
for each function, then a finishing list. What comes of one is a trial (trials.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from irwright.llvm.builds import (
    LOWERINGS,
    Build,
    FunctionPasses,
    InlineStatics,
    Lower,
    Part,
    Passes,
    Promote,
    Step,
    Steps,
)
from irwright.llvm.codegen import CodegenLevel
from irwright.llvm.pieces import PREPARATIONS
from irwright.passes import PassList, function_local

CHUNK = 8
"""Long lists run in chunks of this many passes with the state after each kept: neighbours share prefixes."""


NOTHING = PassList()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to optimise one module; hashable, and plain text when written out.

    Three shapes: one list (`base`, `tail`, `finish`); the same with a list for each function (`tails`); and
    `parts`, plans in pieces that each give the functions their `tails` name, joined and then finished.
    """

    base: PassList = NOTHING
    """over the whole module"""
    tails: tuple[tuple[str, PassList], ...] = ()
    """(function, function-local list), sorted: what each function gets after the base"""
    tail: PassList = NOTHING
    """the function-local list of functions that `tails` does not name"""
    finish: PassList = NOTHING
    """over the whole module, last"""
    inliner_threshold: int | None = None
    """of every inliner in base and finish; None is LLVM's own"""
    codegen_options: tuple[str, ...] = ()
    """options of LLVM's code generation, such as `-enable-machine-outliner=always`"""
    lowering: tuple[str, ...] = ()
    """sorted names of `LOWERINGS`: how code is generated for functions that `lowerings` does not name"""
    lowerings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(function, such names), sorted: how code is generated for that function"""
    preparation: str = ""
    """`raw` or `early`: in pieces, that is, functions keep their signatures and may be joined with those of other
    plans of the same preparation (llvm/pieces.py); "" is the module as it is"""
    inline: str = ""
    """only in pieces: `once` or `oz`, the static functions that are inlined first (Promoted.inlined)"""
    parts: tuple[Plan, ...] = ()
    """the first owns the data; each gives the functions that its `tails` name"""

    def __post_init__(self) -> None:
        if not all(function_local(tail) for tail in (self.tail, *(tail for _, tail in self.tails))):
            raise ValueError("a tail may hold function and loop passes only")
        for ways in (self.lowering, *(ways for _, ways in self.lowerings)):
            if not set(ways) <= set(LOWERINGS) or list(ways) != sorted(set(ways)):
                raise ValueError(f"can't lower as {list(ways)}; there are {', '.join(LOWERINGS)}, in this order")
        if self.preparation not in ("", *PREPARATIONS):
            raise ValueError(f"unknown preparation {self.preparation!r}")
        if self.inline not in ("", "once", "oz") or (self.inline and not self.preparation):
            raise ValueError(f"can't inline {self.inline!r} with preparation {self.preparation!r}")
        if any(part.parts or part.finish.items for part in self.parts):
            raise ValueError("parts have no parts or finish of their own")
        if len({part.preparation for part in self.parts} | {""}) > 2 or any(
            not part.preparation for part in self.parts
        ):
            raise ValueError("parts share one preparation")

    @property
    def is_one_list(self) -> bool:
        """The plan is a single pass list, the same for every function, and nothing else."""
        special = self.tails or self.parts or self.preparation or self.codegen_options
        return not special and not self.lowering and not self.lowerings and self.inliner_threshold is None

    @property
    def is_a_default_pipeline(self) -> bool:
        """The plan is one of LLVM's own pipelines for a whole compilation, such as `default<Oz>`."""
        return self.is_one_list and re.fullmatch(r"default<O\w>", str(self.as_list())) is not None

    def as_list(self) -> PassList:
        """The plan as one list (only where `is_one_list`)."""
        return PassList((*self.base.items, *self.tail.items, *self.finish.items))

    def list_for(self, function: str) -> PassList:
        """All passes a function of that name goes through, in order."""
        for part in self.parts:
            if any(name == function for name, _ in part.tails):
                return PassList((*part.list_for(function).items, *self.finish.items))
        tail = next((tail for name, tail in self.tails if name == function), self.tail)
        return PassList((*self.base.items, *tail.items, *self.finish.items))

    def lowering_for(self, function: str) -> tuple[str, ...]:
        """How code is generated for a function of that name."""
        giving = (part.lowering_for(function) for part in self.parts if any(name == function for name, _ in part.tails))
        return tuple(sorted({*next(giving, ()), *dict(self.lowerings).get(function, self.lowering)}))

    def build(self, llvm_major: int, level: CodegenLevel) -> Build:
        """The plan as work for a compile worker."""
        parts = tuple(Part(part._steps(llvm_major), frozenset(name for name, _ in part.tails)) for part in self.parts)
        return Build(steps=self._steps(llvm_major), parts=parts, level=level, options=self.codegen_options)

    def _steps(self, llvm_major: int) -> Steps:
        steps: list[Step] = []
        if self.preparation:
            steps.append(Promote(self.preparation))
        if self.inline:
            steps.append(InlineStatics(self.inline))
        steps += [Passes(chunk.pipeline(llvm_major), self.inliner_threshold) for chunk in chunks(self.base)]
        if self.tails or self.tail.items:
            default = function_pipeline(self.tail, llvm_major)
            pipelines = {name: function_pipeline(tail, llvm_major) for name, tail in self.tails}
            steps.append(FunctionPasses.of(pipelines, default))
        if self.finish.items:
            steps.append(Passes(self.finish.pipeline(llvm_major), self.inliner_threshold))
        if self.lowering or self.lowerings:
            steps.append(Lower(self.lowering, self.lowerings))
        return tuple(steps)

    def to_json(self) -> dict[str, Any]:
        """Plain data, defaults left out; `from_json` reads it back."""
        data: dict[str, Any] = {"base": str(self.base)} if self.base.items else {}
        if self.tails:
            data["functions"] = {name: str(tail) for name, tail in self.tails}
        if self.tail.items:
            data["tail"] = str(self.tail)
        if self.finish.items:
            data["finish"] = str(self.finish)
        if self.inliner_threshold is not None:
            data["inliner_threshold"] = self.inliner_threshold
        if self.codegen_options:
            data["codegen_options"] = list(self.codegen_options)
        if self.lowering:
            data["lowering"] = list(self.lowering)
        if self.lowerings:
            data["lowerings"] = {name: list(ways) for name, ways in self.lowerings}
        if self.preparation:
            data["preparation"] = self.preparation
        if self.inline:
            data["inline"] = self.inline
        if self.parts:
            data["parts"] = [part.to_json() for part in self.parts]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, llvm_major: int) -> Self:
        """Read `to_json`'s data; PassListError on a list this LLVM does not have."""

        def read(text: str) -> PassList:
            return PassList.parse(text, llvm_major=llvm_major) if text else NOTHING

        functions: Mapping[str, str] = data.get("functions", {})
        return cls(
            base=read(data.get("base", "")),
            tails=tuple(sorted((name, read(text)) for name, text in functions.items())),
            tail=read(data.get("tail", "")),
            finish=read(data.get("finish", "")),
            inliner_threshold=data.get("inliner_threshold"),
            codegen_options=tuple(data.get("codegen_options", ())),
            lowering=tuple(data.get("lowering", ())),
            lowerings=tuple(sorted((name, tuple(ways)) for name, ways in data.get("lowerings", {}).items())),
            preparation=data.get("preparation", ""),
            inline=data.get("inline", ""),
            parts=tuple(cls.from_json(part, llvm_major=llvm_major) for part in data.get("parts", ())),
        )


def chunks(passes: PassList) -> list[PassList]:
    """The list in pieces that are run one by one, each from a kept state.

    LLVM keeps analyses from pass to pass within a call, so cutting can change the code a little. The cuts depend
    on nothing but the list: what was measured is what is built.
    """
    if len(passes.items) <= CHUNK + CHUNK // 2:
        return [passes] if passes.items else []
    return [PassList(passes.items[start : start + CHUNK]) for start in range(0, len(passes.items), CHUNK)]


def function_pipeline(tail: PassList, llvm_major: int) -> str:
    """A function-local list as text for one function: without the `function(...)` around it."""
    if not tail.items:
        return ""
    return tail.pipeline(llvm_major, level="function")
