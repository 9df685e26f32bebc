"""Servers that answer, hang, drip, refuse and talk nonsense: each is an answer that says what it was."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from irwright.errors import ModelError
from irwright.models.answers import Request
from irwright.models.endpoint import EndpointModel, check_url

Reply = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]


@contextmanager
def served(reply: Reply) -> Iterator[str]:
    """A server whose POSTs are answered by `reply`; it is no llama.cpp."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            say(self, {"data": [{"id": "the-model"}]} if self.path == "/v1/models" else {}, status=200)

        def do_POST(self) -> None:
            reply(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def say(handler: BaseHTTPRequestHandler, data: object, *, status: int = 200) -> None:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def reply(handler: BaseHTTPRequestHandler, payload: dict[str, Any]) -> None:
        asked.append({**payload, "key": handler.headers["Authorization"], "path": handler.path})
        say(
            handler,
            {"choices": [{"text": " opt -p 'sroa'", "finish_reason": "stop"}], "usage": {"completion_tokens": 4}},
        )

    with served(reply) as url:
        answer = EndpointModel(url + "/v1/", key="secret").ask(Request(prompt="[INST] x [/INST]", max_tokens=9, seed=3))
    assert (answer.outcome, answer.text, answer.finished, answer.num_tokens) == ("ok", " opt -p 'sroa'", True, 4)
    assert asked == [
        {
            "prompt": "[INST] x [/INST]",
            "max_tokens": 9,
            "temperature": 0.0,
            "seed": 3,
            "model": "the-model",
            "key": "Bearer secret",
            "path": "/v1/completions",
        }
    ]


@pytest.mark.parametrize(
    ("data", "status", "outcome", "detail"),
    [
        (b"<html>\x00 busy", 200, "error", "the answer is no JSON: <html> busy"),
        ([1, 2], 200, "error", "the answer is no JSON object"),
        ({"choices": []}, 200, "error", "the answer lacks or garbles list index out of range"),
        ({"choices": [{"finish_reason": 1}]}, 200, "error", "the answer lacks or garbles 'text'"),
        ({"error": "down"}, 503, "error", 'HTTP 503: {"error": "down"}'),
        ({"error": "exceeds the context size"}, 400, "too-long", "HTTP 400"),
    ],
)
def test_nonsense_is_an_answer(data: object, status: int, outcome: str, detail: str) -> None:
    with served(lambda handler, _: say(handler, data, status=status)) as url:
        answer = EndpointModel(url, model="m").ask(Request(prompt="x"))
    assert answer.outcome == outcome and detail in answer.detail


def test_a_server_that_hangs() -> None:
    with served(lambda handler, _: time.sleep(1)) as url:
        answer = EndpointModel(url, model="m").ask(Request(prompt="x", seconds=0.2))
    assert (answer.outcome, answer.detail) == ("timeout", "no answer in 0.2 seconds")


def test_a_server_that_drips() -> None:
    def drip(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    with served(drip) as url:
        answer = EndpointModel(url, model="m").ask(Request(prompt="x", seconds=0.3))
    assert answer.outcome == "timeout"


def test_no_server() -> None:
    answer = EndpointModel("http://127.0.0.1:9").ask(Request(prompt="x", seconds=2))
    assert answer.outcome == "error" and "no connection to 127.0.0.1:9" in answer.detail


def test_addresses() -> None:
    assert check_url("http://host:1") == "http://host:1"
    with pytest.raises(ModelError, match="'ftp://host' is no address of a server; give http://HOST:PORT"):
        check_url("ftp://host")
