"""Run every benchmark, one after the other: `make bench`. Hours; README.md says which is which."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = sys.executable

COMMANDS = [
    [PYTHON, "-m", "irwright", "corpus", "fetch", "--role", "heldout", "-j", "2"],
    [PYTHON, str(HERE / "throughput.py")],
    [PYTHON, str(HERE / "mutants.py")],
    *(
        [PYTHON, str(HERE / "heldout.py"), "--objects", objects, "--protocol", protocol, "--num", number]
        for protocol in ("oz", "paper")
        for objects, number in (("functions", "520"), ("files", "150"))
    ),
    [PYTHON, str(HERE / "projects.py")],
    [PYTHON, str(HERE / "lift.py")],
]


def main() -> int:
    """The first command that fails ends the run; finished cases are kept and not run again."""
    for command in COMMANDS:
        print("==", " ".join(command[1:]), flush=True)
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
