# pyright: standard
"""Operations that torch's own do slowly on a CPU, with their derivatives.

Each computes what the plain expression in its docstring does; tests compare values and gradients.

Shape suffixes as in model.py; R rows of a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

QUERY_ROWS = 256
LOSS_ROWS = 256
"""targets whose logits are in memory at a time"""


def causal_attention(q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor) -> Tensor:
    """`scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)`.

    On CPUs bf16 goes through matrix products of whole heads, several times as fast as torch's own kernel.
    """
    groups = q_BHTD.shape[1] // k_BKTD.shape[1]
    if q_BHTD.device.type != "cpu" or q_BHTD.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q_BHTD, k_BKTD, v_BKTD, is_causal=True, enable_gqa=groups > 1)
    if groups > 1:
        k_BKTD, v_BKTD = k_BKTD.repeat_interleave(groups, 1), v_BKTD.repeat_interleave(groups, 1)
    return _CausalAttention.apply(q_BHTD, k_BKTD, v_BKTD)  # type: ignore[no-any-return]


class _CausalAttention(torch.autograd.Function):
    """QUERY_ROWS queries at a time, on the keys up to the last of them: half of the square is never computed."""

    @staticmethod
    def forward(ctx: Any, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor) -> Tensor:
        batch, heads, length, width = q_BHTD.shape
        q_NTD, k_NTD, v_NTD = (x.reshape(-1, length, width) for x in (q_BHTD, k_BHTD, v_BHTD))
        out_NTD = torch.empty_like(q_NTD)
        all_shares: list[Tensor] = []
        for at in range(0, length, QUERY_ROWS):
            end = min(at + QUERY_ROWS, length)
            mask_QT = torch.full((end - at, end), float("-inf"), dtype=q_NTD.dtype).triu(at + 1)
            keys_NDT = k_NTD[:, :end].transpose(1, 2)
            shares_NQT = torch.softmax(torch.baddbmm(mask_QT, q_NTD[:, at:end], keys_NDT, alpha=width**-0.5), -1)
            out_NTD[:, at:end] = torch.bmm(shares_NQT, v_NTD[:, :end])
            all_shares.append(shares_NQT)
        ctx.save_for_backward(q_NTD, k_NTD, v_NTD, *all_shares)
        return out_NTD.view(batch, heads, length, width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        (grad_BHTD,) = grads
        q_NTD, k_NTD, v_NTD, *all_shares = ctx.saved_tensors
        grad_NTD = grad_BHTD.reshape(q_NTD.shape)
        dq_NTD, dk_NTD, dv_NTD = torch.empty_like(q_NTD), torch.zeros_like(k_NTD), torch.zeros_like(v_NTD)
        scale = q_NTD.shape[-1] ** -0.5
        for number, shares_NQT in enumerate(all_shares):
            at, end = number * QUERY_ROWS, shares_NQT.shape[-1]
            own_NQD = grad_NTD[:, at:end]
            dv_NTD[:, :end] += torch.bmm(shares_NQT.transpose(1, 2), own_NQD)
            dshares_NQT = torch.bmm(own_NQD, v_NTD[:, :end].transpose(1, 2))
            dscores_NQT = torch.ops.aten._softmax_backward_data(dshares_NQT, shares_NQT, -1, shares_NQT.dtype)
            dscores_NQT.mul_(scale)
            dq_NTD[:, at:end] = torch.bmm(dscores_NQT, k_NTD[:, :end])
            dk_NTD[:, :end] += torch.bmm(dscores_NQT.transpose(1, 2), q_NTD[:, at:end])
        return tuple(x.view(grad_BHTD.shape) for x in (dq_NTD, dk_NTD, dv_NTD))


def rotate(x_BTHD: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """`x * cos + cat(-second, first) * sin`, the halves of D rotated by their position; E is half of D."""
    return _Rotate.apply(x_BTHD, cos_TE[:, None].to(x_BTHD.dtype), sin_TE[:, None].to(x_BTHD.dtype))  # type: ignore[no-any-return]


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTHD: Tensor, cos_T1E: Tensor, sin_T1E: Tensor) -> Tensor:
        ctx.save_for_backward(cos_T1E, sin_T1E)
        return _rotated(x_BTHD, cos_T1E, sin_T1E)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos_T1E, sin_T1E = ctx.saved_tensors
        return _rotated(grads[0], cos_T1E, -sin_T1E), None, None


def _rotated(x_BTHD: Tensor, cos_T1E: Tensor, sin_T1E: Tensor) -> Tensor:
    first, second = x_BTHD.chunk(2, dim=-1)
    out_BTHD = torch.empty(x_BTHD.shape, dtype=x_BTHD.dtype, device=x_BTHD.device)
    out_first, out_second = out_BTHD.chunk(2, dim=-1)
    torch.mul(first, cos_T1E, out=out_first)
    out_first.addcmul_(second, sin_T1E, value=-1)
    torch.mul(second, cos_T1E, out=out_second)
    out_second.addcmul_(first, sin_T1E)
    return out_BTHD


def swiglu(x_BTF: Tensor) -> Tensor:
    """`silu(gate) * up` of the two halves of the last dimension; F is twice the width of the result."""
    return _SwiGLU.apply(x_BTF)  # type: ignore[no-any-return]


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTF: Tensor) -> Tensor:
        ctx.save_for_backward(x_BTF)
        gate, up = x_BTF.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x_BTF,) = ctx.saved_tensors
        gate, up = x_BTF.chunk(2, dim=-1)
        dx_BTF = torch.empty_like(x_BTF)
        dgate, dup = dx_BTF.chunk(2, dim=-1)
        torch.mul(grads[0], F.silu(gate), out=dup)
        torch.ops.aten.silu_backward.grad_input(grads[0] * up, gate, grad_input=dgate)
        return dx_BTF


def normed(x_BTC: Tensor, weight_C: Tensor, eps: float) -> Tensor:
    """`rms_norm(x, weight, eps)`, in the type that products are made in."""
    device = x_BTC.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_BTC.dtype
    return _Normed.apply(x_BTC, weight_C, eps, dtype)  # type: ignore[no-any-return]


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTC: Tensor, weight_C: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        width = x_BTC.shape[-1]
        size_BT1 = torch.linalg.vector_norm(x_BTC, dim=-1, keepdim=True, dtype=torch.float32)
        scale_BT1 = torch.rsqrt(size_BT1.square() / width + eps)
        ctx.save_for_backward(x_BTC, weight_C, scale_BT1)
        return (x_BTC * scale_BT1).mul_(weight_C).to(dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x_BTC, weight_C, scale_BT1 = ctx.saved_tensors
        unit_BTC = x_BTC * scale_BT1
        grad_BTC = grads[0].to(unit_BTC.dtype)
        dweight_C = (grad_BTC * unit_BTC).flatten(0, -2).sum(0)
        grad_BTC = grad_BTC * weight_C
        along_BT1 = torch.linalg.vecdot(grad_BTC, unit_BTC)[..., None] / x_BTC.shape[-1]
        dx_BTC = grad_BTC.addcmul_(unit_BTC, along_BT1, value=-1).mul_(scale_BT1)
        return dx_BTC.to(x_BTC.dtype), dweight_C.to(weight_C.dtype), None, None


def summed_loss(x_NC: Tensor, output_VC: Tensor, targets_N: Tensor) -> Tensor:
    """`cross_entropy((x @ output.T).float(), targets, reduction="sum")`, some rows at a time.

    The logits of all rows never stand in memory: gradients are made with the loss.
    """
    if not torch.is_grad_enabled():
        parts = zip(x_NC.split(LOSS_ROWS), targets_N.split(LOSS_ROWS), strict=True)
        losses = [F.cross_entropy(F.linear(x, output_VC).float(), y, reduction="sum") for x, y in parts]
        return torch.stack(losses).sum() if losses else x_NC.new_zeros(())
    return _SummedLoss.apply(x_NC, output_VC, targets_N)  # type: ignore[no-any-return]


class _SummedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NC: Tensor, output_VC: Tensor, targets_N: Tensor) -> Tensor:
        device = x_NC.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_NC.dtype
        matrix_VC = output_VC.to(dtype)
        dx_NC = torch.empty(x_NC.shape, dtype=dtype, device=x_NC.device)
        doutput_VC = torch.zeros_like(output_VC)
        loss = torch.zeros((), dtype=torch.float32, device=x_NC.device)
        for at in range(0, len(x_NC), LOSS_ROWS):
            x_RC, targets_R1 = x_NC[at : at + LOSS_ROWS].to(dtype), targets_N[at : at + LOSS_ROWS, None]
            logits_RV = torch.mm(x_RC, matrix_VC.T)
            shares_RV = torch.softmax(logits_RV, -1, dtype=torch.float32)
            own_R1 = shares_RV.gather(1, targets_R1)
            # Where a share is lost to underflow the loss is what log_softmax gives: a large finite number.
            loss += -own_R1.clamp_min(1e-38).log().sum()
            shares_RV.scatter_(1, targets_R1, own_R1 - 1)
            dlogits_RV = shares_RV.to(dtype)
            torch.mm(dlogits_RV, matrix_VC, out=dx_NC[at : at + LOSS_ROWS])
            doutput_VC += torch.mm(dlogits_RV.T, x_RC)
        ctx.save_for_backward(dx_NC.to(x_NC.dtype), doutput_VC)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        dx_NC, doutput_VC = ctx.saved_tensors
        return dx_NC * grads[0], doutput_VC * grads[0], None
