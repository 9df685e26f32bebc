"""Code asked of a language model: what it says by itself; where the compiler refuses that, what a guide lets it say.

Examples are those of labels/texts.py (stage, kind, prompt); their completions are not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from irwright.errors import IrwrightError
from irwright.labels.scoring import is_consistent, refusal
from irwright.labels.units import Bench
from irwright.models.answers import LanguageModel, Request
from irwright.models.guided import Checked, ask_guided
from irwright.models.guides import AssemblyGuide, Guide, IRGuide
from irwright.passes import PassList
from irwright.tasks import emulate
from irwright.tasks.text import ASM, IR, split_tags

NAME_TOKENS = 32
HEAT = 0.5
"""temperature of drawn answers"""

GUIDED = 4
"""answers under a guide, the first the likeliest, the others drawn: one may lead where it can't end"""


def ask_code(
    bench: Bench, model: LanguageModel, example: Mapping[str, Any], *, max_tokens: int = 1024, guided: bool = True
) -> Checked:
    """The answer to an example's prompt; `guided` says it again under a guide where the compiler refuses it.

    Only a native model that tells alternatives can be guided.
    """
    request = Request(prompt=str(example["prompt"]), max_tokens=max_tokens)
    answer = model.ask(request)
    told = Checked(text=answer.text, num_asked=1, num_tokens=answer.num_tokens)
    if answer.outcome != "ok":
        return replace(told, problem=f"{answer.outcome}: {answer.detail}")
    problem = refusal(bench, example, answer.text, style=model.style)
    if not problem or not guided or model.style != "native":
        return replace(told, problem=problem)
    num_asked, num_tokens = told.num_asked, told.num_tokens
    for number in range(GUIDED):
        drawn = replace(request, temperature=HEAT if number else 0.0, seed=number)
        again = ask_guided(model, drawn, guide_for(bench, example))
        num_asked, num_tokens = num_asked + again.num_asked, num_tokens + again.num_tokens
        if not again.problem and not refusal(bench, example, again.text):
            return Checked(text=again.text, num_asked=num_asked, num_tokens=num_tokens)
        if again.problem and again.num_asked == 1:  # the model tells no alternatives
            break
    return replace(told, problem=problem, num_asked=num_asked, num_tokens=num_tokens)


def ask_often(
    bench: Bench,
    model: LanguageModel,
    example: Mapping[str, Any],
    *,
    count: int,
    max_tokens: int = 1024,
    guided: bool = True,
) -> Checked:
    """Of `count` answers, the likeliest and drawn ones, the most frequent that LLVM takes and that is consistent.

    Where none is, the first that the compiler takes; where it takes none, that of `ask_code`.
    """
    said, num_tokens = Counter[str](), 0
    for number in range(count):
        heat = HEAT if number else 0.0
        request = Request(prompt=str(example["prompt"]), max_tokens=max_tokens, temperature=heat, seed=number)
        answer = model.ask(request)
        num_tokens += answer.num_tokens
        if answer.outcome == "ok":
            said[answer.text] += 1
    taken = [text for text in said if not refusal(bench, example, text, style=model.style)]
    consistent = [text for text in taken if model.style == "native" and is_consistent(bench, example, text)]
    if consistent or taken:
        text = max(consistent or taken[:1], key=lambda one: said[one])
        return Checked(text=text, num_asked=count, num_tokens=num_tokens)
    told = ask_code(bench, model, example, max_tokens=max_tokens, guided=guided)
    return replace(told, num_asked=told.num_asked + count, num_tokens=told.num_tokens + num_tokens)


def guide_for(bench: Bench, example: Mapping[str, Any]) -> Guide:
    """What watches over the answer to a native prompt: code that is far longer than that of the prompt has to end."""
    code = next((piece for tag, piece in split_tags(str(example["prompt"])) if tag in (IR, ASM) and piece), "")
    emulates = example["stage"] == "emulate"
    enough = len(code) * 6 // 5 + 300
    if not (emulates and str(example["kind"]).startswith("asm")):
        return IRGuide(sizes=emulates, enough=enough)

    def assembles(line: str) -> bool:
        try:
            bench.assemble(line)
        except IrwrightError:
            return False
        return True

    return AssemblyGuide(assembles, sizes=emulates, enough=enough)


def ask_name(bench: Bench, model: LanguageModel, example: Mapping[str, Any], ir: str) -> Checked:
    """The same of `emulate` by the name of a known list: the code and the sizes that this list makes of the IR."""
    request = Request(prompt=emulate.asking_for_a_name(str(example["prompt"])), max_tokens=NAME_TOKENS)
    answer = model.ask(request)
    told = Checked(text=answer.text, num_asked=1, num_tokens=answer.num_tokens)
    name, _ = emulate.parse_name(answer.text)
    if not name:
        return replace(told, text="", problem=f"names no list that is known: {answer.text[:80]!r}")
    passes = PassList.parse(name, llvm_major=bench.llvm_major)
    unit = bench.of_text(ir)
    counts = bench.counts(unit, passes)
    if counts is None:
        return replace(told, text="", problem=f"LLVM fails on {name!r}")
    code = bench.optimised(unit, passes)
    if str(example["kind"]).startswith("asm"):
        code = bench.assembly(code)
    return replace(told, text=emulate.completion(code, counts))
