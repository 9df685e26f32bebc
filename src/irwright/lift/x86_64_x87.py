"""x87 instructions: not in the table yet; long double makes a function not liftable."""

from __future__ import annotations

SUPPORTED = False
