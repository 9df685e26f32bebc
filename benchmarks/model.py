"""What a trained model can do after each stage, on held-out projects: loss, and every task judged by the compiler.

Pass lists stand beside the table's at the same number of compilations; code beside what a program without a model would
say. Answers are kept in `--store`, so that a killed run goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from report import Goal, Report, Table, add_out_option, at_least, geomean

from irwright.emulation import PREDICTORS, trivial_answer
from irwright.labels.asking import ask_code, ask_name, ask_often
from irwright.labels.scoring import score
from irwright.labels.units import Bench
from irwright.llvm.toolchain import find
from irwright.lm.export import export
from irwright.lm.hf import read_model
from irwright.lm.metrics import FILE as METRICS_FILE
from irwright.lm.metrics import plot, read_metrics
from irwright.lm.processes import Processes
from irwright.lm.settings import TrainSettings
from irwright.lm.tokenizer import STAGES, Stage, Tokenizer
from irwright.lm.tokens import TokenSet, open_examples, tokenise
from irwright.lm.train import heldout_row
from irwright.models.answers import LanguageModel
from irwright.models.local import LocalModel
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.proposers import CoresetProposer, ListProposer, ModelProposer
from irwright.tasks.text import ASM, IR, split_tags

TRIVIAL = {"oz": "every list does what -Oz does", "unchanged": "no list does anything"}
CODE_TASKS = ("emulate", "disassemble")
KINDS = ("ir", "asm-x86-64", "list")
CLASSES = (64, 128, 256)
COUNTS = (1, 3, 8)
LLVM = 22
CODE_COLUMNS = ("answers", "number", "valid %", "exact %", "size error, median %", "asked, mean")
CODE_NOTE = (
    "Valid: LLVM takes the code (assembly: the assembler; IR of assembly: code generation too). Exact: the compiler's "
    "own text (disassemble: recompiles to the prompt's assembly). Guided: what LLVM refused is said again, and tokens "
    "with which no right code goes on are not taken (models/guided.py). Of eight: the likeliest answer and seven drawn "
    "ones; the most frequent of those that LLVM takes and whose code has the sizes that they tell (disassemble: "
    "recompiles to the prompt's assembly); else as guided. By name: the model says which of five known lists does the "
    "same, and the code is what LLVM makes with that one (tasks/emulate.py)."
)
GAIN_COLUMNS = ("lists of", "compilations", "valid %", "bytes saved %", "geomean %", "functions smaller")
GAIN_NOTE = (
    "Protocol `oz` on {} functions as modules of their own, as the prompt shows them; -Oz is the baseline and the "
    "backup, and is not counted among the compilations. Coreset: the first lists of the shipped table."
)


@dataclass(slots=True)
class Store:
    """Results by key, appended to a file of JSON lines."""

    path: Path
    known: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.path.exists():
            self.known = {row["key"]: row["value"] for row in map(json.loads, self.path.read_text().splitlines())}

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """What is known, or made now."""
        if key not in self.known:
            self.known[key] = make()
            with self.path.open("a") as file:
                file.write(json.dumps({"key": key, "value": self.known[key]}) + "\n")
        return self.known[key]


def shown_code(row: dict[str, Any]) -> str:
    """The code of a prompt."""
    return next(piece for tag, piece in split_tags(row["prompt"]) if tag in (IR, ASM) and piece)


def num_code_tokens(row: dict[str, Any], tokenizer: Tokenizer) -> int:
    """Tokens of the code that is shown or answered, whichever is longer."""
    answer = 0 if row["stage"] == "tune" else len(tokenizer.encode(row["completion"]))
    return max(len(tokenizer.encode(shown_code(row))), answer)


def sample(
    folders: Sequence[Path], tokenizer: Tokenizer, *, numbers: dict[str, int], seed: int
) -> dict[str, list[dict[str, Any]]]:
    """Held-out examples of each task up to the longest class, the projects taking turns."""
    by_task: dict[str, dict[str, list[dict[str, Any]]]] = {}
    seen: set[tuple[str, str]] = set()  # folders may overlap
    for folder in open_examples(*folders):
        for row in folder.rows():
            key = (row["stage"], row["sha256"])
            if row["split"] == "heldout" and row["stage"] != "pretrain" and row["kind"] in KINDS and key not in seen:
                seen.add(key)
                by_task.setdefault(row["stage"], {}).setdefault(row["project"], []).append(row)
    chosen: dict[str, list[dict[str, Any]]] = {}
    for task, projects in by_task.items():
        rng = random.Random(f"{seed} {task}")
        for rows in projects.values():
            rng.shuffle(rows)
        rows = chosen.setdefault(task, [])
        for row in _turns(projects):
            if len(rows) < numbers[task] and num_code_tokens(row, tokenizer) <= CLASSES[-1]:
                rows.append(row)
    return chosen


def _turns(projects: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for at in range(max(map(len, projects.values()), default=0)):
        yield from (rows[at] for _, rows in sorted(projects.items()) if at < len(rows))


# ---- answers that are code


How = Literal["first answer", "guided", "by name", "of eight"]


def code_answer(model: LanguageModel, bench: Bench, example: dict[str, Any], *, how: How) -> dict[str, Any]:
    """One answer, judged."""
    if how == "by name":
        said = ask_name(bench, model, example, shown_code(example))
    elif how == "of eight":
        said = ask_often(bench, model, example, count=8, max_tokens=2 * CLASSES[-1], guided=False)
    else:
        said = ask_code(bench, model, example, max_tokens=2 * CLASSES[-1], guided=how == "guided")
    judged = score(bench, example, said.text)
    return {**asdict(judged), "asked": said.num_asked, "tokens": said.num_tokens, "text": said.text}


# ---- pass lists


def list_costs(bench: Bench, example: dict[str, Any], proposer: ListProposer, count: int) -> dict[str, Any]:
    """Bytes of -Oz and of each proposed list on the prompt's IR; None where LLVM fails on one."""
    text = next(piece for tag, piece in split_tags(example["prompt"]) if tag == IR)
    lists = [proposal.passes for proposal in proposer.lists(text, count)]
    unit = bench.of_text(text)
    oz = PassList.parse("default<Oz>", llvm_major=bench.llvm_major)
    costs = [t.cost(bench.protocol) for t in unit.full.evaluate([Plan(base=oz), *(Plan(base=one) for one in lists)])]
    sizes = [None if cost == float("inf") else int(cost) for cost in costs]
    return {"oz": sizes[0], "sizes": sizes[1:], "lists": list(map(str, lists))}


