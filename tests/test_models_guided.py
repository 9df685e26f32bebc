"""A model under a guide: what is wrong is not said, dead ends are left, and the end waits until it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from irwright.models.answers import Answer, Choice, Request
from irwright.models.guided import MANY, ask_guided
from irwright.models.guides import Span
from irwright.tasks.text import Style

END = "<|end|>"


@dataclass
class Letters:
    """A model that says letters in the order of their number, whatever came before; `wish` is what it would say."""

    wish: str
    letters: str = "abcdefgh"
    style: Style = "native"
    name: str = "letters"
    knows_outcomes: bool = False
    asked: list[Request] = field(default_factory=list[Request])

    def ask(self, request: Request) -> Answer:
        self.asked.append(request)
        said: list[Choice] = []
        for place in range(len(request.begun), len(request.begun) + request.max_tokens):
            wanted = self.wish[place] if place < len(self.wish) else END
            others = [letter for letter in (*self.letters, END) if letter != wanted]
            options = [self._choice(wanted, 0), *(self._choice(o, 1 + n) for n, o in enumerate(others))]
            first = options[0]
            said.append(Choice(first.token, first.text, first.logprob, tuple(options[: request.num_alternatives])))
            if wanted == END:
                break
        return Answer(outcome="ok", text="", choices=tuple(said), finished=True, num_tokens=len(said))

    def _choice(self, text: str, rank: int) -> Choice:
        return Choice(1000 if text == END else ord(text), text, -float(rank))

    def close(self) -> None: ...

    def __enter__(self) -> Letters:
        return self

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Words:
    """A guide that knows all right answers; with `late`, it finds fault at ends of words of three letters only."""

    right: Sequence[str]
    late: bool = False

    def fault(self, text: str) -> Span | None:
        if any(one.startswith(text) for one in self.right):
            return None
        if not self.late:
            return Span(len(text) - 1, len(text))
        return None if len(text) % 3 else Span(len(text) - 3, len(text))

    def may_end(self, text: str) -> bool:
        return text in self.right


def test_a_right_answer_costs_one_question() -> None:
    model = Letters("abc")
    found = ask_guided(model, Request(prompt="?", max_tokens=40), Words(["abc"]))
    assert (found.text, found.problem, found.num_asked) == ("abc", "", 1)


def test_a_wrong_letter_is_replaced_and_the_rest_said_anew() -> None:
    model = Letters("abcabc")
    found = ask_guided(model, Request(prompt="?", max_tokens=40), Words(["abdabc"]))
    assert (found.text, found.problem) == ("abdabc", "")
    assert found.num_asked == 2


def test_an_end_that_comes_too_early_waits() -> None:
    found = ask_guided(Letters("ab"), Request(prompt="?", max_tokens=40), Words(["abc"]))
    assert found.text == "abc"


class Hasty(Words):
    """Sees only at the second letter that the first was wrong."""

    def fault(self, text: str) -> Span | None:
        return None if len(text) == 1 else super().fault(text)


def test_dead_ends_are_left_again() -> None:
    model = Letters("ah", letters="abcdefghijklmnop")
    found = ask_guided(model, Request(prompt="?", max_tokens=40), Hasty(["bcd"]))
    assert found.text == "bcd" and not found.problem
    assert any(request.num_alternatives == MANY for request in model.asked)


def test_a_fault_of_a_whole_word_is_mended_where_it_costs_least() -> None:
    found = ask_guided(Letters("abcddd"), Request(prompt="?", max_tokens=40), Words(["abcdda"], late=True))
    assert found.text == "abcdda" and not found.problem


def test_there_is_an_end_to_asking() -> None:
    found = ask_guided(Letters("abc"), Request(prompt="?", max_tokens=40), Words([]), max_requests=5)
    assert found.problem == "no end in sight" and found.num_asked <= 5
    short = ask_guided(Letters("abcabc"), Request(prompt="?", max_tokens=3), Words(["abcabc"]))
    assert short.problem == "no end in sight" and short.text == "abc"
