"""Learning compile commands: from a recorded make, from compile_commands.json, by guessing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from irwright.corpus.commands import (
    Command,
    build_kind,
    find_commands,
    guess_commands,
    parse_arguments,
    read_compile_commands,
    wanted,
)
from irwright.corpus.packages import BuildKind, PackageSpec
from irwright.errors import CorpusError


def write(tree: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return tree


def make_spec(build: BuildKind = "make", **more: tuple[str, ...]) -> PackageSpec:
    return PackageSpec(package="foo", version="1", role="training", build=build, **more)


@pytest.fixture(scope="module")
def clang() -> Path:
    beside = Path(sys.executable).with_name("clang")
    found = beside if beside.exists() else shutil.which("clang")
    if found is None:
        pytest.skip("no clang")
    return Path(found)


def test_arguments_keep_meaning_and_drop_the_rest(tmp_path: Path) -> None:
    write(tmp_path, {"src/a.c": "", "config.h": "", "include/x.h": ""})
    words = "-DX=1 -D Y -U Z -I../include -I . -I/usr/include/foo -isystem ../include -include ../config.h -include x.h"
    words += " -std=gnu99 -fPIC -fno-strict-aliasing -msse2 -pthread -O2 -g -Wall -Werror -MD -MF a.d -MT a.o -pipe"
    words += " -flto -fsanitize=address -fforce-mem -fthread-jumps -L../lib -lm -o a.o -c a.c"
    [command] = parse_arguments(words.split(), directory=tmp_path / "src", tree=tmp_path)
    assert command.source == "src/a.c"
    assert list(command.flags) == [
        *("-DX=1", "-DY", "-UZ", "-Iinclude", "-Isrc", "-I/usr/include/foo", "-isystem", "include"),
        *("-include", "config.h", "-include", "x.h", "-std=gnu99", "-fPIC", "-fno-strict-aliasing", "-msse2"),
        "-pthread",
    ]


def test_arguments_that_compile_nothing_here(tmp_path: Path) -> None:
    write(tmp_path, {"a.c": "", "b.c": ""})
    parse = lambda text: parse_arguments(text.split(), directory=tmp_path, tree=tmp_path)  # noqa: E731
    assert [command.source for command in parse("-o p a.c b.c")] == ["a.c", "b.c"], "compile and link at once"
    assert parse("-o p a.o b.o") == []
    assert parse("-c missing.c") == []
    assert parse("-c /etc/other.c") == []
    assert parse("-c ../outside.c") == []
    assert parse("-E a.c") == parse("-MM a.c") == parse("-S a.c") == []
    assert parse("-c a.c -I") == [Command(source="a.c", flags=("-I.",))]


def test_compile_commands(tmp_path: Path) -> None:
    write(tmp_path, {"a.c": "", "b d/b.c": "", "c.cpp": ""})
    path = tmp_path / "compile_commands.json"
    entries = [
        {"directory": str(tmp_path), "file": "a.c", "command": "cc -DA='\"x y\"' -O2 -c a.c -o a.o"},
        {"directory": str(tmp_path / "b d"), "file": "b.c", "arguments": ["cc", "-I..", "-c", "b.c"]},
        {"directory": str(tmp_path), "file": "c.cpp", "command": "c++ -c c.cpp"},
    ]
    path.write_text(json.dumps(entries))
    assert read_compile_commands(path, tmp_path) == [
        Command(source="a.c", flags=('-DA="x y"',)),
        Command(source="b d/b.c", flags=("-I.",)),
        Command(source="c.cpp", flags=()),
    ]


@pytest.mark.parametrize("text", ["{", "", "[1]", '[{"command": "cc"}]', '[{"directory": "/", "command": "\'"}]'])
def test_broken_compile_commands(tmp_path: Path, text: str) -> None:
    path = tmp_path / "compile_commands.json"
    path.write_text(text)
    with pytest.raises(CorpusError, match=r"is no compile_commands.json \(.*\); run cmake again"):
        read_compile_commands(path, tmp_path)


@pytest.mark.parametrize(
    "source",
    ["a.c", "src/deflate.c", "lib/latest.c", "src/contest.c", "src/checksum.c", "lib/winner.c", "document/a.c"],
)
def test_wanted(source: str) -> None:
    assert wanted(source)


@pytest.mark.parametrize(
    "source",
    [
        *("a.h", "tests/a.c", "src/test/a.c", "Examples/a.c", "ossfuzz/a.c", "fuzzing/a.c", "src/win32/a.c"),
        *("test_a.c", "a-test.c", "fuzz_a.c", "a_fuzzer.c", "contrib/x/a.c", "lib/gnulib/a.c", "conftest.c"),
        "b/CMakeFiles/3.25/CompilerIdC/a.c",
    ],
)
def test_not_wanted(source: str) -> None:
    assert not wanted(source)


def test_skip_patterns() -> None:
    assert not wanted("lib/a.c", ["lib/*"])
    assert not wanted("lib/x/a.c", ["lib/*"])
    assert wanted("src/lib/a.c", ["lib/*"])


def test_guess_finds_the_folders_of_headers(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "src/a.c": '#include "foo/a.h"\n # include <deep.h>\n#include <stdio.h>\n',
            "include/foo/a.h": "",
            "x/y/deep.h": "",
            "unused/never.h": "",
            "tests/stdio.h": "",
            "config.h": "",
        },
    )
    assert guess_commands(tmp_path) == [
        Command(source="src/a.c", flags=("-DHAVE_CONFIG_H", "-Iinclude", "-I.", "-Ix/y"))
    ]


MAKEFILE = """
CFLAGS = -O2 -Wall -Ibuild
all: a.o sub/b.o tests/t.o made.o tool
made.c: generate
\t./generate >made.c
generate: generate.c
\t$(CC) $(CFLAGS) generate.c -o generate
tool: ; $(CC) -DTOOL a.c c.c -o tool
%.o: %.c ; $(CC) $(CFLAGS) -c $< -o $@
"""


def test_make_is_watched(tmp_path: Path, clang: Path) -> None:
    tree = write(
        tmp_path / "tree",
        {
            "Makefile": MAKEFILE,
            "a.c": "int a(void) { return 1; }",
            "sub/b.c": "this does not compile",
            "c.c": "",
            "tests/t.c": "int t;",
            "generate.c": '#include <stdio.h>\nint main(void) { puts("int made(void) { return 2; }"); }',
        },
    )
    commands = find_commands(make_spec(flags=("-DMORE",)), tree, clang=clang, log=tmp_path / "log")
    assert commands == [
        Command(source="a.c", flags=("-DTOOL", "-DMORE")),
        Command(source="c.c", flags=("-DTOOL", "-DMORE")),
        Command(source="generate.c", flags=("-Ibuild", "-DMORE")),
        Command(source="made.c", flags=("-Ibuild", "-DMORE")),
        Command(source="sub/b.c", flags=("-Ibuild", "-DMORE")),
    ]
    assert "$ make -k CC=" in (tmp_path / "log").read_text()


def test_configure_runs_first_and_is_not_recorded(tmp_path: Path, clang: Path) -> None:
    script = (
        "#!/bin/sh\nread answer\necho 'int x;' >conf.c; $CC -c conf.c && echo \"a.o: a.c; $CC $1 -c a.c\" >Makefile\n"
    )
    tree = write(tmp_path / "tree", {"configure": script, "a.c": "int a;"})
    spec = make_spec("configure", configure=("-DCONFIGURED",))
    commands = find_commands(spec, tree, clang=clang, log=tmp_path / "log")
    assert commands == [Command(source="a.c", flags=("-DCONFIGURED",))]


STOOD_IN = """all: prog made.c lib/liba.a
prog: a.o sub/b.o
\t$(CC) -o prog a.o sub/b.o
a.o: a.c
\t$(CC) -DTOOL -MMD -MFa.d -MT a.o -c a.c && test -f a.d
sub/b.o: sub/b.c
\tcd sub && $(CC) -o b.o -c b.c
lib/liba.a: a.o
\tmkdir -p lib && $(CC) -c -olib/c.o c.c && ar rcs lib/liba.a lib/c.o a.o
made.c: prog
\t./prog > made.c
\t./configure && $(CC) -c made.c -DMADE
"""


def test_stand_ins_are_not_compiled_but_link_and_configure_tries_are_real(tmp_path: Path, clang: Path) -> None:
    broken = "this does not compile"
    script = f'#!/bin/sh\necho "{broken}" >conftest.c\n$CC -c conftest.c || echo real >found\n'
    files = {"Makefile": STOOD_IN, "a.c": broken, "sub/b.c": broken, "c.c": broken, "configure": script}
    tree = write(tmp_path / "tree", files)
    (tree / "configure").chmod(0o755)
    spec = PackageSpec(package="foo", version="1", role="training", build="make", stand_ins=True)
    commands = find_commands(spec, tree, clang=clang, log=tmp_path / "log")
    assert [command.source for command in commands] == ["a.c", "c.c", "made.c", "sub/b.c"]
    assert commands[0].flags == ("-DTOOL",) and commands[2].flags == ("-DMADE",)
    assert (tree / "prog").exists() and (tree / "lib/liba.a").exists() and (tree / "found").read_text() == "real\n"
    log = (tmp_path / "log").read_text()
    assert log.endswith("exit 0\n") and "a.c:" not in log, log


def test_configure_may_have_another_name_and_be_told_the_compiler(tmp_path: Path, clang: Path) -> None:
    script = '#!/bin/sh\necho "a.o: a.c; $1 -DOTHER -c a.c" | sed s/--cc=// >Makefile\n'
    tree = write(tmp_path / "tree", {"config": script, "a.c": "int a;"})
    spec = PackageSpec(
        package="foo", version="1", role="training", build="configure", script="config", configure=("--cc={cc}",)
    )
    commands = find_commands(spec, tree, clang=clang, log=tmp_path / "log")
    assert commands == [Command(source="a.c", flags=("-DOTHER",))]


def test_a_build_that_compiles_nothing(tmp_path: Path, clang: Path) -> None:
    tree = write(tmp_path / "tree", {"configure": "#!/bin/sh\necho no zlib\nexit 1\n", "a.c": "int a;"})
    spec = make_spec("configure", needs=("zlib1g-dev",))
    with pytest.raises(CorpusError, match=r"^the build of package 'foo' compiled nothing; it needs zlib1g-dev; see /"):
        find_commands(spec, tree, clang=clang, log=tmp_path / "log")
    assert "no zlib\nexit 1\n" in (tmp_path / "log").read_text()


def test_missing_configure_script(tmp_path: Path, clang: Path) -> None:
    tree = write(tmp_path / "tree", {"a.c": "int a;"})
    with pytest.raises(
        CorpusError, match=r"^package 'foo' has no configure script in '.'; correct its 'build', 'root' or 'script' in "
    ):
        find_commands(make_spec("configure"), tree, clang=clang, log=tmp_path / "log")


def test_missing_tool(tmp_path: Path, clang: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match=r"^package 'foo' is built with make, which was not found; install make$"):
        find_commands(make_spec(), tmp_path, clang=clang, log=tmp_path / "log")


def test_a_hanging_build_is_killed(tmp_path: Path, clang: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irwright.corpus.commands._MAKE_SECONDS", 1)
    tree = write(tmp_path / "tree", {"Makefile": "all:\n\t$(CC) -c a.c\n\tsleep 60\n", "a.c": "int a;"})
    commands = find_commands(make_spec(), tree, clang=clang, log=tmp_path / "log")
    assert [command.source for command in commands] == ["a.c"], "what was compiled until then counts"
    assert "killed after 1 s" in (tmp_path / "log").read_text()


CXX_MAKEFILE = "all: a.o b.o\n%.o: %.c ; $(CC) -c $< -o $@\n%.o: %.cc ; $(CXX) -DN -c $< -o $@\n"


def test_cxx_is_recorded_where_the_package_says_so(tmp_path: Path, clang: Path) -> None:
    write(tmp_path, {"Makefile": CXX_MAKEFILE, "a.c": "int a;\n", "b.cc": "int b(int x) { return x; }\n"})
    found = find_commands(make_spec(cxx=True), tmp_path, clang=clang, log=tmp_path / "log")  # type: ignore[arg-type]
    assert found == [Command(source="a.c", flags=()), Command(source="b.cc", flags=("-DN",))]
    for made in tmp_path.glob("*.o"):
        made.unlink()
    assert [c.source for c in find_commands(make_spec(), tmp_path, clang=clang, log=tmp_path / "log")] == ["a.c"]
    assert wanted("src/x.cpp", cxx=True) and not wanted("src/x.cpp") and not wanted("tests/x.cpp", cxx=True)


def test_auto_looks_what_there_is(tmp_path: Path) -> None:
    assert build_kind(tmp_path) == "guess"
    for sign, kind in (("Makefile", "make"), ("meson.build", "meson"), ("CMakeLists.txt", "cmake")):
        write(tmp_path, {sign: ""})
        assert build_kind(tmp_path) == kind
    write(tmp_path, {"configure": ""})
    assert build_kind(tmp_path) == "configure"
