"""Pass lists against gcc's torture tests, csmith programs and our own: the report docs/results/screen.md.

Judgements are kept in a store as they are made: a killed run goes on, and `--report` makes the tables of what is there.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from report import ROOT, Report, add_out_option, below

from irwright.candidates import (
    Candidate,
    coreset_candidates,
    joined_candidates,
    list_candidate,
    pass_candidates,
    plan_candidate,
    random_candidates,
)
from irwright.coreset import load_coreset
from irwright.corpus.packages import default_cache
from irwright.errors import PassListError
from irwright.feedback.knowledge import load_knowledge
from irwright.files import Input
from irwright.llvm.toolchain import find
from irwright.measure import protocol
from irwright.passes import PassList
from irwright.screen import screen
from irwright.screen_results import JudgementStore, ProgramReport, Summary, Verdict
from irwright.search import search
from irwright.task import Budget, Task
from irwright.verify.programs import Program, csmith_programs, find_programs
from irwright.workpiece import Workshop

WHAT = (
    "coreset-oz",
    "coreset-paper",
    "feedback-oz",
    "feedback-paper",
    "joined",
    "model",
    "passes",
    "random",
    "evolved",
)


def evolved_lists(folder: Path, llvm: str | None, major: int, count: int) -> list[Candidate]:
    """The best lists of evolution on the examples, then on our own programs, found once and kept in a file."""
    file = folder / f"evolved-{major}.txt"
    known = dict.fromkeys(file.read_text().splitlines()) if file.exists() else {}
    programs = [*find_programs(ROOT / "examples"), *find_programs(ROOT / "tests" / "programs")]
    for seed, program in enumerate(programs):
        found = [list_candidate(passes) for text in known if (passes := _read(text, major)) is not None]
        if len(found) >= count:
            return found[:count]
        known |= dict.fromkeys(_evolve(program, seed, llvm, major)[: count // 10])
        file.write_text("\n".join(known) + "\n")
    return [list_candidate(passes) for text in known if (passes := _read(text, major)) is not None][:count]


def _read(text: str, major: int) -> PassList | None:
    """A list of the file, unless a pass of it was left out since."""
    try:
        return PassList.parse(text, llvm_major=major)
    except PassListError:
        return None


def _evolve(program: Program, seed: int, llvm: str | None, major: int) -> list[str]:
    """Lists that evolution found for a program in 80 compilations, best first."""
    source = Input(name=program.name, path=program.path, flags=program.all_flags)
    with Workshop(protocol("oz"), llvm=llvm) as workshop, workshop.open(source) as piece:
        task = Task(
            evaluator=piece.evaluator,
            budget=Budget(compilations=80),
            rng=random.Random(seed),
            coreset=load_coreset("oz", major),
        )
        search(task, "evolve")
        ended = sorted((one for one in piece.evaluator.trials if one.outcome.ok), key=task.cost)
        return [str(one.plan.as_list()) for one in ended if one.plan.is_one_list]


def candidates_of(what: str, major: int, args: argparse.Namespace) -> list[Candidate]:
    """One group of candidates."""
    if what.startswith("coreset-"):
        return coreset_candidates(load_coreset(what.removeprefix("coreset-"), major))
    if what.startswith("feedback-"):
        knowledge = load_knowledge(what.removeprefix("feedback-"), major)
        return [plan_candidate(plan) for plan in (knowledge.plans if knowledge else ()) if plan is not None]
    if what == "joined":
        return joined_candidates(load_coreset("oz", major), args.joined, 0)
    if what == "model":  # that models learn to choose from
        lines = (ROOT / "docs" / "model" / "lists.txt").read_text().splitlines()
        return [list_candidate(passes) for text in lines if (passes := _read(text, major)) is not None]
    if what == "passes":
        return pass_candidates(major)
    if what == "random":
        return random_candidates(args.random, 0, major)
    return evolved_lists(args.store, args.llvm, major, 100)


def programs_of(args: argparse.Namespace, scratch: Path, version: str) -> dict[str, list[Program]]:
    """Programs by the name of their set, for an LLVM."""
    sets = {"own": [*find_programs(ROOT / "tests" / "programs"), *find_programs(ROOT / "examples")]}
    if args.torture:
        sets["torture"] = find_programs(args.torture)
    if args.csmith:
        sets["csmith"] = csmith_set(args, scratch, version)
    return {name: sets[name] for name in sets if not args.sets or name in args.sets}


def csmith_set(args: argparse.Namespace, scratch: Path, version: str) -> list[Program]:
    """The programs of csmith's first seeds, so many that the number asked for is not known to be left out."""
    kept = JudgementStore(args.store / "csmith.jsonl", version)
    found: list[Program] = []
    missing = args.csmith
    while missing:
        found += (more := csmith_programs(missing, len(found), scratch))
        missing = sum(kept.known(program, ()).left_out is not None for program in more)
    kept.close()
    return found


