"""Comparisons that were switches with few cases."""

from __future__ import annotations

import pytest

from irwright.lift.options import Options
from lifted_text import emitted

ENDS = "\nmovl $7, (%rsi)\nretq\n.L1:\nmovl $9, (%rsi)\nretq"


@pytest.mark.parametrize(
    ("test", "cases"),
    [
        ("orl $8, %edi\ncmpl $43, %edi\nje .L1", [43, 35]),
        ("orl $2, %edi\ncmpl $3, %edi\njne .L1", [3, 1]),
        ("addl $-4, %edi\ncmpl $2, %edi\njae .L1", [4, 5]),
        ("addl $-8, %edi\ncmpl $3, %edi\njbe .L1", [8, 9, 10, 11]),
    ],
)
def test_few_cases(test: str, cases: list[int]) -> None:
    text = emitted(test + ENDS, Options(natural=True))
    assert "switch i32 %a0" in text
    assert [
        int(line.split(",")[0].split()[1]) for line in text.splitlines() if line.strip().startswith("i32 ")
    ] == cases


@pytest.mark.parametrize(
    "test",
    [
        "orl $6, %edi\ncmpl $7, %edi\nje .L1",  # four cases
        "orl $8, %edi\ncmpl $35, %edi\nje .L1",  # none
        "addl $-3, %edi\ncmpl $2, %edi\njae .L1",  # 3 and 4: nothing else would be made of that
        "orl $8, %edi\ncmpl $43, %edi\nmovl %edi, (%rdx)\nje .L2\n.L2:\nje .L1",
    ],
)
def test_other_comparisons_stay(test: str) -> None:
    assert "switch" not in emitted(test + ENDS, Options(natural=True))
