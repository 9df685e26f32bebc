"""What proposes: pass lists for a module from the table or from a language model, code from a model.

Nothing here is believed. A proposed list is run and measured like any other (task.py), proposed IR is compiled and
compared. `open_model` finds out what kind of model a name stands for.
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Protocol

import irwright
from irwright.coreset import load_coreset
from irwright.errors import InputError
from irwright.lm.tokenizer import Tokenizer
from irwright.models.answers import Answer, Choice, Constraint, LanguageModel, Request
from irwright.models.endpoint import EndpointModel, check_url
from irwright.models.folder import FolderModel
from irwright.models.gguf_file import read_head
from irwright.models.lists import ListLanguage
from irwright.models.local import LocalModel
from irwright.passes import DEFAULT_LLVM, PassList
from irwright.plan import Plan
from irwright.task import Task
from irwright.tasks import tune
from irwright.tasks.text import SIZES
from irwright.tasks.tune import Outcomes, Tried

KEY_VARIABLE = "IRWRIGHT_API_KEY"
NUM_ALTERNATIVES = 16
MAX_LIST_TOKENS = 256
BASELINE = "default<Oz>"
"""never proposed: it is measured anyway"""
BUNDLED = "bundled"
"""the name of the model that comes with irwright"""
BUNDLED_FILE = "irwright-tiny-q8_0.gguf"
MAX_FUNCTIONS = 4
"""of a module that is too long: how many the model is asked about"""
MAX_TRIED = 32
TOO_LONG = "too-long"
_DEFINITION = re.compile(r"^define .*?^}$", re.MULTILINE | re.DOTALL)
TRIES = 3
"""questions per list wanted, where a model repeats itself or says no list"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One pass list that a proposer thinks good."""

    passes: PassList
    logprob: float | None = None
    """of the list as a whole, by a model that tells"""
    oz_bytes: int | None = None
    """predicted size under -Oz"""
    tuned_bytes: int | None = None
    """predicted size with the list"""


class ListProposer(Protocol):
    """Proposes different pass lists for a module, best first; fewer than `count` where it has no more."""

    def lists(self, ir: str, count: int) -> Iterator[Proposal]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CoresetProposer:
    """The shipped table of whole lists, the same for every module."""

    protocol: str = "oz"
    llvm_major: int = DEFAULT_LLVM

    def lists(self, ir: str, count: int) -> Iterator[Proposal]:
        """The first lists of the table."""
        for plan in load_coreset(self.protocol, self.llvm_major).lists[:count]:
            if plan.is_one_list:
                yield Proposal(passes=plan.as_list())


