"""What tests of verification share: C text compiled by the default clang."""

from __future__ import annotations

import subprocess
from pathlib import Path

from irwright.verify.differ import compare_objects
from irwright.verify.signatures import Signature, signatures_of
from irwright.verify.verdicts import ObjectVerdict


class Compile:
    """Objects and signatures of C text, by the default clang."""

    def __init__(self, clang: Path) -> None:
        self.clang = clang

    def __call__(self, text: str, *flags: str, language: str = "c") -> bytes:
        return self._run(text, "-c", *flags, language=language)

    def _run(self, text: str, *flags: str, language: str = "c") -> bytes:
        command = [str(self.clang), "-w", "-x", language, "-", "-o", "-", *flags]
        return subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout

    def signatures(self, text: str, *flags: str, language: str = "c") -> dict[str, Signature]:
        return signatures_of(self.ir(text, *flags, language=language))

    def ir(self, text: str, *flags: str, language: str = "c") -> str:
        return self._run(text, "-S", "-emit-llvm", "-O0", *flags, language=language).decode()

    def compare(self, text: str, changed: str | None = None, *, seeds: int = 8) -> ObjectVerdict:
        """-Oz of two texts (or -O0 and -Oz of one)."""
        original = self(text, "-Oz" if changed else "-O0")
        return compare_objects(original, self(changed or text, "-Oz"), signatures=self.signatures(text), seeds=seeds)
