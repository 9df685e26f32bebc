"""The command `coreset` as a user meets them."""

from __future__ import annotations

from pathlib import Path

from conftest import Run


def test_coreset_show_prints_both_parts(irwright: Run) -> None:
    ended = irwright("coreset", "show")
    assert ended.code == 0
    titles = [line for line in ended.out.splitlines() if line[:1].isdigit()]
    assert [title.partition(" ")[2] for title in titles] == ["whole lists", "plans in pieces, joined per function"]
    assert sum(line.startswith("   1  ") for line in ended.out.splitlines()) == 2


def test_coreset_build_needs_a_corpus(irwright: Run, tmp_path: Path) -> None:
    ended = irwright("coreset", "build", "-o", tmp_path / "t.json", "--trials", tmp_path / "trials")
    assert ended.code == 1
    assert "no training modules; fetch some with: irwright corpus fetch --role training" in ended.err
    assert not list(tmp_path.iterdir())
