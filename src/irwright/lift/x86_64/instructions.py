"""All instructions that can be lifted, as one table.

Two mnemonics have two meanings: `movsd` and `cmpsd` of SSE stand for the string instructions too.
"""

from __future__ import annotations

from irwright.lift.x86_64 import (
    arithmetic,
    atomics,
    bit_operations,
    moves,
    processor,
    sse4,
    sse_floats,
    sse_integers,
    sse_moves,
    strings,
    x87,
)
from irwright.lift.x86_64.table import Table

PARTS = (moves, arithmetic, bit_operations, atomics, strings, processor, sse_moves, sse_floats, sse_integers, sse4, x87)
TABLE = Table(entry for part in PARTS for entry in part.TABLE.items())
