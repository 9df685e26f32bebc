"""A folder as transformers writes it, run by torch in this process; slower than llama.cpp, the same answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from irwright.errors import ToolchainError
from irwright.lm.tokenizer import FOREIGN_ENDS, Tokenizer
from irwright.models.answers import Answer, Choice, Constraint, Request
from irwright.models.lists import sizes_are_whole, sizes_can_become
from irwright.tasks.text import SIZES, Style


class FolderModel:
    """A model of transformers; InputError where the folder is none, ModelError with the tokenizer of another."""

    def __init__(self, folder: Path) -> None:
        if find_spec("torch") is None or find_spec("transformers") is None:
            raise ToolchainError("a folder of transformers needs torch", remedy="pip install 'irwright[train]'")
        from irwright.lm.generate import Generator

        self._folder = folder
        self._tokenizer = Tokenizer.load(folder)
        self._generator = Generator(folder)
        self._tokenizer.check_fits(self._generator.num_tokens, str(folder))
        self._knows_outcomes = self._generator.knows_outcomes
        native = self._tokenizer.is_native
        self._ends = frozenset([self._tokenizer.end_id] if native else self._tokenizer.known(FOREIGN_ENDS))
        self._allowed: dict[str, list[int]] = {}

    @property
    def name(self) -> str:
        return self._folder.name

    @property
    def style(self) -> Style:
        return "native" if self._tokenizer.is_native else "meta"

    @property
    def knows_outcomes(self) -> bool:
        return self._knows_outcomes and self._tokenizer.is_native

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: Request) -> Answer:
        """Answer."""
        began = time.monotonic()
        ids = [*self._tokenizer.begin_ids, *self._tokenizer.encode_tagged(request.prompt), *request.begun]
        if len(ids) >= self._generator.context:
            detail = f"{len(ids)} tokens, the model looks at {self._generator.context}"
            return Answer(outcome="too-long", detail=detail)
        constraint = request.constraint
        try:
            said = self._generator.go_on(
                ids,
                max_tokens=min(request.max_tokens, self._generator.context - len(ids)),
                ends=self._ends,
                temperature=request.temperature,
                seed=request.seed,
                num_likeliest=request.num_alternatives,
                allowed=None if constraint is None else lambda tokens: self._may(constraint, tokens),
                seconds=request.seconds,
            )
        except TimeoutError:
            return Answer(outcome="timeout", detail=f"no answer in {request.seconds:g} seconds")
        tokens = [*request.begun, *(one.token for one in said if one.token not in self._ends)]
        choices = (
            Choice(one.token, self._text([one.token]), one.logprob, tuple(self._choice(*row) for row in one.likeliest))
            for one in said
        )
        return Answer(
            outcome="ok",
            text=self._text(tokens),
            choices=tuple(choices),
            finished=bool(said) and said[-1].token in self._ends,
            num_tokens=len(said),
            seconds=time.monotonic() - began,
        )

    def _text(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(tokens).decode("utf-8", "replace")

    def _choice(self, token: int, logprob: float) -> Choice:
        return Choice(token, self._text([token]), logprob)

    def _may(self, constraint: Constraint, tokens: Sequence[int]) -> list[int]:
        """The tokens that keep an answer a pass list, with two sizes behind it where the model is native."""
        ends = list(self._ends)
        text, sizes, begun = (constraint.after + self._text(tokens)).partition(SIZES)
        if sizes:
            return self._kept(f"sizes {begun}", begun, sizes_can_become, ends if sizes_are_whole(begun) else [])
        language = constraint.language
        if language.is_whole(text) and self._tokenizer.is_native:
            ends = [self._tokenizer.id_of(SIZES)]
        elif not language.is_whole(text):
            ends = []
        place = f"{text.count(',')},{text.rpartition(',')[2]}"
        return self._kept(place, text, language.can_become, ends)

    def _kept(self, place: str, text: str, can_become: Callable[[str], bool], ends: list[int]) -> list[int]:
        """The tokens after which a text can still become something, and those that end it; remembered by place."""
        if place not in self._allowed:
            pieces = ((number, self._text([number])) for number in range(self._tokenizer.num_tokens))
            self._allowed[place] = ends + [number for number, piece in pieces if piece and can_become(text + piece)]
        return self._allowed[place]
