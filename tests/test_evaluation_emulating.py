"""What random lists make of functions, and who says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import Seeds
from evaluation_tools import Silent
from irwright.errors import ModelError
from irwright.evaluation.emulating import emulated
from irwright.labels.units import Bench
from irwright.llvm.toolchain import find
from irwright.models.answers import Scripted
from irwright.passes import PassList


@pytest.fixture(scope="module")
def bench(seeds: Seeds) -> Iterator[Bench]:
    with Bench(find().library.path, llvm_major=find().major) as bench:
        bench.open(seeds.bitcode("checksum"), "checksum.c")
        yield bench


def row(bench: Bench, number: int, predictor: str) -> dict[str, Any]:
    return emulated(bench, "crc32", number, seed=1, predictor=predictor, model=None)


def test_every_predictor_is_asked_the_same(bench: Bench) -> None:
    for number in range(3):
        oz, unchanged = row(bench, number, "oz"), row(bench, number, "unchanged")
        assert [oz[name] for name in ("passes", "output", "bytes", "chars")] == [
            unchanged[name] for name in ("passes", "output", "bytes", "chars")
        ]
        assert oz["valid"] and unchanged["valid"]
        before, after = oz["bytes"]
        assert unchanged["bytes_error"] == pytest.approx(abs(before - after) / after, abs=1e-6)


def test_lists_differ_by_number_and_are_valid(bench: Bench) -> None:
    lists = [str(row(bench, number, "oz")["passes"]) for number in range(4)]
    assert len(set(lists)) == 4
    assert all(str(PassList.parse(text)) == text for text in lists)
    assert {row(bench, number, "oz")["output"] for number in range(8)} == {"ir", "asm"}


def test_a_model_is_asked(bench: Bench) -> None:
    model = Scripted(["nonsense"])
    found = emulated(bench, "crc32", 0, seed=1, predictor="model:m", model=model)
    assert not found["valid"] and found["reason"] and found["bytes_error"] is None
    assert f"<|passes|>{found['passes']}<|sizes|>" in model.asked[0].prompt


def test_a_model_that_hangs_has_failed(bench: Bench) -> None:
    with pytest.raises(ModelError, match="timeout: no answer within 1 s"):
        emulated(bench, "crc32", 0, seed=1, predictor="model:m", model=Silent([""]))
