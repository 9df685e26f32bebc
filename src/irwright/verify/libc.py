"""Functions of the C library, and who plays which call."""

from __future__ import annotations

from irwright.verify.calls import Call, play_unknown


def play(call: Call) -> None:
    """Do what the callee would do."""
    play_unknown(call)
