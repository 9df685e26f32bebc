"""Executables that stand for a compiler: for build systems that want one path and not a command with arguments."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import irwright
from irwright.cc.compilers import which
from irwright.errors import StorageError, ToolchainError

_SCRIPT = """\
#!{python} -IS
# Made by `irwright cc --install`; runs {compiler} through irwright.
import sys
sys.path.insert(0, {root!r})
from irwright.cc.driver import main
sys.exit(main([{compiler!r}, *sys.argv[1:]]))
"""

_SHELL_SCRIPT = """\
#!/bin/sh
# Made by `irwright cc --install`; runs {compiler} through irwright.
exec {python} -IS -c 'import sys
sys.path.insert(0, {root!r})
from irwright.cc.driver import main
sys.exit(main([{compiler!r}, *sys.argv[1:]]))' "$@"
"""

MAX_SHEBANG = 120
"""bytes of a first line that every kernel reads"""


def install(folder: Path, compiler: str = "clang") -> list[Path]:
    """Write `clang`, `cc`, `clang++` and `c++` into a folder; they run the compiler that is found now, by its path.

    Where the compiler has no C++ twin beside it, only the first two are written.
    """
    found = _find(compiler, folder)
    twin = _twin(found)
    pairs = [("clang", found), ("cc", found)] + ([("clang++", twin), ("c++", twin)] if twin else [])
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in pairs:
            script = folder / name
            temporary = folder / f".{name}.{os.getpid()}.tmp"
            temporary.write_text(_script_for(path))
            temporary.chmod(0o755)
            temporary.replace(script)
            written.append(script)
    except OSError as error:
        raise StorageError(str(folder), f"wrappers can't be written: {error.strerror or error}") from error
    return written


def _find(compiler: str, folder: Path) -> str:
    """The compiler's absolute path, looked for outside of the folder that is written."""
    path = os.environ.get("PATH", "")
    others = [entry for entry in path.split(os.pathsep) if entry and Path(entry).resolve() != folder.resolve()]
    os.environ["PATH"] = os.pathsep.join(others)
    found = which(compiler)
    os.environ["PATH"] = path
    if found is None:
        raise ToolchainError(
            f"no compiler {compiler!r}", remedy="name one after --, as in: irwright cc --install DIR -- clang-19"
        )
    return str(Path(found).absolute())


def _twin(compiler: str) -> str | None:
    """clang++ beside clang, clang++-19 beside clang-19."""
    path = Path(compiler)
    twin = path.with_name(path.name.replace("clang", "clang++", 1)) if "++" not in path.name else path
    return str(twin) if os.access(twin, os.X_OK) else None


def _script_for(compiler: str) -> str:
    root = str(Path(irwright.__file__).absolute().parents[1])
    text = _SCRIPT.format(python=sys.executable, root=root, compiler=compiler)
    first = text.partition("\n")[0]
    if len(first) <= MAX_SHEBANG and " " not in sys.executable:
        return text
    return _SHELL_SCRIPT.format(python=sys.executable, root=root, compiler=compiler)
