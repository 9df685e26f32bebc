# pyright: standard
"""The model: a Llama in torch, its weights named as transformers names them.

Forward and gradients are those of transformers' LlamaForCausalLM. Batches are padded on the right: attention looks
back only, so padding changes nothing but the rows that nobody reads.

Shape suffixes: B sequences, T positions, C width, H heads, K key heads, J all of them, D head width,
E half of it, V vocabulary, N targets.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from irwright.errors import ModelError
from irwright.lm.kernels import causal_attention, normed, rotate, summed_loss, swiglu
from irwright.lm.presets import Shape

IGNORED = -100
"""a target that is not learned"""


class Llama(nn.Module):
    """Token ids to logits; `model` and `lm_head` are named as in transformers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        self.lm_head = None if shape.tied else nn.Linear(shape.width, shape.num_tokens, bias=False)

    def init_weights(self, generator: torch.Generator) -> None:
        """Fill every weight: normal, the matrices that write to the residual stream zero."""
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                nn.init.ones_(parameter)
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(parameter)
            else:
                std = 0.02 if "embed" in name else 1 / math.sqrt(parameter.shape[1])
                nn.init.normal_(parameter, std=std, generator=generator)

    def output_VC(self) -> Tensor:
        """The output layer's matrix."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def forward(self, ids_BT: Tensor, targets_BT: Tensor | None = None) -> Tensor:
        """Logits (B, T, V); given targets, the summed loss of those that are not IGNORED."""
        x_BTC = self.model(ids_BT)
        if targets_BT is None:
            return F.linear(x_BTC, self.output_VC())
        learned_BT = targets_BT != IGNORED
        return summed_loss(x_BTC[learned_BT], self.output_VC(), targets_BT[learned_BT])


class Decoder(nn.Module):
    """Embedding, layers, last norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.num_tokens, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_layers))
        self.norm = RMSNorm(shape)
        self.recompute = False

    def forward(self, ids_BT: Tensor) -> Tensor:
        x_BTC = self.embed_tokens(ids_BT)
        cos_TE, sin_TE = rotary(self.shape, ids_BT.shape[1], x_BTC.device)
        for layer in self.layers:
            if self.recompute and torch.is_grad_enabled():
                x_BTC = checkpoint(layer, x_BTC, cos_TE, sin_TE, use_reentrant=False)
            else:
                x_BTC = layer(x_BTC, cos_TE, sin_TE)
        return self.norm(x_BTC)


class Layer(nn.Module):
    """Attention and feed-forward, each on the normed stream and added to it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape)
        self.mlp = FeedForward(shape)

    def forward(self, x_BTC: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        x_BTC = x_BTC + self.self_attn(self.input_layernorm(x_BTC), cos_TE, sin_TE)
        return x_BTC + self.mlp(self.post_attention_layernorm(x_BTC))


class RMSNorm(nn.Module):
    """Divide by the root of the mean square, times a weight."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.eps = shape.norm_eps

    def forward(self, x_BTC: Tensor) -> Tensor:
        return normed(x_BTC, self.weight, self.eps)


class Attention(nn.Module):
    """Causal attention with rotary positions; several query heads share a key head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        num_out, num_kv = shape.num_heads * shape.head_width, shape.num_kv_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, num_out, bias=False)
        self.k_proj = nn.Linear(shape.width, num_kv, bias=False)
        self.v_proj = nn.Linear(shape.width, num_kv, bias=False)
        self.o_proj = nn.Linear(num_out, shape.width, bias=False)

    def forward(self, x_BTC: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        heads, kv_heads = self.shape.num_heads, self.shape.num_kv_heads
        qkv_BTJ = together(x_BTC, self.q_proj, self.k_proj, self.v_proj)
        qkv_BTJD = qkv_BTJ.view(*x_BTC.shape[:2], heads + 2 * kv_heads, self.shape.head_width)
        qk_BTJD, v_BTKD = qkv_BTJD.split((heads + kv_heads, kv_heads), dim=2)
        q_BTHD, k_BTKD = rotate(qk_BTJD, cos_TE, sin_TE).split((heads, kv_heads), dim=2)
        y_BHTD = causal_attention(*(x.transpose(1, 2) for x in (q_BTHD, k_BTKD, v_BTKD)))
        return self.o_proj(y_BHTD.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return self.down_proj(swiglu(together(x_BTC, self.gate_proj, self.up_proj)))


def together(x_BTC: Tensor, *layers: nn.Module) -> Tensor:
    """The outputs of several linear layers side by side, as one product where nothing is wrapped around them."""
    if all(type(layer) is nn.Linear for layer in layers):
        return F.linear(x_BTC, torch.cat([layer.weight for layer in layers]))  # type: ignore[misc]
    return torch.cat([layer(x_BTC) for layer in layers], dim=-1)


def rotary(shape: Shape, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines by position, for half of a head's width."""
    steps_E = torch.arange(0, shape.head_width, 2, dtype=torch.int64, device=device).float() / shape.head_width
    angles_TE = torch.outer(torch.arange(length, device=device).float(), 1.0 / shape.rope_theta**steps_E)
    return angles_TE.cos(), angles_TE.sin()


def build(shape: Shape, seed: int) -> Llama:
    """A new model; the same seed gives the same weights."""
    model = Llama(shape)
    model.init_weights(torch.Generator().manual_seed(seed))
    return model


def load_weights(model: Llama, weights: dict[str, Tensor], *, origin: str) -> None:
    """Take weights named as transformers names them; ModelError names what does not fit."""
    own = model.state_dict()
    if model.lm_head is None:
        weights = {name: tensor for name, tensor in weights.items() if name != "lm_head.weight"}
    missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or unknown:
        what = f"lacks {missing[0]!r}" if missing else f"has {unknown[0]!r}"
        raise ModelError(f"{origin}: the checkpoint {what}; it is of another model")
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            found, expected = tuple(weights[name].shape), tuple(tensor.shape)
            raise ModelError(f"{origin}: {name!r} has shape {found}, the model needs {expected}")
    model.load_state_dict(weights)
