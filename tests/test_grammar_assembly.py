"""Shapes of lines of assembly, whole and begun."""

from __future__ import annotations

import pytest

from irwright.grammar.assembly import is_shaped, line_fault

RIGHT = (
    "f0:",
    ".LBB0_12:",
    "\tretq",
    "\tmovq\t%rdi, -8(%rsp)",
    "\tmovl\t$-1, %eax",
    "\tleaq\t.Lg0(%rip), %rdi",
    "\tmovq\t(%rax,%r14,8), %rdi",
    "\tcallq\tf1@PLT",
    "\tcallq\t*16(%r15)",
    "\tjmpq\t*%rax",
    "\tmovslq\t(%rcx,%rax,4), %rax",
    "\tmovq\tg0@GOTPCREL(%rip), %rax",
    "\tmovq\t%fs:40, %rax",
    "\timull\t$100, %edi, %eax",
    '\t.section\t.rodata.str1.1,"aMS",@progbits,1',
    '\t.asciz\t"a\\"b\\n"',
    "\t.long\t.LBB0_3-.LJTI0_0",
    "\t.long\t0x3f800000",
    "\t.quad\t0x40dfffffffc00000",
    '\t.section\t.text.unlikely.,"ax",@progbits',
)


@pytest.mark.parametrize("text", RIGHT)
def test_lines_of_compilers_are_right_in_every_place(text: str) -> None:
    assert is_shaped(text)
    assert [end for end in range(len(text) + 1) if line_fault(text[:end]) is not None] == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\tmovz\t%eax", 1),
        ("\tmovq\t%raz", 9),
        ("\tmovq\t(%eax)", 8),
        ("sorting:", 0),
        (".LBB0_1: ", 8),
        ("\tretq123", 1),
        ("\t.word\t1", 2),
        ("\t.long\t0xg", 9),
        ("\tmovq\t%rax %rbx", 10),
    ],
)
def test_others_are_wrong_in_their_place(text: str, place: int) -> None:
    assert not is_shaped(text)
    assert line_fault(text) == place
