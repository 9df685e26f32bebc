"""irwright: an open LLM compiler. `irwright.tune(path)` makes an object smaller than clang -Oz does,
`irwright.disassemble(path)` lifts assembly or an object to IR, `irwright.emulate(path, passes)` foresees what a pass
list does, `irwright.evaluate(suite, folder)` measures whatever does such things.

Importing this package loads nothing else; its names are looked up when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes as long to import as all that `irwright cc` needs
if TYPE_CHECKING:
    from typing import Any

    from irwright.emulation import Emulation, emulate
    from irwright.evaluation.run import Evaluation, evaluate
    from irwright.lift.disassembler import LiftSettings, disassemble, disassemble_archive
    from irwright.lift.verdicts import ArchiveResult, LiftResult
    from irwright.tuner import TuneResult, tune

__version__ = "0.1.0"

__all__ = [
    "ArchiveResult",
    "Emulation",
    "Evaluation",
    "LiftResult",
    "LiftSettings",
    "TuneResult",
    "__version__",
    "disassemble",
    "disassemble_archive",
    "emulate",
    "evaluate",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in ("TuneResult", "tune"):
        from irwright import tuner as home
    elif name in ("ArchiveResult", "LiftResult", "LiftSettings", "disassemble", "disassemble_archive"):
        from irwright.lift import disassembler as home
    elif name in ("Emulation", "emulate"):
        from irwright import emulation as home
    elif name in ("Evaluation", "evaluate"):
        from irwright.evaluation import run as home
    else:
        raise AttributeError(f"module 'irwright' has no attribute {name!r}")
    return getattr(home, name)
