"""Exceptions pass through lifted functions, and what catches them stays machine code with its tables."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.objects import read_object
from irwright.llvm.toolchain import find
from lifted_programs import kept

PROGRAM = Path(__file__).parent / "programs" / "exceptions.cpp"


@pytest.mark.parametrize("level", ["-O2", "-O0"])
def test_exceptions_pass(level: str, tmp_path: Path) -> None:
    driver, clang = shutil.which("g++"), str(find().need_clang())
    if driver is None:
        pytest.skip("no g++")
    assembly, module, made = tmp_path / "program.s", tmp_path / "lifted.ll", tmp_path / "lifted.o"
    subprocess.run([driver, "-w", level, "-S", str(PROGRAM), "-o", str(assembly)], check=True)
    result = disassemble(assembly, settings=LiftSettings(budget=1, verify=False))
    assert "landing pads for exceptions" in kept(result).values()
    module.write_text(result.ir)
    lower = ["-x", "ir", "-Oz", "-Xclang", "-disable-llvm-passes"]
    subprocess.run([clang, "-w", *lower, "-c", str(module), "-o", str(made)], check=True)
    outputs: list[bytes] = []
    for source in (assembly, made):
        subprocess.run([driver, str(source), "-o", str(tmp_path / "program")], check=True)
        outputs.append(subprocess.run([tmp_path / "program"], capture_output=True, check=True).stdout)
    assert outputs[0] == outputs[1]


def test_frame_instructions_stand_where_they_did(tmp_path: Path) -> None:
    text = ".globl f\n.type f,@function\nf:\n.cfi_startproc\n\tpushq\t%rbx\n.cfi_def_cfa_offset 16\n"
    text += ".cfi_offset %rbx, -16\n"
    text += "\tcpuid\n\tpopq\t%rbx\n.cfi_def_cfa_offset 8\n\tretq\n.cfi_endproc\n.size f, .-f\n"
    source = tmp_path / "f.s"
    source.write_text(text)
    clang = str(find().need_clang())
    subprocess.run([clang, "-c", str(source), "-o", str(tmp_path / "f.o")], check=True)
    (one,) = read_object((tmp_path / "f.o").read_bytes(), "f.o").unwinding.values()
    assert one.steps == [(1, bytes([0x0E, 16, 0x80 | 3, 2])), (4, bytes([0x0E, 8]))]
    module = disassemble(source, settings=LiftSettings(budget=1, verify=False)).ir
    (tmp_path / "f.ll").write_text(module)
    subprocess.run([clang, "-w", "-c", str(tmp_path / "f.ll"), "-o", str(tmp_path / "g.o")], check=True)
    (again,) = read_object((tmp_path / "g.o").read_bytes(), "g.o").unwinding.values()
    assert again.steps == one.steps
