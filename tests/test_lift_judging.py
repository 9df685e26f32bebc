"""Verdicts on modules, and what becomes of a lifting that behaves differently."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from irwright.lift.disassembler import Disassembler, LiftSettings, attributes, disassemble
from irwright.lift.judging import Judge
from irwright.lift.variants import Candidate, Search
from irwright.lift.verdicts import LiftResult, Verdict
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool

SOURCE = """
#include <stdio.h>
__attribute__((noinline)) static int inner(int x) { return x * 3 + 40; }
__attribute__((noinline)) int outer(int x) { return inner(x) ^ 5; }
__attribute__((noinline)) int apart(int x) { return x * x - 9; }
int main(void) { printf("%d %d\\n", outer(7), apart(8)); return 0; }
"""


class OneSearch(Search):
    """A search that says what else there is."""

    alternatives: tuple[str, ...] = ()

    def others(self, name: str, known: list[str]) -> list[Candidate]:
        return [Candidate(ir=text) for text in self.alternatives]


class Bench:
    """The candidates of a file, and a judge that asks a search."""

    def __init__(self, pool: WorkerPool, text: str) -> None:
        source = Disassembler(pool, LiftSettings()).read(text.encode(), "f.s")
        self.search = OneSearch(pool, source.program, source.layout, source.text, 1, attributes(source))
        self.judge = Judge(pool, source, self.search, verify=True)
        self.right = {code.name: self.search.best(code.name) for code in source.program.functions}

    def wrong(self, name: str, old: str, new: str) -> dict[str, Candidate]:
        """The candidates, one of them with an error."""
        assert old in self.right[name].ir
        return self.right | {name: replace(self.right[name], ir=self.right[name].ir.replace(old, new))}

    def slower(self, name: str) -> Candidate:
        """A candidate that is right and not exact: its result goes through memory."""
        again = "%m = alloca i32\n  store volatile i32 \\1, ptr %m\n  %r = load volatile i32, ptr %m\n  ret i32 %r"
        return replace(self.right[name], ir=re.sub(r"ret i32 (%\w+)", again, self.right[name].ir))


def compiled(folder: Path) -> str:
    (folder / "f.c").write_text(SOURCE)
    command = [str(find().need_clang()), "-Oz", "-S", str(folder / "f.c"), "-o", str(folder / "f.s")]
    subprocess.run(command, check=True)
    return (folder / "f.s").read_text()


def printed(ir: str, folder: Path) -> str:
    (folder / "f.ll").write_text(ir)
    clang = str(find().need_clang())
    lower = ["-x", "ir", "-Oz", "-Xclang", "-disable-llvm-passes"]
    subprocess.run([clang, "-w", *lower, str(folder / "f.ll"), "-o", str(folder / "program")], check=True)
    return subprocess.run([str(folder / "program")], capture_output=True, text=True, check=False).stdout


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with WorkerPool(find().library.path, jobs=1) as pool:
        yield Bench(pool, compiled(tmp_path))


def test_what_behaves_differently_stays_machine_code_and_its_callers_do_not(bench: Bench, tmp_path: Path) -> None:
    candidates = bench.wrong("inner", "40", "41") | {"outer": bench.slower("outer")}
    judged = bench.judge.judged(candidates)
    assert judged.verdict("inner") is judged.verdict("outer") is Verdict.DIFFERENT
    settled = bench.judge.settled(candidates, judged)
    found = {one.function: one for one in settled.functions}
    assert found["inner"].verdict is Verdict.NOT_LIFTED and found["inner"].is_refused
    assert found["inner"].reason.startswith("its lifting behaved differently (")
    assert "seed" in found["inner"].reason
    assert all(one.verdict in ("exact", "equivalent") for name, one in found.items() if name != "inner")
    assert not any(one.is_refused for name, one in found.items() if name != "inner")
    assert printed(settled.ir, tmp_path) == f"{(7 * 3 + 40) ^ 5} {8 * 8 - 9}\n"
    result = LiftResult(file="f", target="", ir="", asm="", functions=settled.functions, seconds=0)
    assert result.totals["refused"] == result.totals["not-lifted"] == 1


def test_another_lifting_is_taken_where_it_is_right(bench: Bench, tmp_path: Path) -> None:
    right = bench.right["apart"].ir
    bench.search.alternatives = (right.replace("-9", "-8"), right)
    settled = bench.judge.settled(candidates := bench.wrong("apart", "-9", "-7"), bench.judge.judged(candidates))
    assert settled.verdict("apart") in ("exact", "equivalent")
    assert not any(one.is_refused for one in settled.functions)
    assert printed(settled.ir, tmp_path).endswith(f" {8 * 8 - 9}\n")


def test_what_was_refused_for_another_comes_back(bench: Bench) -> None:
    """Runs call functions first that make static data; where one of those is wrong, both are different."""
    candidates = bench.wrong("inner", "40", "41") | {"apart": bench.slower("apart")}
    judged = bench.judge.judged(candidates)
    also = [replace(one, verdict=Verdict.DIFFERENT) if one.function == "apart" else one for one in judged.functions]
    settled = bench.judge.settled(candidates, replace(judged, functions=tuple(also)))
    assert [one.function for one in settled.functions if one.is_refused] == ["inner"]
    assert settled.verdict("apart") is Verdict.EQUIVALENT


def test_the_others_of_a_search_are_not_what_is_known(bench: Bench) -> None:
    known = [*bench.judge.judged(bench.right).functions[0].recompiled]
    name = bench.judge.source.program.functions[0].name
    others = Search.others(bench.search, name, known)
    assert all(one.ir for one in others)
    assert len(Search.others(bench.search, name, [])) > len(others)


def test_verdicts_are_kept_where_nothing_has_changed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.judge.judged(bench.wrong("inner", "40", "41"))
    asked: list[str] = []
    monkeypatch.setattr(bench.judge, "_verified", lambda asm, ir, names: asked.extend(names) or {})  # pyright: ignore
    bench.judge.judged(bench.wrong("inner", "40", "42"), before, ["inner"])
    assert {"inner", "outer", "main"} >= set(asked) >= {"inner"}


def test_it_can_be_had_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = compiled(tmp_path)
    best = Search.best

    def wrong(self: Search, name: str, budget: int | None = None) -> Candidate:
        one = best(self, name, budget)
        return replace(one, ir=one.ir.replace("-9", "-7"))

    monkeypatch.setattr(Search, "best", wrong)
    kept = disassemble(text, settings=LiftSettings(budget=1, keep_different=True))
    assert {one.function: one.verdict for one in kept.functions}["apart"] is Verdict.DIFFERENT
    assert "-7" in kept.ir
    refused = disassemble(text, settings=LiftSettings(budget=1))
    assert {one.function: one.verdict for one in refused.functions}["apart"] is not Verdict.DIFFERENT
    assert "-7" not in refused.ir
