"""The signatures of intrinsics, against LLVM: a module that calls each of them is taken."""

from __future__ import annotations

import pytest

from irwright.errors import IrwrightError
from irwright.grammar.intrinsics import FLAG, SIGNATURES, THREAD_LOCAL, VARIABLE
from irwright.grammar.types import Type
from irwright.labels.units import Bench
from irwright.llvm.toolchain import Toolchain
from irwright.plan import Plan


def calling(names: list[str]) -> str:
    """A function that calls intrinsics with its arguments."""
    parameters: list[Type] = []
    calls: list[str] = []
    for name in names:
        result, kinds = SIGNATURES[name]
        given: list[str] = []
        for kind in kinds:
            if kind == FLAG:
                given.append("i1 false")
            elif kind == THREAD_LOCAL:
                given.append("ptr @g0")
            elif kind == VARIABLE:
                given.append("ptr %a")
            else:
                given.append(f"{kind.text} %p{len(parameters)}")
                parameters.append(kind)
        calls.append(f"  call {result.text} @llvm.{name}({', '.join(given)})")
    told = ", ".join(f"{kind.text} %p{number}" for number, kind in enumerate(parameters))
    body = "\n".join(["  %a = alloca i64, align 8", *calls, "  ret void"])
    declared = "\n".join(
        f"declare {SIGNATURES[name][0].text} @llvm.{name}({', '.join(kind.text for kind in SIGNATURES[name][1])})"
        for name in names
    )
    more = ", ..." if told else "..."
    return f"@g0 = thread_local global i32 0, align 4\ndefine void @f0({told}{more}) {{\n{body}\n}}\n{declared}\n"


def test_llvm_takes_every_one(tools: Toolchain) -> None:
    with Bench(tools.library.path, llvm_major=22) as bench:
        try:
            bench.of_text(calling(list(SIGNATURES))).plain.compile(Plan(), "bc")
        except IrwrightError:
            for name in SIGNATURES:  # which one
                bench.of_text(calling([name])).plain.compile(Plan(), "bc")
            raise
        with pytest.raises(IrwrightError):
            bench.of_text(calling(["ctpop.i32"]).replace("i32", "float")).plain.compile(Plan(), "bc")


def test_names_say_their_widths() -> None:
    assert SIGNATURES["smax.i16"][0].text == "i16" and len(SIGNATURES["smax.i16"][1]) == 2
    assert SIGNATURES["umul.with.overflow.i64"][0].text == "{ i64, i1 }"
    assert SIGNATURES["fma.f32"][1] == (SIGNATURES["fma.f32"][0],) * 3
    assert "bswap.i8" not in SIGNATURES
