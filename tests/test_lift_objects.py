"""Objects of clang and gcc: section-relative references, jump tables, cold parts, registers kept across calls."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irwright.errors import InputError
from irwright.lift.assembly import prepare
from irwright.lift.data import Layout
from irwright.lift.decoder import Decoder
from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.equivalence import compare
from irwright.lift.listing import listing
from irwright.lift.objects import read_object
from irwright.lift.tables import find_tables
from irwright.lift.verdicts import LiftResult, Verdict
from irwright.llvm.toolchain import find

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = LiftSettings(budget=1, verify=False)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def compiler(name: str) -> str:
    return str(find().need_clang()) if name == "clang" else name


def run(*command: str | Path) -> bytes:
    done = subprocess.run(command, capture_output=True, check=True)
    return done.stdout


def relinked(made: Path, result: LiftResult) -> bytes:
    """What the lifted program prints."""
    module, program = made.with_suffix(".ll"), made.with_suffix(".lifted")
    module.write_text(result.ir)
    flags = ["-w", "-x", "ir", "-Oz", "-Xclang", "-disable-llvm-passes"]
    run(compiler("clang"), *flags, module, "-x", "none", "-lm", "-o", program)
    return run(program)


def object_of(source: Path, folder: Path, name: str, *flags: str) -> Path:
    made = folder / f"{source.stem}.o"
    run(compiler(name), "-w", *flags, "-c", source, "-o", made)
    return made


@pytest.mark.parametrize(
    ("name", "program", "flags"),
    [
        ("clang", "textfmt", ["-O2"]),
        ("clang", "json", ["-Oz"]),
        pytest.param("gcc", "crc_frames", ["-O2"], marks=needs_gcc),
        pytest.param("gcc", "vm", ["-Os", "-fcf-protection"], marks=needs_gcc),
        pytest.param("gcc", "calc", ["-O2", "-fno-pic"], marks=needs_gcc),
    ],
)
def test_a_lifted_object_does_what_it_did(name: str, program: str, flags: list[str], tmp_path: Path) -> None:
    made = object_of(EXAMPLES / f"{program}.c", tmp_path, name, *flags)
    result = disassemble(made, settings=QUICK)
    run(compiler("clang"), made, "-no-pie", "-lm", "-o", tmp_path / "original")
    assert relinked(made, result) == run(tmp_path / "original")
    assert result.totals["not-lifted"] < len(result.functions) / 3


SECTIONS = r"""
#include <stdio.h>
static int first[4] = {1, 2, 3, 4};
static int second[4] = {5, 6, 7, 8};
static int other = 1;
int shared = 9;
static int zeros[3];
__attribute__((noinline)) static int before(int n) { return second[n - 4] + first[n - 4]; }
__attribute__((noinline)) static void count(int n) { 
  zeros[n]++; shared += n; other += n; first[n] += n; second[n] -= n;
}
int main(int argc, char **argv) {
  for (int n = 0; n < 3; n++) count(n);
  printf("%d %d %d\n", before(argc + 3) + 0 * other, shared, zeros[1]);
  return 0;
}
"""


@pytest.mark.parametrize("name", ["clang", pytest.param("gcc", marks=needs_gcc)])
def test_a_section_with_several_variables_stays_whole(name: str, tmp_path: Path) -> None:
    source = tmp_path / "sections.c"
    source.write_text(SECTIONS)
    result = disassemble(object_of(source, tmp_path, name, "-O2"), settings=QUICK)
    assert relinked(tmp_path / "sections.o", result) == b"6 12 1\n"
    assert "@section.data = private global" in result.ir
    assert "@shared = dso_local alias [4 x i8], ptr " in result.ir
    assert "@first" in result.ir  # a reader sees names, not offsets


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("clang", ["-Oz"]),
        ("clang", ["-O2", "-fPIC", "-ffunction-sections", "-fdata-sections"]),
        pytest.param("gcc", ["-O2", "-fPIC"], marks=needs_gcc),
    ],
)
def test_symbols_of_every_kind(name: str, flags: list[str], tmp_path: Path) -> None:
    """Thread-local, weak, common, hidden, aliases, an indirect function, sections, constructors with priorities."""
    made = object_of(Path(__file__).parent / "lifting" / "symbols.c", tmp_path, name, *flags)
    result = disassemble(made, settings=QUICK)
    run(compiler("clang"), made, "-o", tmp_path / "original")
    assert relinked(made, result) == run(tmp_path / "original")
    symbols = {symbol.name: symbol for symbol in read_object(made.read_bytes(), "made").symbols}
    again = tmp_path / "again.o"
    run(
        compiler("clang"),
        "-w",
        "-x",
        "ir",
        "-Xclang",
        "-disable-llvm-passes",
        "-c",
        made.with_suffix(".ll"),
        "-o",
        again,
    )
    program = read_object(again.read_bytes(), "again")
    for symbol in program.symbols:
        if symbol.name in symbols and symbol.binding != "local":
            assert (symbol.kind, symbol.binding, symbol.visibility) == (
                symbols[symbol.name].kind,
                symbols[symbol.name].binding,
                symbols[symbol.name].visibility,
            )
    sections = {section.name: section for section in program.sections}
    assert sections["my_section"].align == 64
    assert "my_text" in sections


COLD = r"""
#include <stdio.h>
#include <stdlib.h>
__attribute__((cold, noinline)) void fail(const char *why, int n) { printf("%s %d\n", why, n); }
int work(int n, int *values) {
  int sum = 0;
  for (int i = 0; i < n; i++) {
    if (values[i] < 0) { fail("negative", values[i]); sum -= i; continue; }
    switch (values[i]) {
      case 0: sum += 3; break; case 1: sum ^= 9; break; case 2: sum *= 2; break;
      case 3: sum += values[0]; break; case 4: sum -= 7; break; case 5: fail("five", sum); break;
    }
  }
  STAYS
  return sum;
}
int main(void) { int values[] = {0, 1, -4, 2, 3, 4, 5, 77}; printf("%d\n", work(8, values)); return 0; }
"""


@needs_gcc
@pytest.mark.parametrize("stays", ["", '__asm__ volatile("cpuid" ::: "eax", "ebx", "ecx", "edx");'])
def test_cold_parts_and_tables_lifted_or_not(stays: str, tmp_path: Path) -> None:
    source = tmp_path / "cold.c"
    source.write_text(COLD.replace("STAYS", stays))
    made = object_of(source, tmp_path, "gcc", "-O2", "-fno-inline")
    result = disassemble(made, settings=QUICK)
    verdicts = {one.function: one.verdict for one in result.functions}
    assert (verdicts["work"] is Verdict.NOT_LIFTED) == bool(stays)
    run("gcc", made, "-o", tmp_path / "original")
    assert relinked(made, result) == run(tmp_path / "original")


KEEPS = """
.type leaf,@function
leaf:
\tleal\t3(%rdi), %eax
\tretq
.globl f
.type f,@function
f:
\tmovl\t$40, %ecx
\tsubq\t$8, %rsp
\tcallq\tleaf
\taddl\t%ecx, %eax
\taddq\t$8, %rsp
\tretq
"""


def test_registers_that_a_callee_leaves_alone() -> None:
    by_name = {one.function: one for one in disassemble(KEEPS, name="f.s", settings=QUICK).functions}
    assert by_name["f"].verdict is not Verdict.NOT_LIFTED
    stays = KEEPS.replace("\tmovl\t$40, %ecx", "\tcpuid\n\tmovl\t$40, %ecx")
    by_name = {one.function: one for one in disassemble(stays, name="f.s", settings=QUICK).functions}
    assert by_name["leaf"].reason == "f stays machine code and may count on what this leaves alone"
    of_clang = stays + '\n.ident "clang version 22.1.8"\n'
    by_name = {one.function: one for one in disassemble(of_clang, name="f.s", settings=QUICK).functions}
    assert by_name["leaf"].verdict is not Verdict.NOT_LIFTED


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = tmp_path_factory.mktemp("tabled") / "cold.c"
    source.write_text(COLD.replace("STAYS", ""))
    return object_of(source, source.parent, "clang", "-O2").read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(64, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8))
def test_hostile_tables_and_sections(tabled: bytes, changes: list[tuple[int, int]]) -> None:
    """Objects are laid out, their tables found and their functions printed, or there is one line why not."""
    image = bytearray(tabled)
    for at, value in changes:
        image[at % len(image)] = value
    try:
        program = read_object(bytes(image), "hostile.o")
        Decoder(program).decode_all()
        program.tables = find_tables(program)
        layout = Layout(program, set())
        listing(program, layout, layout.inner_names())
    except InputError as error:
        assert "\n" not in str(error)
        return
    for table in program.tables:
        assert 0 <= table.start < table.end <= program.sections[table.section].size
    for found in layout.objects.values():
        assert all(one.start <= one.end <= program.sections[one.section].size for one in found)


PLACES = r"""
static int counter[4]; static char buffer[64]; int other = 3;
void *pick(int x) { return x ? (void *)buffer : (void *)&other; }
char *fill(int n) { for (int i = 0; i < (n & 31); i++) buffer[i] = 'a' + i; buffer[n & 31] = 0; return buffer; }
int *slot(int x) { return &counter[x & 3]; }
"""


@pytest.mark.parametrize("name", ["clang", pytest.param("gcc", marks=needs_gcc)])
def test_places_in_a_section_kept_whole_are_the_same_places(name: str, tmp_path: Path) -> None:
    source = tmp_path / "places.c"
    source.write_text(PLACES)
    made = object_of(source, tmp_path, name, "-O2")
    result = disassemble(made, settings=LiftSettings(budget=1))
    assert {one.verdict for one in result.functions} <= {Verdict.EXACT, Verdict.EQUIVALENT}, result.functions
    wrong = re.sub(r"(= select i1 .*ptr )@section\.bss", r"\1getelementptr (i8, ptr @section.bss, i64 4)", result.ir)
    assert wrong != result.ir
    (tmp_path / "wrong.ll").write_text(wrong)
    run(compiler("clang"), "-w", "-S", "-O1", tmp_path / "wrong.ll", "-o", tmp_path / "wrong.s")
    text = (tmp_path / "wrong.s").read_text().replace(".Lsection.bss", "_$Lsection.bss")
    (tmp_path / "wrong.s").write_text(text)
    run(compiler("clang"), "-c", tmp_path / "wrong.s", "-o", tmp_path / "wrong.o")
    found = compare(made.read_bytes(), (tmp_path / "wrong.o").read_bytes(), wrong, ["pick", "fill"])
    assert {name: kind for name, (kind, _) in found.items()} == {"pick": "different", "fill": "equivalent"}


def lifted_object(text: str, folder: Path) -> LiftResult:
    source, made = folder / "a.s", folder / "a.o"
    source.write_text(text)
    run(compiler("clang"), "-c", source, "-o", made)
    return disassemble(made, settings=LiftSettings(budget=1))


JUMPS = """.text
.globl f
.type f,@function
f:
cmpl $2, %edi
ja .L3
movl %edi, %eax
leaq .LT(%rip), %rcx
movslq (%rcx,%rax,4), %rax
addq %rcx, %rax
jmpq *%rax
.L1:
movl $7, %eax
retq
.L2:
movl $9, %eax
retq
.L3:
xorl %eax, %eax
retq
.Lend:
.size f, .-f
.section .rodata
.p2align 3
.LT:
.long .L1-.LT
.long MIDDLE-.LT
.long .L2-.LT
"""


def test_a_section_that_begins_with_a_jump_table_is_there_all_the_same(tmp_path: Path) -> None:
    more = '.p2align 3\n.Lword: .asciz "word"\n.data\n.globl p\np: .quad .Lword\n.size p, 8\n'
    result = lifted_object(JUMPS.replace("MIDDLE", ".L2") + more, tmp_path)
    assert re.search(r"^@section.rodata = private constant .*word", result.ir, re.MULTILINE)
    assert [one.verdict for one in result.functions] == [Verdict.EQUIVALENT]


def test_entries_of_a_table_behind_the_function_are_for_values_that_never_come(tmp_path: Path) -> None:
    result = lifted_object(JUMPS.replace("MIDDLE", ".Lend"), tmp_path)
    assert [one.verdict for one in result.functions] == [Verdict.EQUIVALENT]


def test_room_for_alignment_belongs_to_no_variable(tmp_path: Path) -> None:
    data = ".data\n.globl a\n.p2align 4\na: .long 5\n.size a, 4\n.p2align 4\n.globl b\nb: .long 6\n.size b, 4\n"
    code = ".text\n.globl f\n.type f,@function\nf: movl a+OFFSET(%rip), %eax\nretq\n.size f, .-f\n"
    for offset, size in ((0, 4), (12, 16)):  # where something reads it, it stays
        result = lifted_object(code.replace("OFFSET", str(offset)) + data, tmp_path)
        assert f"@a = dso_local global [{size} x i8]" in result.ir or f"@a = dso_local global <{{ [{size}" in result.ir


STATICS = """
struct item { int kind; struct item *next; };
static struct item *table[4]; static int depth;
int use(struct item *);
int push(int i, struct item *p) {
    struct item *old = table[i & 3];
    if (old && old->kind == 7) return use(old->next);
    table[i & 3] = p;
    return ++depth;
}
"""


def test_variables_in_a_kept_section_hold_the_same_in_both(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(STATICS)
    made = object_of(tmp_path / "a.c", tmp_path, "clang", "-O2", "-fno-pic")
    result = disassemble(made, settings=LiftSettings(budget=1))
    (push,) = result.functions
    assert "section.bss" in result.ir
    assert push.verdict in (Verdict.EXACT, Verdict.EQUIVALENT), push.reason
    for text, kind in (
        (result.ir, "equivalent"),
        (re.sub(r"store (ptr|i64) %a1", "store i64 0", result.ir), "different"),
    ):
        (tmp_path / "b.ll").write_text(text)
        run(compiler("clang"), "-w", "-O2", "-S", tmp_path / "b.ll", "-o", tmp_path / "b.s")
        (tmp_path / "b.s").write_text(prepare((tmp_path / "b.s").read_text(), "b.s").text)
        run(compiler("clang"), "-c", tmp_path / "b.s", "-o", tmp_path / "b.o")
        found = compare(made.read_bytes(), (tmp_path / "b.o").read_bytes(), result.ir, ["push"])
        assert found["push"][0] == kind, found


def test_internal_visibility_is_no_internal_linkage(tmp_path: Path) -> None:
    code = ".text\n.globl f\n.internal f\n.type f,@function\nf: movl a(%rip), %eax\nretq\n.size f, .-f\n"
    data = ".data\n.globl a\n.internal a\na: .long 5\n.size a, 4\n"
    result = lifted_object(code + data, tmp_path)
    assert "define hidden i32 @f(" in result.ir and "@a = hidden global" in result.ir
