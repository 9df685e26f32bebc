"""Text to tokens and back: lossless, one token for each tag and pass, the same tokens as in transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.errors import InputError, ModelError
from irwright.lm import tokenizer as module
from irwright.tasks.text import TAGS

pytest.importorskip("tokenizers", reason="needs the extra `model`: pip install 'irwright[model]'")

TEXTS = [
    "define i32 @main(i32 %0) {\n  %2 = getelementptr i8, ptr %0, i64 8\n  ret i32 %2\n}\n",
    "main:\n\tmovq\t-8(%rbp), %rax\n\tretq\n",
] * 50


@pytest.fixture(scope="module")
def tokenizer() -> module.Tokenizer:
    return module.train_tokenizer(TEXTS, num_tokens=700)


def pieces(tokenizer: module.Tokenizer, text: str) -> list[bytes]:
    return [tokenizer.decode([number]) for number in tokenizer.encode(text)]


@given(st.binary(max_size=200))
def test_any_bytes_come_back(data: bytes) -> None:
    one = shared()
    assert one.decode(one.encode(data)) == data


@given(st.lists(st.sampled_from([*TAGS, "sroa", "<|end|>", "%12", " = add i32 ", "é", "\n"])).map("".join))
def test_any_text_comes_back(text: str) -> None:
    one = shared()
    assert one.decode(one.encode(text)) == text.encode()
    assert one.decode(one.encode_tagged(text)) == text.encode()


_shared: list[module.Tokenizer] = []


def shared() -> module.Tokenizer:
    """hypothesis wants no fixtures."""
    if not _shared:
        _shared.append(module.train_tokenizer(TEXTS, num_tokens=700))
    return _shared[0]


def test_every_pass_is_one_token_in_a_list(tokenizer: module.Tokenizer) -> None:
    names = module.pass_names()
    assert "sroa" in names and "early-cse" in names
    text = ",".join(names) + "\n\ndefine void @f() {"
    found = pieces(tokenizer, text)
    assert [name for name in names if name.encode() not in found] == []
    assert found[:3] == [names[0].encode(), b",", names[1].encode()]


def test_phrases_are_whole_and_values_apart(tokenizer: module.Tokenizer) -> None:
    found = pieces(tokenizer, "  %2 = getelementptr i8, ptr %0, i64 8\n")
    assert b" = getelementptr i8, ptr " in found
    assert b"%2" in found and b"%0" in found and b"8" in found


def test_text_that_looks_like_a_tag_is_text(tokenizer: module.Tokenizer) -> None:
    assert len(tokenizer.encode_tagged("<|answer|>")) == 1
    assert len(tokenizer.encode("<|answer|>")) > 1


def test_same_texts_same_file(tokenizer: module.Tokenizer) -> None:
    assert module.train_tokenizer(TEXTS, num_tokens=700).text == tokenizer.text


def test_transformers_reads_it(tokenizer: module.Tokenizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra `train`")
    tokenizer.save(tmp_path)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    text = "<|tune|><|ir|>" + TEXTS[0] + "<|answer|>sroa,gvn-hoist"
    assert theirs(text)["input_ids"] == tokenizer.encode_tagged(text)
    assert theirs.decode(tokenizer.encode(TEXTS[1])) == TEXTS[1]
    assert (theirs.eos_token_id, theirs.pad_token_id) == (tokenizer.end_id, tokenizer.pad_id)


def test_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        module.Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(InputError, match=r"tokenizer\.json: no tokenizer"):
        module.Tokenizer.load(tmp_path)


def test_too_small_a_vocabulary() -> None:
    with pytest.raises(ModelError, match="a vocabulary of 300 tokens is too small; it needs"):
        module.train_tokenizer(TEXTS, num_tokens=300)


def test_a_token_that_is_missing(tokenizer: module.Tokenizer) -> None:
    with pytest.raises(ModelError, match="the tokenizer has no token '<s>'"):
        tokenizer.id_of("<s>")
