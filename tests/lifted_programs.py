"""A program compiled, lifted, lowered and run beside the original: what tests of the lifter share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.verdicts import LiftResult
from irwright.llvm.toolchain import find

SOURCES = Path(__file__).parent / "lifting"


def same_after_lifting(
    name: str,
    compiler: str,
    options: Collection[str],
    folder: Path,
    *,
    libraries: Collection[str] = ("-lm",),
    budget: int = 1,
) -> LiftResult:
    """Lift `tests/lifting/NAME` as `clang`, `gcc`, ... compiles it; asserts that it still does the same."""
    clang = str(find().need_clang())
    driver = clang if compiler == "clang" else shutil.which(compiler)
    if driver is None:
        pytest.skip(f"no {compiler}")
    assembly = folder / "original.s"
    subprocess.run([driver, "-w", *options, "-S", str(SOURCES / name), "-o", str(assembly)], check=True)
    result = disassemble(assembly, settings=LiftSettings(budget=budget, verify=False))
    (folder / "lifted.ll").write_text(result.ir)
    outputs: list[tuple[int, bytes]] = []
    lower = ["-x", "ir", "-Oz", "-Xclang", "-disable-llvm-passes", str(folder / "lifted.ll"), "-x", "none"]
    for words in ([str(assembly)], lower):
        program = folder / "program"
        linker = driver if words[0] == str(assembly) else clang
        subprocess.run([linker, "-w", *words, "-o", str(program), *libraries], check=True)
        run = subprocess.run([str(program)], capture_output=True, check=False, timeout=30)
        outputs.append((run.returncode, run.stdout))
    assert outputs[0] == outputs[1]
    return result


def kept(result: LiftResult) -> dict[str, str]:
    """Functions that stay machine code, with the reason."""
    return {one.function: one.reason for one in result.functions if one.verdict == "not-lifted"}
