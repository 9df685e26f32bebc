"""Why a result is small: what each pass of a plan earns, and how the code of the functions changed.

Everything here is measured in process through the same Evaluator as a search. Bars and columns are drawn by
console.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

from irwright.errors import LLVMError
from irwright.files import Input
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.toolchain import find
from irwright.llvm.worker import default_jobs
from irwright.passes import PassList
from irwright.plan import NOTHING, Plan
from irwright.tuner import OnProgress, Settings, Tuner, TuneResult
from irwright.workpiece import Workpiece


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one part of a plan earns."""

    text: str
    """a pass, or the list of one function"""
    scope: str | None
    """the function or group of functions it runs on; None for what runs on all"""
    earned: int | None
    """bytes that the whole plan is larger without it; None where the plan fails without it"""
    cumulative: int | None
    """bytes of the object built by the plan up to and with it; None where that fails or where parts are joined"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionChange:
    """One function under -Oz and under the plan."""

    name: str
    baseline_bytes: int
    tuned_bytes: int
    baseline_lines: tuple[str, ...]
    """its instructions and labels, empty where it was inlined or merged away"""
    tuned_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The plan of a file taken apart."""

    file: str
    protocol: str
    plan: Plan
    result: TuneResult
    unoptimised: int | None
    """what the protocol counts before any pass"""
    oz: int
    """the same after `default<Oz>` in process"""
    tuned: int
    """the same after the plan"""
    shares: tuple[Share, ...]
    functions: tuple[FunctionChange, ...]
    """those that changed most, most first"""


def explain(
    item: Input,
    settings: Settings,
    *,
    passes: str | None = None,
    num_functions: int = 2,
    jobs: int | None = None,
    on_progress: OnProgress | None = None,
) -> Explanation:
    """Take a pass list apart on one file; without `passes`, the list that tuning finds.

    Costs two compilations for each pass of the list.
    """
    if passes is not None:
        major = find(settings.target, llvm=settings.llvm).major
        settings = replace(settings, plan=Plan(base=PassList.parse(passes, llvm_major=major)), verify_seeds=0)
    with Tuner(settings, jobs=jobs or default_jobs(), on_progress=on_progress) as tuner:
        result = tuner.tune(item)
        with tuner.open(item) as piece:
            plan = settings.plan or result.plan
            return _take_apart(piece, plan, result, num_functions)


