"""Suites: small folders laid out like the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from irwright.corpus.modules import Record, write_manifest
from irwright.corpus.store import add, open_corpus
from irwright.errors import InputError
from irwright.evaluation.layouts import EMBENCH, MIBENCH, POLYBENCH
from irwright.evaluation.suites import Suite, read_suite
from irwright.intake.sources import Intake
from irwright.intake.trees import Project
from irwright.llvm.clang import seed_bitcode
from irwright.llvm.toolchain import find

GOOD = "int {0}(int n) {{ int sum = 0; for (int i = 0; i < n; i++) sum += i * {1}; return sum; }}\n"
OLD = "old(a, b) char *a; { register i = a; return a[b] + i; }\nint *none(p) char *p; { if (!p) return; return p; }\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def read(name: str) -> Suite:
    return read_suite(name, clang=find().need_clang(), jobs=2)


def named(suite: Suite) -> list[tuple[str, str]]:
    return [(module.project, module.path) for module in suite.modules]


def test_a_folder(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "one.c": GOOD.format("one", 1),
            "tests/two.c": '#include "three.h"\n' + GOOD.format("two", 2),
            "lib/deep/three.cpp": GOOD.format("three", 3),
            "include/three.h": "int three(int);\n",
            "broken.c": "#include <no_such_header.h>\n",
            "notes.txt": "nothing",
        },
    )
    suite = read(str(tmp_path))
    assert named(suite) == [("lib", "lib/deep/three.cpp"), ("one.c", "one.c"), ("tests", "tests/two.c")]
    assert all(module.data.startswith(b"BC") for module in suite.modules)
    assert suite.problems == (("broken.c", "'no_such_header.h' file not found"),)


def test_a_compilation_database_decides(tmp_path: Path) -> None:
    write(tmp_path, {"one.c": "int f(void) { return ONE; }\n", "two.c": GOOD.format("two", 2)})
    entry = {"directory": str(tmp_path), "file": "one.c", "command": "cc -DONE=1 -c one.c"}
    (tmp_path / "compile_commands.json").write_text(json.dumps([entry]))
    assert named(read(str(tmp_path))) == [("one.c", "one.c")]


def test_what_is_no_suite(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"is no suite: there is no C or C\+\+ in it"):
        read(str(empty))
    with pytest.raises(InputError, match=r"no such suite; give a folder, or mibench:\.\.\., embench:"):
        read("spec:2017")
    with pytest.raises(InputError, match="there is no folder"):
        read(f"mibench:{tmp_path}/none")
    with pytest.raises(InputError, match="is no such suite: it has none of the folders 'automotive/basicmath'"):
        read(f"mibench:{empty}")
    with pytest.raises(InputError, match="unknown split 'test'"):
        read("corpus:test")
    broken = write(tmp_path / "broken", {"a.c": "int f(\n"})
    with pytest.raises(InputError, match=r"holds nothing to evaluate, of 1 sources none compiles: a\.c: expected"):
        read(str(broken))


MIBENCH_NAMES = (
    "basicmath bitcount qsort susan jpeg lame mad tiff typeset dijkstra patricia ghostscript ispell rsynth sphinx"
    " stringsearch blowfish pgp rijndael sha CRC32 FFT adpcm gsm"
)


def test_mibench(tmp_path: Path) -> None:
    assert [benchmark.name for benchmark in MIBENCH] == MIBENCH_NAMES.split()
    files = {f"automotive/{name}/{name}.c": OLD for name in ("basicmath", "bitcount", "qsort")}
    files |= {
        "network/patricia/patricia_test.c": '#include "patricia.h"\n' + OLD,
        "network/patricia/patricia.h": "extern int old();\n",
        "consumer/jpeg/jpeg-6a/jcapi.c": '#include "jinclude.h"\n' + OLD,
        "consumer/jpeg/jpeg-6a/jinclude.h": "\n",
        "consumer/jpeg/jpeg-6a/jmemdos.c": "#error other system\n",
        "consumer/tiff-v3.5.4/libtiff/tif_dir.c": '#include "tiffio.h"\n' + OLD,
        "consumer/tiff-v3.5.4/libtiff/include/tiffio.h": "\n",
        "consumer/tiff-v3.5.4/contrib/addtiffo/addtiffo.c": "#error contributed\n",
        "consumer/tiff-data/small.tif": "",
        "consumer/typeset/lout-3.24/z01.c": "#if OS_UNIX\nchar *dir() { return LIB_DIR; }\n#endif\n",
        "office/sphinx/src/libsphinx2/lm.c": "#include <sphinx_config.h>\n",
        "security/pgp/src/pgp.c": "#ifdef PORTABLE\n" + OLD + "#endif\n",
        "telecomm/gsm/src/add.c": OLD,
        "telecomm/gsm/tst/run.c": "#error a test\n",
    }
    suite = read(f"mibench:{write(tmp_path, files)}")
    projects = [project for project, _ in named(suite)]
    assert projects == sorted(["basicmath", "bitcount", "qsort", "patricia", "jpeg", "tiff", "typeset", "pgp", "gsm"])
    assert ("tiff", "consumer/tiff-v3.5.4/libtiff/tif_dir.c") in named(suite)
    problems = dict(suite.problems)
    assert problems["office/sphinx/src/libsphinx2/lm.c"] == "'sphinx_config.h' file not found"
    assert problems["susan"] == "there is no folder 'automotive/susan'"
    assert len(suite.benchmarks) == 24
    assert len(problems) == 1 + 24 - 10


def test_mibench_below_another_folder(tmp_path: Path) -> None:
    write(tmp_path, {"C/automotive/susan/susan.c": OLD})
    assert named(read(f"mibench:{tmp_path}")) == [("susan", "C/automotive/susan/susan.c")]


def test_embench(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "src/crc32/crc_32.c": '#include "support.h"\nint benchmark(void) { return 145 * CPU_MHZ * WARMUP_HEAT; }\n',
            "src/cubic/libcubic.c": '#include "snipmath.h"\n' + GOOD.format("cubic", 3),
            "src/cubic/snipmath.h": "\n",
            "src/mnist-densenet/src/core/nnom.c": '#include "nnom.h"\nint save = USE_NNOM_OUTPUT_SAVE;\n',
            "src/mnist-densenet/inc/nnom.h": '#include "nnom_port.h"\n',
            "src/mnist-densenet/port/nnom_port.h": "\n",
            "support/support.h": "int rand_beebs(void);\n",
            "support/main.c": "int main(void) { return 0; }\n",
        },
    )
    suite = read(f"embench:{tmp_path}")
    assert named(suite) == [
        ("crc32", "src/crc32/crc_32.c"),
        ("cubic", "src/cubic/libcubic.c"),
        ("mnist-densenet", "src/mnist-densenet/src/core/nnom.c"),
    ]
    assert len(suite.problems) == len(EMBENCH) - 3


def test_polybench(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "linear-algebra/blas/gemm/gemm.c": '#include <polybench.h>\n#include "gemm.h"\n' + GOOD.format("gemm", 3),
            "linear-algebra/blas/gemm/gemm.h": "\n",
            "stencils/jacobi-1d/jacobi-1d.c": "#include <polybench.h>\n" + GOOD.format("jacobi", 3),
            "utilities/polybench.h": "#define POLYBENCH\n",
            "utilities/polybench.c": "#error not a benchmark\n",
        },
    )
    suite = read(f"polybench:{tmp_path}")
    assert [project for project, _ in named(suite)] == ["gemm", "jacobi-1d"]
    assert len(POLYBENCH) == 30


def test_debian_packages(tmp_path: Path) -> None:
    compiler = find().need_clang()
    folder = tmp_path / "corpus" / "tiny" / "1.0"
    files = {"a.c": GOOD.format("f", 1), "b.c": GOOD.format("f", 1), "lib/c.c": GOOD.format("g", 2)}
    tree = write(folder, files)
    records: list[Record] = []
    for name in files:
        data = seed_bitcode(compiler, Path(name), ["-g0"], directory=tree)
        (tree / f"{name}.bc").write_bytes(data)
        about = {"package": "tiny", "version": "1.0", "role": "heldout", "path": name, "flags": (), "num_functions": 1}
        hashes = {"sha256": "0", "source_sha256": "0", "content_sha256": "0", "functions": ()}
        records.append(Record(bitcode=f"corpus/tiny/1.0/{name}.bc", **about, **hashes))  # type: ignore[arg-type]
    write_manifest(folder / "manifest.jsonl", records)
    (folder / "build.json").write_text("{}")
    suite = read_suite("debian:tiny", clang=compiler, cache=tmp_path)
    assert [module.project for module in suite.modules] == ["tiny"] * len(suite.modules)
    assert {module.path for module in suite.modules} == set(files)


def test_a_split_of_a_corpus(tmp_path: Path) -> None:
    toolchain = find()
    corpus = open_corpus(tmp_path / "corpus")
    f = GOOD.format("f", 1)
    heldout = {"a.c": f + GOOD.format("g", 2), "b.c": f + GOOD.format("h", 3)}
    for split, files in (("heldout", heldout), ("train", {"c.c": GOOD.format("t", 5)})):
        tree = write(tmp_path / split, files)
        project = Project(name=split, split=split)  # type: ignore[arg-type]
        intake = Intake(clang=toolchain.need_clang(), project=project, cache=tmp_path)
        modules = intake.modules([str(tree)])
        add(corpus, modules, library=toolchain.library.path, llvm="22", jobs=1)
    suite = read(f"corpus:heldout:{tmp_path / 'corpus'}")
    assert named(suite) == [("heldout", "a.c"), ("heldout", "b.c")]
    # f of the second file is a copy.
    assert [module.functions for module in suite.modules] == [{"f", "g"}, {"h"}]
    with pytest.raises(InputError, match="no train modules"):
        read(f"corpus:train:{tmp_path / 'none'}")
