"""C++ names as people write them, by the demangler of the C++ library that is there (libLLVM needs one)."""

from __future__ import annotations

import ctypes
from functools import cache

MAX_NAME_BYTES = 1000
"""longer names stay as they are: the demangler is recursive, and names may be hostile"""


@cache
def _library() -> ctypes.CDLL | None:
    for name in ("libstdc++.so.6", "libc++abi.so.1", "libc++abi.dylib"):
        try:
            library = ctypes.CDLL(name)
            library.__cxa_demangle.restype = ctypes.c_void_p
            library.__cxa_demangle.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
            library.free.argtypes = [ctypes.c_void_p]
        except (OSError, AttributeError):
            continue
        return library
    return None


@cache
def demangled(symbol: str) -> str:
    """A C++ symbol as C++ spells it; empty where it is none, or nothing can tell."""
    name, dot, suffix = symbol.partition(".")
    data = name.encode(errors="surrogateescape")
    library = _library() if name.startswith("_Z") and len(data) <= MAX_NAME_BYTES and b"\0" not in data else None
    if library is None:
        return ""
    found = library.__cxa_demangle(data, None, None, None)
    if not found:
        return ""
    try:
        text = ctypes.string_at(found).decode(errors="replace")
    finally:
        library.free(found)
    return f"{text} [{dot}{suffix}]" if suffix else text
