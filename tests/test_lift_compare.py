"""What counts as equal assembly text: names of labels, comments and directives do not; anything else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.lift.compare import content, normalise, similarity, strip_comment, take_apart

TEMPLATE = """\t.text
\t.type\tf,@function
f:                                      # @f
\t.cfi_startproc
# %bb.0:
\tcmpl\t${limit}, %edi                       # imm
\tja\t{label}
\tmovsd\t{constant}(%rip), %xmm0
\tleaq\t{string}(%rip), %rdi
\tcallq\t{callee}
{label}:
\tretq
.Lfunc_end0:
\t.section\t.rodata.cst8,"aM",@progbits,8
{constant}:
\t.quad\t{value}
\t.section\t.rodata.str1.1,"aMS",@progbits,1
{string}:
\t.asciz\t"{words}"
"""
PLAIN = {
    "limit": "7",
    "label": ".LBB0_1",
    "constant": ".LCPI0_0",
    "string": ".L.str",
    "callee": "puts@PLT",
    "value": "0x3ff0000000000000",
    "words": "a # b",
}


def lines(**changes: str) -> list[str]:
    return normalise(take_apart(TEMPLATE.format(**{**PLAIN, **changes})), "f")


@pytest.mark.parametrize(
    "changes",
    [{"label": ".LBB7_9"}, {"constant": ".LCPI3_1"}, {"string": ".L.str.12"}, {"value": "4607182418800017408"}],
)
def test_names_of_private_labels_do_not_count(changes: dict[str, str]) -> None:
    assert lines(**changes) == lines()


@pytest.mark.parametrize(
    "changes",
    [{"limit": "8"}, {"callee": "puts"}, {"callee": "printf@PLT"}, {"value": "0x4000000000000000"}, {"words": "a # c"}],
)
def test_everything_else_counts(changes: dict[str, str]) -> None:
    assert lines(**changes) != lines()


def test_jump_tables_are_compared_target_by_target() -> None:
    text = """
\t.type\tf,@function
f:
\tleaq\t.LJTI0_0(%rip), %rax
\tjmpq\t*%rax
.LBB0_1:
\tnop
.LBB0_2:
\tretq
.Lfunc_end0:
\t.section\t.rodata,"a",@progbits
.LJTI0_0:
\t.long\t{a}-.LJTI0_0
\t.long\t{b}-.LJTI0_0
"""
    straight = normalise(take_apart(text.format(a=".LBB0_1", b=".LBB0_2")), "f")
    crossed = normalise(take_apart(text.format(a=".LBB0_2", b=".LBB0_1")), "f")
    assert straight != crossed
    assert "L0-SELF" in straight[0]


def test_a_jump_to_another_place_counts() -> None:
    text = "\t.type\tf,@function\nf:\n\tje\t{}\n.LBB0_1:\n\tnop\n.LBB0_2:\n\tretq\n"
    first, second = (normalise(take_apart(text.format(label)), "f") for label in (".LBB0_1", ".LBB0_2"))
    assert first != second


def test_data_is_compared_by_its_bytes() -> None:
    assert content(["\t.quad\t1".strip()], {}, "x") == content([".long 1", ".long 0"], {}, "x")
    assert content(['.asciz\t"a\\n"'], {}, "x") == content([".byte 97,10,0"], {}, "x")
    assert content([".zero\t3"], {}, "x") == content([".byte 0", ".short 0"], {}, "x")


@given(st.text(alphabet='ab#"\\ ', max_size=20))
def test_comments_end_where_they_begin(text: str) -> None:
    assert len(strip_comment(text)) <= len(text)
    if '"' not in text:
        assert "#" not in strip_comment(text)


@given(st.text(max_size=300))
def test_any_text_can_be_taken_apart(text: str) -> None:
    for name in take_apart(text).functions:
        normalise(take_apart(text), name)


def test_similarity_is_a_share() -> None:
    assert similarity([], []) == 1.0
    assert similarity(["a", "b"], ["a", "c"]) == 0.5
    assert similarity(["a"] * 4000, ["b"] * 4000) == 0.0
