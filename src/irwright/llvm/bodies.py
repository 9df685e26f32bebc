"""The text of a module taken apart: the bodies of its functions, and hashes that other functions don't change."""

from __future__ import annotations

import re
from collections.abc import Mapping

from irwright.digests import blake2b
from irwright.errors import LLVMError

_NOTE = re.compile(rb"(?<=[ (,{])([!#]\d+)\b")
_HEADER = re.compile(rb'^(?:define|declare) [^@\n]*@("[^"]*"|[-\w.$]+)\(.*$', re.MULTILINE)
_NAMED = re.compile(rb'@("[^"]*"|[-\w.$]+)')
_DEFINED = re.compile(rb'@("(?:[^"])*"|[-\w.$]+)\(')


def split_text(text: bytes) -> dict[str, bytes]:
    """The text of each defined function in a module's text, by name, in order."""
    bodies: dict[str, bytes] = {}
    start = text.find(b"\ndefine ")
    while start >= 0:
        end = text.find(b"\n}\n", start)
        body = text[start:end]
        bodies[_defined_name(body)] = body
        start = text.find(b"\ndefine ", end)
    return bodies


def hash_bodies(text: bytes, bodies: Mapping[str, bytes]) -> dict[str, bytes]:
    """`Module.function_hashes` of a module's text that is split already."""
    notes = _Notes(text)
    headers = {match.group(1): notes.write_out(match.group()) for match in _HEADER.finditer(text)}
    hashes: dict[str, bytes] = {}
    for name, body in bodies.items():
        state = blake2b(notes.write_out(body), digest_size=16)
        for named in sorted(headers.keys() & set(_NAMED.findall(body))):
            state.update(headers[named])
        hashes[name] = state.digest()
    return hashes


class _Notes:
    """The attribute groups (#0) and metadata nodes (!0) at the end of a module's text."""

    def __init__(self, text: bytes) -> None:
        self._raw = {
            match.group(1): match.group(2)
            for match in re.finditer(rb"^(?:attributes )?([!#]\d+) = (.*)$", text, re.MULTILINE)
        }
        self._written: dict[bytes, bytes] = {}

    def write_out(self, text: bytes) -> bytes:
        return _NOTE.sub(lambda match: self._write(match.group(1)), text)

    def _write(self, name: bytes) -> bytes:
        known = self._written.get(name)
        if known is not None:
            return known
        self._written[name] = b"^"  # a node that names itself, as loops do
        raw = self._raw.get(name, name)
        content = raw if name[:1] == b"#" else _NOTE.sub(lambda match: self._write(match.group(1)), raw)
        written = content if len(content) < 40 else blake2b(content, digest_size=12).hexdigest().encode()
        self._written[name] = written
        return written


def _defined_name(body: bytes) -> str:
    """The name of the function whose text begins with `define`."""
    match = _DEFINED.search(body)  # nothing before the name holds an @
    if match is None:
        raise LLVMError(f"no function name in {body[:80]!r}")
    name = match.group(1)
    if name.startswith(b'"'):
        name = re.sub(rb"\\([0-9A-F]{2})", lambda hexa: bytes([int(hexa.group(1), 16)]), name[1:-1])
    return name.decode(errors="surrogateescape")
