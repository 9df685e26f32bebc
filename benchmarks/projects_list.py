"""The projects of projects.py: what to fetch, how to build it at -Oz, what to run, how to count."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Count = Callable[[str], tuple[int, int]]
"""(passed, failed) of the output of a test suite"""


@dataclass(frozen=True, slots=True)
class Source:
    """A Debian source package."""

    package: str
    version: str
    """upstream's"""
    sha256: str
    folder: str = ""
    """beside that of the first source, which needs none"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project. Commands are run by bash in the source folder, with CC, CXX, LAUNCHER and JOBS set."""

    name: str
    sources: tuple[Source, ...]
    configure: tuple[str, ...] = ()
    build: tuple[str, ...]
    """what is timed"""
    test: tuple[str, ...]
    count: Count
    """of what the test commands print, the commands included"""
    linked: tuple[str, ...]
    """patterns of the libraries and executables that are measured"""
    note: str = ""


def lines(passed: str, failed: str = r"\bFAIL") -> Count:
    """Count lines that match."""

    def count(text: str) -> tuple[int, int]:
        found = text.splitlines()
        return sum(bool(re.search(passed, line)) for line in found), sum(
            bool(re.search(failed, line)) for line in found
        )

    return count


def numbers(passed: str, failed: str) -> Count:
    """Add up numbers that the suite prints; each pattern has one group."""

    def count(text: str) -> tuple[int, int]:
        return sum(map(int, re.findall(passed, text))), sum(map(int, re.findall(failed, text)))

    return count


def totals(total: str, failed: str) -> Count:
    """The same where the suite prints how many tests there were, those that failed among them."""

    def count(text: str) -> tuple[int, int]:
        failures = sum(map(int, re.findall(failed, text)))
        return sum(map(int, re.findall(total, text))) - failures, failures

    return count


def ctest(text: str) -> tuple[int, int]:
    """ctest's last words: `100% tests passed, 0 tests failed out of 217`."""
    match = re.search(r"(\d+) tests failed out of (\d+)", text)
    if match is None:
        return 0, 0
    failed, total = map(int, match.groups())
    return total - failed, failed


OZ = 'CC="$CC" CFLAGS=-Oz'
MAKE = "make -j$JOBS"
CONFIGURE = f"./configure {OZ}"
CMAKE = (
    "cmake -S {} -B build -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-Oz -DCMAKE_CXX_FLAGS=-Oz "
    "-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ $LAUNCHER"
)
AUTOMAKE_COUNT = numbers(r"# PASS: +(\d+)", r"# FAIL: +(\d+)")
BZIP2 = 'CC="$CC" CFLAGS="{}-Wall -Winline -Oz -D_FILE_OFFSET_BITS=64"'

# Its makefile compiles and links the test program in one command, which `irwright cc` passes through. The library's
# code is what is tested: the rest of the program is built for speed.
SQLITE_TESTFIXTURE = r"""
python3 - <<'END'
import shlex, subprocess
printed = subprocess.run(["make", "-n", "testfixture"], capture_output=True, text=True, check=True).stdout
command = next(line for line in printed.replace("\\\n", " ").splitlines() if "-o testfixture" in line)
words = shlex.split(command)
flags = shlex.join(word for word in words if word.startswith(("-D", "-I")))
sources = [word for word in words if word.endswith(".c")]
rules = ["objects = " + " ".join(f"fixture-{number}.o" for number, _ in enumerate(sources))]
rules.append("testfixture: $(objects)\n\t$(CC) -o $@ $(objects) -ltcl8.6 -lm -lz -ldl -lpthread")
for number, source in enumerate(sources):
    level = "-Oz" if source.endswith("sqlite3.c") else "-O1"
    rules.append(f"fixture-{number}.o: {source}\n\t$(CC) -w {level} {flags} -c {source} -o $@")
open("testfixture.mk", "w").write("\n".join(rules) + "\n")
END
"""

# As its makefile builds the shell, which the tests run.
SQLITE_FLAGS = "-Oz " + " ".join(
    f"-DSQLITE_{name}"
    for name in (
        "THREADSAFE=1",
        "ENABLE_MATH_FUNCTIONS",
        "ENABLE_FTS4",
        "ENABLE_EXPLAIN_COMMENTS",
        "ENABLE_UNKNOWN_SQL_FUNCTION",
        "ENABLE_STMTVTAB",
        "ENABLE_DBPAGE_VTAB",
        "ENABLE_DBSTAT_VTAB",
        "ENABLE_BYTECODE_VTAB",
        "ENABLE_OFFSET_SQL_FUNC",
    )
)

_RIGHTS = "-dac_override,-dac_read_search"
NO_ROOT = f"$([ $(id -u) != 0 ] || echo setpriv --bounding-set={_RIGHTS} --inh-caps={_RIGHTS})"
"""root without its right to read and write whatever it likes, which tests of permissions take for a fault"""

