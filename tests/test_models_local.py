"""A GGUF in a worker and a folder in torch, native and foreign: what they say, and what broken ones get."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lm_tools import small_model, small_tokenizer, torch

from irwright.errors import InputError, ModelError
from irwright.llvm.worker import default_jobs
from irwright.lm.export import write_gguf
from irwright.lm.hf import write_folder
from irwright.models.answers import Constraint, LanguageModel, Request
from irwright.models.endpoint import EndpointModel
from irwright.models.lists import ListLanguage
from irwright.models.local import SMALL_BYTES, LocalModel, usual_threads
from irwright.passes import PassList
from irwright.proposers import ModelProposer, open_model
from irwright.tasks import tune

pytest.importorskip("xllamacpp", reason="needs the extra `model`: pip install 'irwright[model]'")

IR = "define i32 @f(i32 %0, i32 %1) {\n  ret i32 %0\n}"
REQUEST = Request(prompt=tune.prompt(IR), max_tokens=40)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same model as GGUF and as a folder."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = small_tokenizer()
    model = small_model(tokenizer.num_tokens, seed=1)  # one whose likeliest tokens begin many lists
    write_gguf(folder / "m.gguf", model, tokenizer, kind="f32", outcomes=True)
    write_folder(folder / "hf", model.shape, dict(model.named_parameters()), tokenizer, knows_outcomes=True)
    return folder / "m.gguf", folder / "hf"


@pytest.fixture(scope="module")
def local(files: tuple[Path, Path]) -> Iterator[LanguageModel]:
    with open_model(str(files[0]), threads=1) as model:
        yield model


@pytest.fixture(scope="module")
def folder(files: tuple[Path, Path]) -> Iterator[LanguageModel]:
    with open_model(str(files[1])) as model:
        yield model


def test_small_models_run_on_one_thread() -> None:
    assert usual_threads(SMALL_BYTES) == 1
    assert usual_threads(SMALL_BYTES + 1) == default_jobs()


def test_both_say_the_same(local: LanguageModel, folder: LanguageModel) -> None:
    one, other = local.ask(REQUEST), folder.ask(REQUEST)
    assert (one.outcome, one.num_tokens, one.finished) == (other.outcome, other.num_tokens, other.finished)
    assert one.text == other.text
    assert local.style == folder.style == "native"


def test_both_are_asked_in_rounds_and_say_the_same(local: LanguageModel, folder: LanguageModel) -> None:
    assert local.knows_outcomes and folder.knows_outcomes
    found: list[list[str]] = []
    for model in (local, folder):
        tried: list[tune.Tried] = []
        outcomes = partial(_outcomes, tried)
        proposer = ModelProposer(model=model, outcomes=outcomes)
        for number, one in enumerate(proposer.lists(IR, 3)):
            assert one.passes not in [case.passes for case in tried]
            tried.append(tune.Tried(passes=one.passes, change=number - 1))
        found.append([str(one.passes) for one in tried])
    assert found[0] == found[1] and len(found[0]) == 3


def _outcomes(tried: list[tune.Tried]) -> tune.Outcomes:
    return tune.Outcomes(oz_bytes=40, tried=tuple(tried))


def test_constrained_answers_are_lists(local: LanguageModel, folder: LanguageModel) -> None:
    constraint = Constraint(language=ListLanguage(22))
    for model in (local, folder):
        for seed in range(4):
            request = Request(prompt=REQUEST.prompt, constraint=constraint, temperature=1.5, seed=seed, max_tokens=300)
            answer = model.ask(request)
            assert answer.finished
            assert tune.parse(answer.text).passes is not None, answer.text


def test_lists_are_different_and_the_same_from_both(local: LanguageModel, folder: LanguageModel) -> None:
    found = [list(ModelProposer(model=model).lists(IR, 6)) for model in (local, folder)]
    assert [len({str(one.passes) for one in lists}) for lists in found] == [6, 6]
    assert [one.passes for one in found[0][:3]] == [one.passes for one in found[1][:3]]
    assert found[0][0].logprob == pytest.approx(found[1][0].logprob, abs=0.05)
    again = list(ModelProposer(model=local).lists(IR, 6))
    assert [one.passes for one in again] == [one.passes for one in found[0]]


def test_lists_of_another_llvm(local: LanguageModel) -> None:
    for one in ModelProposer(model=local, llvm_major=17).lists(IR, 3):
        assert PassList.parse(str(one.passes), llvm_major=17).items


def test_a_prompt_that_is_too_long(local: LanguageModel, folder: LanguageModel) -> None:
    request = Request(prompt=tune.prompt(IR * 60))
    assert [model.ask(request).outcome for model in (local, folder)] == ["too-long", "too-long"]


def test_a_llama_cpp_server_with_a_tokenizer_is_native(local: LocalModel, files: tuple[Path, Path]) -> None:
    inner = local._endpoint
    with open_model(inner._base, tokenizer=files[0]) as model:
        assert isinstance(model, EndpointModel)
        model._key = inner._key
        assert model.ask(REQUEST).text == local.ask(REQUEST).text
        model._key = "wrong"
        refused = model.ask(REQUEST)
    assert refused.outcome == "error" and "HTTP 401" in refused.detail
    with open_model(inner._base) as meta:
        assert isinstance(meta, EndpointModel)
        meta._key = inner._key
        assert meta.style == "meta"
        assert meta.ask(Request(prompt=tune.prompt(IR, style="meta"), max_tokens=5)).num_tokens == 5


def test_a_gguf_without_our_marks_is_asked_as_meta_asks(files: tuple[Path, Path], tmp_path: Path) -> None:
    foreign = tmp_path / "llm-compiler.gguf"
    foreign.write_bytes(files[0].read_bytes().replace(b"irwright.format", b"elsewise.format"))
    with open_model(str(foreign), threads=1) as model:
        assert model.style == "meta"
        answer = model.ask(Request(prompt=tune.prompt(IR, style="meta"), max_tokens=7))
        assert (answer.outcome, answer.num_tokens) == ("ok", 7)


def test_a_worker_that_dies(files: tuple[Path, Path]) -> None:
    with LocalModel(files[0], threads=1) as model:
        process = model._worker.process
        process.kill()
        process.wait()
        answer = model.ask(REQUEST)
    assert answer.outcome == "error" and "llama.cpp ended (signal SIGKILL)" in answer.detail


def test_hostile_files(files: tuple[Path, Path], tmp_path: Path) -> None:
    data = files[0].read_bytes()
    spoiled = {
        "name": data.replace(b"blk.1.attn_q.weight", b"blk.1.attn_X.weight"),
        "count": data.replace(b"llama.block_count\x04\0\0\0\x02", b"llama.block_count\x04\0\0\0\xff"),
        "heads": data.replace(b"llama.attention.head_count\x04\0\0\0\x04", b"llama.attention.head_count\x04\0\0\0\0"),
    }
    for name, content in spoiled.items():
        assert content != data, name
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        with pytest.raises((InputError, ModelError), match=r"llama\.cpp (can't load it|ended on it)") as caught:
            open_model(str(path), threads=1)
        assert "\n" not in str(caught.value)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    small_tokenizer().save(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"transformers can't load it \("):
        open_model(str(tmp_path))
    small = small_model(small_tokenizer().num_tokens - 1)
    write_folder(tmp_path / "other", small.shape, dict(small.named_parameters()), small_tokenizer())
    with pytest.raises(ModelError, match="they are not of one model"):
        open_model(str(tmp_path / "other"))
    assert torch.get_num_threads() == 1
