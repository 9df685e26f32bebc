"""Does the comparison of lifted code see errors? One planted in the lifted IR of each function, then judged.

    python benchmarks/lift_planted.py --configuration gcc12-O2 --role training --num 60
    python benchmarks/lift_planted.py --objects build/*.o

A function of which the lifted code was found equivalent gets one error that lifters make: a constant that is one off,
another operation, another comparison, a store that is lost, an argument of a call that is zero, a place eight bytes on.
The module is lowered by code generation alone and judged as `irwright disassemble` judges. An error that leaves the
machine code of the function as it was is not counted, nor is one of which LLVM makes the same code as of the function
without it. Not every error can be seen: some change nothing that a program can tell, some are on paths that no run
takes. So those that a run reached are counted apart: a call in front of the changed line, in a module without the
error, tells.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lift import cases
from mutations import MARKER, Tools
from proofs import same_code

from irwright.errors import IrwrightError
from irwright.lift.assembly import prepare
from irwright.lift.compare import normalise, take_apart
from irwright.lift.disassembler import Disassembler, LiftSettings
from irwright.lift.equivalence import compare, with_evidence
from irwright.lift.judging import Source
from irwright.lift.lifter import FileLifter
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call, WorkerPool
from irwright.verify.differ import Comparer
from irwright.verify.signatures import signatures_of
from irwright.verify.trace import CallEvent
from irwright.verify.verdicts import VerdictKind

ERRORS: dict[str, tuple[str, str]] = {
    "constant": (r"(= (?:add|mul|shl|and|or|xor)[\w ]* i(?:32|64) %[\w.]+, )(-?\d+)$", "one more"),
    "operation": (r"= (add|sub|and|or|xor|shl|lshr|ashr) ", "another"),
    "comparison": (r"icmp (?:samesign )?(eq|ne|slt|sgt|sle|sge|ult|ugt|ule|uge) ", "another"),
    "lost store": (r"^  store .*$", ""),
    "argument": (r"(call [^\n]*\([^\n]*?)(i(?:32|64) )(%[\w.]+)", "zero"),
    "offset": (r"(= getelementptr i8, ptr %[\w.]+, i64 )(-?\d+)$", "eight more"),
}
OTHER = {
    "add": "sub",
    "sub": "add",
    "and": "or",
    "or": "xor",
    "xor": "and",
    "shl": "lshr",
    "lshr": "shl",
    "ashr": "lshr",
    "eq": "ne",
    "ne": "eq",
    "slt": "sle",
    "sgt": "sge",
    "sle": "slt",
    "sge": "sgt",
    "ult": "ule",
    "ugt": "uge",
    "ule": "ult",
    "uge": "ugt",
}


def planted(body: str, kind: str, rng: random.Random) -> tuple[str, str] | None:
    """A function's IR with one error, and with a call in front of its place; None where it has no place for one."""
    found = list(re.finditer(ERRORS[kind][0], body, re.MULTILINE))
    if not found:
        return None
    at = rng.choice(found)
    text = at.group()
    if kind == "constant":
        new = f"{at[1]}{int(at[2]) + 1}"
    elif kind == "offset":
        new = f"{at[1]}{int(at[2]) + 8}"
    elif kind == "lost store":
        new = ""
    elif kind == "argument":
        new = f"{at[1]}{at[2]}0"
    else:
        new = text.replace(f" {at[1]} ", f" {OTHER[at[1]]} ")
        new = re.sub(r"\b(nuw|nsw|exact|disjoint|samesign) ", "", new)
    line = body.rfind("\n", 0, at.start()) + 1
    marked = f"{body[:line]}  call void @{MARKER}()\n{body[line:]}"
    return body[: at.start()] + new + re.sub(r"^ (?:(?:nuw|nsw|exact|disjoint) )+", " ", body[at.end() :]), marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A file, and what is known of it."""

    source: Source
    ir: str
    asm: str
    given: dict[str, int]
    ending: set[str]


class Planter:
    """Plants and judges, one file after the other."""

    def __init__(self, pool: WorkerPool, seed: int) -> None:
        self.pool = pool
        self.rng = random.Random(seed)
        self.disassembler = Disassembler(pool, LiftSettings(budget=1, verify=False))
        self.tools = Tools()
        self.found: Counter[tuple[str, str]] = Counter()
        """(kind of error, what became of it)"""

    def file(self, data: bytes, name: str, most: int) -> None:
        """At most so many functions of a file, each with one error."""
        result = self.disassembler.run(data, name)
        source = self.disassembler.read(data, name)
        lifter = FileLifter(source.program)
        lifter.analyse()
        lifted = Lifted(
            source=source, ir=result.ir, asm=self.lower(result.ir), given=lifter.needed, ending=lifter.ending()
        )
        good = [one.function for one in result.functions if one.verdict not in ("exact", "not-lifted")]
        original = self.assemble(lifted.asm)
        found = compare(source.object_bytes, original, result.ir, good, given=lifted.given, ending=lifted.ending)
        usable = [name for name in good if found.get(name, ("",))[0] == "equivalent"]
        for function in self.rng.sample(usable, min(most, len(usable))):
            body = next(one.ir for one in result.functions if one.function == function)
            kinds = [*ERRORS]
            self.rng.shuffle(kinds)
            for kind in kinds:
                wrong = planted(body, kind, self.rng) if result.ir.count(body) == 1 else None
                outcome = None if wrong is None else self.outcome(lifted, function, body, *wrong)
                if outcome is not None:
                    self.found[kind, outcome] += 1
                    print(f"{name} {function}: {kind}: {outcome}", flush=True)
                    break

    def outcome(self, lifted: Lifted, function: str, body: str, wrong: str, marked: str) -> str | None:
        """What became of an error; None where it changes no code, or can't be compiled."""
        ir = lifted.ir.replace(body, wrong)
        try:
            after = self.lower(ir)
            mark = self.assemble(self.lower(f"{lifted.ir.replace(body, marked)}\ndeclare void @{MARKER}()\n"))
        except IrwrightError:
            return None
        if normalise(take_apart(lifted.asm), function) == normalise(take_apart(after), function):
            return None
        comparer = self.comparer(lifted, function, self.assemble(after))
        (verdict,) = comparer.run()
        if verdict.kind is VerdictKind.DIFFERENT:
            return "seen"
        if same_code([lifted.ir.encode(), ir.encode()], function, self.tools):
            return "proved equal"
        marker = self.comparer(lifted, function, mark)
        events = (e for inputs in comparer.inputs_used for e in marker.run_candidate(function, inputs).events)
        reached = any(isinstance(event, CallEvent) and event.name == MARKER for event in events)
        return "not seen" if reached else "not reached"

    def comparer(self, lifted: Lifted, function: str, candidate: bytes) -> Comparer:
        """As `irwright disassemble` compares."""
        return Comparer(
            lifted.source.object_bytes,
            candidate,
            signatures=with_evidence(signatures_of(lifted.ir), lifted.given, lifted.ending),
            functions=[function],
            static_too=True,
        )

    def assemble(self, asm: str) -> bytes:
        return self.disassembler.assemble(prepare(asm, "recompiled").text, "recompiled")

    def lower(self, ir: str) -> str:
        """Assembly by code generation alone."""
        (lowered,) = self.pool.call(Call(operation="lower", arguments={"jobs": [(ir, "")]})).unwrap("lower")
        if lowered.problem:
            raise IrwrightError(lowered.problem)
        return lowered.asm


