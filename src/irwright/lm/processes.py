# pyright: standard
"""The processes of one training: one by default, many under torchrun, with copies (DDP) or parts (FSDP2) of the model.

Under torchrun the environment says who is who. On CPUs they talk over gloo, on GPUs over nccl.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from irwright.lm.model import Llama

Parallel = Literal["copies", "parts"]


@dataclass(frozen=True, slots=True)
class Processes:
    """One of `world` processes; `rank` 0 writes files and speaks."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    parallel: Parallel = "copies"

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        return self.world > 1 and self.parallel == "parts"

    def barrier(self) -> None:
        if self.world > 1:
            dist.barrier()

    def summed(self, values: list[float]) -> list[float]:
        """Each value added up over all processes."""
        if self.world == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def wrap(self, model: Llama) -> nn.Module:
        """The module to call in place of `model`: gradients come out averaged over processes."""
        if self.world == 1:
            return model
        if not self.sharded:
            ids = [self.device.index] if self.device.type == "cuda" else None
            return nn.parallel.DistributedDataParallel(model, device_ids=ids)
        from torch.distributed.fsdp import fully_shard

        for layer in model.model.layers:
            fully_shard(layer)
        fully_shard(model)
        return model

    @contextmanager
    def accumulating(self, wrapped: nn.Module, *, last: bool) -> Generator[None]:
        """Around one micro-batch of a step: gradients are exchanged with the last one."""
        if isinstance(wrapped, nn.parallel.DistributedDataParallel) and not last:
            with wrapped.no_sync():
                yield
            return
        if self.sharded:
            wrapped.set_requires_gradient_sync(last)  # type: ignore[operator]
        yield


@contextmanager
def started(parallel: Parallel = "copies") -> Iterator[Processes]:
    """This process among those torchrun started; alone where there is no torchrun."""
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else None
    device = device or torch.device("cpu")
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield Processes(device=device, parallel=parallel)
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device, parallel)
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


def whole(tensor: Tensor) -> Tensor:
    """A tensor gathered from all processes; all call it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
