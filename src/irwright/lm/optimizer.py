# pyright: standard
"""Muon for the matrices inside layers, AdamW for everything else; state is named tensors, ready for safetensors.

Muon (Jordan et al., 2024): the momentum of a matrix is replaced by the nearest matrix whose singular values are about
1, by five Newton-Schulz steps with the published quintic; all matrices of a shape go through them together. Sharded
parameters (DTensor) are gathered for it: each process computes the whole and takes its rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NUM_NEWTON_SCHULZ = 5
MUON_MOMENTUM = 0.95
BETAS = (0.9, 0.95)
EPSILON = 1e-8


def is_matrix(name: str, parameter: Tensor) -> bool:
    """True for what Muon trains."""
    return parameter.ndim == 2 and "embed_tokens" not in name and "lm_head" not in name


class Optimizer:
    """Updates named parameters in place from their gradients."""

    def __init__(
        self,
        parameters: Iterable[tuple[str, nn.Parameter]],
        *,
        muon: bool,
        matrix_rate: float,
        rate: float,
        weight_decay: float,
    ) -> None:
        trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
        self._matrices = {name: p for name, p in trained if muon and is_matrix(name, p)}
        self._others = {name: p for name, p in trained if name not in self._matrices}
        self._matrix_rate, self._rate, self._decay = matrix_rate, rate, weight_decay
        self._momentum = {name: torch.zeros_like(p) for name, p in self._matrices.items()}
        self._first = {name: torch.zeros_like(p) for name, p in self._others.items()}
        self._second = {name: torch.zeros_like(p) for name, p in self._others.items()}
        self.num_steps = 0

    def state(self) -> dict[str, Tensor]:
        """Every tensor of the state, by name, not copied."""
        kinds = (("momentum", self._momentum), ("first", self._first), ("second", self._second))
        return {f"{kind}.{name}": tensor for kind, tensors in kinds for name, tensor in tensors.items()}

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update, learning rates times `scale`; gradients are kept."""
        self.num_steps += 1
        for name, parameter in self._others.items():
            if parameter.grad is not None:
                self._adamw(name, parameter, parameter.grad, scale * self._rate)
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for name, parameter in self._matrices.items():
            if parameter.grad is not None:
                by_shape.setdefault(tuple(parameter.shape), []).append(name)
        for names in by_shape.values():
            self._muon(names, scale * self._matrix_rate)

    def _adamw(self, name: str, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        first, second = self._first[name], self._second[name]
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        bias = 1 - BETAS[1] ** self.num_steps
        size = (second / bias).sqrt_().add_(EPSILON)
        if self._decay and parameter.ndim >= 2:
            parameter.mul_(1 - rate * self._decay)
        parameter.addcdiv_(first, size, value=-rate / (1 - BETAS[0] ** self.num_steps))

    def _muon(self, names: list[str], rate: float) -> None:
        updates: list[Tensor] = []
        for name in names:
            gradient, momentum = self._matrices[name].grad, self._momentum[name]
            assert gradient is not None  # `names` are those that have one
            momentum.lerp_(gradient, 1 - MUON_MOMENTUM)
            update = torch.lerp(gradient, momentum, MUON_MOMENTUM)
            updates.append(update.full_tensor() if isinstance(update, DTensor) else update)
        directions = orthogonalised(torch.stack(updates))
        rows, columns = updates[0].shape
        step = -rate * max(1.0, rows / columns) ** 0.5
        for name, direction in zip(names, directions, strict=True):
            parameter = self._matrices[name]
            if self._decay:
                parameter.mul_(1 - rate * self._decay)
            own, part = local(parameter), local_part(direction, parameter)
            own.add_(part.to(own.dtype), alpha=step)


def orthogonalised(stack: Tensor) -> Tensor:
    """Each matrix of a stack with its singular values near 1, in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = stack.bfloat16()
    wide = x.mT if x.shape[-2] > x.shape[-1] else x
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(NUM_NEWTON_SCHULZ):
        square = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(square, square, square, beta=b, alpha=c), wide, beta=a)
    return wide.mT if x.shape[-2] > x.shape[-1] else wide


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def local_part(whole: Tensor, like: Any) -> Tensor:
    """The rows of a whole tensor that this process holds of `like`."""
    if not isinstance(like, DTensor):
        return whole
    (placement,) = like.placements
    if not isinstance(placement, Shard):
        return whole
    parts = whole.chunk(like.device_mesh.size(), dim=placement.dim)
    rank = like.device_mesh.get_local_rank()
    return parts[rank] if rank < len(parts) else whole[:0]


def clip_gradients(parameters: Iterable[nn.Parameter], norm: float) -> float:
    """Scale gradients down to a norm; the norm they had."""
    found = torch.nn.utils.clip_grad_norm_(parameters, norm)
    return float(found.full_tensor() if isinstance(found, DTensor) else found)
