"""The map of the house in the README agrees with the files, and imports go only upward in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "irwright"

NOT_ROOMS = {"__init__.py", "__main__.py"}


def rooms() -> list[str]:
    """Files of the map in its order, relative to the package: `  name.py  what it holds` under `  folder/`."""
    readme = (ROOT / "README.md").read_text()
    block = readme.split("```text\nsrc/irwright/\n")[1].split("```")[0]
    found: list[str] = []
    folders: list[str] = []
    for line in block.splitlines():
        match = re.match(r"( +)((?:[\w.]+(?:/|\.py)(?: |$))+)", line)
        if match is None:
            continue
        depth, names = len(match.group(1)) // 2 - 1, match.group(2).split()
        del folders[depth:]
        if names[0].endswith("/"):
            folders.append(names[0])
            continue
        found += ["".join(folders) + name for name in names]
    return found


def test_map_and_files_agree() -> None:
    files = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name not in NOT_ROOMS}
    assert sorted(rooms()) == sorted(files)


def imports(path: Path) -> set[str]:
    """Files of the package that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            assert node.level == 0, f"{path}: a relative import"
    places = {
        name.removeprefix("irwright.").replace(".", "/") + ".py" for name in found if name.startswith("irwright.")
    }
    return {place for place in places if (PACKAGE / place).exists()}


@pytest.mark.parametrize("room", rooms())
def test_imports_go_upward(room: str) -> None:
    above = rooms()[: rooms().index(room)]
    below = imports(PACKAGE / room) - set(above)
    assert not below, f"{room} imports {', '.join(sorted(below))} from below it in the map"


def test_docs_that_the_readme_names_exist() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []
