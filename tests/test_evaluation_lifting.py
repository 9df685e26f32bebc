"""What lifted code is judged to be, the lifter's and a model's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import Seeds
from evaluation_tools import Silent
from irwright.errors import LLVMError, ModelError
from irwright.evaluation import lifting
from irwright.evaluation.lifting import answered, assembly_of, lifted
from irwright.labels.units import Bench
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool
from irwright.models.answers import Scripted
from irwright.passes import PassList

FUNCTION = "crc32"


@pytest.fixture(scope="module")
def bench(seeds: Seeds) -> Iterator[Bench]:
    with Bench(find().library.path, llvm_major=find().major) as bench:
        bench.open(seeds.bitcode("checksum"), "checksum.c")
        yield bench


@pytest.fixture(scope="module")
def true_ir(bench: Bench) -> str:
    return bench.optimised(bench.unit(FUNCTION), PassList.parse("default<Oz>"))


def verdict(bench: Bench, answer: str) -> tuple[str, str]:
    (found,) = answered(bench, FUNCTION, Scripted([answer]))["functions"]
    return found["verdict"], found["reason"]


def test_the_true_ir_is_exact(bench: Bench, true_ir: str) -> None:
    row = answered(bench, FUNCTION, Scripted([true_ir]))["functions"][0]
    assert (row["verdict"], row["reason"]) == ("exact", "")
    assert row["instructions"] > 5
    assert row["bleu"][0] == row["bleu"][8]  # every word of the answer is in the original


def test_other_code_that_does_the_same(bench: Bench, true_ir: str) -> None:
    bench_text = bench.optimised(bench.unit(FUNCTION), PassList.parse("sroa,simplifycfg"))
    assert bench_text != true_ir
    assert verdict(bench, bench_text)[0] == "equivalent"


def test_code_that_does_something_else(bench: Bench, true_ir: str) -> None:
    lines = [line for line in true_ir.splitlines() if " xor i32 " in line]
    assert lines
    wrong = true_ir.replace(lines[0], lines[0].replace(" xor ", " or "))
    kind, reason = verdict(bench, wrong)
    assert kind == "different" and "runs" in reason


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", ("not-lifted", "no code in the answer")),
        ("define i32 @other() {\n  ret i32 1\n}", ("different", "defines no 'f0'")),
    ],
)
def test_answers_that_are_none(bench: Bench, answer: str, expected: tuple[str, str]) -> None:
    kind, reason = verdict(bench, answer)
    assert kind == expected[0]
    assert reason == expected[1] or reason.startswith("defines no")


def test_ir_that_llvm_refuses(bench: Bench) -> None:
    kind, reason = verdict(bench, "define i32 @f0() {\n  ret i32 %1\n}")
    assert kind == "not-lifted" and "use of undefined value '%1'" in reason


def test_a_model_that_hangs_has_failed(bench: Bench) -> None:
    with pytest.raises(ModelError, match="timeout: no answer within 1 s"):
        answered(bench, FUNCTION, Silent([""]))


def test_the_lifter(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    assembly = assembly_of(find().need_clang(), seeds.bitcode("checksum"), "checksum.c")
    with WorkerPool(find().library.path) as pool:
        row = lifted(assembly, "checksum.c", pool, 2)
        assert {one["verdict"] for one in row["functions"]} <= {"exact", "equivalent", "inconclusive"}
        assert all(one["instructions"] > 0 for one in row["functions"])
        monkeypatch.setattr(lifting, "MAX_TEXT_BYTES", 10)
        with pytest.raises(LLVMError, match="over 10 bytes of assembly"):
            lifted(assembly, "checksum.c", pool, 2)
