"""What is known of lifted functions, files and archives: verdicts, and their JSON (docs/formats.md)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What is known of a lifted function."""

    EXACT = "exact"
    """recompiles to the same instructions on the same data"""
    EQUIVALENT = "equivalent"
    """behaved the same in every run that was conclusive"""
    DIFFERENT = "different"
    INCONCLUSIVE = "inconclusive"
    """recompiles to other instructions, and no run decided"""
    NOT_LIFTED = "not-lifted"
    """stays machine code in the module"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftedFunction:
    """One function of a result."""

    function: str
    verdict: Verdict
    similarity: float
    """share of equal lines, 0 to 1"""
    num_variants: int
    seconds: float
    reason: str
    num_instructions: int
    is_refused: bool = False
    """not lifted because its lifting behaved differently"""
    demangled: str = ""
    """as C++ or Rust spell it, where that differs"""
    original: tuple[str, ...] = ()
    """comparable lines of the assembly it came from"""
    recompiled: tuple[str, ...] = ()
    ir: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "function": self.function,
            **({"demangled": self.demangled} if self.demangled else {}),
            "verdict": str(self.verdict),
            "similarity": round(self.similarity, 4),
            "num_variants": self.num_variants,
            "seconds": round(self.seconds, 4),
            "reason": self.reason,
            "refused": self.is_refused,
            "instructions": self.num_instructions,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftResult:
    """A lifted file."""

    file: str
    target: str
    ir: str
    """the module, as it is written and judged"""
    asm: str
    """what code generation makes of it"""
    functions: tuple[LiftedFunction, ...]
    seconds: float

    @property
    def totals(self) -> dict[str, int]:
        """Functions by verdict; of those not lifted, how many because their lifting behaved differently."""
        counts = Counter(str(one.verdict) for one in self.functions)
        refused = sum(one.is_refused for one in self.functions)
        return {"functions": len(self.functions), **{str(v): counts[str(v)] for v in Verdict}, "refused": refused}

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "target": self.target,
            "functions": [one.to_json() for one in self.functions],
            "totals": self.totals,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveResult:
    """The lifted members of a static library, in its order."""

    file: str
    target: str
    members: tuple[LiftResult, ...]
    """`file` of each is its name in the archive; of equal names, the second has `.2` behind it"""
    problems: tuple[tuple[str, str], ...]
    """members that are no liftable objects, and why"""
    seconds: float

    @property
    def totals(self) -> dict[str, int]:
        """Functions by verdict, over all members."""
        counts: Counter[str] = Counter(functions=0, **{str(v): 0 for v in Verdict}, refused=0)
        for member in self.members:
            counts.update(member.totals)
        return dict(counts)

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "target": self.target,
            "members": [member.to_json() for member in self.members],
            "problems": [{"member": name, "problem": problem} for name, problem in self.problems],
            "totals": self.totals,
            "seconds": round(self.seconds, 3),
        }
