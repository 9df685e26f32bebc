"""Which source packages the corpus is made of, and where its files live.

Owns `data/packages.json`: Debian source packages written in C or C++, each with its upstream version, the hash
of its release archive and a role. `training` packages feed search, the coreset and the models; `heldout`
packages are only ever measured on. No project serves both roles. Fetching is debian.py's, compiling build.py's.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast, get_args

from irwright.errors import CorpusError

Role = Literal["training", "heldout"]
"""What a package may be used for."""

BuildKind = Literal["configure", "cmake", "meson", "make", "guess", "auto"]
"""How the compile commands of a package are learnt, see commands.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSpec:
    """One source package: what to fetch and how to learn its compile commands."""

    package: str
    """Name of the Debian source package."""
    version: str
    """Upstream version as Debian writes it, without epoch and Debian revision: Debian's patches are not applied."""
    role: Role
    """`training` or `heldout`."""
    build: BuildKind
    """What the release archive offers: a configure script, CMake, Meson, a plain makefile or nothing; `auto` looks."""
    sha256: str = ""
    """Hash of the release archive; empty accepts any."""
    root: str = ""
    """Folder inside the archive that holds the build system."""
    configure: tuple[str, ...] = ()
    """More arguments for configure or cmake; for configure, {cc} in them is the compiler."""
    make: tuple[str, ...] = ()
    """Arguments for make; without any, its default target."""
    flags: tuple[str, ...] = ()
    """More compiler flags for every file."""
    skip: tuple[str, ...] = ()
    """Sources to leave out (glob patterns on the path in the archive), beside `commands.SKIPPED_FOLDERS`."""

    script: str = ""
    """Name of its configure script, where that is another."""
    stand_ins: bool = False
    """make gets an empty object for each compilation, in half the time: where the build runs no program of its own."""
    cxx: bool = False
    """C++ sources are taken too."""
    needs: tuple[str, ...] = ()
    """Debian packages its build wants installed, beside a C library, make and cmake."""

    def __post_init__(self) -> None:
        for field, choices in (("role", get_args(Role)), ("build", get_args(BuildKind))):
            if getattr(self, field) not in choices:
                raise CorpusError(
                    f"package {self.package!r} has {field} {getattr(self, field)!r}; choose from {', '.join(choices)}"
                )
        for field in ("package", "version"):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+~-]*", getattr(self, field)):
                raise CorpusError(
                    f"package {self.package!r} has {field} {getattr(self, field)!r}; "
                    "use letters, digits and any of '.+~-' as Debian does, without epoch"
                )


def default_cache() -> Path:
    """Return irwright's cache folder: $IRWRIGHT_CACHE, $XDG_CACHE_HOME/irwright or ~/.cache/irwright."""
    if own := os.environ.get("IRWRIGHT_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "irwright"


def work_folder(cache: Path) -> Path:
    """Return the folder of what a build needs beside its results: archives, apt's lists, trees, logs, the lock."""
    return cache / "corpus-work"


def load_packages(role: Role | None = None, *, path: Path | None = None) -> list[PackageSpec]:
    """Read the package list (the shipped one, or the file `path`), sorted by name.

    CorpusError for an unknown key, a missing field or a package listed twice.
    """
    text = (path or resources.files("irwright") / "data" / "packages.json").read_text(encoding="utf-8")
    specs = [parse_spec(entry) for entry in json.loads(text)["packages"]]
    names = [spec.package for spec in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CorpusError(f"package {twice[0]!r} is listed twice; keep one entry, a project has one role")
    return sorted((spec for spec in specs if role in (None, spec.role)), key=lambda spec: spec.package)


def parse_spec(entry: Mapping[str, Any]) -> PackageSpec:
    """Turn one JSON object of the package list into a PackageSpec."""
    fields = {field.name: field for field in dataclasses.fields(PackageSpec)}
    name = entry.get("package", "?")
    for key in entry:
        if key not in fields:
            raise CorpusError(f"unknown key {key!r} of package {name!r}{_hint(key, fields)}")
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in entry:
            raise CorpusError(f"package {name!r} has no {field.name!r}; add it to the package list")
    values: dict[str, Any] = {
        key: tuple(cast("list[str]", value)) if isinstance(value, list) else value for key, value in entry.items()
    }
    return PackageSpec(**values)


def select_packages(names: Iterable[str], packages: Iterable[PackageSpec]) -> list[PackageSpec]:
    """Return the named packages in list order; CorpusError names an unknown one and its close matches."""
    by_name = {spec.package: spec for spec in packages}
    wanted = set(names)
    for name in sorted(wanted - by_name.keys()):
        raise CorpusError(f"unknown package {name!r}{_hint(name, by_name)}")
    return [spec for name, spec in by_name.items() if name in wanted]


def _hint(word: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word, list(known), n=2)
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else f"; known are {', '.join(known)}"
