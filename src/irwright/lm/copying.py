# pyright: standard
"""A new model that can copy from its prompt before it has learned anything.

What answers say stands mostly in their prompts: symbols, types, constants, whole lines. Two attention heads in a row
find it (Olsson et al., arXiv 2209.11895): in the first layer one that looks at the token before, in the second one that
looks for the place behind an earlier occurrence of the present token, and says what stands there. Small models trained
on some ten million tokens of IR do not find these heads (docs/log.md); here they are there from the start, as weights
that training may change (the idea of Trockman and Kolter, arXiv 2305.09828: begin with what large models end with).

The stream of a new model is divided for this: one constant, the token, the token before, what is to be said.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from irwright.errors import ModelError
from irwright.lm.model import Attention, Llama

CONSTANT = 6.0
"""in the first dimension of every embedding: attention by distance alone needs something that is always there"""
NATS = 6.0
"""what a pair of rotated dimensions, or a dimension of a matching token, adds to a score"""
NEAR_PAIRS = 8
"""rotated pairs, the fastest ones, that tell one place from its neighbours"""
FAR_SHARE = 3 / 8
"""share of the pairs, the slowest ones, that hardly turn within a context, so that they compare tokens"""
SAYING = 0.25


@torch.no_grad()
def begin_copying(model: Llama, generator: torch.Generator) -> None:
    """Give a new model the two heads; ModelError where its shape has no room for them."""
    shape = model.shape
    width, head = shape.width, shape.head_width
    known = width - 1 - 2 * head
    if shape.num_layers < 2 or shape.num_heads != shape.num_kv_heads or known < head or model.lm_head is None:
        raise ModelError(
            "a model that begins with heads that copy needs two layers, a key head for every head, an output layer of "
            f"its own and a width of three heads and more; this one has a width of {width} and heads of {head}"
        )
    embedding = model.model.embed_tokens.weight
    embedding.normal_(generator=generator)
    embedding[:, 0] = CONSTANT
    token, before, said = slice(1, 1 + known), slice(1 + known, 1 + known + head), slice(1 + known + head, width)
    embedding[:, 1 + known :] = 0
    mixed = torch.linalg.qr(torch.randn(known, known, generator=generator))[0][:head]
    first, second = _attention(model, 0), _attention(model, 1)
    rms = math.sqrt((known + CONSTANT**2) / width)
    for name in ("q_proj", "k_proj", "v_proj"):
        for attention in (first, second):
            getattr(attention, name).weight[:head] = 0
    query, key = _one_before(shape.rope_theta, head)
    first.q_proj.weight[:head, 0] = query * rms / CONSTANT
    first.k_proj.weight[:head, 0] = key * rms / CONSTANT
    first.v_proj.weight[:head, token] = mixed * rms
    first.o_proj.weight[before, :head] = torch.eye(head)
    rms = math.sqrt((known + CONSTANT**2 + head) / width)
    slow = round(FAR_SHARE * head / 2)
    places = [*range(head // 2 - slow, head // 2), *range(head - slow, head)]
    scale = math.sqrt(NATS) * rms
    second.q_proj.weight[places, token] = mixed[: 2 * slow] * scale
    for number, place in enumerate(places):
        second.k_proj.weight[place, before.start + number] = scale
    second.v_proj.weight[:head, token] = mixed * rms
    second.o_proj.weight[said, :head] = torch.eye(head)
    model.lm_head.weight[:, said] = SAYING * embedding[:, token] @ mixed.T


def _attention(model: Llama, layer: int) -> Attention:
    found = model.model.layers[layer].self_attn
    assert isinstance(found, Attention)
    return found


def _one_before(theta: float, head: int) -> tuple[Tensor, Tensor]:
    """Query and key whose product, both rotated by their places, is largest for the place before."""
    half = head // 2
    query, key = torch.zeros(head), torch.zeros(head)
    amplitude = math.sqrt(math.sqrt(head) * NATS)
    for pair in range(min(NEAR_PAIRS, half)):
        angle = theta ** (-2 * pair / head)
        query[pair] = amplitude
        key[pair], key[pair + half] = amplitude * math.cos(angle), amplitude * math.sin(angle)
    return query, key
