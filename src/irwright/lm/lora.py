# pyright: standard
"""Low-rank additions to a model's matrices (peft's LoRA): trained in its place, and added to it at the end."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from irwright.lm.model import Llama

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def add_lora(model: Llama, rank: int, seed: int) -> None:
    """Put additions of this rank beside every matrix of the layers; only they are trained. They begin as zero."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=TARGETS)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft, that this model is none of transformers
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


def plain_weights(weights: dict[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Weights by the names of a model without additions, these added; `weights` are whole."""
    plain: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if ".lora_" in name:
            continue
        stem = name.removesuffix(".base_layer.weight")
        if stem == name:
            plain[name] = tensor
            continue
        first, second = (weights[f"{stem}.lora_{part}.default.weight"] for part in "AB")
        alpha = 2 * rank
        plain[f"{stem}.weight"] = tensor + (second.float() @ first.float()).to(tensor.dtype) * (alpha / rank)
    return plain
