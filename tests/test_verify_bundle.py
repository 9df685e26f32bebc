"""Bundles: every build inside runs as it runs alone, and what a bundle might change stays out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irwright.llvm.toolchain import Toolchain
from irwright.verify.bundle import MAX_LOADED_BYTES, Bundler, exported, with_suffix
from irwright.verify.programs import Limits, Linker, Run, compile_plain, execute, find_programs

COUNTS = """
#include <stdio.h>
#include <stdlib.h>
int total = START;
int common[4];
__attribute__((weak)) int step(int by) { return total += by; }
__attribute__((section("kept_here"))) int placed = 7;
static _Thread_local int local = START;
int main(int count, char **words) {
    if (count != 1 || words[1] != NULL) return 9;
    common[3] = step(3) + placed + ++local;
    printf("%d\\n", common[3]);
    exit(START % 3);
}
"""


def build(tools: Toolchain, folder: Path, text: str, *flags: str, name: str = "one.c") -> bytes:
    """An object of plain clang's."""
    (folder / name).write_text(text)
    compile_plain(tools.need_clang(), find_programs(folder / name, flags)[0], folder / "one.o", ["-Oz"])
    return (folder / "one.o").read_bytes()


def bundler(tools: Toolchain, folder: Path) -> Bundler:
    clang = tools.need_clang()
    return Bundler(clang, Linker(clang, folder), folder)


def link(tools: Toolchain, folder: Path, builds: list[bytes], kept: frozenset[bytes] = frozenset()) -> dict[int, str]:
    return bundler(tools, folder).link(builds, folder / "bundle", is_cxx=False, kept=kept)


def test_every_build_runs_as_it_does_alone(tools: Toolchain, tmp_path: Path) -> None:
    starts = (10, 200, 3000, 17)
    builds = [build(tools, tmp_path, COUNTS, f"-DSTART={start}") for start in starts]
    inside = link(tools, tmp_path, builds)
    assert list(inside) == [0, 1, 2, 3]
    for index, start in enumerate(starts):
        expected = Run(code=start % 3, output=f"{start + 3 + 7 + start + 1}\n".encode())
        assert execute(tmp_path / "bundle", tmp_path, Limits(), [inside[index]]) == expected
        (tmp_path / "one.o").write_bytes(builds[index])
        assert Linker(tools.need_clang(), tmp_path).link(tmp_path / "one.o", tmp_path / "one", is_cxx=False) is None
        assert execute(tmp_path / "one", tmp_path, Limits()) == expected


def test_exceptions_are_caught_by_their_own_build(tools: Toolchain, tmp_path: Path) -> None:
    text = (
        "struct Base { virtual ~Base() {} virtual int what() { return N; } };\n"
        "struct Derived : Base { int what() override { return N + 1; } };\n"
        "int main() { try { throw Derived(); } catch (Base &caught) { return caught.what(); } }\n"
    )
    builds = [build(tools, tmp_path, text, f"-DN={number}", name="one.cpp") for number in (3, 5)]
    inside = bundler(tools, tmp_path).link(builds, tmp_path / "bundle", is_cxx=True, kept=frozenset())
    codes = [execute(tmp_path / "bundle", tmp_path, Limits(), [inside[index]]).code for index in (0, 1)]
    assert codes == [4, 6]


@pytest.mark.parametrize(
    "text",
    [
        "volatile int ran; __attribute__((constructor)) static void go(void) { ran++; } int main(void) { return 0; }",
        f"char large[{MAX_LOADED_BYTES}]; int main(void) {{ return large[0]; }}",
        'extern char __start_here[]; __attribute__((section("here"))) int a; int main(void) { return *__start_here; }',
        "int other(void) { return 0; }",
        "void *looked_for(void) { return 0; } int main(void) { return 0; }",
    ],
)
def test_what_a_bundle_might_change_stays_out(tools: Toolchain, tmp_path: Path, text: str) -> None:
    right = build(tools, tmp_path, "int main(void) { return 0; }")
    other = build(tools, tmp_path, text)
    assert list(link(tools, tmp_path, [right, other, right], frozenset([b"looked_for"]))) == [0, 2]


def test_without_two_builds_that_link_there_is_no_bundle(tools: Toolchain, tmp_path: Path) -> None:
    right = build(tools, tmp_path, "int main(void) { return 0; }")
    broken = build(tools, tmp_path, "int missing(void); int main(void) { return missing(); }")
    assert link(tools, tmp_path, [right]) == {}
    assert link(tools, tmp_path, [right, b"no object"]) == {}
    assert link(tools, tmp_path, [right, broken]) == {}


def test_what_a_program_offers_to_libraries(tools: Toolchain, tmp_path: Path) -> None:
    """A malloc of the program's own is the C library's too."""
    text = "#include <stddef.h>\nvoid *malloc(size_t size) { return NULL; }\nint hidden; int main(void) { return 0; }"
    (tmp_path / "one.o").write_bytes(build(tools, tmp_path, text))
    assert Linker(tools.need_clang(), tmp_path).link(tmp_path / "one.o", tmp_path / "one", is_cxx=False) is None
    found = exported((tmp_path / "one").read_bytes())
    assert b"malloc" in found and not found & {b"hidden", b"main"}


@given(data=st.data())
def test_broken_objects_stay_out(data: st.DataObject, an_object: bytes) -> None:
    changed = bytearray(an_object)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    result = with_suffix(bytes(changed[: data.draw(st.integers(0, len(changed)))]), b"$1", frozenset())
    assert result is None or len(result) >= len(b"main$1")


@pytest.fixture(scope="module")
def an_object(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tools, tmp_path_factory.mktemp("object"), COUNTS, "-DSTART=1")
