"""What is made does not depend on how Python hashes strings: the same bytes under any seed of its hashes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from irwright.llvm.toolchain import find

SOURCE = r"""
#include <string.h>
static int weigh(const char *text, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += text[i] * (i & 7);
    return sum;
}
int first(const char *a, const char *b) { return a && b ? weigh(a, (int)strlen(a)) - weigh(b, 9) : 1; }
int second(int *at, int n) { for (int i = 1; i < n; i++) if (at[i] < at[i - 1]) return at[i]; return n ? at[0] : -1; }
double third(double x, int n) { double y = 1; while (n-- > 0) y *= n & 1 ? x : 1 / x; return y; }
int same(int *at, int n) { for (int i = 1; i < n; i++) if (at[i] < at[i - 1]) return at[i]; return n ? at[0] : -1; }
"""


def made(folder: Path, seed: str, *commands: str) -> dict[str, str]:
    """Hashes of the files that commands of irwright make of `folder`/src/a.c, under a seed of Python's hashes."""
    settings = {"PYTHONHASHSEED": seed, "IRWRIGHT_CACHE": str(folder / "cache"), "IRWRIGHT_HELPER": "0"}
    path = os.pathsep.join([str(find().need_clang().parent), os.environ["PATH"]])
    environment = {**os.environ, **settings, "PATH": path}
    for command in commands:
        words = [sys.executable, "-m", "irwright", *command.split()]
        subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    results = [path for path in folder.iterdir() if path.name not in ("src", "cache")]
    files = [file for path in results for file in [path, *path.rglob("*")] if file.is_file()]
    hashes = {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    for path in [*results, folder / "cache"]:
        path.rename(folder.parent / f"{path.name} {seed}")
    return hashes


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (
            ["tune src/a.c --budget 12 -o a.o -j 1", "tune src/a.c --strategy evolve --budget 12 -o b.o -j 1"],
            "b.o",
        ),
        (["cc -- clang -Oz -c src/a.c -o a.o"], "a.o"),
        (
            [
                "corpus add src --corpus corpus -j 1",
                "examples --corpus corpus -o examples --tasks pretrain,emulate,tune,disassemble --search 2"
                " --compilations 12 --table 3 --emulations 2 -j 1",
            ],
            "examples/manifest.json",
        ),
    ],
    ids=["tune", "cc", "examples"],
)
def test_the_same_bytes_whatever_the_hashes_of_strings(commands: list[str], expected: str, tmp_path: Path) -> None:
    source = tmp_path / "work" / "src" / "a.c"
    source.parent.mkdir(parents=True)
    source.write_text(SOURCE)
    one, other = (made(tmp_path / "work", seed, *commands) for seed in ("1", "2"))
    assert expected in one
    assert one == other