def gain_row(name: str, results: Sequence[dict[str, Any]], count: int) -> tuple[str, int, float, float, float, int]:
    """(who, k, valid %, saved % of bytes, geomean %, functions smaller) of the first `count` lists, -Oz as a backup."""
    usable = [one for one in results if one["oz"]]
    best = [min([one["oz"], *(size for size in one["sizes"][:count] if size)]) for one in usable]
    said = sum(len(one["sizes"][:count]) for one in usable)
    valid = sum(size is not None for one in usable for size in one["sizes"][:count])
    oz = sum(one["oz"] for one in usable)
    ratio = geomean([size / one["oz"] for one, size in zip(usable, best, strict=True)])
    smaller = sum(size < one["oz"] for one, size in zip(usable, best, strict=True))
    share = 100 * valid / said if said else 0.0
    return name, count, share, 100 * (1 - sum(best) / oz), 100 * (1 - ratio), smaller


# ---- tables


def training_table(runs: dict[Stage, Path], sets: dict[tuple[Stage, str], TokenSet]) -> Table:
    """What each stage was trained on, and how long."""
    rows: list[tuple[Any, ...]] = []
    for stage, run in runs.items():
        steps = [row for row in read_metrics(run / METRICS_FILE) if "tokens" in row]
        own = sets[stage, "train"]
        counts = (len(steps), sum(row["tokens"] for row in steps), sum(row["targets"] for row in steps))
        rows.append((stage, len(own), len(own.ids), *counts, sum(row["seconds"] for row in steps)))
    columns = ("stage", "examples", "their tokens", "steps", "tokens, padded", "tokens learned", "seconds")
    note = "Examples of training projects; seconds are wall time of one thread, on a machine that did other things too."
    return Table(title="Training", columns=columns, rows=rows, note=note)


def loss_table(runs: dict[Stage, Path], sets: dict[tuple[Stage, str], TokenSet], *, max_tokens: int) -> Table:
    """Held-out loss and token accuracy: of each stage as its run measured it, and of the last model on every task."""
    rows: list[tuple[Any, ...]] = []
    for stage, run in runs.items():
        for row in read_metrics(run / METRICS_FILE):
            if row.get("heldout") == stage:
                rows.append((f"{stage}: {stage}", row["loss"], 100 * row["accuracy"], row["targets"]))
    last = list(runs)[-1]
    model = read_model(runs[last] / "stages" / last)
    for task in STAGES[: STAGES.index(last)]:
        tokens, context = sets[task, "heldout"], model.shape.context
        one = heldout_row(model, tokens, context, TrainSettings(), Processes(), max_tokens=max_tokens)
        rows.append((f"{last}: {task}", one["loss"], 100 * one["accuracy"], one["targets"]))
    note = (
        "Nats a token, of what an answer says. A stage's own task by its run, on at most 200,000 tokens, prompts "
        f"included; the last model on earlier tasks on at most {max_tokens:,}."
    )
    columns = ("after stage: task", "loss", "tokens right %", "tokens")
    return Table(title="Loss", columns=columns, rows=rows, note=note)


