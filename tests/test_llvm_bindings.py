"""The prototypes fit the library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import LLVM
from irwright.llvm import bindings
from irwright.llvm.library import Library


def test_version_is_the_one_of_clang(library: Library, llvm: LLVM) -> None:
    clang = subprocess.run([llvm.toolchain.need_clang(), "--version"], capture_output=True, text=True, check=True)
    assert f"clang version {llvm.toolchain.library.version}" in clang.stdout
    assert bindings.version(library.api) == library.version


def test_every_prototype_is_set(library: Library) -> None:
    for name, (result, arguments) in bindings.PROTOTYPES.items():
        function = getattr(library.api, name)
        assert (function.restype, tuple(function.argtypes)) == (result, arguments), name


def test_newer_functions_are_there_from_their_version_on(llvm: LLVM) -> None:
    script = "import ctypes, sys; lib = ctypes.CDLL(sys.argv[1]); print([hasattr(lib, n) for n in sys.argv[2:]])"
    command = [sys.executable, "-c", script, str(llvm.toolchain.library.path), *bindings.SINCE]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert there.strip() == str([llvm.major >= since for since, _, _ in bindings.SINCE.values()])


def test_backends_are_those_the_library_registers(library: Library) -> None:
    names: list[str] = []
    target = library.api.LLVMGetFirstTarget()
    while target:
        names.append(library.api.LLVMGetTargetName(target).decode())
        target = library.api.LLVMGetNextTarget(target)
    assert "X86" in library.backends
    assert {"x86", "x86-64"} <= set(names)


def test_no_libllvm(tmp_path: Path) -> None:
    path = tmp_path / "libLLVM.so"
    path.write_bytes(b"\x7fELF nonsense")
    with pytest.raises(OSError, match=r"libLLVM\.so"):
        bindings.load(path)


def test_another_library_lacks_the_functions() -> None:
    with pytest.raises(AttributeError, match="LLVM"):
        bindings.load(Path("libc.so.6"))
