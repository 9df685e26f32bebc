"""Inputs made from traces: changes of a program that nothing but one value, state or end of a loop can show."""

from __future__ import annotations

import pytest

from irwright.verify.blocks import find_blocks
from irwright.verify.differ import compare_objects
from irwright.verify.directed import Director
from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator
from irwright.verify.image import Externals, Image
from irwright.verify.inputs import ARENA_BASE, Inputs
from irwright.verify.tracing import Trace, Tracer
from verify_tools import Compile

CHANGES = {
    "a number in memory": (
        "int f(const int *p) { return p[5] == 0x12345678; }",
        "0x12345678",
        "0x12345679",
    ),
    "a bound": ("int f(unsigned n, int x) { return n < 0xABCDE ? x : 7; }", "<", "<="),
    "a bound in memory": (
        "struct s { short a; unsigned char len; };\nint f(const struct s *p) { return p->len > 200 ? 1 : 2; }",
        "> 200",
        "> 201",
    ),
    "a character class": ("int f(const char *p) { return p[1] >= 'g' && p[1] <= 't'; }", "'t'", "'u'"),
    "two at once": ("int f(short x, short y) { return x == 3001 && y == -3002; }", "-3002", "-3003"),
    "a bit": ("int f(const unsigned *p, int *q) { if (p[3] & 0x40000) *q = 1; return 0; }", "0x40000", "0xC0000"),
    "what a callee returns": (
        "int g(int);\nint f(int x) { int y = g(x); return y == 12345 ? 1 : 2; }",
        "12345",
        "12346",
    ),
    "a function's address": (
        "int g(void) { return 1; }\nint f(int (**p)(void), int x) { return p[2] == g ? x : -x; }",
        "? x : -x",
        "? -x : -x",
    ),
    "a string": (
        '#include <string.h>\nint f(const char *s) { return strcmp(s, "--verbose") == 0 ? 5 : 6; }',
        "? 5",
        "? 7",
    ),
    "a store over the same": ("void f(int *p) { p[0] = 0; p[1] = 0; p[2] = 0; }", "p[1] = 0;", ""),
    "half of a store": ("void f(int *p, int x) { p[0] = x & 0xFF; }", "p[0]", "*(short *)p"),
    "an extension": ("long f(const int *p) { return p[0]; }", "const int", "const unsigned"),
    "how a format begins": (
        "#include <stdio.h>\nint f(char *s, int x) { char t[9]; snprintf(t, 9, s, x); return *t == '~' ? 5 : 6; }",
        "? 5",
        "? 7",
    ),
    "an error number": ("#include <errno.h>\nint f(void) { return -errno; }", "-errno", "errno"),
    "a block that is not freed": (
        "#include <stdlib.h>\nvoid g(char *);\nvoid f(void) { char *p = malloc(9); if (p) { g(p); free(p); } }",
        "free(p);",
        "",
    ),
    "no memory": (
        "#include <stdlib.h>\nint f(char **q) { char *p = malloc(9); if (!p) return 3; *q = p; return 0; }",
        "return 3",
        "return 4",
    ),
    "an end of input": (
        "#include <unistd.h>\nint f(int d, char *p) { int n = read(d, p, 8); return n < 0 ? 1 : 0; }",
        "< 0",
        "<= 0",
    ),
    "calls before a loop without end": ("void g(int);\nvoid f(int x) { g(x & 3); for (;;) g(x); }", "& 3", "& 1"),
    "a sign behind a bound": (
        "long g(long, int);\n"
        "long f(long a, int n) { return n > 31 ? 0 : n < -31 ? a >> 63 : n < 0 ? g(a, -n) : a << n; }",
        "a >> 63",
        "(unsigned long)a >> 63",
    ),
    "one number twice": (
        "short f(short a, short b) { return a == -32768 && b == -32768 ? 32767 : (a * b) >> 15; }",
        "a == -32768",
        "a == -32767",
    ),
    "a store before a loop without end": ("int g(int);\nvoid f(int *p) { p[1] = 3; for (;;) g(p[0]); }", "= 3", "= 4"),
    "behind a loop": (
        "int f(const char *s) { int n = 0; while (s[n] != 127) n++; return n + 2; }",
        "n + 2",
        "n + 3",
    ),
    "two pointers to one object": (
        "int f(int *p, int *q) { *p = 1; *q = 2; return *p; }",
        "return *p",
        "return 1",
    ),
    "a store that only a callee sees": (
        "void g(void);\nvoid f(int *p) { p[3] = 1; g(); p[3] = 2; }",
        "p[3] = 1; ",
        "",
    ),
    "what a callee leaves in a variable": (
        "int t;\nvoid g(void);\nint f(int x) { if (t != 7) return 1; g(); return t == 9 ? x : 3; }",
        "t == 9 ? x : 3",
        "t == 9 ? 4 : 3",
    ),
    "what a callee leaves in an object": (
        "struct s { int a[9]; };\nvoid g(int);\n"
        "int f(struct s *p) { int n = 0; while (p->a[5] == 77) g(n++); return n > 1 ? 3 : n; }",
        "n > 1 ? 3 : n",
        "n > 1 ? 4 : n",
    ),
    "what a callee writes into a variable on the stack": (
        "int g(long *, int *);\nint f(void) { long a; int b; if (!g(&a, &b)) return 1; return b == 12345 ? 5 : 6; }",
        "12345",
        "12346",
    ),
    "a text on the stack": (
        "void g(const char *, int);\nvoid f(int x) { char t[4] = {'a', 'b', 'c', 0}; t[1] = 'x' + (x & 1); g(t, x); }",
        "x & 1",
        "x & 3",
    ),
    "more calls than before": ("void g(int);\nvoid f(unsigned n) { n &= 7; while (n) g(n--); }", "n--", "n++"),
}


