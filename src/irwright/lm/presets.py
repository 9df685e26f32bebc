"""Shapes of models, from 3.7 million parameters to the published system's 13 billion; no torch here.

A shape and HF's `config.json` of a Llama say the same: `to_hf` and `from_hf` are the way between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from irwright.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Llama: RMS norms, rotary positions, grouped-query attention, SwiGLU."""

    num_tokens: int = 4096
    """Size of the vocabulary."""
    width: int
    """Of the residual stream."""
    num_layers: int
    num_heads: int
    num_kv_heads: int
    hidden: int
    """Width inside the feed-forward part."""
    context: int = 1024
    """Tokens the model is trained to look at."""
    rope_theta: float = 10_000.0
    """Base of the rotary frequencies."""
    norm_eps: float = 1e-5
    tied: bool = True
    """True if the output layer is the embedding."""

    def __post_init__(self) -> None:
        positive = (self.num_tokens, self.width, self.num_layers, self.num_heads, self.num_kv_heads, self.hidden)
        if min(*positive, self.context) < 1 or self.rope_theta <= 0 or self.norm_eps <= 0:
            raise ModelError(f"a model's sizes must be positive: {self}")
        if self.width % self.num_heads or self.num_heads % self.num_kv_heads or self.head_width % 2:
            heads = f"{self.num_heads} heads and {self.num_kv_heads} key heads"
            raise ModelError(f"a width of {self.width} can't be divided among {heads}")

    @property
    def head_width(self) -> int:
        return self.width // self.num_heads

    @property
    def num_parameters(self) -> int:
        """Of all weights, norms included."""
        attention = 2 * self.width * self.head_width * (self.num_heads + self.num_kv_heads)
        layer = attention + 3 * self.width * self.hidden + 2 * self.width
        embeddings = self.num_tokens * self.width * (1 if self.tied else 2)
        return self.num_layers * layer + embeddings + self.width

    def matmul_flops(self, length: int) -> int:
        """Multiply-adds times two that one token's forward pass needs in a sequence of this length."""
        attention = 2 * self.width * self.head_width * (self.num_heads + self.num_kv_heads)
        layer = 2 * (attention + 3 * self.width * self.hidden) + 2 * length * self.width
        return self.num_layers * layer + 2 * self.num_tokens * self.width

    def to_hf(self, *, pad_id: int | None = None, end_id: int | None = None) -> dict[str, Any]:
        """The `config.json` of transformers' LlamaForCausalLM."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.num_tokens,
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.head_width,
            "hidden_act": "silu",
            "max_position_embeddings": self.context,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "tie_word_embeddings": self.tied,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": None,
            "eos_token_id": end_id,
            "pad_token_id": pad_id,
            "dtype": "float32",
        }

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> Shape:
        """Read a `config.json`; ModelError where it is no plain Llama."""
        kind = config.get("model_type")
        if kind != "llama":
            raise ModelError(f"a model of type {kind!r} can't be used; it must be a Llama ('llama')")
        rope: Mapping[str, Any] = config.get("rope_parameters") or {}
        scaling: Mapping[str, Any] = config.get("rope_scaling") or rope
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        if kind != "default" or config.get("attention_bias") or config.get("mlp_bias"):
            raise ModelError("a Llama with scaled positions or biases can't be used")
        try:
            heads = int(config["num_attention_heads"])
            shape = cls(
                num_tokens=int(config["vocab_size"]),
                width=int(config["hidden_size"]),
                num_layers=int(config["num_hidden_layers"]),
                num_heads=heads,
                num_kv_heads=int(config.get("num_key_value_heads") or heads),
                hidden=int(config["intermediate_size"]),
                context=int(config.get("max_position_embeddings", 2048)),
                rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
                norm_eps=float(config.get("rms_norm_eps", 1e-6)),
                tied=bool(config.get("tie_word_embeddings", False)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's configuration lacks or garbles {error}") from error
        if config.get("head_dim") not in (None, shape.head_width):
            raise ModelError(f"heads of width {config['head_dim']} can't be used; {shape.head_width} is expected")
        return shape


PRESETS: dict[str, Shape] = {
    "micro": Shape(width=64, num_layers=2, num_heads=2, num_kv_heads=2, hidden=160, context=256),
    "tiny": Shape(width=256, num_layers=4, num_heads=4, num_kv_heads=4, hidden=512),
    "small": Shape(width=384, num_layers=4, num_heads=6, num_kv_heads=6, hidden=896),
    "base": Shape(width=512, num_layers=6, num_heads=8, num_kv_heads=8, hidden=1408, context=2048),
    "medium": Shape(width=768, num_layers=8, num_heads=12, num_kv_heads=12, hidden=1920, context=4096),
    "350m": Shape(
        num_tokens=16384, width=1024, num_layers=24, num_heads=16, num_kv_heads=16, hidden=2816, context=8192
    ),
    "1b": Shape(num_tokens=32768, width=2048, num_layers=20, num_heads=16, num_kv_heads=8, hidden=5632, context=16384),
    "7b": Shape(
        num_tokens=32016,
        width=4096,
        num_layers=32,
        num_heads=32,
        num_kv_heads=32,
        hidden=11008,
        context=16384,
        rope_theta=1e6,
        tied=False,
    ),
    "13b": Shape(
        num_tokens=32016,
        width=5120,
        num_layers=40,
        num_heads=40,
        num_kv_heads=40,
        hidden=13824,
        context=16384,
        rope_theta=1e6,
        tied=False,
    ),
}


def preset(name: str, *, num_tokens: int | None = None, context: int | None = None) -> Shape:
    """A preset by name, with another vocabulary or context where given."""
    shape = PRESETS.get(name)
    if shape is None:
        close = get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(PRESETS)}"
        raise ModelError(f"unknown preset {name!r}{hint}")
    return replace(shape, num_tokens=num_tokens or shape.num_tokens, context=context or shape.context)
