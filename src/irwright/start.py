"""The entry point of the command `irwright`.

`irwright cc -- ...` stands in front of every command of a build, so it must start at once: it is handed to the driver
before click, which takes longer to import than a cache hit takes, is looked at.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process."""
    words = sys.argv[1:]
    if words[:1] in (["cc"], ["c++"]) and words[1:2] == ["--"] and len(words) > 2:
        from irwright.cc.driver import main as drive

        sys.exit(drive(words[2:]))
    from irwright.cli import main as run

    run()
