"""Predictions of what pass lists do, beside what LLVM does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import MODULES
from irwright.cli import main
from irwright.emulation import emulate
from irwright.errors import InputError, NoFunctionError, PassListError, ToolchainError
from irwright.models.answers import Answer, Choice, Request, Scripted

CHECKSUM = MODULES / "checksum.c"
SMALL = "define i32 @f(i32 %a) {\n  %p = alloca i32\n  store i32 %a, ptr %p\n  %v = load i32, ptr %p\n  ret i32 %v\n}\n"
AFTER = "define i32 @f0(i32 %0) {\n  ret i32 %0\n}"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.ll"
    path.write_text(SMALL)
    return path


def test_the_guess_of_oz_is_right_for_oz() -> None:
    found = emulate(CHECKSUM, "default<Oz>")
    assert found.score.valid and found.score.exact
    assert found.score.bytes_error == 0 and found.predicted == found.truth
    assert found.diff() == []
    assert found.truth.object_bytes < found.before.object_bytes


def test_and_wrong_for_others() -> None:
    found = emulate(CHECKSUM, "sroa", function="crc32")
    assert found.score.valid and not found.score.exact
    assert found.predicted is not None
    true, said = found.truth.object_bytes, found.predicted.object_bytes
    assert found.score.bytes_error == pytest.approx(abs(said - true) / true)
    assert found.diff()[:2] == ["--- opt", "+++ oz"]
    assert found.true_code.count("define ") == 1


def test_a_model_is_asked_and_scored(small: Path) -> None:
    before = emulate(small, "sroa").truth
    right = Scripted([f"{AFTER}<|sizes|>{before}"], name="right")
    found = emulate(small, "sroa", model=right)
    assert (found.predictor, found.score.exact, found.score.bytes_error) == ("right", True, 0)
    assert "<|passes|>sroa<|sizes|>" in right.asked[0].prompt
    spaced = emulate(small, "sroa", model=Scripted([f"{AFTER.replace('{', '{ ')} <|sizes|>{before}"]))
    assert spaced.score.exact and spaced.diff() == []
    wrong = AFTER.replace("ret i32 %0", "ret i32 7")
    off = emulate(small, "sroa", model=Scripted([f"{wrong}<|sizes|>1 {2 * before.object_bytes}"]))
    assert off.score.valid and not off.score.exact
    assert off.score.bytes_error == 1.0
    assert [line for line in off.diff() if line.startswith(("+ ", "- "))] == ["-  ret i32 %0", "+  ret i32 7"]


def test_what_llvm_refuses_is_said_differently(small: Path) -> None:
    sizes = f"<|sizes|>{emulate(small, 'sroa').truth}"
    head, tail = AFTER.split("%0\n}")
    assert head.endswith("ret i32 ")

    class Corrected(Scripted):
        """Says %5, which is no value, and knows that it could have been %0."""

        def ask(self, request: Request) -> Answer:
            self.asked.append(request)
            said = "%0" if request.begun else "%5"
            others = (Choice(2, "%5", -0.1), Choice(3, "%0", -0.5))
            rest = f"\n}}{tail}{sizes}"
            choices = (Choice(1, head, 0.0), Choice(2, "%5", -0.1, others), Choice(4, rest, 0.0))
            return Answer(outcome="ok", text=head + said + rest, choices=choices[len(request.begun) :], finished=True)

    model = Corrected([""])
    found = emulate(small, "sroa", model=model)
    assert (found.score.exact, found.num_asked, found.outcome) == (True, 3, "ok")
    assert model.asked[2].begun == (1, 3) and found.to_json()["asked"] == 3


@pytest.mark.parametrize(
    ("answer", "problem"),
    [("", "no code in the answer"), ("the weather is fine", "answer"), (AFTER.replace("ret i32 %0", "ret i32 %5"), "")],
)
def test_nonsense_is_not_valid(small: Path, answer: str, problem: str) -> None:
    found = emulate(small, "sroa", model=Scripted([answer]))
    assert not found.score.valid and not found.score.exact
    assert problem in found.score.problem and found.score.problem
    assert found.predicted is None and found.score.bytes_error is None


def test_assembly_and_meta_style(small: Path) -> None:
    true = emulate(small, "sroa", output="asm").true_code
    assert "movl\t%edi, %eax" in true
    model = Scripted(
        [f"<code>{true}</code>\n\nThe output code has instruction count 1 and binary size 9 bytes."], "meta"
    )
    found = emulate(small, "sroa", output="asm", model=model)
    assert found.score.exact
    assert model.asked[0].prompt.startswith(
        "[INST] Give the assembly for the following code when optimized using opt -p"
    )


def test_what_is_no_input(small: Path, tmp_path: Path) -> None:
    with pytest.raises(PassListError, match="unknown pass 'srao' at column 1 of 'srao'"):
        emulate(small, "srao")
    with pytest.raises(NoFunctionError, match="has no function 'g'; it has f"):
        emulate(small, "sroa", function="g")
    with pytest.raises(InputError, match="can't be read"):
        emulate(tmp_path / "none.ll", "sroa")
    with pytest.raises(InputError, match="no such model"):
        emulate(small, "sroa", model=str(tmp_path / "none.gguf"))
    arm = tmp_path / "arm.ll"
    arm.write_text('target triple = "aarch64-linux-gnu"\n' + SMALL)
    with pytest.raises((InputError, ToolchainError), match="aarch64"):
        emulate(arm, "sroa")
    empty = tmp_path / "empty.ll"
    empty.write_text("declare void @f()\n")
    with pytest.raises(InputError, match="defines no function"):
        emulate(empty, "sroa")


def test_the_command(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["emulate", str(small), "--passes", "sroa"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert ("before" in out and "valid IR, not LLVM's" in out) or "exact" in out
    with pytest.raises(SystemExit):
        main(["emulate", str(small), "--passes", "instsimplify", "--json", "--function", "f"])
    data = json.loads(capsys.readouterr().out)
    assert data["predictor"] == "oz" and data["opt"]["code"].startswith("define i32 @")
    assert data["exact"] is (data["diff"] == [])