def spread(programs: list[Program], count: int | None) -> list[Program]:
    """`count` of them, evenly."""
    if count is None or count >= len(programs):
        return programs
    return [programs[at * len(programs) // count] for at in range(count)]


def run(args: argparse.Namespace) -> None:
    """Judge everything that is asked for and not in the store."""
    toolchain = find(llvm=args.llvm)
    version = toolchain.library.version
    groups = [one for what in args.what for one in candidates_of(what, toolchain.major, args)]
    with tempfile.TemporaryDirectory() as scratch:
        for name, programs in programs_of(args, Path(scratch), version).items():
            chosen = spread(programs, args.max_programs)
            judge(args, name, chosen, groups)
            while name == "csmith" and not args.max_programs:
                more = csmith_set(args, Path(scratch), version)[len(chosen) :]
                if not more:
                    break
                judge(args, name, more, groups)
                chosen += more


def judge(args: argparse.Namespace, name: str, programs: list[Program], candidates: list[Candidate]) -> None:
    """Judge the programs of a set."""
    store = args.store / f"{name}.jsonl"
    for number, report in enumerate(screen(programs, candidates, llvm=args.llvm, jobs=args.jobs, store=store), 1):
        wrong = [one for one in report.judgements.values() if one.verdict is Verdict.WRONG]
        if wrong or number % 50 == 0:
            print(f"{name} {number}/{len(programs)} {report.program}: {len(wrong)} wrong", flush=True)


def known(
    store: Path, version: str, programs: Sequence[Program], candidates: Sequence[Candidate]
) -> list[ProgramReport]:
    """What the store holds of these: programs left out, and those that were judged under all the candidates."""
    if not store.exists():
        return []
    kept = JudgementStore(store, version)
    found = [kept.known(program, candidates) for program in programs]
    kept.close()
    return [one for one in found if one.left_out or len(one.judgements) == len(candidates)]


COLUMNS = (
    Verdict.PASS,
    Verdict.UNFIT,
    Verdict.WRONG,
    Verdict.UNDEFINED,
    Verdict.INVALID,
    Verdict.CRASH,
    Verdict.TIMEOUT,
    Verdict.MEMORY,
)
SUMMARY = (
    "Each candidate builds each program as `tune` builds it; the program is linked, run, and must end and print "
    "what plain clang's do. *Wrong* is a result; *undefined* is one of a program in which a sanitizer finds undefined "
    "behaviour; *invalid* (refused), *crash*, *timeout* and *memory* are compilations that made no object. *Unfit* are "
    "plans in pieces for modules that can't be made of pieces, and all of them before LLVM 20. A program counts where "
    "it was judged under all candidates of the row."
)


def report(args: argparse.Namespace) -> int:
    """Write the tables of what is in the store; 1 if anything is wrong."""
    page = Report("screen", "Pass lists against self-checking programs")
    page.summary = SUMMARY
    rows: list[tuple[str | int, ...]] = []
    bad: list[tuple[str, ...]] = []
    reasons: Counter[str] = Counter()
    num_wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for llvm in args.llvms:
            toolchain = find(llvm=llvm)
            version, major = toolchain.library.version, toolchain.major
            sets = programs_of(args, Path(scratch), version)
            for name, programs in sets.items():
                for what in WHAT:
                    if what == "evolved" and not (args.store / f"evolved-{major}.txt").exists():
                        continue
                    candidates = candidates_of(what, major, args)
                    reports = known(args.store / f"{name}.jsonl", version, programs, candidates)
                    summary = Summary.of(reports, candidates, llvm=version)
                    totals = summary.totals
                    if not totals.total():
                        continue
                    num_wrong += totals[Verdict.WRONG]
                    if what == "coreset-oz" and major == 22:
                        reasons.update({f"{name}: {reason}": count for reason, count in summary.left_out.items()})
                    counts = [totals[verdict] for verdict in COLUMNS]
                    rows.append((f"{name}, {what}", version, len(candidates), summary.num_screened, *counts))
                    shown = (Verdict.WRONG, Verdict.UNDEFINED, Verdict.CRASH, Verdict.TIMEOUT, Verdict.INVALID)
                    bad += [
                        (str(one.verdict), version, program, candidate[:120], one.detail[:160])
                        for program, candidate, one in summary.failures(*shown)
                    ]
    page.goals.append(below("wrong results", 1, num_wrong, ""))
    columns = ("programs, candidates", "LLVM", "candidates", "programs", *map(str, COLUMNS))
    page.add_table("Judgements", columns, rows)
    if bad:
        page.add_table("What did not pass", ("verdict", "LLVM", "program", "candidate", "detail"), bad[:200])
    page.add_table("Programs left out (LLVM 22)", ("set and reason", "programs"), list(reasons.most_common()))
    page.notes.append("The commands of the runs, their commits and what they found are in docs/log.md.")
    print(page.write(args.out))
    return 1 if num_wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torture", type=Path, metavar="DIR", help="gcc.c-torture/execute, of gcc's source")
    parser.add_argument("--csmith", type=int, metavar="N", help="programs of csmith's to judge: seeds from 0 on")
    parser.add_argument("--sets", nargs="+", choices=("own", "torture", "csmith"), help="only these programs")
    parser.add_argument("--what", nargs="+", choices=WHAT, default=["coreset-oz", "joined"], help="candidates")
    parser.add_argument("--joined", type=int, default=6, metavar="N", help="random joins of the table's pieces")
    parser.add_argument("--random", type=int, default=20, metavar="N", help="random lists")
    parser.add_argument("--max-programs", type=int, metavar="N", help="of each set, spread evenly")
    parser.add_argument("--llvm", metavar="VERSION|PATH", help="which LLVM to run")
    parser.add_argument("--llvms", nargs="+", default=[None], metavar="PATH", help="which LLVMs to report")
    parser.add_argument("--store", type=Path, default=default_cache() / "screen", metavar="DIR", help="judgements")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--report", action="store_true", help="only the tables of what is there")
    add_out_option(parser)
    args = parser.parse_args()
    args.store.mkdir(parents=True, exist_ok=True)
    if not args.report:
        run(args)
    return report(args)


if __name__ == "__main__":
    sys.exit(main())
