"""Merged ends taken apart."""

from __future__ import annotations

from irwright.lift.program import Imm, Instruction, Reg
from irwright.lift.tails import Joined, split_tails

Shape = tuple[list[Instruction], list[int], list[int]]


def insn(address: int, text: str) -> Instruction:
    operands = (Reg("rdx", 64),) if text == "pop" else (Imm(address, 64),)
    return Instruction(address, 2, text, operands)


def merged(first: str) -> list[Shape]:
    """0 branches to 1 and 2, which both end in 3: `first; call`."""
    return [
        ([insn(0, "je")], [2, 1], []),
        ([insn(2, "push"), insn(4, "jmp")], [3], [0]),
        ([insn(6, "push")], [3], [0]),
        ([insn(8, first), insn(10, "call")], [], [1, 2]),
    ]


def split(blocks: list[Shape], *, calls: bool) -> list[Joined]:
    return split_tails(blocks, lambda _: True, calls=calls)


def test_a_pop_goes_to_its_pushes() -> None:
    blocks = merged("pop")
    joined = split(blocks, calls=False)
    assert [one.before.address for one in joined] == [2, 6]
    assert [i.mnemonic for i in blocks[1][0]] == ["push", "pop", "call"]
    assert blocks[1][1] == blocks[2][1] == []
    assert blocks[3][2] == []


def test_copies_have_places_of_their_own() -> None:
    blocks = merged("pop")
    split(blocks, calls=False)
    places = [i.address for block in blocks for i in block[0]]
    assert len(places) == len(set(places))
    assert blocks[1][0][0].address == 2  # a block keeps the place that jumps name


def test_calls_are_taken_apart_where_that_is_asked() -> None:
    assert not split(merged("mov"), calls=False)
    assert len(split(merged("mov"), calls=True)) == 2


def test_a_loop_stays() -> None:
    blocks = merged("pop")
    blocks[3][1].append(3)
    blocks[3][2].append(3)
    assert not split(blocks, calls=True)


def moves(*names: str) -> list[Instruction]:
    return [Instruction(100 + 2 * n, 2, "mov", (Reg(name, 64), Imm(n, 64))) for n, name in enumerate(names)]


def test_a_call_with_two_arguments_from_elsewhere_is_taken_apart() -> None:
    for names, is_split in ((("rdi", "rsi"), True), (("rdi", "rbx"), False)):
        blocks = merged("nop")
        for number in (1, 2):
            blocks[number][0][:1] = moves(*names)
        assert bool(split(blocks, calls=False)) == is_split


def test_a_pop_alone_goes_where_its_value_is_added() -> None:
    blocks = merged("pop")
    blocks[3][0][1:] = [Instruction(10, 2, "add", (Reg("rax", 64), Reg("rdx", 64))), insn(12, "ret")]
    assert len(split(blocks, calls=False)) == 2
    assert [i.mnemonic for i in blocks[1][0]] == ["push", "pop"]
    assert [i.mnemonic for i in blocks[3][0]] == ["add", "ret"]
    assert blocks[3][2] == [1, 2]
