"""Does verification see miscompilations? Mutants of held-out functions, and false alarms on correct objects.

    python benchmarks/mutants.py
    python benchmarks/mutants.py --report     # the tables of what was run

A mutant is the -Oz IR of a held-out module with one instruction of one function changed (`OPERATORS`), compiled to an
object as the unchanged IR is; mutants whose code comes out the same byte by byte are not counted. It is caught if
the verdict on its function is `different`. It is covered if a run reaches the changed instruction: a call in front of
it, in an object that is not changed otherwise, tells. False alarms are verdicts `different` between the object
of clang -Oz and objects of other pass lists, with code of -O0 as the reference and without one.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from report import Report, add_out_option, at_least

from irwright.coreset_build import Sample, spread
from irwright.corpus.modules import modules
from irwright.corpus.packages import default_cache
from irwright.errors import IrwrightError
from irwright.llvm import clang
from irwright.llvm.toolchain import cache_folder, find, xtc_tool
from irwright.verify.differ import Comparer
from irwright.verify.signatures import Signature, signatures_of
from irwright.verify.trace import CallEvent
from irwright.verify.verdicts import VerdictKind
from irwright.verify.verifier import Verifier

SEED = 11
MARKER = "irwright_reached"
MORE_SEEDS = 32
PASS_LISTS = (
    "default<O2>",
    "default<O3>",
    "default<O1>",
    "iroutliner,default<Oz>",
    "mergefunc,default<Oz>",
    "thinlto<Oz>,iroutliner",
    "function(sroa,gvn-hoist,gvn-sink),default<Oz>",
    "lto<Oz>",
    "default<O3>,function(lower-switch)",
    "function(dse,gvn-hoist,tailcallelim)",
    "attributor,default<Oz>",
    "cgscc(devirt<4>(inline,function(sroa,early-cse)))",
    "argpromotion,deadargelim,default<Oz>",
    "function(sroa,mem2reg,jump-threading,newgvn),default<Os>",
)
_OPPOSITE = {
    "eq": "ne",
    "ne": "eq",
    "slt": "sge",
    "sge": "slt",
    "sgt": "sle",
    "sle": "sgt",
    "ult": "uge",
    "uge": "ult",
    "ugt": "ule",
    "ule": "ugt",
    "oeq": "une",
    "une": "oeq",
    "olt": "uge",
    "oge": "ult",
    "ogt": "ule",
    "ole": "ugt",
}
_NEXT = {"slt": "sle", "sle": "slt", "sgt": "sge", "sge": "sgt", "ult": "ule", "ule": "ult", "ugt": "uge", "uge": "ugt"}
_OTHER = {"add": "sub", "sub": "add", "and": "or", "or": "and", "xor": "or", "mul": "add", "shl": "lshr", "lshr": "shl"}
_OTHER |= {"ashr": "lshr", "fadd": "fsub", "fsub": "fadd", "fmul": "fdiv", "fdiv": "fmul", "udiv": "urem"}
_OTHER |= {"urem": "udiv", "sdiv": "srem", "srem": "sdiv"}
_FLAGS = r"((?: (?:nuw|nsw|exact|disjoint|fast|nnan|ninf|nsz|arcp|contract|afn|reassoc|samesign))*)"
_ORDERED = "sub|shl|lshr|ashr|udiv|sdiv|urem|srem|fsub|fdiv"


def _flip_condition(line: str, _rng: random.Random) -> str | None:
    match = re.search(rf"= (icmp|fcmp){_FLAGS} (\w+) ", line)
    if match is None or match.group(3) not in _OPPOSITE:
        return None
    return line[: match.start(3)] + _OPPOSITE[match.group(3)] + line[match.end(3) :]


def _move_bound(line: str, _rng: random.Random) -> str | None:
    match = re.search(rf"= icmp{_FLAGS} (\w+) ", line)
    if match is None or match.group(2) not in _NEXT:
        return None
    return line[: match.start(2)] + _NEXT[match.group(2)] + line[match.end(2) :]


def _swap_branches(line: str, _rng: random.Random) -> str | None:
    match = re.match(r"(\s+br i1 [^,]+), label (\S+), label (\S+?)(,.*)?$", line)
    if match is None or match.group(2) == match.group(3):
        return None
    return f"{match.group(1)}, label {match.group(3)}, label {match.group(2)}{match.group(4) or ''}"


def _swap_select(line: str, _rng: random.Random) -> str | None:
    match = re.match(r"(\s+\S+ = select i1 [^,]+), ([^,()]+), ([^,()]+)(,.*)?$", line)
    if match is None or match.group(2) == match.group(3):
        return None
    return f"{match.group(1)}, {match.group(3)}, {match.group(2)}{match.group(4) or ''}"


def _swap_operands(line: str, _rng: random.Random) -> str | None:
    match = re.match(rf"(\s+\S+ = (?:{_ORDERED})){_FLAGS} (\S+) ([^,()]+), ([^,()]+?)((?:, !.*)?)$", line)
    if match is None or match.group(4) == match.group(5):
        return None
    head, _, kind, x, y, rest = match.groups()
    return f"{head} {kind} {y}, {x}{rest}"


def _other_operation(line: str, _rng: random.Random) -> str | None:
    match = re.match(rf"(\s+\S+ = )({'|'.join(_OTHER)}){_FLAGS} (.*)$", line)
    return None if match is None else f"{match.group(1)}{_OTHER[match.group(2)]} {match.group(4)}"


def _off_by_one(line: str, rng: random.Random) -> str | None:
    if not re.match(r"\s+(\S+ = )?(add|sub|mul|and|or|xor|icmp|select|store|ret|shl|lshr|ashr|getelementptr)\b", line):
        return None
    places = list(re.finditer(r"(?<=[ ,])-?\d+(?=$|[,)\s])", line.split(", align")[0].split(", !")[0]))
    if not places:
        return None
    place = rng.choice(places)
    return line[: place.start()] + str(int(place.group()) + rng.choice((1, -1))) + line[place.end() :]


def _drop_store(line: str, _rng: random.Random) -> str | None:
    return "" if re.match(r"\s+store (?!volatile)", line) else None


def _drop_call(line: str, _rng: random.Random) -> str | None:
    return "" if re.match(r"\s+(tail |musttail )?call [^=]*\bvoid @(?!llvm\.)", line) else None


def _wrong_extension(line: str, _rng: random.Random) -> str | None:
    match = re.search(r"= (zext(?: nneg)?|sext) (?!i1 )", line)
    if match is None:
        return None
    return line[: match.start(1)] + ("zext" if match.group(1) == "sext" else "sext") + line[match.end(1) :]


def _narrow_store(line: str, _rng: random.Random) -> str | None:
    match = re.match(r"(\s+)store i(64|32|16) ([^,]+), (ptr .*)$", line)
    if match is None or not match.group(3).startswith("%"):
        return None
    space, width, value, rest = match.groups()
    half = int(width) // 2
    name = f"%irwright.half{abs(hash(line)) % 10**6}"
    return f"{space}{name} = trunc i{width} {value} to i{half}\n{space}store i{half} {name}, {rest}"


OPERATORS: dict[str, Callable[[str, random.Random], str | None]] = {
    "flip a condition": _flip_condition,
    "move a bound by one": _move_bound,
    "swap the targets of a branch": _swap_branches,
    "swap the values of a select": _swap_select,
    "swap operands": _swap_operands,
    "another operation": _other_operation,
    "constant off by one": _off_by_one,
    "drop a store": _drop_store,
    "drop a call": _drop_call,
    "wrong extension": _wrong_extension,
    "store half the width": _narrow_store,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One mutant and what became of it."""

    module: str
    function: str
    operator: str
    before: str
    after: str
    covered: bool
    """a run reached the changed instruction"""
    conclusive: bool
    """such a run came to an end that the program chose"""
    caught: bool
    caught_with_more: bool
    """with MORE_SEEDS"""
    reason: str


