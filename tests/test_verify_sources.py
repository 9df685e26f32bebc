"""Where compared values came from, and what changes them."""

from __future__ import annotations

from irwright.verify.blocks import find_blocks
from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator
from irwright.verify.image import Externals, Image
from irwright.verify.inputs import ARENA_BASE, Inputs
from irwright.verify.sources import Source, Sources, place_of
from irwright.verify.tracing import Tracer
from verify_tools import Compile

SOURCE = """
struct item { int kind; long next; };
int t;
static int hidden = 1;
int ask(int *);
int f(struct item *p, short n) {
    int a = 0, first = t;
    if (ask(&a) == 1) hidden++;
    return p->kind + n + first + t + a + hidden;
}
"""


def found(compile_c: Compile, source: str, *, pointer: int = ARENA_BASE) -> tuple[Sources, Inputs, list[Source]]:
    elf = read_elf(compile_c(source, "-O1", "-fno-pic"), "object")
    emulator = Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(source))
    function = emulator.image.functions["f"]
    segment = emulator.image.segment_at(function.address)
    assert segment is not None
    code = bytes(segment.data[function.address - segment.address :][: function.size])
    blocks = find_blocks(code, function.address, elf.machine)
    names = emulator.machine.names
    registers = tuple(sorted({names.index("rdi"): pointer, names.index("rsi"): 0xABCD00000000FFFF}.items()))
    inputs = Inputs(seed=1, registers=registers, stack=())
    trace = Tracer(emulator).trace(function, blocks.comparisons, inputs)
    sources = Sources(emulator, compile_c.signatures(source)["f"], blocks)
    return sources, inputs, sources.sources(trace, inputs)


def test_all_that_a_run_takes_in(compile_c: Compile) -> None:
    _, _, sources = found(compile_c, SOURCE)
    kinds = {(one.kind, one.key if one.kind in ("memory", "result") else one.bits) for one in sources}
    assert {("memory", ("t", 0)), ("memory", ARENA_BASE), ("result", ("ask", 1)), ("register", 16)} <= kinds
    (again,) = (one for one in sources if one.kind == "effect")
    assert again.effect == (("ask", 1), ("t", 0))
    assert not any("hidden" in str(one.key) for one in sources), "optimisers may know its values"


def test_values_are_put_where_they_came_from(compile_c: Compile) -> None:
    sources, inputs, all_of_them = found(compile_c, SOURCE)
    by_kind = {one.kind: one for one in all_of_them}
    changed = sources.with_value(inputs, by_kind["effect"], 9)
    assert changed.effects == {("ask", 1): ((("t", 0), b"\x09\0\0\0"),)}
    short = next(one for one in all_of_them if one.bits == 16)
    assert isinstance(short.key, int)
    assert dict(sources.with_value(inputs, short, 0x8000).registers)[short.key] & 0xFFFFFFFF == 0xFFFF8000


def test_what_nothing_else_points_at_is_left_to_the_function(compile_c: Compile) -> None:
    source = "void g(void);\nint f(int *restrict p) { int a = p[1]; g(); return a - p[1]; }"
    _, _, with_restrict = found(compile_c, source)
    _, _, without = found(compile_c, source.replace("restrict ", ""))
    assert [one.kind for one in without if one.kind == "effect"] == ["effect"]
    assert not [one for one in with_restrict if one.kind == "effect"]


def test_places_that_must_not_be_changed(compile_c: Compile) -> None:
    sources, _, _ = found(compile_c, SOURCE)
    emulator = sources._emulator  # pyright: ignore[reportPrivateUsage]
    assert place_of(emulator, ARENA_BASE + 5, local=False) == ARENA_BASE + 5
    assert place_of(emulator, emulator.memory.stack_start - 8, local=False) is None
    assert place_of(emulator, emulator.memory.heap.address, local=True) is None
