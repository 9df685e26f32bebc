"""Verdicts on objects that clang made: equal for the same program, different for another one."""

from __future__ import annotations

import pytest

from irwright.verify.differ import compare_objects
from irwright.verify.verdicts import VerdictKind
from verify_tools import Compile

SUM = """
int sum(const int *values, int count) {
    int total = 0;
    for (int i = 0; i < (count & 15); i++) total += values[i];
    return total;
}
"""


def test_equal_at_every_level(compile_c: Compile) -> None:
    signatures = compile_c.signatures(SUM)
    objects = [compile_c(SUM, level) for level in ("-O0", "-O1", "-O2", "-Oz")]
    for candidate in objects:
        verdict = compare_objects(objects[0], candidate, signatures=signatures, run_same=True)
        (function,) = verdict.functions
        assert function.kind is VerdictKind.EQUAL and function.num_conclusive == function.num_runs >= 8, function
        assert function.blocks_covered == function.blocks
        assert verdict.to_json() == {
            "functions": 1,
            "equal": 1,
            "same_code": 0,
            "inconclusive": 0,
            "different": 0,
            "block_coverage": 1.0,
        }


@pytest.mark.parametrize("change", [("+=", "-="), ("count & 15", "count & 7"), ("values[i]", "values[i + 1]")])
def test_different(compile_c: Compile, change: tuple[str, str]) -> None:
    verdict = compile_c.compare(SUM, SUM.replace(*change))
    assert verdict.different == 1
    difference = verdict.first_difference
    assert difference is not None and difference.seed is not None
    assert difference.reason.startswith(f"seed {difference.seed} (rdi=0x7e5a1234")
    assert "result 0x" in difference.reason
