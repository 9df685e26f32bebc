"""Our Llama beside transformers': the same logits, losses and gradients from the same weights."""

from __future__ import annotations

import pytest
from lm_tools import small_model, torch

from irwright.errors import ModelError
from irwright.lm.model import IGNORED, build, load_weights
from irwright.lm.presets import PRESETS, Shape, preset

TOKENS = 320


@pytest.fixture(params=[(4, True), (2, False)], ids=["tied", "grouped"])
def pair(request: pytest.FixtureRequest) -> tuple[object, object]:
    """A model of ours and transformers' with the same weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    kv_heads, tied = request.param
    ours = small_model(TOKENS, kv_heads=kv_heads, tied=tied)
    theirs = LlamaForCausalLM(LlamaConfig(**ours.shape.to_hf()))
    weights = dict(ours.state_dict())
    weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
    theirs.load_state_dict(weights)
    return ours, theirs


def test_logits_are_those_of_transformers(pair: tuple[object, object]) -> None:
    ours, theirs = pair
    ids = torch.randint(0, TOKENS, (2, 70), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=1e-4, atol=1e-4)  # type: ignore[operator]


def test_loss_and_gradients_are_those_of_transformers(pair: tuple[object, object]) -> None:
    ours, theirs = pair
    ids = torch.randint(0, TOKENS, (3, 90), generator=torch.Generator().manual_seed(2))
    labels = ids.clone()
    labels[:, :20] = IGNORED
    targets = torch.cat((labels[:, 1:], torch.full((3, 1), IGNORED)), dim=1)
    loss = ours(ids, targets) / int((targets != IGNORED).sum())  # type: ignore[operator]
    expected = theirs(ids, labels=labels).loss  # type: ignore[operator]
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    loss.backward()
    expected.backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}  # type: ignore[attr-defined]
    for name, parameter in ours.named_parameters():  # type: ignore[attr-defined]
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-3, atol=1e-5, msg=name)


def test_weights_go_both_ways(pair: tuple[object, object]) -> None:
    ours, theirs = pair
    again = build(ours.shape, 99)  # type: ignore[attr-defined]
    load_weights(again, theirs.state_dict(), origin="theirs")  # type: ignore[attr-defined]
    for (name, one), other in zip(ours.named_parameters(), again.parameters(), strict=True):  # type: ignore[attr-defined]
        assert torch.equal(one, other), name


def test_padding_on_the_right_changes_nothing() -> None:
    model = small_model(TOKENS)
    ids = torch.randint(1, TOKENS, (1, 40))
    padded = torch.cat((ids, torch.zeros(1, 24, dtype=torch.long)), dim=1)
    with torch.no_grad():
        torch.testing.assert_close(model(padded)[:, :40], model(ids), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_of_another_shape() -> None:
    model = small_model(TOKENS)
    weights = dict(model.state_dict())
    with pytest.raises(ModelError, match=r"here: 'model.norm.weight' has shape \(3,\), the model needs \(64,\)"):
        load_weights(model, weights | {"model.norm.weight": torch.ones(3)}, origin="here")
    weights.pop("model.norm.weight")
    with pytest.raises(ModelError, match=r"the checkpoint lacks 'model.norm.weight'; it is of another model"):
        load_weights(model, weights, origin="here")


def test_same_seed_same_weights() -> None:
    one, two = build(PRESETS["micro"], 5), build(PRESETS["micro"], 5)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert sum(p.numel() for p in one.parameters()) == PRESETS["micro"].num_parameters


def test_presets() -> None:
    sizes = {name: round(shape.num_parameters / 1e6, 1) for name, shape in PRESETS.items()}
    assert sizes["tiny"] == 3.7 and sizes["7b"] == 6738.5 and sizes["13b"] == 13016.0
    assert all(Shape.from_hf(shape.to_hf()) == shape for shape in PRESETS.values())
    with pytest.raises(ModelError, match="unknown preset 'tinny'; did you mean 'tiny'"):
        preset("tinny")
    with pytest.raises(ModelError, match="a model of type 'gpt2' can't be used"):
        Shape.from_hf({"model_type": "gpt2"})
    with pytest.raises(ModelError, match="lacks or garbles 'hidden_size'"):
        Shape.from_hf({"model_type": "llama", "num_attention_heads": 2, "vocab_size": 2})
    with pytest.raises(ModelError, match="a width of 65 can't be divided"):
        Shape(width=65, num_layers=1, num_heads=2, num_kv_heads=2, hidden=8)
