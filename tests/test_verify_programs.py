"""Programs: found with their flags, linked as clang links, run under limits that hold, sanitized."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from irwright.errors import InputError, ToolchainError
from irwright.llvm.toolchain import Toolchain
from irwright.verify import programs
from irwright.verify.programs import (
    LENIENT,
    LeftOut,
    Limits,
    Linker,
    Run,
    compile_plain,
    csmith_programs,
    execute,
    find_programs,
    reference,
    undefined_behaviour,
)


def build(tools: Toolchain, folder: Path, text: str, name: str = "one.c") -> Path:
    """An executable of plain clang's."""
    (folder / name).write_text(text)
    program = find_programs(folder / name)[0]
    compile_plain(tools.need_clang(), program, folder / "one.o", ["-O0"])
    linker = Linker(tools.need_clang(), folder)
    assert linker.link(folder / "one.o", folder / "one", is_cxx=program.is_cxx) is None
    return folder / "one"


# ---- found


def test_programs_are_found_with_the_flags_they_ask_for(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.c").write_text(
        '/* { dg-do run } */\n/* { dg-options "-O2 -fwrapv -std=gnu89 -Wall -fdump-tree-all" } */\n'
        '/* { dg-additional-options "-DX=1" { target avr-*-* } } */\n/* { dg-additional-options "-DY=2" } */\n'
    )
    (tmp_path / "b.cpp").write_text("// nothing special\n")
    (tmp_path / "c.txt").touch()
    (tmp_path / "check.h").touch()
    b, a = find_programs(tmp_path, ["-DZ"])
    assert (a.name, a.flags, a.is_cxx) == ("deep/a.c", ("-fwrapv", "-std=gnu89", "-DY=2", "-DZ"), False)
    assert (b.name, b.flags, b.is_cxx) == ("b.cpp", ("-DZ",), True)
    assert b.all_flags == (*LENIENT, "-DZ")
    assert find_programs(tmp_path / "b.cpp")[0].name == "b.cpp"
    with pytest.raises(InputError, match="nowhere: no such file or folder of programs"):
        find_programs(tmp_path / "nowhere")


def test_csmith_makes_the_same_programs_again(tmp_path: Path) -> None:
    if shutil.which("csmith") is None or not list(Path("/usr/include").glob("csmith*")):
        pytest.skip("csmith is not installed")
    one, two = csmith_programs(2, 7, tmp_path / "one"), csmith_programs(2, 7, tmp_path / "two")
    assert [program.name for program in one] == ["csmith-7.c", "csmith-8.c"]

    assert [program.path.read_bytes() for program in one] == [program.path.read_bytes() for program in two]
    assert one[0].flags[0].startswith("-I/usr/include")


def test_csmith_that_is_missing_is_told_how_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ToolchainError, match="csmith was not found; apt-get install csmith libcsmith-dev"):
        csmith_programs(1, 0, tmp_path)


# ---- linked


def test_objects_are_linked_by_the_driver_where_its_command_is_unknown(
    tools: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Linker, "_ask", lambda *_: None)
    assert execute(build(tools, tmp_path, "int main(void) { return 5; }"), tmp_path, Limits()).code == 5


def test_cxx_programs_find_the_library_of_their_clang(tools: Toolchain, tmp_path: Path) -> None:
    text = '#include <iostream>\nint main() { try { throw 1; } catch (int) { std::cout << "caught\\n"; } }'
    assert execute(build(tools, tmp_path, text, "one.cpp"), tmp_path, Limits()) == Run(code=0, output=b"caught\n")


# ---- run


