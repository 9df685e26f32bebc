"""`ar` archives (static libraries) of the GNU and BSD kind: their members. Hostile ones give an InputError."""

from __future__ import annotations

from collections import Counter

from irwright.errors import InputError


def members(data: bytes, name: str) -> list[tuple[str, bytes]]:
    """The objects of an `ar` archive, or the one object itself."""
    if data.startswith(b"!<thin>\n"):
        raise InputError(name, "is a thin archive, whose members lie in other files; name those")
    if not data.startswith(b"!<arch>\n"):
        return [(name, data)]
    found: list[tuple[str, bytes]] = []
    seen: Counter[str] = Counter()
    position, names = 8, b""
    while position + 60 <= len(data):
        header = data[position : position + 60]
        size = int(header[48:58]) if header[48:58].strip().isdigit() else -1
        if size < 0 or header[58:] != b"`\n":
            raise InputError(name, f"a broken archive: no size in the member at byte {position}")
        title = header[:16].rstrip()
        body = data[position + 60 : position + 60 + size]
        if len(body) != size:
            raise InputError(name, f"a broken archive: the member at byte {position} ends past the end of the file")
        position += 60 + size + (size & 1)
        if title == b"//":
            names = body
            continue
        if title in (b"/", b"/SYM64/"):
            continue
        if title[:1] == b"/" and title[1:].isdigit():
            title = names[int(title[1:]) :].split(b"\n")[0]
        elif title[:3] == b"#1/" and title[3:].isdigit():  # BSD: the name lies before the content
            length = int(title[3:])
            title, body = body[:length].rstrip(b"\0"), body[length:]
        if title.startswith(b"__.SYMDEF"):
            continue
        member = title.rstrip(b"/").decode(errors="replace")
        seen[member] += 1
        found.append((f"{member}.{seen[member]}" if seen[member] > 1 else member, body))
    return found
