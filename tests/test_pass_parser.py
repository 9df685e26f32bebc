"""The text of pass lists, read: every mistake by its message and column, and any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irwright.errors import PassListError
from irwright.passes import PassList


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sroa,instcombin", "unknown pass 'instcombin' at column 6 of 'sroa,instcombin'; did you mean 'instcombine'?"),
        ("functionn(sroa)", "unknown pass 'functionn' at column 1 of 'functionn(sroa)'; did you mean 'function'?"),
        ("zzz", "unknown pass 'zzz' at column 1 of 'zzz'"),
        ("sroa,,gvn", "empty item at column 6 of 'sroa,,gvn'"),
        ("sroa,", "empty item at column 6 of 'sroa,'"),
        ("function()", "empty item at column 10 of 'function()'"),
        ("sroa,<x>", "empty item at column 6 of 'sroa,<x>'"),
        ("function(sroa", "'(' after 'function' is never closed at column 9 of 'function(sroa'"),
        ("sroa)", "')' without '(' at column 5 of 'sroa)'"),
        ("gvn<no-load-pre,sroa", "'<' after 'gvn' is never closed at column 4 of 'gvn<no-load-pre,sroa'"),
        ("function(sroa)gvn", "expected ',' but found 'g' at column 15 of 'function(sroa)gvn'"),
        ("sroa>", "expected ',' but found '>' at column 5 of 'sroa>'"),
        (
            "sroa(gvn)",
            "'sroa' takes no passes in parentheses; only module, coro-cond, cgscc, devirt, function, loop, loop-mssa,"
            " repeat do at column 5 of 'sroa(gvn)'",
        ),
        ("function,sroa", "'function' needs passes in parentheses at column 1 of 'function,sroa'"),
        ("function(sroa,inline)", "cgscc pass 'inline' can't stand inside function(...) at column 15 of"),
        ("cgscc(repeat<2>(globalopt))", "module pass 'globalopt' can't stand inside cgscc(...) at column 17 of"),
        ("loop(sroa)", "function pass 'sroa' can't stand inside loop(...) at column 6 of 'loop(sroa)'"),
        ("loop(licm)", "pass 'licm' needs loop-mssa(...), not loop(...) at column 6 of 'loop(licm)'"),
        (
            "loop-mssa(canon-freeze)",
            "pass 'canon-freeze' loses MemorySSA; it needs loop(...), not loop-mssa(...) at column 11 of",
        ),
        ("repeat<100>(repeat<100>(sroa,gvn))", "'repeat' makes more than 10000 passes at column 1 of"),
        ("function(cgscc(inline))", "cgscc(...) can't stand inside function(...) at column 10 of"),
        ("repeat(sroa)", "'repeat' needs a count from 1 to 100, as in repeat<2>(...) at column 1 of 'repeat(sroa)'"),
        ("devirt<0>(inline)", "'devirt' needs a count from 1 to 100, as in devirt<2>(...) at column 1 of"),
        (
            "function<x>(sroa)",
            "'function' takes eager-inv between '<' and '>' here, not 'x' at column 1 of 'function<x>(sroa)'",
        ),
        (
            "cgscc(function<x>(sroa))",
            "'function' takes eager-inv and no-rerun between '<' and '>' here, not 'x' at column 7 of",
        ),
        ("loop<x>(indvars)", "'loop' takes nothing between '<' and '>' here, not 'x' at column 1 of"),
        ("sroa,dce<foo>", "unknown parameter 'foo' of 'dce' (it takes none) at column 10 of 'sroa,dce<foo>'"),
        (
            "sroa<preserve-cfg; foo>",
            "unknown parameter 'foo' of 'sroa' (accepted: preserve-cfg, modify-cfg) at column 20 of",
        ),
        (
            "instcombine<max-iterations=x>",
            "unknown parameter 'max-iterations=x' of 'instcombine' (accepted: max-iterations=N) at column 13 of",
        ),
        ("instcombine<max-iterations=٣>", "unknown parameter 'max-iterations=٣' of 'instcombine' (accepted: max-"),
        ("instcombine<max-iterations=9999999999>", "unknown parameter 'max-iterations=9999999999' of 'instcombine'"),
        ("default", "pass 'default' needs one of O0, O1, O2, O3, Os, Oz between '<' and '>' at column 1 of 'default'"),
        ("default<O2;Oz>", "pass 'default' needs one of O0, O1, O2, O3, Os, Oz between '<' and '>' at column 1 of"),
        (
            "sroa,loop-reroll",
            "pass 'loop-reroll' is in LLVM 17 to 18, not in LLVM 22 at column 6 of 'sroa,loop-reroll'",
        ),
        ("evl-iv-simplify", "pass 'evl-iv-simplify' is only in LLVM 21, not in LLVM 22 at column 1 of"),
        ("instrumentor", "pass 'instrumentor' is in LLVM 23 and later, not in LLVM 22 at column 1 of 'instrumentor'"),
        (
            "sroa<aggregate-to-vector>",
            "parameter 'aggregate-to-vector' of 'sroa' is in LLVM 23 and later, not in LLVM 22 at column 6 of",
        ),
        (
            "sroa,internalize",
            "pass 'internalize' is left out of pass lists (drops external symbols that other objects need)"
            " at column 6 of 'sroa,internalize'",
        ),
        (
            "attributor",
            "pass 'attributor' is left out of pass lists (makes wrong code, llvm-project issues 147706 and 181103)"
            " at column 1 of 'attributor'",
        ),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, message: str) -> None:
    with pytest.raises(PassListError) as caught:
        PassList.parse(text)
    assert str(caught.value).startswith(message)


def test_adaptors_nest_to_a_limit() -> None:
    with pytest.raises(PassListError, match=r"^more than 50 adaptors inside each other at column 451 of"):
        PassList.parse("function(" * 51 + "sroa" + ")" * 51)


def test_excluded_passes_are_read_on_request_at_the_level_they_stand_at() -> None:
    text = "require<globals-aa>,function(invalidate<aa>,sroa),coro-cond(coro-early,cgscc(coro-split)),verify"
    passes = PassList.parse(text, allow_excluded=True)
    assert passes.pipeline(22) == text
    assert str(passes) == text
    assert not passes.is_flat
    with pytest.raises(
        PassListError, match=r"^pass 'require' is left out of pass lists \(computes or drops an analysis"
    ):
        PassList.parse(text)


@given(st.text(alphabet="sroagvnlicm<>(),;=0123456789 -", max_size=40) | st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_other_text_is_a_pass_list_error(text: str) -> None:
    try:
        passes = PassList.parse(text)
    except PassListError as error:
        assert 1 <= error.column <= len(text) + 1
    else:
        assert PassList.parse(str(passes)) == passes
