"""What an object offers a linker, compared with pyelftools."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from irwright.errors import LLVMError
from irwright.llvm.toolchain import Toolchain
from irwright.symbols import ALWAYS_THERE, IN_LIBC, may_be_called, read_symbols

SOURCE = """
extern int there(int);
extern __thread int counter;
__attribute__((weak)) int maybe(void) { return 1; }
__attribute__((visibility("hidden"))) int hidden(void) { return 2; }
__thread int own = 3;
int common;
static int local(int x) { return x + there(x); }
int global(int x) { return local(x) + counter + maybe() + hidden(); }
int other(int) __attribute__((alias("global")));
"""

CPP = "template <class T> T twice(T x) { return x + x; }\nint f(int x);\nint use(int x) { return twice(x) + f(x); }\n"


def compiled(tools: Toolchain, folder: Path, source: str, *flags: str, suffix: str = ".c") -> bytes:
    (folder / f"x{suffix}").write_text(source)
    command = [tools.need_clang(), *flags, "-c", f"x{suffix}", "-o", "x.o"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "x.o").read_bytes()


@pytest.mark.parametrize(
    "flags", [("-O0",), ("-Oz", "-fcommon"), ("-m32", "-O0"), ("-Oz", "-ffunction-sections", "-g")]
)
def test_symbols_are_those_of_pyelftools(tools: Toolchain, tmp_path: Path, flags: tuple[str, ...]) -> None:
    data = compiled(tools, tmp_path, SOURCE, *flags)
    table = ELFFile(io.BytesIO(data)).get_section_by_name(".symtab")
    symbols = [symbol for symbol in table.iter_symbols() if symbol["st_info"]["bind"] != "STB_LOCAL"]
    undefined = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF"}
    found = read_symbols(data)
    assert found.undefined == undefined >= {"there", "counter"}
    assert {name for name, _, _ in found.strong} == {symbol.name for symbol in symbols} - undefined
    kinds = {name: (kind, visibility) for name, kind, visibility in found.strong}
    assert kinds["hidden"] == (2, 2) and kinds["own"] == (6, 0) and kinds["other"] == (2, 0)
    assert "local" not in kinds


def test_inline_functions_of_cpp_are_nobody_elses(tools: Toolchain, tmp_path: Path) -> None:
    found = read_symbols(compiled(tools, tmp_path, CPP, "-O0", suffix=".cc"))
    assert found.undefined == {"_Z1fi"}
    assert {name for name, _, _ in found.strong} == {"_Z3usei"}


@given(st.data())
def test_hostile_objects_are_errors(
    tools: Toolchain, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "hostile"
    folder.mkdir(exist_ok=True)
    file = folder / "x.o"
    good = file.read_bytes() if file.exists() else compiled(tools, folder, SOURCE, "-O0")
    damaged = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_symbols(bytes(damaged))
    except LLVMError as error:
        assert "not a well-formed ELF object" in str(error)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"BC\xc0\xde" + bytes(100)])
def test_what_is_no_object_is_an_error(data: bytes) -> None:
    with pytest.raises(LLVMError, match="not a well-formed ELF object: no ELF header"):
        read_symbols(data)


def test_freestanding_code_may_call_what_compilers_always_call() -> None:
    assert may_be_called(["-Wall", "-fPIC"]) == IN_LIBC > ALWAYS_THERE
    for flag in ("-ffreestanding", "-fno-builtin", "-fno-builtin-strlen", "-nostdlib"):
        assert may_be_called(["-Wall", flag]) == ALWAYS_THERE
