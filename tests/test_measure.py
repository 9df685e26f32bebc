"""Sizes equal llvm-size's; gains are what the words say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import AARCH64, SEEDS, Seeds, output_of, tool
from irwright.errors import IrwrightError, LLVMError
from irwright.llvm import clang
from irwright.llvm.builds import Build, Passes
from irwright.llvm.codegen import CodegenLevel, ObjectInfo, Section
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import PROTOCOLS, Sizes, gain, measure_object, protocol, sizes_of
from irwright.passes import oz_pipeline


def llvm_size(data: bytes, folder: Path) -> tuple[int, int, int]:
    """text, data and bss as `llvm-size` prints them."""
    path = folder / "object.o"
    path.write_bytes(data)
    numbers = output_of(tool("llvm-size"), path).decode().splitlines()[1].split()
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def check(data: bytes, folder: Path) -> None:
    sizes = measure_object(data)
    text, initialised, bss = llvm_size(data, folder)
    assert (sizes.text + sizes.rodata + sizes.unwind, sizes.data, sizes.bss) == (text, initialised, bss)
    assert sizes.total == text + initialised


@pytest.mark.parametrize("flags", [[], ["-O0"], ["-ffunction-sections", "-fdata-sections"], ["-g"], ["-m32"]])
def test_sizes_as_llvm_size_adds_them(seeds: Seeds, tmp_path: Path, flags: list[str]) -> None:
    for name in SEEDS:
        check(clang.baseline(seeds.clang, seeds.source(name), flags), tmp_path)


def test_examples_as_llvm_size_adds_them(seeds: Seeds, tmp_path: Path) -> None:
    """Real programs, where the C library's headers are installed."""
    if not Path("/usr/include/stdio.h").exists():
        pytest.skip("no C library headers: apt install libc6-dev")
    examples = sorted((Path(__file__).parents[1] / "examples").glob("*.c"))[:3]
    assert examples
    for source in examples:
        check(clang.baseline(seeds.clang, source, []), tmp_path)


def test_aarch64_sizes_as_llvm_size_adds_them(seeds: Seeds, cross: Toolchain, tmp_path: Path) -> None:
    with WorkerPool(cross.library.path, timeout_seconds=60) as pool:
        for name in SEEDS:
            pool.add_module(name, seeds.bitcode(name, AARCH64), name=name)
            build = Build(steps=(Passes(oz_pipeline(cross.major)),))
            call = Call(operation="compile", module=name, arguments={"build": build, "kind": "obj"})
            check(pool.call(call).unwrap(name), tmp_path)


def section(name: str, size: int, flags: int, kind: int = 1) -> Section:
    return Section(name=name, size=size, flags=flags, kind=kind, offset=0)


def test_every_kind_of_section_has_its_column() -> None:
    info = ObjectInfo(
        sections=(
            section(".text", 1, 2 | 4),
            section(".rodata.str1.1", 10, 2),
            section(".eh_frame", 100, 2),
            section(".data.rel.ro", 1000, 1 | 2),
            section(".bss", 10000, 1 | 2, kind=8),
            section(".debug_info", 100000, 0),
        )
    )
    assert sizes_of(info) == Sizes(text=1, rodata=10, unwind=100, data=1000, bss=10000)
    assert sizes_of(info).total == 1111


def test_no_object_is_an_error() -> None:
    with pytest.raises(LLVMError, match="not a well-formed ELF object: no ELF header"):
        measure_object(b"MZ" + bytes(100))


def test_protocols_by_name() -> None:
    assert list(PROTOCOLS) == ["oz", "paper", "instructions"]
    assert protocol("oz").level is CodegenLevel.DEFAULT
    assert protocol("paper").level is CodegenLevel.NONE
    assert protocol("instructions").counts_instructions
    with pytest.raises(IrwrightError, match=r"^unknown protocol 'o2'; there are oz, paper, instructions$"):
        protocol("o2")


def test_gain_by_hand() -> None:
    result = gain([(100, 50), (100, 200), (80, 80), (0, 0)])
    assert (result.objects, result.baseline, result.tuned) == (4, 280, 330)
    assert (result.improved, result.regressed, result.unchanged) == (1, 1, 2)
    assert result.percent == pytest.approx(100 * (1 - 330 / 280))
    assert result.geomean_percent == pytest.approx(0.0)
    assert gain([]).percent == gain([]).geomean_percent == 0.0


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1))
def test_gain_counts_add_up(pairs: list[tuple[int, int]]) -> None:
    result = gain(pairs)
    assert result.improved + result.regressed + result.unchanged == len(pairs)
    product = math.prod(t / b for b, t in pairs)
    if 1e-200 < product < 1e200:
        assert result.geomean_percent == pytest.approx(100 * (1 - product ** (1 / len(pairs))))