DASH_TESTS = r"""
cd ../busybox/shell/ash_test
export THIS_SH=$PWD/../../../tree/src/dash
$CC -w recho.c -o recho; $CC -w zecho.c -o zecho; $CC -w printenv.c -o printenv
export PATH=$PWD:$PATH
try() {
  (cd $(dirname $1) && timeout 30 $THIS_SH ./$(basename $1) > ../../out 2>&1 < /dev/null) || true
  cmp -s ../out ${1%.tests}.right
}
for test in ash-[a-y]*/*.tests; do
  if try $test || try $test || try $test || try $test || try $test; then echo "PASS $test"; else echo "FAIL $test"; fi
done
"""

PROJECTS = (
    Project(
        name="zlib",
        sources=(Source("zlib", "1.2.13.dfsg", "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1"),),
        # lld, clang's linker here, insists on symbols that configure's own trial lacks.
        configure=(
            'LDSHARED="$CC -shared -Wl,-soname,libz.so.1,--version-script,zlib.map,--undefined-version" CFLAGS=-Oz '
            "./configure",
        ),
        build=(MAKE,),
        test=("make test",),
        count=lines(r"test OK", r"FAILED"),
        linked=("libz.so.1.2.13", "example", "minigzip"),
    ),
    Project(
        name="bzip2",
        sources=(Source("bzip2", "1.0.8", "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269"),),
        build=(
            f"make -f Makefile-libbz2_so {BZIP2.format('-fpic -fPIC ')}",
            "rm *.o",
            f"{MAKE} {BZIP2.format('')} libbz2.a bzip2 bzip2recover",
        ),
        test=(f"make {BZIP2.format('')} test",),
        count=lines(r"^\tcmp |^cmp ", r"differ|Error"),
        linked=("libbz2.so.1.0.8", "bzip2", "bzip2recover"),
    ),
    Project(
        name="lz4",
        sources=(Source("lz4", "1.9.4", "0b0e3aa07c8c063ddf40b082bdf7e37a1562bda40a0ff5272957f3e987e0e54b"),),
        # The makefile compiles and links the shared library in one command, CMake does not.
        configure=(CMAKE.replace("-B build", "-B build/made").format("build/cmake"),),
        build=(f"{MAKE} -C build/made", f"{MAKE} -C programs {OZ} lz4"),
        test=(f"make -C tests {OZ} test-lz4-essentials && echo all is well",),
        count=lines(r"^all is well", r"\*\*\* \["),
        linked=("build/made/liblz4.so.1.9.4", "programs/lz4"),
        note="its test suite is shell scripts that stop at the first failure: counted as one test",
    ),
    Project(
        name="zstd",
        sources=(Source("libzstd", "1.5.4+dfsg2", "8cf4bbb65e77ec348d052c8d6230eba66d435bddf64c8b5be2fcb16880c19953"),),
        # In the environment: the makefiles add to CFLAGS, which they can't where make was given it.
        build=(
            f'CFLAGS=-Oz {MAKE} -C lib CC="$CC" libzstd',
            f'CFLAGS=-Oz {MAKE} -C programs CC="$CC" zstd',
        ),
        test=(
            f"{MAKE} -C tests CC=clang datagen",
            "cd tests && ZSTD_BIN=../programs/zstd DATAGEN_BIN=./datagen ./playTests.sh && echo all is well",
        ),
        count=lines(r"^===> |^all is well", r"^FAIL"),
        linked=("lib/libzstd.so.1.5.4", "programs/zstd"),
        note="sections of its playTests.sh are counted, which stops at the first failure",
    ),
    Project(
        name="libpng",
        sources=(Source("libpng1.6", "1.6.39", "a00e9d2f2f664186e4202db9299397f851aea71b36a35e74910b8820e380d441"),),
        configure=(f"{CONFIGURE} --disable-static",),
        build=(MAKE,),
        test=("make check",),
        count=AUTOMAKE_COUNT,
        linked=(".libs/libpng16.so.16.39.0", ".libs/pngfix"),
    ),
    Project(
        name="lua",
        sources=(
            Source("lua5.4", "5.4.4", "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61"),
            Source("lua-lpeg", "1.0.2", "48d66576051b6c78388faad09b70493093264588fcd0f258ddaab1cdd4a15ffe", "lpeg"),
        ),
        build=(f'{MAKE} -C src linux CC="$CC -std=gnu99" CFLAGS="-Oz -Wall -DLUA_COMPAT_5_3 -DLUA_USE_LINUX"',),
        test=(
            "make -C src test",
            "cd ../lpeg && $CC -Oz -fPIC -shared -I../tree/src lp*.c -o lpeg.so && ../tree/src/lua test.lua",
        ),
        count=lines(r"^Lua 5\.4|^\+$|^OK$", r"rror"),
        linked=("src/lua", "src/luac"),
        note="its release archive has no tests; those of LPeg, a module in C and Lua, run on it instead",
    ),
    Project(
        name="expat",
        sources=(Source("expat", "2.5.0", "ab00ee05c7067fd10a35c5d2a4922ebba746ddd50ff83b79c828da17bbdf1757"),),
        configure=(CMAKE.format("expat") + " -DEXPAT_BUILD_DOCS=OFF",),
        build=(f"{MAKE} -C build",),
        test=("build/tests/runtests", "build/tests/runtestspp"),
        count=totals(r"Checks: (\d+), Failed: \d+", r"Checks: \d+, Failed: (\d+)"),
        linked=("build/libexpat.so.1.8.10", "build/xmlwf/xmlwf"),
    ),
    Project(
        name="jansson",
        sources=(Source("jansson", "2.14", "c739578bf6b764aa0752db9a2fdadcfe921c78f1228c7ec0bb47fa804c55d17b"),),
        configure=(CMAKE.format(".") + " -DJANSSON_BUILD_DOCS=OFF -DJANSSON_BUILD_SHARED_LIBS=ON",),
        build=(f"{MAKE} -C build",),
        test=("ctest --test-dir build",),
        count=ctest,
        linked=("build/lib/libjansson.so.4.14.0",),
    ),
    Project(
        name="libyaml",
        sources=(Source("libyaml", "0.2.5", "fa240dbf262be053f3898006d502d514936c818e422afdcf33921c63bed9bf2e"),),
        configure=("./bootstrap", f"{CONFIGURE} --disable-static"),
        build=(MAKE,),
        test=("make check",),
        count=AUTOMAKE_COUNT,
        linked=("src/.libs/libyaml-0.so.2.0.9",),
    ),
    Project(
        name="sqlite3",
        sources=(Source("sqlite3", "3.40.1", "aaa776260ab4dc976db34aa7891819484c8676b5b2783123ebc6301e2ca5d655"),),
        configure=(f"{CONFIGURE} --with-tcl=/usr/lib/tcl8.6", "make sqlite3.c shell.c"),
        # The makefile compiles and links in one command.
        build=(
            f"$CC {SQLITE_FLAGS} -fPIC -c sqlite3.c -o library.o",
            f"$CC {SQLITE_FLAGS} -c shell.c -o shell.o",
            "$CC -shared library.o -o libsqlite3.so.0.8.6 -lm && $CC shell.o library.o -o sqlite3 -lm",
        ),
        test=(
            SQLITE_TESTFIXTURE,
            f"{MAKE} -f testfixture.mk testfixture",
            f"{NO_ROOT} ./testfixture test/veryquick.test",
        ),
        count=totals(r"\d+ errors out of (\d+) tests", r"(\d+) errors out of \d+ tests"),
        linked=("libsqlite3.so.0.8.6", "sqlite3"),
        note="the amalgamation, compiled by itself (its makefile compiles and links in one command); of the 255,000 "
        "tests of veryquick.test two fail on the plain build as well",
    ),
    Project(
        name="dash",
        sources=(
            Source("dash", "0.5.12", "6a474ac46e8b0b32916c4c60df694c82058d3297d8b385b74508030ca4a8f28a"),
            Source("busybox", "1.35.0", "faeeb244c35a348a334f4a59e44626ee870fb07b6884d68c10ae8bc19f83a694", "busybox"),
        ),
        configure=(CONFIGURE,),
        build=(MAKE,),
        test=(DASH_TESTS,),
        count=lines(r"^PASS ", r"^FAIL "),
        linked=("src/dash",),
        note="it has no test suite; busybox's tests of its own shell run on it, of which dash passes some; "
        "those of z_slow are left out, and a test that fails is tried five times, since some race with signals",
    ),
    Project(
        name="jsoncpp",
        sources=(Source("libjsoncpp", "1.9.5", "f409856e5920c18d0c2fb85276e24ee607d2a09b5e7d5f0a371368903c275da2"),),
        configure=(CMAKE.format(".") + " -DJSONCPP_WITH_POST_BUILD_UNITTEST=OFF",),
        build=(f"{MAKE} -C build",),
        test=(
            "$(find $PWD/build -name jsoncpp_test -type f)",
            "python3 test/runjsontests.py $(find $PWD/build -name jsontestrunner_exe -type f) test/data",
        ),
        count=numbers(r"All (\d+) tests? passed", r"(\d+)/\d+ tests failed"),
        linked=("build/**/libjsoncpp.so.1.9.5", "build/**/jsontestrunner_exe"),
        note="C++, built with CMake",
    ),
    Project(
        name="fribidi",
        sources=(Source("fribidi", "1.0.8", "94c7b68d86ad2a9613b4dcffe7bbeb03523d63b5b37918bdf2e4ef34195c1e6c"),),
        configure=("meson setup build -Ddocs=false --buildtype=plain -Dc_args=-Oz",),
        build=("ninja -C build -j$JOBS",),
        test=("meson test -C build",),
        count=numbers(r"Ok: +(\d+)", r"Fail: +(\d+)"),
        linked=("build/lib/libfribidi.so.0.4.0", "build/bin/fribidi"),
        note="built with Meson",
    ),
)
