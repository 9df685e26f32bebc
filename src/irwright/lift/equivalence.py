"""Lifted code against the code it came from, run under emulation (verify/), in words of this room."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from irwright.lift.prototypes import prototype
from irwright.verify.signatures import I32, Kind, Signature, Value, signatures_of
from irwright.verify.verdicts import VerdictKind
from irwright.verify.verifier import Verifier

WORDS = {
    VerdictKind.EQUAL: "equivalent",
    VerdictKind.DIFFERENT: "different",
    VerdictKind.INCONCLUSIVE: "inconclusive",
}


def compare(
    original: bytes,
    candidate: bytes,
    ir: str,
    functions: Sequence[str],
    *,
    given: Mapping[str, int] | None = None,
    fewest: Mapping[str, int] | None = None,
    ending: Collection[str] = (),
    jobs: int = 1,
) -> dict[str, tuple[str, str]]:
    """Verdict and reason by function.

    The signatures are those of the lifted module, callees of other files included: what a callee is given the address
    of, it may write. `given` is how many integer arguments the original sets for callees, whatever the module says;
    behind calls of `ending` it has no code.
    """
    if not functions:
        return {}
    signatures = with_evidence(signatures_of(ir), given or {}, fewest or {}, ending)
    with Verifier(jobs=jobs) as verifier:
        verdict = verifier.compare(original, candidate, signatures=signatures, functions=functions, static_too=True)
    found: dict[str, tuple[str, str]] = {}
    for one in verdict.functions:
        covered = f"{one.num_conclusive} of {one.num_runs} runs, {one.blocks_covered} of {one.blocks} blocks"
        seed = f", seed {one.seed}" if one.seed is not None else ""
        reason = f": {one.reason}" if one.reason else ""
        found[one.function] = (WORDS[one.kind], f"{covered}{seed}{reason}")
    return found


def with_evidence(
    signatures: Mapping[str, Signature], given: Mapping[str, int], fewest: Mapping[str, int], ending: Collection[str]
) -> dict[str, Signature]:
    """Signatures with at least the integer arguments that callees are given: one lost in lifting has to be seen.

    Of callees that are given different numbers, what not every call has says nothing.
    """
    found = dict(signatures)
    for name, count in given.items():
        known = found.get(name)
        if known is None or known.is_variadic or prototype(name) is not None:
            continue
        registers = sum(one.kind in (Kind.INT, Kind.POINTER) and not one.in_memory for one in known.parameters)
        missing = min(count, 6) - registers
        if missing > 0:
            found[name] = replace(known, parameters=(*known.parameters, *[I32] * missing))
    for name, count in fewest.items():
        if name in found:
            found[name] = replace(found[name], parameters=_first(found[name].parameters, count))
    for name in ending:
        if name in found and prototype(name) is None:
            found[name] = replace(found[name], is_noreturn=True)
    return found


def _first(parameters: tuple[Value, ...], count: int) -> tuple[Value, ...]:
    """Parameters without the integers in registers behind the first so many."""
    kept: list[Value] = []
    for one in parameters:
        is_register = one.kind in (Kind.INT, Kind.POINTER) and not one.in_memory
        if not is_register or count > 0:
            kept.append(one)
        count -= is_register
    return tuple(kept)
