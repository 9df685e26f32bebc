"""Edges of comparisons: wanted values have the relation they are wanted for; values fit into narrower places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.verify.blocks import Comparison
from irwright.verify.edges import fit, relation_of, wanted_of
from irwright.verify.tracing import Compared

SITE = Comparison(0, 2, "cmp", "eax, ecx", "je")
WIDTHS = st.sampled_from((8, 16, 32, 64))


@given(WIDTHS, st.integers(0), st.integers(0))
def test_wanted_values_have_their_relation(bits: int, left: int, right: int) -> None:
    left, right = left % (1 << bits), right % (1 << bits)
    event = Compared(SITE, "order", bits, left, right)
    for relation, change_left, change_right in wanted_of(event):
        assert change_left is not None and change_right is not None
        assert (change_left[0], change_right[0]) == (left, right)
        for one, other in ((change_left[1], right), (left, change_right[1])):
            found = relation_of(Compared(SITE, "order", bits, one, other))
            assert found == relation or abs(relation) == abs(found) == 2  # five more may wrap


@given(WIDTHS, st.integers(0), st.integers(1))
def test_masks(bits: int, left: int, right: int) -> None:
    left, right = left % (1 << bits), right % (1 << bits)
    for relation, change, _ in wanted_of(Compared(SITE, "mask", bits, left, right)):
        assert change is not None
        assert relation_of(Compared(SITE, "mask", bits, change[1], right)) == relation


def test_bits() -> None:
    wanted = {relation: change for relation, _, change in wanted_of(Compared(SITE, "bit", 8, 0b0100, 0))}
    assert wanted == {11: (0, 2), 10: (0, 0)}


@pytest.mark.parametrize(
    ("held", "width", "value", "target", "bits", "expected"),
    [
        (7, 32, 7, 9, 32, 9),
        (0x1234_0007, 32, 7, 9, 16, 0x1234_0009),  # the low part alone is compared
        (0xFE, 8, 0xFE, 0x7F, 32, 0x7F),  # extended with zeros
        (0xFE, 8, 0xFFFF_FFFE, 0xFFFF_FF80, 32, 0x80),  # with its sign
        (0xFE, 8, 0xFE, 0x1FE, 32, None),  # does not fit
        (0xFE, 8, 0xFFFF_FFFE, 0xFE, 32, None),
        (7, 32, 8, 9, 32, None),  # another value
    ],
)
def test_fit(held: int, width: int, value: int, target: int, bits: int, expected: int | None) -> None:
    assert fit(held, width, value, target, bits) == expected
