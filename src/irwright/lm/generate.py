# pyright: standard
"""Continue token sequences with a model of transformers, one token at a time, keys and values kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from irwright.errors import InputError
from irwright.lm.hf import OUTCOMES_KEY


@dataclass(frozen=True, slots=True)
class Said:
    """A token, and the likeliest ones at its place, itself or not; logarithms of probabilities before any mask."""

    token: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...]


class Generator:
    """A causal model from a folder of safetensors; code that comes with a model is never run."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            self._model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            line = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(str(folder), f"transformers can't load it ({line[:160]})") from error
        self._model.eval()

    @property
    def context(self) -> int:
        """Tokens the model was made to look at."""
        return int(getattr(self._model.config, "max_position_embeddings", 2048))

    @property
    def num_tokens(self) -> int:
        """Tokens it knows."""
        return int(self._model.config.vocab_size)

    @property
    def knows_outcomes(self) -> bool:
        """True if `config.json` says that it was trained on measured outcomes."""
        return getattr(self._model.config, OUTCOMES_KEY, False) is True

    @torch.no_grad()
    def go_on(
        self,
        ids: Sequence[int],
        *,
        max_tokens: int,
        ends: frozenset[int],
        temperature: float = 0.0,
        seed: int = 0,
        num_likeliest: int = 0,
        allowed: Callable[[Sequence[int]], Sequence[int] | None] | None = None,
        seconds: float = 600.0,
    ) -> list[Said]:
        """Tokens up to one of `ends`, which is the last then; TimeoutError where it takes longer.

        `allowed` says, given what was said, which tokens may come next; None for any.
        """
        from transformers import DynamicCache

        generator = torch.Generator().manual_seed(seed)
        deadline = time.monotonic() + seconds
        given, cache = torch.tensor([list(ids)]), DynamicCache(config=self._model.config)
        said: list[Said] = []
        while len(said) < max_tokens:
            if time.monotonic() > deadline:
                raise TimeoutError
            logits = self._model(given, cache=cache, use_cache=True).logits[0, -1].float()
            logprobs = torch.log_softmax(logits, -1)
            may = allowed([one.token for one in said]) if allowed else None
            if may is not None:
                if len(may) == 0:
                    break
                masked = torch.full_like(logits, float("-inf"))
                chosen = torch.tensor(list(may))
                masked[chosen] = logits[chosen]
                logits = masked
            if temperature > 0:
                token = int(torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=generator))
            else:
                token = int(logits.argmax())
            best = torch.topk(logprobs, min(num_likeliest, len(logprobs))) if num_likeliest else None
            likeliest = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best else ()
            said.append(Said(token, float(logprobs[token]), likeliest))
            if token in ends:
                break
            given = torch.tensor([[token]])
        return said
