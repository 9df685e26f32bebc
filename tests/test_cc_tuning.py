"""What a finished object must hold to before it takes the place of the plain one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from irwright.cc.tuning import ALWAYS_THERE, IN_LIBC, Candidate, verified_choice
from irwright.evaluator import Plan
from irwright.llvm.toolchain import Toolchain
from irwright.measure import measure_object

PLAIN = "int there(int); char name[9]; int f(int x) { return there(x) + name[0]; }\n"


def candidate(tools: Toolchain, folder: Path, source: str) -> Candidate:
    (folder / "x.c").write_text(source)
    command = [tools.need_clang(), "-std=gnu89", "-O0", "-w", "-fno-builtin", "-c", "x.c", "-o", "x.o"]
    subprocess.run(command, cwd=folder, check=True)
    data = (folder / "x.o").read_bytes()
    return Candidate(plan=Plan(), object=data, sizes=measure_object(data))


def choose(
    tools: Toolchain, folder: Path, *sources: str, may_call: frozenset[str] = IN_LIBC
) -> tuple[int | None, list[str]]:
    """Which of the candidates is taken in place of PLAIN, and why not those before it."""
    plain = candidate(tools, folder, PLAIN).object
    made = [candidate(tools, folder, source) for source in sources]
    rejected: list[str] = []
    nothing: Any = None  # seeds 0: nothing runs
    best, _ = verified_choice(iter(made), plain, nothing, rejected, may_call=may_call, seeds=0)
    return (None if best is None else made.index(best)), rejected


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (PLAIN.replace("there(x)", "there(x) + elsewhere()"), "refers to 'elsewhere', which the plain object does not"),
        (PLAIN.replace("there(x)", "there(x) + sqrt(2.0)"), "refers to 'sqrt', which the plain object does not"),
        (PLAIN.replace("int f", "static int f"), "defines other symbols: ('f', 2, 0)"),
        (PLAIN.replace("char", "static char"), "defines other symbols: ('name', 1, 0)"),
        (PLAIN + "int more;", "defines other symbols: ('more', 1, 0)"),
        (PLAIN.replace("int f", '__attribute__((visibility("hidden"))) int f'), "defines other symbols: ('f', 2, "),
    ],
)
def test_what_a_linker_would_notice_is_rejected(tools: Toolchain, tmp_path: Path, source: str, problem: str) -> None:
    taken, rejected = choose(tools, tmp_path, source, PLAIN)
    assert taken == 1, "the next best is taken"
    assert len(rejected) == 1 and rejected[0].startswith(problem)
    assert choose(tools, tmp_path, source)[0] is None


def test_calls_of_the_c_library_are_no_matter_in_hosted_code(tools: Toolchain, tmp_path: Path) -> None:
    more = PLAIN.replace("there(x)", 'there(x) + strlen(name) + memcmp(name, "a", 2)')
    assert choose(tools, tmp_path, more) == (0, [])
    taken, rejected = choose(tools, tmp_path, more, may_call=ALWAYS_THERE)
    assert taken is None and rejected[0].startswith("refers to 'strlen'")


def test_fewer_references_are_fine(tools: Toolchain, tmp_path: Path) -> None:
    assert choose(tools, tmp_path, PLAIN.replace("there(x)", "x")) == (0, [])