def test_limits_hold(tools: Toolchain, tmp_path: Path) -> None:
    text = r"""
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(int n, char **v)
        {
            FILE *which = fopen("which", "r");
            switch (fgetc(which)) {
            case 'm': return malloc(1500u << 20) != NULL;
            case 'f': for (;;) if (puts("filling") < 0) return 9;
            case 't': signal(SIGTERM, SIG_IGN); for (;;) continue;
            case 'c': if (fork() == 0) for (;;) pause(); return 4;
            case 'a': abort();
            case 'i': return getchar() == EOF ? 6 : 7;
            }
            return 0;
        }
    """
    executable = build(tools, tmp_path, text)
    limits = Limits(seconds=1, memory_bytes=512 << 20, file_bytes=1 << 20)

    def ended(which: str) -> Run:
        (tmp_path / "which").write_text(which)
        return execute(executable, tmp_path, limits)

    assert ended("m").code == 0, "more memory than the limit"
    filled = ended("f")
    assert filled.describe() == "killed by SIGXFSZ" and len(filled.output) <= 1 << 20
    started = time.monotonic()
    assert ended("t").describe() == "no end within the time limit"
    assert time.monotonic() - started < 10
    assert ended("c").code == 4
    patience = time.monotonic() + 10
    while any(_links_to(path, executable) for path in Path("/proc").glob("[0-9]*/exe")):
        assert time.monotonic() < patience, "a child outlived the program"
        time.sleep(0.05)
    assert ended("a").describe() == "killed by SIGABRT"
    assert ended("i").code == 6, "standard input is empty"
    assert not list(tmp_path.glob("core*"))


def _links_to(path: Path, executable: Path) -> bool:
    try:
        return path.readlink() == executable
    except OSError:
        return False


def test_runs_are_compared_by_code_and_output() -> None:
    right = Run(code=0, output=b"one\ntwo\n")
    assert Run(code=0, output=b"one\ntwo\n").differs_from(right) is None
    assert Run(code=1, output=b"one\ntwo\n").differs_from(right) == "exit code 1"
    assert Run(code=0, output=b"one\nTWO\n").differs_from(right) == "prints 'TWO' in place of 'two' in line 2"
    assert Run(code=0, output=b"one\n").differs_from(right) == "prints nothing in place of 'two' in line 2"
    assert Run(code=0, output=b"one\ntwo\n\xff").differs_from(right) == "prints '\ufffd' in place of nothing in line 3"


def test_a_reference_is_what_all_plain_builds_do(tools: Toolchain, tmp_path: Path) -> None:
    (tmp_path / "one.c").write_text('#include <stdio.h>\nint main(void) { puts("right"); return 0; }')
    program = find_programs(tmp_path / "one.c")[0]
    linker = Linker(tools.need_clang(), tmp_path)
    found = reference(program, tools.need_clang(), linker, tmp_path, Limits())
    assert found.run == Run(code=0, output=b"right\n")
    assert set(programs.REFERENCES) == {"at -O0", "as -Oz before any pass", "at -Oz"}


def test_a_program_of_coroutines_is_compared_with_its_optimised_build(tools: Toolchain, tmp_path: Path) -> None:
    """Without any pass there is no code of it."""
    program = find_programs(Path(__file__).parent / "programs" / "coroutines.cpp")[0]
    linker = Linker(tools.need_clang(), tmp_path)
    found = reference(program, tools.need_clang(), linker, tmp_path, Limits())
    assert found.run.code == 0 and found.executable.exists()


def test_a_compiler_that_takes_too_long_leaves_the_program_out(
    tools: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "COMPILE_TIMEOUT_SECONDS", 0.001)
    (tmp_path / "one.c").write_text("int main(void) { return 0; }")
    with pytest.raises(LeftOut, match=r"does not compile: over 0\.001 s"):
        compile_plain(tools.need_clang(), find_programs(tmp_path / "one.c")[0], tmp_path / "one.o", ["-O0"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int main(void) { int v[2] = {0}; volatile int at = 5; return v[at]; }", "index 5 out of bounds"),
        ("#include <stdlib.h>\nint main(void) { char *p = malloc(3); free(p); return *p; }", "heap-use-after-free"),
        ("int main(void) { int x; volatile int no = 0; if (no) x = 1; if (x) return 3; return 0; }", None),
        ("int main(void) { unsigned x = 3000000000u; return (int)(x + x) == 1705032704 ? 0 : 1; }", None),
    ],
)
def test_undefined_behaviour_is_found(tools: Toolchain, tmp_path: Path, text: str, said: str | None) -> None:
    (tmp_path / "one.c").write_text(text)
    found = undefined_behaviour(find_programs(tmp_path / "one.c")[0], tools.need_clang(), tmp_path, Limits())
    assert found is None if said is None else found is not None and said in found, found
