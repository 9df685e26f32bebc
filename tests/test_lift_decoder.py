"""Instructions of functions: registers by name, relocations at their operands, what can't be decoded as a problem."""

from __future__ import annotations

import pytest

from irwright.lift.decoder import MAX_FUNCTION_BYTES, Decoder, register_by_name
from irwright.lift.disassembler import Disassembler, LiftSettings
from irwright.lift.program import Code, Imm, Mem, Reg
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool


def decoded(body: str) -> Code:
    text = f".text\n.globl f\n.type f,@function\nf:\n{body}\n.size f, .-f\n"
    with WorkerPool(find().library.path, jobs=1) as pool:
        program = Disassembler(pool, LiftSettings()).read(text.encode(), "f.s").program
    (code,) = program.functions
    code.instructions, code.problem = [], ""
    Decoder(program).decode(code)
    return code


def test_relocations_are_at_the_operands_they_belong_to() -> None:
    code = decoded("movq $data, 8(%rdi,%rcx,4)\nmovl other(%rip), %eax\nrep stosb\nretq")
    assert code.problem == ""
    stored, loaded, repeated, _ = code.instructions
    place, value = stored.operands
    assert isinstance(place, Mem) and (place.base, place.index, place.scale, place.disp) == ("rdi", "rcx", 4, 8)
    assert isinstance(value, Imm) and value.ref is not None and value.ref.symbol == "data"
    assert loaded.operands[0] == Reg("rax", 32)
    assert isinstance(loaded.operands[1], Mem) and loaded.operands[1].base == ""
    assert loaded.operands[1].ref is not None and loaded.operands[1].ref.symbol == "other"
    assert (repeated.prefix, repeated.mnemonic) == ("rep", "stosb")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("retq\n.byte 0x06", "bytes that are no instruction at .text+0x1"),
        (".byte 0x06", "bytes that are no instruction at .text+0x0"),
        ("nop\n.byte 0xcc, 0, 0", ""),
        ("movl (%edi), %eax\nretq", "mov eax, dword ptr [edi]: an address of 32 bits"),
        (f".zero {MAX_FUNCTION_BYTES + 1}", f"has more than {MAX_FUNCTION_BYTES} bytes of code"),
        ("", "has no code"),
        ("movq %cr0, %rax\nretq", "mov rax, cr0: register cr0"),
        ("nop\n.long data - .", "a relocation at no operand"),
    ],
)
def test_what_can_not_be_decoded_is_the_problem_of_the_function(body: str, problem: str) -> None:
    assert decoded(body).problem.endswith(problem) if problem else decoded(body).problem == ""


@pytest.mark.parametrize(
    ("name", "register"),
    [
        ("eax", Reg("rax", 32)),
        ("ah", Reg("rax", 8, True)),
        ("sil", Reg("rsi", 8)),
        ("bp", Reg("rbp", 16)),
        ("r10d", Reg("r10", 32)),
        ("r10b", Reg("r10", 8)),
        ("r8", Reg("r8", 64)),
        ("xmm3", Reg("xmm3", 128)),
        ("st(2)", Reg("st2", 80)),
        ("st", Reg("st0", 80)),
    ],
)
def test_registers_by_name(name: str, register: Reg) -> None:
    assert register_by_name(name) == register


def test_registers_that_are_not_lifted() -> None:
    with pytest.raises(ValueError, match="register k1"):
        register_by_name("k1")
