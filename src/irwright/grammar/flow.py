"""What is known of a function while its text is being said: values, blocks, edges, and what is still owed.

Values and blocks are numbered in one row. A branch may name a block that comes later, a phi a value that does: both are
then *owed*, and the text must keep them. Dominance is that of the edges known so far; an edge to a block that was said
before is allowed only if all uses stay dominated, and if the block's phis expect it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from irwright.grammar.types import Type

MAX_AHEAD = 60
"""how far a block or value may be ahead"""


@dataclass(slots=True)
class Flow:
    """A function as far as it was said."""

    result: Type
    is_variadic: bool = False
    next: int = 0
    """the number of the next value or block"""
    block: int = -1
    """the block that is being said; -1 before the first"""
    open: bool = False
    """it has no terminator yet"""
    values: dict[int, tuple[Type, int]] = field(default_factory=dict[int, tuple[Type, int]])
    """number: type, and the block it is made in (-1: an argument)"""
    allocas: set[int] = field(default_factory=set[int])
    before: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    """block: where known edges to it come from, one for each edge; the blocks that were said, and owed ones"""
    said: list[int] = field(default_factory=list[int])
    """blocks in order"""
    owed_values: dict[int, Type] = field(default_factory=dict[int, Type])
    incoming: dict[int, frozenset[int]] = field(default_factory=dict[int, frozenset[int]])
    """block with phis: the blocks they name"""
    uses: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """(value, block it must be known at the end of, or in)"""
    hurries: bool = False
    """no more is said than is owed"""
    in_phis: bool = False
    """only phis were said in the block"""

    def copy(self) -> Flow:
        return replace(
            self,
            values=dict(self.values),
            allocas=set(self.allocas),
            before={block: list(edges) for block, edges in self.before.items()},
            said=list(self.said),
            owed_values=dict(self.owed_values),
            incoming=dict(self.incoming),
            uses=list(self.uses),
        )

    # ---- blocks

    @property
    def owed_blocks(self) -> set[int]:
        """Blocks that were named and not said."""
        named = set(self.before).union(*self.incoming.values()) if self.incoming else set(self.before)
        return named - set(self.said)

    def begin_block(self) -> None:
        """The next number is a block."""
        self.block = self.next
        self.next += 1
        self.said.append(self.block)
        self.before.setdefault(self.block, [])
        self.open, self.in_phis = True, True

    def can_begin_block(self) -> bool:
        return not self.open and bool(self.before.get(self.next))

    def owed_edges(self) -> list[int]:
        """Blocks whose phis expect an edge from the present block."""
        return [
            to for to, blocks in self.incoming.items() if self.block in blocks and self.block not in self.before[to]
        ]

    def targets(self) -> list[int]:
        """Blocks that a branch of the present block may name."""
        behind = [block for block in self.said if block != self.said[0] and self._may_join(block)]
        owed = self.owed_blocks
        far = 1 if self.hurries else MAX_AHEAD
        fresh = [n for n in range(self.next, self.next + far) if n not in owed and n not in self.owed_values]
        return [*behind, *(block for block in owed if block not in self.owed_values), *fresh]

    def _may_join(self, block: int) -> bool:
        """True if an edge from the present block to one that was said breaks nothing."""
        if self.block in self.before[block] and block not in self.incoming:
            return True
        if block in self.incoming and block not in self.owed_edges():
            return False
        trial = {one: list(edges) for one, edges in self.before.items()}
        trial[block].append(self.block)
        tree = dominators(self.said, trial)
        for value, at in self.uses:
            made = self.values.get(value)
            if made is None and at == self.block:
                return False
            if made is not None and made[1] >= 0 and at in tree and made[1] not in tree[at]:
                return False
        return True

    def may_end_block(self, targets: Iterable[int]) -> bool:
        """True if a terminator with these targets leaves a text that can go on, or end."""
        named = set(targets)
        if self.next in self.owed_values or not set(self.owed_edges()) <= named:
            return False
        owed = self.owed_blocks | {block for block in named if block >= self.next}
        if not owed:
            return not self.owed_values
        return self.next in owed and (bool(self.before.get(self.next)) or self.next in named)

    def end_block(self, targets: Iterable[int]) -> None:
        """The present block ends with edges to these."""
        for target in targets:
            self.before.setdefault(target, []).append(self.block)
        self.open = False

    def may_end(self) -> bool:
        """True if the function can be closed here."""
        return bool(self.said) and not self.open and not self.owed_blocks and not self.owed_values

    # ---- values

    def usable(self, kind: Type, *, at: int | None = None) -> list[int]:
        """Values of a type that are known in the present block, or at the end of another one that was said."""
        tree = dominators(self.said, self.before)
        known = tree.get(self.block if at is None else at, frozenset())
        return [n for n, (type_, made) in self.values.items() if type_ == kind and (made < 0 or made in known)]

    def use(self, value: int, *, at: int | None = None) -> None:
        """Remember that a value is used in the present block, or at the end of another."""
        self.uses.append((value, self.block if at is None else at))

    def can_define(self) -> bool:
        """True if the next number may be a value."""
        return self.next not in self.owed_blocks

    def define(self, kind: Type, *, is_alloca: bool = False) -> None:
        """The next number is a value made in the present block."""
        self.values[self.next] = (kind, self.block)
        if is_alloca:
            self.allocas.add(self.next)
        self.owed_values.pop(self.next, None)
        self.next += 1


def dominators(said: list[int], before: dict[int, list[int]]) -> dict[int, frozenset[int]]:
    """Of each block that was said, the blocks that every known way to it goes through; itself among them."""
    if not said:
        return {}
    every = frozenset(said)
    found: dict[int, frozenset[int]] = {said[0]: frozenset((said[0],))}
    changed = True
    while changed:
        changed = False
        for block in said[1:]:
            ways = [found[one] for one in before.get(block, []) if one in found]
            new = every
            for way in ways:
                new = new & way
            new = new | {block}
            if ways and found.get(block) != new:
                found[block] = new
                changed = True
    return found
