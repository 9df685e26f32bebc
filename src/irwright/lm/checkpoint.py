# pyright: standard
"""Checkpoints: tensors in safetensors files and a small JSON, complete or absent. Nothing is ever unpickled.

A run keeps them in `checkpoints/step-00000100/`:

    *.safetensors    `model.NAME` and `optimizer.KIND.NAME`; several files where processes hold parts
    state.json       step, stage, position in the data, how it was stored; written last

A checkpoint is written beside and renamed, so that a full disk or a kill leaves the one before as it was. One
written by some number of processes is read by any other.
"""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from irwright.errors import InputError, StorageError

FORMAT = 1
STATE = "state.json"
WEIGHTS = "tensors.safetensors"
KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a run is, all but its tensors."""

    step: int
    """Steps done, of all stages."""
    stage: int
    """Number of the current stage in the plan."""
    stage_step: int
    """Steps done in it."""
    position: dict[str, Any] | None
    """Of the stage's stream of batches; None at its beginning."""
    optimizer_steps: int
    metrics_bytes: int
    """Length of metrics.jsonl: what is behind it is of steps that will be done again."""
    sharded: bool = False
    format: int = FORMAT


def folder_of(run: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return run / "checkpoints" / f"step-{step:08d}"


def newest(run: Path) -> Path | None:
    """The last complete checkpoint."""
    found = sorted(path for path in (run / "checkpoints").glob("step-*") if (path / STATE).exists())
    return found[-1] if found else None


def save(
    run: Path,
    state: State,
    tensors: dict[str, Tensor],
    *,
    first: bool = True,
    barrier: Callable[[], None] | None = None,
) -> Path:
    """Write a checkpoint, then remove older ones; StorageError where the disk does not take it, and nothing is lost.

    Several processes call it together: `first` is true in one of them, `barrier` waits for all.
    """
    folder = folder_of(run, state.step)
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        if first:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        if barrier:
            barrier()
        _write_tensors(temporary, tensors, sharded=state.sharded, first=first)
        if barrier:
            barrier()
        if first:
            (temporary / STATE).write_text(json.dumps(asdict(state), indent=2) + "\n")
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
            _remove_older(run)
    except OSError as error:
        raise StorageError(str(folder), f"the checkpoint can't be written ({error.strerror or error})") from error
    finally:
        if first:
            shutil.rmtree(temporary, ignore_errors=True)
    if barrier:
        barrier()
    return folder


def _write_tensors(folder: Path, tensors: dict[str, Tensor], *, sharded: bool, first: bool) -> None:
    if not sharded:
        if first:
            write_safetensors(folder / WEIGHTS, tensors)
        return
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save as save_parts

    save_parts(tensors, storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """One file; OSError where the disk does not take it."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode  # safetensors puts a file of its own in place, which only its owner can read
    try:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    path.chmod(mode)


def load_state(folder: Path) -> State:
    """Read state.json; StorageError where it is none of ours."""
    try:
        data = json.loads((folder / STATE).read_text())
        state = State(**data)
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(str(folder / STATE), f"no state of a training run ({error})") from error
    if state.format != FORMAT:
        raise StorageError(str(folder / STATE), f"a checkpoint of format {state.format}; this version reads {FORMAT}")
    return state


def load_tensors(folder: Path, state: State, tensors: dict[str, Tensor]) -> None:
    """Fill tensors from a checkpoint, in place; StorageError names the first that is missing or of another shape."""
    own_parts = any(isinstance(tensor, DTensor) for tensor in tensors.values())
    if state.sharded or own_parts:
        import torch.distributed as dist
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
        from torch.distributed.checkpoint.state_dict_loader import load as load_parts

        reader = HuggingFaceStorageReader(str(folder))
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # that is what we want
                load_parts(tensors, storage_reader=reader, no_dist=not dist.is_initialized())
        except (CheckpointException, OSError, ValueError) as error:
            raise StorageError(str(folder), f"not readable as a checkpoint ({_first_line(error)})") from error
        return
    stored = read_safetensors(folder / WEIGHTS)
    for name, tensor in tensors.items():
        if name not in stored or stored[name].shape != tensor.shape:
            found = f"of shape {tuple(stored[name].shape)}" if name in stored else "missing"
            raise StorageError(str(folder), f"{name!r} is {found}, expected {tuple(tensor.shape)}: another model's")
        with torch.no_grad():
            tensor.copy_(stored[name])


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file; InputError where it is cut short or something else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(str(path), f"not readable as safetensors ({_first_line(error)})") from error


def _remove_older(run: Path) -> None:
    found = sorted((run / "checkpoints").glob("step-*"))
    for path in found[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
    for path in (run / "checkpoints").glob(".step-*.tmp"):
        if re.fullmatch(r"\.step-\d+\.tmp", path.name):
            shutil.rmtree(path, ignore_errors=True)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:160]
