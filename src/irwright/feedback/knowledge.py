"""What a proposer has learnt: how plans did on training functions, and which numbers of a function foretell that.

A file `data/feedback-PROTOCOL-MAJOR.npz` (docs/formats.md) holds the plans as JSON and the arrays below. It is made by
learn.py and read with numpy, without pickles.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, resources
from typing import Any, NamedTuple

import irwright
from irwright.coreset import BUILT_FOR, portable
from irwright.errors import InputError
from irwright.feedback.features import NAMES, with_shares
from irwright.plan import Plan

FORMAT = 1
UNITS_PER_LOG = 10_000
"""outcomes are stored as 16-bit integers"""

LOWEST, HIGHEST = -1.0, 0.5
"""bounds of outcomes as logarithms: what is beyond them foretells nothing more"""


class Outcome(NamedTuple):
    """How a plan did on a function, beside -Oz."""

    total: float
    """logarithm of its bytes as a share of -Oz's"""
    text: float
    """bytes of code more than -Oz's, as a share of all of -Oz's bytes"""
    unwind: float
    """the same of unwind tables"""

    @classmethod
    def of(cls, sizes: tuple[int, int, int], oz: tuple[int, int, int]) -> Outcome:
        """From (total, text, unwind) bytes with the plan and with -Oz."""
        np = numpy()
        base = max(oz[0], 1)
        return cls(
            float(np.clip(np.log(max(sizes[0], 1) / base), LOWEST, HIGHEST)),
            float(np.clip((sizes[1] - oz[1]) / base, -1, 1)),
            float(np.clip((sizes[2] - oz[2]) / base, -1, 1)),
        )


FAILED = Outcome(0.4, 0.3, 0.2)
"""stands for a plan that made no object"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Knowledge:
    """Outcomes of plans on training functions. Shapes: N functions, P plans, F features, E places."""

    plans: tuple[Plan | None, ...]
    """None where this LLVM has none of its passes"""
    outcomes: Any
    """float32 (3, P, N): total, text, unwind as in `Outcome`"""
    mean: Any
    """float32 (F,): of the features; where these are more than have names, of `with_shares`"""
    scale: Any
    """float32 (F,)"""
    projection: Any
    """float32 (F, E): standardised features to places, in which functions that plans treat alike are close"""
    places: Any
    """float32 (N, E): of the training functions"""
    closeness: float
    """what a squared distance of places counts, beside one of outcomes"""
    part_weight: float
    """what squared distances of text and unwind count, beside those of totals"""
    neighbours: float
    """how many functions are asked, as an effective number"""
    doubt: float
    """share of the opinion that all training functions have alike"""
    alone_only: bool = False
    """it serves modules of one function only: in others the table's order did better"""
    made_by: str = "{}"
    """JSON: the command, its settings, what came of it"""

    @property
    def num_plans(self) -> int:
        return len(self.plans)

    def place(self, features: Sequence[float]) -> Any:
        """Where a function is among the training functions."""
        np = numpy()
        numbers = with_shares(features) if len(self.mean) > len(NAMES) else features
        standard = (np.asarray(numbers, dtype=np.float32) - self.mean) / self.scale
        return np.clip(standard, -4, 4) @ self.projection


@functools.cache
def load_knowledge(protocol: str, llvm_major: int) -> Knowledge | None:
    """What irwright brings for a protocol, learnt on this LLVM or else on another; None where there is nothing."""
    for major in dict.fromkeys((llvm_major, BUILT_FOR)):
        file = resources.files(irwright) / "data" / f"feedback-{protocol}-{major}.npz"
        if file.is_file():
            return read_knowledge(file.read_bytes(), llvm_major, name=file.name)
    return None


def read_knowledge(data: bytes, llvm_major: int, *, name: str) -> Knowledge:
    """Read what `write_knowledge` wrote; InputError where it is of another format."""
    np = numpy()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        head = json.loads(arrays["head"].tobytes())
        if head["format"] != FORMAT or tuple(head["features"]) != NAMES:
            raise ValueError("made by another irwright")
        floats = {key: arrays[key].astype(np.float32) for key in ("mean", "scale", "projection", "places")}
        return Knowledge(
            plans=tuple(portable(row, llvm_major) for row in head["plans"]),
            outcomes=arrays["outcomes"].astype(np.float32) / UNITS_PER_LOG,
            **floats,
            **head["settings"],
            made_by=json.dumps(head["made_by"]),
        )
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError) as error:
        raise InputError(name, f"not a proposer that learnt from outcomes: {error}") from error


def write_knowledge(knowledge: Knowledge, *, llvm_major: int) -> bytes:
    """The file; the same knowledge gives the same bytes."""
    np = numpy()
    head = {
        "format": FORMAT,
        "features": NAMES,
        "plans": [{**plan.to_json(), "llvm": llvm_major} for plan in knowledge.plans if plan is not None],
        "settings": {
            name: getattr(knowledge, name) for name in ("closeness", "part_weight", "neighbours", "doubt", "alone_only")
        },
        "made_by": json.loads(knowledge.made_by),
    }
    out = io.BytesIO()
    np.savez_compressed(
        out,
        head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
        outcomes=np.rint(knowledge.outcomes * UNITS_PER_LOG).astype(np.int16),
        mean=knowledge.mean,
        scale=knowledge.scale,
        projection=knowledge.projection,
        places=knowledge.places.astype(np.float16),
    )
    return out.getvalue()


def numpy() -> Any:
    """numpy, loaded when something is proposed: it takes a tenth of a second."""
    return import_module("numpy")
