"""Examples as tokens on disk: read Parquet, write flat arrays that training maps into memory.

A folder of tokens holds, for each stage and split that has examples,

    STAGE-SPLIT.ids    token numbers of all examples, one after the other, little-endian uint32
    STAGE-SPLIT.ends   little-endian int64: where each example ends in .ids
    STAGE-SPLIT.heads  little-endian int64: how many tokens at its beginning are not learned
    tokens.json        what it was made from, and counts; written last

What an example is, docs/formats.md says; batches.py cuts them into batches.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from irwright.errors import InputError, StorageError
from irwright.files import write_output
from irwright.lm.tokenizer import STAGES, Stage, Tokenizer
from irwright.shards import ShardFolder, key_of

SPLITS = ("train", "heldout")
COLUMNS = ["stage", "split", "prompt", "completion"]
ROWS_AT_A_TIME = 512
FORMAT = 1


@dataclass(frozen=True, slots=True)
class TokenSet:
    """The examples of one stage and split; each is `ids[starts[n]:ends[n]]`."""

    ids: npt.NDArray[np.uint32]
    ends: npt.NDArray[np.int64]
    heads: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def has_in_prompt(self, token: int) -> bool:
        """True if this token is in some example's head."""
        (places,) = np.nonzero(np.asarray(self.ids) == token)
        owners = np.searchsorted(self.ends, places, side="right")
        return bool((places < self.starts[owners] + self.heads[owners]).any())

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        return np.concatenate((np.zeros(1, dtype=np.int64), self.ends[:-1]))


def open_examples(*folders: Path) -> list[ShardFolder]:
    """Folders of `irwright examples`; InputError where one has none."""
    opened = [ShardFolder(folder, kind="examples") for folder in folders]
    for found in opened:
        if not found.shards:
            raise InputError(str(found.folder), "no examples in it; `irwright examples` makes some")
    return opened


def training_texts(examples: Sequence[ShardFolder], *, num_chars: int) -> Iterator[str]:
    """Texts a vocabulary is counted on: of the training split, about as much from every shard."""
    shards = [(folder, shard) for folder in examples for shard in folder.shards]
    for folder, shard in shards:
        left = num_chars // len(shards)
        for row in folder.read(shard, COLUMNS):
            if left <= 0:
                break
            if row["split"] == "train":
                yield from (row["prompt"], row["completion"])
                left -= len(row["prompt"]) + len(row["completion"])


def tokenise(examples: Sequence[ShardFolder], tokenizer: Tokenizer, folder: Path) -> dict[tuple[Stage, str], TokenSet]:
    """Token sets of all stages and splits; made once, and again where the examples or the tokenizer changed.

    The folder is written beside and renamed; StorageError where it can't be.
    """
    key = _key(examples, tokenizer)
    made = _made_from(folder)
    if made.get("key") != key:
        temporary = folder.with_name(f".{folder.name}.tmp")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            counts = _write_all(examples, tokenizer, temporary)
            made = {"key": key, "counts": counts}
            write_output(temporary / "tokens.json", (json.dumps(made, indent=2) + "\n").encode())
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
        except OSError as error:
            raise StorageError(str(folder), f"tokens can't be written ({error.strerror or error})") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return {(stage, split): _open(folder, f"{stage}-{split}") for stage in STAGES for split in SPLITS}


def changed_since(examples: Sequence[ShardFolder], tokenizer: Tokenizer, folder: Path) -> bool:
    """True if a folder of tokens was made from other examples."""
    return _made_from(folder).get("key", "") not in ("", _key(examples, tokenizer))


def _key(examples: Sequence[ShardFolder], tokenizer: Tokenizer) -> str:
    return key_of(FORMAT, tokenizer.text, [shard.file for folder in examples for shard in folder.shards])


def _made_from(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "tokens.json").read_text())
    except (OSError, ValueError):
        return {}


@dataclass(slots=True)
class _Writer:
    """Appends one token set."""

    stem: Path
    ends: list[int] = field(default_factory=list[int])
    heads: list[int] = field(default_factory=list[int])
    end: int = 0

    def add(self, sequences: list[tuple[list[int], int]]) -> None:
        flat = np.array([number for ids, _ in sequences for number in ids], dtype="<u4")
        with self.stem.with_suffix(".ids").open("ab") as file:
            file.write(flat.tobytes())
        for ids, head in sequences:
            self.end += len(ids)
            self.ends.append(self.end)
            self.heads.append(head)

    def close(self) -> dict[str, int]:
        for name, values in (("ends", self.ends), ("heads", self.heads)):
            self.stem.with_suffix(f".{name}").write_bytes(np.array(values, dtype="<i8").tobytes())
        return {"examples": len(self.ends), "tokens": self.end}


def _write_all(examples: Sequence[ShardFolder], tokenizer: Tokenizer, folder: Path) -> dict[str, dict[str, int]]:
    writers: dict[str, _Writer] = {}
    shards = [(source, shard) for source in examples for shard in source.shards]
    for source, shard in shards:
        rows = source.read(shard, COLUMNS)
        for at in range(0, len(rows), ROWS_AT_A_TIME):
            part = rows[at : at + ROWS_AT_A_TIME]
            sequences = encode_rows(part, tokenizer)
            for name in sorted(set(map(_set_name, part))):
                chosen = [one for row, one in zip(part, sequences, strict=True) if _set_name(row) == name]
                writers.setdefault(name, _Writer(folder / name)).add(chosen)
    strange = sorted(writers.keys() - {f"{stage}-{split}" for stage in STAGES for split in SPLITS})
    if strange:
        folders = ", ".join(str(source.folder) for source in examples)
        raise InputError(folders, f"examples of the unknown stage and split {strange[0]!r}")
    return {name: writer.close() for name, writer in sorted(writers.items())}


def _set_name(row: dict[str, Any]) -> str:
    return f"{row['stage']}-{row['split']}"


def encode_rows(rows: list[dict[str, Any]], tokenizer: Tokenizer) -> list[tuple[list[int], int]]:
    """Sequences, each with the number of tokens that are not learned: the prompt's, or the first of pretraining."""
    prompts = tokenizer.encode_many([row["prompt"] for row in rows])
    completions = tokenizer.encode_many([row["completion"] for row in rows])
    sequences: list[tuple[list[int], int]] = []
    for prompt, completion in zip(prompts, completions, strict=True):
        head = [*tokenizer.begin_ids, *prompt]
        sequences.append(([*head, *completion, tokenizer.end_id], max(1, len(head))))
    return sequences


def _open(folder: Path, name: str) -> TokenSet:
    """Map one set into memory; empty where there is none, StorageError where the three files do not agree."""
    stem = folder / name
    if not stem.with_suffix(".ends").exists():
        return TokenSet(np.zeros(0, np.uint32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    try:
        ends = np.fromfile(stem.with_suffix(".ends"), dtype="<i8")
        heads = np.fromfile(stem.with_suffix(".heads"), dtype="<i8")
        ids = np.memmap(stem.with_suffix(".ids"), dtype="<u4", mode="r")
    except (OSError, ValueError) as error:
        raise StorageError(str(stem), f"tokens can't be read ({error}); remove the folder to make them anew") from error
    if len(ends) != len(heads) or len(ids) != (int(ends[-1]) if len(ends) else 0):
        raise StorageError(str(stem), "tokens cut short; remove the folder to make them anew")
    return TokenSet(ids, ends, heads)
