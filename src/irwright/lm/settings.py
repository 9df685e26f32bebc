"""What a training run is asked to do, and the plan that follows: steps of each stage, learning rates. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from irwright.errors import ModelError
from irwright.lm.batches import MIXES, SHARES
from irwright.lm.tokenizer import STAGES, Stage

WARMUP = 0.04
DECAY = 0.6
"""shares of a stage's steps in which the rate rises, and in which it falls again"""
LAST_RATE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Everything a run's result depends on, apart from the examples."""

    preset: str = "tiny"
    """Shape of a new model; ignored with `init`."""
    stages: tuple[Stage, ...] = STAGES
    num_tokens: int = 20_000_000
    """Of all stages together, padding included; divided as the paper divides them."""
    vocabulary: int = 4096
    context: int | None = None
    """Tokens of a sequence; the preset's if not given."""
    batch_tokens: int = 16_384
    """Of one step."""
    micro_tokens: int = 4096
    """In memory at a time, over all processes."""
    seed: int = 0
    optimizer: Literal["muon", "adamw"] = "muon"
    matrix_rate: float = 0.02
    """Muon's peak learning rate, for matrices inside layers."""
    rate: float = 0.003
    """AdamW's, for all else, or for everything."""
    weight_decay: float = 0.0
    clip: float = 1.0
    """Norm that gradients are scaled down to."""
    init: str | None = None
    """Folder of a Llama to go on from, as transformers writes it."""
    kept: tuple[tuple[Stage, float], ...] = ()
    """Shares of the tokens that are of other stages' examples, in a run of one stage; none: the paper's."""
    copying: bool = False
    """A new model begins with heads that copy (copying.py), and has an output layer of its own."""
    lora_rank: int = 0
    """Train low-rank additions of this rank to `init` instead of all weights; 0: all weights."""
    bf16: bool = True
    """Multiply in bfloat16."""
    recompute: bool = False
    """Keep no activations inside layers but compute them again: less memory, a third more work."""

    def __post_init__(self) -> None:
        unknown = [stage for stage in self.stages if stage not in STAGES]
        if unknown or not self.stages:
            raise ModelError(f"unknown stage {unknown[0] if unknown else ''!r}; there are {', '.join(STAGES)}")
        for name in ("num_tokens", "batch_tokens", "micro_tokens", "rate", "matrix_rate", "clip"):
            if getattr(self, name) <= 0:
                raise ModelError(f"{name} must be positive, not {getattr(self, name)}")
        if self.lora_rank and not self.init:
            raise ModelError("low-rank training needs a model to add to; name it with --init")
        if self.copying and self.init:
            raise ModelError("only a new model can begin with heads that copy, not one of --init")
        self._check_kept()

    def _check_kept(self) -> None:
        if self.kept and len(self.stages) != 1:
            raise ModelError(f"what is kept of other stages is said for one stage, not for {', '.join(self.stages)}")
        for stage, share in self.kept:
            if stage not in STAGES or stage in self.stages:
                others = ", ".join(one for one in STAGES if one not in self.stages)
                raise ModelError(f"{stage!r} can't be kept beside {self.stages[0]!r}; there are {others}")
            if not 0 < share < 1:
                raise ModelError(f"the share of {stage!r} must be between 0 and 1, not {share}")
        if sum(share for _, share in self.kept) >= 1:
            raise ModelError(f"what is kept of other stages leaves nothing for {self.stages[0]!r}")

    def mix(self, stage: Stage) -> dict[Stage, float]:
        """What a stage's tokens are of."""
        if not self.kept:
            return MIXES[stage]
        return {stage: 1 - sum(share for _, share in self.kept), **dict(self.kept)}

    def plan(self) -> list[tuple[Stage, int]]:
        """Stages in order, each with its steps, at least one."""
        total = sum(SHARES[stage] for stage in self.stages)
        tokens = {stage: self.num_tokens * SHARES[stage] / total for stage in self.stages}
        return [(stage, max(1, round(tokens[stage] / self.batch_tokens))) for stage in self.stages]

    def to_json(self) -> dict[str, Any]:
        """All of it, less what was added later and is not used: older runs go on."""
        told = {**asdict(self), "stages": list(self.stages), "kept": [list(pair) for pair in self.kept]}
        unused = {name for name in ("kept", "copying") if not told[name]}
        return {name: value for name, value in told.items() if name not in unused}


def rate_scale(step: int, num_steps: int) -> float:
    """What learning rates are multiplied with at a step of a stage, counted from 0: up, level, down."""
    warmup = max(1, round(WARMUP * num_steps))
    left = (num_steps - step) / max(1.0, DECAY * num_steps)
    return min((step + 1) / warmup, 1.0) * (LAST_RATE + (1 - LAST_RATE) * min(1.0, left))


def check_same(stored: Mapping[str, Any], settings: TrainSettings, run: Path) -> None:
    """ModelError where a run's folder was begun with other settings; it names the first that differs."""
    told = settings.to_json()
    for name in {**told, **stored}:
        if stored.get(name) != told.get(name):
            raise ModelError(
                f"{run} was begun with {name} {stored.get(name)!r}, not {told.get(name)!r}; give it again or another -o"
            )


def fingerprint(data: Mapping[str, Any]) -> str:
    """A short hash of anything that is JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
