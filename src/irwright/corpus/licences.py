"""Licences of projects and files as SPDX expressions, where they can be known.

Three sources, the most specific first: `SPDX-License-Identifier:` in a file, the words at the head of a file, the
licence texts at the root of a project (LICENSE, COPYING, debian/copyright). Words are recognised, not weighed: what is
not one of the well-known licences is "" (unknown), never a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

LICENCE_FILE = re.compile(r"(LICEN[CS]ES?|COPYING|COPYRIGHT|NOTICE)([-_.].*)?|debian/copyright", re.IGNORECASE)
"""Names of files at the root of a project that hold its licence."""

_HEAD_CHARS = 6000
_IDENTIFIER = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+() -]+?)\s*(?:\*/|-->|$)", re.MULTILINE)
_LATER = r"any later version"

_PHRASES: tuple[tuple[str, str], ...] = (
    # SPDX name, words that only this licence has (white space, case and comment signs do not count)
    ("AGPL-3.0", r"gnu affero general public license"),
    ("LGPL-3.0", r"gnu lesser general public license.{0,120}version 3|lesser general public license version 3"),
    ("LGPL-2.1", r"gnu lesser general public license.{0,200}version 2\.1|lesser general public license version 2\.1"),
    ("LGPL-2.0", r"gnu library general public license"),
    ("GPL-3.0", r"gnu general public license.{0,200}version 3|general public license version 3"),
    ("GPL-2.0", r"gnu general public license.{0,200}version 2|general public license version 2"),
    ("Apache-2.0", r"apache license,? version 2\.0|apache license version 2"),
    ("MPL-2.0", r"mozilla public license,? (?:v\. |version )2\.0"),
    ("BSL-1.0", r"boost software license.{0,20}version 1\.0"),
    (
        "Zlib",
        r"this software is provided 'as-is', without any express or implied warranty.{0,900}altered source versions",
    ),
    (
        "ISC",
        r"permission to use, copy, modify, and/?(?:or)? ?distribute this software for any purpose with or without fee",
    ),
    ("MIT", r"permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("BSD", r"redistribution and use in source and binary forms, with or without modification"),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
    (
        "PostgreSQL",
        r"permission to use, copy, modify, and distribute this software and its documentation for any purpose",
    ),
    ("blessing", r"may you do good and not evil"),
    ("Vim", r"vim license"),
    ("PSF-2.0", r"python software foundation license version 2"),
)
_GNU = ("AGPL-3.0", "LGPL-3.0", "LGPL-2.1", "LGPL-2.0", "GPL-3.0", "GPL-2.0")
_DEBIAN = {
    "expat": "MIT",
    "mit": "MIT",
    "gpl-2": "GPL-2.0-only",
    "gpl-2+": "GPL-2.0-or-later",
    "gpl-3": "GPL-3.0-only",
    "gpl-3+": "GPL-3.0-or-later",
    "lgpl-2": "LGPL-2.0-only",
    "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-2.1+": "LGPL-2.1-or-later",
    "lgpl-3": "LGPL-3.0-only",
    "lgpl-3+": "LGPL-3.0-or-later",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "apache-2.0": "Apache-2.0",
    "isc": "ISC",
    "zlib": "Zlib",
    "mpl-2.0": "MPL-2.0",
    "bsl-1.0": "BSL-1.0",
    "cc0-1.0": "CC0-1.0",
}


def licence_of_text(text: str) -> str:
    """The licence a file's head or a licence text names; "" where it is not one that is known."""
    match = _IDENTIFIER.search(text[:_HEAD_CHARS])
    if match:
        return match[1].strip()
    debian = _from_debian(text)
    if debian:
        return debian
    plain = re.sub(r"[\s*#/;]+", " ", text).lower()
    # One licence names others (the GPL the LGPL, for one); its own name comes first.
    found = [(m.start(), name) for name, words in _PHRASES if (m := re.search(words, plain))]
    name = min(found)[1] if found else ""
    if name == "BSD":
        return _which_bsd(plain)
    if name in _GNU and not re.search(r"everyone is permitted to copy and distribute verbatim copies", plain):
        return f"{name}-or-later" if re.search(_LATER, plain) else f"{name}-only"
    # The text of a GNU licence itself does not say whether later versions may be taken.
    return f"{name}-only" if name in _GNU else name


def _which_bsd(plain: str) -> str:
    if "all advertising materials mentioning" in plain:
        return "BSD-4-Clause"
    return "BSD-3-Clause" if re.search(r"endorse or promote products", plain) else "BSD-2-Clause"


def _from_debian(text: str) -> str:
    """The licence of `Files: *` in a machine-readable debian/copyright."""
    if not re.search(r"^Format:.*copyright-format", text, re.MULTILINE):
        return ""
    for stanza in re.split(r"\n\s*\n", text):
        if re.search(r"^Files:\s*\*\s*$", stanza, re.MULTILINE):
            names = re.findall(r"^License:\s*(.+?)\s*$", stanza, re.MULTILINE)
            known = [_DEBIAN.get(name.lower(), "") for name in re.split(r" (?:or|and) ", names[0])] if names else []
            joint = " AND " if names and " and " in names[0] else " OR "
            return joint.join(known) if all(known) else ""
    return ""


def licence_of_project(texts: Iterable[tuple[str, str]], heads: Iterable[str] = ()) -> str:
    """The licence of a project from (name, text) of the files at its root; where they say none, from most heads."""
    found = [licence_of_text(text) for name, text in sorted(texts) if LICENCE_FILE.fullmatch(name)]
    known = list(dict.fromkeys(licence for licence in found if licence))
    counted = Counter(map(licence_of_text, heads))
    common, count = counted.most_common(1)[0] if counted else ("", 0)
    if 2 * count < counted.total():
        common = ""
    if not known:
        return common
    # A copy of the GPL does not say "or later"; the heads of the files do.
    if len(known) == 1 and known[0].endswith("-only") and common == known[0].replace("-only", "-or-later"):
        return common
    return known[0] if len(known) == 1 else " AND ".join(sorted(known))
