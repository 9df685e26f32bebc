"""Traces: what a run loads, compares, stores and is given by callees, against what the source says."""

from __future__ import annotations

from irwright.verify.blocks import find_blocks
from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator
from irwright.verify.image import Externals, Image
from irwright.verify.inputs import ARENA_BASE, Inputs
from irwright.verify.tracing import MAX_EVENTS, Compared, Read, Result, Trace, Tracer
from verify_tools import Compile

SOURCE = """
struct item { int kind; short size; long next; };
int ask(int);
int look(struct item *p, unsigned n) {
    if (p->size == 77) return 1;
    if (n < 10) p->next = 5;
    if (ask(3) > 20) return 2;
    return p->next == 9;
}
"""
ENDLESS = "int wait(volatile int *p) { while (*p != 3) ; return 1; }"


def trace(compile_c: Compile, source: str, name: str, registers: dict[str, int]) -> Trace:
    elf = read_elf(compile_c(source, "-Oz", "-fno-pic"), "object")
    image = Image(elf, Externals([elf]))
    emulator = Emulator(image, signatures=compile_c.signatures(source))
    function = image.functions[name]
    segment = image.segment_at(function.address)
    assert segment is not None
    code = bytes(segment.data[function.address - segment.address :][: function.size])
    blocks = find_blocks(code, function.address, elf.machine)
    names = emulator.machine.names
    values = tuple((names.index(register), value) for register, value in registers.items())
    pokes = ((ARENA_BASE + 4, b"\x4c\x00"), (ARENA_BASE + 8, bytes(8)), (ARENA_BASE, bytes(4)))
    tracer = Tracer(emulator)
    inputs = Inputs(seed=1, registers=values, stack=(), pokes=pokes)
    first = tracer.trace(function, blocks.comparisons, inputs)
    assert tracer.trace(function, blocks.comparisons, inputs).events == first.events
    return first


def test_everything_is_seen(compile_c: Compile) -> None:
    found = trace(compile_c, SOURCE, "look", {"rdi": ARENA_BASE, "rsi": 4})
    reads = [(event.address - ARENA_BASE, event.size, event.value) for event in found.events if isinstance(event, Read)]
    assert (4, 2, 0x4C) in reads
    assert all(offset != 8 for offset, _, _ in reads), "what the run wrote itself is no input"
    compared = [(event.left, event.right) for event in found.events if isinstance(event, Compared)]
    assert (0x4C, 77) in compared
    assert any(left == 4 and right in (9, 10) for left, right in compared)
    (result,) = (event for event in found.events if isinstance(event, Result))
    assert (result.callee, result.bits) == (("ask", 1), 32)
    written = found.writes[ARENA_BASE + 8]
    assert (written.before, written.after[:1], written.was_read) == (bytes(8), b"\x05", False)


def test_a_loop_without_end_is_stopped(compile_c: Compile) -> None:
    found = trace(compile_c, ENDLESS, "wait", {"rdi": ARENA_BASE})
    assert found.cost <= MAX_EVENTS + 2
    assert len(found.counts) == 1
