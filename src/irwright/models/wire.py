"""JSON over HTTP with a deadline, for servers that may hang, drip, or answer anything.

What goes wrong is a `WireError` that knows whether it was time that ran out.
"""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, cast
from urllib.parse import urlsplit

MAX_BYTES = 64 << 20
PIECE = 1 << 16


class WireError(Exception):
    """No usable answer; never leaves this folder."""

    def __init__(self, detail: str, *, timeout: bool = False, status: int = 0) -> None:
        super().__init__(detail)
        self.timeout = timeout
        self.status = status
        """of HTTP, where that is what was wrong"""


def exchange(
    url: str, payload: dict[str, Any] | None = None, *, key: str | None = None, seconds: float
) -> dict[str, Any]:
    """POST an object (GET without one) and read the object that comes back."""
    deadline = time.monotonic() + seconds
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=seconds)
        try:
            body = None if payload is None else json.dumps(payload).encode()
            connection.request("GET" if body is None else "POST", parts.path or "/", body, headers)
            response = connection.getresponse()
            data = _read(response, deadline)
        finally:
            connection.close()
    except TimeoutError as error:
        raise WireError(f"no answer in {seconds:g} seconds", timeout=True) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WireError(f"no connection to {parts.netloc} ({error or type(error).__name__})") from error
    if response.status != 200:
        raise WireError(f"HTTP {response.status}: {_said(data)}", status=response.status)
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise WireError(f"the answer is no JSON: {_said(data)}") from error
    if not isinstance(answer, dict):
        raise WireError(f"the answer is no JSON object: {_said(data)}")
    return cast("dict[str, Any]", answer)


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The whole body; TimeoutError where it drips past the deadline."""
    data = b""
    while True:
        if time.monotonic() > deadline:
            raise TimeoutError
        piece = response.read1(PIECE)
        if not piece:
            return data
        data += piece
        if len(data) > MAX_BYTES:
            raise ValueError(f"an answer of more than {MAX_BYTES:,} bytes")


def _said(data: bytes) -> str:
    """The beginning of what a server said, printable, in one line."""
    text = data[:300].decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:120] or "nothing"
