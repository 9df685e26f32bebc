"""Fetching through a fake apt, and unpacking archives."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from pathlib import Path

import pytest

from irwright.corpus.debian import AptFetcher, source_entries, unpack, upstream_version
from irwright.corpus.packages import PackageSpec, work_folder
from irwright.errors import CorpusError

FAKE_APT_CACHE = """#!/bin/sh
for name; do :; done
[ "$name" = foo ] || exit 100
printf 'Package: %s\\nVersion: %s\\n\\n' foo 1:1.0-3+deb12u1 foo 1:1.0-2 foo-doc 2.0-1
"""

FAKE_APT_GET = """#!/bin/sh
echo "$*" >>{log}
for last; do :; done
case "$last" in
  update) echo index >{lists}/mirror_Sources ;;
  foo=1:1.0-3+deb12u1) echo half >foo_1.0.orig.tar.xz; echo "E: Failed to fetch it  404  Not Found" >&2; exit 100 ;;
  foo=1:1.0-2) printf archive >foo_1.0.orig.tar.xz; echo control >foo_1.0-2.dsc ;;
esac
"""


def make_spec(package: str = "foo", version: str = "1.0", sha256: str = "") -> PackageSpec:
    return PackageSpec(package=package, version=version, role="training", build="make", sha256=sha256)


@pytest.fixture
def apt(tmp_path: Path) -> AptFetcher:
    """A fetcher whose apt-get and apt-cache are shell scripts that write their arguments to apt.log."""
    lists = work_folder(tmp_path) / "apt" / "lists"
    for name, text in (
        ("apt-get", FAKE_APT_GET.format(log=tmp_path / "apt.log", lists=lists)),
        ("apt-cache", FAKE_APT_CACHE),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return AptFetcher(tmp_path, system=tmp_path / "etc", apt_get=str(tmp_path / "apt-get"))


def test_fetch_takes_any_debian_revision_and_keeps_the_archive(apt: AptFetcher, tmp_path: Path) -> None:
    archive = apt.fetch(make_spec())
    assert archive == work_folder(tmp_path) / "archives" / "foo_1.0.orig.tar.xz"
    assert archive.read_text() == "archive", "the half file of the failed revision is not kept"
    calls = (tmp_path / "apt.log").read_text()
    assert calls.count(" update\n") == 1
    assert "Dir::Etc::sourcelist=" + str(work_folder(tmp_path)) in calls
    assert apt.fetch(make_spec()) == archive
    assert (tmp_path / "apt.log").read_text() == calls, "the second fetch asks nobody"
    assert sorted(path.name for path in archive.parent.iterdir()) == [archive.name], "nothing temporary is left"


def test_fetch_checks_the_hash(apt: AptFetcher) -> None:
    assert apt.fetch(make_spec(sha256=hashlib.sha256(b"archive").hexdigest()))
    with pytest.raises(CorpusError, match=r"has sha256 \w+, the list says 0000; delete the file to fetch it again"):
        apt.fetch(make_spec(sha256="0000"))


@pytest.mark.parametrize(
    ("package", "version", "message"),
    [
        ("nosuch", "1.0", r"^package 'nosuch' is no source package of Debian bookworm; correct its name"),
        ("foo", "0.9", r"^package 'foo' has no version '0.9' in Debian bookworm \(it has: 1.0\); correct its entry"),
    ],
)
def test_unknown_package_or_version(apt: AptFetcher, package: str, version: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        apt.fetch(make_spec(package, version))


def test_failed_download_quotes_apt(apt: AptFetcher, tmp_path: Path) -> None:
    script = tmp_path / "apt-get"
    script.write_text(script.read_text().replace("foo=1:1.0-2", "other"))
    script.write_text(script.read_text().replace("esac", "  foo=*) echo 'E: no network' >&2; exit 1 ;;\nesac"))
    with pytest.raises(CorpusError, match=r"^package 'foo' 1.0 could not be fetched \(no network\); check the network"):
        apt.fetch(make_spec())


def test_failed_update_is_tried_again(apt: AptFetcher, tmp_path: Path) -> None:
    script = tmp_path / "apt-get"
    good = script.read_text()
    lists = work_folder(tmp_path) / "apt" / "lists"
    lists.mkdir(parents=True)
    (lists / "old_Sources").write_text("index of other sources")
    script.write_text("#!/bin/sh\necho 'E: no route to host' >&2\nexit 100\n")
    with pytest.raises(CorpusError, match=r"^apt could not fetch the source index \(no route to host\); check the"):
        apt.fetch(make_spec())
    script.write_text(good)
    assert apt.fetch(make_spec()).exists()
    assert " update\n" in (tmp_path / "apt.log").read_text()


def test_without_apt(tmp_path: Path) -> None:
    fetcher = AptFetcher(tmp_path, apt_get=str(tmp_path / "apt-get"))
    with pytest.raises(CorpusError, match=r"apt-get was not found; fetching Debian sources needs apt, or put the"):
        fetcher.fetch(make_spec())


def test_upstream_version() -> None:
    assert upstream_version("1:1.2.13.dfsg-1") == "1.2.13.dfsg"
    assert upstream_version("2.1.12-stable-8+deb12u1") == "2.1.12-stable"
    assert upstream_version("5.0") == "5.0"


def test_source_entries_use_the_mirror_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("# deb http://no bookworm main\ndeb [arch=amd64] http://m1 bookworm main\n")
    (tmp_path / "sources.list.d" / "a.sources").write_text(
        "Types: deb\nURIs: http://m2\nSuites: bookworm-security\nComponents: main\n\n"
        "Types: deb\nEnabled: no\nURIs: http://m3\nSuites: bookworm\n"
    )
    text = source_entries(tmp_path)
    assert "URIs: http://m1\nSuites: bookworm\n" in text
    assert "URIs: http://m2\nSuites: bookworm-security\n" in text
    assert "m3" not in text
    assert text.count("Types: deb-src") == 2
    assert "URIs: http://deb.debian.org/debian\nSuites: bookworm\n" in source_entries(tmp_path / "none")


def make_archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_unpack_drops_the_single_top_folder(tmp_path: Path) -> None:
    unpack(make_archive(tmp_path / "a.tar.xz", {"foo-1.0/src/a.c": "int a;", "foo-1.0/README": ""}), tmp_path / "one")
    assert (tmp_path / "one" / "src" / "a.c").read_text() == "int a;"
    unpack(make_archive(tmp_path / "b.tar.xz", {"src/a.c": "int b;", "README": ""}), tmp_path / "two")
    assert (tmp_path / "two" / "src" / "a.c").read_text() == "int b;"
    assert not list(tmp_path.glob(".*"))


def test_unpack_writes_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = make_archive(tmp_path / "a.tar.xz", {"../../evil.c": "x", "f/good.c": "y", "../evil.c": "z"})
    unpack(archive, tmp_path / "in" / "tree")
    assert (tmp_path / "in" / "tree" / "good.c").exists()
    assert not list(tmp_path.rglob("evil.c"))


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_unpack_of_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.xz").write_bytes(content)
    with pytest.raises(CorpusError, match=r"a\.tar\.xz could not be unpacked \(.*\); delete it to fetch it again"):
        unpack(tmp_path / "a.tar.xz", tmp_path / "tree")


@pytest.mark.parametrize("suffix", ["xz", "gz", "bz2"])
def test_unpack_of_a_damaged_archive(tmp_path: Path, suffix: str) -> None:
    source = make_archive(tmp_path / "good", {"f/a.c": random.Random(0).randbytes(9000).hex()})
    with tarfile.open(source) as tar, tarfile.open(tmp_path / f"a.tar.{suffix}", f"w:{suffix}") as copy:
        copy.addfile(tar.next() or tarfile.TarInfo(), tar.extractfile("f/a.c"))
    whole = (tmp_path / f"a.tar.{suffix}").read_bytes()
    half = len(whole) // 2
    for damaged in (whole[:half], whole[:half] + bytes(200) + whole[half + 200 :]):
        (tmp_path / f"a.tar.{suffix}").write_bytes(damaged)
        if suffix == "gz" and len(damaged) == len(whole):
            continue  # tarfile stops before gzip's checksum; fetch has compared the hash of the file
        with pytest.raises(CorpusError, match=r"could not be unpacked"):
            unpack(tmp_path / f"a.tar.{suffix}", tmp_path / "tree")
        assert not (tmp_path / "tree").exists()
