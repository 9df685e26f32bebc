"""Values, blocks and dominance of a function while it is said."""

from __future__ import annotations

from irwright.grammar.flow import Flow, dominators
from irwright.grammar.types import I1, I32, VOID


def test_dominators_of_a_loop_and_a_diamond() -> None:
    before = {0: [], 1: [0], 2: [0], 3: [1, 2, 4], 4: [3]}
    found = dominators([0, 1, 2, 3, 4], before)
    assert found[3] == {0, 3} and found[4] == {0, 3, 4} and found[1] == {0, 1}
    assert dominators([], {}) == {}


def test_values_are_usable_where_they_dominate() -> None:
    flow = Flow(result=VOID)
    flow.begin_block()  # 0
    flow.define(I1)  # 1
    flow.end_block([2, 4])
    assert flow.owed_blocks == {2, 4} and flow.can_begin_block() and not flow.may_end()
    flow.begin_block()  # 2
    flow.define(I32)  # 3
    assert flow.usable(I32) == [3] and flow.usable(I1) == [1]
    assert not flow.may_end_block([]) or flow.next == 4
    flow.end_block([4])
    flow.begin_block()  # 4
    assert flow.usable(I32) == [] and flow.usable(I1) == [1]
    assert flow.may_end_block([])
    flow.end_block([])
    assert flow.may_end()


def test_a_late_edge_must_not_break_a_use() -> None:
    flow = Flow(result=VOID)
    flow.begin_block()  # 0
    flow.define(I1)  # 1
    flow.end_block([2])
    flow.begin_block()  # 2
    flow.define(I32)  # 3
    flow.end_block([4, 5])
    flow.begin_block()  # 4
    flow.use(3)
    flow.end_block([5])
    flow.begin_block()  # 5
    assert 4 in flow.targets()  # 3 is known here too
    assert 0 not in flow.targets()  # the entry has no way back
    copy = flow.copy()
    copy.values[9] = (I32, 4)
    copy.uses.append((9, 4))
    copy.uses.append((9, 2))
    assert 2 not in copy.targets()


def test_a_phi_owes_its_blocks_and_values() -> None:
    flow = Flow(result=VOID)
    flow.begin_block()
    flow.end_block([1])
    flow.begin_block()  # 1
    flow.owed_values[3] = I32
    flow.incoming[1] = frozenset((0, 4))
    flow.define(I32)  # 2
    assert flow.owed_blocks == {4} and not flow.may_end()
    assert flow.can_define()
    flow.define(I32)  # 3, as it was owed
    assert not flow.owed_values and not flow.can_define()  # 4 is a block
    assert flow.may_end_block([4]) and not flow.may_end_block([])
    flow.end_block([4])
    flow.begin_block()
    assert flow.owed_edges() == [1] and not flow.may_end_block([5]) and flow.may_end_block([1])
