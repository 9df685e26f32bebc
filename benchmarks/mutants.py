"""Does verification see miscompilations? Mutants of corpus functions, and false alarms on correct objects.

    python benchmarks/mutants.py
    python benchmarks/mutants.py --role training --only mutants      # to develop on
    python benchmarks/mutants.py --report     # the tables of what was run

A mutant is the -Oz IR of a module with one instruction of one function changed (mutations.py), compiled to an
object as the unchanged IR is; mutants whose code comes out the same byte by byte are not counted, those that
LLVM proves to be the same program (proofs.py) are counted apart. It is caught if the verdict
on its function is `different`, with code of -O0 as the reference and the work that `tune` and `verify` spend (`cc`
spends a quarter). It is covered if a run reaches the changed instruction: a call in front of it, in an object that is
not changed otherwise, tells. False alarms are verdicts `different` between the object of clang -Oz and objects of
other pass lists, with the reference and without.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mutations import (
    MARKER,
    OPERATORS,
    Mutant,
    Store,
    Tools,
    Wanted,
    folder,
    make_mutants,
    samples,
    signatures_in,
)
from proofs import prove
from report import Report, add_out_option, at_least

from irwright.errors import IrwrightError
from irwright.llvm.toolchain import find
from irwright.verify.differ import Comparer
from irwright.verify.signatures import signatures_of
from irwright.verify.trace import CallEvent
from irwright.verify.verdicts import VerdictKind
from irwright.verify.verifier import Verifier

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
    "function(sroa,early-cse),default<Oz>",
    "cgscc(devirt<4>(inline,function(sroa,early-cse)))",
    "argpromotion,deadargelim,default<Oz>",
    "function(sroa,mem2reg,jump-threading,newgvn),default<Os>",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One mutant and what became of it."""

    module: str
    function: str
    operator: str
    before: str
    after: str
    covered: bool
    """a run reached the changed instruction; what is caught was reached"""
    complete: bool
    """such a run came to an end that the program chose"""
    caught: bool
    equal_after: str = ""
    """a pass list that proves mutant and original to be the same program (proofs.py); of missed ones, asked last"""
    reason: str
    """of the verdict"""
    runs: int
    conclusive: int
    seconds: float
    """CPU time of the verdict"""


class Bench:
    """Judges mutants and correct objects."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.tools = Tools()
        self.store = Store()

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            role=self.arguments.role,
            seed=self.arguments.seed,
            functions=self.arguments.functions,
            mutants=self.arguments.mutants,
            per_module=self.arguments.per_module,
            per_function=self.arguments.per_function,
            max_lines=self.arguments.max_lines,
        )

    def mutants(self) -> Iterator[Case]:
        return map(self.judge, make_mutants(self.wanted))

    def judge(self, mutant: Mutant) -> Case:
        started = time.process_time()
        comparer = self._comparer(mutant, mutant.candidate, self.arguments.verify_seeds)
        (verdict,) = comparer.run()
        seconds = time.process_time() - started
        caught = verdict.kind is VerdictKind.DIFFERENT
        marker = self._comparer(mutant, mutant.marked, 1)
        covered = complete = False
        for inputs in comparer.inputs_used:
            run = marker.run_candidate(mutant.function, inputs)
            if any(isinstance(event, CallEvent) and event.name == MARKER for event in run.events):
                covered = True
                complete = complete or run.is_complete
        return Case(
            module=mutant.module,
            function=mutant.function,
            operator=mutant.operator,
            before=mutant.before,
            after=mutant.after.strip(),
            covered=covered or caught,
            complete=complete,
            caught=caught,
            reason=verdict.reason,
            runs=verdict.num_runs,
            conclusive=verdict.num_conclusive,
            seconds=seconds,
        )

    def proved(self, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The same, and of each that was covered and missed whether it is proved: that costs most of all."""
        for mutant, row in zip(make_mutants(self.wanted), rows, strict=False):
            if row["covered"] and not row["caught"]:
                row["equal_after"] = prove(mutant, self.tools, self.store)
            yield row

    def _comparer(self, mutant: Mutant, candidate: str, seeds: int) -> Comparer:
        return Comparer(
            self.store.get(mutant.original),
            self.store.get(candidate),
            reference=self.store.get(mutant.reference) if self.arguments.reference else None,
            signatures=signatures_in(self.store, mutant.unoptimised),
            functions=[mutant.function],
            seeds=seeds,
        )

    # -------------------------------------------------------------- false alarms

    def alarms(self) -> Iterator[dict[str, Any]]:
        """Verdicts on correct objects: clang -Oz against other pass lists."""
        rng = random.Random(self.arguments.seed)
        num = 0
        with Verifier(jobs=1) as verifier:
            for name, bitcode, _ in samples(self.arguments.role, self.arguments.seed):
                if num >= self.arguments.objects:
                    return
                passes = rng.choice(PASS_LISTS)
                try:
                    text = self.tools.optimise(bitcode, "verify", text=True).decode()
                    if text.count("\n") > 3 * self.arguments.max_lines:
                        continue
                    candidate = self.tools.lower(self.tools.optimise(bitcode, passes), name)
                    original = self.tools.lower(self.tools.optimise(bitcode, "default<Oz>"), name)
                    reference = self.tools.unoptimised(bitcode)
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


