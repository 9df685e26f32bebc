"""Verdicts on objects that clang made: equal for the same program, different for another one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from irwright.llvm.toolchain import Toolchain
from irwright.verify.differ import ObjectVerdict, VerdictKind, compare_objects
from irwright.verify.signatures import Signature, signatures_of

SUM = """
int sum(const int *values, int count) {
    int total = 0;
    for (int i = 0; i < (count & 15); i++) total += values[i];
    return total;
}
"""


class Compile:
    """Objects and signatures of C text, by the default clang."""

    def __init__(self, clang: Path, folder: Path) -> None:
        self.clang = clang
        self.folder = folder

    def __call__(self, text: str, *flags: str, language: str = "c") -> bytes:
        return self._run(text, "-c", *flags, language=language)

    def _run(self, text: str, *flags: str, language: str = "c") -> bytes:
        command = [str(self.clang), "-w", "-x", language, "-", "-o", "-", *flags]
        return subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout

    def signatures(self, text: str, *flags: str, language: str = "c") -> dict[str, Signature]:
        return signatures_of(self._run(text, "-S", "-emit-llvm", "-O0", *flags, language=language).decode())

    def compare(self, text: str, changed: str | None = None, *, seeds: int = 8) -> ObjectVerdict:
        """-Oz of two texts (or -O0 and -Oz of one)."""
        original = self(text, "-Oz" if changed else "-O0")
        return compare_objects(original, self(changed or text, "-Oz"), signatures=self.signatures(text), seeds=seeds)


@pytest.fixture
def compile_c(tools: Toolchain, tmp_path: Path) -> Compile:
    return Compile(tools.need_clang(), tmp_path)


def test_equal_at_every_level(compile_c: Compile) -> None:
    signatures = compile_c.signatures(SUM)
    objects = [compile_c(SUM, level) for level in ("-O0", "-O1", "-O2", "-Oz")]
    for candidate in objects:
        verdict = compare_objects(objects[0], candidate, signatures=signatures)
        (function,) = verdict.functions
        assert (function.kind, function.num_conclusive) == (VerdictKind.EQUAL, 8), function
        assert function.blocks_covered == function.blocks
        assert verdict.to_json() == {
            "functions": 1,
            "equal": 1,
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
