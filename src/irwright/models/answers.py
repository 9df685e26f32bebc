"""What a language model is asked, what it answers, and the one interface behind which models of all kinds stand.

A model that is slow, gone or talks nonsense gives an answer that says so (`Answer.outcome`); nothing is raised for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from irwright.models.lists import ListLanguage
from irwright.tasks.text import Style

Outcome = Literal["ok", "too-long", "timeout", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """The answer is a pass list, then whatever the native format puts behind it."""

    language: ListLanguage
    after: str = ""
    """The part of the list that `Request.begun` says already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question."""

    prompt: str
    """Of a task (tasks/), tags included."""
    begun: tuple[int, ...] = ()
    """Tokens the answer begins with."""
    max_tokens: int = 2048
    temperature: float = 0.0
    """0 takes the likeliest token each time."""
    seed: int = 0
    constraint: Constraint | None = None
    num_alternatives: int = 0
    """How many of the likeliest tokens to tell at each place."""
    seconds: float = 600.0
    """What the answer may take."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One token that was said, or could have been."""

    token: int
    text: str
    logprob: float
    """Before any constraint."""
    alternatives: tuple[Choice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question."""

    outcome: Outcome
    text: str = ""
    """Tags included; of a begun answer, all of it."""
    detail: str = ""
    """Why it is not ok, one line."""
    choices: tuple[Choice, ...] = ()
    """Token by token, where the model tells; without those begun with."""
    finished: bool = False
    """True if it ended by itself, not by `max_tokens`."""
    num_tokens: int = 0
    seconds: float = 0.0


class LanguageModel(Protocol):
    """Something that continues prompts."""

    @property
    def name(self) -> str: ...

    @property
    def style(self) -> Style:
        """How it wants to be asked."""
        ...

    @property
    def knows_outcomes(self) -> bool:
        """It was trained on prompts that say what was measured so far (tasks/tune.py)."""
        ...

    def ask(self, request: Request) -> Answer:
        """Answer, or say why not."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(slots=True)
class Scripted:
    """A model that says what it was told to: for tests and for trying the ways around models."""

    answers: Sequence[str]
    style: Style = "native"
    name: str = "scripted"
    knows_outcomes: bool = False
    asked: list[Request] = field(default_factory=list[Request])

    def ask(self, request: Request) -> Answer:
        """The next answer, round and round."""
        text = self.answers[len(self.asked) % len(self.answers)]
        self.asked.append(request)
        return Answer(outcome="ok", text=text, finished=True)

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
