"""What a compiler command is taken for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.cc.arguments import Compile, understand

PASSED = {
    "-Oz -c": "no input",
    "-Oz a.c -o a": "compiles and links in one command",
    "-Oz -shared a.o b.cc -o a.so": "compiles and links in one command",
    "-Oz a.o b.o -o a": "links",
    "-Oz -flto a.o -o a": "links",
    "-Oz -E a.c": "only preprocesses or checks",
    "-Oz -M a.c": "only preprocesses or checks",
    "-Oz -MM a.c": "only preprocesses or checks",
    "-Oz -fsyntax-only a.c": "only preprocesses or checks",
    "-Oz -S a.c": "makes assembly",
    "-Oz -c -emit-llvm a.c": "makes IR",
    "-Oz -c a.s": "assembler source",
    "-Oz -c a.S -g": "assembler source",
    "-Oz -c -flto a.S": "assembler source",
    "-Oz -c a.c b.c": "several inputs",
    "-Oz -c a.m": "other language",
    "-Oz -c a.ll": "other language",
    "-Oz -c a.h": "other language",
    "-Oz -c -": "reads standard input",
    "-Oz -c -x c a.c": "-x: language given by option",
    "-Oz -c -xc a.c": "option -xc",
    "-Oz -c -flto a.c": "LTO",
    "-Oz -c -flto=thin a.c": "LTO",
    "-Oz -c -save-temps a.c": "-save-temps",
    "-Oz -c -save-temps=obj a.c": "-save-temps",
    "-Oz -c -fsanitize=address a.c": "sanitizer",
    "-Oz -c -fprofile-generate a.c": "profile or coverage",
    "-Oz -c --coverage a.c": "profile or coverage",
    "-Oz -c -pg a.c": "profile or coverage",
    "-Oz -c -finstrument-functions a.c": "profile or coverage",
    "-Oz -c -g -gsplit-dwarf a.c": "split debug info",
    "-Oz -c -fmodules a.c": "modules or PCH",
    "-Oz -c -include-pch a.pch a.c": "modules or PCH",
    "-Oz -c -ftime-trace a.c": "option -ftime-trace",
    "-Oz -c -fstack-usage a.c": "option -fstack-usage",
    "-Oz -c -fplugin=x.so a.c": "option -fplugin",
    "-Oz -c -mllvm -inline-threshold=3 a.c": "option -mllvm",
    "-Oz -c -Xclang -ast-dump a.c": "option -Xclang",
    "-Oz -c -Wa,-adhlns=a.lst a.c": "option -Wa,",
    "-Oz -c -Wp,-MD,a.d a.c": "option -Wp,",
    "-Oz -c -fno-integrated-as a.c": "option -fno-integrated-as",
    "-Oz -c --unheard-of a.c": "option --unheard-of",
    "-Oz -c -MJ a.json a.c": "option -MJ",
    "-Oz -c a.c -o -": "writes to standard output",
    "-Oz -c a.c -o /dev/null": "output is no regular file",
    "-Oz -MD -MF /dev/stdout -c a.c": "output is no regular file",
    "-O2 -c a.c": "not compiled for size",
    "-Oz -O2 -c a.c": "not compiled for size",
    "-c a.c": "not compiled for size",
    "-Oz -c conftest.c": "configure probe",
    "-Oz -c build/CMakeFiles/CMakeScratch/TryCompile-x1/src.c": "configure probe",
    "-Oz -c meson-private/tmp1/testfile.c": "configure probe",
    "-v": "asks about the compiler",
    "--version": "asks about the compiler",
    "-print-search-dirs": "asks about the compiler",
    "@missing.rsp": "response file unreadable",
}


@pytest.mark.parametrize("command", PASSED)
def test_commands_that_pass_through_say_why(command: str) -> None:
    assert understand(command.split(), {}) == PASSED[command]


def taken(command: str, **environment: str) -> Compile:
    job = understand(command.split(), environment)
    assert isinstance(job, Compile), job
    return job


def test_a_plain_compile() -> None:
    job = taken("-O2 -Wall -Iinclude -D NAME=1 -fPIC -march=native -Oz -c src/a.c -o out/a.o")
    assert (job.source, job.output, job.depfile, job.level) == ("src/a.c", "out/a.o", None, "-Oz")
    assert job.preprocess == ["-Wall", "-Iinclude", "-D", "NAME=1", "-fPIC", "-march=native"]
    assert job.keep == ["-fPIC", "-march=native"]
    assert not job.debug


def test_the_output_is_named_after_the_source_in_the_current_folder() -> None:
    assert taken("-Os -c src/sub/a.cpp").output == "a.o"


@pytest.mark.parametrize(
    ("command", "depfile"),
    [
        ("-Oz -MD -c a.c -o x/a.o", "x/a.d"),
        ("-Oz -MMD -c a.c", "a.d"),
        ("-Oz -MMD -c a.c -o .libs/a", ".libs/a.d"),
        ("-Oz -MD -MF deps/a.dep -MT x -MP -c a.c", "deps/a.dep"),
        ("-Oz -MD -MFdeps/a.dep -MQx -c a.c", "deps/a.dep"),
        ("-Oz -MF a.dep -c a.c", None),
    ],
)
def test_the_dependency_file_is_where_clang_writes_it(command: str, depfile: str | None) -> None:
    assert taken(command).depfile == depfile


def test_only_a_key_with_dependencies_knows_the_output() -> None:
    assert taken("-Oz -c a.c -o x.o").key_words == taken("-Oz -c a.c -o y.o").key_words
    assert taken("-Oz -MD -c a.c -o x.o").key_words != taken("-Oz -MD -c a.c -o y.o").key_words
    assert taken("-Oz -MD -MT one -c a.c").key_words != taken("-Oz -MD -MT two -c a.c").key_words


def test_options_for_other_steps_stay_away_from_lowering() -> None:
    job = taken(
        "-Oz -std=gnu99 -pthread -nostdinc -nostdlib -isystem inc -include pre.h -Wp,-D_FORTIFY_SOURCE=2 -Llib -lm "
        "-Wl,-z,now -Wa,--noexecstack -g -gdwarf-4 -m32 -pipe -w -c a.c"
    )
    assert job.keep == ["-pthread", "-Wa,--noexecstack", "-g", "-gdwarf-4", "-m32"]
    assert job.debug
    assert "-lm" not in job.preprocess and "-Wl,-z,now" not in job.preprocess
    assert job.preprocess[:5] == ["-std=gnu99", "-pthread", "-nostdinc", "-isystem", "inc"]


def test_the_target_is_told() -> None:
    assert taken("-Oz --target=aarch64-linux-gnu -c a.c").target == "aarch64-linux-gnu"
    assert taken("-Oz -target riscv64-linux-gnu -c a.c").target == "riscv64-linux-gnu"
    assert taken("-Oz -c a.c").target is None


def test_always_takes_other_levels_as_oz() -> None:
    assert taken("-O2 -c a.c", IRWRIGHT_ALWAYS="1").level == "-Oz"
    assert taken("-Os -c a.c", IRWRIGHT_ALWAYS="1").level == "-Os"
    assert understand(["-O2", "-c", "a.c"], {"IRWRIGHT_ALWAYS": "0"}) == "not compiled for size"


def test_a_variable_by_which_clang_writes_more_passes_through() -> None:
    assert understand(["-Oz", "-c", "a.c"], {"DEPENDENCIES_OUTPUT": "x"}) == "environment DEPENDENCIES_OUTPUT"


def test_response_files_are_read_as_clang_reads_them(tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("-DINNER")
    response = tmp_path / "all.rsp"
    response.write_text(f'-Oz -c\n\'-DQ=a b\' -DB=c\\ d  "-DE=\\"" @{tmp_path / "inner"} a.c')
    job = taken(f"@{response} -o a.o")
    assert job.words == ["-Oz", "-c", "-DQ=a b", "-DB=c d", '-DE="', "-DINNER", "a.c", "-o", "a.o"]


def test_a_response_file_that_names_itself_ends(tmp_path: Path) -> None:
    response = tmp_path / "loop.rsp"
    response.write_text(f"@{response}")
    assert understand([f"@{response}"], {}) == "response file unreadable"


def test_a_precompiled_header_beside_an_include_passes_through(tmp_path: Path) -> None:
    header = tmp_path / "all.h"
    assert taken(f"-Oz -include {header} -c a.c").preprocess == ["-include", str(header)]
    (tmp_path / "all.h.pch").write_bytes(b"")
    assert understand(f"-Oz -include {header} -c a.c".split(), {}) == "modules or PCH"


@given(st.lists(st.sampled_from([*" ".join(PASSED).split(), "-I", "-MF", "-g", "x.c", "-"]), max_size=8))
def test_every_command_is_understood_or_refused(words: list[str]) -> None:
    job = understand(words, {})
    if isinstance(job, str):
        assert job
    else:
        assert job.source.endswith(".c") and job.level in ("-Os", "-Oz") and "-c" in job.words
