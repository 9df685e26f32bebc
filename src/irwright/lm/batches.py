"""Token sets to batches: mixed by stage, sorted by length, the same for the same seed, from any position.

A *step* of training takes some *micro-batches*. Sequences of a micro-batch have about the same length and are padded on
the right to a multiple of PAD_TO; about `micro_tokens` go into one. Order is random on three levels: each source is
shuffled by epoch, sources are drawn by their share of the mix, and the micro-batches of a window (WINDOW of them, whose
sequences are sorted) are shuffled.

Length buckets rather than packing: no attention between documents has to be masked, and short functions cost no
attention over a long row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from irwright.errors import ModelError
from irwright.lm.tokenizer import STAGES, Stage
from irwright.lm.tokens import TokenSet

PAD_TO = 64
WINDOW = 32
IGNORED = -100

# What a stage trains on: its own examples, and what is kept of earlier ones (arXiv 2407.02524, table 1 and section 3;
# how the 15 % of flag tuning divide is not published).
MIXES: dict[Stage, dict[Stage, float]] = {
    "pretrain": {"pretrain": 1.0},
    "emulate": {"emulate": 0.85, "pretrain": 0.15},
    "tune": {"tune": 0.85, "emulate": 0.12, "pretrain": 0.03},
    "disassemble": {"disassemble": 0.852, "emulate": 0.081, "tune": 0.047, "pretrain": 0.02},
}

# Tokens each stage is trained on, as shares of all (401, 145, 84 and 80 billion in the paper).
SHARES: dict[Stage, float] = {"pretrain": 401, "emulate": 145, "tune": 84, "disassemble": 80}


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Some sequences of about one length, N rows of T tokens."""

    ids: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    """What each position is to say; IGNORED where nothing is learned."""
    name: str
    """Where it is from, for messages."""

    @property
    def num_tokens(self) -> int:
        return self.ids.size

    @property
    def num_targets(self) -> int:
        return int((self.targets != IGNORED).sum())

    def part(self, rank: int, world: int) -> MicroBatch:
        """The rows of one process of many; a row that teaches nothing where there are too few."""
        ids, targets = self.ids[rank::world], self.targets[rank::world]
        if len(ids) == 0:
            ids, targets = self.ids[:1], np.full_like(self.targets[:1], IGNORED)
        return MicroBatch(ids, targets, self.name)


