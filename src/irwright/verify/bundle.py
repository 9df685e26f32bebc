"""Many builds of one program in one executable: to link a short program costs several times what it takes to run it.

Every symbol that a build defines gets the build's number as a suffix, `main` too, and a small program in front calls
the one whose number it is given. What a bundle might change stays out of it: builds that run code before main, that
are large, that find things by the linker's order, or that define what shared libraries look for in the program.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from irwright.errors import ToolchainError
from irwright.llvm.codegen import SHT_SYMTAB
from irwright.verify.elf import ET_REL, SHF_ALLOC, SHN_COMMON, STB_LOCAL
from irwright.verify.programs import Linker

MAX_BUILDS = 64
"""in one bundle"""

MAX_LOADED_BYTES = 4 << 20
"""of one build: all of a bundle are loaded for every run"""

SHT_DYNSYM = 11
RUN_BEFORE_MAIN = (b".init", b".fini", b".preinit_array", b".ctors", b".dtors")
FOUND_BY_ORDER = (b"__start_", b"__stop_")
"""the ends of all that a linker puts into a section: of every build at once in a bundle"""

_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


class Bundler:
    """Makes bundles with one clang, in a folder of its user's; not for several threads."""

    def __init__(self, clang: Path, linker: Linker, folder: Path) -> None:
        self._clang = clang
        self._linker = linker
        self._folder = folder
        self._front: Path | None = None

    def link(
        self, builds: Sequence[bytes], executable: Path, *, is_cxx: bool, kept: frozenset[bytes]
    ) -> dict[int, str]:
        """Link objects of one program: for each that is in the bundle, by its index, the argument that runs it.

        Names in `kept` are those that shared libraries look for in the program: what defines one stays out.
        """
        inside: dict[int, str] = {}
        paths: list[Path] = []
        for index, data in enumerate(builds[:MAX_BUILDS]):
            renamed = with_suffix(data, b"$%d" % index, kept)
            if renamed is not None:
                inside[index] = str(index)
                paths.append(self._folder / f"bundled-{index}.o")
                paths[-1].write_bytes(renamed)
        if len(paths) < 2:
            return {}
        problem = self._linker.link(self._main(), executable, is_cxx=is_cxx, more=paths)
        return {} if problem is not None else inside

    def _main(self) -> Path:
        """The program in front, compiled when it is first needed."""
        if self._front is None:
            source, front = self._folder / "front.c", self._folder / "front.o"
            source.write_text(front_program())
            command = [str(self._clang), "-O1", "-w", "-c", str(source), "-o", str(front)]
            ended = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
            if ended.returncode:
                words = ended.stderr.decode(errors="replace").partition("\n")[0]
                raise ToolchainError(f"clang does not compile what runs bundles: {words}", remedy="try another clang")
            self._front = front
        return self._front


def front_program() -> str:
    """C that calls the main of the build whose number is its argument."""
    numbers = range(MAX_BUILDS)
    return "\n".join(
        [
            "typedef int Main(int, char **, char **);",
            *(f'extern __attribute__((weak)) Main main{n} __asm__("main${n}");' for n in numbers),
            f"static Main *const mains[] = {{{', '.join(f'main{n}' for n in numbers)}}};",
            "int atoi(const char *);",
            "int main(int count, char **words, char **environment) {",
            "  Main *chosen = mains[atoi(words[1])];",
            "  words[1] = 0;",
            "  return chosen(1, words, environment);",
            "}\n",
        ]
    )


def with_suffix(data: bytes, suffix: bytes, kept: frozenset[bytes]) -> bytes | None:
    """An object with every symbol renamed that it offers to others; None where it must not be in a bundle."""
    try:
        return _renamed(data, suffix, kept)
    except (struct.error, IndexError, ValueError):
        return None


def exported(data: bytes) -> frozenset[bytes]:
    """Names that a linked program offers to the shared libraries it is run with."""
    return frozenset(name for _, name, section, _, _ in _symbols(data, _headers(data), SHT_DYNSYM) if section)


def _renamed(data: bytes, suffix: bytes, kept: frozenset[bytes]) -> bytes | None:
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 16)[0] != ET_REL:
        return None
    headers = _headers(data)
    (names_index,) = struct.unpack_from("<H", data, 62)
    names = headers[names_index][4]
    if any(_name(data, names + row[0]).startswith(RUN_BEFORE_MAIN) for row in headers):
        return None
    loaded = sum(row[5] for row in headers if row[2] & SHF_ALLOC)
    table = next(row for row in headers if row[1] == SHT_SYMTAB)
    strings = headers[table[6]]
    text, changed, defined = bytearray(data[strings[4] : strings[4] + strings[5]]), bytearray(data), set[bytes]()
    for position, name, section, binding, size in _symbols(data, headers, SHT_SYMTAB):
        if binding == STB_LOCAL:
            continue
        if not section:
            if name.startswith(FOUND_BY_ORDER):
                return None
            continue
        loaded += size if section == SHN_COMMON else 0
        struct.pack_into("<I", changed, position, len(text))
        text += name + suffix + b"\0"
        defined.add(name)
    if b"main" not in defined or defined & kept or loaded > MAX_LOADED_BYTES:
        return None
    (start,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<QQ", changed, start + table[6] * _HEADER.size + 24, len(changed), len(text))
    return bytes(changed + text)


def _headers(data: bytes) -> list[tuple[int, ...]]:
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    if size != _HEADER.size or table + count * size > len(data):
        raise ValueError("section headers that are not there")
    return list(_HEADER.iter_unpack(data[table : table + count * size]))


def _symbols(data: bytes, headers: Sequence[tuple[int, ...]], kind: int) -> Iterator[tuple[int, bytes, int, int, int]]:
    """Position, name, section, binding and size of every symbol of a table."""
    for row in headers:
        if row[1] != kind:
            continue
        names = headers[row[6]][4]
        for position in range(row[4] + _SYMBOL.size, row[4] + row[5], _SYMBOL.size):
            name, info, _, section, _, size = _SYMBOL.unpack_from(data, position)
            yield position, _name(data, names + name), section, info >> 4, size


def _name(data: bytes, at: int) -> bytes:
    return data[at : data.index(b"\0", at)]
