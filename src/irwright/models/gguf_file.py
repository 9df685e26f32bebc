"""The head of a GGUF file: what it says of its model, and whether the file is whole.

Reads GGUF 2 and 3 (little-endian) up to the weights, which llama.cpp reads. All counts are checked against the size
of the file before anything is allocated: the file is foreign.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from irwright.errors import InputError

MAX_STRING = 64 << 20
MAX_HEAD = 512 << 20
_STRING, _ARRAY = 8, 9
_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

# Type of weights -> values in a block, bytes of it; others are not checked.
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    30: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
}

TOKENIZER_KEY = "tokenizer.huggingface.json"
FORMAT_KEY = "irwright.format"
OUTCOMES_KEY = "irwright.outcomes"

Value = int | float | bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class GGUFHead:
    """What a file says of its model."""

    path: Path
    values: dict[str, Value]
    """Plain values by key; arrays are left out."""
    num_tensors: int

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))

    @property
    def context(self) -> int:
        """Tokens the model was made to look at; 0 if unsaid."""
        found = self.values.get(f"{self.architecture}.context_length", 0)
        return found if isinstance(found, int) else 0

    @property
    def tokenizer(self) -> str | None:
        """A `tokenizer.json`, where the file carries one."""
        found = self.values.get(TOKENIZER_KEY)
        return found if isinstance(found, str) else None

    @property
    def is_native(self) -> bool:
        """True if prompts are those of irwright."""
        return self.values.get(FORMAT_KEY) == "native" and self.tokenizer is not None

    @property
    def knows_outcomes(self) -> bool:
        """True if prompts of `tune` may say what was measured so far."""
        return self.is_native and self.values.get(OUTCOMES_KEY) is True


def read_head(path: Path) -> GGUFHead:
    """Read and check a file; InputError says what is wrong with it."""
    try:
        num_bytes = path.stat().st_size
        with path.open("rb") as file:
            return _Reader(path, file, num_bytes).head()
    except OSError as error:
        raise InputError(str(path), f"no model ({error.strerror or error})") from error


class _Reader:
    """A cursor over one file."""

    def __init__(self, path: Path, file: BinaryIO, num_bytes: int) -> None:
        self._path, self._file, self._num_bytes = path, file, num_bytes

    def head(self) -> GGUFHead:
        if self._file.read(4) != b"GGUF":
            raise InputError(str(self._path), "not a GGUF file")
        version = self._number("<I")
        if version not in (2, 3):
            raise InputError(str(self._path), f"GGUF of version {version}; 2 and 3 are read")
        num_tensors, num_values = self._count("<Q", 8), self._count("<Q", 8)
        values: dict[str, Value] = {}
        for _ in range(num_values):
            key = self._string()
            value = self._value(int(self._number("<I")))
            if value is not None:
                values[key] = value
        ends = [self._tensor_end() for _ in range(num_tensors)]
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20:
            raise self._broken(f"weights aligned to {alignment}")
        start = -(-self._file.tell() // alignment) * alignment
        if start + max(ends, default=0) > self._num_bytes:
            missing = start + max(ends, default=0) - self._num_bytes
            raise InputError(str(self._path), f"cut short: {missing:,} bytes of weights are missing")
        return GGUFHead(path=self._path, values=values, num_tensors=num_tensors)

    def _broken(self, what: str) -> InputError:
        return InputError(str(self._path), f"broken GGUF ({what})")

    def _take(self, num_bytes: int) -> bytes:
        if self._file.tell() + num_bytes > min(self._num_bytes, MAX_HEAD):
            raise self._broken(f"its head ends after {self._num_bytes:,} bytes")
        return self._file.read(num_bytes)

    def _number(self, form: str) -> int | float:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _count(self, form: str, each: int) -> int:
        """A number of things of at least so many bytes."""
        count = int(self._number(form))
        if count * each > self._num_bytes:
            raise self._broken(f"{count} of something in {self._num_bytes} bytes")
        return count

    def _string(self) -> str:
        num_bytes = self._count("<Q", 1)
        if num_bytes > MAX_STRING:
            raise self._broken(f"a text of {num_bytes} bytes")
        return self._take(num_bytes).decode("utf-8", "replace")

    def _value(self, kind: int) -> Value | None:
        """A value; None for arrays, which are passed over."""
        if kind == _STRING:
            return self._string()
        if kind in _FORMATS:
            return self._number(_FORMATS[kind])
        if kind != _ARRAY:
            raise self._broken(f"a value of type {kind}")
        inner = int(self._number("<I"))
        if inner == _STRING:
            for _ in range(self._count("<Q", 8)):
                self._take(self._count("<Q", 1))
        elif inner in _FORMATS:
            each = struct.calcsize(_FORMATS[inner])
            self._take(self._count("<Q", each) * each)
        else:
            raise self._broken(f"an array of type {inner}")
        return None

    def _tensor_end(self) -> int:
        """Where the bytes of the next described tensor end, from the start of the weights."""
        self._string()
        dimensions = int(self._number("<I"))
        if dimensions > 8:
            raise self._broken(f"weights of {dimensions} dimensions")
        count = 1
        for _ in range(dimensions):
            count *= int(self._number("<Q"))
        kind, offset = int(self._number("<I")), int(self._number("<Q"))
        values, each = _BLOCKS.get(kind, (1, 0))
        return offset + count // values * each
