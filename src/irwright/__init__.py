"""irwright: an open LLM compiler. `irwright.tune(path)` makes an object smaller than clang -Oz does.

Importing this package loads nothing else; its names are looked up when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes as long to import as all that `irwright cc` needs
if TYPE_CHECKING:
    from typing import Any

    from irwright.tuner import TuneResult, tune

__version__ = "0.1.0"

__all__ = ["TuneResult", "__version__", "tune"]


def __getattr__(name: str) -> Any:
    if name not in ("TuneResult", "tune"):
        raise AttributeError(f"module 'irwright' has no attribute {name!r}")
    from irwright import tuner

    return getattr(tuner, name)