def inputs(options: argparse.Namespace) -> Iterator[tuple[bytes, str]]:
    """Objects named, or of a configuration of the lifter's exam."""
    if options.objects:
        yield from ((path.read_bytes(), path.name) for path in options.objects)
        return
    for case in cases(options.configuration, options.role):
        if case.data[:2] != b"# " and len(case.data) < options.max_bytes:
            yield case.data, case.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configuration", default="gcc12-O2")
    parser.add_argument("--role", choices=("heldout", "training"), default="training")
    parser.add_argument("--objects", type=Path, nargs="+", help="these in place of a configuration")
    parser.add_argument("--num", type=int, default=60, help="files")
    parser.add_argument("--per-file", type=int, default=3, help="functions")
    parser.add_argument("--max-bytes", type=int, default=60_000, help="of a file")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with WorkerPool(find("x86_64").library.path, jobs=1, timeout_seconds=120) as pool:
        planter = Planter(pool, options.seed)
        for data, name in islice(inputs(options), options.num):
            try:
                planter.file(data, name, options.per_file)
            except IrwrightError as error:
                print(f"{name}: {error}")
    for kind in ERRORS:
        row = {outcome: n for (one, outcome), n in planter.found.items() if one == kind}
        print(f"{kind}: {row}")
    count = Counter(outcome for (_, outcome), n in planter.found.items() for _ in range(n))
    reached = count["seen"] + count["not seen"]
    total = reached + count["not reached"]
    print(f"{count['proved equal']} proved equal")
    print(f"{count['seen']} seen, of {total} {100 * count['seen'] / max(total, 1):.1f} %,")
    print(f"of {reached} that a run reached {100 * count['seen'] / max(reached, 1):.1f} %")


if __name__ == "__main__":
    main()
