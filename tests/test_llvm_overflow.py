"""Signed arithmetic that traps where it overflows, run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from irwright.llvm.codegen import CodegenLevel
from irwright.llvm.compiler import Compiler
from irwright.llvm.overflow import trapping
from irwright.llvm.toolchain import Toolchain
from irwright.verify.differ import compare_objects
from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator, Ending
from irwright.verify.image import Externals, Image
from irwright.verify.inputs import Inputs
from verify_tools import Compile

TEXT = """
int add(int a, int b) { return a + b; }
long times(long a, long b) { return a * b; }
int minus(int a) { return -a; }
unsigned wraps(unsigned a, unsigned b) { return a + b; }
"""
TOP = 0x7FFFFFFF


@pytest.fixture
def compiler(tools: Toolchain) -> Iterator[Compiler]:
    made = Compiler(tools.library.path, state_bytes=64 << 20)
    yield made
    made.context.close()


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("add", (TOP, 1), None),
        ("add", (TOP, -1), TOP - 1),
        ("times", (1 << 40, 1 << 30), None),
        ("times", (-3, 5), -15),
        ("minus", (-TOP - 1, 0), None),
        ("minus", (7, 0), -7),
        ("wraps", (0xFFFFFFFF, 2), 1),
    ],
)
def test_overflow(
    compiler: Compiler, compile_c: Compile, name: str, arguments: tuple[int, int], result: int | None
) -> None:
    compiler.load("x", compile_c.ir(TEXT, "-Xclang", "-disable-O0-optnone").encode(), "x", keep_debug=False)
    elf = read_elf(compiler.reference("x", CodegenLevel.DEFAULT))
    emulator = Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(TEXT))
    positions = emulator.machine.integer_arguments
    registers = tuple((at, value & 2**64 - 1) for at, value in zip(positions, arguments, strict=False))
    run = emulator.run(emulator.image.functions[name], Inputs(seed=0, registers=registers, stack=()))
    if result is None:
        assert run.ending is Ending.TRAPPED, run
    else:
        bits = 64 if name == "times" else 32
        assert run.integers[0] & 2**bits - 1 == result & 2**bits - 1


def test_nothing_signed_nothing_changed() -> None:
    text = b"define i32 @f(i32 %0) {\n  %2 = add nuw i32 %0, 1\n  ret i32 %2\n}\n"
    assert trapping(text) == text
    checked = trapping(text.replace(b"nuw", b"nuw nsw") + b"declare void @llvm.trap()\n")
    assert b"@llvm.sadd.with.overflow.i32(i32 %0, i32 1)" in checked and checked.count(b"declare void @llvm.trap") == 1


def test_code_that_widens_is_no_difference(compiler: Compiler, compile_c: Compile) -> None:
    """A product of ints that becomes a long: in 32 bits it wraps, in 64 it does not; both are right."""
    text = "long f(int a, int b) { return a * b; }"
    original = compile_c(text.replace("a * b", "(int)((unsigned)a * b)"), "-Oz")
    candidate = compile_c(text.replace("a * b", "(long)a * b"), "-Oz")
    compiler.load("x", compile_c.ir(text, "-Xclang", "-disable-O0-optnone").encode(), "x", keep_debug=False)
    signatures = compile_c.signatures(text)
    verdicts = [
        compare_objects(original, candidate, reference=reference, signatures=signatures)
        for reference in (compile_c(text, "-O0"), compiler.reference("x", CodegenLevel.DEFAULT))
    ]
    assert [one.different for one in verdicts] == [1, 0]
