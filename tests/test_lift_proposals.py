"""Candidates from outside: asked for, screened, judged."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from irwright.errors import ProposerError
from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.proposals import CommandProposer, Question, screened
from irwright.lift.verdicts import Verdict

QUESTION = Question(function="f", assembly="retq", ir="", reason="instruction x")
# Two instructions that no rule lifts, and the same in IR.
ODD = ".globl f\n.type f,@function\nf:\n\tcpuid\n\tmovl\t$7, %eax\n\tretq\n"
PLAIN = ".globl g\n.type g,@function\ng:\n\tmovl\t$7, %eax\n\tretq\n"
SETTINGS = LiftSettings(budget=1, verify=True)


class Fake:
    """Answers every question with the same."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers
        self.asked: list[Question] = []

    def propose(self, question: Question) -> Sequence[str]:
        self.asked.append(question)
        return self.answers


def test_only_what_is_not_exact_is_asked() -> None:
    proposer = Fake()
    disassemble(ODD + PLAIN, name="f.s", settings=replace(SETTINGS, proposer=proposer))
    (question,) = proposer.asked
    assert (question.function, question.ir, question.reason) == ("f", "", "cpuid")
    assert "cpuid" in question.assembly


def test_what_is_wrong_is_not_taken() -> None:
    wrong = "define i32 @f() {\n  ret i32 8\n}\n"
    settings = replace(SETTINGS, proposer=Fake("no IR at all", wrong))
    (one,) = disassemble(ODD, name="f.s", settings=settings).functions
    assert one.verdict is Verdict.NOT_LIFTED
    assert one.reason == "cpuid"


def test_equal_code_is_taken() -> None:
    text = ".globl f\n.type f,@function\nf:\n\tleal\t(%rdi,%rdi,2), %eax\n\taddl\t%esi, %eax\n\tfnop\n\tretq\n"
    plain = text.replace("\tfnop\n", "")
    right = "define i32 @f(i32 %a, i32 %b) {\n  %x = mul i32 %a, 3\n  %y = add i32 %x, %b\n  ret i32 %y\n}\n"
    proposer = Fake("define i32 @f() {\n  ret i32 1\n}\n", right)
    (one,) = disassemble(text, name="f.s", settings=replace(SETTINGS, proposer=proposer)).functions
    assert one.verdict is not Verdict.DIFFERENT
    (one,) = disassemble(plain, name="f.s", settings=replace(SETTINGS, proposer=proposer)).functions
    assert one.verdict is Verdict.EXACT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("define void @f() {\n  ret void\n}", ""),
        ("define void @g() {\n  ret void\n}", "does not define this function alone"),
        ("define void @f() {\n}\ndefine void @g() {\n}", "does not define this function alone"),
        ('module asm "f:"\ndefine void @f() {\n}', "holds assembly"),
        ('define void @f() {\n  call void asm sideeffect "nop", ""()\n}', "holds assembly"),
    ],
)
def test_screening(text: str, problem: str) -> None:
    assert screened(text, "f") == problem


def command(tmp_path: Path, body: str) -> list[str]:
    script = tmp_path / "proposer.py"
    script.write_text(f"import json, sys, time\nfor line in sys.stdin:\n    question = json.loads(line)\n{body}\n")
    return [sys.executable, str(script)]


def test_a_command_is_asked_line_by_line(tmp_path: Path) -> None:
    words = command(tmp_path, "    print(json.dumps({'candidates': [question['function']] * 40}), flush=True)")
    with CommandProposer(words) as proposer:
        assert proposer.propose(QUESTION) == ["f"] * 16
        assert proposer.propose(QUESTION) == ["f"] * 16
    proposer.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    print('hello', flush=True)", "answered no JSON for 'f'"),
        ("    print('[1]', flush=True)", r"answered neither \{'ir': text\} nor \{'candidates': \[text, ...\]\}"),
        ("    break", "ended without an answer"),
        ("    time.sleep(9)", "was silent for 0.5 seconds"),
    ],
)
def test_a_command_that_misbehaves(body: str, message: str, tmp_path: Path) -> None:
    with (
        CommandProposer(command(tmp_path, body), timeout_seconds=0.5 if "sleep" in body else 30) as proposer,
        pytest.raises(ProposerError, match=message),
    ):
        proposer.propose(QUESTION)


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(ProposerError, match="proposer '/none' can't be started: No such file or directory"):
        CommandProposer(["/none"])
