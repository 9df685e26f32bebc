"""The coreset: an ordered table of good plans per protocol and LLVM major, shipped with the package.

`load_coreset` reads the table that coreset_build.py makes; `first_plans` are the plans, written by hand, that a build
begins with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

import irwright
from irwright.errors import PassListError
from irwright.plan import Plan
from irwright.task import Coreset

BUILT_FOR = 22
"""the LLVM major whose table serves those without one of their own"""

_CLEAN = "sroa,early-cse,simplifycfg,instcombine<no-verify-fixpoint>"
_HOIST = "sroa,gvn-hoist,simplifycfg<hoist-common-insts;sink-common-insts>"
_IPO = (
    "function(sroa,early-cse,simplifycfg),ipsccp,globalopt,function(instcombine<no-verify-fixpoint>,simplifycfg),"
    "always-inline,{},deadargelim,globaldce"
)
_INLINE = f"cgscc(devirt<4>(inline,function({_CLEAN})))"
_LIGHT = _IPO.format(f"cgscc(devirt<4>(inline,function-attrs,argpromotion,function({_CLEAN})))")
_NOT_INLINED = _IPO.format("cgscc(function-attrs,argpromotion)")
_TAILS = (
    f"{_CLEAN},function-simplification<Oz>",
    "dse,gvn-hoist,tailcallelim",
    _CLEAN,
    f"{_HOIST},instcombine<no-verify-fixpoint>,function-simplification<Oz>",
    "simplifycfg",
    f"{_CLEAN},gvn,simplifycfg,instcombine<no-verify-fixpoint>,reassociate,gvn",
    f"{_CLEAN},function-simplification<Oz>,separate-const-offset-from-gep,early-cse,simplifycfg",
    f"{_CLEAN},jump-threading,function-simplification<Oz>,loop-rotate,licm,instcombine<no-verify-fixpoint>,"
    "simplifycfg<sink-common-insts;hoist-common-insts>",
    "gvn-hoist,simplifycfg<sink-common-insts;hoist-common-insts>,dse,instcombine<no-verify-fixpoint>",
)
_BASES: tuple[dict[str, str], ...] = (
    {"preparation": "raw"},
    {"preparation": "raw", "inline": "once"},
    {"preparation": "raw", "inline": "oz"},
    {"preparation": "raw", "inline": "oz", "base": "inline"},
    {"preparation": "raw", "inline": "once", "base": f"function(sroa,early-cse,simplifycfg),{_INLINE}"},
    {"preparation": "early"},
    {"preparation": "early", "inline": "once"},
    {"preparation": "early", "inline": "oz"},
    {"preparation": "early", "inline": "once", "base": _INLINE},
)
_FIRST_LISTS = (
    f"{_LIGHT},function-simplification<Oz>",
    _NOT_INLINED,
    f"{_HOIST},default<Oz>",
    _LIGHT,
    "lto<Oz>",
    "thinlto<Oz>",
    f"iroutliner,{_LIGHT}",
    "iroutliner,lto<Oz>",
    "iroutliner,default<Oz>",
    "scc-oz-module-inliner,default<Oz>",
    "default<Oz>,simplifycfg<sink-common-insts>",
    "dse,gvn-hoist,tailcallelim",
    "lto-pre-link<Oz>,iroutliner",
    "thinlto<Oz>,iroutliner",
)


def load_coreset(protocol: str, llvm_major: int, *, first: int | None = None) -> Coreset:
    """The shipped table for a protocol, cut to what this LLVM has; the search's first plans where there is none.

    `first` reads no more than so many plans of each part.
    """
    text = table_text(protocol, llvm_major)
    return read_coreset(text, llvm_major, first=first) if text else first_plans(llvm_major)


def table_text(protocol: str, llvm_major: int) -> str:
    """The JSON of the shipped table that serves this LLVM; empty where there is none."""
    for major in dict.fromkeys((llvm_major, BUILT_FOR)):
        file = resources.files(irwright) / "data" / f"coreset-{protocol}-{major}.json"
        if file.is_file():
            return file.read_text()
    return ""


def read_coreset(text: str, llvm_major: int, *, first: int | None = None) -> Coreset:
    """Read the JSON that `write_coreset` makes, leaving out passes this LLVM lacks; `first` plans of each part."""
    data = json.loads(text)
    if first is not None and data["llvm_major"] == llvm_major:  # another LLVM may lack some of the first
        data = _cut(data, first)

    lists, pieces = ([portable(row["plan"], llvm_major) for row in data[part]] for part in ("lists", "pieces"))

    def order(plans: Iterable[Plan | None]) -> tuple[Plan, ...]:
        return tuple(dict.fromkeys(plan for plan in plans if plan is not None))

    def table(own: dict[str, Any], lists: Iterable[Plan | None], pieces: Iterable[Plan | None]) -> Coreset:
        counts = tuple(map(int, own.get("lists_first", [])))
        return Coreset(lists=order(lists), pieces=order(pieces), lists_first=counts)

    whole = table(data, lists, pieces)
    if "large" not in data:
        return whole
    large: dict[str, Any] = data["large"]
    at = {part: [int(index) for index in large[part]] for part in ("lists", "pieces")}
    ordered = table(large, [lists[index] for index in at["lists"]], [pieces[index] for index in at["pieces"]])
    return replace(whole, large=ordered, large_from=int(large["from_instructions"]))


def _cut(data: dict[str, Any], first: int) -> dict[str, Any]:
    """A table with no more plans than come first in either order."""
    cut = dict(data)
    large = cut["large"] = dict(data["large"]) if "large" in data else {}
    for part in ("lists", "pieces"):
        indices = [int(index) for index in large.get(part, [])][:first]
        kept = [*range(min(first, len(data[part])))]
        kept += [index for index in indices if index not in kept]
        cut[part] = [data[part][index] for index in kept]
        large[part] = [kept.index(index) for index in indices]
    if "large" not in data:
        del cut["large"]
    return cut


def portable(data: dict[str, Any], llvm_major: int) -> Plan | None:
    """A stored plan for another LLVM: passes it lacks left out; None where it has none of them or can't read it."""
    try:
        plan = Plan.from_json(data, llvm_major=int(data.get("llvm", BUILT_FOR)))
    except PassListError:
        return None
    base, tail = plan.base.restricted_to(llvm_major), plan.tail.restricted_to(llvm_major)
    if not base.items and not tail.items and not plan.preparation:
        return None
    return replace(plan, base=base, tail=tail)