@dataclass(slots=True)
class Source:
    """The pieces of one token set that fit a context, shuffled anew each epoch."""

    tokens: TokenSet
    context: int
    seed: tuple[int, ...]
    starts: npt.NDArray[np.int64] = field(init=False)
    lengths: npt.NDArray[np.int64] = field(init=False)
    heads: npt.NDArray[np.int64] = field(init=False)
    num_too_long: int = field(init=False)
    _epoch: int = field(init=False, default=-1)
    _order: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        starts, heads = self.tokens.starts, self.tokens.heads
        lengths = self.tokens.ends - starts
        cut = heads <= 1  # pretraining: a long text is cut into pieces; an example is whole or left out
        keep = (lengths <= self.context + 1) & (lengths > heads)
        self.num_too_long = int((~keep & ~cut).sum())
        pieces = [
            (int(start), int(length)) for start, length in zip(starts[cut & ~keep], lengths[cut & ~keep], strict=True)
        ]
        cuts = [
            (start + at, min(self.context + 1, length - at))
            for start, length in pieces
            for at in range(0, length - 1, self.context)
        ]
        extra = np.array(cuts, dtype=np.int64).reshape(-1, 2)
        self.starts = np.concatenate((starts[keep], extra[:, 0]))
        self.lengths = np.concatenate((lengths[keep], extra[:, 1]))
        self.heads = np.concatenate((heads[keep], np.ones(len(extra), dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, cursor: int) -> int:
        """The number of the piece that stands at a place of the endless shuffled sequence."""
        epoch, place = divmod(cursor, len(self))
        if epoch != self._epoch:
            self._order = np.random.default_rng([*self.seed, epoch]).permutation(len(self))
            self._epoch = epoch
        return int(self._order[place])


@dataclass(slots=True)
class Position:
    """Where a stream is: what has been drawn before the current window, and the next micro-batch in it."""

    window: int = 0
    index: int = 0
    cursors: dict[str, int] = field(default_factory=dict[str, int])
    drawn: dict[str, int] = field(default_factory=dict[str, int])
    """tokens drawn from each source"""

    def to_json(self) -> dict[str, Any]:
        return {"window": self.window, "index": self.index, "cursors": self.cursors, "drawn": self.drawn}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Position:
        return cls(int(data["window"]), int(data["index"]), dict(data["cursors"]), dict(data["drawn"]))


class Stream:
    """Endless micro-batches of one stage; `position` is where the next one is, `mix` what stands in for its MIXES."""

    def __init__(
        self,
        stage: Stage,
        sets: Mapping[tuple[Stage, str], TokenSet],
        *,
        context: int,
        micro_tokens: int,
        seed: int,
        mix: Mapping[Stage, float] | None = None,
        position: Position | None = None,
    ) -> None:
        self.stage = stage
        self._micro_tokens = max(micro_tokens, context)
        self._seed = seed
        mix = mix or MIXES[stage]
        self.sources: dict[Stage, Source] = {
            source: Source(sets[source, "train"], context, (seed, STAGES.index(stage), STAGES.index(source)))
            for source in mix
        }
        self._shares: dict[Stage, float] = {source: mix[source] for source, one in self.sources.items() if len(one)}
        if stage not in self._shares:
            raise ModelError(f"no training examples of stage {stage!r} that fit {context} tokens")
        self.position = position or Position()
        self._window: list[MicroBatch] = []
        self._after = self.position
        self._fill()

    def take(self) -> MicroBatch:
        """The next micro-batch."""
        if self.position.index >= len(self._window):
            self.position = self._after
            self._fill()
        batch = self._window[self.position.index]
        self.position.index += 1
        return batch

    def _fill(self) -> None:
        """Make the window that begins at `position`, and remember where the next one does."""
        cursors, drawn = dict(self.position.cursors), dict(self.position.drawn)
        rows: list[tuple[Stage, int]] = []
        left = WINDOW * self._micro_tokens
        while left > 0:
            total = sum(drawn.values()) + 1
            stage = max(self._shares, key=lambda one: self._shares[one] * total - drawn.get(one, 0))
            source = self.sources[stage]
            row = source.at(cursors.get(stage, 0))
            cursors[stage] = cursors.get(stage, 0) + 1
            drawn[stage] = drawn.get(stage, 0) + int(source.lengths[row])
            left -= int(source.lengths[row])
            rows.append((stage, row))
        rows.sort(key=lambda one: (int(self.sources[one[0]].lengths[one[1]]), one))
        batches = list(self._cut(rows))
        order = np.random.default_rng([self._seed, STAGES.index(self.stage), 7, self.position.window]).permutation(
            len(batches)
        )
        self._window = [batches[at] for at in order]
        self._after = Position(self.position.window + 1, 0, cursors, drawn)

    def _cut(self, rows: list[tuple[Stage, int]]) -> Iterator[MicroBatch]:
        """Micro-batches of neighbours; `rows` are sorted by length."""
        batch: list[tuple[Stage, int]] = []
        for row in rows:
            length = padded_length(int(self.sources[row[0]].lengths[row[1]]) - 1)
            if batch and (len(batch) + 1) * length > self._micro_tokens:
                yield self._collate(batch)
                batch = []
            batch.append(row)
        yield self._collate(batch)

    def _collate(self, rows: list[tuple[Stage, int]]) -> MicroBatch:
        pieces = [(self.sources[stage], number) for stage, number in rows]
        name = f"window {self.position.window}, first example {rows[0][1]} of {rows[0][0]}"
        return collate(pieces, name)


def padded_length(length: int) -> int:
    """The next multiple of PAD_TO."""
    return -(-length // PAD_TO) * PAD_TO


def collate(pieces: list[tuple[Source, int]], name: str) -> MicroBatch:
    """Pieces as rows; a position's target is the token behind it, IGNORED in prompts and padding."""
    longest = max(int(source.lengths[number]) for source, number in pieces) - 1
    ids = np.zeros((len(pieces), padded_length(longest)), dtype=np.int64)
    targets = np.full_like(ids, IGNORED)
    for row, (source, number) in enumerate(pieces):
        start, length, head = int(source.starts[number]), int(source.lengths[number]), int(source.heads[number])
        sequence = source.tokens.ids[start : start + length].astype(np.int64)
        ids[row, : length - 1] = sequence[:-1]
        targets[row, head - 1 : length - 1] = sequence[head:]
    return MicroBatch(ids, targets, name)


def in_order(tokens: TokenSet, *, context: int, micro_tokens: int, max_tokens: int) -> Iterator[MicroBatch]:
    """Micro-batches of a set without shuffling, up to `max_tokens`: for held-out losses."""
    source = Source(tokens, context, (0,))
    batch: list[tuple[Source, int]] = []
    longest = 0
    for number in range(len(source)):
        length = padded_length(int(source.lengths[number]) - 1)
        if max_tokens <= 0:
            break
        if batch and (len(batch) + 1) * max(longest, length) > micro_tokens:
            yield collate(batch, "held out")
            batch, longest = [], 0
        batch.append((source, number))
        longest = max(longest, length)
        max_tokens -= length
    if batch:
        yield collate(batch, "held out")
