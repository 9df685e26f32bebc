"""What variables hold at first."""

from __future__ import annotations

from irwright.grammar.operands import Operands
from irwright.grammar.reader import Reader
from irwright.grammar.types import Type, read_constant


def read_initial(operands: Operands, kind: Type) -> None:
    """What a variable holds at first."""
    line = operands.line
    if kind.kind == "array" and kind.parts[0].text == "i8" and line.maybe('c"'):
        _string(line, kind.length)
    elif kind.kind in ("array", "struct") and line.maybe(*_brackets(kind, operands.types.parts_of(kind))):
        parts = kind.parts * kind.length if kind.kind == "array" else operands.types.parts_of(kind)
        packed = kind.name < 0 and kind.text.startswith("<")
        for number, part in enumerate(parts):
            line.need(f"{', ' if number else ''}{part.text} ")
            read_initial(operands, part)
        line.need("]" if kind.kind == "array" else " }>" if packed else " }")
    elif kind.kind == "ptr":
        operands.value(kind)
    elif kind.kind in ("array", "struct"):
        line.need("zeroinitializer", "undef", "poison")
    else:
        read_constant(line, kind)


def _brackets(kind: Type, parts: tuple[Type, ...]) -> list[str]:
    if kind.kind == "array":
        return ["["] if kind.length else []
    return (["<{ "] if kind.text.startswith("<") else ["{ "]) if parts else []


def _string(line: Reader, length: int) -> None:
    """Exactly so many bytes, then the closing quote."""
    for _ in range(length):
        if line.at_end or line.text[line.position] == '"':
            raise line.fail()
        if line.maybe("\\"):
            if line.maybe("\\"):
                continue
            for _ in range(2):
                if line.at_end or line.text[line.position] not in "0123456789ABCDEF":
                    raise line.fail()
                line.position += 1
        elif not " " <= line.text[line.position] < "\x7f":
            raise line.fail()
        else:
            line.position += 1
    line.need('"')
