"""Where labels for tuning come from, first part: search functions, shorten what won, count it, screen it.

Each function of a sample of the training functions is searched (by evolution that begins with the table of good plans,
or by the paper's random lists), and its best list is shortened. The lists that won most often are the candidates that
tune.py then tries on every function (the paper's broadcast); a list under which a self-checking program goes wrong is
dropped first.

Results are a folder of shards of the kind `search`, a row for each function; docs/formats.md lists the columns.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from irwright.candidates import list_candidate
from irwright.coreset import load_coreset
from irwright.corpus.selection import Chosen
from irwright.errors import PassListError
from irwright.labels.portions import (
    Portion,
    Tools,
    about_columns,
    about_function,
    bench,
    fill,
    plan_portions,
    spread,
    units,
)
from irwright.labels.units import Unit
from irwright.minimise import minimise
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.screen import screen
from irwright.screen_results import Verdict
from irwright.search import search
from irwright.shards import ShardFolder, arrow, encode
from irwright.task import Budget, Task
from irwright.verify.programs import find_programs

KIND = "search"
_FORMAT = 1  # raise it when what is found in the same functions changes
_PORTION_FUNCTIONS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How much is searched, and how."""

    num_functions: int = 2000
    """training functions, the projects taking turns"""
    compilations: int = 100
    """of each search"""
    minimise_compilations: int = 40
    """at most, to shorten the best list of each function"""
    strategy: Literal["evolve", "random"] = "evolve"
    protocol: str = "oz"
    min_instructions: int = 10
    max_instructions: int = 1500
    seed: int = 1


def search_columns() -> dict[str, Any]:
    """Columns of a folder of searches and their types."""
    pa, _ = arrow()
    numbers = ("bytes_before", "bytes_oz", "bytes_best", "num_compilations")
    return {**about_columns(pa), "passes": pa.string(), **dict.fromkeys(numbers, pa.int64())}


def search_functions(
    corpus: ShardFolder,
    results: ShardFolder,
    functions: Sequence[Chosen],
    tools: Tools,
    settings: SearchSettings,
    *,
    jobs: int,
    ray: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Counter[str]:
    """Search a sample of the training functions; what was searched before is kept. Returns what went wrong."""
    fitting = [
        f
        for f in functions
        if f.split == "train" and settings.min_instructions <= f.instructions <= settings.max_instructions
    ]
    about = [KIND, _FORMAT, tools.llvm, asdict(settings)]
    portions = plan_portions(spread(fitting, settings.num_functions), about, size=_PORTION_FUNCTIONS)
    report = None if progress is None else partial(progress, "search")
    problems = fill(results, corpus, portions, SearchPortion(tools, settings), jobs=jobs, ray=ray, progress=report)
    results.about |= {"made_by": {"settings": asdict(settings), "llvm": tools.llvm}}
    results.save()
    return problems


@dataclass(frozen=True, slots=True)
class SearchPortion:
    """Portions to shards, in a worker process (distribute.py)."""

    tools: Tools
    settings: SearchSettings

    def __call__(self, portion: Portion) -> tuple[bytes, dict[str, int]]:
        """The shard, and how often each reason was why a function gave nothing."""
        problems = Counter[str]()
        rows: list[dict[str, Any]] = []
        for function, unit in units(portion, bench(self.tools, self.settings.protocol), problems):
            found = search_unit(unit, self.settings, self.tools.major)
            if found is None:
                problems["-Oz makes no object of the function"] += 1
            else:
                rows.append({**found, **about_function(function)})
        num = sum(row["num_compilations"] for row in rows)
        summary = {"num_functions": len(rows), "num_compilations": num}
        return encode(rows, search_columns(), key=portion.key, summary=summary), dict(problems)


def search_unit(unit: Unit, settings: SearchSettings, llvm_major: int) -> dict[str, Any] | None:
    """The best list of one function, shortened; None where even -Oz fails."""
    task = Task(
        evaluator=unit.full,
        budget=Budget(compilations=settings.compilations),
        rng=random.Random(f"search {settings.seed} {unit.sha256}"),
        coreset=load_coreset(settings.protocol, llvm_major),
    )
    search(task, settings.strategy)
    if task.baseline is None or task.baseline.sizes is None or task.best is None:
        return None
    best = min(
        (trial for trial in task.evaluator.trials if trial.plan.is_one_list),
        key=lambda trial: (task.cost(trial), len(trial.plan.as_list())),
    )
    raw = task.evaluator.evaluate([Plan()], free=True)[0]

    def cost(passes: PassList) -> float:
        return task.cost(task.evaluator.evaluate([Plan(base=passes)])[0])

    short = minimise(best.plan.as_list(), cost, max_evaluations=settings.minimise_compilations)
    return {
        "passes": str(short),
        "bytes_before": None if raw.sizes is None else int(task.cost(raw)),
        "bytes_oz": int(task.cost(task.baseline)),
        "bytes_best": int(min(task.cost(best), cost(short))),
        "num_compilations": task.evaluator.num_compilations,
    }


def winners(results: ShardFolder, llvm_major: int) -> list[PassList]:
    """Lists that beat -Oz, by how much of a function they saved, summed over the functions they won on."""
    saved: Counter[str] = Counter()
    for row in results.rows(["split", "passes", "bytes_oz", "bytes_best"]):
        if row["split"] == "train" and row["bytes_best"] < row["bytes_oz"]:
            saved[row["passes"]] += round(1e6 * (1 - row["bytes_best"] / row["bytes_oz"]))
    ranked = sorted(saved.items(), key=lambda item: (-item[1], item[0]))
    return [passes for text, _ in ranked if (passes := _read(text, llvm_major)) is not None]


def _read(text: str, llvm_major: int) -> PassList | None:
    try:
        return PassList.parse(text, llvm_major=llvm_major) if text else None  # no passes at all: no answer
    except PassListError:
        return None


def right_lists(
    lists: Sequence[PassList], programs: Path, *, llvm: str | None, jobs: int, store: Path | None = None
) -> tuple[list[PassList], dict[str, str]]:
    """Those under which every self-checking program of a folder works; the others with what went wrong."""
    found = find_programs(programs)
    candidates = [list_candidate(passes) for passes in lists]
    bad: dict[str, str] = {}
    for report in screen(found, candidates, llvm=llvm, jobs=jobs, store=store, minimise=False):
        for name, judgement in report.judgements.items():
            if judgement.verdict is not Verdict.PASS:
                bad.setdefault(name, f"{judgement.verdict} on {report.program}: {judgement.detail}")
    named = zip(lists, candidates, strict=True)
    return [passes for passes, candidate in named if candidate.name not in bad], bad