@pytest.mark.parametrize("what", list(CHANGES))
def test_seen(compile_c: Compile, what: str) -> None:
    source, before, after = CHANGES[what]
    assert before in source
    original, reference = compile_c(source, "-Oz"), compile_c(source, "-O0")
    signatures = compile_c.signatures(source)
    for candidate in (source, source.replace(before, after)):
        changed = compile_c(candidate, "-Oz")
        verdict = compare_objects(original, changed, reference=reference, signatures=signatures, functions=["f"])
        assert verdict.different == (candidate != source), str(verdict.functions[0])


def test_depth_by_depth(compile_c: Compile) -> None:
    """Each comparison is reached only through the one before; and the search ends when it has reached them all."""
    body = "".join(f"if (p[{n}] != {1000 + 7 * n}) return {n}; g({n}); " for n in range(7))
    source = f"void g(int);\nint f(const int *p) {{ {body}return 99; }}"
    options = {"-Oz": compile_c(source, "-Oz"), "-O0": compile_c(source, "-O0")}
    verdict = compare_objects(options["-Oz"], options["-O0"], signatures=compile_c.signatures(source))
    assert verdict.equal == 1 and verdict.block_coverage == 1.0, str(verdict.functions[0])


def test_the_same_every_time(compile_c: Compile) -> None:
    source = CHANGES["a character class"][0]
    one, other = (compile_c(source, level) for level in ("-O0", "-Oz"))
    first, again = (compare_objects(one, other, signatures=compile_c.signatures(source)) for _ in range(2))
    assert first == again


def directed(compile_c: Compile, source: str, **registers: int) -> tuple[Director, Trace, Inputs]:
    """What makes inputs of a run of `f`, with arguments by register."""
    elf = read_elf(compile_c(source, "-Oz", "-fno-pic"), "object")
    image = Image(elf, Externals([elf]))
    signatures = compile_c.signatures(source)
    emulator = Emulator(image, signatures=signatures)
    function = image.functions["f"]
    segment = image.segment_at(function.address)
    assert segment is not None
    code = bytes(segment.data[function.address - segment.address :][: function.size])
    blocks = find_blocks(code, function.address, elf.machine)
    names = emulator.machine.names
    values = tuple(sorted((names.index(name), value) for name, value in registers.items()))
    inputs = Inputs(seed=1, registers=values, stack=(), pokes=((ARENA_BASE, bytes(32)),))
    trace = Tracer(emulator).trace(function, blocks.comparisons, inputs)
    return Director(emulator, signatures["f"], blocks), trace, inputs


def test_what_was_not_read_beside_what_was_is_changed(compile_c: Compile) -> None:
    director, trace, inputs = directed(compile_c, "int f(const int *p) { return p[2] == 0 ? 3 : 4; }", rdi=ARENA_BASE)
    beside = director.margins(trace, inputs)
    assert beside is not None
    changed = {place for place, _ in beside.pokes[1:]}
    assert changed == {ARENA_BASE + 4, ARENA_BASE + 12}
    assert all(len(content) == 4 and 0 not in content for _, content in beside.pokes[1:] if isinstance(content, bytes))


def test_comparisons_are_turned_though_both_sides_were_seen(compile_c: Compile) -> None:
    source = "int f(const int *p, int x) { return (p[0] == 81) | (x == 4567) ? p[1] : 3; }"
    director, trace, inputs = directed(compile_c, source, rdi=ARENA_BASE, rsi=5)
    list(director.goals(trace, inputs))
    turned = {(one.key, value) for one, value in director.flips(trace)}
    rsi = dict(inputs.registers)
    assert (ARENA_BASE, 81) in turned
    assert any(key in rsi and value == 4567 for key, value in turned)


def test_sizes_that_no_memory_has_become_small(compile_c: Compile) -> None:
    source = "#include <string.h>\nint f(const void *p, const void *q, size_t n) { return memcmp(p, q, n); }"
    director, trace, inputs = directed(compile_c, source, rdi=ARENA_BASE, rsi=ARENA_BASE, rdx=1 << 40)
    smaller = director.sized(trace, inputs, 1 << 40)
    assert smaller is not None
    assert set(smaller.registers) - set(inputs.registers) and max(v for _, v in smaller.registers[:1]) < 1 << 40
