"""Drawings as SVG: the same numbers give the same bytes. Colours are the page's (`--c0` to `--c7`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

NUM_COLOURS = 8
_WIDTH = 760
At = Callable[[float, float], tuple[float, float]]
"""where a point of the data is drawn"""


_LIGHT = "--ink:#1d2128;--soft:#5d6675;--line:#dde1e7;--c0:#1f5fb4;--c1:#c2571a;--c2:#14702b;--c3:#8a2be0;--c4:#8a6100;"
_DARK = "--ink:#dfe3ea;--soft:#98a2b1;--line:#2e333c;--c0:#6fa8f0;--c1:#f0985c;--c2:#5fce7d;--c3:#c08cf5;--c4:#d9ad45;"
_STYLE = (
    f"svg{{{_LIGHT}--c5:#b3001e;--c6:#0b7a82;--c7:#6b5b78}}"
    f"@media(prefers-color-scheme:dark){{svg{{{_DARK}--c5:#ff7b88;--c6:#4fc9d2;--c7:#b7a4c9}}}}"
    "text{font:12px system-ui,sans-serif;fill:var(--ink)}text.name{fill:var(--soft)}"
    "text.curve{font-weight:600;fill:revert-layer}.grid{stroke:var(--line)}.leader{stroke:var(--soft);stroke-width:.7}"
    ".mark{stroke:var(--soft);stroke-width:1.3;stroke-dasharray:6 4}"
)


def standalone(svg: str) -> str:
    """A drawing of the page as a file of its own, with the page's colours."""
    return svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(
        ">", f"><style>{_STYLE}</style>", 1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    ranges: Sequence[tuple[float, float] | None]
    """around each point"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A level that others reached, drawn across."""

    name: str
    value: float


def _colour(number: int) -> str:
    return f"var(--c{number % NUM_COLOURS})"


def _open(height: float, title: str) -> list[str]:
    return [f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">']


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{name}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers from at most `low` to at least `high`."""
    span = max(high - low, 1e-9)
    step = 10 ** math.floor(math.log10(span / count))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= count)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(number * step, 9) for number in range(first, last + 1)]


def curves(lines: Sequence[Curve], *, x_name: str, y_name: str, marks: Sequence[Mark] = ()) -> str:
    """Lines over a logarithmic axis, with bands and levels."""
    height, left, right, top, bottom = 400.0, 56.0, 200.0, 12.0, 44.0
    xs = sorted({x for line in lines for x in line.x}) or [1]
    ends = [value for line in lines for one in line.ranges if one is not None for value in one]
    values = [*(y for line in lines for y in line.y), *ends, *(mark.value for mark in marks), 0.0]
    steps = ticks(min(values), max(values))
    low, high = steps[0], max(steps[-1], steps[0] + 1e-9)
    span = math.log(xs[-1] / xs[0]) or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = math.log(x / xs[0]) / span if len(xs) > 1 else 0.5
        return left + across * (_WIDTH - left - right), top + (high - y) / (high - low) * (height - top - bottom)

    out = _open(height, f"{y_name} over {x_name}")
    for y in steps:
        out.append(_line(left, at(xs[0], y)[1], _WIDTH - right, at(xs[0], y)[1], "grid"))
        out.append(_text(left - 6, at(xs[0], y)[1] + 4, f"{y:g}", "end"))
    taken = -100.0
    for x in xs:
        if at(x, low)[0] - taken > 26:
            taken = at(x, low)[0]
            out.append(_text(taken, height - bottom + 18, f"{x:g}", "middle"))
    out.append(_text((left + _WIDTH - right) / 2, height - 6, x_name, "middle", "name"))
    out.append(
        f'<text x="14" y="{(top + height - bottom) / 2:.1f}" text-anchor="middle" class="name" '
        f'transform="rotate(-90 14 {(top + height - bottom) / 2:.1f})">{escape(y_name)}</text>'
    )
    for number, line in enumerate(lines):
        out += _band(line, number, at)
    for number, line in enumerate(lines):
        out += _curve(line, number, at)
    out += _names(lines, marks, at, right=right, top=top, bottom=height - bottom)
    return "\n".join([*out, "</svg>"])


def _band(line: Curve, number: int, at: At) -> list[str]:
    ends = [(x, one) for x, one in zip(line.x, line.ranges, strict=True) if one is not None]
    if len(ends) < 2:
        return [
            f'<line x1="{at(x, low)[0]:.1f}" y1="{at(x, low)[1]:.1f}" x2="{at(x, high)[0]:.1f}" '
            f'y2="{at(x, high)[1]:.1f}" stroke="{_colour(number)}" stroke-width="5" opacity=".25"/>'
            for x, (low, high) in ends
        ]
    outline = [at(x, high) for x, (_, high) in ends] + [at(x, low) for x, (low, _) in reversed(ends)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
    return [f'<polygon points="{path}" fill="{_colour(number)}" opacity=".13"/>']


def _curve(line: Curve, number: int, at: At) -> list[str]:
    places = [at(x, y) for x, y in zip(line.x, line.y, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    out = [f'<polyline points="{path}" fill="none" stroke="{_colour(number)}" stroke-width="2"/>']
    for (x, y), k, value, one in zip(places, line.x, line.y, line.ranges, strict=True):
        words = f"{line.name}, {k:g}: {value:.2f}" + (f" ({one[0]:.2f} to {one[1]:.2f})" if one else "")
        out.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_colour(number)}"><title>{escape(words)}</title></circle>'
        )
    return out


def _names(
    lines: Sequence[Curve], marks: Sequence[Mark], at: At, *, right: float, top: float, bottom: float
) -> list[str]:
    """Names at the ends of curves and levels, pushed apart where they would lie on each other."""
    wanted = [(at(line.x[-1], line.y[-1])[1], line.name, number) for number, line in enumerate(lines) if line.x]
    x = lines[0].x[0] if lines and lines[0].x else 1
    wanted += [(at(x, mark.value)[1], f"{mark.name} {mark.value:g}", -1) for mark in marks]
    out = [_line(56, at(x, mark.value)[1], _WIDTH - right, at(x, mark.value)[1], "mark") for mark in marks]
    placed: list[tuple[float, float, str, int]] = []
    for y, name, number in sorted(wanted, key=lambda one: (one[0], one[1])):
        free = max(y, placed[-1][0] + 14 if placed else top)
        placed.append((free, y, name, number))
    over = placed[-1][0] - bottom if placed else 0
    for free, y, name, number in placed:
        at_y = free - max(0.0, over)
        colour = "var(--soft)" if number < 0 else _colour(number)
        out.append(_line(_WIDTH - right + 2, y, _WIDTH - right + 12, at_y, "leader"))
        out.append(
            f'<text x="{_WIDTH - right + 15:.1f}" y="{at_y + 4:.1f}" fill="{colour}" class="curve">'
            f"{escape(_cut(name, 30))}</text>"
        )
    return out


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def bars(
    names: Sequence[str],
    groups: Sequence[tuple[str, Sequence[float]]],
    *,
    x_name: str,
    marks: Sequence[Mark] = (),
    colours: Sequence[int] = (),
) -> str:
    """A group of bars for each thing, a bar for each name; levels are drawn down, their names on top."""
    thick, gap, left, right = 9.0, 7.0, 170.0, 60.0
    top = 30.0 + 14 * len(marks)
    step = thick * len(names) + gap
    height = top + step * len(groups) + 26
    values = [0.0, 1.0, *(value for _, values in groups for value in values), *(mark.value for mark in marks)]
    steps = ticks(min(values), max(values))
    low, high = steps[0], steps[-1]
    colours = colours or range(len(names))

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * (_WIDTH - left - right)

    out = _open(height, x_name)
    out += _key(names, left, colours)
    for value in steps:
        out.append(_line(at(value), top, at(value), height - 24, "grid"))
        out.append(_text(at(value), height - 10, f"{value:g}", "middle"))
    out.append(_text(left - 8, height - 10, x_name, "end", "name"))
    for number, (group, lengths) in enumerate(groups):
        y = top + number * step
        out.append(_text(left - 8, y + step / 2, _cut(group, 24), "end"))
        for place, value in enumerate(lengths):
            start, end = sorted((at(0.0), at(value)))
            words = escape(f"{group}, {names[place]}: {value:.2f}")
            out.append(
                f'<rect x="{start:.1f}" y="{y + place * thick:.1f}" width="{max(end - start, 0.5):.1f}" '
                f'height="{thick - 1:.1f}" fill="{_colour(colours[place])}"><title>{words}</title></rect>'
            )
    for number, mark in enumerate(marks):
        y = 34.0 + 14 * number
        out.append(_line(at(mark.value), y - 8, at(mark.value), height - 24, "mark"))
        side = "end" if at(mark.value) > _WIDTH / 2 else "start"
        out.append(_text(at(mark.value) + (-4 if side == "end" else 4), y, f"{mark.name} {mark.value:g}", side, "name"))
    return "\n".join([*out, "</svg>"])


def _key(names: Sequence[str], left: float, colours: Sequence[int] = ()) -> list[str]:
    out: list[str] = []
    x = left
    for number, name in zip(colours or range(len(names)), names, strict=True):
        out.append(f'<rect x="{x:.1f}" y="6" width="10" height="10" fill="{_colour(number)}"/>')
        out.append(_text(x + 14, 15, name))
        x += 26 + 7 * len(name)
    return out


def stacks(names: Sequence[str], groups: Sequence[tuple[str, Sequence[int]]], colours: Sequence[int]) -> str:
    """A bar of 100 % for each thing, cut by how many of it each name has."""
    left, right, top, thick, gap = 170.0, 90.0, 30.0, 18.0, 8.0
    height = top + (thick + gap) * len(groups) + 22
    out = _open(height, "shares")
    out += _key(names, left, colours)
    for value in (0, 25, 50, 75, 100):
        x = left + value / 100 * (_WIDTH - left - right)
        out += [_line(x, top, x, height - 20, "grid"), _text(x, height - 6, f"{value} %", "middle")]
    for number, (group, counts) in enumerate(groups):
        y = top + number * (thick + gap)
        total = sum(counts)
        out.append(_text(left - 8, y + thick - 5, _cut(group, 24), "end"))
        out.append(_text(_WIDTH - right + 8, y + thick - 5, f"{total:,}"))
        x = left
        for place, count in enumerate(counts):
            width = count / total * (_WIDTH - left - right) if total else 0.0
            if count:
                words = f"{group}, {names[place]}: {count} of {total}"
                out.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{thick:.1f}" '
                    f'fill="{_colour(colours[place])}"><title>{escape(words)}</title></rect>'
                )
            x += width
    return "\n".join([*out, "</svg>"])
