"""Hashes of functions: equal where code is equal."""

from __future__ import annotations

from conftest import SEEDS, Seeds
from irwright.llvm.module import Context

QUOTED = b"""
define void @first() {
  ret void
}

define internal void @"second \\22f\\22"() {
  ret void
}
"""


def test_hashes_survive_numbering_of_notes(context: Context) -> None:
    """Metadata and attribute groups that other functions add shift the numbers, not the hash."""
    kept = b"""define i32 @kept(ptr %p) minsize {
  %v = load i32, ptr %p, !tbaa !0
  ret i32 %v
}
"""
    notes = b'!0 = !{!1, !1, i64 0}\n!1 = !{!"int", !2}\n!2 = !{!"root"}\n'
    other = b"""define void @other(ptr %p) cold {
  store i64 1, ptr %p, !tbaa !9
  ret void
}
"""
    more = b'!9 = !{!8, !8, i64 0}\n!8 = !{!"long", !2}\n'
    one = context.parse(kept + notes).function_hashes()
    two = context.parse(other + kept + more + notes).function_hashes()
    assert one["kept"] == two["kept"]
    changed = context.parse(kept + notes.replace(b'"int"', b'"float"')).function_hashes()
    assert changed["kept"] != one["kept"]
    cold = context.parse(kept.replace(b"minsize", b"minsize cold") + notes).function_hashes()
    assert cold["kept"] != one["kept"]


def test_hashes_know_what_is_said_of_the_functions_called(context: Context) -> None:
    """The code of a call depends on the attributes of what is called, wherever they stand."""
    text = b"""
define internal i32 @callee(i32 %a) {
  ret i32 %a
}
define i32 @caller(i32 %a) {
  %r = call i32 @callee(i32 %a)
  ret i32 %r
}
define i32 @stranger(i32 %a) {
  ret i32 %a
}
"""
    plain = context.parse(text).function_hashes()
    known = context.parse(text.replace(b"internal i32 @callee", b"internal zeroext i32 @callee")).function_hashes()
    assert {name for name in plain if plain[name] != known[name]} == {"callee", "caller"}
    longer = context.parse(text.replace(b"  ret i32 %r", b"  %s = add i32 %r, 1\n  ret i32 %s")).function_hashes()
    assert {name for name in plain if plain[name] != longer[name]} == {"caller"}


def test_function_hashes_cover_every_definition(context: Context, seeds: Seeds) -> None:
    for name in SEEDS:
        module = context.parse(seeds.bitcode(name))
        assert list(module.function_hashes()) == module.functions()
    assert list(context.parse(QUOTED).function_hashes()) == ["first", 'second "f"']
