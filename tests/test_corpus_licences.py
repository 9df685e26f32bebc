"""Licences by their words; what is not known is not guessed."""

from __future__ import annotations

import pytest

from irwright.corpus.licences import licence_of_project, licence_of_text

GPL2 = (
    "GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991\nEveryone is permitted to copy and distribute verbatim copies\n"
)
GPL3 = GPL2.replace("Version 2", "Version 3") + "Use with the GNU Affero General Public License.\n"
HEAD2 = (
    "/* This program is free software; you can redistribute it under the terms of the GNU General Public License\n"
    " * as published by the Free Software Foundation; either version 2 of the License, or (at your option)\n"
    " * any later version. */"
)
BSD = "Redistribution and use in source and binary forms, with or without\n * modification, are permitted"


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("// SPDX-License-Identifier: GPL-2.0-only OR MIT\nint x;", "GPL-2.0-only OR MIT"),
        ("/* SPDX-License-Identifier: ISC */", "ISC"),
        (GPL2, "GPL-2.0-only"),
        (GPL3, "GPL-3.0-only"),
        (HEAD2, "GPL-2.0-or-later"),
        (BSD, "BSD-2-Clause"),
        (f"{BSD}: do not endorse or promote products", "BSD-3-Clause"),
        (f"{BSD}. All advertising materials mentioning features", "BSD-4-Clause"),
        ("   Permission is hereby granted, free of\n#  charge, to any person obtaining a copy", "MIT"),
        ("Licensed under the Apache License, Version 2.0", "Apache-2.0"),
        ("may you do good and not evil", "blessing"),
        ("All rights reserved.", ""),
        ("", ""),
        (
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n"
            "License: GPL-2+ or Expat\n\nFiles: debian/*\nLicense: ISC\n",
            "GPL-2.0-or-later OR MIT",
        ),
        ("Format: https://www.debian.org/copyright-format/1.0/\n\nFiles: *\nLicense: odd\n", ""),
    ],
)
def test_words_name_a_licence(text: str, licence: str) -> None:
    assert licence_of_text(text) == licence


def test_a_project_is_what_its_texts_say() -> None:
    assert licence_of_project([("COPYING", GPL2), ("README", BSD)], [HEAD2] * 3) == "GPL-2.0-or-later"
    assert licence_of_project([("COPYING", GPL2), ("LICENSE.txt", BSD)]) == "BSD-2-Clause AND GPL-2.0-only"
    assert licence_of_project([("COPYING", "do as you like")], [BSD, BSD, HEAD2]) == "BSD-2-Clause"
    assert licence_of_project([], [BSD, "", "", ""]) == ""
    assert licence_of_project([]) == ""