def code_rows(name: str, results: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    """One line of the table of code."""
    number = len(results)
    valid, exact = (100 * sum(one[what] for one in results) / number for what in ("valid", "exact"))
    errors = sorted(one["bytes_error"] for one in results if one["bytes_error"] is not None)
    error = 100 * errors[len(errors) // 2] if errors else None
    return name, number, valid, exact, error, sum(one["asked"] for one in results) / number


def class_rows(name: str, results: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The same by length."""
    rows: list[tuple[Any, ...]] = []
    for low, high in zip((0, *CLASSES), CLASSES, strict=False):
        part = [one for one in results if low < one["code_tokens"] <= high]
        if part:
            shares = [100 * sum(one[what] for one in part) / len(part) for what in ("valid", "exact")]
            rows.append((f"{name}, {low + 1} to {high} tokens", len(part), *shares))
    return rows


@dataclass(slots=True, kw_only=True)
class Exam:
    """Everything that is asked of one model after the other."""

    bench: Bench
    store: Store
    chosen: dict[str, list[dict[str, Any]]]
    tokenizer: Tokenizer
    last_only: bool = False

    def code(self, model: LanguageModel, run: str, task: str, *, how: How) -> list[dict[str, Any]]:
        """Answers to all examples of a task."""
        results: list[dict[str, Any]] = []
        for row in self.chosen.get(task, []):
            key = f"{run} {task} {how} {row['sha256']} {row['kind']}"
            one = self.store.get(key, lambda row=row: code_answer(model, self.bench, row, how=how))
            results.append({**one, "code_tokens": num_code_tokens(row, self.tokenizer)})
        return results

    def lists(self, name: str, proposer: ListProposer) -> list[dict[str, Any]]:
        """Costs of lists for all examples of tuning."""
        rows = self.chosen.get("tune", [])
        return [
            self.store.get(
                f"{name} tune {row['sha256']}", lambda row=row: list_costs(self.bench, row, proposer, max(COUNTS))
            )
            for row in rows
        ]


def trivial(bench: Bench, example: dict[str, Any], predictor: str) -> dict[str, Any]:
    """What a program says that reads no pass list (emulation.py), judged like a model's answer."""
    output = "asm" if str(example["kind"]).startswith("asm") else "ir"
    text = trivial_answer(bench, bench.of_text(shown_code(example)), predictor, output)
    return {**asdict(score(bench, example, text)), "asked": 0, "tokens": 0, "text": text}


@dataclass(slots=True)
class Rows:
    """Lines of the three tables."""

    code: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    lengths: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    gains: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])

    def add_code(self, name: str, results: Sequence[dict[str, Any]], *, by_length: bool = True) -> None:
        """Answers to one task."""
        self.code.append(code_rows(name, results))
        self.lengths += class_rows(name, results) if by_length else []

    def add_lists(self, name: str, results: Sequence[dict[str, Any]]) -> None:
        """Lists of one proposer."""
        self.gains += [gain_row(name, results, count) for count in COUNTS]


def ask_stage(exam: Exam, rows: Rows, model: LanguageModel, stage: Stage, *, is_last: bool) -> list[Goal]:
    """All that is asked of the model of one stage; the goals that the last one meets or misses."""
    goals: list[Goal] = []
    known = STAGES[1 : STAGES.index(stage) + 1]
    for task in (task for task in known if task in CODE_TASKS):
        name = f"after {stage}: {task}"
        rows.add_code(f"{name}, first answer", exam.code(model, stage, task, how="first answer"), by_length=False)
        if not is_last:
            continue
        guided = exam.code(model, stage, task, how="guided")
        rows.add_code(f"{name}, guided", guided)
        often = exam.code(model, stage, task, how="of eight")
        often = [one if one["valid"] else other for one, other in zip(often, guided, strict=True)]
        rows.add_code(f"{name}, of eight", often)
        goals += code_goals(task, guided)
        if task == "emulate":
            free = max(float(row[3]) for row in rows.code[: len(PREDICTORS)])
            rows.add_code(f"{name}, by name", exam.code(model, stage, task, how="by name"))
            goals.append(at_least("emulate, by name: exact; wanted: what is free", free, rows.code[-1][3], "%"))
    if "tune" in known:
        rows.add_lists(f"model after {stage}", exam.lists(stage, ModelProposer(model=model, llvm_major=LLVM)))
        goals += [at_least("valid pass lists", 100, rows.gains[-1][2], "%")] if is_last else []
    return goals


def ask_beside(exam: Exam, rows: Rows, model: LanguageModel, name: str) -> None:
    """The same questions to another model."""
    for task in CODE_TASKS:
        rows.add_code(
            f"{name}: {task}, first answer", exam.code(model, name, task, how="first answer"), by_length=False
        )
        rows.add_code(f"{name}: {task}, guided", exam.code(model, name, task, how="guided"))
    rows.add_code(f"{name}: emulate, by name", exam.code(model, name, "emulate", how="by name"), by_length=False)
    rows.add_lists(name, exam.lists(name, ModelProposer(model=model, llvm_major=LLVM)))


def stage_tables(
    exam: Exam, runs: dict[Stage, Path], *, threads: int, beside: Path | None = None
) -> tuple[list[Table], list[Goal]]:
    """Code and lists by every stage's model; the last one is also asked with LLVM's help."""
    rows, goals = Rows(), list[Goal]()
    for predictor in PREDICTORS:
        said = [
            exam.store.get(f"{predictor} {row['sha256']}", lambda row=row, by=predictor: trivial(exam.bench, row, by))
            for row in exam.chosen.get("emulate", [])
        ]
        rows.add_code(f"no model, {TRIVIAL[predictor]}: emulate", said, by_length=False)
    last = list(runs)[-1]
    for stage, run in runs.items():
        if stage == STAGES[0] or (exam.last_only and stage != last):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{stage}.gguf"
            export(run, path, to="gguf", kind="q8_0", stage=stage)
            with LocalModel(path, threads=threads) as model:
                goals += ask_stage(exam, rows, model, stage, is_last=stage == last)
    if beside:
        with LocalModel(beside, threads=threads) as model:
            ask_beside(exam, rows, model, f"the model before ({beside.name})")
    rows.add_lists("coreset", exam.lists("coreset", CoresetProposer(llvm_major=LLVM)))
    return [
        Table(title="Code", columns=CODE_COLUMNS, rows=rows.code, note=CODE_NOTE),
        Table(title="Code by length", columns=("task", "answers", "valid %", "exact %"), rows=rows.lengths),
        Table(
            title="Pass lists", columns=GAIN_COLUMNS, rows=rows.gains, note=GAIN_NOTE.format(len(exam.chosen["tune"]))
        ),
    ], goals


def code_goals(task: str, results: Sequence[dict[str, Any]]) -> list[Goal]:
    """What issue and README promise of code."""
    number = max(1, len(results))
    valid, exact = (100 * sum(one[what] for one in results) / number for what in ("valid", "exact"))
    goals = [at_least(f"{task}: valid, guided", 90, valid, "%")]
    return goals + ([at_least("emulate: exact", 10, exact, "%")] if task == "emulate" else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, action="append", required=True, help="a run; give all, in order")
    parser.add_argument("--examples", type=Path, action="append", required=True, help="of `irwright examples`")
    parser.add_argument("--store", type=Path, required=True, help="file of answers; a run in it goes on")
    parser.add_argument("--number", type=int, default=60, help="examples of each task of code")
    parser.add_argument("--lists", type=int, default=400, help="examples of tuning")
    parser.add_argument("--last-only", action="store_true", help="ask the model of the last stage alone")
    parser.add_argument("--loss-tokens", type=int, default=20_000, help="held-out tokens for the losses, each")
    parser.add_argument("--beside", type=Path, help="a GGUF of a native model that is asked the same")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    add_out_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs: dict[Stage, Path] = {
        stage: run for stage in STAGES for run in options.run if (run / "stages" / stage / "config.json").exists()
    }
    tokenizer = Tokenizer.load(next(iter(runs.values())))
    numbers: dict[str, int] = {**dict.fromkeys(CODE_TASKS, options.number), "tune": options.lists}
    chosen = sample(options.examples, tokenizer, numbers=numbers, seed=options.seed)
    report = Report("model", "The bundled model, stage by stage", versions={"torch": torch.__version__})
    report.summary = (
        "Held-out projects alone; code of up to 256 tokens; q8_0 by llama.cpp, greedy where not said otherwise."
    )
    store = Store(options.store)
    sets = tokenise(open_examples(*options.examples), tokenizer, options.store.with_suffix(".tokens"))
    report.tables.append(training_table(runs, sets))
    report.tables.append(loss_table(runs, sets, max_tokens=options.loss_tokens))
    with Bench(find().library.path, llvm_major=LLVM) as bench:
        exam = Exam(bench=bench, store=store, chosen=chosen, tokenizer=tokenizer, last_only=options.last_only)
        tables = stage_tables(exam, runs, threads=options.threads, beside=options.beside)
    report.tables += tables[0]
    options.out.mkdir(parents=True, exist_ok=True)
    plot([row for run in runs.values() for row in read_metrics(run / METRICS_FILE)], options.out / "model-loss.svg")
    report.goals += tables[1]
    page = report.write(options.out)
    print(report.markdown())
    print(f"written to {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
