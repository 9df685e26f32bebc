"""One HTML page of a lifted file: assembly, IR and recompiled assembly side by side, differences marked."""

from __future__ import annotations

from difflib import SequenceMatcher
from html import escape

from irwright.lift.disassembler import LiftedFunction, LiftResult

STYLE = """
body{font:14px system-ui;margin:1.5em;color:#222} table{border-collapse:collapse}
td,th{padding:.2em .7em;text-align:left}
.n{text-align:right} pre{margin:0;font:12px/1.45 ui-monospace,monospace;white-space:pre}
.row{display:flex;gap:1em;overflow-x:auto}
.col{flex:1 1 0;min-width:22em;overflow-x:auto;border:1px solid #ddd;padding:.5em} .d{background:#fde2c8;display:block}
summary{cursor:pointer;padding:.3em 0} .exact,.equivalent{color:#176b2c} .different{color:#b00020}
.inconclusive,.not-lifted{color:#8a6100}
"""


def report_page(result: LiftResult) -> str:
    """The page; it needs nothing beside itself."""
    rows = "".join(
        f"<tr><td>{escape(name)}<td class=n>{count}" for name, count in result.totals.items() if name != "functions"
    )
    parts = [
        "<!doctype html><meta charset=utf-8>",
        f"<title>{escape(result.file)}</title><style>{STYLE}</style>",
        f"<h1>{escape(result.file)}</h1><p>{len(result.functions)} functions, {escape(result.target)}</p>",
        f"<table>{rows}</table>",
        *[_function(one) for one in result.functions],
    ]
    return "\n".join(parts) + "\n"


def _function(one: LiftedFunction) -> str:
    left, right = _marked(one.original, one.recompiled)
    reason = f" {escape(one.reason)}" if one.reason else ""
    head = (
        f"<summary><b>{escape(one.function)}</b> <span class={one.verdict}>{one.verdict}</span>"
        f" {one.similarity:.0%}, {one.num_instructions} instructions,"
        f" {one.num_variants} variants{reason}</summary>"
    )
    columns = "".join(
        f"<div class=col><b>{title}</b><pre>{text}</pre></div>"
        for title, text in (("assembly", left), ("IR", escape(one.ir)), ("recompiled", right))
    )
    return f"<details>{head}<div class=row>{columns}</div></details>"


def _marked(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, str]:
    left: list[str] = []
    right: list[str] = []
    for kind, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for lines, out in ((a[a1:a2], left), (b[b1:b2], right)):
            for line in lines:
                text = escape(line if line.endswith(":") else f"    {line}")
                out.append(text + "\n" if kind == "equal" else f"<span class=d>{text}</span>")
    return "".join(left), "".join(right)
