"""What a run does that others can see: calls of functions that are not in the object, and what it writes to streams."""

from __future__ import annotations

from dataclasses import dataclass

from irwright.verify.signatures import Kind

Argument = tuple[Kind, int, int]
"""kind, width in bits, value"""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """A call of a function whose effect is not known, with the arguments that its signature names."""

    name: str
    arguments: tuple[Argument, ...] = ()
    content: tuple[bytes, ...] = ()
    """what arguments point at, where the callee is known to read it"""
    texts: tuple[bytes, ...] = ()
    """texts on the stack that arguments point at; empty where there may be none"""


@dataclass(frozen=True, slots=True)
class OutputEvent:
    """Bytes that go to a stream, whatever function was called for it."""

    stream: int
    """the FILE's address"""
    pieces: tuple[bytes | int, ...]
    """text, and addresses that were printed"""


Event = CallEvent | OutputEvent


def merged(events: list[Event]) -> list[Event]:
    """The same with outputs to one stream that follow each other as one; empty ones left out."""
    found: list[Event] = []
    for event in events:
        if isinstance(event, OutputEvent):
            last = found[-1] if found else None
            pieces: list[bytes | int] = []
            if isinstance(last, OutputEvent) and last.stream == event.stream:
                pieces = list(last.pieces)
                found.pop()
            for piece in event.pieces:
                if isinstance(piece, bytes) and pieces and isinstance(pieces[-1], bytes):
                    pieces[-1] += piece
                elif piece != b"":
                    pieces.append(piece)
            if pieces:
                found.append(OutputEvent(event.stream, tuple(pieces)))
        else:
            found.append(event)
    return found
