"""A small corpus for tests: modules compiled from tests/modules and from text, under made-up projects."""

from __future__ import annotations

from pathlib import Path

from irwright.corpus.store import Found, Split, add, open_corpus
from irwright.llvm.toolchain import Toolchain
from irwright.shards import ShardFolder

LOOP = """
define i32 @sum(ptr %p, i32 %n) minsize optsize {
  %e = icmp eq i32 %n, 0
  br i1 %e, label %out, label %loop
loop:
  %i = phi i32 [ 0, %0 ], [ %j, %loop ]
  %s = phi i32 [ 0, %0 ], [ %t, %loop ]
  %w = zext i32 %i to i64
  %q = getelementptr i32, ptr %p, i64 %w
  %x = load i32, ptr %q
  %y = OPERATION i32 %x, 3
  %t = add i32 %s, %y
  %j = add i32 %i, 1
  %c = icmp eq i32 %j, %n
  br i1 %c, label %out, label %loop
out:
  %r = phi i32 [ 0, %0 ], [ %t, %loop ]
  ret i32 %r
}
"""


def found(data: bytes | str, *, project: str = "one", split: Split = "train", path: str = "a.c") -> Found:
    return Found(
        project=project,
        version="1.0",
        split=split,
        licence="MIT",
        language="c",
        path=path,
        flags=("-DX",),
        origin="test",
        source_sha256="",
        data=data.encode() if isinstance(data, str) else data,
    )


def corpus_of(folder: Path, tools: Toolchain, *modules: Found) -> ShardFolder:
    corpus = open_corpus(folder)
    library = tools.library
    added = add(corpus, modules, library=library.path, llvm=library.version, jobs=1)
    assert not added.problems
    return corpus
