"""Options that commands share: the names they accept, wrong values, compiler flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Run, Seeds
from irwright.cli_options import PROPOSER_NAMES, PROTOCOL_NAMES, STRATEGY_NAMES
from irwright.measure import PROTOCOLS
from irwright.search import FIRST_TRIES, STRATEGIES


def test_names_of_options_are_those_of_the_library() -> None:
    assert set(STRATEGY_NAMES) == set(STRATEGIES)
    assert set(PROPOSER_NAMES) == set(FIRST_TRIES)
    assert set(PROTOCOL_NAMES) == set(PROTOCOLS)


@pytest.mark.parametrize(
    "words",
    [["--emit", "exe"], ["-b", "0"], ["-b", "soon"], ["-j", "0"], ["--strategy", "luck"], ["--proposer", "model"]],
)
def test_usage(irwright: Run, seeds: Seeds, words: list[str]) -> None:
    ended = irwright("tune", *words, seeds.source("numbers"))
    assert (ended.code, ended.out) == (2, "")
    assert "Error: " in ended.err


def test_compiler_flags_come_after_two_dashes(irwright: Run, tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "h.h").write_text("#define SIZE 40\n")
    (tmp_path / "t.c").write_text('#include "h.h"\nint f(void) { return SIZE + MORE; }\n')
    assert irwright("tune", "-b", "1", tmp_path / "t.c", "--", f"-I{tmp_path / 'inc'}", "-DMORE=2").code == 0
    ended = irwright("tune", "-b", "1", "-DMORE=2", tmp_path / "t.c")
    assert ended.code == 2
    assert "No such option" in ended.err
