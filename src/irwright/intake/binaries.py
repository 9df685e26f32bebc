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
from irwright.lift.archives import members
from irwright.lift.disassembler import LiftSettings, disassemble

OBJECT_SUFFIXES = (".o", ".obj", ".s", ".a")


def binary_modules(
    path: Path, project: Project, *, llvm: str | None, problems: Counter[str], budget: int = 4
) -> Iterator[Found]:
    """The modules that an object, an assembly file or an archive lifts to; `budget` variants a function are tried."""
    data = read_input(path)
    settings = LiftSettings(budget=budget, verify=False, llvm=llvm)
    for name, content in members(data, path.name):
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


def read_input(path: Path) -> bytes:
    """The bytes of a file; InputError where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"can't be read: {error.strerror}") from error
