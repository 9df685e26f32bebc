"""How fast models are trained and asked: against bare matrix products, 2 processes against 1, llama.cpp against torch.

Times are CPU time of this process divided by its threads, so that what else runs on the machine counts less; with
several processes and with llama.cpp they are wall time, and the report says so.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from report import Report, Table, add_out_option, at_least

from irwright.errors import IrwrightError
from irwright.lm.export import write_gguf
from irwright.lm.generate import Generator
from irwright.lm.hf import write_folder
from irwright.lm.metrics import matmul_rate
from irwright.lm.model import Llama, build
from irwright.lm.optimizer import Optimizer, clip_gradients
from irwright.lm.presets import Shape, preset
from irwright.lm.tokenizer import Tokenizer, train_tokenizer
from irwright.models.answers import Request
from irwright.models.local import LocalModel

LENGTHS = (128, 256, 512, 1024)
MICRO_TOKENS = 4096
CPU = torch.device("cpu")


def cpu_clock() -> float:
    """CPU seconds of this process, as if its threads had shared them."""
    return time.process_time() / torch.get_num_threads()


def seconds_of(run: Callable[[], object], *, repeats: int) -> float:
    """Of one run, after one that warms up."""
    run()
    began = cpu_clock()
    for _ in range(repeats):
        run()
    return (cpu_clock() - began) / repeats


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
        bare = matmul_rate(shape, MICRO_TOKENS, device=CPU, bf16=True, seconds=2.0, clock=cpu_clock)
        for kind in ("as it is", "torch.compile") if compiled else ("as it is",):
            if kind == "torch.compile":
                model.model.compile(dynamic=True)
            began = time.perf_counter()
            run = a_step(model, optimizer, lengths=LENGTHS, call=model)
            run()
            first = time.perf_counter() - began
            seconds = seconds_of(run, repeats=repeats)
            without = seconds_of(a_step(model, None, lengths=LENGTHS, call=model), repeats=repeats)
            flops = sum(3 * shape.matmul_flops(length // 2) * MICRO_TOKENS for length in LENGTHS)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            rate = len(LENGTHS) * MICRO_TOKENS / seconds
            share = flops / seconds / bare
            rows.append(
                (name, kind, shape.num_parameters / 1e6, rate, flops / seconds / 1e9, bare / 1e9, 100 * share,
                 100 * (seconds - without) / seconds, first, memory)
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


def process_rows(examples: Path, *, tokens: str) -> list[tuple[str | int | float | None, ...]]:
    """Wall seconds of the same run by one process and by two, a thread each."""
    rows: list[tuple[str | int | float | None, ...]] = []
    words = ["-m", "irwright", "train", "--preset", "tiny", "--stages", "pretrain", "--tokens", tokens]
    for kind, world in (("copies", 1), ("copies", 2), ("parts", 2)):
        with tempfile.TemporaryDirectory() as folder:
            shared = {**os.environ, "OMP_NUM_THREADS": "1"}
            more = ["--examples", str(examples), "-o", folder, "--parallel", kind]
            launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"] if world > 1 else []
            command = [sys.executable, *launch, *words, *more]
            done = subprocess.run(command, env=shared, check=False, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"training.py: {done.stderr[-500:]}")
            from irwright.lm.metrics import read_metrics

            steps = [row for row in read_metrics(Path(folder) / "metrics.jsonl") if "stage" in row][2:]
            seconds = sum(row["seconds"] for row in steps)
            rows.append((f"{world} {kind}", sum(row["tokens"] for row in steps) / seconds, len(steps)))
    return rows


def asking_rows(shape: Shape, tokenizer: Tokenizer, *, threads: int) -> list[tuple[str | int | float | None, ...]]:
    """Tokens a second that a prompt is read with and an answer is written with, by llama.cpp and by torch."""
    rows: list[tuple[str | int | float | None, ...]] = []
    model = build(shape, 0)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    prompt = " = add i32 %1, %2\n" * 60
    ids = tokenizer.encode(prompt)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("f16", "q8_0"):
            path = Path(folder) / f"{kind}.gguf"
            write_gguf(path, model, tokenizer, kind=kind)
            with LocalModel(path, threads=threads) as local:
                local.ask(Request(prompt="x", max_tokens=4))
                short = local.ask(Request(prompt=prompt, max_tokens=1)).seconds
                known = local.ask(Request(prompt=prompt, max_tokens=1)).seconds  # the prompt is in its cache
                answer = local.ask(Request(prompt=prompt, max_tokens=256, temperature=1.0))
            decode = (answer.num_tokens - 1) / max(1e-9, answer.seconds - known)
            rows.append((f"llama.cpp {kind}", len(ids) / short, decode, path.stat().st_size / 1e6))
        write_folder(Path(folder) / "hf", model.shape, dict(model.named_parameters()), tokenizer)
        torch_model = Generator(Path(folder) / "hf")
        nothing: frozenset[int] = frozenset()
        torch_model.go_on(ids, max_tokens=2, ends=nothing)
        began = time.perf_counter()
        torch_model.go_on(ids, max_tokens=1, ends=nothing)
        short = time.perf_counter() - began
        began = time.perf_counter()
        torch_model.go_on(ids, max_tokens=101, ends=nothing)
        decode = 100 / (time.perf_counter() - began - short)
        rows.append(("torch, transformers, f32", len(ids) / short, decode, 4 * shape.num_parameters / 1e6))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--presets", default="tiny,small", help="which (default: tiny,small)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch and llama.cpp")
    parser.add_argument("--examples", type=Path, help="of `irwright examples`: also 2 processes against 1")
    parser.add_argument("--tokens", default="400K", help="of the runs with several processes")
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
        tokenizer = train_tokenizer([" = add i32 %1, %2\n"] * 100, num_tokens=512)
        shape = preset(names[0], num_tokens=4096)
        asking = asking_rows(shape, tokenizer, threads=options.threads)
        processes = [] if options.examples is None else process_rows(options.examples, tokens=options.tokens)
    except IrwrightError as error:
        raise SystemExit(f"training.py: {error}") from error
    TRAINING.rows.extend(rows)
    report.tables.append(TRAINING)
    columns = (names[0], "prompt tokens/s", "answer tokens/s", "weights MB")
    note = "Wall time; random weights, an answer of 256 (torch: 100) tokens behind a prompt of some hundred."
    report.tables.append(Table(title="Asking", columns=columns, rows=asking, note=note))
    if processes:
        note = "Wall time, one thread each; `copies` is DDP, `parts` FSDP2, over gloo."
        columns = ("processes", "tokens/s", "steps")
        report.tables.append(Table(title="Several processes", columns=columns, rows=processes, note=note))
    share = next(float(row[6] or 0) for row in rows if row[0] == names[0])
    report.goals.append(at_least(f"share of bare matmul speed, {names[0]}", 60, share, "%"))
    page = report.write(options.out)
    print(report.markdown())
    print(f"written to {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
