"""Thread-local variables in every model that compilers use, in a program that checks itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifted_programs import kept, same_after_lifting


@pytest.mark.parametrize(
    ("compiler", "options"),
    [("clang", ["-Oz"]), ("clang", ["-O2", "-fPIC"]), ("gcc", ["-O2"]), ("gcc", ["-Os", "-fPIC"])],
)
def test_thread_locals(compiler: str, options: list[str], tmp_path: Path) -> None:
    result = same_after_lifting("../programs/thread_locals.c", compiler, options, tmp_path, libraries=["-lpthread"])
    assert kept(result) == {}
