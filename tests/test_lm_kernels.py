"""The fast operations beside the plain expressions they stand for, values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lm_tools import torch

from irwright.lm import kernels

F = torch.nn.functional


def compared(fast: Callable[..., Any], plain: Callable[..., Any], *inputs: Any, tolerance: float) -> None:
    """Outputs and gradients of both agree."""
    results = []
    for run in (fast, plain):
        own = [one.clone().requires_grad_() for one in inputs]
        out = run(*own)
        out.float().square().sum().backward()
        results.append([out, *(one.grad for one in own)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one.float(), other.float(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_attention_in_bfloat16(kv_heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "QUERY_ROWS", 16)  # three blocks
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 33, 16, generator=generator).bfloat16()
    k, v = (torch.randn(2, kv_heads, 33, 16, generator=generator).bfloat16() for _ in range(2))

    def plain(*qkv: Any) -> Any:
        return F.scaled_dot_product_attention(*(x.float() for x in qkv), is_causal=True, enable_gqa=True)

    compared(kernels.causal_attention, plain, q, k, v, tolerance=0.1)


def test_rotation() -> None:
    x = torch.randn(2, 9, 3, 8, generator=torch.Generator().manual_seed(1))
    angles = torch.randn(9, 4, generator=torch.Generator().manual_seed(2))
    cos, sin = angles.cos(), angles.sin()

    def plain(x: Any) -> Any:
        first, second = x.chunk(2, -1)
        wide = [torch.cat((part, part), -1)[:, None] for part in (cos, sin)]
        return x * wide[0] + torch.cat((-second, first), -1) * wide[1]

    compared(lambda x: kernels.rotate(x, cos, sin), plain, x, tolerance=1e-5)


def test_swiglu() -> None:
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(4))

    def plain(x: Any) -> Any:
        gate, up = x.chunk(2, -1)
        return F.silu(gate) * up

    compared(kernels.swiglu, plain, x, tolerance=1e-5)


def test_norm() -> None:
    x, weight = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(5)), torch.linspace(0.5, 2, 12)
    compared(
        lambda x, w: kernels.normed(x, w, 1e-5), lambda x, w: F.rms_norm(x, (12,), w, 1e-5), x, weight, tolerance=1e-5
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert kernels.normed(x, weight, 1e-5).dtype == torch.bfloat16


@pytest.mark.parametrize("rows", [0, 1, 700])
def test_summed_loss(rows: int) -> None:
    generator = torch.Generator().manual_seed(3)
    x, matrix = torch.randn(rows, 8, generator=generator), torch.randn(50, 8, generator=generator)
    targets = torch.randint(0, 50, (rows,), generator=generator)

    def plain(x: Any, matrix: Any) -> Any:
        return F.cross_entropy(x @ matrix.T, targets, reduction="sum") / 100

    compared(lambda x, m: kernels.summed_loss(x, m, targets) / 100, plain, x, matrix, tolerance=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(kernels.summed_loss(x, matrix, targets) / 100, plain(x, matrix))
