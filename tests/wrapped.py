"""A folder of sources and `irwright cc` in front of the compiler: what tests of the driver share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import irwright

ROOT = Path(irwright.__file__).parents[1]
EXAMPLES = Path(__file__).parents[1] / "examples"
JSON = EXAMPLES / "json.c"

FILES = {
    "a.c": '#include "a.h"\nint twice(int x) { return add(x, x); }\nint main(void) { return twice(0); }\n',
    "a.h": "static int add(int x, int y) { return x + y; }\n",
    "b.c": "int other(void) { return 3; }\n",
    "warn.c": "int f(int x) { int unused; if (x = 1) return 2; return 0; }\n",
    "broken.c": "int f(void) { return nowhere; }\nint g( {\n",
    "cpp.cc": "namespace n { template <class T> T id(T x) { return x; } }\nint f(int x) { return n::id(x); }\n",
    "asm.s": ".globl f\nf: ret\n",
    "asm.S": "#define NAME f\n.globl NAME\nNAME: ret\n",
    "pre.i": "int pre(void) { return 4; }\n",
    "all.rsp": "-Oz -c\n'a.c' -DX='1 2'\n",
    "lto.rsp": "-Oz -flto -c a.c -o lto.o",
}


@dataclass(frozen=True)
class Ended:
    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class Wrapped:
    """A folder of sources, and how to compile in it."""

    clang: Path
    folder: Path
    cache: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IRWRIGHT_")}
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        fast = {"IRWRIGHT_BUDGET": "2", "IRWRIGHT_VERIFY": "0", "IRWRIGHT_HELPER": "off"}
        fast["IRWRIGHT_CACHE"] = str(self.cache)
        return {**kept, "PYTHONPATH": path, **fast, **more}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "irwright", "cc", "--", str(self.clang), *words]

    def cc(self, *words: str, stdin: bytes = b"", **environment: str) -> Ended:
        return self.run(self.command(*words), self.folder, stdin, self.environment(**environment))

    def plainly(self, *words: str, stdin: bytes = b"") -> Ended:
        return self.run([str(self.clang), *words], self.folder, stdin, self.environment())

    @staticmethod
    def run(command: list[str], folder: Path, stdin: bytes, environment: Mapping[str, str]) -> Ended:
        run = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, env=environment, check=False)
        return Ended(run.returncode, run.stdout, run.stderr)

    def events(self) -> list[dict[str, Any]]:
        lines = [path.read_text().splitlines() for path in sorted((self.cache / "cc" / "events").glob("*"))]
        return [json.loads(line) for day in lines for line in day]

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events()]

    def path(self, name: str) -> Path:
        return self.folder / name


def write_files(folder: Path) -> None:
    """The sources and nothing else, older than now, as they always were."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def leftovers(wrapped: Wrapped) -> list[Path]:
    return [path for folder in (wrapped.folder, wrapped.cache) for path in folder.rglob("*.tmp")]
