"""Comparisons and their edges: how two values stand to each other, and which values would show another relation."""

from __future__ import annotations

from collections.abc import Sequence

from irwright.verify.tracing import Compared


def fit(held: int, width: int, value: int, target: int, bits: int) -> int | None:
    """What has to be in a place of `width` bits that now holds `held`, for `value` to become `target`."""
    if width >= bits:
        mask = (1 << bits) - 1
        return held & ~mask | target if held & mask == value else None
    low, top = (1 << width) - 1, 1 << (width - 1)
    upper = ((1 << bits) - 1) & ~low
    if value == held and target <= low:
        return target  # extended with zeros
    if (
        value == (held | upper if held & top else held)
        and (target & low | upper if target & top else target & low) == target
    ):
        return target & low  # extended with its sign
    return None


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def relation_of(event: Compared) -> int:
    """0: equal, 1 or -1: next to each other, 2 or -2: farther; of masks 0 or a number of the bits; signs as signed."""
    left, right, bits = event.left, event.right, event.bits
    if event.kind == "mask":
        return (left & right) + 10 if left & right else 0
    if event.kind == "bit":
        return 10 + (left >> (right % bits) & 1)
    if left == right:
        return 0
    mask = (1 << bits) - 1
    if (left - right) & mask == 1:
        return 1
    if (right - left) & mask == 1:
        return -1
    return 2 if _signed(left, bits) > _signed(right, bits) else -2


def wanted_of(event: Compared) -> Sequence[tuple[int, tuple[int, int] | None, tuple[int, int] | None]]:
    """(relation, change of the left operand, change of the right one) of all relations worth seeing."""
    left, right, bits = event.left, event.right, event.bits
    mask = (1 << bits) - 1
    if event.kind == "mask":
        single = [0, *(1 << n for n in range(bits) if right >> n & 1)][:4]
        return [(10 + bit if bit else 0, (left, left & ~right & mask | bit), None) for bit in single]
    if event.kind == "bit":
        ones = [n for n in range(bits) if left >> n & 1]
        zeros = [n for n in range(bits) if not left >> n & 1]
        return [(10 + value, None, (right, chosen[0])) for value, chosen in ((1, ones), (0, zeros)) if chosen]
    if event.kind == "float":
        one = 0x3FF0000000000000 if bits == 64 else 0x3F800000
        near = ((1, one), (-1, one | 1 << (bits - 1))) if not right & (mask >> 1) else ((1, right + 1), (-1, right - 1))
        return [
            (0, (left, right), (right, left)),
            *((relation, (left, value & mask), None) for relation, value in near),
        ]
    return [(delta, (left, (right + delta) & mask), (right, (left - delta) & mask)) for delta in (0, 1, -1)] + [
        (2 * side, (left, (right + 5 * side) & mask), (right, (left - 5 * side) & mask)) for side in (1, -1)
    ]
