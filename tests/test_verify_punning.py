"""Places in memory that are used as two types, in code of clang's."""

from __future__ import annotations

from irwright.verify.differ import compare_objects
from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator
from irwright.verify.image import Externals, Image
from irwright.verify.inputs import Hints, make_inputs
from irwright.verify.machine import MACHINES
from irwright.verify.punning import TypeWatch
from verify_tools import Compile

RECORD = "struct r { long part[4]; int top, more; };"
INDEXED = RECORD + "int f(struct r *r, int i) { r->top = 3; r->part[i & MASK] = 7; return r->top; }"


def test_watch(compile_c: Compile) -> None:
    """Index 4 is where `top` is: bytes may be read as anything, but no long as an int."""
    for mask, punned in (("3", False), ("4 | 4", True)):
        text = INDEXED.replace("MASK", mask)
        elf = read_elf(compile_c(text, "-O0"))
        emulator = Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(text))
        watch = TypeWatch(emulator)
        inputs = make_inputs(2, MACHINES[elf.machine], emulator.signatures["f"], Hints())
        emulator.run(emulator.image.functions["f"], inputs)
        assert watch.is_punned is punned, mask
        watch.restart()
        assert not watch.is_punned


def test_an_index_within_a_record_tells_nothing(compile_c: Compile) -> None:
    """Optimised code may know the int before the store of the long; what differs by that is no difference."""
    text = INDEXED.replace("i & MASK", "i")
    known = text.replace("return r->top", "return 3")
    original, candidate = (compile_c(one, "-Oz", "-fno-strict-aliasing") for one in (text, known))
    signatures, reference = compile_c.signatures(text), compile_c(text, "-O0")
    plain = compare_objects(original, candidate, signatures=signatures)
    watched = compare_objects(original, candidate, reference=reference, signatures=signatures)
    assert (plain.different, watched.different) == (1, 0)
    wrong = compile_c(known.replace("return 3", "return 4"), "-Oz")
    assert compare_objects(original, wrong, reference=reference, signatures=signatures).different == 1


def test_copies_that_every_run_makes_tell_nothing(compile_c: Compile) -> None:
    """clang makes a store of a long and a load of an int of them, though bytes are what the program copies."""
    text = """#include <string.h>
    unsigned f(unsigned char *p, unsigned long n) {
        unsigned x; memcpy(p + 8, &n, 8); memcpy(&x, p + 12, 4); p[0] = 1; return x;
    }"""
    original, wrong = (compile_c(one, "-Oz") for one in (text, text.replace("= 1", "= 2")))
    reference = compile_c(text, "-O0")
    assert compare_objects(original, wrong, reference=reference, signatures=compile_c.signatures(text)).different == 1
