"""How fast models are trained and asked: against bare matrix products, 2 processes against 1, llama.cpp against torch.

Times are CPU time divided by threads, so that what else runs on the machine counts less; where there is wall time, the
report says so. What is compared is measured in turns,
and the median of the repetitions is what the report says.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from report import Report, Table, add_out_option, at_least

from irwright.errors import IrwrightError
from irwright.lm.export import write_gguf
from irwright.lm.generate import Generator
from irwright.lm.hf import read_model, write_folder
from irwright.lm.metrics import matmul_rate, read_metrics
from irwright.lm.model import Llama, build
from irwright.lm.optimizer import Optimizer, clip_gradients
from irwright.lm.presets import preset
from irwright.lm.tokenizer import Tokenizer, train_tokenizer
from irwright.models.answers import Request
from irwright.models.local import LocalModel

LENGTHS = (128, 256, 512, 1024)
MICRO_TOKENS = 4096
CPU = torch.device("cpu")
PROMPT = " = add i32 %1, %2\n" * 60
NOTHING: frozenset[int] = frozenset()


def cpu_clock() -> float:
    """CPU seconds of this process, as if its threads had shared them."""
    return time.process_time() / torch.get_num_threads()


def seconds_of(run: Callable[[], object]) -> float:
    """Of one run."""
    began = cpu_clock()
    run()
    return cpu_clock() - began


def a_step(model: Llama, optimizer: Optimizer | None, *, lengths: tuple[int, ...], call: Any) -> Callable[[], object]:
    """Forward, backward and update on a micro-batch of each length."""
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randint(0, model.shape.num_tokens, (MICRO_TOKENS // n, n), generator=generator) for n in lengths]

    def run() -> None:
        for ids in draw:
            with torch.autocast("cpu", torch.bfloat16):
                loss = call(ids, ids.roll(-1, 1))
            (loss / ids.numel() / len(draw)).backward()
        if optimizer is not None:
            clip_gradients(model.parameters(), 1.0)
            optimizer.step(0.1)
        for parameter in model.parameters():
            parameter.grad = None

    return run


def training_rows(names: list[str], *, repeats: int, compiled: bool) -> list[tuple[str | int | float | None, ...]]:
    """Tokens a second of each preset, and its share of the bare matrix products."""
    rows: list[tuple[str | int | float | None, ...]] = []
    for name in names:
        shape = preset(name, context=max(LENGTHS))
        model = build(shape, 0)
        options = {"muon": True, "matrix_rate": 0.02, "rate": 0.003, "weight_decay": 0.0}
        optimizer = Optimizer(model.named_parameters(), **options)  # type: ignore[arg-type]
        for kind in ("as it is", "torch.compile") if compiled else ("as it is",):
            if kind == "torch.compile":
                model.model.compile(dynamic=True)
            began = time.perf_counter()
            step, without = (a_step(model, one, lengths=LENGTHS, call=model) for one in (optimizer, None))
            step()
            first = time.perf_counter() - began
            flops = sum(3 * shape.matmul_flops(length // 2) * MICRO_TOKENS for length in LENGTHS)
            turns: list[tuple[float, float, float]] = []
            for _ in range(repeats):
                bare = matmul_rate(shape, MICRO_TOKENS, device=CPU, bf16=True, clock=cpu_clock)
                turns.append((seconds_of(step), seconds_of(without), bare))
            seconds, bare = median(turn[0] for turn in turns), median(turn[2] for turn in turns)
            share = median(flops / taken / speed for taken, _, speed in turns)
            update = median(1 - less / taken for taken, less, _ in turns)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rate = len(LENGTHS) * MICRO_TOKENS / seconds
            rows.append(
                (name, kind, shape.num_parameters / 1e6, rate, flops / seconds / 1e9, bare / 1e9, 100 * share,
                 100 * update, first, memory)
            )  # fmt: skip
    return rows


TRAINING = Table(
    title="Training: forward, backward, update",
    columns=(
        "preset", "", "million parameters", "tokens/s", "GFLOP/s", "bare matmul GFLOP/s", "share %",
        "optimizer % of time", "first step s", "peak memory so far MB",
    ),
    rows=[],
    note=(
        f"A step is a micro-batch of {MICRO_TOKENS:,} tokens of each of the lengths {', '.join(map(str, LENGTHS))}, "
        "bfloat16 autocast, Muon and AdamW. Bare: the matrix products of the same layers, forward and backward, in "
        "bfloat16, and nothing else."
    ),
)  # fmt: skip


def process_rows(examples: Path, *, tokens: int) -> list[tuple[str | int | float | None, ...]]:
    """Tokens a second of CPU of the same run by one process and by two, a thread each, and wall tokens a second.

    Start, tokenising and writing are the same in a short run and in one of three times its tokens: what counts is how
    much longer the long one takes.
    """
    rows: list[tuple[str | int | float | None, ...]] = []
    for kind, world in (("copies", 1), ("copies", 2), ("parts", 2)):
        (less, _, _), (more, wall, memory) = (_train(examples, kind, world, n) for n in (tokens, 3 * tokens))
        rows.append((f"{world} {kind}", 2 * tokens / (more - less), wall, memory))
    alone = float(rows[0][1] or 0)
    return [(name, rate, float(rate or 0) / alone * int(str(name)[0]), *more) for name, rate, *more in rows]


def _train(examples: Path, kind: str, world: int, tokens: int) -> tuple[float, float, float]:
    """CPU seconds of a run, its tokens a wall second, and the peak memory of its largest process in MB."""
    words = ["-m", "irwright", "train", "--preset", "tiny", "--stages", "pretrain", "--tokens", str(tokens)]
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"] if world > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            *launch,
            *words,
            "--batch-tokens",
            str(2 * MICRO_TOKENS),
            "--examples",
            str(examples),
        ]
        shared = {**os.environ, "OMP_NUM_THREADS": "1"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [*command, "-o", folder, "--parallel", kind], env=shared, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"training.py: {done.stderr[-500:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        steps = [row for row in read_metrics(Path(folder) / "metrics.jsonl") if "stage" in row]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = sum(row["seconds"] for row in steps)
    return cpu, sum(row["tokens"] for row in steps) / seconds, after.ru_maxrss / 1024


def random_model(name: str, folder: Path) -> None:
    """A folder with a model of a preset that has learnt nothing."""
    model = build(preset(name, num_tokens=4096), 0)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    tokenizer = train_tokenizer([" = add i32 %1, %2\n"] * 100, num_tokens=512)
    write_folder(folder, model.shape, dict(model.named_parameters()), tokenizer)


def asking_rows(folder: Path, *, threads: int, repeats: int) -> list[tuple[str | int | float | None, ...]]:
    """Tokens a second that a prompt is read with and an answer is written with, by llama.cpp and by torch."""
    model, tokenizer = read_model(folder), Tokenizer.load(folder)
    ids = tokenizer.encode(PROMPT)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        askers: list[tuple[str, Callable[[], tuple[float, float]], float]] = []
        for kind in ("f16", "q8_0"):
            path = Path(scratch) / f"{kind}.gguf"
            write_gguf(path, model, tokenizer, kind=kind)
            local = stack.enter_context(LocalModel(path, threads=threads))
            local.ask(Request(prompt="x", max_tokens=4))
            ask = partial(_ask_llama_cpp, local, PROMPT, len(ids), itertools.count(1))
            askers.append((f"llama.cpp {kind}", ask, path.stat().st_size / 1e6))
        generator = Generator(folder)
        generator.go_on(ids, max_tokens=2, ends=NOTHING)
        askers.append(
            ("torch, transformers, f32", partial(_ask_torch, generator, ids), 4 * model.shape.num_parameters / 1e6)
        )
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in askers}
        for _ in range(repeats):
            for name, ask, _ in askers:
                rates[name].append(ask())
    return [
        (name, len(ids), median(read for read, _ in rates[name]), median(write for _, write in rates[name]), megabytes)
        for name, _, megabytes in askers
    ]


def _family_clock() -> float:
    """CPU seconds of this process and those below it that live, as if as many threads as torch has had shared them."""
    ticks, waiting = 0, [os.getpid()]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        ticks += sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:13]))
        for children in folder.glob("task/*/children"):
            waiting += map(int, children.read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK") / torch.get_num_threads()


def _ask_llama_cpp(local: LocalModel, prompt: str, num_tokens: int, fresh: Iterator[int]) -> tuple[float, float]:
    """(prompt tokens, answer tokens) a second."""
    read = known = 0.0
    for number in islice(fresh, 4):  # the clock ticks a hundred times a second
        asked = Request(prompt=f"{number}{prompt}", max_tokens=1)  # begins as none before: it keeps what it has read
        times = [_family_clock()]
        for _ in range(2):  # the second time only an answer is made
            local.ask(asked)
            times.append(_family_clock())
        read, known = read + times[1] - times[0], known + times[2] - times[1]
    began = _family_clock()
    asks = (replace(asked, max_tokens=256, temperature=1.0, seed=seed) for seed in range(4))
    said = sum(local.ask(one).num_tokens for one in asks)
    return 4 * num_tokens / (read - known), (said - 4) / (_family_clock() - began - known)


def _ask_torch(generator: Generator, ids: list[int]) -> tuple[float, float]:
    read = seconds_of(lambda: generator.go_on(ids, max_tokens=1, ends=NOTHING))
    whole = seconds_of(lambda: generator.go_on(ids, max_tokens=101, ends=NOTHING))
    return len(ids) / read, 100 / (whole - read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--presets", default="tiny,small", help="which (default: tiny,small)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch and llama.cpp")
    parser.add_argument("--examples", type=Path, help="of `irwright examples`: also 2 processes against 1")
    parser.add_argument("--tokens", type=int, default=100_000, help="of the shorter runs with several processes")
    parser.add_argument("--model", type=Path, help="folder of a model to ask (default: random weights)")
    parser.add_argument("--compile", action="store_true", help="also torch.compile")
    parser.add_argument("--repeats", type=int, default=5)
    add_out_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = options.presets.split(",")
    versions = {"torch": torch.__version__, "threads": str(options.threads)}
    report = Report("training", "Training and asking models", versions=versions)
    report.summary = "Tokens a second of training against bare matrix products, and of llama.cpp against torch."
    try:
        rows = training_rows(names, repeats=options.repeats, compiled=options.compile)
        with tempfile.TemporaryDirectory() as scratch:
            if options.model is None:
                random_model(names[0], Path(scratch) / "model")
            folder = options.model or Path(scratch) / "model"
            asking = asking_rows(folder, threads=options.threads, repeats=options.repeats)
        processes: list[tuple[str | int | float | None, ...]] = []
        if options.examples is not None:
            processes = process_rows(options.examples, tokens=options.tokens)
    except IrwrightError as error:
        raise SystemExit(f"training.py: {error}") from error
    TRAINING.rows.extend(rows)
    report.tables.append(TRAINING)
    columns = ("by", "prompt tokens", "prompt tokens/s", "answer tokens/s", "weights MB")
    what = "Random weights" if options.model is None else "The weights of --model"
    note = f"{what}, answers of up to 256 (torch: 100) tokens behind the prompt; in turns, medians."
    report.tables.append(Table(title="Asking", columns=columns, rows=asking, note=note))
    if processes:
        note = (
            "One thread each, preset tiny; `copies` is DDP, `parts` FSDP2, over gloo. CPU: of all processes together, "
            "start and tokenising taken off. Times one process: what that gives with a core for each."
        )
        columns = (
            "processes",
            "tokens per CPU s",
            "times one process",
            "tokens/s, wall",
            "peak memory of one so far MB",
        )
        report.tables.append(Table(title="Several processes", columns=columns, rows=processes, note=note))
    for row in rows:
        if row[0] == "tiny":
            report.goals.append(at_least(f"share of bare matmul speed, tiny, {row[1]}", 60, float(row[6] or 0), "%"))
    page = report.write(options.out)
    print(report.markdown())
    print(f"written to {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
