"""The recipe's first half: how fast a corpus, pairs and labels are made, what is a copy, what a label is worth.

    python benchmarks/labels.py [--corpus DIR] [--examples DIR ...] [--functions N] [--out DIR]

Rates are per second of CPU time, this process and all below it together, so that other work on the machine does not
count; a core that has nothing else to do makes as much in a second. `--examples` is a folder with tuning labels
(`irwright examples --tasks tune`): some of its training functions are searched with many more compilations, and what
share of the best that is known then the labels hold is the last row.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from report import ROOT, Report, add_out_option

from irwright.corpus.packages import default_cache
from irwright.corpus.selection import Chosen, Selection, check_leaks, select
from irwright.corpus.statistics import count
from irwright.corpus.store import Found, default_corpus, module_columns, module_row, open_corpus
from irwright.errors import IrwrightError
from irwright.labels.portions import Tools, load_portion, plan_portions, spread
from irwright.labels.search import KIND, SearchSettings, search_functions
from irwright.labels.texts import TextSettings, text_examples
from irwright.labels.units import Bench
from irwright.llvm.toolchain import Toolchain, find
from irwright.llvm.worker import WorkerPool
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.shards import ShardFolder, encode

EVALUATIONS = 60
"""random lists per function, for their rate"""


@dataclass(slots=True)
class Clock:
    """CPU seconds of this process and of children that have ended."""

    seconds: float = 0.0


@contextmanager
def cpu_time() -> Generator[Clock]:
    """Measure a block; children must have ended within it."""
    clock, before = Clock(), os.times()
    yield clock
    after = os.times()
    names = ("user", "system", "children_user", "children_system")
    clock.seconds = sum(getattr(after, name) - getattr(before, name) for name in names)


def rate(number: float, clock: Clock) -> float:
    """Per CPU second."""
    return round(number / clock.seconds, 1)


def corpus_rate(corpus: ShardFolder, tools: Toolchain, num_modules: int) -> tuple[int, int, Clock]:
    """(modules, functions, time) of packing modules again."""
    found: list[Found] = []
    shards = list(corpus.shards)
    Random(1).shuffle(shards)
    for shard in shards:
        for row in corpus.read(shard):
            facts = {name: row[name] for name in ("project", "version", "split", "licence", "language", "path")}
            found.append(Found(**facts, flags=(), origin="", source_sha256=row["source_sha256"], data=row["bitcode"]))
        if len(found) >= num_modules:
            break
    library = tools.library
    rows: list[dict[str, object]] = []
    with cpu_time() as clock, WorkerPool(library.path, jobs=1) as pool:
        for module in found:
            rows.append(module_row(module, pool, library.version))
        encode(rows, module_columns(), key="", summary={})
    return len(rows), sum(len(row["functions"]) for row in rows), clock  # type: ignore[arg-type]


def example_rates(
    corpus: ShardFolder, functions: list[Chosen], tools: Toolchain, cross: Path | None
) -> list[tuple[str, int, int, Clock]]:
    """(what, functions, examples or evaluations, time) of each kind of example alone."""
    results: list[tuple[str, int, int, Clock]] = []
    lists = tuple(filter(None, (ROOT / "docs" / "model" / "lists.txt").read_text().splitlines()))
    kinds: list[tuple[str, TextSettings | None, Path | None]] = [
        ("pairs of IR and x86-64 assembly", TextSettings(stages=("disassemble",)), None),
        ("pairs with AArch64 beside", TextSettings(stages=("disassemble",)), cross),
        ("emulation of one random list", TextSettings(stages=("emulate",)), None),
        (f"labels: {len(lists)} lists and -Oz", TextSettings(stages=("tune",), tune_lists=lists), None),
        (f"evaluation of {EVALUATIONS} random lists", None, None),
    ]
    portions = [load_portion(corpus, *one) for one in plan_portions(functions, (), size=48)]
    for what, settings, aarch64 in kinds:
        num_functions = num_made = 0
        with cpu_time() as clock, Bench(tools.library.path, aarch64=aarch64, llvm_major=tools.major) as bench:
            for portion in portions:
                for bitcode, members in portion.modules:
                    bench.open(bitcode, members[0].path)
                    for function in members:
                        try:
                            unit = bench.unit(function.name)
                            num_functions += 1
                            if settings is not None:
                                num_made += len(list(text_examples(bench, unit, settings)))
                                continue
                            rng = Random(function.sha256)
                            lists = [PassList.sample(rng, llvm_major=tools.major) for _ in range(EVALUATIONS)]
                            num_made += len(unit.full.evaluate([Plan(base=passes) for passes in lists]))
                        except IrwrightError:
                            continue
        results.append((what, num_functions, num_made, clock))
    return results


def read_labels(folders: list[Path]) -> dict[str, dict[str, Any]]:
    """The label of each function, and the sizes it was chosen from; the last folder counts."""
    columns = ["kind", "split", "project", "sha256", "passes", "bytes_oz", "bytes_after", "sizes"]
    rows = (row for folder in folders for row in ShardFolder(folder, kind="examples").rows(columns))
    return {row["sha256"]: row for row in rows if row["kind"] == "list" and row["sizes"]}


def search_again(
    labels: dict[str, dict[str, Any]],
    chosen: Selection,
    corpus: ShardFolder,
    tools: Toolchain,
    args: argparse.Namespace,
) -> dict[str, dict[str, Any]]:
    """What a long search finds for some of the training functions with labels, the projects taking turns; kept."""
    shard_tools = Tools(library=tools.library.path, llvm=tools.library.version)
    settings = SearchSettings(num_functions=args.searches, compilations=args.compilations, seed=2)
    results = ShardFolder(args.store, kind=KIND)
    labelled = [function for function in chosen.functions if function.sha256 in labels]
    Random(2).shuffle(labelled)
    labelled.sort(key=lambda function: function.project)  # stable: within a project the order stays drawn
    problems = search_functions(corpus, results, labelled, shard_tools, settings, jobs=1)
    for reason, number in problems.items():
        print(f"{number} not searched: {reason}", file=sys.stderr)
    return {row["sha256"]: row for row in results.rows()}


def label_worth(
    labels: dict[str, dict[str, Any]], searched: dict[str, dict[str, Any]]
) -> list[tuple[str, int | float]]:
    """How many labels there are, what they save, and what share that is of the best that searches know."""
    rows: list[tuple[str, int | float]] = [
        ("functions with a label", len(labels)),
        ("compilations a function, fewest", min(len(row["sizes"]) for row in labels.values())),
        ("compilations, all", sum(len(row["sizes"]) for row in labels.values())),
        ("projects", len({row["project"] for row in labels.values()})),
        ("different labels", len({row["passes"] for row in labels.values()})),
    ]
    for split in ("train", "heldout"):
        side = [row for row in labels.values() if row["split"] == split]
        saved = 100 * (1 - sum(r["bytes_after"] for r in side) / max(1, sum(r["bytes_oz"] for r in side)))
        better = sum(row["bytes_after"] < row["bytes_oz"] for row in side)
        rows += [
            (f"{split}: functions with a label", len(side)),
            (f"{split}: functions the label makes smaller than -Oz", better),
            (f"{split}: bytes the labels save, %", round(saved, 2)),
        ]
    both = [(labels[name], row) for name, row in searched.items() if name in labels]
    oz = sum(row["bytes_oz"] for row, _ in both)
    label = sum(row["bytes_after"] for row, _ in both)
    best = sum(min(row["bytes_after"], other["bytes_best"]) for row, other in both)
    return [
        *rows,
        ("functions searched and labelled", len(both)),
        ("compilations of these searches", sum(row["num_compilations"] for _, row in both)),
        ("bytes the labels save on these, %", round(100 * (1 - label / max(1, oz)), 2)),
        ("bytes the best known save on these, %", round(100 * (1 - best / max(1, oz)), 2)),
        ("share of the best-known gain that labels hold, %", round(100 * (oz - label) / max(1, oz - best), 1)),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, default=default_corpus())
    parser.add_argument("--examples", type=Path, action="append", help="folder with tuning labels; may be given again")
    parser.add_argument("--searches", type=int, default=40, help="labelled functions that are searched")
    parser.add_argument("--compilations", type=int, default=300, help="of each search")
    parser.add_argument("--store", type=Path, default=default_cache() / "label-searches", help="keeps what they found")
    parser.add_argument("--functions", type=int, default=200, help="for the rates of examples")
    parser.add_argument("--modules", type=int, default=200, help="for the rate of packing")
    add_out_option(parser)
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = _options()
    tools = find()
    try:
        cross = find("aarch64-linux-gnu").library.path
    except IrwrightError:
        cross = None
    corpus = open_corpus(options.corpus)
    report = Report("labels", "Corpus and labels", versions={"LLVM": tools.library.version})
    report.summary = "How fast a corpus, examples and labels are made, what is dropped, and what labels are worth."

    with cpu_time() as clock:
        chosen = select(corpus)
        check_leaks(chosen.functions)  # raises where there is one
    rows = [(split, *stats.to_json().values()) for split, stats in count(corpus).items()]
    report.add_table(
        "Corpus",
        ("split", "projects", "modules", "functions", "distinct", "share of copies", "characters", "tokens, estimated"),
        [row[:8] for row in rows],
        note="Distinct: by the hash of the canonical form. Characters: of distinct functions.",
    )
    report.add_table(
        "Selection",
        ("what", "functions"),
        [
            ("seen", chosen.num_seen),
            *sorted(chosen.dropped.items()),
            *((split, sum(f.split == split for f in chosen.functions)) for split in ("train", "heldout")),
        ],
        note=f"`irwright corpus check`: leak check passed, 0 leaks; {clock.seconds:.1f} CPU s with the selection.",
    )
    num_modules, num_functions, clock = corpus_rate(corpus, tools, options.modules)
    rates: list[tuple[str, int, int, float, float]] = [
        (
            "packing: parse, canonical forms, hashes, signatures",
            num_functions,
            num_modules,
            rate(num_functions, clock),
            rate(num_modules, clock),
        )
    ]
    functions = spread([f for f in chosen.functions if f.split == "train"], options.functions)
    for what, seen, made, clock in example_rates(corpus, functions, tools, cross):
        rates.append((what, seen, made, rate(seen, clock), rate(made, clock)))
    report.add_table(
        "Rates of one core",
        ("work", "functions", "made", "functions per CPU s", "made per CPU s"),
        rates,
        note="Training functions, the projects taking turns; extraction of the function included. Made: modules, "
        "examples or evaluations; protocol `oz`.",
    )
    if options.examples:
        labels = read_labels(options.examples)
        worth = label_worth(labels, search_again(labels, chosen, corpus, tools, options))
        note = f"Protocol `oz`. Best known: the label or what evolution finds in {options.compilations} compilations."
        report.add_table("Tuning labels", ("what", "value"), worth, note=note)
    print(report.write(options.out).read_text())


if __name__ == "__main__":
    main()
