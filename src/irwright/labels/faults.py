"""What the compiler has against the code in a model's answer, and where: what mending an answer begins with."""

from __future__ import annotations

from typing import Literal

from irwright.errors import IrwrightError
from irwright.evaluator import Plan
from irwright.labels.units import Bench
from irwright.models.checked import Fault
from irwright.tasks import disassemble, emulate

Wanted = Literal["ir", "asm", "lifted"]
"""What an answer holds: IR or assembly with sizes behind it, or IR that has to have assembly."""


def code_fault(bench: Bench, wanted: Wanted, answer: str) -> Fault | None:
    """What is wrong with a native answer, with the line that the compiler names; None where it takes the code."""
    if wanted == "lifted":
        code = disassemble.parse(answer).ir
    else:
        parsed = emulate.parse(answer)
        if parsed.counts is None:
            return Fault(problem="no sizes behind the code", start=max(0, len(answer) - 1))
        code = parsed.code
    if not code.strip():
        return Fault(problem="no code in the answer")
    try:
        if wanted == "asm":
            bench.assemble(code)
        elif wanted == "lifted":
            bench.assembly(code)
        else:
            bench.of_text(code).plain.compile(Plan(), "bc")
    except IrwrightError as error:
        line = getattr(error, "line", 0)
        start, end = line_span(code, line - 1) if line > 1 else (0, len(code))
        return Fault(problem=str(error), start=start, end=end)
    return None


def line_span(text: str, line: int) -> tuple[int, int]:
    """First and last character of a line counted from 1 (one that is not there is the last)."""
    starts = [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]
    start = starts[min(line, len(starts)) - 1]
    end = text.find("\n", start)
    return start, len(text) if end < 0 else end + 1
