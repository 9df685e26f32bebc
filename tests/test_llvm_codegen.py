"""Objects made in memory against those of clang, and our ELF reader against pyelftools and llvm-size."""

from __future__ import annotations

import io
import random
import re
import struct
import time
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import AARCH64, LLVM, SEEDS, Seeds, output_of, tool
from irwright.errors import LLVMError, ToolchainError
from irwright.llvm import clang
from irwright.llvm.builds import Build, Passes
from irwright.llvm.codegen import (
    CodegenLevel,
    FileType,
    FunctionSize,
    ObjectInfo,
    TargetMachines,
    emit,
    read_object,
)
from irwright.llvm.library import Library
from irwright.llvm.module import Context
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, WorkerPool
from irwright.passes import oz_pipeline


def allocated(info: ObjectInfo) -> list[tuple[str, int]]:
    return [(section.name, section.size) for section in info.sections if section.is_allocated]


def build_with(pool: WorkerPool, data: bytes, name: str, major: int, level: CodegenLevel) -> bytes:
    """The object that -Oz in process makes of seed bitcode."""
    pool.add_module(name, data, name=name)
    build = Build(steps=(Passes(oz_pipeline(major)),), level=level)
    reply = pool.call(Call(operation="compile", module=name, arguments={"build": build, "kind": "obj"}))
    pool.drop_module(name)
    return reply.unwrap(name)


class Objects(dict[str, bytes]):
    """Real objects of both targets by `name-target`."""

    def __repr__(self) -> str:
        return "objects"


@pytest.fixture(scope="session")
def objects(tools: Toolchain, seeds: Seeds, cross: Toolchain) -> Objects:
    made = Objects()
    for toolchain, target in ((tools, None), (cross, AARCH64)):
        with WorkerPool(toolchain.library.path, timeout_seconds=60) as pool:
            for name in SEEDS:
                key = f"{name}-{target or 'host'}"
                made[key] = build_with(pool, seeds.bitcode(name, target), key, toolchain.major, CodegenLevel.DEFAULT)
    return made


# ---- against clang


def test_same_object_as_clang(llvm: LLVM, tmp_path: Path) -> None:
    """default<Oz> in process and -Oz code generation give the sections that `clang -Oz -c` gives."""
    with llvm.pool(timeout_seconds=60) as pool:
        for name in SEEDS:
            ours = build_with(pool, llvm.seeds.bitcode(name), name, llvm.major, CodegenLevel.DEFAULT)
            theirs = clang.baseline(llvm.toolchain.need_clang(), llvm.seeds.source(name), [])
            if llvm.major >= 22:
                assert allocated(read_object(ours)) == allocated(read_object(theirs)), name
                assert read_object(ours).functions == read_object(theirs).functions, name
                continue
            # Bitcode does not keep the order of uses, on which a few choices of older LLVMs rest.
            one, other = dict(allocated(read_object(ours))), dict(allocated(read_object(theirs)))
            assert one.pop(".text") == pytest.approx(other.pop(".text"), rel=0.04), name
            assert one == other, name


@pytest.mark.parametrize(
    "flags", [["-fno-pic"], ["-mcmodel=large"], ["-fPIC", "-ffunction-sections"], ["-march=haswell"]]
)
def test_same_object_as_clang_with_flags(tools: Toolchain, seeds: Seeds, pool: WorkerPool, flags: list[str]) -> None:
    """PIC, code model, CPU and sections follow from the module's own flags and attributes."""
    path = tools.need_clang()
    for name in SEEDS:
        data = clang.seed_bitcode(path, seeds.source(name), flags)
        ours = read_object(build_with(pool, data, name, tools.major, CodegenLevel.DEFAULT))
        # -ffunction-sections is the driver's alone, no module flag: clang's own lowering adds it.
        theirs = read_object(clang.baseline(path, seeds.source(name), [f for f in flags if f != "-ffunction-sections"]))
        assert allocated(ours) == allocated(theirs), name


def test_default_oz_as_text_lacks_the_slp_vectorizer_of_clang(tools: Toolchain, seeds: Seeds, pool: WorkerPool) -> None:
    """LLVM's parser of `default<Oz>` switches it off, clang does not: a list that wants it has to name it."""
    path, source = tools.need_clang(), seeds.source("vectors")
    ours = read_object(build_with(pool, seeds.bitcode("vectors"), "vectors", tools.major, CodegenLevel.DEFAULT))
    with_slp, without = (read_object(clang.baseline(path, source, flags)) for flags in ([], ["-fno-slp-vectorize"]))
    assert allocated(ours) == allocated(without)
    assert with_slp.functions["shift"].code < ours.functions["shift"].code
    named = Build(steps=(Passes(f"{oz_pipeline(tools.major)},function(slp-vectorizer,instcombine)"),))
    pool.add_module("vectors", seeds.bitcode("vectors"), name="vectors.c")
    info = pool.call(Call(operation="evaluate", module="vectors", arguments={"build": named})).value.info
    pool.drop_module("vectors")
    assert info.functions["shift"].code == with_slp.functions["shift"].code


