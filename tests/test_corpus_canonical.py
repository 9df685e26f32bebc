"""The canonical form against LLVM: it parses, it means the same, and it can be undone to the byte."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import SEEDS, Seeds
from irwright.corpus.canonical import Map, canonical_functions, canonicalise, original_symbols, rename, restore, strip
from irwright.corpus.stripping import dress, strip_lines
from irwright.errors import SourceError
from irwright.llvm import clang
from irwright.llvm.library import Library
from irwright.llvm.module import Context
from irwright.llvm.toolchain import Toolchain

PROGRAMS = Path(__file__).parent / "programs"
NAMED = """; ModuleID = 'x'
source_filename = "x.c"
target triple = "x86_64-unknown-linux-gnu"

%pair = type { i32, ptr }
%same = type { i8 }

$inline = comdat any

@"odd name" = private constant [3 x i8] c"%a\\00"
@table = global ptr blockaddress(@main, %out)

define i32 @main(i32 %count, ptr %same) #0 !note !3 {
entry:
  %slot = alloca %pair, align 8
  %0 = icmp eq i32 %count, 0
  br i1 %0, label %out, label %"more than one"

"more than one":                                  ; preds = %entry
  %1 = call i32 (ptr, ...) @printf(ptr @"odd name", i32 %count) #1, !range !4
  call void @inline(ptr %slot)
  br label %out

out:                                              ; preds = %"more than one", %entry
  %r = phi i32 [ 0, %entry ], [ %1, %"more than one" ]
  ret i32 %r
}

declare i32 @printf(ptr, ...) #1

define linkonce_odr void @inline(ptr %p) comdat {
  store %same zeroinitializer, ptr %p, align 1
  ret void
}

attributes #0 = { minsize optsize "target-cpu"="x86-64" }
attributes #1 = { nounwind "frame-pointer"="all" }

!llvm.ident = !{!0}

!0 = !{!"clang"}
!3 = !{i32 1}
!4 = !{i32 0, i32 9}
"""


def text_of(library: Library, data: bytes) -> str:
    with Context(library, keep_names=True) as context, context.parse(data, name="x") as module:
        assert module.verify() is None
        return module.text()


def whole(text: str, original: str) -> str:
    return dress(text, head="\n".join(line for line in original.splitlines() if line.startswith("target ")))


def test_all_names_change_but_those_everybody_knows() -> None:
    text, done = canonicalise(NAMED)
    assert text == (
        "%t1 = type { i32, ptr }\n"
        "%t0 = type { i8 }\n"
        "$f1 = comdat any\n"
        '@g0 = private constant [3 x i8] c"%a\\00"\n'
        "@g1 = global ptr blockaddress(@f0, %6)\n"
        "define i32 @f0(i32 %0, ptr %t0) minsize optsize {\n"  # a value has the name of a type
        "  %2 = alloca %t1, align 8\n"
        "  %3 = icmp eq i32 %0, 0\n"
        "  br i1 %3, label %6, label %4\n"
        "4:\n"
        "  %5 = call i32 (ptr, ...) @printf(ptr @g0, i32 %0) nounwind\n"
        "  call void @f1(ptr %2)\n"
        "  br label %6\n"
        "6:\n"
        "  %7 = phi i32 [ 0, %1 ], [ %5, %4 ]\n"
        "  ret i32 %7\n"
        "}\n"
        "declare i32 @printf(ptr, ...)\n"
        "define linkonce_odr void @f1(ptr %0) comdat {\n"
        "  store %t0 zeroinitializer, ptr %0, align 1\n"
        "  ret void\n"
        "}"
    )
    assert done.symbols["@g0"] == '@"odd name"'
    assert restore(text, Map.from_json(json.loads(json.dumps(done.to_json())))) == NAMED


@pytest.mark.parametrize("source", sorted(p.name for p in PROGRAMS.glob("*.c*") if p.stem[0] in "cv"))
def test_round_trip_of_programs(library: Library, tools: Toolchain, source: str) -> None:
    flags = ["-fno-discard-value-names", "-g", *(["-std=c++20"] if source.endswith("cpp") else [])]
    try:
        original = text_of(library, clang.seed_bitcode(tools.need_clang(), PROGRAMS / source, flags))
    except SourceError as error:
        pytest.skip(f"no C++ library: {error}")
    text, done = canonicalise(original)
    assert restore(text, done) == original
    assert len(text) < len(original) * 0.7
    again = text_of(library, whole(text, original).encode())
    assert canonicalise(again)[0] == text  # canonical text is its own canonical form
    text_of(library, rename(original).encode())


@pytest.mark.parametrize("seed", SEEDS)
def test_functions_alone_do_not_depend_on_the_names_around_them(library: Library, seeds: Seeds, seed: str) -> None:
    text = text_of(library, seeds.bitcode(seed))
    functions = canonical_functions(text)
    other = re.sub(r"@(\w+)\b(?<!printf)", r"@my_\1", text.replace("@llvm", "@\0")).replace("\0", "llvm")
    renamed = canonical_functions(other)
    assert len(functions) > 2
    assert {f"my_{name}" for name in functions} == renamed.keys()
    kept = [name for name, body in functions.items() if body == renamed[f"my_{name}"]]
    assert len(kept) >= len(functions) - 3  # those that call the C library differ: its names stay


@given(st.lists(st.sampled_from(NAMED.splitlines()), max_size=40))
def test_any_lines_can_be_restored(lines: list[str]) -> None:
    text = "\n".join(lines)
    stripped, done = canonicalise(text)
    assert restore(stripped, done) == text


def test_metadata_that_instructions_take_stays(library: Library) -> None:
    source = b"""define i64 @f() {
  %v = call i64 @llvm.read_register.i64(metadata !0)
  ret i64 %v
}
declare i64 @llvm.read_register.i64(metadata)
!0 = !{!"rsp"}
!1 = !{!"gone"}
"""
    original = text_of(library, source)
    text, done = canonicalise(original)
    assert text.endswith('!0 = !{!"rsp"}')
    assert restore(text, done) == original
    text_of(library, text.encode())


def test_strings_and_comments_are_told_apart() -> None:
    line = '@s = constant [9 x i8] c"a;b #0 !1\\00" ; c "d" #1'
    assert strip(line) == '@s = constant [9 x i8] c"a;b #0 !1\\00"'


def test_dressing_puts_attributes_where_llvm_takes_them(library: Library) -> None:
    text = 'define void @f(ptr byval(i32) %0) unnamed_addr minsize section "a(" align 4 {\n  ret void\n}'
    printed = text_of(library, dress(text, head="", attributes='"target-cpu"="x86-64"').encode())
    assert 'attributes #0 = { minsize "target-cpu"="x86-64" }' in printed
    assert strip_lines(printed).text.splitlines()[0] == text.splitlines()[0]


def test_an_answer_gets_the_original_symbols() -> None:
    done = canonicalise(NAMED)[1]
    answer = "  %9 = call i32 @f0(ptr @g0)\n  call void @f7(%t1 %9, ptr @printf)"
    assert (
        original_symbols(answer, done)
        == '  %9 = call i32 @main(ptr @"odd name")\n  call void @f7(%pair %9, ptr @printf)'
    )
