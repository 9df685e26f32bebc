"""Textual IR whose signed arithmetic traps where it overflows: what a program does there is undefined.

Optimised code may count in wider registers, and says another thing there than code that wraps; neither is wrong. LLVM
has no pass for this (clang's sanitizer is of its front end), so additions, subtractions and multiplications that
promise not to overflow are written anew, by the intrinsics that tell.
"""

from __future__ import annotations

import re

_SIGNED = re.compile(
    rb"^  (%\S+) = (add|sub|mul)(?: nuw)? nsw (i\d+) ([^,\n]+), ([^,\n]+?)(?:, ![^\n]*)?$",
    re.MULTILINE,
)
_TRAP = b"irwright.overflow"
_CHECK = b"""
define internal void @%b(i1 %%overflow) {
  br i1 %%overflow, label %%trap, label %%fine
trap:
  call void @llvm.trap()
  unreachable
fine:
  ret void
}
"""


def trapping(text: bytes) -> bytes:
    """The same module with checks behind signed additions, subtractions and multiplications of scalars."""
    used: dict[bytes, bytes] = {}
    count = 0

    def checked(match: re.Match[bytes]) -> bytes:
        nonlocal count
        count += 1
        result, operation, kind, left, right = match.groups()
        name = b"llvm.s%b.with.overflow.%b" % (operation, kind)
        used[name] = b"declare { %b, i1 } @%b(%b, %b)\n" % (kind, name, kind, kind)
        both = b"%%irwright.both.%d" % count
        return (
            b"  %b = call { %b, i1 } @%b(%b %b, %b %b)\n" % (both, kind, name, kind, left, kind, right)
            + b"  %b = extractvalue { %b, i1 } %b, 0\n" % (result, kind, both)
            + b"  %%irwright.over.%d = extractvalue { %b, i1 } %b, 1\n" % (count, kind, both)
            + b"  call void @%b(i1 %%irwright.over.%d)" % (_TRAP, count)
        )

    changed = _SIGNED.sub(checked, text)
    if not count:
        return text
    used[b"llvm.trap"] = b"declare void @llvm.trap()\n"
    missing = [declaration for name, declaration in used.items() if b"@%b(" % name not in text]
    return changed + b"\n" + b"".join(missing) + _CHECK % _TRAP
