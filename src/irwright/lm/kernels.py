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

LOSS_ROWS = 256
"""targets whose logits are in memory at a time"""


def causal_attention(q_BHTD: Tensor, k_BKTD: Tensor, v_BKTD: Tensor) -> Tensor:
    """`scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)`.

    On CPUs bf16 goes through matrix products of whole heads, two to three times as fast as torch's own kernel.
    """
    groups = q_BHTD.shape[1] // k_BKTD.shape[1]
    if q_BHTD.device.type != "cpu" or q_BHTD.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q_BHTD, k_BKTD, v_BKTD, is_causal=True, enable_gqa=groups > 1)
    if groups > 1:
        k_BKTD, v_BKTD = k_BKTD.repeat_interleave(groups, 1), v_BKTD.repeat_interleave(groups, 1)
    return _CausalAttention.apply(q_BHTD, k_BKTD, v_BKTD)  # type: ignore[no-any-return]


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor) -> Tensor:
        batch, heads, length, width = q_BHTD.shape
        q_NTD, k_NTD, v_NTD = (x.reshape(-1, length, width) for x in (q_BHTD, k_BHTD, v_BHTD))
        mask_TT = torch.full((length, length), float("-inf"), dtype=q_NTD.dtype).triu(1)
        scores_NTT = torch.baddbmm(mask_TT, q_NTD, k_NTD.transpose(1, 2), alpha=width**-0.5)
        shares_NTT = torch.softmax(scores_NTT, -1)
        ctx.save_for_backward(q_NTD, k_NTD, v_NTD, shares_NTT)
        return torch.bmm(shares_NTT, v_NTD).view(batch, heads, length, width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        (grad_BHTD,) = grads
        q_NTD, k_NTD, v_NTD, shares_NTT = ctx.saved_tensors
        grad_NTD = grad_BHTD.reshape(q_NTD.shape)
        dv_NTD = torch.bmm(shares_NTT.transpose(1, 2), grad_NTD)
        dshares_NTT = torch.bmm(grad_NTD, v_NTD.transpose(1, 2))
        dscores_NTT = torch.ops.aten._softmax_backward_data(dshares_NTT, shares_NTT, -1, shares_NTT.dtype)
        dscores_NTT.mul_(q_NTD.shape[-1] ** -0.5)
        dq_NTD, dk_NTD = torch.bmm(dscores_NTT, k_NTD), torch.bmm(dscores_NTT.transpose(1, 2), q_NTD)
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
