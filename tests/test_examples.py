"""The programs under examples/: each builds without a warning at -Oz, runs, and finds itself in order."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.c"))
BUILD_TIMEOUT_SECONDS = 120
RUN_TIMEOUT_SECONDS = 20


def find_compiler() -> str:
    """Return the clang of this environment, else the one on PATH, else `cc`."""
    own = Path(sys.prefix) / "bin" / "clang"
    return str(own) if own.is_file() else shutil.which("clang") or "cc"


def build(source: Path, directory: Path) -> Path:
    """Compile `source` at -Oz with warnings as errors; return the executable."""
    executable = directory / source.stem
    flags = ["-std=c11", "-Oz", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [find_compiler(), *flags, str(source), "-o", str(executable)], check=True, timeout=BUILD_TIMEOUT_SECONDS
    )
    return executable


def run(executable: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(executable)], capture_output=True, text=True, timeout=RUN_TIMEOUT_SECONDS, check=False)


def test_there_are_examples() -> None:
    assert len(PROGRAMS) >= 10


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda source: source.stem)
def test_example_passes_its_own_checks(source: Path, tmp_path: Path) -> None:
    result = run(build(source, tmp_path))
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    match = re.fullmatch(rf"{source.stem}: ok \((\d+) checks\)\n", result.stdout)
    assert match is not None, result.stdout
    assert int(match[1]) > 100


def test_a_broken_example_fails(tmp_path: Path) -> None:
    """One wrong round constant: the program says so and returns 1."""
    text = (EXAMPLES / "sha256.c").read_text()
    assert "0x428a2f98" in text
    broken = tmp_path / "broken.c"
    broken.write_text(text.replace("0x428a2f98", "0x428a2f99"))
    result = run(build(broken, tmp_path))
    assert result.returncode == 1
    assert "failed" in result.stdout


def test_readme_table_lists_every_program() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\.c\]\(\1\.c\) \| .+ \| (\d+) \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE
    )
    lines = {source.stem: len(source.read_text().splitlines()) for source in PROGRAMS}
    assert {name: int(count) for name, count in rows} == lines
