"""What the variants of a lifting vary (variants.py has their order)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What variants vary."""

    weights: bool = False
    """branch weights from the layout: what falls through is likely"""
    hot_loops: bool = True
    falls_first: bool = False
    """branches name what falls through first, moves on a condition the value that moves"""
    reversed_webs: bool = False
    """variables that are written last come first: the order of copies where paths meet"""
    apart: bool = False
    """code generation turned round what no compiler writes (`cmp 2; jae`): the block that falls through came later"""
    lifetimes: bool = True
    """objects on the stack begin to live at entry: a barrier to what is moved about there"""
    counted: str = ""
    """what goes on in equal steps is a start and a count of steps: `tables` or `all`"""
    cold: bool = False
    """what was moved behind what it leads to is unlikely"""
    either: bool = False
    """a branch on one of two conditions is on `or`, not on the `and` of the opposite ones"""
    natural: bool = False
    """blocks come after those that lead to them"""
    one_return: bool = True
    """one block at the end returns"""
    early_loads: bool = True
    """what is read through the linker's tables is loaded where the address is made"""
