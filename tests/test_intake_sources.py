"""What can be put into a corpus: trees, IR, objects, archives, packages; a part that fails costs itself."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from conftest import Run, Seeds
from irwright.corpus.build import build
from irwright.corpus.packages import PackageSpec, work_folder
from irwright.corpus.store import open_corpus
from irwright.errors import CorpusError, InputError
from irwright.intake.sources import Intake, fetched_modules
from irwright.intake.trees import Project, language_of, tree_commands, tree_licence, unpack_sdist
from irwright.lift.archives import members
from irwright.llvm.toolchain import Toolchain, xtc_tool
from verify_tools import Compile

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software."
FILES = {
    "LICENSE": MIT,
    "src/a.c": '#include "n.h"\nint twice(int x) { return x * N; }\n',
    "src/b.cpp": "/* SPDX-License-Identifier: Zlib */\nint thrice(int x) { return x * 3; }\n",
    "src/broken.c": "int broken(void) { return missing; }\n",
    "include/n.h": "#define N 2\n",
    "tests/test.c": "int test(void) { return 1; }\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def intake(tools: Toolchain, tmp_path: Path) -> Intake:
    return Intake(clang=tools.need_clang(), cache=tmp_path / "cache")


def test_a_tree_by_a_guess(tree: Path, intake: Intake) -> None:
    found = list(intake.modules([str(tree)]))
    assert [(m.path, m.language, m.licence) for m in found] == [("src/a.c", "c", "MIT"), ("src/b.cpp", "c++", "Zlib")]
    assert {m.project for m in found} == {"project"} and all(m.data.startswith(b"BC") for m in found)
    assert intake.problems == {"use of undeclared identifier 'missing'": 1}
    assert sorted(path.name for path in tree.rglob("*.bc")) == []


def test_a_tree_by_its_compile_commands(tree: Path, intake: Intake) -> None:
    entries = [
        {"directory": str(tree), "file": "src/a.c", "command": "cc -DN=7 -O3 -Iinclude -DLONGER -c src/a.c"},
        {"directory": str(tree), "file": "src/a.c", "command": "cc -Iinclude -c src/a.c"},
    ]
    (tree / "build").mkdir()
    (tree / "build" / "compile_commands.json").write_text(json.dumps(entries))
    assert [(c.source, c.flags) for c in tree_commands(tree)] == [("src/a.c", ("-Iinclude",))]
    named = Intake(
        clang=intake.clang, flags=("-DX",), project=Project(name="mine", version="2", split="heldout", licence="ISC")
    )
    (found,) = named.modules([str(tree)])
    assert (found.project, found.version, found.split, found.licence) == ("mine", "2", "heldout", "ISC")
    assert found.flags == ("-Iinclude", "-DX")


def test_licences_and_languages_of_trees(tree: Path) -> None:
    assert tree_licence(tree) == "MIT"
    (tree / "LICENSE").unlink()
    assert tree_licence(tree) == ""
    assert [language_of(name) for name in ("a.c", "b/c.cc", "d.C", "e.ll")] == ["c", "c++", "c++", ""]


def test_ir_objects_and_archives(tmp_path: Path, intake: Intake, seeds: Seeds, compile_c: Compile) -> None:
    (tmp_path / "x.bc").write_bytes(seeds.bitcode("checksum"))
    (tmp_path / "one.o").write_bytes(compile_c("int one(int x) { return x + 1; }"))
    (tmp_path / "bad.o").write_bytes(b"no object")
    sources = [str(tmp_path / name) for name in ("x.bc", "one.o", "bad.o")]
    found = list(intake.modules(sources))
    assert [(m.project, m.path) for m in found] == [("x", "x.bc"), ("one", "one.o")]
    assert b"define" in found[1].data and b"@one(" in found[1].data
    assert sum(intake.problems.values()) == 1

    ar = xtc_tool("llvm-ar")
    if ar is None:
        pytest.skip("no llvm-ar")
    (tmp_path / "a name that is longer than sixteen.o").write_bytes((tmp_path / "one.o").read_bytes())
    objects = [str(tmp_path / "one.o"), str(tmp_path / "a name that is longer than sixteen.o")]
    for kind in ("gnu", "bsd"):
        archive = tmp_path / f"{kind}.a"
        subprocess.run([ar, f"--format={kind}", "rcs", archive, *objects], check=True)
        found = members(archive.read_bytes(), "x.a")
        assert [name for name, _ in found] == ["one.o", "a name that is longer than sixteen.o"]
        assert all(content.rstrip(b"\n\0").startswith(b"\x7fELF") for _, content in found)
        assert len(list(intake.modules([str(archive)]))) == 2


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"!<arch>\n" + b"x.o/".ljust(48) + b"ten".ljust(10) + b"`\n", "no size in the member at byte 8"),
        (b"!<arch>\n" + b"x.o/".ljust(48) + b"99".ljust(10) + b"`\n", "the member at byte 8 ends past the end"),
    ],
)
def test_broken_archives_are_named(data: bytes, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        members(data, "x.a")


def test_fetched_packages_bring_their_licences(tmp_path: Path, tools: Toolchain) -> None:
    archives = work_folder(tmp_path) / "archives"
    archives.mkdir(parents=True)
    with tarfile.open(archives / "foo_1.0.orig.tar.xz", "w:xz") as tar:
        for name, text in FILES.items():
            member = tarfile.TarInfo(f"foo-1.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))

    class Here:
        def fetch(self, spec: PackageSpec) -> Path:
            return archives / "foo_1.0.orig.tar.xz"

    spec = PackageSpec(package="foo", version="1.0", role="heldout", build="guess", cxx=True)
    clang = tools.need_clang()
    build([spec], cache=tmp_path, clang=clang, jobs=1, progress=lambda _: None, fetcher=Here())
    found = list(fetched_modules(tmp_path))
    assert [(m.path, m.licence, m.language, m.split) for m in found] == [
        ("src/a.c", "MIT", "c", "heldout"),
        ("src/b.cpp", "Zlib", "c++", "heldout"),
    ]
    assert found[0].origin == "debian:foo"
    (archives / "foo_1.0.orig.tar.xz").unlink()
    assert {m.licence for m in fetched_modules(tmp_path, "foo")} == {""}
    assert not list(fetched_modules(tmp_path, "bar"))


def test_names_that_mean_nothing(intake: Intake, tmp_path: Path) -> None:
    for name in ("nothing-such", "debian:", str(tmp_path / "missing.ll")):
        with pytest.raises(CorpusError, match=r"unknown source '.*'; give a folder, a file \(.ll, .bc, .o, .obj, .s, "):
            list(intake.modules([name]))


def test_a_source_that_is_broken_costs_itself(intake: Intake, tmp_path: Path, tools: Toolchain) -> None:
    broken, whole, gone = tmp_path / "broken.a", tmp_path / "whole.ll", tmp_path / "gone.ll"
    broken.write_bytes(b"!<arch>\n" + b"x.o/".ljust(48) + b"99".ljust(10) + b"`\n")
    for path in (whole, gone):
        path.write_text("define i32 @f(i32 %x) { ret i32 %x }")
    modules = intake.modules([str(broken), str(whole), str(gone)])
    found = next(modules)
    gone.unlink()
    assert [found.path, *(other.path for other in modules)] == ["whole.ll"]
    assert set(intake.problems) == {
        f"{broken.name}: a broken archive: the member at byte 8 ends past the end of the file",
        f"{gone}: can't be read: No such file or directory",
    }
    with pytest.raises(CorpusError, match="unknown source 'nothing-such'"):
        next(intake.modules([str(whole), "nothing-such"]))


def test_what_was_lifted_is_not_lifted_again(intake: Intake, tmp_path: Path) -> None:
    code = tmp_path / "f.s"
    code.write_text(".globl f\n.type f,@function\nf:\n leal 1(%rdi), %eax\n retq\n.size f, .-f\n")
    assert [found.path for found in intake.modules([str(code)])] == ["f.s"]
    again = Intake(clang=intake.clang, known=intake.known)
    assert list(again.modules([str(code)])) == [] and again.num_skipped == 1
    code.write_text(code.read_text().replace("leal 1", "leal 2"))
    assert [found.path for found in again.modules([str(code)])] == ["f.s"]


def test_an_sdist_that_pip_can_not_get(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(CorpusError, match=r"pypi:no-such could not be fetched \(ERROR: No matching"):
        unpack_sdist("no-such", tmp_path, python=str(script))


def test_an_sdist_is_unpacked(tmp_path: Path) -> None:
    """A pip that brings a file of this disk."""
    with tarfile.open(tmp_path / "lz4-4.3.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("lz4-4.3/a.c")
        tar.addfile(member, io.BytesIO())
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nmkdir -p "$9" && cp {tmp_path}/lz4-4.3.tar.gz "$9"\n')
    script.chmod(0o755)
    (tmp_path / "x").mkdir()
    tree, version = unpack_sdist("lz4==4.3", tmp_path / "x", python=str(script))
    assert version == "4.3" and [path.name for path in tree.iterdir()] == ["a.c"]


def test_add_from_the_command_line(irwright: Run, tree: Path, tmp_path: Path) -> None:
    words = ("corpus", "add", tree, "--corpus", tmp_path / "corpus", "-j", "1")
    ended = irwright(*words)
    assert ended.code == 0
    assert "2 modules with 2 functions added, 0 modules were there" in ended.out
    assert "1  use of undeclared identifier 'missing'" in ended.err
    again = irwright(*words)
    assert again.code == 0 and "0 modules with 0 functions added, 2 modules were there" in again.out
    assert "undeclared" not in again.err  # nothing was compiled
    (tree / "src" / "a.c").write_text("int twice(int x) { return x + x; }\n")
    changed = irwright(*words)
    assert "2 modules with 2 functions added" in changed.out and "undeclared" in changed.err
    assert Counter(row["licence"] for row in open_corpus(tmp_path / "corpus").rows()) == {"MIT": 2, "Zlib": 2}
    refused = irwright(*words, "--licence", "MIT")
    assert refused.code == 2 and "name it" in refused.err
