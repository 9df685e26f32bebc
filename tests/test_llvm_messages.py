"""What is said of bitcode that an LLVM does not read; messages of real files are in test_llvm_module.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from irwright.llvm.messages import explain_bitcode


def test_what_the_reader_of_an_older_llvm_says() -> None:
    problem = "Unknown attribute kind (105) (Producer: 'LLVM23.1.0' Reader: 'LLVM 22.1.8')"
    assert explain_bitcode(problem, 22) == (
        "bitcode of LLVM 23, which LLVM 22 can't read; name that LLVM with --llvm, or compile with clang 22"
    )
    # A reader as new as the producer: the file is broken, not new.
    assert explain_bitcode(problem, 23) == f"broken bitcode ({problem}); compile the file again"
    assert explain_bitcode("", 22) == "broken bitcode (LLVM gives no reason); compile the file again"


@given(st.text(), st.integers(0, 99))
def test_explaining_bitcode_errors_never_fails(problem: str, major: int) -> None:
    assert explain_bitcode(problem, major)


@given(st.from_regex(r"(.*Producer: 'LLVM\d{1,3}[. ].*)?", fullmatch=True))
def test_explaining_bitcode_errors_of_some_producer(problem: str) -> None:
    assert ("can't read" in explain_bitcode(problem, 0)) == ("Producer: 'LLVM" in problem and _newer_than_0(problem))


def _newer_than_0(problem: str) -> bool:
    start = problem.find("Producer: 'LLVM") + len("Producer: 'LLVM")
    digits = ""
    while problem[start : start + 1].isdigit():
        digits += problem[start]
        start += 1
    return int(digits or "0") > 0
