"""Answers mended where a check finds fault: likeliest other token first, no beginning twice, no more than asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from irwright.models.answers import Answer, Choice, Request
from irwright.models.checked import Fault, ask_checked
from irwright.tasks.text import Style

LIKES = "ab\nab\nab\n"
"""what Parrot says, letter by letter; it likes the next of the alphabet second best, then the one after"""


@dataclass
class Parrot:
    """A model whose tokens are letters."""

    style: Style = "native"
    name: str = "parrot"
    asked: list[str] = field(default_factory=list[str])
    tells: bool = True
    endless: bool = False

    def ask(self, request: Request) -> Answer:
        begun = "".join(map(chr, request.begun))
        self.asked.append(begun)
        rest = LIKES[len(begun) :]
        choices = tuple(self._choice(letter) for letter in rest) if self.tells else ()
        return Answer(outcome="ok", text=begun + rest, choices=choices, finished=not self.endless, num_tokens=len(rest))

    def _choice(self, letter: str) -> Choice:
        others = tuple(Choice(ord(letter) + rank, chr(ord(letter) + rank), -1.0 - rank) for rank in (0, 1, 2, 30))
        return Choice(ord(letter), letter, -1.0, others)

    def close(self) -> None: ...

    def __enter__(self) -> Parrot:
        return self

    def __exit__(self, *_: object) -> None: ...


def wants(*lines: str) -> Callable[[str], Fault | None]:
    """A check: the first line that differs is at fault."""

    def check(text: str) -> Fault | None:
        start = 0
        for said, wanted in zip(text.split("\n"), lines, strict=False):
            if said != wanted:
                return Fault(problem=f"{said!r} is not {wanted!r}", start=start, end=start + len(said) + 1)
            start += len(said) + 1
        return None

    return check


def test_a_right_answer_is_asked_for_once() -> None:
    found = ask_checked(Parrot(), Request(prompt="?"), wants("ab", "ab", "ab"))
    assert (found.text, found.problem, found.num_asked, found.num_tokens) == (LIKES, "", 1, len(LIKES))


def test_the_faulty_line_is_said_differently_and_the_rest_stays() -> None:
    parrot = Parrot()
    found = ask_checked(parrot, Request(prompt="?"), wants("ab", "bb", "ab"))
    assert (found.text, found.problem) == ("ab\nbb\nab\n", "")
    assert parrot.asked[1] == "ab\nb"  # nothing in the first line was touched


def test_two_faults_are_mended_one_after_the_other() -> None:
    parrot = Parrot()
    found = ask_checked(parrot, Request(prompt="?"), wants("ab", "cb", "ac"), tries=30)
    assert (found.text, found.problem) == ("ab\ncb\nac\n", "") and found.num_asked == len(parrot.asked)
    assert len(set(parrot.asked)) == len(parrot.asked)


def test_what_cannot_be_mended_is_the_first_answer_with_its_fault() -> None:
    parrot = Parrot()
    found = ask_checked(parrot, Request(prompt="?"), wants("ab", "zz"), tries=5)
    assert (found.text, found.problem) == (LIKES, "'ab' is not 'zz'")
    assert found.num_asked == len(parrot.asked) == 5
    quiet = ask_checked(Parrot(tells=False), Request(prompt="?"), wants("zz"))
    assert quiet.num_asked == 1 and quiet.problem


def test_an_answer_without_end_is_begun_anew_in_its_second_half() -> None:
    parrot = Parrot(endless=True)
    found = ask_checked(parrot, Request(prompt="?"), wants("ab"), tries=3)
    assert found.problem == "no end in sight" and all(len(begun) > len(LIKES) // 2 for begun in parrot.asked[1:])
