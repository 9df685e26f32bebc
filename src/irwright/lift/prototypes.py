"""Prototypes of the C library, as LLVM types."""

from __future__ import annotations

from irwright.lift.signatures import Signature


def prototype(name: str) -> Signature | None:
    """The known signature of a function, a fresh object."""
    return None
