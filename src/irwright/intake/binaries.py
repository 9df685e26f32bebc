"""Machine code as modules: objects, assembly and archives of objects, lifted (lift/).

What is lifted has no source; its functions are IR that recompiles, in the form the lifter gives them. An object that
can't be lifted costs itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from irwright.corpus.store import Found
from irwright.errors import InputError, IrwrightError
from irwright.intake.trees import Project
from irwright.lift.disassembler import LiftSettings, disassemble

OBJECT_SUFFIXES = (".o", ".obj", ".s", ".a")
_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_TABLES = (b"/", b"__.SYMDEF")  # of symbols and long names, by how their names begin


def binary_modules(
    path: Path, project: Project, *, llvm: str | None, problems: Counter[str], budget: int = 4
) -> Iterator[Found]:
    """The modules that an object, an assembly file or an archive lifts to; `budget` variants a function are tried."""
    data = path.read_bytes()
    members = archive_members(data, str(path)) if path.suffix == ".a" else [(path.name, data)]
    settings = LiftSettings(budget=budget, verify=False, llvm=llvm)
    for name, content in members:
        try:
            lifted = disassemble(content, name=name, settings=settings)
        except IrwrightError as error:
            problems[str(error)] += 1
            continue
        yield Found(
            project=project.name,
            version=project.version,
            split=project.split,
            licence=project.licence,
            language="",
            path=name,
            flags=(),
            origin=project.origin,
            source_sha256="",
            data=lifted.ir.encode(errors="surrogateescape"),
        )


def archive_members(data: bytes, name: str) -> list[tuple[str, bytes]]:
    """(name, content) of the members of a Unix archive (System V and BSD long names); InputError where it is none."""
    if not data.startswith(_MAGIC):
        raise InputError(name, "is no archive")
    names = b""
    members: list[tuple[str, bytes]] = []
    at = len(_MAGIC)
    while at + _HEADER_BYTES <= len(data):
        header = data[at : at + _HEADER_BYTES]
        try:
            size = int(header[48:58])
        except ValueError as error:
            raise InputError(name, f"is a broken archive: no size of a member at byte {at}") from error
        start = at + _HEADER_BYTES
        if size < 0 or start + size > len(data):
            raise InputError(name, f"is a broken archive: a member at byte {at} goes beyond its end")
        content = data[start : start + size]
        title = header[:16].rstrip()
        if title == b"//":
            names = content
        elif title.startswith(b"#1/") and title[3:].isdigit():
            title, content = content[: int(title[3:])].rstrip(b"\0"), content[int(title[3:]) :]
        elif title[:1] == b"/" and title[1:].isdigit():
            title = names[int(title[1:]) :].partition(b"\n")[0]
        if not title.startswith(_TABLES):
            members.append((title.rstrip(b"/").decode(errors="replace"), content))
        at = start + size + size % 2
    return members
