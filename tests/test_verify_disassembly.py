"""Instructions as capstone's own module gives them."""

from __future__ import annotations

import random
from importlib.util import find_spec

import pytest

from irwright.verify.disassembly import (
    ARCH_ARM64,
    ARCH_X86,
    MODE_64,
    MODE_ARM,
    direct,
    disassemble,
    through_module,
)
from irwright.verify.elf import read_elf
from verify_tools import Compile

TEXT = "double f(double *p, int n) { double s = 0; while (n--) s += p[n] * 3; return n > 7 ? s : -s; }"


def test_machine_code_of_a_compiler(compile_c: Compile) -> None:
    elf = read_elf(compile_c(TEXT, "-O2"))
    (code,) = (section.content for section in elf.sections if section.is_code and section.size)
    found = list(disassemble(code, 0x1234000, is_x86=True))
    assert found == list(through_module(ARCH_X86, MODE_64)(code, 0x1234000))
    assert sum(size for _, size, _, _ in found) == len(code)


@pytest.mark.parametrize("kind", [(ARCH_X86, MODE_64), (ARCH_ARM64, MODE_ARM)])
def test_noise(kind: tuple[int, int]) -> None:
    straight = direct(*kind)
    assert straight is not None
    rng = random.Random(kind[0])
    for size in (0, 1, 3, 16, 100, 1000):
        code = rng.randbytes(size)
        assert list(straight(code, 1 << 40)) == list(through_module(*kind)(code, 1 << 40))


def test_without_the_library_of_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_spec("capstone") is not None

    def nowhere(_name: str) -> None:
        return None

    monkeypatch.setattr("irwright.verify.disassembly.find_spec", nowhere)
    assert direct(ARCH_X86, MODE_64) is None
