"""Lifted code against the code it came from, run under emulation (verify/), in words of this room."""

from __future__ import annotations

from collections.abc import Sequence

from irwright.verify.signatures import signatures_of
from irwright.verify.verdicts import VerdictKind
from irwright.verify.verifier import Verifier

WORDS = {
    VerdictKind.EQUAL: "equivalent",
    VerdictKind.DIFFERENT: "different",
    VerdictKind.INCONCLUSIVE: "inconclusive",
}


def compare(
    original: bytes, candidate: bytes, ir: str, functions: Sequence[str], *, jobs: int = 1
) -> dict[str, tuple[str, str]]:
    """Verdict and reason by function.

    The signatures are those of the lifted module, callees of other files included: what a callee is given the address
    of, it may write.
    """
    if not functions:
        return {}
    signatures = signatures_of(ir)
    with Verifier(jobs=jobs) as verifier:
        verdict = verifier.compare(original, candidate, signatures=signatures, functions=functions)
    found: dict[str, tuple[str, str]] = {}
    for one in verdict.functions:
        covered = f"{one.num_conclusive} of {one.num_runs} runs, {one.blocks_covered} of {one.blocks} blocks"
        seed = f", seed {one.seed}" if one.seed is not None else ""
        reason = f": {one.reason}" if one.reason else ""
        found[one.function] = (WORDS[one.kind], f"{covered}{seed}{reason}")
    return found
