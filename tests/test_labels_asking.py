"""Code asked of a model: taken as it is where the compiler takes it, guided where not, named where that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from irwright.labels.asking import ask_code, ask_name, ask_often, guide_for
from irwright.labels.units import Bench
from irwright.llvm.toolchain import Toolchain
from irwright.models.answers import Request, Scripted
from irwright.models.guided import Checked
from irwright.models.guides import AssemblyGuide, IRGuide
from irwright.tasks import emulate

IR = "define i32 @f0(i32 %0) {\n  %2 = add i32 %0, 1\n  ret i32 %2\n}"


@pytest.fixture(scope="module")
def bench(tools: Toolchain) -> Iterator[Bench]:
    with Bench(tools.library.path, llvm_major=22) as opened:
        yield opened


def example(kind: str = "ir") -> dict[str, Any]:
    wanted = "<|ir|>" if kind == "ir" else "<|x86-64|><|asm|>"
    return {
        "stage": "emulate",
        "kind": kind,
        "prompt": f"<|emulate|><|passes|>sroa<|sizes|>2 57<|ir|>{IR}<|answer|>{wanted}",
    }


def test_a_right_answer_is_taken_as_it_is(bench: Bench) -> None:
    found = ask_code(bench, Scripted([f"{IR}<|sizes|>2 57"]), example())
    assert (found.problem, found.num_asked) == ("", 1)


def test_a_wrong_one_is_said_again_where_the_model_tells_alternatives(bench: Bench) -> None:
    wrong = IR.replace("%0, 1", "%7, 1")
    silent = ask_code(bench, Scripted([f"{wrong}<|sizes|>2 57"]), example())
    assert "use of undefined value" in silent.problem and silent.num_asked == 2
    alone = ask_code(bench, Scripted([f"{wrong}<|sizes|>2 57"]), example(), guided=False)
    assert "use of undefined value" in alone.problem and alone.num_asked == 1
    assert ask_code(bench, Scripted([IR]), example(), guided=False).problem == "no sizes behind the code"


def test_where_a_guided_answer_has_no_end_others_are_drawn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    right = f"{IR}<|sizes|>2 57"
    answers = [Checked(text="define", problem="no end in sight", num_asked=9), Checked(text="broken", num_asked=2)]
    answers += [Checked(text=right, num_asked=3), Checked(text="never asked")]
    asked: list[Request] = []

    def guided(model: object, request: Request, guide: object) -> Checked:
        asked.append(request)
        return answers[len(asked) - 1]

    monkeypatch.setattr("irwright.labels.asking.ask_guided", guided)
    found = ask_code(bench, Scripted(["wrong"]), example())
    assert (found.text, found.problem, found.num_asked) == (right, "", 1 + 9 + 2 + 3)
    assert [(one.temperature, one.seed) for one in asked] == [(0.0, 0), (0.5, 1), (0.5, 2)]


def test_guides_fit_what_is_wanted(bench: Bench) -> None:
    assert isinstance(guide_for(bench, example()), IRGuide)
    guide = guide_for(bench, example("asm-x86-64"))
    assert isinstance(guide, AssemblyGuide)
    assert guide.assembles("\tretq") and not guide.assembles("\tretq\t%rax")


def test_a_name_stands_for_what_its_list_makes(bench: Bench) -> None:
    model = Scripted(["sroa<|sizes|>2 57"])
    found = ask_name(bench, model, example(), IR)
    assert emulate.parse(found.text).code == IR
    assert model.asked[0].prompt.endswith("<|answer|><|passes|><|ir|>")
    assembly = ask_name(bench, Scripted(["default<Oz>"]), example("asm-x86-64"), IR)
    assert emulate.parse(assembly.text).code.endswith("f0:\n\tleal\t1(%rdi), %eax\n\tretq")
    assert "names no list" in ask_name(bench, Scripted(["nothing"]), example(), IR).problem


def test_of_many_answers_the_most_frequent_that_is_consistent_is_taken(bench: Bench) -> None:
    lies, wrong = f"{IR}<|sizes|>9 99", IR.replace("%0, 1", "%7, 1") + "<|sizes|>2 57"
    other = IR.replace("add i32", "sub i32")
    size = int(ask_name(bench, Scripted(["sroa"]), example(), other).text.split()[-1])
    right = [f"{IR}<|sizes|>2 {size}", f"{other}<|sizes|>2 {size}"]
    model = Scripted([lies, wrong, right[0], lies, right[1], right[1]])
    found = ask_often(bench, model, example(), count=6)
    assert (found.text, found.problem, found.num_asked) == (right[1], "", 6)
    assert [request.temperature for request in model.asked] == [0, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert len({request.seed for request in model.asked}) == 6
    assert ask_often(bench, Scripted([wrong, lies]), example(), count=2).text == lies  # better than none
    none = ask_often(bench, Scripted([wrong]), example(), count=2)
    assert "use of undefined value" in none.problem and none.num_asked == 4