STARTUP = """
struct Noted { int v; Noted(int v); ~Noted(); };
int order[8], count;
Noted::Noted(int v) : v(v) { __asm__ volatile("" ::: "memory"); order[count++] = v; }
Noted::~Noted() { order[--count] = -v; }
inline Noted shared(1);
template <int N> struct Held { static Noted one; };
template <int N> Noted Held<N>::one(N);
Noted first(2), *used = &Held<7>::one;
__attribute__((constructor(150))) static void early() { __asm__ volatile("" ::: "memory"); order[count++] = 3; }
__attribute__((destructor(160))) static void late() { order[0] = 9; }
int main() { return shared.v + used->v + count != 12; }
"""


def test_startup_code_stands_where_clang_puts_it(llvm: LLVM, tmp_path: Path) -> None:
    """The C API can't ask for .init_array: left alone, LLVM would emit .ctors, which run in another order."""
    source = tmp_path / "startup.cpp"
    source.write_text(STARTUP)
    driver = llvm.toolchain.need_clang()
    with llvm.pool() as pool:
        pool.add_module("m", clang.seed_bitcode(driver, source, ()), name="startup.cpp")
        arguments = {"build": Build(steps=(Passes(oz_pipeline(llvm.major)),)), "kind": "obj"}
        ours = pool.call(Call(operation="compile", module="m", arguments=arguments)).unwrap("startup.cpp")

    def startup(data: bytes) -> list[tuple[str, str, int, int]]:
        sections = ELFFile(io.BytesIO(data)).iter_sections()
        found = [s for s in sections if "init_array" in s.name or "fini_array" in s.name or "tors" in s.name]
        return sorted((s.name, s["sh_type"], s["sh_flags"], s["sh_size"]) for s in found)

    expected = startup(clang.baseline(driver, source, ()))
    assert {name for name, *_ in expected} >= {".init_array", ".init_array.150", ".rela.init_array"}
    assert startup(ours) == expected


def test_unoptimised_codegen_is_larger(tools: Toolchain, seeds: Seeds, pool: WorkerPool) -> None:
    one, other = (
        read_object(build_with(pool, seeds.bitcode("machine"), "machine", tools.major, level))
        for level in (CodegenLevel.NONE, CodegenLevel.DEFAULT)
    )
    assert one.functions["step"].code > other.functions["step"].code


def test_assembly_is_text(context: Context, library: Library, seeds: Seeds) -> None:
    machines = TargetMachines(library)
    with context.parse(seeds.bitcode("numbers")) as module:
        text = emit(module, machines.get(module, CodegenLevel.DEFAULT), FileType.ASSEMBLY).decode()
    machines.close()
    assert re.search(r"^fibonacci:", text, re.MULTILINE)


def test_target_machines_are_made_once(context: Context, library: Library, seeds: Seeds) -> None:
    machines = TargetMachines(library)
    with context.parse(seeds.bitcode("numbers")) as module:
        machine = machines.get(module, CodegenLevel.DEFAULT)
        assert machines.get(module, CodegenLevel.DEFAULT) == machine
        assert machines.get(module, CodegenLevel.NONE) != machine
        assert machines.data_layout(machine) == module.data_layout
    machines.close()
    machines.close()


def test_no_backend(library: Library) -> None:
    with pytest.raises(ToolchainError, match=r"has no backend for target 'avr' \(it has X86"):
        TargetMachines(library).for_triple("avr", CodegenLevel.DEFAULT)


def test_what_has_no_code_is_an_error(context: Context, library: Library) -> None:
    machines = TargetMachines(library)
    triple = b'target triple = "x86_64-unknown-linux-gnu"\n'
    text = triple + b'define void @f() {\n  call void asm sideeffect "no such instruction", ""()\n  ret void\n}\n'
    with (
        context.parse(text, name="asm.ll") as module,
        pytest.raises(LLVMError, match=r"no code for 'asm\.ll': .*unexpected token in argument list$"),
    ):
        emit(module, machines.get(module, CodegenLevel.DEFAULT))
    machines.close()


# ---- the ELF reader against others


