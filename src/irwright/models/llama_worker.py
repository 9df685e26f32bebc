"""What a worker process does that runs llama.cpp: load one GGUF, serve it on loopback, until its parent goes.

llama.cpp ends the process on some files: that must not be the process that tunes.
"""

from __future__ import annotations

from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any


def serve(connection: Connection, words: list[str]) -> None:
    """`words`: path, tokens of context, threads, key. Sends the address, or what llama.cpp has against the file."""
    path, context, threads, key = words
    xllamacpp: Any = import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = int(context)
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = int(threads)
    parameters.warmup = False
    parameters.verbosity = -1
    parameters.n_cache_reuse = 0
    parameters.api_keys = [key]
    try:
        server = xllamacpp.Server(parameters)
    except (RuntimeError, ValueError, MemoryError) as error:
        connection.send({"problem": str(error)})
        return
    connection.send({"address": str(server.listening_address)})
    try:
        connection.recv()
    except EOFError:
        return
