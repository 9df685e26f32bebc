"""Answers token by token under the eyes of a guide: a token with which no right answer goes on is not taken.

The model speaks in runs of some tokens; the first one that is wrong is replaced by the likeliest that is not, and the
model goes on from there. Where none of all is right, the token before was wrong already, and is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from irwright.models.answers import Answer, Choice, LanguageModel, Request
from irwright.models.guides import Guide, Span

RUN = 32
"""tokens of a run"""
FEW, MANY = 12, 256
"""alternatives asked for with every token, and where these do not do"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of asking until it was right, or no more was tried."""

    text: str
    problem: str = ""
    """empty if it is right; else what is wrong with it"""
    num_asked: int = 0
    num_tokens: int = 0
    """said in all, over all answers"""


@dataclass(slots=True)
class _Path:
    """Tokens that were taken, and what was found wrong with others in their places."""

    choices: list[Choice] = field(default_factory=list[Choice])
    starts: list[int] = field(default_factory=list[int])
    text: str = ""
    refused: list[set[int]] = field(default_factory=lambda: [set[int]()])
    """for each place, and the next one"""

    def take(self, choice: Choice) -> None:
        self.choices.append(choice)
        self.starts.append(len(self.text))
        self.text += choice.text
        self.refused.append(set())

    def back(self, number: int) -> Choice:
        """Undo tokens down to this one, which is refused then."""
        choice = self.choices[number]
        self.text = self.text[: self.starts[number]]
        del self.choices[number:], self.starts[number:], self.refused[number + 1 :]
        self.refused[number].add(choice.token)
        return choice


def ask_guided(
    model: LanguageModel, request: Request, guide: Guide, *, end: str = "<|end|>", max_requests: int = 240
) -> Checked:
    """Ask for an answer that the guide has nothing against; `end` is the text of the token that ends one.

    At most `request.max_tokens` tokens and `max_requests` questions; `problem` says where that was not enough, and
    `text` is what was said until then. A model that tells no alternatives can't be guided.
    """
    path = _Path()
    num_asked = num_tokens = 0
    detail = "no end in sight"
    while num_asked < max_requests and len(path.choices) < request.max_tokens:
        wide = bool(path.refused[-1])
        begun = tuple(choice.token for choice in path.choices)
        run = min(RUN, request.max_tokens - len(begun))
        asked = replace(request, begun=begun, max_tokens=1 if wide else run, num_alternatives=MANY if wide else FEW)
        answer = model.ask(asked)
        num_asked += 1
        num_tokens += answer.num_tokens
        if answer.outcome != "ok" or not answer.choices:
            detail = f"{answer.outcome}: {answer.detail or 'no alternatives told'}"
            break
        if _follow(path, answer, guide, end):
            return Checked(text=path.text, num_asked=num_asked, num_tokens=num_tokens)
        if not path.choices and len(path.refused[0]) >= MANY:
            break
    return Checked(text=path.text, problem=detail, num_asked=num_asked, num_tokens=num_tokens)


def _follow(path: _Path, answer: Answer, guide: Guide, end: str) -> bool:
    """Take tokens of a run while they are right, and at the first that is not another one; True at a right end."""
    for choice in answer.choices:
        options = (choice, *(other for other in choice.alternatives if other.token != choice.token))
        for option in options:
            if option.token in path.refused[-1]:
                continue
            if option.text == end:
                if guide.may_end(path.text):
                    return True
                path.refused[-1].add(option.token)
                continue
            if not option.text:
                path.refused[-1].add(option.token)
                continue
            fault = guide.fault(path.text + option.text)
            if fault is None:
                path.take(option)
                break
            path.refused[-1].add(option.token)
            if fault.start < len(path.text) and _mend(path, fault, option, options):
                return False
        else:
            if len(options) > FEW + 1 and path.choices:  # these are all there are
                path.back(len(path.choices) - 1)
            return False
        if option is not choice:
            return False
    return answer.finished and guide.may_end(path.text)  # of models that do not tell of the end


def _mend(path: _Path, fault: Span, last: Choice, options: Sequence[Choice]) -> bool:
    """Say a span differently, at the token whose likeliest other way costs least; False if that is the last one."""
    best, place = _cost(last, options, path.refused[-1]), len(path.choices)
    for number, choice in enumerate(path.choices):
        start = path.starts[number]
        if start + len(choice.text) > fault.start and start < fault.end:
            cost = _cost(choice, choice.alternatives, path.refused[number])
            if cost < best:
                best, place = cost, number
    if place == len(path.choices):
        return False
    path.back(place)
    return True


def _cost(choice: Choice, options: Sequence[Choice], refused: set[int]) -> float:
    """Nats that the likeliest other token costs against one."""
    others = [one.logprob for one in options if one.token not in refused and one.token != choice.token]
    return choice.logprob - max(others, default=-99.0)
