"""Compilers are asked once, and again when they changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from irwright.cc.compilers import ASK_AGAIN_SECONDS, Compiler, identify, which
from irwright.llvm.toolchain import Toolchain


def test_the_clang_here_has_its_library(tools: Toolchain, tmp_path: Path) -> None:
    clang = str(tools.need_clang())
    first = identify(clang, str(tmp_path))
    assert first.is_new and not first.problem
    assert first.version.startswith(f"{tools.major}.") and Path(first.library).exists()
    again = identify(clang, str(tmp_path))
    assert not again.is_new
    assert again.identity == first.identity and again.backends == first.backends
    assert identify(clang + "++", str(tmp_path)).identity != first.identity


def fake(path: Path, says: str) -> str:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        (
            "gcc (Debian 12.2.0) 12.2.0",
            "{} is no clang of LLVM (gcc (Debian 12.2.0) 12.2.0): its objects are left as they",
        ),
        ("Apple clang version 15.0.0", "{} is no clang of LLVM (Apple clang version 15.0.0): its objects are left"),
        ("", "{} is no clang of LLVM (no version)"),
        (
            "Debian clang version 16.0.6 (15~deb12u1)",
            "{} is clang 16.0.6, and LLVM 17 is the oldest that can be tuned for: its objects are left as they are",
        ),
        (
            "clang version 99.1.0",
            "no libLLVM 99 for {} 99.1.0: its objects are left as they are; install llvm-99, or pip",
        ),
    ],
)
def test_what_can_not_be_tuned_says_why(tmp_path: Path, says: str, problem: str) -> None:
    path = fake(tmp_path / "cc", says)
    assert identify(path, f"{tmp_path}/memory").problem.startswith(problem.format(path))
    assert not identify(path, f"{tmp_path}/memory").is_new


def test_a_compiler_that_changed_is_asked_again(tmp_path: Path) -> None:
    path = fake(tmp_path / "cc", "gcc 12")
    assert "gcc 12" in identify(path, f"{tmp_path}/memory").problem
    fake(tmp_path / "cc", "gcc 133")
    assert "gcc 133" in identify(path, f"{tmp_path}/memory").problem


def test_a_problem_is_looked_at_again_after_an_hour(tmp_path: Path) -> None:
    path = fake(tmp_path / "cc", "gcc 12")
    identify(path, f"{tmp_path}/memory")
    (memory,) = (tmp_path / "memory").iterdir()
    old = memory.stat().st_mtime - ASK_AGAIN_SECONDS - 1
    os.utime(memory, (old, old))
    assert identify(path, f"{tmp_path}/memory").is_new


@pytest.mark.parametrize("damaged", ["", "irwright-compiler 1\n", "x\n" * 20])
def test_a_damaged_memory_is_asked_again(tmp_path: Path, damaged: str) -> None:
    path = fake(tmp_path / "cc", "gcc 12")
    identify(path, f"{tmp_path}/memory")
    (memory,) = (tmp_path / "memory").iterdir()
    memory.write_text(damaged)
    assert identify(path, f"{tmp_path}/memory").is_new


def test_names_are_found_as_a_shell_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(tmp_path / "mycc", "x")
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}")
    assert which("mycc") == path == which(path)
    assert which("no-such-cc") is None and which(f"{tmp_path}/no") is None


def test_targets_that_are_served() -> None:
    compiler = Compiler("/cc", "", "22.1.8", "/lib", "22.1.8", "X86 ARM", "")
    assert (
        compiler.serves("x86_64-unknown-linux-gnu") and compiler.serves("i686-linux") and compiler.serves("armv7-eabi")
    )
    for target in ("aarch64-linux-gnu", "x86_64-apple-darwin", "x86_64-w64-mingw32", "wasm32", "sparc-linux", ""):
        assert not compiler.serves(target)
