"""What is chosen from a corpus: each content once, held-out code never for training; leaks raise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from corpus_tools import LOOP, corpus_of, found
from irwright.corpus.near import NearIndex, signature
from irwright.corpus.selection import check_leaks, select
from irwright.errors import LeakError
from irwright.llvm.toolchain import Toolchain

MUL, OR = LOOP.replace("OPERATION", "mul"), LOOP.replace("OPERATION", "or")
RENAMED = MUL.replace("@sum", "@total").replace("%t", "%tt")
TINY = "define i32 @one() {\n  ret i32 1\n}"
LONG = "define void @long(ptr %p) {\n" + "".join(f"  store i32 {n}, ptr %p\n" for n in range(150)) + "  ret void\n}\n"


def test_a_copy_of_held_out_code_does_not_train(tmp_path: Path, tools: Toolchain) -> None:
    corpus = corpus_of(
        tmp_path,
        tools,
        found(RENAMED + TINY, project="aaa"),
        found(MUL, project="zzz", split="heldout"),
        found(OR + RENAMED, project="bbb", path="b.c"),
        found(OR.replace("@sum", "@sum2") + OR, project="bbb", path="c.c"),
    )
    chosen = select(corpus, near=None)
    assert [(f.project, f.name, f.split) for f in chosen.functions] == [
        ("zzz", "sum", "heldout"),
        ("bbb", "sum", "train"),
    ]
    assert chosen.dropped == {"copy, held-out project": 2, "copy, same project": 2, "too small": 1}
    assert (chosen.num_seen, chosen.num_distinct) == (7, 3)
    check_leaks(chosen.functions)


def test_nearly_a_copy_counts_as_one(tmp_path: Path, tools: Toolchain) -> None:
    changed = LONG.replace("store i32 30", "store i32 999")
    corpus = corpus_of(tmp_path, tools, found(LONG, split="heldout"), found(changed, project="two"))
    chosen = select(corpus)
    assert [f.project for f in chosen.functions] == ["one"]
    assert chosen.dropped == {"nearly a copy": 1}
    both = select(corpus, near=None).functions
    with pytest.raises(LeakError, match=r"long of two \(training\) is \d+% like long of one \(held out\); make the"):
        check_leaks(both)
    check_leaks(both, near=None)


def test_leaks_raise(tmp_path: Path, tools: Toolchain) -> None:
    functions = select(corpus_of(tmp_path, tools, found(MUL), found(OR, project="two"))).functions
    check_leaks(functions)
    with pytest.raises(LeakError, match="project 'one' is both training and held out; make"):
        check_leaks([*functions, replace(functions[0], split="heldout", sha256="0" * 32)])
    with pytest.raises(LeakError, match=r"function '[0-9a-f]{32}' is both training and held out"):
        check_leaks([*functions, replace(functions[0], split="heldout", project="three")])


def test_signatures_tell_like_from_unlike() -> None:
    lines = [f"  store i32 {n}, ptr %0" for n in range(100)]

    def text(body: list[str]) -> str:
        return "\n".join(["define void @f0(ptr %0) {", *body, "}"])

    index = NearIndex()
    index.add("all", signature(text(lines)))
    index.add("all", b"")
    assert [name for name, _ in index.alike(signature(text(lines)))] == ["all"]
    assert index.any_alike(signature(text([*lines[:50], "  fence seq_cst", *lines[51:]])))
    assert not index.any_alike(signature(text([line.replace("i32", "i64") for line in lines])))
    assert not index.any_alike(signature(text(lines[:50])))
    assert signature(text(lines[:5])) == b""
