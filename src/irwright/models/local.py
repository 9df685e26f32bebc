"""A GGUF file, run by llama.cpp in a worker process of this machine: no torch, no network, no server to set up.

The worker listens on loopback with a key of its own, and is asked like any other llama.cpp server.
"""

from __future__ import annotations

import secrets
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from irwright.errors import InputError, ModelError, ToolchainError
from irwright.llvm.worker import default_jobs
from irwright.lm.tokenizer import Tokenizer
from irwright.models.answers import Answer, Request
from irwright.models.endpoint import EndpointModel
from irwright.models.gguf_file import read_head
from irwright.processes import WorkerProcess
from irwright.tasks.text import Style

MAX_CONTEXT = 16_384
"""tokens: more costs gigabytes with a model of 13 billion parameters"""
START_SECONDS = 300.0
SMALL_BYTES = 32 << 20
"""files up to this run on one thread: two, on cores that are busy, wait longer for each other than a matrix takes"""


def usual_threads(file_bytes: int) -> int:
    """How many threads a model runs on where nobody says."""
    return 1 if file_bytes <= SMALL_BYTES else default_jobs()


class LocalModel:
    """A model in a worker; InputError where the file is broken, ModelError where llama.cpp does not take it."""

    def __init__(self, path: Path, *, context: int | None = None, threads: int | None = None) -> None:
        if find_spec("xllamacpp") is None:
            raise ToolchainError("asking a model needs xllamacpp", remedy="pip install 'irwright[model]'")
        self._path = path
        head = read_head(path)
        tokenizer = head.tokenizer if head.is_native else None
        self.context = context or min(head.context or MAX_CONTEXT, MAX_CONTEXT)
        key = secrets.token_urlsafe(24)
        words = [str(path), str(self.context), str(threads or usual_threads(path.stat().st_size)), key]
        self._worker = WorkerProcess("irwright.models.llama_worker", words, memory_bytes=0)
        try:
            self._endpoint = EndpointModel(
                self._address(self._worker.connection),
                key=key,
                tokenizer=None if tokenizer is None else Tokenizer(tokenizer, path=str(path)),
                knows_outcomes=head.knows_outcomes,
                name=path.name,
            )
        except BaseException:
            self._worker.close()
            raise

    def _address(self, connection: Connection) -> str:
        try:
            said: dict[str, Any] = connection.recv() if connection.poll(START_SECONDS) else {"problem": "it hangs"}
        except (EOFError, OSError) as error:
            words = self._worker.last_words(("error", "failed", "ASSERT"))
            raise ModelError(f"{self._path}: llama.cpp ended on it ({words})") from error
        if "address" not in said:
            raise InputError(str(self._path), f"llama.cpp can't load it ({said.get('problem') or 'it says no more'})")
        return str(said["address"])

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def style(self) -> Style:
        return self._endpoint.style

    @property
    def knows_outcomes(self) -> bool:
        return self._endpoint.knows_outcomes

    def ask(self, request: Request) -> Answer:
        """Answer; if llama.cpp ends on it, that is the answer."""
        answer = self._endpoint.ask(request)
        if answer.outcome == "error" and not self._worker.is_alive:
            return Answer(outcome="error", detail=f"llama.cpp ended ({self._worker.last_words(('error', 'ASSERT'))})")
        return answer

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
