"""Whole files: round trips that run, verdicts, and what bad input gets."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import LLVM
from irwright.cli import cli
from irwright.errors import InputError, IrwrightError
from irwright.lift.assembly import prepare
from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.objects import read_object
from irwright.lift.report import report_page
from irwright.lift.verdicts import Verdict
from irwright.llvm.toolchain import find

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = LiftSettings(budget=1, verify=False)


def clang(*arguments: str) -> None:
    subprocess.run([str(find().need_clang()), "-w", *arguments], check=True)


def lower(ir: str, output: Path) -> None:
    module = output.with_suffix(".ll")
    module.write_text(ir)
    clang("-x", "ir", "-Oz", "-Xclang", "-disable-llvm-passes", str(module), "-x", "none", "-o", str(output))


@pytest.mark.parametrize(
    ("name", "level"), [("hashmap", "-Oz"), ("lzss", "-O2"), ("sha256", "-O2"), ("vm", "-O0"), ("textfmt", "-O0")]
)
def test_a_lifted_program_does_what_it_did(name: str, level: str, tmp_path: Path) -> None:
    assembly = tmp_path / f"{name}.s"
    clang(level, "-S", str(EXAMPLES / f"{name}.c"), "-o", str(assembly))
    result = disassemble(assembly, settings=QUICK)
    lower(result.ir, tmp_path / "lifted")
    clang(str(assembly), "-o", str(tmp_path / "original"))
    runs = [subprocess.run([tmp_path / which], capture_output=True, check=False) for which in ("original", "lifted")]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].returncode == runs[1].returncode
    assert result.totals["not-lifted"] < len(result.functions) / 3


def test_an_object_is_lifted_like_its_text(tmp_path: Path) -> None:
    source = tmp_path / "f.c"
    source.write_text("int f(int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i]; return s; }\n")
    clang("-Oz", "-c", str(source), "-o", str(tmp_path / "f.o"))
    (one,) = disassemble(tmp_path / "f.o", settings=LiftSettings(budget=4, verify=False)).functions
    assert one.verdict is Verdict.EXACT


OF_EVERY_LLVM = """#include <stdarg.h>
int vprintf(const char *, va_list);
void use(char *);
int say(const char *format, ...) { va_list l; va_start(l, format); int n = vprintf(format, l); va_end(l); return n; }
int on_stack(int n) { char bytes[64]; use(bytes); return bytes[n]; }
unsigned bits(unsigned x) { return __builtin_popcount(x) + __builtin_clz(x | 1); }
"""


def test_every_llvm_knows_the_intrinsics(llvm: LLVM, tmp_path: Path) -> None:
    source, assembly = tmp_path / "f.c", tmp_path / "f.s"
    source.write_text(OF_EVERY_LLVM)
    subprocess.run([str(llvm.toolchain.need_clang()), "-Oz", "-S", str(source), "-o", str(assembly)], check=True)
    settings = LiftSettings(budget=1, verify=False, llvm=str(llvm.toolchain.library.path))
    verdicts = {one.function: one.verdict for one in disassemble(assembly, settings=settings).functions}
    assert Verdict.NOT_LIFTED not in verdicts.values(), verdicts


def test_intel_syntax(tmp_path: Path) -> None:
    text = ".intel_syntax noprefix\n.globl f\n.type f,@function\nf:\nmov eax, edi\nadd eax, esi\nret\n"
    (one,) = disassemble(text, settings=QUICK).functions
    assert one.verdict is not Verdict.NOT_LIFTED


def test_an_exact_function_says_so() -> None:
    text = ".globl f\n.type f,@function\nf:\n\tleal\t(%rdi,%rsi), %eax\n\tretq\n"
    result = disassemble(text, name="f.s", settings=QUICK)
    (one,) = result.functions
    assert (one.verdict, one.similarity, one.num_variants) == (Verdict.EXACT, 1.0, 1)
    assert "define dso_local i32 @f(" in one.ir
    assert result.to_json()["totals"]["exact"] == 1
    assert "leal (%rdi,%rsi), %eax" in report_page([result], "f.s")


def test_what_is_not_lifted_stays_machine_code(tmp_path: Path) -> None:
    text = ".globl f\n.type f,@function\nf:\n\tcpuid\n\tmovl\t$7, %eax\n\tretq\n.globl main\n.type main,@function\n"
    text += "main:\n\tpushq\t%rbx\n\tcallq\tf\n\tpopq\t%rbx\n\tretq\n"
    result = disassemble(text, name="f.s", settings=QUICK)
    by_name = {one.function: one for one in result.functions}
    assert by_name["f"].verdict is Verdict.NOT_LIFTED
    assert by_name["f"].reason == "cpuid"
    lower(result.ir, tmp_path / "main")
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 7


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (".globl f\n.type f,@function\nf:\njmp *%rax\n", "rax is read where nothing has set it"),
        (".globl f\n.type f,@function\nf:\nmovl %ebx, %eax\nretq\n", "rbx is read where nothing has set it"),
        (".globl f\n.type f,@function\nf:\nmovl $1, %ebx\nretq\n", "a return with rbx changed"),
        (".globl f\n.type f,@function\nf:\npushq $1\nretq\n", "a return with values left on the stack"),
        (".globl f\n.type f,@function\nf:\naddl $1, %edi\n", "code that runs past its end"),
        (".globl f\n.type f,@function\nf:\nfyl2x\nretq\n", "instruction fyl2x"),
        (".globl f\n.type f,@function\nf:\njmp .+3\nmovl $1, %eax\nretq\n", "a jump into the middle of an instruction"),
        (".globl f\n.type f,@function\nf:\npushq %rax\ncallq *%rdi\nmovl %ecx, %eax\npopq %rdx\nretq\n", "rcx is read"),
    ],
)  # fmt: skip
def test_reasons(text: str, reason: str) -> None:
    (one,) = disassemble(text, name="f.s", settings=QUICK).functions
    assert one.verdict is Verdict.NOT_LIFTED
    assert reason in one.reason


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello world\nthis is prose\n", "is not x86-64 assembly as LLVM reads it"),
        (b"f:\n\tstp\tx29, x30, [sp, #-16]!\n\tbl\tg\n\tret\n", "reads like ARM assembly"),
        (b"\xff\xfe\x00binary", "is neither assembly text nor an ELF object"),
        (b"\x7fELF" + bytes(100), "is no well-formed ELF object"),
        (b"", "has no functions"),
        (b"f:\n\n\tnop\n\tbogus\n", "line 4:2: invalid instruction mnemonic 'bogus'"),
        (b"f:\nmov eax, dword ptr [rdi]\nmovl %eax, %ebx\n", "line 2:16: .*; AT&T and Intel syntax are mixed"),
        (b"!<arch>\n" + b"x" * 60, "a broken archive"),
    ],
)
def test_bad_input_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        disassemble(data, name="input", settings=QUICK)


def test_a_pointer_in_memory_may_be_another_after_a_call(tmp_path: Path) -> None:
    source = tmp_path / "f.c"
    source.write_text(
        "#include <string.h>\nvoid step(char **to) { *to += 3; }\n"
        "__attribute__((noinline)) int f(void (*move)(char **)) {\n"
        '  char text[32] = "abcdef"; char *p = text; move(&p); *p = 0; return (int)strlen(text); }\n'
        "int main(void) { return f(step); }\n"
    )
    clang("-Oz", "-fno-inline", "-S", str(source), "-o", str(tmp_path / "f.s"))
    lower(disassemble(tmp_path / "f.s", settings=QUICK).ir, tmp_path / "lifted")
    assert subprocess.run([tmp_path / "lifted"], check=False).returncode == 3


def test_a_bare_label_is_a_function() -> None:
    (one,) = disassemble("f:\n\tleal\t1(%rdi), %eax\n\tretq\n", name="f.s", settings=QUICK).functions
    assert one.function == "f"
    assert one.verdict is not Verdict.NOT_LIFTED


def test_a_missing_file_and_a_missing_function(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: No such file or directory"):
        disassemble(tmp_path / "none.s")
    with pytest.raises(InputError, match="has no function 'g'; it has f"):
        disassemble("f:\nretq\n.globl f\n", name="f.s", settings=LiftSettings(function="g"))


def test_what_cannot_make_a_round_trip(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.c", "can't be read: No such file or directory"), (tmp_path, "is a folder")):
        ended = CliRunner().invoke(cli, ["roundtrip", str(path)])
        assert isinstance(ended.exception, InputError)
        assert str(ended.exception).startswith(f"{path}: {message}")


def test_objects_that_are_no_input(tmp_path: Path) -> None:
    source = tmp_path / "f.c"
    source.write_text("int main(void) { return 0; }\n")
    clang(str(source), "-o", str(tmp_path / "linked"))
    with pytest.raises(InputError, match="is linked already"):
        disassemble(tmp_path / "linked")
    clang("-c", str(source), "-o", str(tmp_path / "f.o"))
    data = bytearray((tmp_path / "f.o").read_bytes())
    struct.pack_into("<H", data, 18, 183)
    with pytest.raises(InputError, match="holds code for AARCH64"):
        disassemble(bytes(data), name="arm.o")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_objects_give_errors(data: st.DataObject, tmp_path: Path) -> None:
    base = tmp_path / "base.o"
    if not base.exists():
        source = tmp_path / "f.c"
        source.write_text('extern int g(const char *); int f(int x) { return x ? g("a") : 3; }\n')
        clang("-Oz", "-c", str(source), "-o", str(base))
    image = bytearray(base.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        image[data.draw(st.integers(4, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_object(bytes(image[: data.draw(st.integers(0, len(image)))]), "hostile.o")
    except IrwrightError as error:
        assert str(error)


@given(st.text(max_size=200))
def test_preparing_any_text(text: str) -> None:
    try:
        prepared = prepare(text, "x")
    except InputError:
        return
    assert isinstance(prepared.text, str)


def test_the_same_module_whatever_the_hashes_of_strings(tmp_path: Path) -> None:
    source = tmp_path / "f.s"
    body = "cvtsi2sd %eax, %xmm1\n cvtsi2sd %edx, %xmm2\n addsd %xmm1, %xmm0\n addsd %xmm2, %xmm0"
    source.write_text(
        ".globl f\n.type f,@function\nf:\n pushq %rbx\n testl %edi, %edi\n je .L1\n callq g\n jmp .L2\n"
        f".L1:\n callq h\n.L2:\n {body}\n popq %rbx\n retq\n.size f, .-f\n"
    )
    command = [sys.executable, "-m", "irwright", "disassemble", "--no-verify", "--budget", "1", "-o", "-", str(source)]
    modules = {
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in "123"
    }
    assert len(modules) == 1
