"""A new model that copies: what stood behind an earlier occurrence of the present token is what it says."""

from __future__ import annotations

import pytest
from lm_tools import torch

from irwright.errors import ModelError
from irwright.lm.copying import begin_copying
from irwright.lm.model import Llama, build
from irwright.lm.presets import PRESETS, Shape


def begun(shape: Shape, seed: int = 0) -> Llama:
    model = build(shape, seed)
    begin_copying(model, torch.Generator().manual_seed(seed))
    return model


SHAPE = Shape(num_tokens=4096, width=256, num_layers=2, num_heads=4, num_kv_heads=4, hidden=64, tied=False)


@pytest.mark.parametrize("length", [20, 150, 400])
def test_a_text_that_comes_again_is_said_before_anything_was_learned(length: int) -> None:
    text = torch.randint(0, SHAPE.num_tokens, (length,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        said = begun(SHAPE)(torch.cat((text, text))[None])[0].argmax(-1)
    right = (said[length : 2 * length - 1] == text[1:]).float().mean()
    assert right > 0.7
    assert (said[: length - 1] == text[1:]).float().mean() < 0.1


def test_the_same_seed_gives_the_same_weights() -> None:
    one, again, other = begun(SHAPE), begun(SHAPE), begun(SHAPE, 1)
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    assert not torch.equal(one.model.embed_tokens.weight, other.model.embed_tokens.weight)


def test_shapes_without_room_are_refused() -> None:
    with pytest.raises(ModelError, match=r"needs two layers.* this one has a width of 64 and heads of 32"):
        begun(PRESETS["micro"])
