"""The log of `irwright cc`: one JSON line for each command, in a file for each day.

A line is written with one call to a file opened for appending, and is shorter than a page, so lines of processes that
run at once do not mix. stats.py reads them.
"""

from __future__ import annotations

import os
import time

MAX_TEXT = 1500
"""of one text in an event: a line stays below a page"""


def record(folder: str, event: str, **facts: str | int | float) -> None:
    """Append one event; what can't be written is not counted, and no build fails for it."""
    now = time.time()
    pairs = [f'"time": {now:.3f}', f'"event": {quote(event)}']
    for name, fact in facts.items():
        pairs.append(f"{quote(name)}: {quote(fact) if isinstance(fact, str) else round(fact, 3)}")
    line = ("{" + ", ".join(pairs) + "}\n").encode(errors="replace")
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    try:
        os.makedirs(folder, exist_ok=True)
        file = os.open(f"{folder}/{day}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(file, line)
        finally:
            os.close(file)
    except OSError:
        pass


def quote(text: str) -> str:
    """A JSON string; json itself takes 10 ms to import, as long as the rest of a cache hit."""
    text = text[:MAX_TEXT].replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter >= " " else f"\\u{ord(letter):04x}" for letter in text) + '"'
