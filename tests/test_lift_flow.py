"""The stack pointer, block fills and control flow of whole programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifted_programs import kept, same_after_lifting


@pytest.mark.parametrize(("compiler", "level"), [("clang", "-O2"), ("clang", "-Oz"), ("gcc", "-O2"), ("gcc", "-O0")])
def test_arrays_of_sizes_known_at_run_time(compiler: str, level: str, tmp_path: Path) -> None:
    result = same_after_lifting("../programs/dynamic_arrays.c", compiler, [level], tmp_path)
    # alloca of a constant size in a loop; a stack pointer kept in the frame over a call
    assert kept(result).keys() <= {"on_stack", "fresh_each_round"}
