"""Symbols that may stay undefined, and jump tables in functions that leave registers alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifted_programs import same_after_lifting


@pytest.mark.parametrize("name", ["attributes.c", "bitfields.c", "atomics.c", "computed_goto.c", "varargs.c"])
@pytest.mark.parametrize(("compiler", "level"), [("clang", "-O2"), ("gcc", "-O2")])
def test_self_checking_programs(name: str, compiler: str, level: str, tmp_path: Path) -> None:
    result = same_after_lifting(f"../programs/{name}", compiler, [level], tmp_path, libraries=["-lpthread"])
    assert result.totals["not-lifted"] <= len(result.functions) / 2 or name in ("computed_goto.c", "varargs.c")
