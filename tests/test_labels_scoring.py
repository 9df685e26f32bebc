"""Answers judged by the compiler: the known answer is right, a wrong one is wrong for the reason it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import Seeds
from irwright.labels.scoring import Score, is_consistent, score, summarise
from irwright.labels.texts import TextSettings, text_examples
from irwright.labels.units import Bench
from irwright.llvm.toolchain import Toolchain
from irwright.tasks.text import Style

STAGES = ("emulate", "disassemble", "tune")


@pytest.fixture(scope="module")
def bench(tools: Toolchain) -> Iterator[Bench]:
    with Bench(tools.library.path, llvm_major=22) as opened:
        yield opened


def examples(bench: Bench, seeds: Seeds, style: Style) -> list[dict[str, Any]]:
    settings = TextSettings(stages=STAGES, style=style, lists_per_function=3, tune_lists=("sroa,simplifycfg",))
    functions = bench.open(seeds.bitcode("checksum"), "checksum.c").functions
    return [row for name in functions[:3] for row in text_examples(bench, bench.unit(name), settings)]


@pytest.mark.parametrize("style", ["native", "meta"])
def test_the_completion_is_right(bench: Bench, seeds: Seeds, style: Style) -> None:
    rows = examples(bench, seeds, style)
    assert {row["stage"] for row in rows} == set(STAGES)
    assert {row["kind"] for row in rows if row["stage"] == "emulate"} == {"ir", "asm-x86-64"}
    for row in rows:
        judged = score(bench, row, row["completion"], style=style)
        assert judged.valid and not judged.problem, judged
        assert judged.exact == (row["stage"] != "tune")
        if row["stage"] == "emulate":
            assert (judged.bytes_error, judged.instructions_error) == (0.0, 0.0)
        if row["stage"] == "tune":
            assert judged.bytes_after is not None and judged.bytes_oz is not None
            assert judged.bytes_after <= judged.bytes_oz


def test_answers_are_consistent_with_their_own_code(bench: Bench, seeds: Seeds) -> None:
    for row in examples(bench, seeds, "native"):
        if row["stage"] != "tune":
            assert is_consistent(bench, row, row["completion"]), row["kind"]
            assert not is_consistent(bench, row, "nothing")
            lies = f"{row['completion'].partition('<|sizes|>')[0]}<|sizes|>999 7"
            assert is_consistent(bench, row, lies) == (row["stage"] == "disassemble")  # whose answers tell no sizes


def test_wrong_answers_are_wrong_for_their_reason(bench: Bench, seeds: Seeds) -> None:
    rows = examples(bench, seeds, "native")
    by = {(row["stage"], row["kind"]): row for row in rows}

    def judged(stage: str, kind: str, answer: str) -> Score:
        return score(bench, by[stage, kind], answer)

    assert "not valid LLVM IR" in judged("disassemble", "asm-x86-64", "define i32 @f0( {").problem
    assert judged("disassemble", "asm-x86-64", "").problem == "no code in the answer"
    other = judged("disassemble", "asm-x86-64", "define i32 @f0() {\n  ret i32 77\n}")
    assert (other.valid, other.exact) == (True, False)
    assert judged("emulate", "ir", "define void @f0() {\n  ret void\n}").valid
    assert not judged("emulate", "ir", "define void @f0() {\n  ret i32 1\n}").valid
    assert judged("emulate", "asm-x86-64", 'f0:\n\tretq\n\t.asciz "a\\"b\\\\"').valid
    assert not judged("emulate", "asm-x86-64", "f0:\n\tno such thing").valid
    none = judged("tune", "list", "instcombin")
    assert not none.valid and "unknown pass 'instcombin'" in none.problem
    assert none.bytes_after == none.bytes_oz is not None  # -Oz as backup
    worse = judged("tune", "list", "reg2mem")
    assert worse.valid and worse.bytes_after == worse.bytes_oz


def test_the_summary_adds_up() -> None:
    def one(stage: str, **more: Any) -> Score:
        return Score(stage=stage, **{"prompt_chars": 100, "valid": True, **more})

    scores = [
        one("tune", bytes_oz=100, bytes_after=90),
        one("tune", bytes_oz=100, bytes_after=100, valid=False),
        one("disassemble", exact=True),
        one("disassemble", prompt_chars=700),
        one("disassemble", prompt_chars=900_000),
    ]
    assert summarise(scores) == {
        "disassemble": {
            "answers": 3,
            "valid": 1.0,
            "exact": 1 / 3,
            "exact, prompt to 500 characters": 1.0,
            "exact, prompt to 1000 characters": 0.0,
            "exact, longer": 0.0,
        },
        "tune": {"answers": 2, "valid": 0.5, "saved_percent": pytest.approx(5.0)},
    }
    assert summarise([]) == {}