class Bench:
    """Compiles, mutates, compares."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.clang = find().need_clang()
        opt = xtc_tool("opt")
        if opt is None:
            raise SystemExit("opt is missing: pip install 'irwright[targets]'")
        self.opt = opt

    def optimise(self, bitcode: bytes, passes: str, *, text: bool = False) -> bytes:
        command = [str(self.opt), *(["-S"] if text else []), f"-passes={passes}", "-o", "-", "-"]
        return subprocess.run(command, input=bitcode, capture_output=True, check=True).stdout

    def lower(self, data: bytes, name: str) -> bytes:
        return clang.lower(self.clang, data, (), name=name)

    def unoptimised(self, bitcode: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "module.bc"
            path.write_bytes(bitcode)
            command = [str(self.clang), "-w", "-O0", "-c", "-x", "ir", str(path), "-o", "-"]
            return subprocess.run(command, capture_output=True, check=True).stdout

    def samples(self) -> Iterator[tuple[str, bytes]]:
        """Held-out modules, projects taking turns."""
        found = modules("heldout", cache=default_cache())
        if not found:
            raise SystemExit("no held-out modules; make them with: irwright corpus fetch --role heldout")
        samples = [Sample(name=f"{m.package}/{m.source}", project=m.package, bitcode=m.bitcode) for m in found]
        for sample in spread(samples, random.Random(SEED)):
            yield sample.name, sample.bitcode.read_bytes()

    # ------------------------------------------------------------------- mutants

    def mutants(self) -> Iterator[Case]:
        """Mutants of the first functions drawn, a few of each module."""
        rng = random.Random(SEED)
        num_functions = num_mutants = 0
        for name, bitcode in self.samples():
            if num_functions >= self.arguments.functions and num_mutants >= self.arguments.mutants:
                return
            text = self.optimise(bitcode, "default<Oz>", text=True).decode()
            if text.count("\n") > self.arguments.max_lines:
                continue
            signatures = signatures_of(self.optimise(bitcode, "verify", text=True).decode())
            original = self.lower(text.encode(), name)
            bodies = [b for b in _bodies(text) if b[0] in signatures and b[2] - b[1] > 8]
            for function, start, end in rng.sample(bodies, min(self.arguments.per_module, len(bodies))):
                cases = list(self.of_function(name, text, function, start, end, original, signatures, rng))
                num_functions += bool(cases)
                num_mutants += len(cases)
                yield from cases

    def of_function(
        self,
        name: str,
        text: str,
        function: str,
        start: int,
        end: int,
        original: bytes,
        signatures: dict[str, Signature],
        rng: random.Random,
    ) -> Iterator[Case]:
        lines = text.split("\n")
        choices = [
            (number, operator, after)
            for number in range(start, end)
            for operator, change in OPERATORS.items()
            if (after := change(lines[number], rng)) is not None and after != lines[number]
        ]
        # Operators take turns: else most mutants would be constants.
        rng.shuffle(choices)
        turn: Counter[str] = Counter()
        ranked: list[tuple[int, int, str, str]] = []
        for number, operator, after in choices:
            ranked.append((turn[operator], number, operator, after))
            turn[operator] += 1
        ranked.sort(key=lambda entry: entry[0])
        made = 0
        for _, number, operator, after in ranked:
            if made >= self.arguments.per_function:
                return
            mutated = "\n".join([*lines[:number], after, *lines[number + 1 :]])
            marked = "\n".join([*lines[:number], f"  call void @{MARKER}()", *lines[number:]])
            try:
                candidate = self.lower(mutated.encode(), name)
                marker = self.lower((marked + f"\ndeclare void @{MARKER}()\n").encode(), name)
            except IrwrightError:
                continue  # no valid IR: it is no mutant
            if _code(candidate) == _code(original):
                continue
            made += 1
            comparer = Comparer(original, candidate, signatures=signatures, functions=[function])
            (verdict,) = comparer.run()
            comparer_of_marker = Comparer(original, marker, signatures=signatures, functions=[function])
            covered = conclusive = False
            caught = caught_with_more = verdict.kind is VerdictKind.DIFFERENT
            if not caught:
                more = Comparer(original, candidate, signatures=signatures, functions=[function], seeds=MORE_SEEDS)
                caught_with_more = more.run()[0].kind is VerdictKind.DIFFERENT
            for inputs in comparer.inputs_used:
                run = comparer_of_marker.run_candidate(function, inputs)
                if any(isinstance(event, CallEvent) and event.name == MARKER for event in run.events):
                    covered = True
                    conclusive = conclusive or run.is_complete
            yield Case(
                module=name,
                function=function,
                operator=operator,
                before=lines[number].strip(),
                after=after.strip(),
                covered=covered,
                conclusive=conclusive,
                caught=caught,
                caught_with_more=caught_with_more,
                reason=verdict.reason,
            )

    # -------------------------------------------------------------- false alarms

    def alarms(self) -> Iterator[dict[str, Any]]:
        """Verdicts on correct objects: clang -Oz against other pass lists."""
        rng = random.Random(SEED)
        num = 0
        with Verifier(jobs=1) as verifier:
            for name, bitcode in self.samples():
                if num >= self.arguments.objects:
                    return
                passes = rng.choice(PASS_LISTS)
                try:
                    text = self.optimise(bitcode, "verify", text=True).decode()
                    if text.count("\n") > 3 * self.arguments.max_lines:
                        continue
                    candidate = self.lower(self.optimise(bitcode, passes), name)
                    original = self.lower(self.optimise(bitcode, "default<Oz>"), name)
                    reference = self.unoptimised(bitcode)
                except (IrwrightError, subprocess.CalledProcessError):
                    continue
                num += 1
                signatures = signatures_of(text)
                for kind in ("with", "without"):
                    started = time.monotonic()
                    verdict = verifier.compare(
                        original,
                        candidate,
                        reference=reference if kind == "with" else None,
                        signatures=signatures,
                    )
                    yield {
                        "module": name,
                        "passes": passes,
                        "reference": kind,
                        "seconds": time.monotonic() - started,
                        **verdict.to_json(),
                        "blocks": sum(function.blocks for function in verdict.functions),
                        "runs": sum(function.num_runs for function in verdict.functions),
                        "conclusive": sum(function.num_conclusive for function in verdict.functions),
                        "reasons": Counter(
                            _stem(function.reason)
                            for function in verdict.functions
                            if function.kind is VerdictKind.INCONCLUSIVE
                        ),
                        "differences": [
                            str(function) for function in verdict.functions if function.kind is VerdictKind.DIFFERENT
                        ],
                    }


def _bodies(text: str) -> Iterator[tuple[str, int, int]]:
    """(name, first line, line behind) of the body of each function that other modules can call."""
    name, start = "", 0
    for number, line in enumerate(text.split("\n")):
        match = re.match(r"define (?!internal|private|available_externally).*?@([\w.$]+)\(", line)
        if match is not None:
            name, start = match.group(1), number + 1
        elif line == "}" and name:
            yield name, start, number
            name = ""


def _code(data: bytes) -> tuple[bytes, ...]:
    """Content of the loaded sections and their relocations: what of an object can matter."""
    from irwright.verify.elf import read_elf

    elf = read_elf(data)
    return (*(s.content for s in elf.sections if s.is_loaded), repr(sorted(elf.relocations.items())).encode())


def _stem(reason: str) -> str:
    """A reason without the values in it."""
    reason = re.sub(r"access to 0x[0-9a-f]+, which is no address.*", "access to what is no address", reason)
    return re.sub(r"\b\d{4,}\b", "N", reason.split(" becomes ")[0])[:80]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, default=80, help="with mutants, at least")
    parser.add_argument("--mutants", type=int, default=300, help="at least")
    parser.add_argument("--per-module", type=int, default=3, help="functions")
    parser.add_argument("--per-function", type=int, default=5, help="mutants")
    parser.add_argument("--max-lines", type=int, default=4000, help="of IR; larger modules are left out")
    parser.add_argument("--objects", type=int, default=150, help="for false alarms")
    parser.add_argument("--report", action="store_true", help="write the tables of what was run, and run nothing")
    parser.add_argument("--only", choices=("mutants", "alarms"))
    add_out_option(parser)
    return parser.parse_args()


def result_file(name: str) -> Path:
    return cache_folder() / "mutants" / f"{name}.jsonl"


def run(arguments: argparse.Namespace) -> None:
    bench = Bench(arguments)
    rows: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "mutants": lambda: (asdict(case) for case in bench.mutants()),
        "alarms": bench.alarms,
    }
    for name, make in rows.items():
        if arguments.only not in (None, name):
            continue
        path = result_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as output:
            for number, row in enumerate(make(), 1):
                output.write(json.dumps(row) + "\n")
                output.flush()
                if number % 25 == 0:
                    print(f"{name}: {number}", flush=True)


def write_report(out: Path) -> None:
    mutants = [json.loads(line) for line in result_file("mutants").read_text().splitlines()]
    alarms = [json.loads(line) for line in result_file("alarms").read_text().splitlines()]
    report = Report("mutants", "What verification sees, and what it takes for a difference")
    report.summary = (
        "A mutant is one changed instruction in LLVM's -Oz IR of a held-out function, compiled as the unchanged IR is. "
        "Covered: a run reaches the instruction. Verdicts with 8 seeds and signatures from the IR, without a reference."
    )
    covered = [case for case in mutants if case["covered"]]
    missed = [case for case in covered if not case["caught"]]

    def share(cases: list[dict[str, Any]]) -> float:
        return 100.0 * sum(case["caught"] for case in cases) / len(cases) if cases else 0.0

    report.goals.append(at_least("mutants in covered code that are caught", 95, share(covered), "%"))
    report.goals.append(at_least("mutants", 200, len(mutants), "mutants"))
    functions = {(case["module"], case["function"]) for case in mutants}
    report.goals.append(at_least("functions", 50, len(functions), "functions"))
    rows: list[tuple[str | int | float | None, ...]] = []
    for operator in (*OPERATORS, None):
        chosen = [case for case in mutants if operator in (None, case["operator"])]
        reached = [case for case in chosen if case["covered"]]
        ended = [case for case in reached if case["conclusive"]]
        rows.append(
            (
                operator or "all",
                len(chosen),
                sum(case["caught"] for case in chosen),
                share(chosen),
                len(reached),
                share(reached),
                len(ended),
                share(ended),
                100.0 * sum(case["caught_with_more"] for case in reached) / max(1, len(reached)),
            )
        )
    columns = ("change", "mutants", "caught", "% of all", "covered", "% of covered", "in a complete run", "% of these")
    columns = (*columns, f"% of covered, {MORE_SEEDS} seeds")
    report.add_table(f"Mutants of {len(functions)} functions", columns, rows)
    report.add_table(
        "Covered and not caught, every one",
        ("function", "change", "before", "after", "conclusive", "verdict's reason"),
        [
            (
                f"{case['module']}: {case['function']}",
                case["operator"],
                _shown(case["before"]),
                _shown(case["after"] or "(nothing)"),
                "yes" if case["conclusive"] else "no",
                _shown(case["reason"]),
            )
            for case in missed
        ],
        note="Some of these change nothing that can be observed (equivalent mutants): none is left out above.",
    )
    for kind in ("with", "without"):
        chosen = [row for row in alarms if row["reference"] == kind]
        count = {key: sum(row[key] for row in chosen) for key in ("functions", "equal", "inconclusive", "different")}
        blocks = sum(row["blocks"] for row in chosen)
        coverage = sum(row["block_coverage"] * row["blocks"] for row in chosen) / max(1, blocks)
        report.add_table(
            f"Correct objects, {kind} code of -O0 as the reference",
            ("objects", "functions", "equal", "inconclusive", "different", "block coverage %", "ms/function"),
            [
                (
                    len(chosen),
                    *count.values(),
                    100 * coverage,
                    1000 * sum(row["seconds"] for row in chosen) / max(1, count["functions"]),
                )
            ],
            note="clang -Oz against another pass list of each module; every `different` is a false alarm.",
        )
        reasons: Counter[str] = Counter()
        for row in chosen:
            reasons.update(row["reasons"])
        report.add_table("Why functions are inconclusive", ("reason", "functions"), reasons.most_common())
        report.notes += [f"{kind} reference: {row['module']}: {text}" for row in chosen for text in row["differences"]]
    report.versions["LLVM"] = find().library.version
    report.write(out)


def _shown(text: str) -> str:
    return "`" + text.replace("|", "/")[:90] + "`" if text else ""


if __name__ == "__main__":
    options = parse_arguments()
    if not options.report:
        run(options)
    if options.report or options.only is None:
        write_report(options.out)
