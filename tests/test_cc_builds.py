"""`irwright cc` in wrappers, statistics and real build systems."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from wrapped import EXAMPLES, Ended, Wrapped


def test_installed_wrappers_are_compilers(wrapped: Wrapped) -> None:
    command = [sys.executable, "-m", "irwright", "cc", "--install", "bin", "--", str(wrapped.clang)]
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    names = ["bin/clang", "bin/cc", "bin/clang++", "bin/c++"]
    assert (ended.code, ended.out.decode().split()) == (0, names)
    for name, source in zip(names, ("a.c", "b.c", "cpp.cc", "a.c"), strict=True):
        ended = wrapped.run([f"./{name}", "-Oz", "-c", source], wrapped.folder, b"", wrapped.environment())
        assert ended.code == 0, ended
        assert (b"deprecated" in ended.err) == (name == "bin/c++"), "clang++ takes .c as C++ and says so"
    assert all(kind in ("tuned", "kept") for kind in wrapped.kinds())


def test_statistics_of_a_build(wrapped: Wrapped) -> None:
    for words in ("-Oz -c a.c", "-Oz -c a.c", "-Oz -E a.c", "a.o -o a"):
        assert wrapped.cc(*words.split()).code == 0
    command = [sys.executable, "-m", "irwright", "cc", "--stats"]
    stats = wrapped.run([*command, "--json"], wrapped.folder, b"", wrapped.environment())
    data = json.loads(stats.out)
    assert data["compiles"]["hit"] == 1 and data["objects"] == 1
    assert data["passed_through"] == {"only preprocesses or checks": 1, "links": 1}
    assert data["cache_bytes"] > 0
    text = wrapped.run([*command, "--clear", "--clear-cache"], wrapped.folder, b"", wrapped.environment())
    assert b"1 from the cache" in text.out
    data = json.loads(wrapped.run([*command, "--json"], wrapped.folder, b"", wrapped.environment()).out)
    assert data["objects"] == 0 and data["cache_bytes"] == 0


def test_the_log_tells_what_was_done(wrapped: Wrapped) -> None:
    assert wrapped.cc("-Oz", "-c", "b.c", IRWRIGHT_LOG="log.txt").code == 0
    assert wrapped.cc("-Oz", "-E", "b.c", IRWRIGHT_LOG="log.txt").code == 0
    first, second = wrapped.path("log.txt").read_text().splitlines()
    assert " b.c -> b.o in " in first
    assert second.endswith(f"only preprocesses or checks: {wrapped.clang} -Oz -E b.c")


def test_the_older_entry_point_works_too(wrapped: Wrapped) -> None:
    command = [sys.executable, "-c", "from irwright.cli import main; main()", "cc", "--"]
    ended = wrapped.run([*command, str(wrapped.clang), "-Oz", "-c", "b.c"], wrapped.folder, b"", wrapped.environment())
    assert ended == Ended(0, b"", b"")
    ended = wrapped.run(command, wrapped.folder, b"", wrapped.environment())
    assert ended.code == 2
    assert b"name the compiler after --, as in: irwright cc -- clang -Oz -c foo.c" in ended.err


# ------------------------------------------------------------------ build systems


def need(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")


def test_make_builds_the_examples_in_parallel(wrapped: Wrapped) -> None:
    need("make")
    sources = sorted(EXAMPLES.glob("*.c"))[:5]
    names = [source.stem for source in sources]
    for source in sources:
        shutil.copy(source, wrapped.folder)
    wrapped.path("Makefile").write_text(
        f"all: {' '.join(names)}\n%: %.c\n%.o: %.c\n\t$(CC) -Oz -c $<\n%: %.o\n\t$(CC) $< -o $@ -lm\n"
    )
    cc = " ".join(wrapped.command())
    ended = wrapped.run(["make", "-j2", f"CC={cc}"], wrapped.folder, b"", wrapped.environment())
    assert ended.code == 0, ended.err.decode()
    kinds = wrapped.kinds()
    assert kinds.count("pass") == 5 and "failed" not in kinds and len(kinds) == 10
    for name in names:
        assert wrapped.plainly("-Oz", f"{name}.c", "-o", f"{name}.plain", "-lm").code == 0
        runs = [wrapped.run([f"./{name}{end}"], wrapped.folder, b"", os.environ) for end in ("", ".plain")]
        assert runs[0] == runs[1]


@pytest.mark.parametrize("how", ["launcher", "variable"])
def test_cmake_builds_with_it(wrapped: Wrapped, how: str) -> None:
    need("cmake", "make")
    wrapped.path("CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(mini C)\nadd_library(b SHARED b.c)\n"
        "add_executable(program a.c)\ntarget_link_libraries(program b)\n"
    )
    launch = ";".join(wrapped.command()[:-1])
    environment, words = wrapped.environment(CC=str(wrapped.clang)), [f"-DCMAKE_C_COMPILER_LAUNCHER={launch}"]
    if how == "variable":
        environment, words = wrapped.environment(CC=" ".join(wrapped.command())), []
    configure = ["cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=MinSizeRel", *words]
    for command in (configure, ["cmake", "--build", "build"]):
        ended = wrapped.run(command, wrapped.folder, b"", environment)
        assert ended.code == 0, ended.out.decode() + ended.err.decode()
    assert sum(kind in ("tuned", "kept") for kind in wrapped.kinds()) == 2
    assert wrapped.run(["build/program"], wrapped.folder, b"", os.environ).code == 0


def test_meson_builds_with_it(wrapped: Wrapped) -> None:
    need("meson", "ninja")
    wrapped.path("meson.build").write_text("project('mini', 'c')\nexecutable('program', 'a.c', 'b.c')\n")
    environment = wrapped.environment(CC=" ".join(wrapped.command()))
    for command in (["meson", "setup", "build", "--buildtype=minsize"], ["ninja", "-C", "build"]):
        ended = wrapped.run(command, wrapped.folder, b"", environment)
        assert ended.code == 0, ended.out.decode() + ended.err.decode()
    assert sum(kind in ("tuned", "kept") for kind in wrapped.kinds()) == 2
    assert wrapped.run(["build/program"], wrapped.folder, b"", os.environ).code == 0
