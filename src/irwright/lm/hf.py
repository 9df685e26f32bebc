# pyright: standard
"""Folders as transformers writes them: `config.json`, safetensors, the tokenizer. Read and written.

Only safetensors are read: `pytorch_model.bin` and its like are pickles, which run code when they are loaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from irwright.errors import InputError, StorageError
from irwright.lm.checkpoint import read_safetensors, write_safetensors
from irwright.lm.model import Llama, load_weights
from irwright.lm.presets import Shape
from irwright.lm.tokenizer import Tokenizer

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
OUTCOMES_KEY = "irwright_outcomes"
"""in config.json, true: the model was trained on prompts that say what was measured so far"""


def write_folder(
    folder: Path,
    shape: Shape,
    weights: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    *,
    dtype: torch.dtype | None = None,
    knows_outcomes: bool = False,
) -> None:
    """Write a model that transformers loads, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        ends = {"pad_id": tokenizer.pad_id, "end_id": tokenizer.end_id}
        config = shape.to_hf(**ends) | {"dtype": str(dtype or torch.float32).removeprefix("torch.")}
        config |= {OUTCOMES_KEY: True} if knows_outcomes else {}
        (temporary / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        generation = {"eos_token_id": ends["end_id"], "pad_token_id": ends["pad_id"], "do_sample": False}
        (temporary / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
        tensors = {name: tensor.to(dtype or tensor.dtype) for name, tensor in weights.items()}
        write_safetensors(temporary / WEIGHTS, tensors, {"format": "pt"})
        tokenizer.save(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    except OSError as error:
        raise StorageError(str(folder), f"the model can't be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; InputError where it is none."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"not readable as JSON ({error})") from error
    if not isinstance(data, dict):
        raise InputError(str(path), "not a JSON object")
    return data


def read_shape(folder: Path) -> Shape:
    """The shape that `config.json` describes."""
    return Shape.from_hf(read_json(folder / CONFIG))


def knows_outcomes(folder: Path) -> bool:
    """True if the model of a folder was trained on measured outcomes."""
    return read_json(folder / CONFIG).get(OUTCOMES_KEY) is True


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder, from one file or several."""
    if (folder / WEIGHTS).exists():
        return read_safetensors(folder / WEIGHTS)
    if not (folder / INDEX).exists():
        raise InputError(str(folder), f"no {WEIGHTS} in it; other formats are not read, since they are pickles")
    files = read_json(folder / INDEX).get("weight_map", {})
    weights: dict[str, Tensor] = {}
    for name in sorted(set(files.values())):
        if Path(name).name != name:
            raise InputError(str(folder / INDEX), f"names a file outside of the folder: {name!r}")
        weights |= read_safetensors(folder / name)
    return weights


def read_model(folder: Path) -> Llama:
    """The model of a folder, in float32; ModelError where weights and shape do not fit."""
    model = Llama(read_shape(folder))
    weights = {name: tensor.float() for name, tensor in read_weights(folder).items()}
    load_weights(model, weights, origin=str(folder))
    return model
