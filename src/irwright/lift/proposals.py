"""Candidate IR from outside: a language model, another lifter, a person; judged like everything else.

Nothing that is proposed is believed. It is screened (one function, no assembly in it), recompiled and compared. What
recompiles to equal code stands on that. Where the rules could lift nothing, a candidate that behaves the same in every
run under emulation is better than machine code; `disassembler` sees to that.

The format of a command's lines (docs/formats.md) is owned here.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

from irwright.errors import ProposerError

MAX_CANDIDATES = 16
MAX_CANDIDATE_CHARS = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A function for which IR is wanted."""

    function: str
    """its symbol, which the candidate must define"""
    assembly: str
    """its instructions and labels, a line each"""
    ir: str
    """the module that the rules made, or nothing"""
    reason: str
    """why they made none"""


class IrProposer(Protocol):
    """Whatever can answer."""

    def propose(self, question: Question) -> Sequence[str]:
        """Candidate modules as textual IR, best first; none is an answer too."""
        ...


class CommandProposer:
    """A process that reads a question a line and writes an answer a line, as JSON."""

    def __init__(self, command: Sequence[str], *, timeout_seconds: float = 120.0) -> None:
        self.command = list(command)
        self.timeout_seconds = timeout_seconds
        self._rest = b""
        try:
            self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise ProposerError(self.command[0], f"can't be started: {error.strerror or error}") from error

    def __enter__(self) -> CommandProposer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; closing twice is harmless."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def propose(self, question: Question) -> Sequence[str]:
        """Ask; ProposerError where the process ends, is silent too long or answers something else."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(question)).encode() + b"\n")
        except (BrokenPipeError, ValueError) as error:
            raise ProposerError(self.command[0], "ended before it was asked everything") from error
        try:
            answer: Any = json.loads(self._line())
        except ValueError as error:
            raise ProposerError(self.command[0], f"answered no JSON for {question.function!r}") from error
        fields = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
        found: Any = fields.get("candidates", [fields["ir"]] if "ir" in fields else None)
        texts: list[Any] = cast("list[Any]", found) if isinstance(found, list) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise ProposerError(self.command[0], "answered neither {'ir': text} nor {'candidates': [text, ...]}")
        return texts[:MAX_CANDIDATES]

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        ends = time.monotonic() + self.timeout_seconds
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                raise ProposerError(self.command[0], f"was silent for {self.timeout_seconds:g} seconds")
            part = self._process.stdout.read(1 << 16)
            if not part:
                raise ProposerError(self.command[0], "ended without an answer")
            self._rest += part
            if len(self._rest) > MAX_CANDIDATES * MAX_CANDIDATE_CHARS:
                raise ProposerError(self.command[0], "answered more than can be judged")
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def screened(text: str, function: str) -> str:
    """Why a candidate is not even compiled; empty where it is."""
    if len(text) > MAX_CANDIDATE_CHARS:
        return "is too long"
    defined = re.findall(r'^define [^\n]*?@("[^"\n]*"|[\w.$-]+)\(', text, re.M)
    if [name.strip('"') for name in defined] != [function]:
        return "does not define this function alone"
    if re.search(r"^module asm |\basm (sideeffect |alignstack |inteldialect |unwind )*\"", text, re.M):
        return "holds assembly"
    return ""
