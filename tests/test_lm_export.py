"""What is exported is the same model for transformers and for llama.cpp."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_tools import small_model, small_tokenizer, torch

from irwright.errors import InputError, ModelError
from irwright.lm.export import export, model_folder, write_gguf
from irwright.lm.hf import write_folder
from irwright.lm.tokenizer import Tokenizer

PROMPT = "<|tune|><|ir|>define i32 @f(i32 %0, i32 %1) {\n  ret i32 %0\n}<|answer|>"
NUM_TOKENS = 16


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return small_tokenizer()


@pytest.fixture(scope="module", params=[(4, True), (2, False)], ids=["tied", "grouped"])
def model(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Any:
    kv_heads, tied = request.param
    return small_model(tokenizer.num_tokens, kv_heads=kv_heads, tied=tied)


@torch.no_grad()
def greedy(model: Any, ids: list[int]) -> list[int]:
    ids = list(ids)
    for _ in range(NUM_TOKENS):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[-NUM_TOKENS:]


def test_transformers_gives_the_same_logits(model: Any, tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    write_folder(tmp_path / "model", model.shape, dict(model.named_parameters()), tokenizer)
    export(tmp_path, tmp_path / "hf", to="hf")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    ids = torch.tensor([tokenizer.encode_tagged(PROMPT)])
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, model(ids), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_llama_cpp_says_the_same(model: Any, tokenizer: Tokenizer, tmp_path: Path, kind: Any, ask: Ask) -> None:
    write_gguf(tmp_path / "m.gguf", model, tokenizer, kind=kind)
    ids = tokenizer.encode_tagged(PROMPT)
    expected, found = tokenizer.decode(greedy(model, ids)), ask(tmp_path / "m.gguf", ids)
    assert expected.startswith(found)
    assert len(expected) - len(found) <= 3  # the beginning of a character stays unsaid at the end


def test_llama_cpp_says_the_same_of_rounded_weights(model: Any, tokenizer: Tokenizer, tmp_path: Path, ask: Ask) -> None:
    """q8_0 rounds weights; llama.cpp rounds activations too, so only the first tokens have to agree."""
    import gguf

    rounded = small_model(tokenizer.num_tokens, kv_heads=model.shape.num_kv_heads, tied=model.shape.tied)
    for parameter in rounded.parameters():
        if parameter.ndim == 2:
            q8 = gguf.quants.quantize(parameter.detach().numpy(), gguf.GGMLQuantizationType.Q8_0)
            parameter.data = torch.from_numpy(gguf.quants.dequantize(q8, gguf.GGMLQuantizationType.Q8_0))
    write_gguf(tmp_path / "m.gguf", model, tokenizer, kind="q8_0")
    ids = tokenizer.encode_tagged(PROMPT)
    first = tokenizer.decode(greedy(rounded, ids)[:3])
    assert ask(tmp_path / "m.gguf", ids)[: len(first)] == first
    assert (tmp_path / "m.gguf").stat().st_size < 0.4 * sum(4 * p.numel() for p in model.parameters()) + 60_000


Ask = Callable[[Path, list[int]], bytes]


@pytest.fixture
def ask() -> Ask:
    """What llama.cpp says to tokens, greedily, as bytes."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="needs the extra `model`: pip install 'irwright[model]'")

    def run(path: Path, ids: list[int]) -> bytes:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel, parameters.warmup, parameters.verbosity = 256, 1, False, -1
        parameters.cpuparams.n_threads = 1
        server = xllamacpp.Server(parameters)
        answer = server.handle_completions({"prompt": ids, "n_predict": NUM_TOKENS, "temperature": 0, "n_probs": 1})
        return b"".join(bytes(one["bytes"]) for one in answer["choices"][0]["logprobs"]["content"])

    return run


def test_others_may_read_what_is_exported(model: Any, tokenizer: Tokenizer, tmp_path: Path) -> None:
    write_folder(tmp_path / "model", model.shape, dict(model.named_parameters()), tokenizer)
    modes = {path.stat().st_mode for path in (tmp_path / "model").iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("to", ["gguf", "hf"])
def test_a_tokenizer_of_another_model(tokenizer: Tokenizer, tmp_path: Path, to: Any) -> None:
    small = small_model(tokenizer.num_tokens - 1)
    write_folder(tmp_path / "model", small.shape, dict(small.named_parameters()), tokenizer)
    with pytest.raises(ModelError, match=r"the tokenizer has \d+ tokens, the model \d+; they are not of one model"):
        export(tmp_path, tmp_path / "out", to=to)
    assert not (tmp_path / "out").exists()


def test_a_file_that_can_not_be_written(model: Any, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown type 'q3' of weights; there are f32, f16, q8_0"):
        write_gguf(tmp_path / "m.gguf", model, tokenizer, kind="q3")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no model after stage 'tune'"):
        model_folder(tmp_path, "tune")
