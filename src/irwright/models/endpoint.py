"""Models behind HTTP: llama.cpp's own server, and whatever speaks OpenAI's completions (vLLM, llama-server, others).

llama.cpp's `/completion` takes token numbers and grammars and tells the likeliest tokens; the other way takes text (or
numbers, where a native tokenizer is known), and answers are only checked when they are there.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, cast

from irwright.errors import ModelError
from irwright.lm.tokenizer import Tokenizer
from irwright.models.answers import Answer, Choice, Request
from irwright.models.lists import SIZES_GBNF
from irwright.models.wire import WireError, exchange
from irwright.tasks.text import SIZES, Style

PROBE_SECONDS = 10.0


class EndpointModel:
    """One model of one server; it is not asked before the first question."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        key: str | None = None,
        tokenizer: Tokenizer | None = None,
        knows_outcomes: bool = False,
        name: str | None = None,
    ) -> None:
        """`tokenizer` is that of a native model; without, the server gets Meta's prompts as text."""
        self._base = url.rstrip("/").removesuffix("/v1")
        self._model, self._key, self._tokenizer = model, key, tokenizer
        self._name = name or f"{self._base} {model or ''}".rstrip()
        self._knows_outcomes = knows_outcomes and tokenizer is not None

    @property
    def name(self) -> str:
        return self._name

    @property
    def style(self) -> Style:
        return "meta" if self._tokenizer is None else "native"

    @property
    def knows_outcomes(self) -> bool:
        return self._knows_outcomes

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _is_llama_cpp(self) -> bool:
        try:
            return "default_generation_settings" in exchange(
                f"{self._base}/props", key=self._key, seconds=PROBE_SECONDS
            )
        except WireError as error:
            if error.status in (404, 405, 501) or "no JSON" in str(error):
                return False
            raise

    def ask(self, request: Request) -> Answer:
        """Answer; whatever the server does wrong is an answer that says so."""
        began = time.monotonic()
        try:
            answer = self._ask_llama_cpp(request) if self._is_llama_cpp else self._ask_openai(request)
        except WireError as error:
            long = error.status == 400 and ("context" in str(error) or "exceed" in str(error))
            outcome = "timeout" if error.timeout else "too-long" if long else "error"
            answer = Answer(outcome=outcome, detail=str(error))
        except (KeyError, TypeError, IndexError, ValueError) as error:
            answer = Answer(outcome="error", detail=f"the answer lacks or garbles {error}")
        return replace(answer, seconds=time.monotonic() - began)

    def _prompt(self, request: Request) -> str | list[Any]:
        if self._tokenizer is not None:
            return [*self._tokenizer.encode_tagged(request.prompt), *request.begun]
        return [request.prompt, *request.begun] if request.begun else request.prompt

    def _ask_llama_cpp(self, request: Request) -> Answer:
        payload: dict[str, Any] = {
            "prompt": self._prompt(request),
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "n_probs": request.num_alternatives,
            "return_tokens": True,
            "cache_prompt": True,
            "samplers": ["temperature"],
        }
        if request.constraint is not None:
            payload["grammar"] = self._grammar(request)
        data = exchange(f"{self._base}/completion", payload, key=self._key, seconds=request.seconds)
        tokens = [int(number) for number in data["tokens"]]
        text = str(data["content"])
        if self._tokenizer is not None:
            said = [token for token in (*request.begun, *tokens) if token != self._tokenizer.end_id]
            text = self._tokenizer.decode(said).decode("utf-8", "replace")
        choices = tuple(self._choice(row) for row in cast("list[Any]", data.get("completion_probabilities", [])))
        if data.get("truncated"):
            return Answer(outcome="too-long", text=text, detail="the prompt does not fit the model's context")
        finished = data.get("stop_type") != "limit"
        return Answer(outcome="ok", text=text, choices=choices, finished=finished, num_tokens=len(tokens))

    def _grammar(self, request: Request) -> str:
        constraint = request.constraint
        assert constraint is not None
        if self._tokenizer is None:
            return constraint.language.gbnf(after=constraint.after)
        end = f"<[{self._tokenizer.id_of(SIZES)}]> {SIZES_GBNF}"
        return constraint.language.gbnf(after=constraint.after, end=end)

    def _choice(self, row: dict[str, Any], *, alone: bool = False) -> Choice:
        token = int(row["id"])
        text = bytes(row["bytes"]) if self._tokenizer is None else self._tokenizer.decode([token])
        others = () if alone else tuple(self._choice(one, alone=True) for one in row.get("top_logprobs", []))
        return Choice(token, text.decode("utf-8", "replace"), float(row["logprob"]), others)

    def _ask_openai(self, request: Request) -> Answer:
        payload: dict[str, Any] = {
            "prompt": self._prompt(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if self._tokenizer is not None:
            payload["skip_special_tokens"] = False  # vLLM: tags are part of the answer
        payload["model"] = self._model or self._first_model
        data = exchange(f"{self._base}/v1/completions", payload, key=self._key, seconds=request.seconds)
        choice = data["choices"][0]
        usage: dict[str, Any] = data.get("usage") or {}
        return Answer(
            outcome="ok",
            text=str(choice["text"]).removesuffix("<|end|>"),
            finished=choice.get("finish_reason") == "stop",
            num_tokens=int(usage.get("completion_tokens", 0)),
        )

    @cached_property
    def _first_model(self) -> str:
        """The model a server has, where none was named."""
        return str(exchange(f"{self._base}/v1/models", key=self._key, seconds=PROBE_SECONDS)["data"][0]["id"])


def check_url(url: str) -> str:
    """The URL of a server; ModelError where it is none."""
    if not url.startswith(("http://", "https://")) or len(url.split("://", 1)[1]) == 0:
        raise ModelError(f"{url!r} is no address of a server; give http://HOST:PORT")
    return url
