"""Calls of the driver: flags kept and dropped, and what clang says when it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import SEEDS, Seeds
from irwright.errors import InputError, IRError, SourceError, ToolchainError
from irwright.llvm import clang
from irwright.llvm.codegen import read_object
from irwright.llvm.module import Context


def test_flags_that_irwright_sets_itself_are_dropped() -> None:
    flags = (
        "-O2 -g -c -o out.o -Iinclude -DN=1 -MD -MF x.d -MMD -O -Ofast -flto=thin -std=c99 -emit-llvm -S -march=native"
    )
    assert clang.compiling_flags(flags.split()) == ("-g", "-Iinclude", "-DN=1", "-std=c99", "-march=native")
    assert clang.compiling_flags(["-oout.o", "-save-temps=obj", "-Wall"]) == ("-Wall",)


def test_lowering_needs_no_preprocessor() -> None:
    flags = ["-I", "include", "-DN", "-U", "N", "-include", "x.h", "-isystem", "s", "-Wall", "-g", "-fPIC", "-m32"]
    assert clang.lowering_flags(flags) == ("-fPIC", "-m32")


def test_seed_carries_minsize_and_is_not_optimised(context: Context, seeds: Seeds) -> None:
    module = context.parse(clang.seed_bitcode(seeds.clang, seeds.source("machine"), ["-O3"]))
    text = module.text()
    assert "minsize" in text and "optsize" in text and "optnone" not in text
    assert "alloca" in text


def test_lowered_seed_equals_what_clang_makes_of_it(seeds: Seeds, tmp_path: Path) -> None:
    """The module in a file given to clang by hand: the same object."""
    import subprocess

    data = seeds.bitcode("checksum")
    (tmp_path / "seed.bc").write_bytes(data)
    for optimise, words in ((True, ["-Oz", "-Xclang", "-disable-llvm-passes"]), (False, [])):
        ours = clang.lower(seeds.clang, data, [], name="checksum.c", optimise_codegen=optimise)
        command = [str(seeds.clang), *words, "-c", "seed.bc", "-o", "seed.o"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        theirs = read_object((tmp_path / "seed.o").read_bytes())
        assert read_object(ours).functions == theirs.functions


def test_lowering_to_assembly(seeds: Seeds) -> None:
    assert b"crc32:" in clang.lower(seeds.clang, seeds.bitcode("checksum"), [], name="checksum.c", assembly=True)


def test_baselines_of_a_source_and_of_its_ir_agree(seeds: Seeds, tmp_path: Path) -> None:
    for name in SEEDS:
        path = tmp_path / f"{name}.bc"
        path.write_bytes(seeds.bitcode(name))
        assert read_object(clang.baseline(seeds.clang, path, [])).functions.keys() == (
            read_object(clang.baseline(seeds.clang, seeds.source(name), [])).functions.keys()
        )


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_source_that_does_not_compile(seeds: Seeds, tmp_path: Path) -> None:
    path = write(tmp_path, "bad.c", "int f(void)\n{\n    return oops;\n}\n")
    with pytest.raises(SourceError) as caught:
        clang.seed_bitcode(seeds.clang, path, [])
    assert str(caught.value) == f"{path}: does not compile: use of undeclared identifier 'oops' ({path}:3:12)"
    assert "1 error generated" in caught.value.diagnostics


def test_missing_header_and_missing_file(seeds: Seeds, tmp_path: Path) -> None:
    path = write(tmp_path, "inc.c", '#include "nowhere.h"\n')
    with pytest.raises(SourceError, match=r"does not compile: 'nowhere\.h' file not found \(.*inc\.c:1:10\)"):
        clang.seed_bitcode(seeds.clang, path, [])
    with pytest.raises(SourceError, match="no such file or directory"):
        clang.seed_bitcode(seeds.clang, tmp_path / "absent.c", [])


def test_unknown_flag(seeds: Seeds) -> None:
    with pytest.raises(SourceError, match="does not compile: unknown argument"):
        clang.seed_bitcode(seeds.clang, seeds.source("checksum"), ["--no-such-flag"])


def test_broken_ir_names_its_place(seeds: Seeds, tmp_path: Path) -> None:
    path = write(tmp_path, "bad.ll", "define i32 @f() {\n  ret i32 oops\n}\n")
    with pytest.raises(IRError) as caught:
        clang.baseline(seeds.clang, path, [])
    assert (caught.value.line, caught.value.column) == (2, 11)
    assert str(caught.value) == f"{path}:2:11: clang can't read it: expected value token"


def test_slow_clang_is_ended(tmp_path: Path) -> None:
    slow = write(tmp_path, "clang", "#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(SourceError, match=r"^a\.c: clang takes over 0\.2 s$"):
        clang.seed_bitcode(slow, Path("a.c"), [], timeout_seconds=0.2)


def test_clang_that_does_not_run_or_dies(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"clang does not run: .*; see irwright doctor"):
        clang.seed_bitcode(tmp_path / "clang", Path("a.c"), [])
    dying = write(tmp_path, "dying", "#!/bin/sh\nexit 70\n")
    dying.chmod(0o755)
    with pytest.raises(InputError, match=r"^a\.c: clang ends with code 70$"):
        clang.seed_bitcode(dying, Path("a.c"), [])
