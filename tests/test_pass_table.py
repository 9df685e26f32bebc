"""The table of passes: against opt, and what is left out of it and why."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from irwright.pass_items import Pass
from irwright.pass_table import PASSES, params_worth_trying
from irwright.passes import PassList, PassSpace

MAJORS = range(17, 24)


@pytest.mark.parametrize("major", MAJORS)
def test_every_llvm_has_a_hundred_usable_passes_and_the_meta_pipelines(major: int) -> None:
    names = PassSpace(major).names
    assert len(names) >= 100
    assert {"default", "thinlto-pre-link", "lto-pre-link", "lto", "function-simplification"} <= names


def test_what_breaks_code_is_left_out_with_the_reason() -> None:
    broken = "internalize lower-atomic structurizecfg unify-loop-exits fix-irreducible loop-extract codegenprepare"
    for name in [
        *broken.split(),
        "dwarf-eh-prepare",
        "strip",
        "coro-split",
        "newgvn",
        "global-merge-func",
        "attributor",
        "gvn-sink",
    ]:
        assert PASSES[name].excluded, name
        assert all(name not in PassSpace(major).names for major in MAJORS), name


def test_every_parameter_text_worth_trying_is_accepted_by_the_parser() -> None:
    for major in MAJORS:
        for info in PassSpace(major).usable:
            assert params_worth_trying(info.name, major), info.name
            for params in params_worth_trying(info.name, major):
                text = str(Pass(info.name, params))
                assert str(PassList.parse(text, llvm_major=major)) == text


def test_llvm_23_draws_oz_once_and_no_o2() -> None:
    assert params_worth_trying("default", 23) == ("Oz", "O3", "O1", "O0")
    assert params_worth_trying("default", 22) == ("Oz", "Os", "O2", "O3", "O1", "O0")


def test_every_ir_pass_opt_lists_is_in_the_table(opt: Path) -> None:
    printed = subprocess.run([opt, "--print-passes"], capture_output=True, text=True, check=True).stdout
    section = ""
    missing: list[str] = []
    usable = PassSpace(22).names
    for line in printed.splitlines():
        if not line.startswith(" "):
            section = line
            continue
        if section.startswith("Machine") or "analyses" in section:
            continue
        name = line.strip().partition("<")[0]
        if name not in PASSES or not PASSES[name].supported(22):
            missing.append(name)
        elif name in usable:
            level = section.partition(" ")[0].lower().replace("loopnest", "loop")
            assert PASSES[name].level.removesuffix("-mssa") == level, name
    assert not missing


def test_opt_takes_no_parameter_the_table_lacks(opt: Path) -> None:
    printed = subprocess.run([opt, "--print-passes"], capture_output=True, text=True, check=True).stdout
    usable = PassSpace(22).names
    for name, words in re.findall(r"^  ([\w-]+)<([\w;=-]+)>$", printed, flags=re.MULTILINE):
        if name not in usable:
            continue
        known = {f"{p.name}=N" if p.number else p.name for p in PASSES[name].accepts if p.supported(22)}
        for newer, older in (("scalar-pre", "pre"), ("no-scalar-pre", "no-pre")):
            if newer in known:
                known = known - {newer} | {older}
        # left out on purpose: a check that ends the process, and its opposite, which is implied
        assert set(words.split(";")) - known <= {"verify-fixpoint", "no-verify-fixpoint", ""}
