"""Prompts and answers: what is written is read back, in both formats; garbage is no list and no code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.errors import IrwrightError
from irwright.passes import PassList
from irwright.tasks import disassemble, emulate, tune
from irwright.tasks.emulate import Counts, EmulateAnswer, same_text
from irwright.tasks.text import check_style, code_of, split_tags
from irwright.tasks.tune import Outcomes, Tried

IR = "define i32 @f0() {\n  ret i32 1\n}"
ASM = "f0:\n\tmovl\t$1, %eax\n\tretq"
LIST = PassList.parse("sroa,licm<allowspeculation>,default<Oz>")


def test_metas_prompts_are_those_of_the_paper() -> None:
    counts = Counts(num_instructions=1, object_bytes=17)
    assert tune.prompt(IR, style="meta") == (
        f"[INST] Tell me how to optimize this LLVM-IR for object file size:\n\n<code>{IR}</code> [/INST]"
    )
    assert emulate.prompt(IR, PassList.parse("default<Oz>"), counts, style="meta") == (
        "[INST] Give the LLVM-IR for the following code when optimized using opt -p 'module(default<Oz>)':\n\n"
        f"<code>{IR}</code>\n\nThe input code has instruction count 1 and binary size 17 bytes. [/INST]"
    )
    assert emulate.prompt(IR, LIST, counts, output="asm", style="meta").startswith("[INST] Give the assembly for the")
    assert disassemble.prompt(ASM, style="meta") == (
        f"[INST] Disassemble this code to LLVM-IR:\n\n<code>{ASM}</code> [/INST]"
    )


def test_native_prompts_say_what_is_wanted() -> None:
    counts = Counts(num_instructions=1, object_bytes=17)
    assert tune.prompt(IR) == f"<|tune|><|ir|>{IR}<|answer|>"
    assert emulate.prompt(IR, LIST, counts, output="asm", target="aarch64") == (
        f"<|emulate|><|passes|>{LIST}<|sizes|>1 17<|ir|>{IR}<|answer|><|aarch64|><|asm|>"
    )
    assert disassemble.prompt(ASM) == f"<|disassemble|><|x86-64|><|asm|>{ASM}<|answer|><|ir|>"


def test_prompts_hold_what_was_measured_behind_the_code() -> None:
    tried = [Tried(passes=LIST, change=-12), Tried(passes=PassList.parse("sroa"), change=None)]
    outcomes = Outcomes(oz_bytes=117, tried=(*tried, Tried(passes=PassList.parse("gvn"), change=0)))
    assert tune.prompt(IR, outcomes=outcomes) == (
        f"<|tune|><|ir|>{IR}<|sizes|>117<|passes|>{LIST}<|sizes|>-12<|passes|>sroa<|sizes|><|passes|>gvn<|sizes|>+0"
        "<|answer|>"
    )
    assert (
        tune.prompt(IR, outcomes=outcomes.last(1))
        == f"<|tune|><|ir|>{IR}<|sizes|>117<|passes|>gvn<|sizes|>+0<|answer|>"
    )
    assert tune.prompt(IR, outcomes=outcomes.last(0)) == tune.prompt(IR)
    assert tune.prompt(IR, outcomes=outcomes, style="meta") == tune.prompt(IR, style="meta")
    many = Outcomes(oz_bytes=9, tried=tuple(tried[0] for _ in range(tune.MAX_TRIED + 3)))
    assert tune.prompt(IR, outcomes=many).count("<|passes|>") == tune.MAX_TRIED


@pytest.mark.parametrize("style", ["native", "meta"])
def test_completions_are_read_back(style: tune.Style) -> None:
    answer = tune.parse(tune.completion(LIST, oz_bytes=90, tuned_bytes=80, style=style), style=style)
    assert answer.passes == LIST
    assert answer.problem == ""
    assert (answer.oz_bytes, answer.tuned_bytes) == ((90, 80) if style == "native" else (None, None))
    counts = Counts(num_instructions=3, object_bytes=40)
    read = emulate.parse(emulate.completion(IR, counts, style=style), style=style)
    assert read == EmulateAnswer(code=IR, counts=counts)
    score = emulate.score(read, IR + "\n", Counts(num_instructions=4, object_bytes=40))
    assert (score.exact, score.instructions_error, score.bytes_error) == (True, 0.25, 0.0)
    assert disassemble.parse(disassemble.completion(IR, style=style), style=style).ir == IR


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "no pass list in the answer"),
        ("<|sizes|>1 2", "no pass list in the answer"),
        ("sroa,instcombin", "unknown pass 'instcombin' at column 6 of 'sroa,instcombin'; did you mean 'instcombine'?"),
        ("structurizecfg", "structurizecfg"),
    ],
)
def test_no_list_is_said_why(answer: str, problem: str) -> None:
    read = tune.parse(answer)
    assert read.passes is None
    assert problem in read.problem


def test_metas_answers_are_read_leniently() -> None:
    for text in ("Use opt -p 'module(sroa,gvn)' for this.", "-passes=sroa,gvn\n", 'opt -passes="function(sroa,gvn)" x'):
        assert tune.parse(text, style="meta").passes == PassList.parse("sroa,gvn")
    assert code_of("see\n```llvm\nx\n```\nthere") == "x"
    assert code_of("a <code>\nx\n</code> b <code>y</code>") == "x"
    assert code_of("<code>never ends") == "never ends"
    assert code_of(" plain ") == "plain"


@given(st.text(alphabet="<|tune>irasm ,\n0123456789'`-p") | st.text())
def test_any_answer_is_read(text: str) -> None:
    for style in ("native", "meta"):
        tune.parse(text, style=style)
        emulate.parse(text, style=style)
        disassemble.parse(text, style=style)
    assert "".join(tag + piece for tag, piece in split_tags(text)) == text


def test_answers_without_sizes_have_no_error() -> None:
    score = emulate.score(emulate.parse("x"), IR, Counts(num_instructions=4, object_bytes=40))
    assert (score.exact, score.instructions_error, score.bytes_error) == (False, None, None)
    assert same_text("a  \n\nb", "a\nb\n") and not same_text("a b", "ab")


def test_plain_assembly_is_code_and_data() -> None:
    text = (
        '\t.file\t"a.c"\n\t.text\n\t.globl\tf0                     # -- Begin function f0\n\t.type\tf0,@function\n'
        "f0:                                     # @f0\n\t.cfi_startproc\n# %bb.0:\n\tmovl\t$1, %eax # one\n\tretq\n"
        '.Lfunc_end0:\n\t.size\tf0, .Lfunc_end0-f0\n\t.cfi_endproc\n\t.section\t.rodata,"a",@progbits\n.L.str:\n'
        '\t.asciz\t"a # b"\n\t.text\n\t.section\t".note.GNU-stack","",@progbits\n'
    )
    assert disassemble.plain_assembly(text) == (
        'f0:\n\tmovl\t$1, %eax\n\tretq\n\t.section\t.rodata,"a",@progbits\n.L.str:\n\t.asciz\t"a # b"\n\t.text'
    )
    assert disassemble.plain_assembly("\tmov\tw0, #1 // =0x1\n") == "\tmov\tw0, #1"


def test_unknown_styles_are_refused() -> None:
    assert check_style("meta") == "meta"
    with pytest.raises(IrwrightError, match="unknown prompt style 'chat'; there are native and meta"):
        check_style("chat")
