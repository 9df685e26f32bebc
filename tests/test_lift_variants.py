"""What the first variant gets right."""

from __future__ import annotations

import subprocess

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.verdicts import Verdict
from irwright.llvm.toolchain import find
from lifted_programs import SOURCES


def test_the_first_lifting_is_exact() -> None:
    command = [str(find().need_clang()), "-w", "-Oz", "-S", str(SOURCES / "exact.c"), "-o", "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    result = disassemble(text, name="exact.s", settings=LiftSettings(budget=1, verify=False))
    assert {one.function for one in result.functions if one.verdict is not Verdict.EXACT} == set()
