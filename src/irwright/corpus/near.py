"""Near-duplicates of functions by MinHash: a signature for each, and which of many are alike.

A function is the set of its runs of three lines, values and labels without their numbers; two functions are alike
where the share of runs they have in common (Jaccard) is estimated to be high. Small functions are alike by nature and
are compared by their exact hash alone (`MIN_LINES`). The package is datasketch (Broder 1997; Leskovec et al., ch. 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any

from irwright.errors import CorpusError

NUM_PERMUTATIONS = 64
MIN_LINES = 12
"""functions of fewer lines have no signature"""
THRESHOLD = 0.9
"""share of common runs from which two functions are copies of each other"""
_BANDS, _ROWS = 8, 8  # finds 99 % of the pairs at 0.9, 6 % of those at 0.5, which the estimate then sorts out
_SKETCH: dict[str, Any] = {"num_perm": NUM_PERMUTATIONS, "seed": 1, "scheme": "affine32"}
_NUMBER = re.compile(r"(?<=%)\d+|^\d+(?=:)", re.MULTILINE)


def signature(text: str) -> bytes:
    """The signature of a function in canonical form, 256 bytes; empty for a small one."""
    lines = _NUMBER.sub("", text).splitlines()[1:-1]
    if len(lines) < MIN_LINES:
        return b""
    numpy = _import("numpy")
    runs = {"\n".join(lines[at : at + 3]).encode() for at in range(len(lines) - 2)}
    sketch = _import("datasketch").MinHash(**_SKETCH)
    sketch.update_batch(sorted(runs))
    return bytes(sketch.hashvalues.astype(numpy.uint32).tobytes())


class NearIndex:
    """Signatures under names, asked for those that are alike."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._datasketch, self._numpy = _import("datasketch"), _import("numpy")
        self._index: Any = self._datasketch.MinHashLSH(num_perm=NUM_PERMUTATIONS, params=(_BANDS, _ROWS))
        self._permutations: Any = self._datasketch.MinHash(**_SKETCH).permutations
        self._values: dict[str, Any] = {}

    def add(self, name: str, signature: bytes) -> None:
        """Put a signature into the index; an empty one is like nothing."""
        if signature and name not in self._values:
            sketch = self._sketch(signature)
            self._values[name] = sketch.hashvalues
            self._index.insert(name, sketch, check_duplication=False)

    def alike(self, signature: bytes) -> Iterator[tuple[str, float]]:
        """(name, estimated share) of those in the index at or above the threshold."""
        if not signature:
            return
        sketch = self._sketch(signature)
        for name in sorted(self._index.query(sketch)):
            share = float((self._values[name] == sketch.hashvalues).mean())
            if share >= self.threshold:
                yield name, share

    def any_alike(self, signature: bytes) -> bool:
        """Something in the index is alike."""
        return next(iter(self.alike(signature)), None) is not None

    def _sketch(self, signature: bytes) -> Any:
        values = self._numpy.frombuffer(signature, dtype=self._numpy.uint32)
        return self._datasketch.MinHash(**_SKETCH, hashvalues=values, permutations=self._permutations)


def pairs_alike(
    signatures: Iterable[tuple[str, bytes]], others: Iterable[tuple[str, bytes]], threshold: float = THRESHOLD
) -> Iterator[tuple[str, str, float]]:
    """(one, other, share) of every pair across the two groups that is alike."""
    index = NearIndex(threshold)
    for name, value in others:
        index.add(name, value)
    for name, value in signatures:
        for other, share in index.alike(value):
            yield name, other, share


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise CorpusError(
            f"near-duplicates are found with the package {name!r}, which is not installed; "
            "install it with: pip install 'irwright[corpus]'"
        ) from error
