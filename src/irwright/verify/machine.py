"""What differs between x86-64 and AArch64: registers, the calling convention, what a caller may rely on.

Registers are read and written many at a time with one C call (`RegisterBank`): through Unicorn's Python methods a
register costs 4 us, and a run of a small function touches a hundred.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import unicorn
from unicorn import UC_ARCH_ARM64, UC_ARCH_X86, UC_MODE_64, UC_MODE_ARM, arm64_const, x86_const
from unicorn.unicorn_py3.unicorn import uclib as _uclib  # type: ignore[import-not-found]

from irwright.verify.elf import EM_AARCH64, EM_X86_64

_new: Any = unicorn.Uc  # type: ignore[reportPrivateImportUsage]
library: Any = _uclib
"""Unicorn's C API; calls through it leave out what its Python methods check on every call"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One architecture under the System V or AAPCS64 convention."""

    name: str
    elf_machine: int
    unicorn: tuple[int, int]
    """architecture and mode"""
    registers: tuple[int, ...]
    """of Unicorn, in the order of the bank"""
    names: tuple[str, ...]
    """of the same registers"""
    integer_arguments: tuple[int, ...]
    """positions in the bank"""
    float_arguments: tuple[int, ...]
    integer_results: tuple[int, ...]
    float_results: tuple[int, ...]
    preserved: tuple[int, ...]
    """general registers that a function must restore"""
    preserved_low: tuple[int, ...]
    """vector registers whose low 64 bits it must restore"""
    scratch: tuple[int, ...]
    """what a call may destroy: general and vector registers"""
    vectors: frozenset[int]
    stack_pointer: int
    program_counter: int
    """of Unicorn: it is not in the bank"""
    link: int | None
    """the register of the return address; None: it is on the stack"""
    indirect_result: int | None
    """register of the address of a result in memory, where it is no ordinary argument"""
    control: tuple[tuple[int, int], ...]
    """positions of control registers and their values when a program starts"""
    thread_pointer: int

    def new(self) -> Any:
        """An emulator without memory: a unicorn.Uc."""
        return _new(*self.unicorn)


def _x86_64() -> Machine:
    general = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
    vectors = tuple(f"xmm{n}" for n in range(16))
    others = ("mxcsr", "fpcw", "fptag", "eflags", "fs_base")
    names = (*general, *vectors, *others)
    at = {name: index for index, name in enumerate(names)}
    return Machine(
        name="x86-64",
        elf_machine=EM_X86_64,
        unicorn=(UC_ARCH_X86, UC_MODE_64),
        registers=tuple(getattr(x86_const, f"UC_X86_REG_{name.upper()}") for name in names),
        names=names,
        integer_arguments=tuple(at[name] for name in ("rdi", "rsi", "rdx", "rcx", "r8", "r9")),
        float_arguments=tuple(at[f"xmm{n}"] for n in range(8)),
        integer_results=(at["rax"], at["rdx"]),
        float_results=(at["xmm0"], at["xmm1"]),
        preserved=tuple(at[name] for name in ("rbx", "rbp", "r12", "r13", "r14", "r15")),
        preserved_low=(),
        scratch=tuple(at[name] for name in ("rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", *vectors)),
        vectors=frozenset(at[name] for name in vectors),
        stack_pointer=at["rsp"],
        program_counter=x86_const.UC_X86_REG_RIP,
        link=None,
        indirect_result=None,
        control=((at["mxcsr"], 0x1F80), (at["fpcw"], 0x37F), (at["fptag"], 0xFFFF), (at["eflags"], 0x202)),
        thread_pointer=at["fs_base"],
    )


def _aarch64() -> Machine:
    general = tuple(f"x{n}" for n in range(31))
    vectors = tuple(f"v{n}" for n in range(32))
    names = (*general, "sp", *vectors, "nzcv", "fpcr", "tpidr_el0")
    at = {name: index for index, name in enumerate(names)}
    return Machine(
        name="AArch64",
        elf_machine=EM_AARCH64,
        unicorn=(UC_ARCH_ARM64, UC_MODE_ARM),
        registers=tuple(getattr(arm64_const, f"UC_ARM64_REG_{name.upper()}") for name in names),
        names=names,
        integer_arguments=tuple(at[f"x{n}"] for n in range(8)),
        float_arguments=tuple(at[f"v{n}"] for n in range(8)),
        integer_results=(at["x0"], at["x1"]),
        float_results=(at["v0"], at["v1"], at["v2"], at["v3"]),
        preserved=tuple(at[f"x{n}"] for n in range(19, 30)),
        preserved_low=tuple(at[f"v{n}"] for n in range(8, 16)),
        scratch=tuple(at[f"x{n}"] for n in range(18)) + tuple(at[f"v{n}"] for n in (*range(8), *range(16, 32))),
        vectors=frozenset(at[name] for name in vectors),
        stack_pointer=at["sp"],
        program_counter=arm64_const.UC_ARM64_REG_PC,
        link=at["x30"],
        indirect_result=at["x8"],
        control=((at["nzcv"], 0), (at["fpcr"], 0)),
        thread_pointer=at["tpidr_el0"],
    )


MACHINES = {machine.elf_machine: machine for machine in (_x86_64(), _aarch64())}


class RegisterBank:
    """All registers of a machine as 16-byte slots; `values[2 * n]` is the low half of register n."""

    def __init__(self, uc: Any, machine: Machine) -> None:
        self._handle = uc._uch
        self._count = len(machine.registers)
        self._num_data = 1 + max(*machine.vectors, machine.stack_pointer)
        self._ids = (ctypes.c_int * self._count)(*machine.registers)
        self.values: Any = (ctypes.c_uint64 * (2 * self._count))()
        start = ctypes.addressof(self.values)
        self._pointers = (ctypes.c_void_p * self._count)(*(start + 16 * n for n in range(self._count)))
        self._pc = ctypes.c_uint64()
        self._pc_id = machine.program_counter

    def read(self) -> None:
        """Take all registers from the emulator."""
        library.uc_reg_read_batch(self._handle, self._ids, self._pointers, self._count)

    def write(self) -> None:
        """Give all registers to the emulator."""
        library.uc_reg_write_batch(self._handle, self._ids, self._pointers, self._count)

    def write_data(self) -> None:
        """Give general and vector registers to the emulator, and leave control registers alone."""
        library.uc_reg_write_batch(self._handle, self._ids, self._pointers, self._num_data)

    def program_counter(self) -> int:
        library.uc_reg_read(self._handle, self._pc_id, ctypes.byref(self._pc))
        return self._pc.value

    def __getitem__(self, position: int) -> int:
        """The low 64 bits of a register."""
        return self.values[2 * position]

    def __setitem__(self, position: int, value: int) -> None:
        self.values[2 * position] = value & 0xFFFFFFFFFFFFFFFF

    def wide(self, position: int) -> int:
        """All 128 bits of a vector register."""
        return self.values[2 * position] | self.values[2 * position + 1] << 64

    def set_wide(self, position: int, value: int) -> None:
        self.values[2 * position] = value & 0xFFFFFFFFFFFFFFFF
        self.values[2 * position + 1] = value >> 64 & 0xFFFFFFFFFFFFFFFF
