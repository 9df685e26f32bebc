"""Basic blocks: where they begin, and which of them run where no exception is thrown."""

from __future__ import annotations

from irwright.verify.blocks import Blocks, find_blocks
from irwright.verify.elf import read_elf
from irwright.verify.image import Externals, Image
from verify_tools import Compile

CALLS = """
struct S { S(int); ~S(); int n; };
int ask(int);
int f(int x) { S s(x); if (x > 3) return ask(s.n) + 1; return s.n; }
"""
SWITCH = """
int a(void), b(void), c(void), d(void), e(void);
int f(int x) { switch (x) { case 0: return a(); case 1: return b() + 1; case 2: return c() * 2; case 3: return d();
                            case 4: return e() - 1; } return x; }
"""


def blocks(compile_c: Compile, text: str, *flags: str, language: str = "c++") -> Blocks:
    elf = read_elf(compile_c(text, *flags, language=language), "x")
    image = Image(elf, Externals([elf]))
    function = next(one for name, one in image.functions.items() if name in ("f", "_Z1fi"))
    segment = image.segment_at(function.address)
    assert segment is not None
    start = function.address - segment.address
    return find_blocks(bytes(segment.data[start : start + function.size]), function.address, elf.machine)


def test_blocks_for_exceptions_are_not_reached(compile_c: Compile) -> None:
    """They are there, and no jump leads to them."""
    found, without = blocks(compile_c, CALLS, "-O1"), blocks(compile_c, CALLS, "-O1", "-fno-exceptions")
    everything = (1 << len(found.starts)) - 1
    assert len(found.starts) > len(without.starts) and found.reached != everything
    assert found.are_covered(found.reached) and not found.are_covered(found.reached & ~1)
    assert without.reached == (1 << len(without.starts)) - 1


def test_where_a_table_leads_is_not_known(compile_c: Compile) -> None:
    found = blocks(compile_c, SWITCH, "-O1", language="c")
    assert len(found.starts) > 5 and found.reached == (1 << len(found.starts)) - 1
