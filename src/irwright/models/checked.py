"""Code that a model says under the eyes of LLVM: the line at which LLVM stops is said differently, and the rest anew.

The grammar of IR knows no types, no values and no labels, and those are what small models get wrong. So nothing is
masked while a model speaks; the whole answer is checked, and of the line that LLVM names the likeliest token not tried
yet takes the place of what was said. Answers that got further are mended first (depth first, with a way back).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from irwright.models.answers import Answer, Choice, LanguageModel, Request

NUM_ALTERNATIVES = 8
WAYS_PER_FAULT = 6
"""ways to say a faulty line differently that are kept"""
NEVER = 9.0
"""nats: an alternative that is less likely than this against what was said is not tried"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with an answer."""

    problem: str
    start: int = 0
    """characters before the part in which it is"""
    end: int | None = None
    """the end of that part; None: to the end of the answer"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of asking until it was right, or no more was tried."""

    text: str
    problem: str = ""
    """empty if it is right; else what is wrong with the first answer, which `text` then is"""
    num_asked: int = 0
    num_tokens: int = 0
    """said in all, over all answers"""


Check = Callable[[str], Fault | None]
"""What is wrong with an answer's text, if anything."""


def ask_checked(model: LanguageModel, request: Request, check: Check, *, tries: int = 16) -> Checked:
    """Ask at most `tries` times for an answer that `check` has nothing against.

    A model that tells no alternatives (Answer.choices is empty) is asked once.
    """
    request = replace(request, num_alternatives=NUM_ALTERNATIVES)
    first: Checked | None = None
    begun: set[tuple[int, ...]] = set()
    order = itertools.count()
    # Furthest first, then likeliest, then in the order they were found.
    open_ways: list[tuple[int, float, int, tuple[Choice, ...]]] = [(0, 0.0, next(order), ())]
    num_asked = num_tokens = 0
    while open_ways and num_asked < tries:
        _, spent, _, prefix = heapq.heappop(open_ways)
        answer = model.ask(replace(request, begun=tuple(choice.token for choice in prefix)))
        num_asked += 1
        num_tokens += answer.num_tokens
        if answer.outcome != "ok":
            fault: Fault | None = Fault(problem=f"{answer.outcome}: {answer.detail}")
        elif not answer.finished:
            fault = Fault(problem="no end in sight", start=len(answer.text) // 2)
        else:
            fault = check(answer.text)
        if fault is None:
            return Checked(text=answer.text, num_asked=num_asked, num_tokens=num_tokens)
        first = first or Checked(text=answer.text, problem=fault.problem)
        for cost, way in itertools.islice(_ways(prefix, answer, fault), WAYS_PER_FAULT):
            key = tuple(choice.token for choice in way)
            if key not in begun:
                begun.add(key)
                heapq.heappush(open_ways, (-fault.start, spent + cost, next(order), way))
    assert first is not None
    return replace(first, num_asked=num_asked, num_tokens=num_tokens)


def _ways(prefix: tuple[Choice, ...], answer: Answer, fault: Fault) -> Iterator[tuple[float, tuple[Choice, ...]]]:
    """Beginnings that leave an answer in its faulty part, the likeliest first, each with what it costs in nats."""
    said = (*prefix, *answer.choices)
    found: list[tuple[float, int, int, Choice]] = []
    at = 0
    for number, choice in enumerate(said):
        begins, at = at, at + len(choice.text)
        last = number == len(said) - 1  # the end: more may have been wanted
        inside = at > fault.start and (fault.end is None or begins < fault.end)
        if number < len(prefix) or not (inside or last):
            continue
        for rank, other in enumerate(choice.alternatives):
            cost = choice.logprob - other.logprob
            if other.token != choice.token and cost < NEVER:
                found.append((cost, number, rank, other))
    for cost, number, _, other in sorted(found, key=lambda one: one[:3]):
        yield cost, (*said[:number], other)
