"""`irwright examples` whole: choose functions, search for good lists where tuning is asked for, make the examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from irwright.coreset import load_coreset
from irwright.corpus.selection import Selection, check_leaks, select
from irwright.files import write_output
from irwright.labels.examples import Made, make, open_examples
from irwright.labels.outcomes import KnownTrials
from irwright.labels.portions import Tools
from irwright.labels.search import KIND, SearchSettings, right_lists, search_functions, winners
from irwright.labels.texts import TextSettings
from irwright.passes import PassList
from irwright.shards import ShardFolder, key_of

SHORTEST = 24
"""characters of an instruction, on an average over a function that has few"""
SEARCH_FOLDER = "_search"
"""below the examples; readers of Parquet folders pass over names that begin so"""

Progress = Callable[[str, int, int], None]
"""(what is done, how many of it, of how many)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to make, and with what."""

    texts: TextSettings
    search: SearchSettings
    tools: Tools
    table_size: int = 64
    """lists that every function is tried with"""
    lists: tuple[PassList, ...] = ()
    """these make the table, in place of a search"""
    programs: Path | None = None
    """self-checking programs that lists have to keep right; None: lists are not screened"""
    llvm: str | None = None
    limit: int | None = None
    """functions, the projects taking turns"""
    replace: bool = False
    """remove shards that this job would not make"""
    jobs: int = 1
    ray: str | None = None

    def run(self, corpus: ShardFolder, output: Path, progress: Progress | None = None) -> Made:
        """Make the examples; what is there already stays."""
        chosen = select(corpus, max_instructions=self.texts.max_chars // SHORTEST)
        check_leaks(chosen.functions)
        if self.texts.trials:
            has = self._trials.has
            tried = [one for one in chosen.functions if has(one.project, one.path, one.name)]
            chosen = replace(chosen, functions=tried)
        texts, problems = self.texts, Counter[str]()
        if "tune" in texts.stages:
            table, problems = self._table(corpus, output / SEARCH_FOLDER, chosen, progress)
            texts = replace(texts, tune_lists=tuple(map(str, table)), protocol=self.search.protocol)
        made = make(
            corpus,
            open_examples(output),
            self.tools,
            texts,
            selection=chosen,
            limit=self.limit,
            replace=self.replace,
            jobs=self.jobs,
            ray=self.ray,
            progress=progress,
        )
        return replace(made, problems=made.problems + problems)

    @property
    def _trials(self) -> KnownTrials:
        folder, protocol = Path(self.texts.trials), self.search.protocol
        return KnownTrials(folder=folder, protocol=protocol, llvm_major=self.tools.major)

    def _table(
        self, corpus: ShardFolder, folder: Path, chosen: Selection, progress: Progress | None
    ) -> tuple[list[PassList], Counter[str]]:
        """The lists to try on every function, best first: given ones, what a search finds, or the shipped table's."""
        if self.texts.trials:
            return self._trials.table(self.table_size), Counter()
        if self.lists:
            return self._right(list(self.lists[: self.table_size]), folder), Counter()
        if not self.search.num_functions:
            plans = load_coreset(self.search.protocol, self.tools.major).lists
            return [plan.as_list() for plan in plans if plan.is_one_list][: self.table_size], Counter()
        results = ShardFolder(folder, kind=KIND)
        problems = search_functions(
            corpus,
            results,
            chosen.functions,
            self.tools,
            self.search,
            jobs=self.jobs,
            ray=self.ray,
            progress=progress,
        )
        # Some will not pass the screening: half as many again are looked at.
        lists = winners(results, self.tools.major)[: self.table_size + self.table_size // 2]
        return self._right(lists, folder), problems

    def _right(self, lists: list[PassList], folder: Path) -> list[PassList]:
        """The first of the lists under which the programs, where there are some, go right; the folder says which."""
        bad: dict[str, str] = {}
        if self.programs is not None and lists:
            store = folder / "screening.jsonl"
            lists, bad = right_lists(lists, self.programs, llvm=self.llvm, jobs=self.jobs, store=store)
        table = lists[: self.table_size]
        facts = {
            "table": list(map(str, table)),
            "screened": self.programs is not None,
            "rejected": bad,
            "key": key_of(list(map(str, table))),
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_output(folder / "table.json", (json.dumps(facts, indent=1) + "\n").encode())
        return table
