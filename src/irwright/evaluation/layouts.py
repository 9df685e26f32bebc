"""How known benchmark suites are laid out: their benchmarks by name, where each is, and what it wants of a compiler.

A benchmark's sources are all C files below its folder but those of other systems, which `without` names. `around` are
folders beside it whose headers it includes. A folder with a compile_commands.json is compiled as that says instead.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

_OLD = (
    *("-std=gnu89", "-fcommon", "-Wno-int-conversion", "-Wno-incompatible-pointer-types", "-Wno-return-mismatch"),
    "-Wno-incompatible-function-pointer-types",
)
"""C of the nineties, which compilers took with a warning then and refuse now"""
_OTHER_SYSTEMS = ("*win32*", "*Dll*", "*msdos*", "*vms*", "*/mac/*", "*amiga*", "*acorn*", "*atari*", "*os2*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark of a suite."""

    name: str
    folders: tuple[str, ...]
    """patterns, relative to the suite; the first that is there"""
    flags: tuple[str, ...] = ()
    around: tuple[str, ...] = ()
    """patterns of folders with headers, relative to the suite"""
    without: tuple[str, ...] = ()
    """patterns of sources, relative to the benchmark"""

    def wants(self, source: str) -> bool:
        """A source belongs to the benchmark."""
        return not any(fnmatch.fnmatchcase(source, pattern) for pattern in self.without)


def _mibench(place: str, *flags: str, root: str = "", without: tuple[str, ...] = ()) -> Benchmark:
    """One of MiBench, `CATEGORY/NAME`; its category may stand below a folder, as in some forks."""
    name = place.partition("/")[2]
    folder = root or place
    return Benchmark(
        name=name, folders=(folder, f"*/{folder}"), flags=(*_OLD, *flags), without=(*_OTHER_SYSTEMS, *without)
    )


_LOUT = (
    *("-DOS_UNIX=1", "-DOS_DOS=0", "-DOS_MAC=0", "-DDB_FIX=0", "-DUSE_STAT=1", "-DSAFE_DFT=0", "-DCOLLATE=1"),
    *('-DLIB_DIR="lib"', '-DFONT_DIR="font"', '-DMAPS_DIR="maps"', '-DINCL_DIR="include"', '-DDATA_DIR="data"'),
    *('-DHYPH_DIR="hyph"', '-DLOCALE_DIR="locale"', "-DCHAR_IN=1", "-DCHAR_OUT=0", "-DLOCALE_ON=1", "-DASSERT_ON=1"),
    *("-DDEBUG_ON=0", "-DPDF_COMPRESSION=0"),
)

MIBENCH = (
    _mibench("automotive/basicmath"),
    _mibench("automotive/bitcount"),
    _mibench("automotive/qsort"),
    _mibench("automotive/susan"),
    _mibench("consumer/jpeg", without=("*/jmemdos.c", "*/jmemmac.c", "*/example.c")),
    _mibench("consumer/lame", "-DLAMEPARSE", without=("*/mp3x.c", "*/gtkanal.c", "*/gpkplotting.c")),
    _mibench("consumer/mad", "-DFPM_DEFAULT"),
    _mibench(
        "consumer/tiff", root="consumer/tiff-v*", without=("contrib/*", "html/*", "*/tif_*apple.c", "*/tif_win*.c")
    ),
    _mibench("consumer/typeset", *_LOUT, without=("doc/*", "*/doc/*")),
    _mibench("network/dijkstra"),
    _mibench("network/patricia"),
    _mibench("office/ghostscript", without=("*/gp_*win*.c", "*/gp_dos*.c", "*/gp_os9.c", "*/dw*.c")),
    _mibench("office/ispell", "-DUSG"),
    _mibench("office/rsynth", without=("config/NeXTplay.c", "config/hpuxplay.c", "config/sgiplay.c", "config/sun*.c")),
    _mibench("office/sphinx", without=("tests/*", "*/examples/*", "*/ad_alsa*.c", "*/ad_oss_bsd.c")),
    _mibench("office/stringsearch"),
    _mibench("security/blowfish"),
    _mibench("security/pgp", "-DUNIX", "-DLINUX", "-DIDEA32", "-DPORTABLE", without=("contrib/*", "*/c370.c")),
    _mibench("security/rijndael"),
    _mibench("security/sha"),
    _mibench("telecomm/CRC32"),
    _mibench("telecomm/FFT"),
    _mibench("telecomm/adpcm"),
    _mibench("telecomm/gsm", "-DSASR", "-DNeedFunctionPrototypes=1", without=("add-test/*", "tst/*")),
)
"""embecosm/mibench, the suite as it was published: 24 folders in six categories."""


def _named(
    names: str, pattern: str, *, flags: tuple[str, ...] = (), around: tuple[str, ...] = ()
) -> tuple[Benchmark, ...]:
    return tuple(
        Benchmark(name=name, folders=tuple(pattern.format(name).split("|")), flags=flags, around=around)
        for name in names.split()
    )


_EMBENCH_FLAGS = ("-DCPU_MHZ=1", "-DWARMUP_HEAT=1", "-DGLOBAL_SCALE_FACTOR=1")

EMBENCH = (
    *_named(
        "aha-mont64 crc32 cubic depthconv edn huffbench matmult-int md5sum minver nbody nettle-aes nettle-sha256"
        " nsichneu picojpeg primecount qrduino sglib-combined slre st statemate sudoku_search tarfind ud wikisort"
        " xgboost",
        "src/{}",
        flags=_EMBENCH_FLAGS,
        around=("support",),
    ),
    *_named(
        "mnist-densenet", "src/{}", flags=(*_EMBENCH_FLAGS, "-DUSE_NNOM_OUTPUT_SAVE"), around=("support",)
    ),  # sources in folders of its own, of the library nnom
)
"""embench/embench-iot, 1.0 and 2.0 together; each release lacks some."""

POLYBENCH = tuple(
    benchmark
    for place, names in (
        ("datamining", "correlation covariance"),
        ("linear-algebra/blas", "gemm gemver gesummv symm syr2k syrk trmm"),
        ("linear-algebra/kernels", "2mm 3mm atax bicg doitgen mvt"),
        ("linear-algebra/solvers", "cholesky durbin gramschmidt lu ludcmp trisolv"),
        ("medley", "deriche floyd-warshall nussinov"),
        ("stencils", "adi fdtd-2d heat-3d jacobi-1d jacobi-2d seidel-2d"),
    )
    for benchmark in _named(names, f"{place}/{{}}", around=("utilities",))
)
"""PolyBench/C 4.2: 30 kernels."""

LAYOUTS = {"mibench": MIBENCH, "embench": EMBENCH, "polybench": POLYBENCH}
