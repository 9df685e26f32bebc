"""Functions that take `...`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.llvm.toolchain import find

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
