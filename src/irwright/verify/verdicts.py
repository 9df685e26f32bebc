"""What verification finds, and what finding it may cost. Apart from the emulator, which takes long to import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run and one function may cost."""

    steps: int = 12_500
    """instructions between two calls that leave the object"""
    patience: int = 8
    """times as many a candidate gets where the original ended; then it counts as endless"""
    calls: int = 50
    """that leave the object; twice as many in a candidate"""
    work_per_seed: int = 110
    """of exploring a function, in short runs of the original; see Explorer.work"""
    run_seconds: float = 1.0
    """of processor time"""
    function_seconds: float = 10.0
    """of processor time, all runs of a function; then its verdict is what the runs so far say"""


CATEGORIES = (
    ("a static function", "static, and its callers are compared"),
    ("what an earlier call left", "undefined: reads what nothing wrote"),
    ("depends on addresses", "undefined: depends on addresses or what nothing wrote"),
    ("undefined behaviour", "undefined: -O0 code does something else"),
    ("instructions without a call", "no input that ends"),
    ("over ", "too many calls, or too long"),
    ("the original ends in fault", "no input that does not fault"),
    ("not emulated", "not emulated"),
    ("is not played", "not emulated"),
    ("the emulator crashed", "the emulator failed"),
    ("no end within", "the emulator failed"),
)
"""(part of a reason, what it comes under), the first that fits"""


def category(reason: str) -> str:
    """What a reason to be inconclusive comes under, where many are counted."""
    return next((name for part, name in CATEGORIES if part in reason), "other")


class VerdictKind(StrEnum):
    """What was found of a function."""

    EQUAL = "equal"
    """nothing differs in the runs that were conclusive, or the machine code is the same and was not run"""
    DIFFERENT = "different"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionVerdict:
    """What was found of one function."""

    function: str
    kind: VerdictKind
    reason: str
    """the first difference, or why most runs were not conclusive"""
    seed: int | None
    """that shows a difference"""
    num_runs: int
    num_conclusive: int
    blocks: int
    """basic blocks of the original; 0 where it was not run"""
    blocks_covered: int
    """of them executed, in runs of any function"""

    @property
    def is_same_code(self) -> bool:
        """Equal because its own machine code is the same, and what it calls the same or equal: nothing ran."""
        return self.kind is VerdictKind.EQUAL and not self.num_runs

    def __str__(self) -> str:
        counts = f"{self.num_conclusive} of {self.num_runs} runs, {self.blocks_covered} of {self.blocks} blocks"
        return f"{self.function}: {self.kind} ({counts})" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Functions whose own code is what it was, though what they call may not be."""

    leads_to: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """each, with the functions that it calls or names"""
    static: frozenset[str] = frozenset()
    """functions that are run a little, since all that is known of their arguments is what their callers do"""

    def verdict(self, name: str, verdicts: Mapping[str, FunctionVerdict]) -> FunctionVerdict | None:
        """Equal without a run, where everything that such a function comes to is; None where that is not known."""
        if name not in self.leads_to:
            return None
        seen, todo = {name}, [name]
        reason = "the same machine code"
        while todo:
            for callee in self.leads_to[todo.pop()] - seen:
                seen.add(callee)
                if callee in self.leads_to:
                    todo.append(callee)
                    continue
                verdict = verdicts.get(callee)
                if callee in self.static or verdict is None or verdict.kind is not VerdictKind.EQUAL:
                    return None
                reason = "the same machine code, and what it calls is equal"
        return same_code_verdict(name, reason)


def same_code_verdict(name: str, reason: str = "the same machine code") -> FunctionVerdict:
    """A function that is equal without a run."""
    return FunctionVerdict(
        function=name,
        kind=VerdictKind.EQUAL,
        reason=reason,
        seed=None,
        num_runs=0,
        num_conclusive=0,
        blocks=0,
        blocks_covered=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVerdict:
    """What was found of all functions that were compared."""

    functions: tuple[FunctionVerdict, ...]
    cpu_seconds: float = field(default=0.0, compare=False)
    """processor time of workers, where they compared"""

    def _count(self, kind: VerdictKind) -> int:
        return sum(verdict.kind is kind for verdict in self.functions)

    @property
    def equal(self) -> int:
        return self._count(VerdictKind.EQUAL)

    @property
    def different(self) -> int:
        return self._count(VerdictKind.DIFFERENT)

    @property
    def inconclusive(self) -> int:
        return self._count(VerdictKind.INCONCLUSIVE)

    @property
    def same_code(self) -> int:
        """Of the equal ones, those that were not run because their machine code is the same."""
        return sum(verdict.is_same_code for verdict in self.functions)

    def reasons(self) -> Counter[str]:
        """How many are inconclusive, by category of the reason."""
        return Counter(category(one.reason) for one in self.functions if one.kind is VerdictKind.INCONCLUSIVE)

    @property
    def block_coverage(self) -> float:
        """Share of basic blocks that ran, of the functions that were not the same already; 1 where there are none."""
        blocks = sum(verdict.blocks for verdict in self.functions)
        return sum(verdict.blocks_covered for verdict in self.functions) / blocks if blocks else 1.0

    @property
    def first_difference(self) -> FunctionVerdict | None:
        return next((verdict for verdict in self.functions if verdict.kind is VerdictKind.DIFFERENT), None)

    def with_functions(self, functions: Iterable[FunctionVerdict]) -> ObjectVerdict:
        """These verdicts in place of those on the same functions; blocks that ran then count on."""
        anew = {verdict.function: verdict for verdict in functions}
        for before in self.functions:
            if before.function in anew:
                covered = max(before.blocks_covered, anew[before.function].blocks_covered)
                anew[before.function] = replace(anew[before.function], blocks_covered=covered)
        return replace(self, functions=tuple(anew.get(before.function, before) for before in self.functions))

    def rows(self) -> list[dict[str, Any]]:
        """The verdicts as JSON, by function."""
        return [asdict(verdict) | {"kind": str(verdict.kind)} for verdict in self.functions]

    def to_json(self) -> dict[str, Any]:
        """Counts, as `irwright tune --json` prints them."""
        return {
            "functions": len(self.functions),
            "equal": self.equal,
            "same_code": self.same_code,
            "inconclusive": self.inconclusive,
            "different": self.different,
            "block_coverage": round(self.block_coverage, 4),
        }
