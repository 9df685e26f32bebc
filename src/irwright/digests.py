"""BLAKE2 without hashlib, which loads OpenSSL: that takes as long as a third of a cache hit of `irwright cc`."""

from __future__ import annotations

try:
    from _blake2 import blake2b
except ImportError:  # a Python built without its own
    from hashlib import blake2b

__all__ = ["blake2b"]
