"""Documents that are made from the code are the code's."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_the_command_line_is_current() -> None:
    spec = importlib.util.spec_from_file_location("generate_cli", DOCS / "generate_cli.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "cli.md").read_text() == module.document(), "run `make docs`"


def test_the_lists_of_the_log_lead_to_its_entries() -> None:
    text = (DOCS / "log.md").read_text()
    titles = re.findall(r"^## (\d{4}-.*)$", text, re.MULTILINE)
    places = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    linked = re.findall(r"^- \[.+\]\(#([^)]+)\)$", text, re.MULTILINE)
    assert linked and set(linked) <= places
    assert len(linked) == len(set(linked))
