"""The processor time of helpers that `irwright cc` leaves behind in a cache (cc/helper.py).

They are no children of what is measured, so their time has to be asked for, while they live: STAYING keeps them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from irwright.cc.helper import connect, peer_of

STAYING = {"IRWRIGHT_HELPER": "900"}
"""in the environment of a build"""


def helpers(cache: Path) -> Iterator[int]:
    """Processes that answer in a folder given as IRWRIGHT_CACHE."""
    for path in (cache / "cc").glob("helper-*.sock"):
        try:
            with connect(str(path)) as connection:
                yield peer_of(connection)[0]
        except OSError:
            continue


def helper_seconds(cache: Path) -> float:
    """User and system time of all helpers so far, with that of what they forked, once all of that has ended."""
    ticks = 0
    for process in helpers(cache):
        deadline = time.monotonic() + 10.0
        while Path(f"/proc/{process}/task/{process}/children").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def end_helpers(cache: Path) -> None:
    for process in helpers(cache):
        os.kill(process, signal.SIGTERM)
