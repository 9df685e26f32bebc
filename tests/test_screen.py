"""Screening: right programs pass, wrong ones are found, minimised and told from undefined behaviour; runs resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import LLVM, Run
from irwright.candidates import (
    Candidate,
    coreset_candidates,
    joined_candidates,
    list_candidate,
    pass_candidates,
    plan_candidate,
    random_candidates,
    read_candidates,
    search_candidate,
)
from irwright.coreset import first_plans, load_coreset
from irwright.errors import InputError, PassListError, StorageError
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.screen import Screener, screen
from irwright.screen_results import Summary, Verdict
from irwright.task import Budget
from irwright.verify.programs import Limits, Program, find_programs

LIMITS = Limits(seconds=20)

TELLS_TWINS_APART = """
#include <stdio.h>
/* Prints whether two functions of the same code are one: no honest program asks, and no reference build merges them. */
static __attribute__((noinline)) void *caller(void) { return __builtin_return_address(0); }
static __attribute__((noinline)) void *one(int x) { void *p = caller(); printf("one %d\\n", x); return p; }
static __attribute__((noinline)) void *two(int x) { void *p = caller(); printf("one %d\\n", x); return p; }
int main(void) { void *a = one(1), *b = two(1); printf("%s\\n", a == b ? "same" : "apart"); return 0; }
"""
MERGES = "sroa,mergefunc,simplifycfg,adce"


def plan(data: dict[str, object]) -> Plan:
    return Plan.from_json(data, llvm_major=22)


def program(folder: Path, text: str, name: str = "one.c") -> Program:
    (folder / name).write_text(text)
    return find_programs(folder / name)[0]


def lists(*texts: str) -> list[Candidate]:
    return [list_candidate(PassList.parse(text)) for text in texts]


# ---- verdicts


def test_a_wrong_list_is_found_and_minimised(tmp_path: Path) -> None:
    candidates = lists("default<Oz>", "sroa", MERGES)
    with Screener(limits=LIMITS) as screener:
        report = screener.screen(program(tmp_path, TELLS_TWINS_APART), candidates)
    assert report.left_out is None
    judged = list(report.judgements.values())
    assert [one.verdict for one in judged] == [Verdict.PASS, Verdict.PASS, Verdict.WRONG]
    assert judged[2].detail == "prints 'same' in place of 'apart' in line 3"
    assert (judged[2].plan, judged[2].minimised) == (plan({"base": MERGES}), plan({"base": "mergefunc"}))


def test_a_wrong_join_is_minimised_function_by_function(tmp_path: Path) -> None:
    """What every single function gets is shortened, and so is what runs over the whole."""
    part = {"preparation": "raw", "functions": dict.fromkeys(("caller", "one", "two", "main"), "sroa,dce")}
    joined = plan({"parts": [part], "finish": "adce,mergefunc"})
    with Screener(limits=LIMITS) as screener:
        report = screener.screen(program(tmp_path, TELLS_TWINS_APART), [plan_candidate(joined)])
    (judged,) = report.judgements.values()
    empty = {"preparation": "raw", "functions": dict.fromkeys(part["functions"], "")}
    assert judged.minimised == plan({"parts": [empty], "finish": "mergefunc"})


def test_the_same_object_is_run_once(tmp_path: Path) -> None:
    with Screener(limits=LIMITS) as screener:
        report = screener.screen(
            program(tmp_path, TELLS_TWINS_APART), lists("sroa", "sroa,adce", "sroa,dce", "mem2reg")
        )
    assert set(map(str, (one.verdict for one in report.judgements.values()))) == {"pass"}
    assert report.num_objects == 1


def test_what_llvm_refuses_or_hangs_on_is_no_wrong_result(tmp_path: Path) -> None:
    """An endless list ends in a timeout, apart from wrong results; the next list is judged by a new worker."""
    endless = list_candidate(PassList.parse(",".join(["default<O3>"] * 1000)))
    with Screener(limits=LIMITS, compile_seconds=0.02) as screener:
        report = screener.screen(program(tmp_path, TELLS_TWINS_APART), [endless])
    if report.left_out is None:
        assert [one.verdict for one in report.judgements.values()] == [Verdict.TIMEOUT]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("int main(void) { return 3; }", "fails at -O0: exit code 3"),
        ("int main(void) { *(volatile int *)0 = 1; }", "fails at -O0: killed by SIGSEGV"),
        ("int main(void) { for (;;) ; }", "fails at -O0: no end within the time limit"),
        ("int main(void) { return x; }", "does not compile: use of undeclared identifier 'x'"),
        ("int f(void); int main(void) { return f(); }", "does not link at -O0: undefined symbol: f"),
        (
            '#include <stdio.h>\nint main(void) { puts(__OPTIMIZE__ + 0 ? "a" : "b"); }\n',
            "does not compile: use of undeclared identifier '__OPTIMIZE__'",
        ),
        (
            "#ifdef __OPTIMIZE__\nvoid gone(void);\n#else\n#define gone()\n#endif\n"
            "int main(int n, char **v) { if (n < 0 && n > 0) gone(); return 0; }",
            "does not link as -Oz before any pass: undefined symbol: gone",
        ),
        (
            '#include <stdio.h>\nint main(void) {\n#ifdef __OPTIMIZE__\nputs("fast");\n#else\nputs("slow");\n#endif\n}',
            "prints something else as -Oz before any pass: 'fast' in place of 'slow' in line 1",
        ),
        (
            '#include <stdio.h>\nint main(void) { for (;;) puts("0123456789abcdef"); }',
            "fails at -O0: killed by SIGXFSZ",
        ),
    ],
)
def test_programs_that_tell_nothing_are_left_out(tmp_path: Path, text: str, reason: str) -> None:
    limits = Limits(seconds=1.5, file_bytes=1 << 20)
    with Screener(limits=limits) as screener:
        report = screener.screen(program(tmp_path, text), lists("default<Oz>"))
    assert report.left_out == reason
    assert report.judgements == {}


def test_undefined_behaviour_is_told_from_wrong_code(tmp_path: Path) -> None:
    overflows = "int main(void) { volatile int top = 2147483647; top = top + 1;"
    text = TELLS_TWINS_APART.replace("int main(void) {", overflows)
    with Screener(limits=LIMITS) as screener:
        report = screener.screen(program(tmp_path, text), lists(MERGES))
    (judged,) = report.judgements.values()
    assert judged.verdict is Verdict.UNDEFINED
    assert "; undefined behaviour: runtime error: signed integer overflow: 2147483647 + 1" in judged.detail


# ---- candidates


def test_candidates_have_names_of_their_own() -> None:
    for found in (
        pass_candidates(22),
        coreset_candidates(load_coreset("oz", 22)),
        joined_candidates(first_plans(22), 5, 0),
        random_candidates(5, 0, 22),
    ):
        assert len({one.name for one in found}) == len({one.key for one in found}) == len(found) >= 5


def test_candidates_from_files(tmp_path: Path) -> None:
    (tmp_path / "lists.txt").write_text("sroa,gvn  # the first\n\n# nothing\ndefault<Oz>\n")
    assert [one.name for one in read_candidates(str(tmp_path / "lists.txt"), 22)] == ["sroa,gvn", "default<Oz>"]
    special = {"base": "sroa", "inliner_threshold": 25}
    (tmp_path / "plan.json").write_text(json.dumps(special))
    assert [json.loads(one.name) for one in read_candidates(str(tmp_path / "plan.json"), 22)] == [special]
    (tmp_path / "table.json").write_text('{"lists": [{"plan": {"base": "sroa"}}], "pieces": []}')
    assert [one.name for one in read_candidates(str(tmp_path / "table.json"), 22)] == ["sroa"]
    (tmp_path / "broken.json").write_text("[1]")
    with pytest.raises(InputError, match=r"broken\.json: is neither a plan nor a table of plans"):
        read_candidates(str(tmp_path / "broken.json"), 22)
    with pytest.raises(InputError, match=r"missing\.json: can't be read: No such file"):
        read_candidates(str(tmp_path / "missing.json"), 22)
    with pytest.raises(PassListError, match="unknown pass 'sroaa' at column 1"):
        read_candidates("sroaa", 22)


PIECES = """
#include <stdio.h>
static int twice(int x) { return 2 * x; }
static int sum(const int *v, int n) { int s = 0; for (int i = 0; i < n; i++) s += twice(v[i]); return s; }
int main(void) { int v[] = {1, 2, 3}; printf("%d\\n", sum(v, 3)); return sum(v, 3) != 12; }
"""


def test_pieces_and_searches_are_judged_on_every_llvm(llvm: LLVM, tmp_path: Path) -> None:
    table = first_plans(llvm.major)
    candidates = [
        *coreset_candidates(table)[:3],
        *[plan_candidate(one) for one in table.pieces[:3]],
        *joined_candidates(table, 3, 0),
        search_candidate("evolve", Budget(compilations=10), 0, first_plans),
        search_candidate("compose", Budget(compilations=60), 0, first_plans),
    ]
    where = str(llvm.toolchain.library.path)
    (report,) = screen([program(tmp_path, PIECES)], candidates, llvm=where, limits=LIMITS)
    assert report.left_out is None
    pieces = Verdict.PASS if llvm.major >= 20 else Verdict.UNFIT
    expected = [Verdict.PASS] * 3 + [pieces] * 6 + [Verdict.PASS] * 2
    assert [one.verdict for one in report.judgements.values()] == expected


def test_modules_that_cannot_be_made_of_pieces_are_unfit(tmp_path: Path) -> None:
    text = 'int data; extern int more __attribute__((alias("data"))); int main(void) { return data + more; }'
    (report,) = screen([program(tmp_path, text)], joined_candidates(first_plans(22), 1, 0), limits=LIMITS)
    (judged,) = report.judgements.values()
    assert (judged.verdict, judged.detail) == (Verdict.UNFIT, "the module can't be made of pieces")


# ---- keeping judgements


def test_what_was_judged_is_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "kept" / "judgements.jsonl"
    (tmp_path / "p").mkdir()
    one = program(tmp_path / "p", TELLS_TWINS_APART)
    left_out = program(tmp_path / "p", "int main(void) { return 1; }", "two.c")
    candidates = lists("sroa", MERGES)
    first = list(screen([one, left_out], candidates[1:], limits=LIMITS, store=store))
    with store.open("a") as file:
        file.write('{"key": "cut off')  # a run that was killed
    more = list(screen([one, left_out], candidates, limits=LIMITS, store=store))
    asked: list[str] = []

    def no_more(_self: Screener, program: Program, *_args: object, **_options: object) -> None:
        asked.append(program.name)

    monkeypatch.setattr(Screener, "screen", no_more)
    again = list(screen([one, left_out], candidates, limits=LIMITS, store=store))
    assert asked == []
    assert [replace(one, seconds=0) for one in again] == [replace(one, seconds=0) for one in more]
    assert list(more[0].judgements) == [candidate.name for candidate in candidates]
    name = candidates[1].name
    assert more[0].judgements[name] == first[0].judgements[name]
    assert again[1].left_out == "fails at -O0: exit code 1"


def test_a_run_that_is_ended_early_keeps_only_what_was_judged(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for name in ("a.c", "b.c", "c.c", "d.c"):
        program(tmp_path / "p", PIECES, name)
    store = tmp_path / "judgements.jsonl"
    running = screen(find_programs(tmp_path / "p"), lists("sroa", "default<Oz>"), limits=LIMITS, store=store)
    assert next(running).program == "a.c"
    running.close()
    rows = [json.loads(line) for line in store.read_text().splitlines() if line]
    assert rows and all(row["left_out"] is None and len(row["passed"]) == 2 and not row["others"] for row in rows)


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't keep judgements there: "):
        list(screen([], lists("sroa"), store=tmp_path / "file" / "store.jsonl"))


def test_reports_come_in_order_whatever_the_jobs(tmp_path: Path) -> None:
    names = ["c.c", "a.c", "b.c"]
    for number, name in enumerate(names):
        program(tmp_path, f"int main(void) {{ return {number % 2}; }}", name)
    programs = find_programs(tmp_path)
    assert [one.name for one in programs] == ["a.c", "b.c", "c.c"]
    one, three = (list(screen(programs, lists("sroa"), limits=LIMITS, jobs=jobs)) for jobs in (1, 3))
    assert [report.program for report in three] == ["a.c", "b.c", "c.c"]
    summaries = [Summary.of(reports, lists("sroa"), llvm="22.1.8") for reports in (one, three)]
    assert [(each.totals, each.left_out, each.num_screened) for each in summaries] == [
        ({Verdict.PASS: 2}, {"fails at -O0": 1}, 2)
    ] * 2


# ---- the command


def test_the_command_says_what_is_wrong(irwright: Run, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    program(tmp_path / "p", TELLS_TWINS_APART)
    program(tmp_path / "p", "int main(void) { return 2; }", "two.c")
    (tmp_path / "plan.json").write_text(json.dumps({"base": MERGES}))
    right = irwright("screen", "sroa", "--programs", tmp_path / "p", "-j", "1")
    assert (right.code, right.err) == (0, "")
    assert "1 in all, 1 of them pass everywhere" in right.out
    assert "1 programs, 1 different objects linked and run, LLVM 22.1.8" in right.out
    assert "1 programs left out: fails at -O0" in right.out
    saved = tmp_path / "saved"
    words = ["sroa", tmp_path / "plan.json", "--programs", tmp_path / "p", "-j", "1", "--save", saved]
    wrong = irwright("screen", *words)
    assert wrong.code == 1
    assert "wrong: one.c: prints 'same' in place of 'apart' in line 3\n  with {\"base\": \"mergefunc\"}" in wrong.out
    (folder,) = saved.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["one.c", "plan.json", "wrong.ll", "wrong.o"]
    assert json.loads((folder / "plan.json").read_text()) == {"base": "mergefunc"}
    assert (folder / "one.c").read_text() == TELLS_TWINS_APART
    assert b"define" in (folder / "wrong.ll").read_bytes() and (folder / "wrong.o").read_bytes()[:4] == b"\x7fELF"
    data = json.loads(irwright("screen", tmp_path / "plan.json", "--programs", tmp_path / "p", "--json").out)
    assert data["totals"]["wrong"] == 1 and data["programs"] == 1
    (failure,) = data["failures"]
    assert (
        failure["program"] == "one.c"
        and failure["verdict"] == "wrong"
        and failure["minimised"] == {"base": "mergefunc"}
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sroa"], "name programs to screen with: --programs DIR, or --csmith N"),
        (["--programs", "."], "name what to screen: pass lists, --coreset, --each-pass, --random N or --search"),
    ],
)
def test_usage(irwright: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    program(tmp_path, PIECES)
    ended = irwright("screen", *words)
    assert ended.code == 2 and message in ended.err


def test_no_programs(irwright: Run, tmp_path: Path) -> None:
    ended = irwright("screen", "sroa", "--programs", tmp_path)
    assert (ended.code, ended.err) == (1, f"irwright: error: {tmp_path}: holds no C or C++ program\n")
    ended = irwright("screen", "sroa", "--programs", tmp_path / "none")
    assert ended.err == f"irwright: error: {tmp_path / 'none'}: no such file or folder of programs\n"
