"""One loaded libLLVM: its version and backends, the memory it hands out, its options."""

from __future__ import annotations

import ctypes
import functools
from ctypes import c_char_p
from pathlib import Path

from irwright.llvm import bindings


class Library:
    """One loaded libLLVM: version, backends, and what differs between the majors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.api = bindings.load(path)
        self.version = bindings.version(self.api)
        self.major = self.version[0]
        self.backends = bindings.initialize_backends(self.api)
        self.can_run_on_function = hasattr(self.api, "LLVMRunPassesOnFunction")

    def take_string(self, address: int | None) -> str:
        """Copy a message LLVM allocated and release it."""
        if not address:
            return ""
        text = ctypes.string_at(address).decode(errors="replace")
        self.api.LLVMDisposeMessage(address)
        return text

    def take_error(self, error: int | None) -> str | None:
        """The message of an LLVMErrorRef, None on success; consumes the reference."""
        if not error:
            return None
        message = self.api.LLVMGetErrorMessage(error)
        text = ctypes.string_at(message).decode(errors="replace")
        self.api.LLVMDisposeErrorMessage(message)
        return text

    def take_buffer(self, buffer: int) -> bytes:
        """Copy a memory buffer and release it."""
        data = ctypes.string_at(self.api.LLVMGetBufferStart(buffer), self.api.LLVMGetBufferSize(buffer))
        self.api.LLVMDisposeMemoryBuffer(buffer)
        return data

    def default_triple(self) -> str:
        """The target of IR that names none."""
        return self.take_string(self.api.LLVMGetDefaultTargetTriple())

    def set_options(self, options: tuple[str, ...]) -> None:
        """Set LLVM's command line options (`-name=value`), which are global to the process.

        An unknown option makes LLVM exit the process.
        """
        argv = (c_char_p * (len(options) + 1))(b"irwright", *(option.encode() for option in options))
        self.api.LLVMParseCommandLineOptions(len(argv), argv, b"")


@functools.cache
def open_library(path: Path) -> Library:
    """The library at `path`, loaded once per process (LLVM's global state can't be unloaded)."""
    return Library(path)


class PassOptions:
    """LLVMPassBuilderOptions as clang -Oz sets them (the SLP vectorizer on), released on exit.

    The text `default<Oz>` overrides them: LLVM's parser switches the vectorizers off at that level.
    """

    def __init__(self, library: Library, inliner_threshold: int | None) -> None:
        self._api = library.api
        self._ref: int = self._api.LLVMCreatePassBuilderOptions()
        self._api.LLVMPassBuilderOptionsSetSLPVectorization(self._ref, 1)
        if inliner_threshold is not None:
            self._api.LLVMPassBuilderOptionsSetInlinerThreshold(self._ref, inliner_threshold)

    def __enter__(self) -> int:
        return self._ref

    def __exit__(self, *_: object) -> None:
        self._api.LLVMDisposePassBuilderOptions(self._ref)
