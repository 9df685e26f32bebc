"""Lifted code beside the original: what the signatures of the lifted module make visible."""

from __future__ import annotations

import subprocess
from pathlib import Path

from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.equivalence import compare, with_evidence
from irwright.llvm.toolchain import find
from irwright.verify.signatures import signatures_of

MOVED = """
void next(char **place); void set(int *value, int n); int use(char *);
int pointer(char *s) { char *p = s; next(&p); return use(p); }
int number(int n) { int v = n; set(&v, n); return v * 2; }
int same(int n) { int v = n; set(&v, n); return v + n; }
"""


def object_of(source: str, path: Path) -> bytes:
    path.with_suffix(".c").write_text(source)
    subprocess.run([str(find().need_clang()), "-Oz", "-c", path.with_suffix(".c"), "-o", path], check=True)
    return path.read_bytes()


def test_callees_write_where_they_are_given_a_variable(tmp_path: Path) -> None:
    original = object_of(MOVED, tmp_path / "a.o")
    lifted = disassemble(tmp_path / "a.o", settings=LiftSettings(budget=1, verify=False)).ir
    wrong = object_of(MOVED.replace("use(p)", "use(s)").replace("v * 2", "n * 2"), tmp_path / "b.o")
    found = compare(original, wrong, lifted, ["pointer", "number", "same"])
    kinds = {name: kind for name, (kind, _) in found.items()}
    assert kinds == {"pointer": "different", "number": "different", "same": "equivalent"}


def test_arguments_that_the_lifted_module_lost_are_compared(tmp_path: Path) -> None:
    source = "int g(int, int, int); int f(int a) { return g(a, 2, 3) + 1; }"
    original, wrong = object_of(source, tmp_path / "a.o"), object_of(source.replace("3", "4"), tmp_path / "b.o")
    lifted = "declare i32 @g()\ndefine i32 @f(i32 %a) {\n  ret i32 0\n}\n"
    assert compare(original, wrong, lifted, ["f"])["f"][0] == "equivalent"
    assert compare(original, wrong, lifted, ["f"], given={"g": 3})["f"][0] == "different"
    assert compare(original, original, lifted, ["f"], given={"g": 3})["f"][0] == "equivalent"


def test_behind_a_callee_that_never_returns_comes_another_function() -> None:
    text = "declare i32 @fail(i32)\ndeclare i32 @strlen(ptr)\n"
    found = with_evidence(signatures_of(text), {}, {}, ["fail", "strlen", "other"])
    assert found["fail"].is_noreturn and not found["strlen"].is_noreturn


def test_what_not_every_call_sets_is_not_compared() -> None:
    known = signatures_of("declare i32 @print(ptr, i64, double, i64)\n")
    assert len(with_evidence(known, {}, {"print": 1, "other": 1}, [])["print"].parameters) == 2
    assert with_evidence(known, {}, {}, [])["print"] == known["print"]
