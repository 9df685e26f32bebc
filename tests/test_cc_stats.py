"""Events of builds, written and summed up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from irwright.cc import events
from irwright.cc.stats import lines_of, read_events, sum_up


def test_an_event_is_one_json_line(tmp_path: Path) -> None:
    events.record(str(tmp_path), "tuned", source='a "b"\\c.c', plain=10, tuned=9, seconds=1.23456)
    events.record(str(tmp_path), "pass", reason="links")
    first, second = read_events(tmp_path)
    assert (first["event"], first["source"], first["plain"], first["seconds"]) == ("tuned", 'a "b"\\c.c', 10, 1.235)
    assert second["reason"] == "links"


@given(st.text(max_size=50))
def test_texts_are_quoted_as_json(text: str) -> None:
    assert json.loads(events.quote(text)) == text


def test_a_long_text_is_cut_below_a_page(tmp_path: Path) -> None:
    events.record(str(tmp_path), "failed", reason="x" * 100_000, output="y" * 100_000)
    (line,) = (path.read_bytes() for path in tmp_path.iterdir())
    assert len(line) < 4096
    json.loads(line)


def test_processes_at_once_do_not_mix_lines(tmp_path: Path) -> None:
    code = (
        "import sys; from irwright.cc.events import record\nfor n in range(200): record(sys.argv[1], 'x', a='x' * 900)"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [run.wait() for run in runs] == [0] * 4
    assert len(list(read_events(tmp_path))) == 800


def test_a_folder_that_can_not_be_written_is_no_matter() -> None:
    events.record("/proc/irwright", "pass", reason="links")
    assert list(read_events(Path("/proc/irwright"))) == []


def test_lines_that_are_no_events_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01.jsonl").write_bytes(b'{"event": "pass"}\nnonsense\n[1]\n{"x": 1}\n\xff\n{"event": "kept"')
    assert [event["event"] for event in read_events(tmp_path)] == ["pass"]


def test_sums() -> None:
    def compile(event: str, output: str, plain: int, tuned: int) -> dict[str, object]:
        return {"event": event, "output": output, "source": "s", "plain": plain, "tuned": tuned, "seconds": 1.0}

    stats = sum_up(
        iter(
            [
                {**compile("tuned", "a.o", 100, 90), "compilations": 8, "rejected": 1, "equal": 3, "inconclusive": 2}
                | {"replaced": 2, "same_code": 1, "verify_seconds": 0.5, "reasons": "1 not emulated | 1 other"},
                compile("kept", "b.o", 50, 50),
                compile("hit", "a.o", 100, 80),
                {"event": "failed", "output": "c.o", "reason": "timeout"},
                {"event": "pass", "reason": "links"},
                {"event": "pass", "reason": "links"},
                {"event": "pass", "reason": "LTO"},
                {"event": "cache", "reason": "full"},
            ]
        ),
        cache_bytes=5,
        cache_limit_bytes=7,
    )
    assert stats.counts == {"tuned": 1, "kept": 1, "hit": 1, "failed": 1}
    assert (stats.plain_bytes, stats.tuned_bytes) == (150, 130)
    assert list(stats.passed.items()) == [("links", 2), ("LTO", 1)]
    assert (stats.failures, stats.cache_problems) == ({"timeout": 1}, {"full": 1})
    assert (stats.rejected, stats.different, stats.functions) == (
        1,
        0,
        {"equal": 3, "same_code": 1, "inconclusive": 2},
    )
    assert (stats.reasons, stats.verify_seconds) == ({"not emulated": 1, "other": 1}, 0.5)
    assert stats.replaced == 2
    data = stats.to_json()
    assert json.loads(json.dumps(data)) == data
    assert data["top"][0] == {"output": "a.o", "source": "s", "plain_bytes": 100, "tuned_bytes": 80}
    text = "\n".join(lines_of(stats))
    assert "150 plain, 130 tuned: 20 saved (13.3 %)" in text
    assert "2 functions that failed a check have the code of -Oz" in text
    assert "  2  links" in text and "timeout" in text and "a.o" in text


def test_statistics_of_nothing() -> None:
    assert "0 plain, 0 tuned: 0 saved (0.0 %)" in "\n".join(lines_of(sum_up(iter(()))))


def test_clearing_begins_anew(tmp_path: Path) -> None:
    from irwright.cc.stats import clear_events

    events.record(f"{tmp_path}/events", "pass", reason="links")
    clear_events(str(tmp_path))
    assert list(read_events(tmp_path / "events")) == []
    assert list((tmp_path / "events").iterdir()) == []
