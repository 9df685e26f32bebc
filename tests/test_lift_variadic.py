"""Functions that take `...`: what they do with their arguments after lifting is what they did before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.verdicts import Verdict
from irwright.llvm.toolchain import find
from lifted_programs import kept, same_after_lifting

LEVELS = [("clang", "-Oz"), ("clang", "-O2"), ("clang", "-O0"), ("gcc", "-Os"), ("gcc", "-O2"), ("gcc", "-O0")]
SOURCE = """
#include <stdarg.h>
int use(int, va_list);
int total(int n, ...) { va_list list; va_start(list, n); int sum = use(n, list); va_end(list); return sum; }
"""


def test_vector_registers_may_be_saved_by_any_move(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(SOURCE)
    command = [str(find().need_clang()), "-O2", "-S", str(tmp_path / "a.c"), "-o", "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "movaps\t%xmm0" in text
    for move in ("movaps", "movdqa", "movups"):
        result = disassemble(text.replace("movaps", move), settings=LiftSettings(budget=1, verify=False))
        assert "@total(i64 %a0, ...)" in result.ir


@pytest.mark.parametrize(("compiler", "level"), LEVELS)
def test_variadic_functions(compiler: str, level: str, tmp_path: Path) -> None:
    result = same_after_lifting("variadic.c", compiler, [level], tmp_path)
    # a parameter with a name in memory, before the others
    assert kept(result).keys() <= {"call_past", "past"}


def test_a_va_list_taken_apart_is_read_after_it_is_made(tmp_path: Path) -> None:
    result = same_after_lifting("variadic.c", "clang", ["-Oz"], tmp_path, budget=24)
    functions = {one.function: one for one in result.functions}
    assert all("(i32 %a0, ...)" in functions[name].ir for name in ("sum", "mean", "twice", "again"))
    assert "%va_list" not in functions["sum"].ir
    assert {functions[name].verdict for name in ("mean", "both", "join", "next")} == {Verdict.EXACT}
