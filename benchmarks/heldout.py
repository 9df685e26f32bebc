"""Gain on held-out projects: the coreset at 1 to 16 compilations, and search at 300, per protocol.

    python benchmarks/heldout.py --objects files --protocol oz          # then functions, then paper
    python benchmarks/heldout.py --report                               # the table from what was run

Cases are modules of the packages with role `heldout` in src/irwright/data/packages.json, drawn with a fixed seed
so that the projects take turns; none of them was used for the coreset. The baseline of `oz` is the object that
`clang -Oz -c` makes, of `paper` LLVM's -Oz with unoptimised code generation; where nothing is smaller the baseline
is the result (a backup), and its compilation is not counted. Results are kept per case (a killed run goes on where
it was) under the cache folder.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from report import Report

from irwright.coreset_build import Sample, spread
from irwright.corpus.modules import modules
from irwright.corpus.packages import default_cache
from irwright.errors import IrwrightError
from irwright.evaluation.tuning import real_oz, spend
from irwright.evaluator import Evaluator
from irwright.llvm.toolchain import cache_folder, find
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import Gain, gain, protocol
from irwright.search import STRATEGIES

CORESET_BUDGETS = (1, 2, 3, 5, 8, 16)
SEED = 11


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", choices=("files", "functions"), default="files")
    parser.add_argument("--protocol", choices=("oz", "paper"), default="oz")
    parser.add_argument("--num", type=int, default=160, help="cases that get the coreset's budgets")
    parser.add_argument("--num-searched", type=int, default=160, help="of these, the first N get the searches too")
    parser.add_argument("--search", type=int, default=300, help="compilations of a search")
    parser.add_argument(
        "--strategies", default="compose,evolve,random", help="what is searched with; switches as in compose+outliner"
    )
    parser.add_argument("--max-searched", type=int, default=20_000, help="instructions; larger ones get no searches")
    parser.add_argument("--max-instructions", type=int, default=20_000, help="larger files are left out")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="write the tables of what was run, and run nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "results")
    return parser.parse_args()


def cases(objects: str) -> Iterator[tuple[Sample, str]]:
    """(file, function) pairs, projects taking turns; function is "" for whole files."""
    found = modules("heldout", cache=default_cache())
    if not found:
        raise SystemExit("no held-out modules; make them with: irwright corpus fetch --role heldout")
    samples = [Sample(name=f"{m.package}/{m.source}", project=m.package, bitcode=m.bitcode) for m in found]
    names = {f"{m.package}/{m.source}": [name for name, _ in m.functions] for m in found}
    rng = random.Random(SEED)
    order = spread(samples, rng)
    if objects == "files":
        yield from ((sample, "") for sample in order)
        return
    for names_of_file in names.values():
        rng.shuffle(names_of_file)
    while any(names.values()):  # one function of each file in turn
        for sample in order:
            if names[sample.name]:
                yield sample, names[sample.name].pop()


def run_case(
    pool: WorkerPool,
    sample: Sample,
    function: str,
    arguments: argparse.Namespace,
    searched: bool,
    known: dict[str, Any] | None,
) -> dict[str, Any]:
    """All budgets and strategies on one object; what `known` has already is not run again."""
    data = sample.bitcode.read_bytes()
    facts = pool.add_module("m", data, name=sample.name)
    if function:
        if facts.instructions_by_function.get(function, 0) < 5:
            return {"skipped": "under 5 instructions"}
        data = pool.call(Call(operation="extract", module="m", arguments={"function": function})).unwrap(function)
        facts = pool.add_module("m", data, name=f"{sample.name}:{function}")
    if facts.num_instructions > arguments.max_instructions:
        return {"skipped": f"over {arguments.max_instructions} instructions"}
    row: dict[str, Any] = {"project": sample.project, "instructions": facts.num_instructions, "results": {}}
    row |= known or {}
    if arguments.protocol == "oz":  # the real thing; LLVM's -Oz in process differs by a few bytes
        row["baseline"] = [*real_oz(find().need_clang(), data)]

    def measure(name: str, strategy: str, compilations: int, switches: Sequence[str] = ()) -> None:
        if name in row["results"]:
            return
        evaluator = Evaluator(pool, "m", facts, protocol(arguments.protocol), llvm_major=22)
        rng = random.Random(SEED)
        task, seconds = spend(evaluator, STRATEGIES[strategy], compilations, rng=rng, switches=switches)
        best = task.best
        assert best is not None and best.sizes is not None
        assert task.baseline is not None and task.baseline.sizes is not None
        row.setdefault("baseline", [task.baseline.sizes.total, task.baseline.sizes.text])
        tuned = [best.sizes.total, best.sizes.text]
        row["results"][name] = {
            "bytes": tuned if tuned[0] < row["baseline"][0] else row["baseline"],
            "compilations": evaluator.num_compilations,
            "seconds": round(seconds, 3),
        }

    for compilations in CORESET_BUDGETS:
        measure(f"coreset-{compilations}", "coreset", compilations)
    if searched and facts.num_instructions <= arguments.max_searched:
        for name in arguments.strategies.split(","):
            strategy, *switches = name.split("+")
            measure(f"{name}-{arguments.search}", strategy, arguments.search, switches)
    return row


def result_file(objects: str, protocol_name: str) -> Path:
    return cache_folder() / "heldout" / f"{objects}-{protocol_name}.jsonl"


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    return {row["case"]: row for row in map(json.loads, path.read_text().splitlines())}


def run(arguments: argparse.Namespace) -> None:
    path = result_file(arguments.objects, arguments.protocol)
    path.parent.mkdir(parents=True, exist_ok=True)
    done = read_rows(path)
    lock = threading.Lock()
    queue = iter(cases(arguments.objects))
    counts = {"cases": 0}
    started = 0

    def is_done(row: dict[str, Any], searched: bool) -> bool:
        """Nothing is left to run for this case."""
        if "skipped" in row:
            return True
        wanted = [f"coreset-{compilations}" for compilations in CORESET_BUDGETS]
        if searched and row["instructions"] <= arguments.max_searched:
            wanted += [f"{strategy}-{arguments.search}" for strategy in arguments.strategies.split(",")]
        return all(name in row["results"] for name in wanted)

    def next_case() -> tuple[Sample, str, bool, dict[str, Any] | None] | None:
        nonlocal started
        with lock:
            while started < arguments.num:
                item = next(queue, None)
                if item is None:
                    return None
                known = done.get(f"{item[0].name}:{item[1]}")
                searched = started < arguments.num_searched
                started += known is None or "results" in known
                if known is None or not is_done(known, searched):
                    return *item, searched, known
            return None

    def work() -> None:
        nonlocal started
        with WorkerPool(find().library.path, jobs=1, timeout_seconds=15.0) as pool, path.open("a") as output:
            while (case := next_case()) is not None:
                sample, function, searched, known = case
                try:
                    row = run_case(pool, sample, function, arguments, searched, known)
                except IrwrightError as error:
                    row = {"skipped": str(error)}
                pool.drop_module("m")
                with lock:
                    started -= "skipped" in row
                    counts["cases"] += "results" in row
                    output.write(json.dumps({**row, "case": f"{sample.name}:{function}"}) + "\n")
                    output.flush()
                    if counts["cases"] % 10 == 0:
                        print(f"{counts['cases']}/{arguments.num} {sample.name} {function}", flush=True)

    with ThreadPoolExecutor(arguments.jobs) as threads:
        for thread in [threads.submit(work) for _ in range(arguments.jobs)]:
            thread.result()


def write_report(out: Path) -> None:
    report = Report("heldout", "Gain on held-out Debian projects")
    report.summary = (
        "A row counts the objects it was run on: every case has the coreset's budgets, searches were run on the first "
        "cases in the drawn order. A gain counts -Oz as a backup. `of best known` compares geometric means on the "
        "cases that were searched, the best known being the smallest of all that was tried on a case."
    )
    for objects in ("files", "functions"):
        for name in ("oz", "paper"):
            rows = [row for row in read_rows(result_file(objects, name)).values() if "results" in row]
            if rows:
                report.add_table(*table(objects, name, rows))
    report.write(out)


def table(
    objects: str, protocol_name: str, rows: list[dict[str, Any]]
) -> tuple[str, list[str], list[list[str | None]]]:
    """(title, header, rows) of one combination."""
    searched = [row for row in rows if any(not name.startswith("coreset") for name in row["results"])]
    names = list(dict.fromkeys(name for row in rows for name in row["results"]))
    projects = len({row["project"] for row in rows})
    title = f"{len(rows)} {objects} of {projects} projects, protocol `{protocol_name}`"

    def gains(chosen: list[dict[str, Any]], name: str, column: int) -> Gain:
        return gain([(row["baseline"][column], row["results"][name]["bytes"][column]) for row in chosen])

    best_known = gain(
        [(row["baseline"][0], min(result["bytes"][0] for result in row["results"].values())) for row in searched]
    )
    header = [
        "strategy-compilations",
        "objects",
        "bytes",
        "geomean",
        "text bytes",
        "text geomean",
        "improved",
        "of best known",
        "s/object",
    ]
    lines: list[list[str | None]] = []
    for name in names:
        chosen = [row for row in rows if name in row["results"]]
        total, text = gains(chosen, name, 0), gains(chosen, name, 1)
        common = gains([row for row in searched if name in row["results"]], name, 0)
        known = best_known.geomean_percent
        share = f"{100 * common.geomean_percent / known:.0f} %" if searched and known else None
        seconds = sum(row["results"][name]["seconds"] for row in chosen) / len(chosen)
        lines.append(
            [
                name,
                str(len(chosen)),
                f"{total.percent:.2f} %",
                f"{total.geomean_percent:.2f} %",
                f"{text.percent:.2f} %",
                f"{text.geomean_percent:.2f} %",
                f"{total.improved}/{total.objects}",
                share,
                f"{seconds:.2f}",
            ]
        )
    best = ["best of all", str(len(searched)), f"{best_known.percent:.2f} %", f"{best_known.geomean_percent:.2f} %"]
    if not searched:
        return title, header, lines
    title += f"; searches on {len(searched)} of at most {max(row['instructions'] for row in searched):,} instructions"
    lines.append([*best, "", "", f"{best_known.improved}/{best_known.objects}", "100 %", ""])
    return title, header, lines


if __name__ == "__main__":
    options = parse_arguments()
    if not options.report:
        run(options)
    write_report(options.out)
