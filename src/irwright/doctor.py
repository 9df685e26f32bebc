"""What irwright finds on this machine, what is missing, and the command that installs it."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import Any

from irwright import __version__
from irwright.errors import ToolchainError
from irwright.llvm.toolchain import Inventory, backend_for, cache_folder, find, take_inventory

TARGETS = ("x86_64", "aarch64", "arm", "nvptx64", "riscv64")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """Whether objects for one architecture can be tuned."""

    target: str
    library: str | None
    """version of the libLLVM that would be used; None where there is none"""
    clang: str | None
    """version of the clang that reads sources for it"""
    clang_lowers: bool
    """clang makes the objects; else the library does"""
    remedy: str = ""
    """what to install, where something is missing"""

    @property
    def ready(self) -> bool:
        return self.library is not None and self.clang is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that `irwright doctor` prints."""

    inventory: Inventory
    targets: tuple[TargetState, ...]
    host: str

    @property
    def healthy(self) -> bool:
        """C can be tuned for this machine."""
        return any(state.ready for state in self.targets if state.target == self.host)

    def to_json(self) -> dict[str, Any]:
        return {
            "irwright": __version__,
            "python": platform.python_version(),
            "platform": f"{sys.platform} {platform.machine()}",
            "cache": str(cache_folder()),
            "libraries": [
                {
                    "path": str(library.path),
                    "version": library.version,
                    "backends": list(library.backends),
                    "origin": library.origin,
                }
                for library in self.inventory.libraries
            ],
            "clangs": [
                {"path": str(clang.path), "version": clang.version, "origin": clang.origin}
                for clang in self.inventory.clangs
            ],
            "targets": [
                {
                    "target": state.target,
                    "ready": state.ready,
                    "library": state.library,
                    "clang": state.clang,
                    "clang_lowers": state.clang_lowers,
                    "remedy": state.remedy,
                }
                for state in self.targets
            ],
            "problems": [{"path": str(problem.path), "reason": problem.reason} for problem in self.inventory.problems],
            "healthy": self.healthy,
        }


def diagnose(llvm: str | None = None) -> Diagnosis:
    """Look for every library and clang, and try every known target; `llvm` as `toolchain.find` takes it."""
    inventory = take_inventory(llvm)
    host = _host()
    targets = [host, *(target for target in TARGETS if target != host)]
    return Diagnosis(inventory=inventory, targets=tuple(_state(target, llvm) for target in targets), host=host)


def _host() -> str:
    """This machine by the name TARGETS uses."""
    backend = backend_for(None)
    return next((target for target in TARGETS if backend_for(target) == backend), platform.machine())


def _state(target: str, llvm: str | None) -> TargetState:
    try:
        toolchain = find(target, llvm=llvm)
    except ToolchainError as error:
        return TargetState(target=target, library=None, clang=None, clang_lowers=False, remedy=error.remedy)
    remedy = ""
    if toolchain.clang is None:
        try:
            toolchain.need_clang()
        except ToolchainError as error:
            remedy = error.remedy
    return TargetState(
        target=target,
        library=toolchain.library.version,
        clang=toolchain.clang.version if toolchain.clang else None,
        clang_lowers=toolchain.clang_lowers,
        remedy=remedy,
    )
