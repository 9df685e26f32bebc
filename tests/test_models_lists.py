"""The language of pass lists: every word of it parses, its beginnings are beginnings, its grammar is llama.cpp's."""

from __future__ import annotations

import random

import pytest

from irwright.models.lists import ListLanguage, sizes_are_whole, sizes_can_become
from irwright.passes import PassList


def drawn(language: ListLanguage, seed: int, count: int) -> str:
    return ",".join(random.Random(seed).choices(sorted(language.items), k=count))


@pytest.mark.parametrize("llvm_major", [17, 22, 23])
def test_every_item_is_a_list_of_this_llvm(llvm_major: int) -> None:
    language = ListLanguage(llvm_major)
    for item in language.items:
        assert PassList.parse(item, llvm_major=llvm_major).items, item
    assert len(language.items) > 150


def test_samples_of_the_pass_space_are_in_the_language() -> None:
    language = ListLanguage(22)
    for seed in range(50):
        assert language.is_whole(str(PassList.sample(random.Random(seed))))


def test_beginnings() -> None:
    language = ListLanguage(22, max_items=3)
    text = drawn(language, 1, 3)
    assert all(language.can_become(text[:end]) for end in range(len(text) + 1))
    assert language.is_whole(text) and not language.is_whole("") and not language.is_whole("sroa,")
    assert not language.can_become(text + ",") and not language.is_whole(text + ",sroa")
    assert not language.can_become("sroaa") and not language.can_become("sro,") and not language.can_become(" sroa")


def test_sizes_behind_a_list() -> None:
    assert all(map(sizes_can_become, ("", "1", "12 ", "12 3"))) and sizes_are_whole("12 3")
    assert not any(map(sizes_can_become, (" ", "1  ", "1 2 ", "x", "123456789")))
    assert not any(map(sizes_are_whole, ("", "1", "1 ")))


def test_the_grammar_names_every_item() -> None:
    grammar = ListLanguage(22).gbnf(end='"!"')
    assert grammar.startswith("root ::= (") and grammar.count("item ::= ") == 1 and '{0,49} "!"' in grammar
    with pytest.raises(ValueError, match="no pass list begins with 'sroaa'"):
        ListLanguage(22).gbnf(after="sroaa")
    assert '("," item)' not in ListLanguage(22, max_items=1).gbnf()


def test_groups_of_the_shipped_table_are_items() -> None:
    language = ListLanguage(22)
    text = "cgscc(devirt<4>(function(sroa,early-cse,simplifycfg))),early-cse"
    assert language.is_whole(text) and all(language.can_become(text[:end]) for end in range(len(text)))
    assert not language.can_become("cgscc(devirt<4>(function(early-cse,sroa")


def test_what_was_cut_off_leaves_its_whole_items() -> None:
    language = ListLanguage(22, max_items=3)
    assert language.whole_part("sroa,cgscc(devirt<4>(function(sroa,early-cse,simplifycfg))),early-c") == (
        "sroa,cgscc(devirt<4>(function(sroa,early-cse,simplifycfg)))"
    )
    assert language.whole_part("sroa,dse,gvn,adce") == "sroa,dse,gvn" and language.whole_part("sro") == ""
