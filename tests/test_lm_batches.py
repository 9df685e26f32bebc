"""Batches: every token once an epoch, mixes as asked for, the same from any position, nothing learned of prompts."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_tools import small_tokenizer, write_examples

from irwright.errors import InputError, ModelError, StorageError
from irwright.lm.batches import IGNORED, MIXES, PAD_TO, Position, Source, Stream, in_order
from irwright.lm.tokenizer import STAGES, Stage, Tokenizer
from irwright.lm.tokens import TokenSet, open_examples, tokenise

Sets = dict[tuple[Stage, str], TokenSet]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return small_tokenizer()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Sets:
    folder = tmp_path_factory.mktemp("data")
    return tokenise(open_examples(write_examples(folder / "examples")), tokenizer, folder / "tokens")


def stream(sets: Sets, stage: Stage, position: Position | None = None, *, seed: int = 0) -> Stream:
    return Stream(stage, sets, context=256, micro_tokens=512, seed=seed, position=position)


def test_tokens_are_those_of_the_examples(sets: Sets, tokenizer: Tokenizer, tmp_path: Path) -> None:
    shards = open_examples(write_examples(tmp_path))
    rows = [row for row in shards[0].rows() if (row["stage"], row["split"]) == ("emulate", "train")]
    found = sets["emulate", "train"]
    assert len(found) == len(rows) == 50
    for row, start, end, head in zip(rows, found.starts, found.ends, found.heads, strict=True):
        prompt = tokenizer.decode(found.ids[start : start + head].tolist()).decode()
        completion = tokenizer.decode(found.ids[start + head : end].tolist()).decode()
        assert (prompt, completion) == (row["prompt"], row["completion"] + "<|end|>")


def test_an_epoch_holds_every_example_once(sets: Sets) -> None:
    source = Source(sets["tune", "train"], 256, (1, 2))
    epochs = [[source.at(epoch * len(source) + at) for at in range(len(source))] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(len(source)))
    assert epochs[0] != epochs[1]
    assert source.at(3) == epochs[0][3]  # back in an earlier epoch


@pytest.mark.parametrize("stage", STAGES)
def test_mixes_are_kept_by_tokens(sets: Sets, stage: Stage) -> None:
    one = stream(sets, stage)
    while one.position.window < 5:
        one.take()
    total = sum(one.position.drawn.values())
    for source, share in MIXES[stage].items():
        assert one.position.drawn[source] / total == pytest.approx(share, abs=0.02)


def test_another_mix(sets: Sets) -> None:
    one = Stream("tune", sets, context=256, micro_tokens=512, seed=0, mix={"tune": 0.5, "emulate": 0.5})
    while one.position.window < 5:
        one.take()
    total = sum(one.position.drawn.values())
    assert one.position.drawn.keys() == {"tune", "emulate"}
    assert one.position.drawn["emulate"] / total == pytest.approx(0.5, abs=0.02)


def test_from_any_position_the_same(sets: Sets) -> None:
    straight = stream(sets, "disassemble")
    batches = [straight.take() for _ in range(90)]
    for at in (0, 1, 33, 70):
        one = stream(sets, "disassemble")
        for _ in range(at):
            one.take()
        again = stream(sets, "disassemble", Position.from_json(one.position.to_json()))
        for expected in batches[at : at + 20]:
            found = again.take()
            assert (found.ids == expected.ids).all() and (found.targets == expected.targets).all()
    other = [stream(sets, "disassemble", seed=1).take() for _ in range(1)]
    assert other[0].ids.shape != batches[0].ids.shape or (other[0].ids != batches[0].ids).any()


def test_only_completions_are_learned(sets: Sets, tokenizer: Tokenizer) -> None:
    answer = tokenizer.id_of("<|answer|>")
    batch = next(in_order(sets["tune", "heldout"], context=256, micro_tokens=512, max_tokens=512))
    assert batch.ids.shape[1] % PAD_TO == 0
    for ids, targets in zip(batch.ids, batch.targets, strict=True):
        place = ids.tolist().index(answer)
        assert (targets[:place] == IGNORED).all() and targets[place] != IGNORED
        learned = targets[targets != IGNORED].tolist()
        assert learned[-1] == tokenizer.end_id
        assert ids[place + 1 : place + len(learned)].tolist() == learned[:-1]


def test_parts_of_a_batch_are_the_batch(sets: Sets) -> None:
    batch = stream(sets, "emulate").take()
    parts = [batch.part(rank, 3) for rank in range(3)]
    assert sum(part.num_targets for part in parts) == batch.num_targets
    lonely = batch.part(0, 1).part(0, len(batch.ids))
    assert lonely.num_tokens == batch.ids.shape[1]
    nothing = lonely.part(1, 2)
    assert nothing.num_targets == 0 and nothing.num_tokens == lonely.num_tokens


def test_long_texts_are_cut_and_long_examples_left_out(sets: Sets) -> None:
    pretrain, emulate = sets["pretrain", "train"], sets["emulate", "train"]
    cut = Source(pretrain, 40, (0,))
    assert cut.num_too_long == 0 and len(cut) > len(pretrain)
    assert int((cut.lengths - 1).sum()) == len(pretrain.ids) - len(pretrain)  # each token is a target once
    assert Source(emulate, 40, (0,)).num_too_long > 0
    with pytest.raises(ModelError, match="no training examples of stage 'emulate' that fit 32 tokens"):
        Stream("emulate", sets, context=32, micro_tokens=512, seed=0)


def test_examples_may_lie_in_many_folders(tokenizer: Tokenizer, tmp_path: Path) -> None:
    folders = [write_examples(tmp_path / "one", 12), write_examples(tmp_path / "two", 20)]
    alone = [tokenise(open_examples(folder), tokenizer, tmp_path / "tokens") for folder in folders]
    both = tokenise(open_examples(*folders), tokenizer, tmp_path / "tokens")
    for key, found in both.items():
        assert found.ids.tolist() == [number for sets in alone for number in sets[key].ids.tolist()]


def test_tokens_that_are_there_are_kept_and_broken_ones_said(tokenizer: Tokenizer, tmp_path: Path) -> None:
    shards = open_examples(write_examples(tmp_path / "examples", 12))
    tokenise(shards, tokenizer, tmp_path / "tokens")
    file = tmp_path / "tokens" / "tune-train.ids"
    before = file.stat().st_mtime_ns
    tokenise(shards, tokenizer, tmp_path / "tokens")
    assert file.stat().st_mtime_ns == before
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(StorageError, match="tokens cut short; remove the folder to make them anew"):
        tokenise(shards, tokenizer, tmp_path / "tokens")
    with pytest.raises(InputError, match="no examples in it"):
        open_examples(tmp_path / "nothing")