def _stem(reason: str) -> str:
    """A reason without the values in it."""
    reason = re.sub(r"access to 0x[0-9a-f]+, which is no address.*", "access to what is no address", reason)
    return re.sub(r"\b\d{4,}\b", "N", reason.split(" becomes ")[0])[:80]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", choices=("heldout", "training"), default="heldout")
    parser.add_argument("--seed", type=int, default=11, help="of the selection")
    parser.add_argument("--verify-seeds", type=int, default=8)
    parser.add_argument("--no-reference", dest="reference", action="store_false", help="mutants: no code of -O0")
    parser.add_argument("--functions", type=int, default=80, help="with mutants, at least")
    parser.add_argument("--mutants", type=int, default=300, help="at least")
    parser.add_argument("--per-module", type=int, default=3, help="functions")
    parser.add_argument("--per-function", type=int, default=5, help="mutants")
    parser.add_argument("--max-lines", type=int, default=4000, help="of IR; larger modules are left out")
    parser.add_argument("--objects", type=int, default=150, help="for false alarms")
    parser.add_argument("--report", action="store_true", help="write the tables of what was run, and run nothing")
    parser.add_argument("--beside", type=int, nargs="*", default=(), metavar="SEED", help="other draws, to be reported")
    parser.add_argument("--only", choices=("mutants", "alarms"))
    add_out_option(parser)
    return parser.parse_args()


def result_file(name: str, role: str, seed: int) -> Path:
    return folder() / f"{name}-{role}-{seed}.jsonl"


