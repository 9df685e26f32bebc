# pyright: standard
"""What a run says about itself: metrics.jsonl, a line of progress, curves, and how fast the machine multiplies.

metrics.jsonl has one object a line: a step (`step`, `stage`, `loss` per learned token, `tokens`, `targets`, `rate` that
learning rates are multiplied with, `gradient`: its norm, `flops`, `seconds`), or a measurement on held-out examples
(`heldout`: their stage, `step`, `loss`, `accuracy` by token, `targets`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from irwright.errors import StorageError
from irwright.lm.presets import Shape

FILE = "metrics.jsonl"


class Metrics:
    """Appends to metrics.jsonl; what was written after a checkpoint is cut off when the run goes on from it."""

    def __init__(self, path: Path, *, keep_bytes: int) -> None:
        self._path = path
        try:
            self._file = path.open("ab")
            if self._file.tell() > keep_bytes:
                self._file.truncate(keep_bytes)
        except OSError as error:
            raise StorageError(str(path), f"can't be written ({error.strerror or error})") from error

    def add(self, row: dict[str, Any]) -> None:
        """One line; a full disk costs the line, not the run."""
        try:
            self._file.write(json.dumps(row).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            print(f"irwright: warning: {self._path}: {error.strerror or error}", file=sys.stderr)

    @property
    def num_bytes(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete lines."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [json.loads(line) for line in lines[:-1]]


def matmul_rate(
    shape: Shape,
    micro_tokens: int,
    *,
    device: torch.device,
    bf16: bool,
    seconds: float = 0.6,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Floating-point operations a second of nothing but the model's matrix products, forward and backward."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    qkv = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_width
    sizes = [
        *[(shape.width, qkv), (shape.width, shape.width), (shape.width, 2 * shape.hidden), (shape.hidden, shape.width)]
        * shape.num_layers,
        (shape.width, shape.num_tokens),
    ]
    made = {
        size: (torch.randn(micro_tokens, size[0]).to(device, dtype), torch.randn(size[1], size[0]).to(device, dtype))
        for size in set(sizes)
    }
    one_round = sum(6 * micro_tokens * k * n for k, n in sizes)

    def multiply() -> None:
        for size in sizes:
            x, w = made[size]
            y = x @ w.T
            _ = y.T @ x, y @ w
        if device.type == "cuda":
            torch.cuda.synchronize()

    multiply()  # the first round warms up
    began, rounds = clock(), 0
    while clock() - began < seconds:
        multiply()
        rounds += 1
    return one_round * rounds / (clock() - began)


class Progress:
    """A line on stderr while a run goes on; nothing where stderr is no terminal."""

    def __init__(self, num_steps: int, done: int) -> None:
        self._num_steps = num_steps
        self._done = done
        self._update: Any = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the line inside the `with`."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps"))
        bar = Bar(*columns, TimeRemainingColumn(), TextColumn("{task.fields[rates]}"), console=Console(stderr=True))
        with bar:
            task = bar.add_task("starting", total=self._num_steps, completed=self._done, rates="")
            self._update = lambda text, done, rates: bar.update(task, description=text, completed=done, rates=rates)
            yield
            self._update = None

    def step(self, row: dict[str, Any], *, share: float | None) -> None:
        """Show one step's numbers; `share` is of the bare matmul speed."""
        if self._update is None:
            return
        rates = f"{row['tokens'] / row['seconds']:,.0f} tokens/s"
        rates += "" if share is None else f", {share:.0%} of bare matmul"
        self._update(f"{row['stage']} loss {row['loss']:.3f}", row["step"], rates)


def plot(metrics: list[dict[str, Any]], path: Path) -> bool:
    """Loss by tokens, stages in colours, held-out losses as points, as SVG; False where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    tokens, smooth = 0, None
    curves: dict[str, tuple[list[float], list[float]]] = {}
    points: dict[str, tuple[list[float], list[float]]] = {}
    for row in metrics:
        if "heldout" in row:
            xs, ys = points.setdefault(row["heldout"], ([], []))
            xs.append(tokens / 1e6)
            ys.append(row["loss"])
            continue
        tokens += row["tokens"]
        smooth = row["loss"] if smooth is None or row["stage"] not in curves else 0.95 * smooth + 0.05 * row["loss"]
        xs, ys = curves.setdefault(row["stage"], ([], []))
        xs.append(tokens / 1e6)
        ys.append(smooth)
    for stage, (xs, ys) in curves.items():
        axes.plot(xs, ys, label=stage)
    for stage, (xs, ys) in points.items():
        axes.plot(xs, ys, "o", markersize=4, label=f"{stage}, held out")
    axes.set(xlabel="million tokens, padding included", ylabel="loss per learned token (nats), smoothed")
    axes.legend()
    axes.grid(alpha=0.3)
    with matplotlib.rc_context({"svg.hashsalt": "irwright"}):
        figure.savefig(path, metadata={"Date": None})
    return True
