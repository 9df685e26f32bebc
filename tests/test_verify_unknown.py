"""Callees of which nothing is known but the signature: what they are given, return, fill and change."""

from __future__ import annotations

from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator, Run
from irwright.verify.image import Externals, Image
from irwright.verify.inputs import Content, Inputs, Place
from irwright.verify.trace import CallEvent
from verify_tools import Compile


def run(
    compile_c: Compile,
    source: str,
    results: dict[tuple[str, int], int] | None = None,
    effects: dict[tuple[str, int], tuple[tuple[Place, Content], ...]] | None = None,
) -> Run:
    """What `f` does where its callees do this."""
    elf = read_elf(compile_c(source, "-O1", "-fno-pic"), "object")
    emulator = Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(source))
    inputs = Inputs(seed=1, registers=(), stack=(), results=results or {}, effects=effects or {})
    return emulator.run(emulator.image.functions["f"], inputs)


def test_a_callee_writes_where_it_is_told(compile_c: Compile) -> None:
    source = "int t = 1;\nvoid g(void);\nint f(void) { int a = t; g(); a += 10 * t; g(); return a + 100 * t; }"
    assert run(compile_c, source).integers[0] == 111
    seven, two = ((("t", 0), number.to_bytes(4, "little")) for number in (7, 2))
    assert run(compile_c, source, effects={("g", 1): (seven,)}).integers[0] == 771
    assert run(compile_c, source, effects={("g", 1): (seven,), ("g", 2): (two,)}).integers[0] == 271


def test_a_pure_callee_writes_nothing(compile_c: Compile) -> None:
    source = "int t = 1;\nint g(void) __attribute__((pure));\nint f(void) { return t + (g() & 0); }"
    effect = ((("t", 0), bytes(4)),)
    assert run(compile_c, source, effects={("g", 1): effect}).integers[0] & 0xFF == 1


def test_an_object_is_filled_as_told(compile_c: Compile) -> None:
    source = "void g(int *);\nint f(void) { int a = 3; g(&a); return a; }"
    assert run(compile_c, source, results={("g 0+0", 1): 4567}).integers[0] & 0xFFFFFFFF in (3, 4567)
    seen = {run(compile_c, source, results={("g 0+0", 1): value}).integers[0] & 0xFFFFFFFF for value in (41, 42)}
    assert seen == {41, 42}


def test_a_text_on_the_stack_is_seen(compile_c: Compile) -> None:
    source = "void g(const char *);\nvoid f(void) { volatile char t[] = \"ab\"; t[1] = 'x'; g((const char *)t); }"
    (event,) = run(compile_c, source).events
    assert isinstance(event, CallEvent) and event.texts == (b"ax",)
    (event,) = run(compile_c, "void g(char *);\nvoid f(void) { char t[16]; g(t); }").events
    assert isinstance(event, CallEvent) and event.texts == (b"",)
    gap = "void g(char *);\nvoid f(void) { volatile char t[32]; t[0] = 'a'; t[1] = 'b'; t[31] = 0; g((char *)t); }"
    (event,) = run(compile_c, gap).events
    assert isinstance(event, CallEvent) and event.texts == (b"ab",)


def test_what_lies_behind_a_number_is_no_text(compile_c: Compile) -> None:
    """The callee is given a long of eight bytes that are not zero, and the next variable is nothing to it."""
    source = "void g(long *);\nvoid f(void) { volatile long n[2] = {-2, 1}; g((long *)&n[0]); long m = -3; g(&m); }"
    events = run(compile_c, source).events
    assert [event.texts for event in events if isinstance(event, CallEvent)] == [(b"",), (b"",)]