def first_plans(llvm_major: int) -> Coreset:
    """The plans a build begins with, written by hand."""
    lists = [{"base": text} for text in _FIRST_LISTS]
    order = [(base, tail) for tail in range(len(_TAILS)) for base in range(len(_BASES))]
    # The strongest tails on every base first, then every other tail on some.
    order = [pair for pair in order if pair[1] in (0, 2, 3)] + [pair for pair in order if pair[1] not in (0, 2, 3)]
    pieces = [{**_BASES[base], "tail": _TAILS[tail]} for base, tail in order]

    def plans(rows: Iterable[dict[str, Any]]) -> tuple[Plan, ...]:
        return tuple(plan for plan in (portable(row, llvm_major) for row in rows) if plan is not None)

    return Coreset(lists=plans(lists), pieces=plans(pieces))


def write_coreset(coreset: Coreset, *, protocol: str, llvm_major: int, made_by: dict[str, Any]) -> str:
    """The table as JSON text: what made it, then one plan a row."""

    def rows(plans: Sequence[Plan]) -> str:
        return ",\n".join("    " + json.dumps({"plan": {**plan.to_json(), "llvm": llvm_major}}) for plan in plans)

    head = json.dumps({"protocol": protocol, "llvm_major": llvm_major, "made_by": made_by}, indent=2)[:-2]
    head += f',\n  "lists_first": {json.dumps(coreset.lists_first)}'
    if coreset.large is not None:
        large = {
            "from_instructions": coreset.large_from,
            "lists_first": coreset.large.lists_first,
            "lists": [coreset.lists.index(plan) for plan in coreset.large.lists],
            "pieces": [coreset.pieces.index(plan) for plan in coreset.large.pieces],
        }
        head += f',\n  "large": {json.dumps(large)}'
    return f'{head},\n  "lists": [\n{rows(coreset.lists)}\n  ],\n  "pieces": [\n{rows(coreset.pieces)}\n  ]\n}}\n'
