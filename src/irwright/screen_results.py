"""What a screening found: verdicts, reports by program, how they are kept on disk and summed up.

The format of the store is in docs/formats.md. screen.py makes the judgements.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from irwright.candidates import Candidate
from irwright.errors import StorageError
from irwright.plan import Plan
from irwright.verify.programs import Program


class Verdict(StrEnum):
    """What became of a candidate on a program, worst first."""

    WRONG = "wrong"
    """an object that does not link, or a program that ends or prints otherwise than the reference"""
    UNDEFINED = "undefined"
    """the same, of a program in which a sanitizer finds undefined behaviour"""
    CRASH = "crash"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    INVALID = "invalid"
    """LLVM or irwright refused with a message; broken IR is refused before code is generated"""
    UNFIT = "unfit"
    """the candidate has no plan for this program: it can't be made of pieces"""
    PASS = "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One candidate on one program."""

    verdict: Verdict
    detail: str = ""
    """one line, where the verdict is not `pass`"""
    plan: Plan | None = None
    """the one that is wrong"""
    minimised: Plan | None = None
    """the same with nothing in it that is not needed to be wrong"""

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"verdict": str(self.verdict), "detail": self.detail}
        for name in ("plan", "minimised"):
            plan: Plan | None = getattr(self, name)
            if plan is not None:
                data[name] = plan.to_json()
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any], llvm_major: int) -> Self:
        def read(name: str) -> Plan | None:
            return Plan.from_json(data[name], llvm_major=llvm_major) if name in data else None

        verdict = Verdict(data["verdict"])
        return cls(verdict=verdict, detail=data["detail"], plan=read("plan"), minimised=read("minimised"))


PASSED = Judgement(verdict=Verdict.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramReport:
    """One program under all candidates."""

    program: str
    left_out: str | None = None
    """why plain clang's builds are no reference"""
    judgements: dict[str, Judgement] = field(default_factory=dict[str, Judgement])
    """by the candidate's name, in the order of the candidates"""
    num_objects: int = 0
    """different ones, each run once"""
    seconds: float = 0.0


class JudgementStore:
    """Judgements on disk: JSON lines, one for each program each time it was screened.

    A judgement belongs to the bytes and flags of the program, the LLVM version, and the candidate's name.
    """

    def __init__(self, path: Path, llvm_version: str) -> None:
        self._path = path
        self._llvm_version = llvm_version
        self._major = int(llvm_version.partition(".")[0])
        self._rows: dict[str, list[dict[str, Any]]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text().splitlines() if path.exists() else []
            self._file = path.open("a")
        except OSError as error:
            raise StorageError(str(path), f"can't keep judgements there: {error.strerror}") from error
        for line in lines:
            try:
                row = json.loads(line)
                self._rows.setdefault(row["key"], []).append(row)
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a run that was killed
        if lines:
            self._file.write("\n")

    def known(self, program: Program, candidates: Sequence[Candidate]) -> ProgramReport:
        """What earlier runs found out about these candidates."""
        rows = self._rows.get(self._key(program), [])
        by_key: dict[str, Judgement] = {}
        for row in rows:
            by_key |= dict.fromkeys(row["passed"], PASSED)
            by_key |= {key: Judgement.from_json(data, self._major) for key, data in row["others"].items()}
        return ProgramReport(
            program=program.name,
            left_out=next((row["left_out"] for row in rows if row["left_out"]), None),
            judgements={one.name: by_key[one.key] for one in candidates if one.key in by_key},
            num_objects=sum(row["num_objects"] for row in rows),
            seconds=sum(row["seconds"] for row in rows),
        )

    def add(self, program: Program, report: ProgramReport, candidates: Sequence[Candidate]) -> None:
        """Keep a report; safe from several threads, since a line is written at once."""
        keys = {candidate.name: candidate.key for candidate in candidates}
        ended = report.judgements.items()
        row = {
            "program": program.name,
            "key": self._key(program),
            "llvm": self._llvm_version,
            "left_out": report.left_out,
            "passed": [keys[name] for name, one in ended if one.verdict is Verdict.PASS],
            "others": {keys[name]: one.to_json() for name, one in ended if one.verdict is not Verdict.PASS},
            "num_objects": report.num_objects,
            "seconds": round(report.seconds, 3),
        }
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Nothing can be kept afterwards."""
        self._file.close()

    def _key(self, program: Program) -> str:
        hashed = blake2b(program.path.read_bytes(), digest_size=12)
        hashed.update(repr((self._llvm_version, program.name, program.flags)).encode())
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a screening says."""

    llvm: str
    """version"""
    reports: tuple[ProgramReport, ...]
    by_candidate: dict[str, Counter[Verdict]]
    """every candidate, in order"""
    left_out: Counter[str]
    """programs, by reason"""
    seconds: float

    @classmethod
    def of(
        cls, reports: Sequence[ProgramReport], candidates: Sequence[Candidate], *, llvm: str, seconds: float = 0.0
    ) -> Self:
        by_candidate = {one.name: Counter[Verdict]() for one in candidates}
        for report in reports:
            for name, judgement in report.judgements.items():
                by_candidate[name][judgement.verdict] += 1
        reasons = Counter(report.left_out.partition(":")[0] for report in reports if report.left_out)
        return cls(llvm=llvm, reports=tuple(reports), by_candidate=by_candidate, left_out=reasons, seconds=seconds)

    @property
    def totals(self) -> Counter[Verdict]:
        """Judgements of each kind."""
        return sum(self.by_candidate.values(), Counter[Verdict]())

    @property
    def num_wrong(self) -> int:
        return self.totals[Verdict.WRONG]

    @property
    def num_screened(self) -> int:
        """Programs that were not left out."""
        return sum(not report.left_out for report in self.reports)

    def failures(self, *verdicts: Verdict) -> list[tuple[str, str, Judgement]]:
        """(program, candidate, judgement) of these verdicts."""
        return [
            (report.program, name, one)
            for report in self.reports
            for name, one in report.judgements.items()
            if one.verdict in verdicts
        ]

    def to_json(self) -> dict[str, Any]:
        """What `irwright screen --json` prints: these keys and no others."""
        shown = [verdict for verdict in Verdict if verdict not in (Verdict.PASS, Verdict.UNFIT)]
        return {
            "llvm": self.llvm,
            "programs": self.num_screened,
            "left_out": {report.program: report.left_out for report in self.reports if report.left_out},
            "objects": sum(report.num_objects for report in self.reports),
            "totals": {str(verdict): self.totals[verdict] for verdict in Verdict},
            "candidates": {
                name: {str(verdict): count for verdict, count in counts.items()}
                for name, counts in self.by_candidate.items()
            },
            "failures": [
                {"program": program, "candidate": name, **one.to_json()} for program, name, one in self.failures(*shown)
            ],
            "seconds": round(self.seconds, 3),
        }
