"""The self-checking programs themselves: enough of them, fit to be screened with, and right after tuning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from irwright import tune
from irwright.candidates import coreset_candidates, joined_candidates, list_candidate
from irwright.coreset import load_coreset
from irwright.llvm.toolchain import Toolchain
from irwright.passes import PassList
from irwright.screen import Screener
from irwright.screen_results import Verdict
from irwright.task import Coreset
from irwright.verify.programs import Limits, Linker, Program, execute, find_programs

ROOT = Path(__file__).resolve().parent.parent
OWN = find_programs(ROOT / "tests" / "programs")
EXAMPLES = find_programs(ROOT / "examples")
ALL = [*OWN, *EXAMPLES]
LIMITS = Limits(seconds=30)
SAMPLE = [one for number, one in enumerate(OWN) if number % 5 == (2 if one.is_cxx else 0)]
"""Screened here; all of them by the command, which takes minutes."""


def test_there_are_a_hundred_in_two_languages() -> None:
    assert len(ALL) >= 100
    assert sum(one.is_cxx for one in ALL) >= 20
    stems = [one.path.stem for one in ALL]
    assert len(set(stems)) == len(stems)


@pytest.mark.parametrize("program", OWN, ids=lambda program: program.name)
def test_programs_keep_the_rules_of_their_folder(program: Program) -> None:
    text = program.path.read_text()
    assert re.match(r"(// \{ dg-options.*\}\n)?(/\*|//) .{20,}", text), "no remark on top says what it is about"
    assert '#include "check.h"' in text and "CHECK(" in text and "return finish();" in text
    assert not re.search(r"\b(time|clock|rand|getenv|fopen|scanf)\(", text)
    assert 20 <= len(text.splitlines()) <= 150


@pytest.fixture(scope="module")
def screener(own_cache: None) -> Iterator[Screener]:
    with Screener(limits=LIMITS) as opened:
        yield opened


@pytest.mark.parametrize("program", SAMPLE, ids=lambda program: program.name)
def test_lists_and_joined_pieces_keep_programs_right(screener: Screener, program: Program) -> None:
    table = load_coreset("oz", 22)
    candidates = [
        list_candidate(PassList.parse("default<Oz>")),
        *coreset_candidates(Coreset(lists=table.lists[:2], pieces=table.pieces[:1])),
        *joined_candidates(table, 1, 0),
    ]
    report = screener.screen(program, candidates)
    assert report.left_out is None
    bad = {name: one for name, one in report.judgements.items() if one.verdict not in (Verdict.PASS, Verdict.UNFIT)}
    assert bad == {}


@pytest.mark.parametrize("name", ["attributes.c", "struct_abi.c", "exceptions.cpp"])
def test_tuned_programs_are_right(tools: Toolchain, tmp_path: Path, name: str) -> None:
    program = next(one for one in OWN if one.name == name)
    result = tune(program.path, budget=8, flags=program.all_flags)
    object_path, executable = tmp_path / "tuned.o", tmp_path / "tuned"
    object_path.write_bytes(result.artefacts["obj"])
    linker = Linker(tools.need_clang(), tmp_path)
    assert linker.link(object_path, executable, is_cxx=program.is_cxx) is None
    run = execute(executable, tmp_path, LIMITS)
    assert (run.code, b" 0 failed" in run.output) == (0, True), json.dumps(result.to_json())