def test_sections_as_pyelftools_reads_them(objects: Objects) -> None:
    for name, data in objects.items():
        elf = ELFFile(io.BytesIO(data))
        theirs = [
            (section.name, section["sh_size"], section["sh_flags"], section["sh_offset"])
            for section in elf.iter_sections()
        ]
        ours = [(section.name, section.size, section.flags, section.offset) for section in read_object(data).sections]
        assert ours == theirs, name


def test_symbol_sizes_as_pyelftools_reads_them(objects: Objects) -> None:
    for name, data in objects.items():
        table = ELFFile(io.BytesIO(data)).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        theirs = {
            symbol.name: symbol["st_size"] for symbol in table.iter_symbols() if symbol["st_info"]["type"] == "STT_FUNC"
        }
        assert theirs
        assert {key: size.code for key, size in read_object(data).functions.items()} == theirs, name


def test_unwind_sizes_as_pyelftools_reads_them(objects: Objects) -> None:
    for name, data in objects.items():
        info = ELFFile(io.BytesIO(data))
        entries = [entry for entry in info.get_dwarf_info().EH_CFI_entries() if "CIE_pointer" in entry.header]
        theirs = sum(entry.header["length"] + 4 for entry in entries)
        ours = sum(size.unwind for size in read_object(data).functions.values())
        assert theirs - ours in (0, 4), name  # what fills up the last one belongs to no function


def test_sections_as_llvm_size_prints_them(objects: Objects, tmp_path: Path) -> None:
    for name, data in objects.items():
        path = tmp_path / f"{name}.o"
        path.write_bytes(data)
        lines = output_of(tool("llvm-size"), "-A", path).decode().splitlines()
        theirs = {line.split()[0]: int(line.split()[1]) for line in lines if re.match(r"\.\S+ +\d+ +\d+", line)}
        ours = {section.name: section.size for section in read_object(data).sections if section.name in theirs}
        assert ours == theirs, name


def test_jump_tables_belong_to_their_function(objects: Objects) -> None:
    for target in ("host", AARCH64):
        functions = read_object(objects[f"machine-{target}"]).functions
        assert functions["step"].data > 0
        assert functions["dispatch"].data > 0
        assert functions["run"].data == 0


def test_data_of_a_jump_table_is_four_bytes_a_case(pool: WorkerPool, seeds: Seeds, tools: Toolchain) -> None:
    info = read_object(build_with(pool, seeds.bitcode("machine"), "machine", tools.major, CodegenLevel.DEFAULT))
    cases = {"dispatch": 6, "describe": 18}
    assert {name: info.functions[name].data for name in cases} == {name: 4 * count for name, count in cases.items()}
    rodata = sum(section.size for section in info.sections if section.name == ".rodata")
    assert sum(size.data for size in info.functions.values()) == rodata


def test_constant_pools_belong_to_their_function(objects: Objects) -> None:
    functions = read_object(objects["numbers-host"]).functions
    assert functions["horner"].data == 8  # 1.732...; `coefficients` has a name
    assert functions["blend"].data == 12
    assert functions["sort"] == FunctionSize(functions["sort"].code, functions["sort"].unwind, 0)
    assert functions["sort"].total == functions["sort"].code + functions["sort"].unwind


# ---- hostile input


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"!<arch>\n" + bytes(100), b"\x7fELF" + bytes(60)])
def test_no_object(data: bytes) -> None:
    with pytest.raises(LLVMError, match="not a well-formed ELF object"):
        read_object(data)


def test_every_truncation_is_refused_or_read(objects: Objects) -> None:
    data = objects["checksum-host"]
    for size in range(0, len(data), 7):
        try:
            read_object(data[:size])
        except LLVMError as error:
            assert str(error).startswith("not a well-formed ELF object: ")


@settings(max_examples=300, deadline=None)
@given(
    which=st.sampled_from([f"{name}-{target}" for name in SEEDS for target in ("host", AARCH64)]),
    seed=st.integers(0, 2**32),
    edits=st.integers(1, 16),
)
def test_mutated_objects_are_refused_or_read(objects: Objects, which: str, seed: int, edits: int) -> None:
    rng = random.Random(seed)
    data = bytearray(objects[which])
    headers = struct.unpack_from("<Q", data, 40)[0]
    for _ in range(edits):
        # Half of the edits hit the headers, where they matter most.
        place = rng.choice((rng.randrange(4, 64), rng.randrange(headers, len(data)), rng.randrange(len(data))))
        data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    started = time.process_time()
    try:
        read_object(bytes(data))
    except LLVMError as error:
        assert "\n" not in str(error)
    assert time.process_time() - started < 2.0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_noise_behind_the_magic(noise: bytes) -> None:
    with pytest.raises(LLVMError):
        read_object(b"\x7fELF\2\1\1" + noise)
