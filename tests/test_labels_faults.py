"""What the compiler has against answers: the line it names, and nothing against right ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from irwright.labels.faults import code_fault, line_span
from irwright.labels.units import Bench
from irwright.llvm.toolchain import Toolchain

IR = "define i32 @f0(i32 %0) {\n  %2 = add i32 %0, 1\n  ret i32 %2\n}"
ASM = "f0:\n\tmovl\t$1, %eax\n\tretq"


@pytest.fixture(scope="module")
def bench(tools: Toolchain) -> Iterator[Bench]:
    with Bench(tools.library.path, llvm_major=22) as made:
        yield made


def test_right_answers_have_none(bench: Bench) -> None:
    assert code_fault(bench, "ir", f"{IR}<|sizes|>2 40") is None
    assert code_fault(bench, "asm", f"{ASM}<|sizes|>2 40") is None
    assert code_fault(bench, "lifted", IR) is None


def test_the_line_is_where_the_compiler_stops(bench: Bench) -> None:
    wrong = IR.replace("add i32 %0", "add i32 %7")
    fault = code_fault(bench, "ir", f"{wrong}<|sizes|>2 40")
    assert fault is not None and fault.end is not None and "%7" in fault.problem
    assert "%7" in wrong[fault.start : fault.end]
    fault = code_fault(bench, "asm", f"{ASM.replace('movl', 'movz')}<|sizes|>2 40")
    assert fault is not None and fault.start <= 4


def test_what_is_no_answer(bench: Bench) -> None:
    for wanted, answer, problem in (
        ("ir", IR, "no sizes behind the code"),
        ("ir", "<|sizes|>1 2", "no code in the answer"),
        ("lifted", " ", "no code in the answer"),
    ):
        fault = code_fault(bench, wanted, answer)
        assert fault is not None and fault.problem == problem


def test_spans_of_lines() -> None:
    assert [line_span("ab\nc\n", number) for number in (1, 2, 3, 9)] == [(0, 3), (3, 5), (5, 5), (5, 5)]
