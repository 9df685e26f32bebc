"""What `irwright cc --stats` tells: the events of all builds, summed up."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

TUNABLE = ("tuned", "kept", "hit", "failed")
"""Events of compiles that were for irwright"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStats:
    """One object, as the last command that wrote it left it."""

    output: str
    source: str
    plain_bytes: int
    tuned_bytes: int

    @property
    def saved(self) -> int:
        return self.plain_bytes - self.tuned_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The sums over all events."""

    counts: dict[str, int]
    """compiles by how they ended: `tuned`, `kept` (nothing smaller was found), `hit` (from the cache), `failed`"""
    passed: dict[str, int]
    """commands that went to the compiler untouched, by reason, most frequent first"""
    failures: dict[str, int]
    """compiles whose plain object was kept because something went wrong, by reason"""
    cache_problems: dict[str, int]
    objects: tuple[ObjectStats, ...]
    """what saves most first"""
    compilations: int
    rejected: int
    """objects that were smaller and did not pass a check"""
    different: int
    """of them, those that did something else than the plain object under emulation"""
    replaced: int
    """functions that failed a check and have the code of -Oz in an object that was put in place"""
    functions: dict[str, int]
    """of objects put in place, by what comparing them under emulation found: `equal`, among them `same_code` (not run,
    the machine code is the same), `inconclusive`"""
    reasons: dict[str, int]
    """of the inconclusive ones, by category, most frequent first"""
    verify_seconds: float
    """processor time of comparing these objects"""
    seconds: float
    """spent in compiles that were for irwright, the plain compiler's part included"""
    first: float | None
    """when the first event was, seconds since 1970"""
    cache_bytes: int = 0
    cache_limit_bytes: int = 0

    @property
    def plain_bytes(self) -> int:
        return sum(item.plain_bytes for item in self.objects)

    @property
    def tuned_bytes(self) -> int:
        return sum(item.tuned_bytes for item in self.objects)

    def to_json(self, *, top: int = 10) -> dict[str, Any]:
        """The object that `irwright cc --stats --json` prints."""
        return {
            "compiles": dict(self.counts),
            "passed_through": dict(self.passed),
            "failures": dict(self.failures),
            "cache_problems": dict(self.cache_problems),
            "objects": len(self.objects),
            "plain_bytes": self.plain_bytes,
            "tuned_bytes": self.tuned_bytes,
            "compilations": self.compilations,
            "rejected": self.rejected,
            "different": self.different,
            "replaced": self.replaced,
            "functions": dict(self.functions),
            "reasons": dict(self.reasons),
            "verify_seconds": round(self.verify_seconds, 1),
            "seconds": round(self.seconds, 1),
            "cache_bytes": self.cache_bytes,
            "cache_limit_bytes": self.cache_limit_bytes,
            "top": [
                {
                    "output": item.output,
                    "source": item.source,
                    "plain_bytes": item.plain_bytes,
                    "tuned_bytes": item.tuned_bytes,
                }
                for item in self.objects[:top]
            ],
        }


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """Every event of the log in the order of days; lines that are no event are left out."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "event" in event:
                yield cast(dict[str, Any], event)


def sum_up(events: Iterator[dict[str, Any]], *, cache_bytes: int = 0, cache_limit_bytes: int = 0) -> Stats:
    """Add up events. An object built several times is counted once in bytes, as it was built last."""
    counts: Counter[str] = Counter(dict.fromkeys(TUNABLE, 0))
    passed: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    cache_problems: Counter[str] = Counter()
    objects: dict[str, ObjectStats] = {}
    functions: Counter[str] = Counter(equal=0, same_code=0, inconclusive=0)
    reasons: Counter[str] = Counter()
    verify_seconds = 0.0
    compilations, rejected, different, replaced, seconds = 0, 0, 0, 0, 0.0
    first: float | None = None
    for event in events:
        kind = event["event"]
        first = event.get("time") if first is None else first
        if kind == "pass":
            passed[event.get("reason", "?")] += 1
        elif kind == "cache":
            cache_problems[event.get("reason", "?")] += 1
        if kind not in TUNABLE:
            continue
        counts[kind] += 1
        seconds += event.get("seconds", 0.0)
        compilations += event.get("compilations", 0)
        rejected += event.get("rejected", 0)
        different += event.get("different", 0)
        replaced += event.get("replaced", 0)
        functions.update({name: event.get(name, 0) for name in ("equal", "same_code", "inconclusive")})
        verify_seconds += event.get("verify_seconds", 0.0)
        for number, reason in re.findall(r"(\d+) ([^|]+?)(?: \| |$)", event.get("reasons", "")):
            reasons[reason] += int(number)
        output = event.get("output", "?")
        if kind == "failed":
            failures[event.get("reason", "?")] += 1
            objects.pop(output, None)
        else:
            objects[output] = ObjectStats(
                output=output,
                source=event.get("source", "?"),
                plain_bytes=event.get("plain", 0),
                tuned_bytes=event.get("tuned", 0),
            )
    return Stats(
        counts=dict(counts),
        passed=dict(passed.most_common()),
        failures=dict(failures.most_common()),
        cache_problems=dict(cache_problems.most_common()),
        objects=tuple(sorted(objects.values(), key=lambda item: (-item.saved, item.output))),
        compilations=compilations,
        rejected=rejected,
        different=different,
        replaced=replaced,
        functions=dict(functions),
        reasons=dict(reasons.most_common()),
        verify_seconds=verify_seconds,
        seconds=seconds,
        first=first,
        cache_bytes=cache_bytes,
        cache_limit_bytes=cache_limit_bytes,
    )


def read_stats(home: str) -> Stats:
    """The statistics kept in `home`, the folder of `irwright cc`."""
    from irwright.cc.driver import open_cache

    cache = open_cache()
    return sum_up(
        read_events(Path(home) / "events"),
        cache_bytes=cache.total_bytes() if cache else 0,
        cache_limit_bytes=cache.limit_bytes if cache else 0,
    )


def clear_events(home: str) -> None:
    """Begin the statistics anew."""
    for path in (Path(home) / "events").glob("*.jsonl"):
        path.unlink(missing_ok=True)


def lines_of(stats: Stats, *, top: int = 10) -> Iterator[str]:
    """The statistics as text."""
    saved = stats.plain_bytes - stats.tuned_bytes
    percent = 100.0 * saved / stats.plain_bytes if stats.plain_bytes else 0.0
    yield f"objects         {len(stats.objects):,}"
    yield f"bytes           {stats.plain_bytes:,} plain, {stats.tuned_bytes:,} tuned: {saved:,} saved ({percent:.1f} %)"
    yield (
        f"compiles        {stats.counts['tuned']:,} made smaller, {stats.counts['kept']:,} left as they were, "
        f"{stats.counts['hit']:,} from the cache, {stats.counts['failed']:,} failed"
    )
    yield f"compilations    {stats.compilations:,} by the search, {stats.rejected:,} objects rejected by checks"
    yield (
        f"verification    {stats.functions['equal']:,} functions equal under emulation, "
        f"{stats.functions['inconclusive']:,} inconclusive; {stats.different:,} objects left out that differed"
    )
    if stats.replaced:
        yield f"replaced        {stats.replaced:,} functions that failed a check have the code of -Oz"
    yield f"time            {stats.seconds:,.1f} s in compiles, the compiler's own part included"
    yield f"cache           {stats.cache_bytes / 1e6:,.1f} MB of {stats.cache_limit_bytes / 1e6:,.0f} MB"
    for title, reasons in (
        ("passed through", stats.passed),
        ("failed: plain object kept", stats.failures),
        ("cache", stats.cache_problems),
    ):
        if reasons:
            yield ""
            yield title
            yield from (f"  {number:6,}  {reason}" for reason, number in reasons.items())
    smaller = [item for item in stats.objects[:top] if item.saved]
    if smaller:
        yield ""
        yield "most bytes saved"
        yield from (f"  {item.saved:6,}  of {item.plain_bytes:9,}  {item.output}" for item in smaller)
