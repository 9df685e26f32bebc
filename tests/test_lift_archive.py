"""Static libraries, names of C++, the command, the HTML page."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import irwright
from irwright.cli import cli
from irwright.errors import InputError, IrwrightError, NoFunctionError
from irwright.lift.archives import members
from irwright.lift.demangle import demangled
from irwright.lift.disassembler import LiftSettings, disassemble_archive
from irwright.lift.report import report_page
from irwright.lift.verdicts import LiftedFunction, LiftResult, Verdict
from irwright.llvm.toolchain import find

QUICK = LiftSettings(budget=1, verify=False)
SOURCES = {
    "one": "int one(int x) { return x * 3; }",
    "two": "static int table[4] = {1, 2, 3, 4}; extern int one(int); int two(int x) { return table[one(x) & 3]++; }",
    "data": "int numbers[3] = {7, 8, 9};",
}


def ar_member(name: str, body: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(body):<10}`\n".encode()
    return header + body + b"\n" * (len(body) & 1)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    content = b"!<arch>\n"
    for name, text in SOURCES.items():
        source = folder / f"{name}.c"
        source.write_text(text)
        subprocess.run([str(find().need_clang()), "-Oz", "-c", str(source), "-o", str(folder / "x.o")], check=True)
        content += ar_member(f"{name}.o/", (folder / "x.o").read_bytes())
    (folder / "libx.a").write_bytes(content)
    return folder / "libx.a"


def test_each_member_is_lifted_and_links(library: Path, tmp_path: Path) -> None:
    result = irwright.disassemble_archive(library, settings=QUICK)
    assert [member.file for member in result.members] == ["one.o", "two.o", "data.o"]
    assert result.totals["functions"] == 2
    assert not result.problems
    done = CliRunner().invoke(
        cli, ["disassemble", str(library), "-o", f"{tmp_path}/out/", "--no-verify", "--budget", "1"]
    )
    assert done.exit_code == 0, done.output
    assert "3 members, 2 functions" in done.output
    clang = str(find().need_clang())
    main = tmp_path / "main.c"
    main.write_text("extern int two(int); extern int numbers[]; int main(void) { return two(2) + numbers[1]; }\n")
    modules = [str(path) for path in sorted((tmp_path / "out").glob("*.ll"))]
    subprocess.run([clang, "-w", *modules, str(main), "-o", str(tmp_path / "main")], check=True)
    assert subprocess.run([tmp_path / "main"], check=False).returncode == 3 + 8


def test_a_member_that_is_no_object_is_named(library: Path) -> None:
    data = library.read_bytes() + ar_member("note.txt/", b"just text\n") + ar_member("lto.o/", b"BC\xc0\xde....")
    result = disassemble_archive(data, name="libx.a", settings=QUICK)
    assert [name for name, _ in result.problems] == ["note.txt", "lto.o"]
    assert "is LLVM bitcode (-flto), so it is IR already" in result.problems[1][1]
    assert len(result.members) == 3


def test_one_function_of_a_library(library: Path) -> None:
    result = disassemble_archive(library, settings=LiftSettings(budget=1, verify=False, function="two"))
    assert [(m.file, [one.function for one in m.functions]) for m in result.members] == [("two.o", ["two"])]
    with pytest.raises(NoFunctionError, match="has no function 'three' in any of its members"):
        disassemble_archive(library, settings=LiftSettings(budget=1, verify=False, function="three"))


def test_an_archive_of_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^libx\.a: has no functions in any of its members$"):
        disassemble_archive(b"!<arch>\n", name="libx.a", settings=QUICK)


def test_json_of_a_library_and_of_an_object(library: Path) -> None:
    arguments = ["--json", "--no-verify", "--budget", "1"]
    done = json.loads(CliRunner().invoke(cli, ["disassemble", str(library), *arguments]).stdout)
    assert set(done) == {"file", "target", "members", "problems", "totals", "seconds"}
    content = dict(members(library.read_bytes(), "libx.a"))["one.o"]
    one = json.loads(CliRunner().invoke(cli, ["disassemble", "-", *arguments], input=content).stdout)
    assert set(one) == {"file", "target", "functions", "totals", "seconds"}
    assert one["file"] == "<stdin>"
    assert set(one["functions"][0]) >= {"function", "verdict", "similarity", "num_variants", "seconds", "reason"}
    assert one["functions"][0]["verdict"] == "exact"


def test_members_of_every_kind_of_archive() -> None:
    names = b"a_member_with_a_long_name.o/\n"
    bsd = ar_member("#1/12", b"long name.o\0" + b"body")
    data = b"!<arch>\n" + ar_member("/", b"index") + ar_member("//", names) + ar_member("/0", b"x") + bsd
    data += ar_member("same.o/", b"1") + ar_member("same.o/", b"2")
    assert members(data, "x.a") == [
        ("a_member_with_a_long_name.o", b"x"),
        ("long name.o", b"body"),
        ("same.o", b"1"),
        ("same.o.2", b"2"),
    ]
    with pytest.raises(InputError, match="is a thin archive, whose members lie in other files"):
        members(b"!<thin>\n", "x.a")
    with pytest.raises(InputError, match="the member at byte 8 ends past the end of the file"):
        members((b"!<arch>\n" + ar_member("x.o/", b"body"))[:-2], "x.a")


@given(st.binary(max_size=200), st.integers(-(10**9), 10**9))
def test_any_archive_gives_members_or_an_error(tail: bytes, size: int) -> None:
    header = b"x.o/".ljust(48) + str(size).encode().ljust(10)[:10] + b"`\n"
    try:
        assert len(members(b"!<arch>\n" + header + tail, "x.a")) <= 4
    except IrwrightError as error:
        assert str(error)


def test_names_of_cpp() -> None:
    assert demangled("_ZNK3geo1P3sumEv") == "geo::P::sum() const"
    assert demangled("_Z3fooi.part.0") == "foo(int) [.part.0]"
    assert demangled("main") == ""
    assert demangled("_Z" + "N" * 5000) == ""
    text = ".globl _Z3fooi\n.type _Z3fooi,@function\n_Z3fooi:\n\tleal\t1(%rdi), %eax\n\tretq\n"
    for asked in ("_Z3fooi", "foo(int)", "foo"):
        settings = LiftSettings(budget=1, verify=False, function=asked)
        (one,) = irwright.disassemble(text, name="f.s", settings=settings).functions
        assert (one.function, one.demangled) == ("_Z3fooi", "foo(int)")


def test_the_page_holds_all_and_ends_no_script() -> None:
    one = LiftedFunction(
        function="f</script><b>",
        verdict=Verdict.EQUIVALENT,
        similarity=0.5,
        num_variants=1,
        seconds=0.1,
        reason="",
        num_instructions=2,
        original=("movl $1, %eax", "retq"),
        recompiled=("xorl %eax, %eax", "retq"),
        ir="define i32 @f() {\n}",
    )
    result = LiftResult(file="a<b.s", target="x86_64", ir="", asm="", functions=(one,), seconds=1.0)
    page = report_page([result], result.file)
    assert page.count("</script>") == 2
    assert "<title>a&lt;b.s</title>" in page
    assert not re.search(r"(src|href)=|https?:", page)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    (function,) = data["functions"]
    assert function["function"] == "f</script><b>"
    assert function["pairs"] == [[0, 0, 1, 0, 1], [1, 1, 2, 1, 2]]


def test_big_and_foreign_files_get_one_line(tmp_path: Path) -> None:
    sparse = tmp_path / "big.s"
    with sparse.open("wb") as file:
        file.truncate(100 << 20)
    done = CliRunner().invoke(cli, ["disassemble", str(sparse)])
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == f"{sparse}: has more than 64 MiB; larger files are not lifted"
    packed = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", 2, 62, 1) + b"UPX!" * 100
    with pytest.raises(InputError, match=r"is no well-formed ELF object|is linked already"):
        irwright.disassemble(packed, name="packed")
