"""Manifests, canonical hashes, and that nothing leaks between roles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from irwright.corpus.modules import (
    Failure,
    Record,
    hash_ir,
    modules,
    read_manifest,
    read_manifests,
    shared_functions,
    source_hash,
    write_manifest,
)
from irwright.corpus.packages import Role
from irwright.errors import StorageError

IR = """; ModuleID = 'a.c'
source_filename = "a.c"
@.str.1 = private unnamed_addr constant [2 x i8] c"a\\00", align 1

; Function Attrs: minsize nounwind optsize
define dso_local i32 @first(i32 noundef %0) #0 {
  %2 = load i32, ptr @x, align 4, !tbaa !4
  br label %3, !llvm.loop !7

3:                                                ; preds = %3, %1
  ret i32 %2
}

define available_externally i32 @atoi(ptr %0) #1 {
  ret i32 0
}

define internal void @"odd name"() {
  ret void
}

attributes #0 = { minsize }
!4 = !{!5, !5, i64 0}
"""


def make_record(package: str, role: Role, path: str, content: str, **more: object) -> Record:
    values: dict[str, object] = {
        "package": package,
        "version": "1",
        "role": role,
        "path": path,
        "bitcode": f"corpus/{package}/1/{path}.bc",
        "flags": ("-DX",),
        "num_functions": 1,
        "sha256": "0",
        "source_sha256": f"source of {package} {path}",
        "content_sha256": content,
        "functions": (("f", f"function {content}"),),
    }
    return Record(**{**values, **more})  # pyright: ignore[reportArgumentType]


def store(cache: Path, *entries: Record | Failure, package: str, finished: bool = True) -> None:
    folder = cache / "corpus" / package / "1"
    folder.mkdir(parents=True)
    write_manifest(folder / "manifest.jsonl", entries)
    if finished:
        (folder / "build.json").write_text("{}")


def test_manifest_round_trip(tmp_path: Path) -> None:
    entries = [make_record("p", "training", "b.c", "b"), Failure(path="a.c", reason="no")]
    write_manifest(tmp_path / "manifest.jsonl", entries)
    assert read_manifest(tmp_path / "manifest.jsonl") == [entries[1], entries[0]]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"path": "a.c", "reason": "x", "more": 1}'])
def test_broken_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(text)
    with pytest.raises(StorageError, match=r"manifest.jsonl: not a manifest of the corpus \(.*\); build the package"):
        read_manifest(tmp_path / "manifest.jsonl")


def test_modules_are_sorted_and_without_empty_ones(tmp_path: Path) -> None:
    store(tmp_path, make_record("zz", "training", "a.c", "1"), package="zz")
    empty = make_record("aa", "training", "e.c", "2", num_functions=0)
    store(tmp_path, make_record("aa", "training", "b.c", "3"), empty, Failure(path="c.c", reason=""), package="aa")
    store(tmp_path, make_record("mm", "training", "a.c", "4"), package="mm", finished=False)
    found = modules("training", cache=tmp_path)
    assert [(module.package, module.source) for module in found] == [("aa", "b.c"), ("zz", "a.c")]
    assert found[0].bitcode == tmp_path / "corpus/aa/1/b.c.bc"
    assert found[0].flags == ("-DX",)
    assert modules("heldout", cache=tmp_path) == []
    assert modules(None, cache=tmp_path) == found


def test_what_both_roles_hold_is_dropped_from_training(tmp_path: Path) -> None:
    store(
        tmp_path,
        make_record("aaa", "training", "copy.c", "same IR"),
        make_record("aaa", "training", "copy2.c", "other flags", source_sha256="same source"),
        make_record("aaa", "training", "own.c", "own"),
        package="aaa",
    )
    store(
        tmp_path,
        make_record("zzz", "heldout", "a.c", "same IR"),
        make_record("zzz", "heldout", "b.c", "b", source_sha256="same source"),
        package="zzz",
    )
    assert [module.source for module in modules("training", cache=tmp_path)] == ["own.c"]
    assert [module.source for module in modules("heldout", cache=tmp_path)] == ["a.c", "b.c"]


def test_within_a_role_the_first_copy_stays(tmp_path: Path) -> None:
    store(tmp_path, make_record("b", "heldout", "x.c", "same"), package="b")
    store(tmp_path, make_record("a", "heldout", "y.c", "same"), package="a")
    assert [module.package for module in modules("heldout", cache=tmp_path)] == ["a"]


def test_shared_functions_cross_roles_alone(tmp_path: Path) -> None:
    both, one = ("copied", "h1"), ("own", "h2")
    store(tmp_path, make_record("a", "training", "a.c", "1", functions=(both, one)), package="a")
    store(tmp_path, make_record("b", "training", "b.c", "2", functions=(one,)), package="b")
    store(tmp_path, make_record("c", "heldout", "c.c", "3", functions=(("renamed", "h1"),)), package="c")
    assert shared_functions(tmp_path) == {"h1"}
    assert len(read_manifests(tmp_path)) == 3


def test_functions_of_a_module() -> None:
    content, functions = hash_ir(IR)
    assert [name for name, _ in functions] == ["first", "odd name"]
    assert len(content) == 64
    assert len({digest for _, digest in functions}) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [("a.c", "b.c"), ("#0", "#3"), ("!4", "!9"), ("@.str.1", "@.str.7"), ("; preds = %3, %1", "; preds = %1, %3")],
)
def test_hashes_ignore_numbering(old: str, new: str) -> None:
    assert old in IR
    assert hash_ir(IR.replace(old, new)) == hash_ir(IR)


def test_hashes_see_code() -> None:
    content, functions = hash_ir(IR)
    other_content, other_functions = hash_ir(IR.replace("ret i32 %2", "ret i32 0"))
    assert other_content != content
    assert other_functions[0] != functions[0]
    assert other_functions[1] == functions[1]


def test_function_hash_ignores_its_own_name() -> None:
    content, functions = hash_ir(IR)
    other_content, other_functions = hash_ir(IR.replace("@first(", "@second("))
    assert other_content != content
    assert other_functions[0] == ("second", functions[0][1])


def test_source_hash_ignores_comments_and_space() -> None:
    plain = source_hash('int a = 1;\nchar *s = "/* no comment */";')
    assert source_hash('/* licence\n */ int  a = 1; // one\n\nchar *s="/* no comment */";\n') == plain
    assert source_hash('int a = 1;\nchar *s = "";') != plain


def test_manifest_lines_are_sorted_json(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m", [make_record("p", "training", "b.c", "b")])
    [line] = (tmp_path / "m").read_text().splitlines()
    assert list(json.loads(line)) == sorted(json.loads(line))