@dataclass(slots=True, kw_only=True)
class ModelProposer:
    """A language model, asked until it said `count` different lists or has been asked TRIES times as often.

    Where a module is too long for the model, it is asked about the longest functions that are not.
    """

    model: LanguageModel
    llvm_major: int = DEFAULT_LLVM
    constrained: bool = True
    """Let a native model say valid lists only."""
    seed: int = 0
    temperature: float = 0.8
    """Where a model does not tell alternatives and has to be sampled."""
    num_asked: int = 0
    num_invalid: int = 0
    """Answers without a list of this LLVM."""
    problems: tuple[str, ...] = ()
    """What went wrong, a line for each answer that is not ok."""
    outcomes: Callable[[], Outcomes | None] | None = None
    """What was measured so far, asked before each list of a model that knows outcomes."""

    def lists(self, ir: str, count: int) -> Iterator[Proposal]:
        """Different lists; most likely first where the model tells probabilities.

        One list is asked for at a time, so what is measured before the next is taken can be in the next question.
        """
        seen, before = {BASELINE}, self.problems
        yield from self._about(ir, count, seen)
        if len(seen) > 1 or self.problems == before or not self.problems[-1].startswith(TOO_LONG):
            return
        functions = sorted(_DEFINITION.findall(ir), key=len, reverse=True)
        num_asked = 0
        for number, text in enumerate(functions[:MAX_TRIED]):
            to_ask = min(MAX_FUNCTIONS - num_asked, len(functions) - number)
            part = self._about(text, count, seen, whole=False)
            some = list(islice(part, -(-(count + 1 - len(seen)) // to_ask)))
            yield from some
            num_asked += bool(some)
            if num_asked == MAX_FUNCTIONS or len(seen) > count:
                break
        if num_asked:
            self.problems = (*before, *(one for one in self.problems[len(before) :] if not one.startswith(TOO_LONG)))

    def _about(self, ir: str, count: int, seen: set[str], *, whole: bool = True) -> Iterator[Proposal]:
        """Lists that were not `seen`, until those are `count` and the baseline; `whole` code has outcomes."""
        native = self.model.style == "native" and self.constrained
        for answer, logprob in self._in_rounds(ir, count, native, whole):
            text = (
                answer.text if answer.finished or not native else ListLanguage(self.llvm_major).whole_part(answer.text)
            )
            found = tune.parse(text, style=self.model.style, llvm_major=self.llvm_major)
            if found.passes is None or not found.passes.items:
                self.num_invalid += 1
            elif str(found.passes) not in seen:
                seen.add(str(found.passes))
                yield Proposal(
                    passes=found.passes, logprob=logprob, oz_bytes=found.oz_bytes, tuned_bytes=found.tuned_bytes
                )
            if len(seen) > count:
                return

    def _in_rounds(self, ir: str, count: int, native: bool, whole: bool) -> Iterator[tuple[Answer, float | None]]:
        """Answers, from a new prompt whenever something was measured since the last one.

        The oldest outcomes are dropped where a prompt is too long; at last, all.
        """
        asked: str | None = None
        before = self.problems
        room = tune.MAX_TRIED
        answers: Iterator[tuple[Answer, float | None]] = iter(())
        left = TRIES * count
        while left:
            outcomes = self._outcomes(room) if whole else None
            prompt = tune.prompt(ir, style=self.model.style, outcomes=outcomes)
            if prompt != asked:
                asked, before = prompt, self.problems
                answers = self._by_priority(prompt, left) if native else self._sampled(prompt, left)
            found = next(answers, None)
            if found is None:
                shown = len(outcomes.tried) if outcomes is not None else 0
                if not shown or self.problems == before or not self.problems[-1].startswith(TOO_LONG):
                    return
                room, self.problems = shown // 2, before
                continue
            left -= 1
            yield found

    def _outcomes(self, room: int) -> Outcomes | None:
        """What to say of what was measured, at most so many outcomes."""
        if self.outcomes is None or not self.model.knows_outcomes or self.model.style != "native":
            return None
        found = self.outcomes()
        return found and found.last(min(room, len(found.tried)))

    def _ask(self, request: Request) -> Answer | None:
        """An answer that is ok; others are kept as problems."""
        self.num_asked += 1
        answer = self.model.ask(request)
        if answer.outcome == "ok":
            return answer
        self.problems = (*self.problems, f"{answer.outcome}: {answer.detail}")
        return None

    def _sampled(self, prompt: str, count: int) -> Iterator[tuple[Answer, None]]:
        """The likeliest answer, then samples."""
        for number in range(TRIES * count):
            temperature = self.temperature if number else 0.0
            answer = self._ask(Request(prompt=prompt, temperature=temperature, seed=self.seed + number))
            if answer is None:
                return  # a server that hangs once is not asked again
            yield answer, None

    def _by_priority(self, prompt: str, count: int) -> Iterator[tuple[Answer, float | None]]:
        """Priority sampling (arXiv 2402.18734): each answer goes on from the likeliest beginning not yet taken.

        No beginning is taken twice, so that no answer comes twice, and the same model gives the same answers.
        """
        language = ListLanguage(self.llvm_major)
        open_beginnings: list[tuple[float, tuple[int, ...], str]] = [(0.0, (), "")]
        for _ in range(TRIES * count):
            if not open_beginnings:
                return
            cost, tokens, text = heapq.heappop(open_beginnings)
            answer = self._ask(
                Request(
                    prompt=prompt,
                    begun=tokens,
                    max_tokens=MAX_LIST_TOKENS,
                    constraint=Constraint(language=language, after=text),
                    num_alternatives=NUM_ALTERNATIVES,
                )
            )
            if answer is None:
                return
            for choice in answer.choices:
                for other in choice.alternatives:
                    if other.token != choice.token and _goes_on(language, text, other):
                        heapq.heappush(
                            open_beginnings, (cost - other.logprob, (*tokens, other.token), text + other.text)
                        )
                if not language.can_become(text + choice.text):
                    break
                cost, tokens, text = cost - choice.logprob, (*tokens, choice.token), text + choice.text
            yield answer, -cost


def _goes_on(language: ListLanguage, text: str, choice: Choice) -> bool:
    """True if a list goes on with this token: the end of a list is a beginning of none."""
    return bool(choice.text) and choice.text != SIZES and language.can_become(text + choice.text)


def measured(task: Task) -> Outcomes | None:
    """What a search measured of whole lists so far; None before -Oz is known, and where bytes are not what counts."""
    evaluator, baseline = task.evaluator, task.baseline
    if baseline is None or baseline.sizes is None or evaluator.protocol.counts_instructions:
        return None
    oz_bytes = int(task.cost(baseline))
    tried = (
        Tried(passes=trial.plan.as_list(), change=int(task.cost(trial)) - oz_bytes if trial.sizes is not None else None)
        for trial in evaluator.trials
        if trial.plan.is_one_list and str(trial.plan.as_list()) not in ("", BASELINE)
    )
    return Outcomes(oz_bytes=oz_bytes, tried=tuple(tried))


def proposed(proposer: ModelProposer, ir: str, count: int, task: Task) -> Iterable[Plan]:
    """A model's lists as plans: all at once, or, where it knows outcomes, each when the next is wanted."""
    if not proposer.model.knows_outcomes:
        return tuple(Plan(base=one.passes) for one in proposer.lists(ir, count))
    proposer.outcomes = partial(measured, task)
    return (Plan(base=one.passes) for one in proposer.lists(ir, count))


def open_model(
    name: str, *, tokenizer: Path | None = None, model: str | None = None, threads: int | None = None
) -> LanguageModel:
    """A GGUF file, a folder of transformers (or a run), the address of a server, or the model that comes with irwright.

    `tokenizer` makes a server's model native: a `tokenizer.json`, its folder, or the GGUF that is served. `model` is
    its name there. A key is taken from IRWRIGHT_API_KEY.
    """
    if "://" in name:
        known = None if tokenizer is None else _tokenizer_of(tokenizer)
        outcomes = tokenizer is not None and tokenizer.suffix == ".gguf" and read_head(tokenizer).knows_outcomes
        key = os.environ.get(KEY_VARIABLE)
        return EndpointModel(check_url(name), model=model, key=key, tokenizer=known, knows_outcomes=outcomes)
    path = bundled_model() if name == BUNDLED else Path(name)
    if path.is_dir():
        return FolderModel(path / "model" if (path / "model" / "config.json").exists() else path)
    if not path.exists():
        raise InputError(name, "no such model; give a GGUF file, a folder of transformers, or http://HOST:PORT")
    return LocalModel(path, threads=threads)


def bundled_model() -> Path:
    """The GGUF of the model that comes with irwright."""
    return Path(str(resources.files(irwright) / "data" / BUNDLED_FILE))


def _tokenizer_of(path: Path) -> Tokenizer:
    if path.suffix != ".gguf":
        return Tokenizer.load(path)
    text = read_head(path).tokenizer
    if text is None:
        raise InputError(str(path), "no tokenizer of irwright in this GGUF")
    return Tokenizer(text, path=str(path))
