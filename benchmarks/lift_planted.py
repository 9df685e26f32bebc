"""Does the comparison of lifted code see errors? One planted in the lifted IR of each function, then judged.

    python benchmarks/lift_planted.py --configuration gcc12-O2 --role training --num 60
    python benchmarks/lift_planted.py --objects build/*.o

A function of which the lifted code was found equivalent gets one error that lifters make: a constant that is one off,
another operation, another comparison, a store that is lost, an argument of a call that is zero, a place eight bytes on.
The module is lowered by code generation alone and judged as `irwright disassemble` judges. An error that leaves the
machine code of the function as it was is not counted. Not every error can be seen: some change nothing that a program
can tell, some are on paths that no run takes.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from lift import cases

from irwright.errors import IrwrightError
from irwright.lift.assembly import prepare
from irwright.lift.compare import normalise, take_apart
from irwright.lift.disassembler import Disassembler, LiftSettings, Source
from irwright.lift.equivalence import compare
from irwright.lift.lifter import FileLifter
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call, WorkerPool

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


def planted(body: str, kind: str, rng: random.Random) -> str | None:
    """A function's IR with one error, None where it has no place for one."""
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
    return body[: at.start()] + new + re.sub(r"^ (?:(?:nuw|nsw|exact|disjoint) )+", " ", body[at.end() :])


class Planter:
    """Plants and judges, one file after the other."""

    def __init__(self, pool: WorkerPool, seed: int) -> None:
        self.pool = pool
        self.rng = random.Random(seed)
        self.disassembler = Disassembler(pool, LiftSettings(budget=1, verify=False))
        self.found: Counter[tuple[str, str]] = Counter()

    def file(self, data: bytes, name: str, most: int) -> None:
        """At most so many functions of a file, each with one error."""
        result = self.disassembler.run(data, name)
        source = self.disassembler.read(data, name)
        lifter = FileLifter(source.program)
        lifter.analyse()
        evidence = (lifter.needed, lifter.ending())
        good = [one.function for one in result.functions if one.verdict not in ("exact", "not-lifted")]
        before = self.lower(result.ir)
        judged = self.judge(source, before, result.ir, good, evidence)
        usable = [name for name in good if judged.get(name) == "equivalent"]
        for function in self.rng.sample(usable, min(most, len(usable))):
            body = next(one.ir for one in result.functions if one.function == function)
            kinds = [*ERRORS]
            self.rng.shuffle(kinds)
            for kind in kinds:
                wrong = planted(body, kind, self.rng)
                if wrong is None or result.ir.count(body) != 1:
                    continue
                ir = result.ir.replace(body, wrong)
                try:
                    after = self.lower(ir)
                except IrwrightError:
                    continue
                if normalise(take_apart(before), function) == normalise(take_apart(after), function):
                    continue
                verdict = self.judge(source, after, result.ir, [function], evidence).get(function, "none")
                self.found[kind, verdict] += 1
                print(f"{name} {function}: {kind}: {verdict}", flush=True)
                break

    def lower(self, ir: str) -> str:
        """Assembly by code generation alone."""
        (lowered,) = self.pool.call(Call(operation="lower", arguments={"jobs": [(ir, "")]})).unwrap("lower")
        if lowered.problem:
            raise IrwrightError(lowered.problem)
        return lowered.asm

    def judge(
        self, source: Source, asm: str, ir: str, functions: list[str], evidence: tuple[dict[str, int], set[str]]
    ) -> dict[str, str]:
        """Verdicts, as the disassembler asks for them."""
        candidate = self.disassembler.assemble(prepare(asm, "recompiled").text, "recompiled")
        given, ending = evidence
        found = compare(source.object_bytes, candidate, ir, functions, given=given, ending=ending)
        return {name: kind for name, (kind, _) in found.items()}


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
    total = sum(planter.found.values())
    for kind in ERRORS:
        row = {verdict: n for (one, verdict), n in planter.found.items() if one == kind}
        print(f"{kind}: {row}")
    seen = sum(n for (_, verdict), n in planter.found.items() if verdict == "different")
    print(f"{seen} of {total} seen ({100 * seen / max(total, 1):.1f} %)")


if __name__ == "__main__":
    main()
