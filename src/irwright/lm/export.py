# pyright: standard
"""A trained model for others: GGUF for llama.cpp; the folder of a run is what transformers reads already.

The GGUF carries the vocabulary twice: as llama.cpp wants it, for turning tokens into text, and as the `tokenizer.json`
under `tokenizer.huggingface.json`, by which irwright turns text into tokens: llama.cpp does not know the pre-tokenizer.
`irwright.format` says `native` where prompts are those of tokenizer.py, `irwright.outcomes` is true where those of
`tune` may hold outcomes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from irwright.errors import InputError, ModelError, StorageError
from irwright.lm.hf import knows_outcomes, read_model, write_folder
from irwright.lm.model import Llama
from irwright.lm.presets import Shape
from irwright.lm.tokenizer import MARKS, Tokenizer

GGUFType = Literal["f32", "f16", "q8_0"]
TOKENIZER_KEY = "tokenizer.huggingface.json"
FORMAT_KEY = "irwright.format"
OUTCOMES_KEY = "irwright.outcomes"


def model_folder(run: Path, stage: str | None = None) -> Path:
    """The folder of a run's model, the last one or that after a stage; a folder of transformers is one itself."""
    for folder in (run / "stages" / stage,) if stage else (run / "model", run):
        if (folder / "config.json").exists():
            return folder
    which = f"after stage {stage!r}" if stage else "in it"
    raise InputError(str(run), f"no model {which}; `irwright train` writes one when a stage is done")


def export(
    run: Path, output: Path, *, to: Literal["hf", "gguf"], kind: GGUFType = "q8_0", stage: str | None = None
) -> None:
    """Write the model of a run as a folder for transformers, or one file for llama.cpp."""
    folder = model_folder(run, stage)
    model, tokenizer = read_model(folder), Tokenizer.load(folder)
    tokenizer.check_fits(model.shape.num_tokens, str(folder))
    if to == "gguf":
        write_gguf(output, model, tokenizer, kind=kind, outcomes=knows_outcomes(folder))
    else:
        weights = dict(model.named_parameters())
        write_folder(output, model.shape, weights, tokenizer, knows_outcomes=knows_outcomes(folder))


def write_gguf(path: Path, model: Llama, tokenizer: Tokenizer, *, kind: GGUFType, outcomes: bool = False) -> None:
    """One file; norms stay f32, matrices whose rows q8_0 can't divide into 32s are f16."""
    import gguf

    if kind not in ("f32", "f16", "q8_0"):
        raise ModelError(f"unknown type {kind!r} of weights; there are f32, f16, q8_0")
    if not tokenizer.is_byte_level:
        remedy = "export a folder (--to hf) and convert that with llama.cpp's convert_hf_to_gguf.py"
        raise ModelError(f"the model's tokenizer is not byte-level, which is what is written to a GGUF; {remedy}")
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        writer = gguf.GGUFWriter(temporary, "llama")
        _add_shape(writer, model.shape, kind)
        _add_vocabulary(writer, tokenizer, model.shape.num_tokens)
        if outcomes:
            writer.add_bool(OUTCOMES_KEY, True)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, model.shape.num_layers)
        for name, parameter in model.named_parameters():
            written = names.get_name(name, try_suffixes=(".weight",))
            if written is None:
                raise ModelError(f"llama.cpp has no name for {name!r}; merge low-rank additions first")
            _add_tensor(writer, written, _as_llama_cpp(name, parameter.detach(), model.shape), kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        temporary.replace(path)
    except OSError as error:
        raise StorageError(str(path), f"the model can't be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def _add_shape(writer: Any, shape: Shape, kind: GGUFType) -> None:
    import gguf

    types = {
        "f32": gguf.LlamaFileType.ALL_F32,
        "f16": gguf.LlamaFileType.MOSTLY_F16,
        "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_name("irwright")
    writer.add_file_type(types[kind])
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_vocab_size(shape.num_tokens)


def _add_vocabulary(writer: Any, tokenizer: Tokenizer, num_tokens: int) -> None:
    import gguf

    data = json.loads(tokenizer.text)
    by_number = {number: token for token, number in data["model"]["vocab"].items()}
    by_number |= {row["id"]: row["content"] for row in data.get("added_tokens", [])}
    tokens = [by_number.get(number, f"<|unused{number}|>") for number in range(num_tokens)]
    normal, control, unused = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL, gguf.TokenType.UNUSED
    marks = {row["content"] for row in data.get("added_tokens", []) if row.get("special")} | set(MARKS)
    kinds = [
        control if token in marks else normal if number in by_number else unused for number, token in enumerate(tokens)
    ]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"].get("merges", [])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_add_bos_token(False)
    if tokenizer.is_native:
        writer.add_eos_token_id(tokenizer.end_id)
        writer.add_pad_token_id(tokenizer.pad_id)
        writer.add_string(FORMAT_KEY, "native")
    writer.add_string(TOKENIZER_KEY, tokenizer.text)


def _add_tensor(writer: Any, name: str, tensor: Tensor, kind: GGUFType) -> None:
    import gguf

    array = tensor.to(torch.float32).numpy()
    if kind == "f32" or array.ndim == 1:
        writer.add_tensor(name, array)
    elif kind == "q8_0" and array.shape[-1] % 32 == 0:
        quantised = gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    else:
        writer.add_tensor(name, array.astype(np.float16))


def _as_llama_cpp(name: str, tensor: Tensor, shape: Shape) -> Tensor:
    """llama.cpp rotates neighbouring pairs, transformers halves: the rows of a head are put in its order."""
    if name.endswith("q_proj.weight"):
        heads = shape.num_heads
    elif name.endswith("k_proj.weight"):
        heads = shape.num_kv_heads
    else:
        return tensor
    return tensor.view(heads, 2, shape.head_width // 2, -1).transpose(1, 2).reshape(tensor.shape)
