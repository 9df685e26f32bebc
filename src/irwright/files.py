"""Files in and out: what can be tuned, and where the results go.

An `Input` is a file, IR in memory, or an entry of a compile_commands.json; it carries its own compiler flags and
the folder they are relative to. Outputs are written to a temporary name and renamed. Nothing is compiled here.
"""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from irwright.errors import InputError, StorageError
from irwright.llvm.clang import IR_SUFFIXES, SOURCE_SUFFIXES

BITCODE_MAGICS = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")


@runtime_checkable
class HasBitcode(Protocol):
    """A module in memory, such as `irwright.llvm.module.Module`."""

    def bitcode(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One thing to tune."""

    name: str
    """how tables and errors call it: the path as the user wrote it, or `<stdin>`"""
    path: Path | None = None
    """None for IR in memory"""
    data: bytes | None = None
    """the IR, where it is in memory"""
    flags: tuple[str, ...] = ()
    directory: Path | None = None
    """where the compiler runs; None is the current folder"""

    @property
    def stem(self) -> str:
        """What an output file is named after."""
        return self.path.stem if self.path is not None else Path(self.name.strip("<>")).name

    @property
    def full_path(self) -> Path | None:
        return None if self.path is None else (self.directory or Path()) / self.path


def as_input(what: str | Path | bytes | HasBitcode | Input, flags: Sequence[str] = ()) -> Input:
    """A path, bitcode or textual IR as bytes, or a module, as an Input with these compiler flags."""
    if isinstance(what, Input):
        return what
    if isinstance(what, bytes):
        return Input(name="<bytes>", data=what, flags=tuple(flags))
    if isinstance(what, str | Path):
        return Input(name=str(what), path=Path(what), flags=tuple(flags))
    return Input(name="<module>", data=what.bitcode(), flags=tuple(flags))


def read_ir(item: Input) -> bytes | None:
    """The IR of an input, None where it is a source; InputError for what is missing or of no known kind."""
    if item.data is not None:
        return item.data
    path = item.full_path
    assert path is not None
    try:
        if path.is_dir():
            raise InputError(item.name, "is a folder; name the files in it")
        if path.suffix in SOURCE_SUFFIXES:
            path.open("rb").close()
            return None
        with path.open("rb") as file:
            is_ir = path.suffix in IR_SUFFIXES or file.read(4).startswith(BITCODE_MAGICS)
            if is_ir:
                file.seek(0)
                return file.read()
    except OSError as error:
        raise InputError(item.name, f"can't be read: {error.strerror}") from error
    known = " ".join(sorted((*SOURCE_SUFFIXES, *IR_SUFFIXES)))
    raise InputError(item.name, f"is no source and no IR; files that can be tuned end in {known}")


def read_compile_commands(path: Path, only: Sequence[Path] = ()) -> list[Input]:
    """The C and C++ sources of a compile_commands.json, each with its own flags and folder, in its order.

    `only` keeps the entries of these files; one that has no entry is an InputError. `path` may be the folder.
    """
    file = path / "compile_commands.json" if path.is_dir() else path
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        inputs = list(dict.fromkeys(_read_entries(entries, file)))
    except OSError as error:
        raise InputError(str(file), f"can't be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(str(file), f"is no compile_commands.json ({error}); run cmake or bear again") from error
    if not only:
        if not inputs:
            raise InputError(str(file), "names no C or C++ source")
        return inputs
    chosen: list[Input] = []
    for wanted in only:
        found = [item for item in inputs if _same(item, wanted)]
        if not found:
            raise InputError(str(wanted), f"has no entry in {file}")
        chosen += found
    return chosen


def _read_entries(entries: list[dict[str, Any]], file: Path) -> Iterator[Input]:
    for entry in entries:
        # The standard wants an absolute directory; a relative one is taken from the file's own folder.
        directory = file.parent.absolute() / entry["directory"]
        source = Path(entry["file"])
        if source.suffix not in SOURCE_SUFFIXES:
            continue
        words: list[str] = entry.get("arguments") or shlex.split(entry["command"])
        flags = tuple(word for word in words[1:] if word != "--" and not _names(word, source, directory))
        yield Input(name=_shown(directory / source), path=source, flags=flags, directory=directory)


def _names(word: str, source: Path, directory: Path) -> bool:
    """True if a word of the command is the source itself."""
    return not word.startswith("-") and Path(word).name == source.name and (directory / word) == (directory / source)


def _same(item: Input, wanted: Path) -> bool:
    path = item.full_path
    return path is not None and path.resolve() == wanted.resolve()


def _shown(path: Path) -> str:
    """A path as short as it can be said from the current folder."""
    resolved = path.resolve()
    return str(resolved.relative_to(Path.cwd())) if resolved.is_relative_to(Path.cwd()) else str(resolved)


# ------------------------------------------------------------------ results

SUFFIXES = {"obj": ".o", "bc": ".bc", "ll": ".ll", "asm": ".s"}
"""What can be emitted, and how such a file ends."""


def plan_outputs(inputs: Sequence[Input], output: str | Path | None, kind: str) -> list[Path | None]:
    """Where each input's result goes: `output` itself, or a file in it where it is a folder.

    One input and a name that is no folder (a slash at its end makes it one): that file. Equal stems get the name
    of their parent folder in front, and a number where that does not help. StorageError, before any work is done,
    for what can't be written.
    """
    if output is None:
        return [None for _ in inputs]
    names_folder = str(output).endswith(os.sep) or Path(output).is_dir()
    output = Path(output)
    if len(inputs) == 1 and not names_folder:
        paths = [output]
    else:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                str(output), f"is no folder to write {len(inputs)} results to ({error.strerror})"
            ) from error
        paths = [output / f"{stem}{SUFFIXES[kind]}" for stem in _distinct_stems(inputs)]
    for item, path in zip(inputs, paths, strict=True):
        source = item.full_path
        if source is not None and path.exists() and source.exists() and path.samefile(source):
            raise StorageError(str(path), "is the input; name another file with -o")
        if not path.parent.is_dir():
            raise StorageError(str(path), f"can't be written: there is no folder {str(path.parent)!r}")
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise StorageError(str(path), "can't be written: it is a folder" if path.is_dir() else _NO_PERMISSION)
    return list(paths)


_NO_PERMISSION = "can't be written: no permission"


def _distinct_stems(inputs: Sequence[Input]) -> list[str]:
    counts = Counter(item.stem for item in inputs)
    taken: Counter[str] = Counter()
    stems: list[str] = []
    for item in inputs:
        stem = item.stem
        if counts[stem] > 1 and item.full_path is not None:
            stem = f"{item.full_path.resolve().parent.name}-{stem}"
        taken[stem] += 1
        stems.append(stem if taken[stem] == 1 else f"{stem}-{taken[stem]}")
    return stems


def write_output(path: Path, data: bytes) -> None:
    """Write a result whole or not at all; StorageError where it can't be written."""
    if path.exists() and not path.is_file():  # a device or a pipe: nothing to rename onto
        try:
            path.write_bytes(data)
        except OSError as error:
            raise StorageError(str(path), f"can't be written: {error.strerror or error}") from error
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(str(path), f"can't be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
