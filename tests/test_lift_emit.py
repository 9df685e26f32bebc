"""How a function's IR is written: what falls through, limits, loads through the linker's tables, where blocks stand."""

from __future__ import annotations

import pytest

from irwright.lift.disassembler import Disassembler, LiftSettings, attributes
from irwright.lift.lifted import LIKELY
from irwright.lift.values import Options
from irwright.lift.variants import Search, Variant
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call, WorkerPool


def emitted(body: str, options: Options) -> str:
    """The IR of one function, its variables as values."""
    text = f".text\n.globl f\n.type f,@function\nf:\n{body}\n.size f, .-f\n"
    with WorkerPool(find().library.path, jobs=1) as pool:
        source = Disassembler(pool, LiftSettings()).read(text.encode(), "f.s")
        search = Search(pool, source.program, source.layout, source.text, 1, attributes(source))
        raw = search.emit("f", Variant(LIKELY, options, "sroa"))
        lowered = pool.call(Call(operation="lower", arguments={"jobs": [(raw, "sroa")]})).unwrap("lower")
        return str(lowered[0].ir)


BRANCH = "cmpl $2, %edi\njae .L1\nmovl $7, (%rsi)\nretq\n.L1:\nmovl $9, (%rsi)\nretq"


def test_what_falls_through_comes_first() -> None:
    assert "label %b1, label %b2\n" in emitted(BRANCH, Options(falls_first=True))
    assert "label %b1, label %b2, !prof " in emitted(BRANCH, Options(weights=True))


def test_a_comparison_that_was_turned_round_moves_the_block() -> None:
    plain = emitted(BRANCH, Options())
    assert plain.index("\nb1:") < plain.index("\nb2:")
    apart = emitted(BRANCH, Options(apart=True))
    assert apart.index("\nb1:") > apart.index("\nb2:")


def test_a_chosen_limit_is_an_intrinsic() -> None:
    limit = "movl %esi, %eax\ncmpl %esi, %edi\ncmovlel %edi, %eax\nretq"
    assert "@llvm.smin.i32(i32 %a0, i32 %a1)" in emitted(limit, Options(falls_first=True))
    assert "select i1" in emitted(limit, Options())


@pytest.mark.parametrize("is_early", [True, False])
def test_loads_through_the_table_are_made_with_the_address(is_early: bool) -> None:
    body = "movq p@GOTPCREL(%rip), %rax\nmovl (%rdi), %ecx\naddl (%rax), %ecx\nmovl %ecx, (%rsi)\nretq"
    text = emitted(body, Options(early_loads=is_early))
    assert (text.index("ptr @p, align 1") < text.index("ptr %a0, align 1")) == is_early


def test_no_load_passes_a_store() -> None:
    body = "movq p@GOTPCREL(%rip), %rax\nmovl %edx, (%rdi)\naddl (%rax), %ecx\nmovl %ecx, (%rsi)\nretq"
    text = emitted(body, Options())
    assert text.index("ptr @p, align 1") > text.index("ptr %a0, align 1")


def test_objects_on_the_stack_live_from_entry_on() -> None:
    body = "subq $24, %rsp\nleaq 8(%rsp), %rdi\ncallq g@PLT\naddq $24, %rsp\nretq"
    assert "call void @llvm.lifetime.start.p0(ptr %frame)" in emitted(body, Options())
    assert "lifetime" not in emitted(body, Options(lifetimes=False))
