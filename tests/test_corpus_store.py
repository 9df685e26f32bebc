"""The corpus as Parquet: what a row says, what a second run costs, what a broken module costs."""

from __future__ import annotations

from pathlib import Path

from conftest import Seeds
from corpus_tools import LOOP, corpus_of, found
from irwright.corpus.store import add, open_corpus
from irwright.llvm.library import Library
from irwright.llvm.module import Context
from irwright.llvm.toolchain import Toolchain


def test_a_row_holds_the_module_and_its_functions(
    tmp_path: Path, tools: Toolchain, seeds: Seeds, library: Library
) -> None:
    data = seeds.bitcode("checksum")
    (row,) = corpus_of(tmp_path, tools, found(data)).rows()
    assert row["bitcode"] == data
    assert (row["project"], row["split"], row["licence"], row["flags"]) == ("one", "train", "MIT", ["-DX"])
    assert row["target"].startswith("x86_64") and row["llvm"] == tools.library.version
    with Context(library) as context, context.parse(data, name="x") as module:
        counts = module.instructions_by_function()
    assert {f["name"]: f["instructions"] for f in row["functions"]} == counts
    assert {len(f["sha256"]) for f in row["functions"]} == {32}
    assert {len(f["signature"]) for f in row["functions"]} <= {0, 256}


def test_text_becomes_bitcode(tmp_path: Path, tools: Toolchain) -> None:
    (row,) = corpus_of(tmp_path, tools, found(LOOP.replace("OPERATION", "mul"))).rows()
    assert row["bitcode"].startswith(b"BC")
    assert [f["name"] for f in row["functions"]] == ["sum"]


def test_a_second_run_does_nothing_and_a_broken_module_costs_itself(tmp_path: Path, tools: Toolchain) -> None:
    good = found(LOOP.replace("OPERATION", "mul"))
    bad = found("define i32 @f( {", path="broken.ll")
    corpus = open_corpus(tmp_path)
    library = tools.library
    first = add(corpus, [good, bad], library=library.path, llvm=library.version, jobs=1)
    assert (first.num_modules, first.num_functions, sum(first.problems.values())) == (1, 1, 1)
    assert "not valid LLVM IR" in next(iter(first.problems))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")}
    again = add(open_corpus(tmp_path), [good, bad], library=library.path, llvm=library.version, jobs=1)
    assert (again.num_modules, again.num_kept) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")} == before
    more = add(
        open_corpus(tmp_path),
        [found(LOOP.replace("OPERATION", "or"), project="two")],
        library=library.path,
        llvm=library.version,
        jobs=1,
    )
    assert more.num_modules == 1