def read_rows(name: str, role: str, seed: int) -> list[dict[str, Any]]:
    """What was run; nothing where nothing was."""
    path = result_file(name, role, seed)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(arguments: argparse.Namespace) -> None:
    bench = Bench(arguments)
    rows: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "mutants": lambda: (asdict(case) for case in bench.mutants()),
        "alarms": bench.alarms,
    }
    for name, make in rows.items():
        if arguments.only not in (None, name):
            continue
        path = result_file(name, arguments.role, arguments.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as output:
            for number, row in enumerate(make(), 1):
                output.write(json.dumps(row) + "\n")
                output.flush()
                if number % 25 == 0:
                    print(f"{name}: {number}", flush=True)
        if name == "mutants":
            rows_of = read_rows(name, arguments.role, arguments.seed)
            path.write_text("".join(json.dumps(row) + "\n" for row in bench.proved(rows_of)))


def write_report(out: Path, role: str, seed: int, beside: Sequence[int]) -> None:
    mutants = read_rows("mutants", role, seed)
    alarms = next(filter(None, (read_rows("alarms", role, one) for one in (seed, *beside))), list[dict[str, Any]]())
    report = Report("mutants", "What verification sees, and what it takes for a difference")
    report.summary = (
        f"A mutant is one changed instruction in LLVM's -Oz IR of a {role} function, compiled as the unchanged IR is. "
        "Covered: a run of the verification reaches the instruction. In a complete run: one that reaches it comes to "
        "an end that the program chose. Verdicts with 8 seeds, signatures from the IR, code of -O0 as the reference."
    )
    _add_mutants(report, mutants)
    if beside:
        _add_draws(report, {one: read_rows("mutants", role, one) for one in (seed, *beside)})
    _add_alarms(report, alarms)
    report.versions["LLVM"] = find().library.version
    report.write(out)


def _share(cases: list[dict[str, Any]]) -> float:
    return 100.0 * sum(case["caught"] for case in cases) / len(cases) if cases else 0.0


def _add_mutants(report: Report, mutants: list[dict[str, Any]]) -> None:
    """Goals, counts by operator, and every one that was missed; those that are no miscompilation apart."""
    proved = [case for case in mutants if case["equal_after"]]
    mutants = [case for case in mutants if not case["equal_after"]]
    covered = [case for case in mutants if case["covered"] or case["caught"]]
    report.goals.append(at_least("mutants in covered code that are caught", 95, _share(covered), "%"))
    report.goals.append(at_least("mutants", 200, len(mutants), "mutants"))
    functions = {(case["module"], case["function"]) for case in mutants}
    report.goals.append(at_least("functions", 50, len(functions), "functions"))
    rows: list[tuple[str | int | float | None, ...]] = []
    for operator in (*OPERATORS, None):
        chosen = [case for case in mutants if operator in (None, case["operator"])]
        reached = [case for case in chosen if case["covered"] or case["caught"]]
        ended = [case for case in reached if case["complete"]]
        equal = sum(operator in (None, case["operator"]) for case in proved)
        rows.append(
            (
                *(operator or "all", equal, len(chosen), sum(case["caught"] for case in chosen), _share(chosen)),
                *(len(reached), _share(reached), len(ended), _share(ended)),
            )
        )
    columns = ("change", "proved equal", "mutants", "caught", "% of all", "covered", "% of covered")
    report.add_table(
        f"Mutants of {len(functions)} functions",
        (*columns, "in a complete run", "% of these"),
        rows,
        note="Proved equal: a pass list makes the same machine code of mutant and original, or finds that the changed "
        "instruction gives the same value wherever it is reached, or that it makes no difference where it does not; "
        "they count nowhere else. "
        f"CPU time of a verdict, objects read included: {1000 * _median(mutants):.0f} ms in the median.",
    )
    report.add_table(
        "Covered and not caught, every one",
        ("function", "change", "before", "after", "complete", "verdict's reason"),
        [
            (
                f"{case['module']}: {case['function']}",
                case["operator"],
                _shown(case["before"]),
                _shown(case["after"] or "(nothing)"),
                "yes" if case["complete"] else "no",
                _shown(case["reason"]),
            )
            for case in covered
            if not case["caught"]
        ],
        note="Some of these change nothing that can be observed, but no pass list proves it: none is left out above.",
    )


def _add_draws(report: Report, draws: Mapping[int, list[dict[str, Any]]]) -> None:
    """Shares of several selections: how much of a number is the draw."""
    rows: list[tuple[str | int | float | None, ...]] = []
    for seed, cases in draws.items():
        kept = [case for case in cases if not case["equal_after"]]
        covered = [case for case in kept if case["covered"] or case["caught"]]
        rows.append(
            (seed, len(cases) - len(kept), len(kept), len(covered), sum(map(_is_caught, kept)), _share(covered))
        )
    columns = ("seed", "proved equal", "mutants", "covered", "caught", "% of covered")
    report.add_table("The same code on other draws", columns, rows)


def _is_caught(case: dict[str, Any]) -> bool:
    return bool(case["caught"])


def _median(cases: list[dict[str, Any]]) -> float:
    return statistics.median(case["seconds"] for case in cases) if cases else 0.0


def _add_alarms(report: Report, alarms: list[dict[str, Any]]) -> None:
    for kind in ("with", "without"):
        chosen = [row for row in alarms if row["reference"] == kind]
        if not chosen:
            continue
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


def _shown(text: str) -> str:
    return "`" + text.replace("|", "/")[:90] + "`" if text else ""


if __name__ == "__main__":
    options = parse_arguments()
    if not options.report:
        run(options)
    if options.report or options.only is None:
        write_report(options.out, options.role, options.seed, options.beside)