def _take_apart(piece: Workpiece, plan: Plan, result: TuneResult, num_functions: int) -> Explanation:
    evaluator = piece.evaluator
    parts = list(_parts(plan))
    plans = [each for part in parts for each in (part.without, part.upto) if each is not None]
    oz, tuned, nothing, *_ = evaluator.evaluate([piece.plan_of_oz, plan, Plan(), *plans])

    def cost(wanted: Plan | None) -> int | None:
        if wanted is None:
            return None
        trial = evaluator.evaluate([wanted])[0]
        return int(trial.cost(evaluator.protocol)) if trial.outcome.ok else None

    for trial in (oz, tuned):
        if not trial.outcome.ok:
            raise LLVMError(f"{piece.item.name}: {trial.plan} ends in {trial.outcome.kind} ({trial.outcome.detail})")
    tuned_size = int(tuned.cost(evaluator.protocol))
    shares = [
        Share(
            text=part.text,
            scope=part.scope,
            earned=None if (size := cost(part.without)) is None else size - tuned_size,
            cumulative=cost(part.upto),
        )
        for part in parts
    ]
    return Explanation(
        file=piece.item.name,
        protocol=evaluator.protocol.name,
        plan=plan,
        result=result,
        unoptimised=int(nothing.cost(evaluator.protocol)) if nothing.outcome.ok else None,
        oz=int(oz.cost(evaluator.protocol)),
        tuned=tuned_size,
        shares=tuple(shares),
        functions=tuple(_changes(piece, plan, num_functions)),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a plan: the plan without it, and the plan up to and with it."""

    text: str
    scope: str | None
    without: Plan
    upto: Plan | None


def _parts(plan: Plan) -> Iterator[_Part]:
    """In the order they run: the parts that are joined, or base, tail and lists of functions; then the finish."""
    if plan.is_one_list:
        plan = Plan(base=plan.as_list())
    for index, part in enumerate(plan.parts):

        def put_back(changed: Plan, index: int = index) -> Plan:
            return replace(plan, parts=(*plan.parts[:index], changed, *plan.parts[index + 1 :]))

        scope = f"group {index + 1} of {len(plan.parts)}"
        for item in _without_tails(part, put_back):
            yield replace(item, scope=item.scope or scope, upto=None)
        if part.lowering or part.lowerings:
            yield _Part(_lowered(part), scope, put_back(replace(part, lowering=(), lowerings=())), None)
    if not plan.parts:
        yield from _without_tails(plan, lambda changed: changed)
    for text, finish, prefix in _items(plan.finish):
        yield _Part(text, None, replace(plan, finish=finish), replace(plan, finish=prefix))
    if plan.lowering or plan.lowerings:
        yield _Part(_lowered(plan), None, replace(plan, lowering=(), lowerings=()), None)


def _lowered(plan: Plan) -> str:
    """How code is generated, in the words of console.py."""
    ways = {",".join(way) for way in (plan.lowering, *(way for _, way in plan.lowerings)) if way}
    return f"[{' or '.join(sorted(ways))}]"


def _without_tails(plan: Plan, put_back: Callable[[Plan], Plan]) -> Iterator[_Part]:
    """Base, tail, and the lists of functions of one plan."""
    bare = replace(plan, tails=(), tail=NOTHING, finish=NOTHING)
    for text, base, prefix in _items(plan.base):
        yield _Part(text, None, put_back(replace(plan, base=base)), replace(bare, base=prefix))
    for text, tail, prefix in _items(plan.tail):
        yield _Part(text, None, put_back(replace(plan, tail=tail)), replace(bare, tail=prefix))
    for index, (name, tail) in enumerate(plan.tails):
        if tail.items:
            others = (*plan.tails[:index], (name, NOTHING), *plan.tails[index + 1 :])
            upto = (*plan.tails[: index + 1], *((later, NOTHING) for later, _ in plan.tails[index + 1 :]))
            yield _Part(str(tail), name, put_back(replace(plan, tails=others)), replace(bare, tails=upto))


def _items(passes: PassList) -> Iterator[tuple[str, PassList, PassList]]:
    """Each pass as text, the list without it, and the list up to and with it."""
    items = passes.items
    for index, item in enumerate(items):
        yield str(item), PassList((*items[:index], *items[index + 1 :])), PassList(items[: index + 1])


# ------------------------------------------------------------------ assembly


def _changes(piece: Workpiece, plan: Plan, count: int) -> Iterator[FunctionChange]:
    if not count:
        return
    texts = [piece.evaluator.compile(each, "asm").decode(errors="replace") for each in (piece.plan_of_oz, plan)]
    before, after = (functions_of_assembly(text) for text in texts)
    oz, tuned = piece.evaluator.evaluate([piece.plan_of_oz, plan], free=True)
    none: dict[str, FunctionSize] = {}
    old = oz.sizes.functions if oz.sizes else none
    new = tuned.sizes.functions if tuned.sizes else none
    names = sorted({*old, *new}, key=lambda name: (_total(new, name) - _total(old, name), name))
    changed = [name for name in names if before.get(name) != after.get(name)]
    for name in changed[:count]:
        yield FunctionChange(
            name=name,
            baseline_bytes=_total(old, name),
            tuned_bytes=_total(new, name),
            baseline_lines=before.get(name, ()),
            tuned_lines=after.get(name, ()),
        )


def _total(sizes: dict[str, FunctionSize], name: str) -> int:
    size = sizes.get(name)
    return size.total if size is not None else 0


def functions_of_assembly(text: str) -> dict[str, tuple[str, ...]]:
    """Instructions and labels of each function of a `.s` text; local labels without the function's number."""
    functions: dict[str, tuple[str, ...]] = {}
    name, lines = "", list[str]()
    for line in text.splitlines():
        started = re.match(r"\s*\.type\s+\"?([^\s,\"]+)\"?,\s*[@%]function", line)
        if started:
            name, lines = started.group(1), []
        elif line.startswith(".Lfunc_end") and name:
            functions[name] = tuple(lines)
            name = ""
        elif name:
            code = re.split(r"\s*(?:#|//)\s", line, maxsplit=1)[0].rstrip()
            if code.strip() and not re.match(r"\s+\.", code) and not code.startswith((".Lfunc_begin", "\t#", "#")):
                lines.append(re.sub(r"\.LBB\d+_", ".L", code).replace("\t", " ").strip())
    return functions


Mark = Literal[" ", "|", "<", ">"]


def side_by_side(old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[tuple[Mark, str, str]]:
    """Rows of a two-column diff: equal, changed, only on the left, only on the right."""
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for row in range(max(b - a, d - c)):
            left = old[a + row] if a + row < b else ""
            right = new[c + row] if c + row < d else ""
            mark: Mark = " " if tag == "equal" else "<" if c + row >= d else ">" if a + row >= b else "|"
            yield mark, left, right
