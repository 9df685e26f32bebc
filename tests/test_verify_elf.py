"""Objects as verification reads and lays them out, against pyelftools, and whatever is no object."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Seeds
from irwright.errors import InputError
from irwright.llvm.codegen import CodegenLevel, TargetMachines, emit
from irwright.llvm.library import open_library
from irwright.llvm.toolchain import Toolchain
from irwright.verify.differ import compare_objects
from irwright.verify.elf import read_elf
from irwright.verify.image import EXTERNALS_BASE, IMAGE_BASE, Externals, Image
from irwright.verify.verdicts import Limits, VerdictKind
from verify_tools import Compile

SMALL = Limits(steps=2000, calls=20, run_seconds=0.2, function_seconds=1.0, patience=1)


@pytest.mark.parametrize("name", ["checksum", "machine", "numbers"])
def test_agrees_with_pyelftools(compile_c: Compile, seeds: Seeds, name: str) -> None:
    data = compile_c(seeds.source(name).read_text(), "-Oz")
    ours, theirs = read_elf(data), ELFFile(io.BytesIO(data))
    sections = list(theirs.iter_sections())
    assert [s.name for s in ours.sections] == [s.name for s in sections]
    for mine, other in zip(ours.sections, sections, strict=True):
        assert mine.size == other["sh_size"]
        if mine.is_loaded and mine.content:
            assert mine.content == other.data()
    table = theirs.get_section_by_name(".symtab")
    assert [(s.name, s.value, s.size) for s in ours.symbols] == [
        (s.name, s["st_value"], s["st_size"]) for s in table.iter_symbols()
    ]
    expected = {
        s["sh_info"]: [(r["r_offset"], r["r_info_type"], r["r_info_sym"], r["r_addend"]) for r in s.iter_relocations()]
        for s in sections
        if isinstance(s, RelocationSection)
    }
    for index, relocations in ours.relocations.items():
        assert [(r.offset, r.kind, r.symbol, r.addend) for r in relocations] == expected[index]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.o: is no ELF object"),
        (b"\x7fELF" + bytes(60), "x.o: is no 64-bit little-endian ELF object"),
        (b"\x7fELF\x02\x01" + bytes(10) + b"\x02\0\x3e\0" + bytes(44), "x.o: is no relocatable object; give what"),
        (b"\x7fELF\x02\x01" + bytes(10) + b"\x01\0\x08\0" + bytes(44), "x.o: is for ELF machine 8; x86-64 and"),
        (b"\x7fELF\x02\x01" + bytes(10) + b"\x01\0\x3e\0" + bytes(44), "x.o: is a broken ELF object: section headers"),
        (
            b"\x7fELF\x02\x01"
            + bytes(10)
            + b"\x01\0\x3e\0"
            + bytes(20)
            + b"\xff" * 8
            + bytes(10)
            + b"\x40\0"
            + bytes(4),
            "x.o: is a broken ELF object: section headers past the end of the file",
        ),
    ],
)
def test_what_is_no_object(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_elf(data, "x.o")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_too_large(compile_c: Compile) -> None:
    data = compile_c("char huge[1 << 30]; int f(int n) { return huge[n & 7]; }", "-Oz")
    with pytest.raises(InputError, match=r"^original: needs over 32 MiB of memory$"):
        compare_objects(data, data)


def test_other_machines(compile_c: Compile) -> None:
    data = compile_c("int f(int n) { return n; }", "-Oz")
    other = bytearray(data)
    other[18:20] = b"\xb7\0"
    with pytest.raises(InputError, match=r"^candidate: is for another machine than original$"):
        compare_objects(data, bytes(other))
    with pytest.raises(InputError, match=r"^candidate: has no function 'g' in common with the original$"):
        compare_objects(data, data, functions=["g"])


def test_layout(compile_c: Compile) -> None:
    """Sections do not touch, undefined symbols are where every object has them."""
    data = compile_c("extern int there; int here = 5; int f(int n) { return there + here + n; }", "-O0", "-fno-pic")
    elf = read_elf(data)
    externals = Externals([elf])
    image, moved = Image(elf, externals), Image(elf, externals, shift=5)
    spans = sorted((segment.address, segment.end) for segment in image.segments)
    assert all(IMAGE_BASE <= start < end < EXTERNALS_BASE for start, end in spans)
    assert all(end + 0x1000 <= start for (_, end), (start, _) in itertools.pairwise(spans))
    assert externals.name_at(externals.address("there")) == "there"
    (here,) = image.named_at(image.functions["f"].address)[:1]
    assert here.name == "f"
    distance = moved.functions["f"].address - image.functions["f"].address - 5 * 0x1000
    assert 64 <= distance < 0x1000 and distance % 16 == 0, "the last digits of addresses change too"
    assert image.problems == {}


HOSTILE = """
int printf(const char *, ...); extern int there; static int counter; static const char *names[] = {"a", "b"};
__thread int mine;
int g(int n) { return n > 1 ? g(n - 1) * n : 1; }
int f(int n, char *p) { counter += n; mine = n; there = counter; printf("%d %s\\n", n, names[n & 1]); return p[n & 3]; }
"""


@pytest.fixture(scope="module")
def victim(tools: Toolchain) -> bytes:
    return Compile(tools.need_clang())(HOSTILE, "-O1")


@settings(max_examples=150)
@given(st.data())
def test_flipped_bytes_are_an_error_or_a_verdict(victim: bytes, data: st.DataObject) -> None:
    broken = bytearray(victim)
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        verdict = compare_objects(victim, bytes(broken), seeds=2, limits=SMALL)
        compare_objects(bytes(broken), bytes(broken), seeds=1, limits=SMALL)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert all(function.kind in VerdictKind for function in verdict.functions)


@settings(max_examples=40)
@given(st.data())
def test_cut_objects_are_an_error_or_a_verdict(victim: bytes, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(victim)))
    with pytest.raises(InputError) if size < len(victim) - 64 else pytest.MonkeyPatch.context():
        compare_objects(victim[:size], victim, seeds=1, limits=SMALL)


@pytest.mark.parametrize("name", ["checksum", "machine", "numbers", "vectors"])
def test_aarch64(seeds: Seeds, cross: Toolchain, name: str) -> None:
    """Unoptimised and optimised code of another machine: the same, and a change is seen."""
    from irwright.llvm.module import Context
    from irwright.verify.signatures import signatures_of

    bitcode = seeds.bitcode(name, "aarch64-linux-gnu")
    library = open_library(Path(cross.library.path))
    machines = TargetMachines(library)

    def build(passes: str, level: CodegenLevel) -> bytes:
        with Context(library) as context:
            module = context.parse(bitcode, name=name)
            if passes:
                module.run_passes(passes)
            return emit(module, machines.get(module, level))

    with Context(library) as context:
        text = context.parse(bitcode, name=name).text()
    signatures = signatures_of(text.decode() if isinstance(text, bytes) else text)
    reference, original = build("", CodegenLevel.NONE), build("default<Oz>", CodegenLevel.DEFAULT)
    for passes in ("default<Oz>", "default<O2>"):
        candidate = build(passes, CodegenLevel.DEFAULT)
        verdict = compare_objects(original, candidate, reference=reference, signatures=signatures)
        assert verdict.different == 0, verdict.first_difference
        assert verdict.equal == len(verdict.functions), [str(function) for function in verdict.functions]
    machines.close()


def test_a_symbol_that_claims_more_than_its_section_is_no_variable(compile_c: Compile) -> None:
    data = compile_c("int counter = 1; int next(void) { return counter++; }", "-Oz")
    symbol = re.search(rb"\x11\x00..\x00{8}\x04\x00{7}", data, re.DOTALL)  # a global object of four bytes
    assert symbol is not None
    hostile = data[: symbol.end() - 8] + (1 << 40).to_bytes(8, "little") + data[symbol.end() :]
    verdict = compare_objects(data, hostile, seeds=2)
    assert [one.function for one in verdict.functions] == ["next"]
