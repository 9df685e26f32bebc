"""Muon and AdamW beside torch's own."""

from __future__ import annotations

import pytest
from lm_tools import small_model, torch

from irwright.lm import optimizer as module


def trained(model: torch.nn.Module, step: object, steps: int = 4) -> None:
    """Some steps with made-up gradients."""
    generator = torch.Generator().manual_seed(7)
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        step()  # type: ignore[operator]


def ours(model: torch.nn.Module, *, muon: bool, decay: float = 0.0) -> module.Optimizer:
    return module.Optimizer(model.named_parameters(), muon=muon, matrix_rate=0.02, rate=0.003, weight_decay=decay)


def test_adamw_is_that_of_torch() -> None:
    one, other = small_model(300), small_model(300)
    own = ours(one, muon=False)
    theirs = torch.optim.AdamW(other.parameters(), lr=0.003, betas=module.BETAS, weight_decay=0.0)
    trained(one, lambda: own.step(1.0))
    trained(other, theirs.step)
    for (name, mine), its in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6, msg=name)


def test_muon_is_that_of_torch() -> None:
    one, other = small_model(300), small_model(300)
    own = ours(one, muon=True)
    trained(one, lambda: own.step(1.0))
    matrices = [parameter for name, parameter in other.named_parameters() if module.is_matrix(name, parameter)]
    theirs = torch.optim.Muon(matrices, lr=0.02, momentum=module.MUON_MOMENTUM, weight_decay=0.0)
    trained(other, theirs.step)
    for (name, mine), its in zip(one.named_parameters(), other.named_parameters(), strict=True):
        if module.is_matrix(name, mine):
            torch.testing.assert_close(mine, its[1], rtol=0.02, atol=0.004, msg=name)


@pytest.mark.parametrize("shape", [(1, 24, 24), (3, 16, 40), (2, 40, 16)])
def test_directions_are_nearly_orthogonal(shape: tuple[int, ...]) -> None:
    found = module.orthogonalised(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    values = torch.linalg.svdvals(found.float())
    assert values.min() > 0.5 and values.max() < 1.3


def test_state_is_named_and_complete() -> None:
    model = small_model(300)
    own = ours(model, muon=True, decay=0.1)
    trained(model, lambda: own.step(0.5))
    names = {name for name, _ in model.named_parameters()}
    kinds = own.state()
    assert {name.partition(".")[2] for name in kinds} == names
    assert {name.partition(".")[0] for name in kinds} == {"momentum", "first", "second"}
    assert module.clip_gradients(model.parameters(), 1.0) > 1.0
