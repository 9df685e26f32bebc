"""The package list: what ships is sound, what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from irwright.corpus.packages import default_cache, load_packages, parse_spec, select_packages
from irwright.errors import CorpusError

ENTRY = {"package": "foo", "version": "1.0", "role": "training", "build": "make"}


def test_shipped_list_is_pinned_and_split() -> None:
    training, heldout = load_packages("training"), load_packages("heldout")
    assert len(training) >= 26
    assert len(heldout) >= 14
    assert not {spec.package for spec in training} & {spec.package for spec in heldout}
    assert load_packages() == sorted(training + heldout, key=lambda spec: spec.package)
    for spec in load_packages():
        assert len(spec.sha256) == 64, spec.package
        assert "/" not in spec.package + spec.version
        assert ":" not in spec.version, "an upstream version has no epoch"


def test_later_reports_find_their_packages_heldout() -> None:
    names = {"zlib", "bzip2", "lz4", "expat", "jansson", "libyaml", "lua5.4", "dash", "libpng1.6", "gzip", "less"}
    assert names | {"mawk", "libzstd"} <= {spec.package for spec in load_packages("heldout")}


def test_lists_become_tuples() -> None:
    spec = parse_spec({**ENTRY, "make": ["lib", "all"]})
    assert spec.make == ("lib", "all")
    assert hash(spec)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ENTRY, "flag": ["-w"]}, "unknown key 'flag' of package 'foo'; did you mean 'flags'?"),
        ({"package": "foo", "role": "training", "build": "make"}, "package 'foo' has no 'version'; add it to the "),
        ({**ENTRY, "role": "test"}, "package 'foo' has role 'test'; choose from training, heldout"),
        (
            {**ENTRY, "build": "scons"},
            "package 'foo' has build 'scons'; choose from configure, cmake, meson, make, guess",
        ),
        ({**ENTRY, "package": "../foo"}, "package '../foo' has package '../foo'; "),
        ({**ENTRY, "version": "1/0"}, "package 'foo' has version '1/0'; "),
    ],
)
def test_wrong_entry_is_named(entry: dict[str, object], message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        parse_spec(entry)
    assert str(caught.value).startswith(message)


def test_a_package_has_one_role(tmp_path: Path) -> None:
    path = tmp_path / "packages.json"
    path.write_text(json.dumps({"packages": [ENTRY, {**ENTRY, "role": "heldout"}]}))
    with pytest.raises(CorpusError, match=r"package 'foo' is listed twice; keep one entry"):
        load_packages(path=path)


def test_unknown_name_gets_close_matches() -> None:
    packages = load_packages()
    assert [spec.package for spec in select_packages(["zlib", "bzip2"], packages)] == ["bzip2", "zlib"]
    with pytest.raises(CorpusError, match=r"^unknown package 'zlip'; did you mean 'zlib' or 'gzip'\?$"):
        select_packages(["zlip"], packages)


def test_default_cache_honours_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IRWRIGHT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "irwright"
    monkeypatch.setenv("IRWRIGHT_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"
