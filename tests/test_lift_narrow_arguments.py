"""Arguments of 8 and 16 bits, by how callers set them and by how functions use them."""

from __future__ import annotations

from irwright.lift.narrow_arguments import agreed, as_parameter
from lifted_text import lifted


def test_what_all_calls_extend_is_narrow() -> None:
    assert agreed({"z8", "mz8", 255, "given"}) == "z8"
    assert agreed({"s16", -5}) == "s16"
    assert agreed({"mz8"}) == ""  # a byte of memory may be a number of 32 bits as well
    assert agreed({"z8", 256}) == agreed({"z8", "s8"}) == agreed({"z8", ""}) == ""
    assert as_parameter("s16") == ("i16", "signext")


def test_a_byte_that_is_handed_on() -> None:
    body = "pushq %rbx\nmovl %esi, %ebx\ncallq g@PLT\nmovzbl %bl, %edi\npopq %rbx\njmp h@PLT"
    callee = lifted(body).externals["h"]
    assert callee.params == [("rdi", "i8")]
    assert callee.attributes == {0: "zeroext"}
    kept = body.replace("movzbl %bl, %edi", "movl %ebx, %edi")
    assert lifted(kept).externals["h"].params == [("rdi", "i32")]


def test_a_register_that_is_extended_once_and_handed_on_twice() -> None:
    body = "pushq %rbx\nmovswl %si, %ebx\nmovl %ebx, %edi\ncallq h@PLT\nmovl %ebx, %edi\npopq %rbx\njmp h@PLT"
    assert lifted(body).externals["h"].attributes == {0: "signext"}


def test_a_parameter_of_which_a_byte_is_read() -> None:
    first = "movl %esi, %eax\nandl $127, %eax\nmovl %eax, (%rdi)\nshrb $7, %sil\nmovb %sil, 4(%rdi)\nretq"
    signature = lifted(first).functions["f"].signature
    assert signature.params == [("rdi", "ptr"), ("rsi", "i8")]
    assert signature.attributes == {1: "zeroext"}
    itself = "movzbl %sil, %eax\nmovl %eax, (%rdi)\nretq"  # callers had done that
    assert lifted(itself).functions["f"].signature.params[1] == ("rsi", "i32")


def test_an_and_alone_makes_no_byte() -> None:
    body = "movl %esi, %eax\nandl $15, %eax\nmovl %eax, (%rdi)\nretq"
    assert lifted(body).functions["f"].signature.params[1] == ("rsi", "i32")


def widths(body: str) -> list[str]:
    return [ty for name in ("g", "h") for _, ty in lifted(body).externals[name].params]


def test_a_constant_that_one_block_makes_twice_has_two_types() -> None:
    once = "pushq %rbx\npushq $16\npopq %rdi\ncallq g@PLT\n{}\npopq %rbx\njmp h@PLT"
    assert widths(once.format("pushq $16\npopq %rdi")) == ["i64", "i32"]
    assert widths(once.format("pushq $17\npopq %rdi")) == ["i32", "i32"]


def test_a_result_of_32_bits_tells_of_the_constant_before_it() -> None:
    body = "pushq %rbx\nmovl %edi, %ebx\npushq $3\npopq %rdi\ncallq g@PLT\nmovl %ebx, %edi\ncallq h@PLT\n"
    body += "testl %eax, %eax\njne .L1\npushq ${}\npopq %rax\n.L1:\npopq %rbx\nretq"
    assert widths(body.format(3)) == ["i64", "i32"]
    assert widths(body.format(4)) == ["i32", "i32"]
