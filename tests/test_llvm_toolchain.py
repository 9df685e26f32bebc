"""What is found, in which order, and what is said when nothing is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from conftest import LLVM, output_of
from irwright.errors import ToolchainError
from irwright.llvm import toolchain
from irwright.llvm.toolchain import DEFAULT_MAJOR, Toolchain, backend_for, find, take_inventory


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IRWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("IRWRIGHT_LLVM", raising=False)
    return tmp_path / "cache"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_default_is_used_before_others(tools: Toolchain) -> None:
    assert tools.major == DEFAULT_MAJOR
    assert tools.clang is not None and tools.clang.major == DEFAULT_MAJOR
    assert tools.clang_lowers


def test_version_is_what_clang_prints(llvm: LLVM) -> None:
    path = llvm.toolchain.need_clang()
    assert f"clang version {llvm.toolchain.library.version}".encode() in output_of(path, "--version")


@pytest.mark.parametrize("part", ["", "bin/clang"])
def test_an_installation_may_be_named_by_folder_or_clang(tools: Toolchain, part: str) -> None:
    folder = tools.need_clang().parent.parent
    named = find(llvm=str(folder / part))
    assert named.library.path.parent.parent == folder
    assert named.clang is not None and named.clang.origin == "named"


def test_a_library_may_be_named(tools: Toolchain) -> None:
    named = find(llvm=str(tools.library.path))
    assert (named.library.path, named.library.origin) == (tools.library.path, "named")


def test_a_relative_name_holds_in_other_folders(tools: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tools.need_clang().parent.parent
    monkeypatch.chdir(folder.parent)
    named = find(llvm=folder.name)
    assert named.library.path.is_absolute()
    assert named.need_clang().is_absolute()


def test_a_version_may_be_named_also_by_the_environment(tools: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(llvm="22").library == tools.library
    monkeypatch.setenv("IRWRIGHT_LLVM", "16")
    with pytest.raises(ToolchainError, match=r"no libLLVM 16 of version 17 or newer found.*; install clang-16"):
        find()


def test_a_target_of_another_backend(cross: Toolchain) -> None:
    assert "AArch64" in cross.library.backends
    assert cross.clang is not None and cross.clang.major == cross.major


def test_a_backend_that_is_missing_is_named(tools: Toolchain, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_default(named: Path | None) -> list[tuple[Path, str]]:
        return [(tools.library.path, "wheel karellen-llvm-core")]

    monkeypatch.setattr(toolchain, "_library_paths", only_default)
    with pytest.raises(ToolchainError) as caught:
        find("riscv64-linux-gnu")
    assert str(caught.value) == (
        "no libLLVM has the RISCV backend for target 'riscv64-linux-gnu'; "
        "pip install 'irwright[targets]', or name one that has with --llvm"
    )


@pytest.mark.parametrize(
    ("target", "backend"),
    [
        ("x86_64-unknown-linux-gnu", "X86"),
        ("i686-linux-gnu", "X86"),
        ("aarch64-linux-gnu", "AArch64"),
        ("arm64", "AArch64"),
        ("armv7a-none-eabi", "ARM"),
        ("thumbv7m-none-eabi", "ARM"),
        ("nvptx64-nvidia-cuda", "NVPTX"),
    ],
)
def test_backends_of_targets(target: str, backend: str) -> None:
    assert backend_for(target) == backend


def test_an_unknown_target() -> None:
    with pytest.raises(ToolchainError, match=r"^unknown target 'pdp11'; known are aarch64, amd64, .* and arm\*$"):
        backend_for("pdp11")


def test_nothing_at_the_named_place(cache: Path) -> None:
    with pytest.raises(
        ToolchainError, match=r"^no LLVM at '/nowhere'; name a folder, a libLLVM or a clang that exists$"
    ):
        find(llvm="/nowhere")


def test_a_named_folder_without_llvm(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"^no libLLVM at '.*' of version 17 or newer found; pip install"):
        find(llvm=str(tmp_path))


def test_what_is_no_library_is_a_problem_not_an_error(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    fake = tmp_path / "lib" / "libLLVM-99.so"
    fake.write_text("not a library")
    old = tmp_path / "lib" / "libLLVM-14.so.1"
    old.write_text("old")
    inventory = take_inventory(str(tmp_path))
    assert not inventory.libraries
    reasons = {
        problem.path.name: problem.reason for problem in inventory.problems if problem.path.parent == fake.parent
    }
    assert reasons["libLLVM-99.so"].startswith("does not load as libLLVM: OSError: ")
    assert reasons["libLLVM-14.so.1"] == "LLVM 14 is older than 17"


def test_clangs_that_do_not_serve(cache: Path, tmp_path: Path) -> None:
    script(tmp_path / "bin" / "clang", "echo not a compiler")
    script(tmp_path / "bin" / "clang-11", "echo clang version 11.0.1")
    script(tmp_path / "bin" / "clang-99", "echo clang version 99.0.1")
    inventory = take_inventory(str(tmp_path))
    assert [clang.version for clang in inventory.clangs if clang.origin == "named"] == ["99.0.1"]
    reasons = {problem.path.name: problem.reason for problem in inventory.problems if problem.path.parent.name == "bin"}
    assert reasons["clang"] == "does not run as clang"
    assert reasons["clang-11"] == "clang 11.0.1 is older than 17"


def test_probes_are_remembered_until_the_file_changes(cache: Path, tmp_path: Path) -> None:
    counter = tmp_path / "runs"
    clang = script(tmp_path / "bin" / "clang", f"echo x >> {counter}; echo clang version 98.0.0")
    for _ in range(2):
        assert take_inventory(str(tmp_path)).clangs[0].version == "98.0.0"
    assert counter.read_text() == "x\n"
    script(clang, f"echo x >> {counter}; echo clang version 99.0.0 - and longer")
    assert take_inventory(str(tmp_path)).clangs[0].version == "99.0.0"


@pytest.mark.parametrize("content", ["{", "[]", "", '{"x": 1}', "\udc80"])
def test_a_damaged_memory_is_no_error(cache: Path, content: str) -> None:
    cache.mkdir()
    (cache / "toolchains.json").write_bytes(content.encode(errors="surrogateescape"))
    assert find().major == DEFAULT_MAJOR
    assert isinstance(json.loads((cache / "toolchains.json").read_text()), dict)


def test_a_cache_that_cant_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("IRWRIGHT_CACHE", str(blocked / "cache"))
    assert find().major == DEFAULT_MAJOR


def test_no_clang_of_the_major(tools: Toolchain) -> None:
    bare = Toolchain(library=tools.library, clang=None, clang_lowers=False)
    with pytest.raises(ToolchainError, match=r"^no clang 22 found for libLLVM 22\.1\.8; .*install"):
        bare.need_clang()


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRWRIGHT_CACHE", "/a")
    assert toolchain.cache_folder() == Path("/a")
    monkeypatch.delenv("IRWRIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert toolchain.cache_folder() == Path("/b/irwright")


def test_description_is_plain_data(tools: Toolchain) -> None:
    described = json.loads(json.dumps(toolchain.describe(tools)))
    assert described["library"]["version"] == tools.library.version
    assert described["clang"]["path"] == str(tools.need_clang())


def test_importing_does_not_look_for_anything() -> None:
    code = "import irwright.llvm.toolchain, sys; print('subprocess.run' in sys.modules, 'pyarrow' in sys.modules)"
    assert output_of(sys.executable, "-c", code).split() == [b"False", b"False"]
