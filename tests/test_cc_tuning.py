"""What a finished object must hold to before it takes the place of the plain one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from irwright.cc.tuning import Candidate, promising, verified_choice
from irwright.llvm.builds import OK
from irwright.llvm.toolchain import Toolchain
from irwright.measure import Sizes, measure_object, protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.symbols import ALWAYS_THERE, IN_LIBC
from irwright.trials import Trial

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
    plans = [trial(number, one.size).plan for number, one in enumerate(made)]
    whole: Any = _Whole()
    found = verified_choice(
        [(plan, 0.0) for plan in plans],
        lambda plan: made[plans.index(plan)],
        plain,
        whole,
        rejected,
        may_call=may_call,
        seeds=0,  # nothing runs
    )
    return (None if found is None else [one.object for one in made].index(found[0].object)), rejected


class _Whole:
    """An evaluator of a module that can't be made of pieces: nothing is repaired."""

    protocol = protocol("oz")

    def survey(self, _preparation: str) -> None:
        return None

    def evaluate(self, _plans: Sequence[Plan]) -> list[Trial]:
        return []


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
    assert len(rejected) == 1 and rejected[0].startswith(f"it {problem}")
    assert choose(tools, tmp_path, source)[0] is None


def test_calls_of_the_c_library_are_no_matter_in_hosted_code(tools: Toolchain, tmp_path: Path) -> None:
    more = PLAIN.replace("there(x)", 'there(x) + strlen(name) + memcmp(name, "a", 2)')
    assert choose(tools, tmp_path, more) == (0, [])
    taken, rejected = choose(tools, tmp_path, more, may_call=ALWAYS_THERE)
    assert taken is None and rejected[0].startswith("it refers to 'strlen'")


def test_fewer_references_are_fine(tools: Toolchain, tmp_path: Path) -> None:
    assert choose(tools, tmp_path, PLAIN.replace("there(x)", "x")) == (0, [])


class _Measured:
    """An evaluator that has measured some plans, and measures -Oz when it is asked to."""

    protocol = protocol("oz")

    def __init__(self, *costs: int, oz: int) -> None:
        self.trials = [trial(number, cost) for number, cost in enumerate(costs)]
        self.oz = oz
        self.num_asked = 0

    def evaluate(self, plans: Sequence[Plan], *, free: bool) -> list[Trial]:
        assert free
        self.num_asked += 1
        self.trials.append(replace(trial(99, self.oz), plan=plans[0]))
        return self.trials[-1:]


def trial(number: int, cost: int) -> Trial:
    plan = Plan(base=PassList.parse(",".join(["sroa"] * (1 + number))))
    return Trial(plan=plan, outcome=OK, sizes=sizes(cost))


def sizes(total: int) -> Sizes:
    return Sizes(text=total, rodata=0, unwind=0, data=0, bss=0)


@pytest.mark.parametrize(
    ("costs", "oz", "expected", "asked"),
    [
        ((1010, 990, 980, 990), 1000, [980, 990], 1),
        ((1002, 1004, 1030), 1000, [], 1),
        ((1002, 1004, 1030), 1003, [1002], 1),
        ((1002, 1010), 998, [998], 1),
        ((1006, 1200), 1100, [], 0),
        ((), 1000, [], 0),
    ],
)
def test_trials_that_may_be_smaller_come_best_first(
    costs: tuple[int, ...], oz: int, expected: list[int], asked: int
) -> None:
    """-Oz in process is measured only where the trials below the plain object are not enough."""
    measured: Any = _Measured(*costs, oz=oz)
    found = [trial.cost(measured.protocol) for trial in promising(measured, trial(99, oz).plan, sizes(1000))]
    assert found == expected
    assert measured.num_asked == asked


def test_the_first_that_will_do_asks_for_no_more() -> None:
    measured: Any = _Measured(990, 980, oz=1000)
    assert next(promising(measured, trial(99, 0).plan, sizes(1000))).cost(measured.protocol) == 980
    assert measured.num_asked == 0
