"""Passes and groups: how they nest and print. Their texts in lists are tested with passes.py and the parser."""

from __future__ import annotations

import pytest

from irwright.pass_items import Group, Pass
from irwright.passes import PassList


def test_a_group_made_by_hand_is_checked() -> None:
    with pytest.raises(ValueError, match=r"^cgscc pass 'inline' inside function\(\.\.\.\)$"):
        PassList((Group("function", "eager-inv", (Pass("inline"),)),))
    with pytest.raises(ValueError, match=r"^module\(\.\.\.\) inside cgscc\(\.\.\.\)$"):
        PassList((Group("cgscc", "", (Group("module", "", (Pass("globalopt"),)),)),))


def test_a_group_prints_as_the_list_of_it_alone() -> None:
    eager = Group("function", "eager-inv", (Pass("sroa"), Pass("indvars")))
    assert str(eager) == str(PassList((eager,))) == "function<eager-inv>(sroa,loop(indvars))"
    assert str(Group("devirt", "2", (Pass("inline"),))) == "cgscc(devirt<2>(inline))"
    assert str(Group("function", "", (Pass("sroa"), Pass("gvn", "no-load-pre")))) == "sroa,gvn<no-load-pre>"
    with pytest.raises(ValueError, match=r"^cgscc pass 'inline' inside function\(\.\.\.\)$"):
        str(Group("function", "eager-inv", (Pass("inline"),)))
