"""What is undefined traps, run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from irwright.llvm.codegen import CodegenLevel
from irwright.llvm.compiler import Compiler
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.undefined import trapping
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
int left(int a, int n) { return a << n; }
unsigned long right(unsigned long a, int n) { return a >> n; }
int apart(int *a, int *b) { return a - b; }
int zeros(int a) { return __builtin_clz(a); }
int trailing(long a, long b) { return __builtin_ctzl(a & b); }
struct s { long n[5]; };
int copies(struct s *a, struct s *b) { *a = *b; return 3; }
int follows(int *a) { return *a & 0; }
struct b { _Bool is; };
int reads(struct b *b) { return b->is + 4; }
"""
PLACE = 0x7E5A12341000
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
        ("left", (3, 32), None),
        ("left", (3, -1), None),
        ("left", (3, 4), 48),
        ("right", (-1, 64), None),
        ("right", (-1, 63), 1),
        ("apart", (PLACE + 8, PLACE), 2),
        ("apart", (PLACE + 5, PLACE), None),
        ("zeros", (0, 0), None),
        ("zeros", (1, 0), 31),
        ("trailing", (3, 4), None),
        ("trailing", (12, 4), 2),
        ("copies", (PLACE, PLACE), 3),
        ("copies", (PLACE, PLACE + 40), 3),
        ("copies", (PLACE + 8, PLACE), None),
        ("copies", (PLACE, PLACE + 32), None),
        ("follows", (PLACE + 8, 0), 0),
        ("follows", (PLACE + 6, 0), None),
        ("reads", (PLACE, 0), None),
        ("reads", (PLACE + 1, 0), 5),
    ],
)
def test_what_is_undefined_traps(
    compiler: Compiler, compile_c: Compile, name: str, arguments: tuple[int, int], result: int | None
) -> None:
    compiler.load("x", compile_c.ir(TEXT, "-O1", "-Xclang", "-disable-llvm-passes").encode(), "x", keep_debug=False)
    elf = read_elf(compiler.reference("x", CodegenLevel.DEFAULT))
    emulator = Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(TEXT))
    positions = emulator.machine.integer_arguments
    registers = tuple((at, value & 2**64 - 1) for at, value in zip(positions, arguments, strict=False))
    run = emulator.run(
        emulator.image.functions[name], Inputs(seed=0, registers=registers, stack=(), pokes=((PLACE, b"\x02\x01"),))
    )
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
