"""Debian source packages: fetch a release archive with apt, unpack it.

apt is run with a configuration of our own below the cache (deb-src entries, package lists, no system file
touched), so neither root nor a deb-src line in /etc/apt is needed. apt checks signatures and hashes. Only the
upstream archive is fetched and Debian's patches are left out: a package is then the same bytes for every
Debian revision of a version, and unpacks without dpkg-dev.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from irwright.corpus.packages import PackageSpec, work_folder
from irwright.errors import CorpusError

RELEASE = "bookworm"
"""The Debian release whose package versions the package list names."""

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DEFAULT_MIRRORS = {
    RELEASE: "http://deb.debian.org/debian",
    f"{RELEASE}-security": "http://deb.debian.org/debian-security",
}
_ARCHIVE_SUFFIXES = (".tar.xz", ".tar.gz", ".tar.bz2")
_APT_TIMEOUT_SECONDS = 600


class Fetcher(Protocol):
    """Whatever brings the release archive of a package."""

    def fetch(self, spec: PackageSpec) -> Path:
        """Return the release archive of `spec`; CorpusError when there is none."""
        ...


class AptFetcher:
    """Fetches release archives with apt-get into `cache`/corpus-work/archives; keeps what is there.

    Safe to call from several threads; apt runs one at a time.
    """

    def __init__(self, cache: Path, *, system: Path = Path("/etc/apt"), apt_get: str = "apt-get") -> None:
        self._cache = cache
        self._archives = work_folder(cache) / "archives"
        self._home = work_folder(cache) / "apt"
        self._system = system
        self._apt_get = apt_get
        self._apt_cache = re.sub("-get$", "-cache", apt_get)
        self._lock = threading.Lock()
        self._ready = False

    def fetch(self, spec: PackageSpec) -> Path:
        """Return the archive of `spec`, fetched if need be and its hash checked."""
        with self._lock:
            archive = self._find(spec) or self._download(spec)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if spec.sha256 and found != spec.sha256:
            raise CorpusError(
                f"archive of package {spec.package!r} at {archive} has sha256 {found}, the list says {spec.sha256}; "
                "delete the file to fetch it again"
            )
        return archive

    def newest(self, package: str) -> str:
        """The newest upstream version of a source package; CorpusError where Debian has none of that name."""
        with self._lock:
            self._prepare()
            return upstream_version(self._versions(package)[-1])

    def _find(self, spec: PackageSpec) -> Path | None:
        return find_archive(self._cache, spec.package, spec.version)

    def _download(self, spec: PackageSpec) -> Path:
        self._prepare()
        versions = self._versions(spec.package)
        matching = [version for version in versions if upstream_version(version) == spec.version]
        if not matching:
            have = ", ".join(sorted({upstream_version(version) for version in versions})) or "none"
            raise CorpusError(
                f"package {spec.package!r} has no version {spec.version!r} in Debian {RELEASE} (it has: {have}); "
                "correct its entry in the package list"
            )
        self._archives.mkdir(parents=True, exist_ok=True)
        problem = ""
        for version in matching:
            with tempfile.TemporaryDirectory(dir=self._archives, prefix=".fetch-") as folder:
                problem = self._run(
                    "source", "--download-only", "--tar-only", f"{spec.package}={version}", cwd=Path(folder)
                )
                for path in Path(folder).iterdir():
                    if path.name.endswith(_ARCHIVE_SUFFIXES) and not problem:
                        path.rename(self._archives / path.name)
            if archive := self._find(spec):
                return archive
        raise CorpusError(
            f"package {spec.package!r} {spec.version} could not be fetched ({problem or 'no orig archive'}); "
            f"check the network and {self._home / 'irwright.sources'}"
        )

    def _versions(self, package: str) -> list[str]:
        """Full versions apt knows for a source package, in apt's order."""
        result = self._call(self._apt_cache, "showsrc", "--only-source", package)
        versions: list[str] = []
        name = ""
        for line in result.stdout.splitlines():
            if line.startswith("Package: "):
                name = line.removeprefix("Package: ")
            elif line.startswith("Version: ") and name == package:
                versions.append(line.removeprefix("Version: "))
        if not versions:
            raise CorpusError(
                f"package {package!r} is no source package of Debian {RELEASE}; correct its name in the package list"
            )
        return list(dict.fromkeys(versions))

    def _prepare(self) -> None:
        """Write the private configuration and fetch the package index, once per run."""
        if self._ready:
            return
        for tool in (self._apt_get, self._apt_cache):
            if shutil.which(tool) is None:
                raise CorpusError(
                    f"{tool} was not found; fetching Debian sources needs apt, "
                    f"or put the .orig.tar files into {self._archives}"
                )
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        sources = self._home / "irwright.sources"
        text = source_entries(self._system)
        stale = not sources.exists() or sources.read_text() != text
        sources.write_text(text)
        empty = not any((self._home / "lists").glob("*Sources*"))
        if (stale or empty) and (problem := self._run("update", cwd=self._home)):
            sources.unlink()
            raise CorpusError(f"apt could not fetch the source index ({problem}); check the network and try again")
        self._ready = True

    def _run(self, *arguments: str, cwd: Path) -> str:
        """Run apt-get; return its first error, or an empty string."""
        result = self._call(self._apt_get, "-q", *arguments, cwd=cwd)
        if not result.returncode:
            return ""
        errors = [line for line in result.stderr.splitlines() if line.startswith("E:")]
        return errors[0].removeprefix("E:").strip() if errors else f"{self._apt_get} exited with {result.returncode}"

    def _call(self, tool: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        options = {
            "Dir::Etc::sourcelist": self._home / "irwright.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": self._home / "lists",
            "Dir::Cache": self._home / "cache",
        }
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            options["APT::Sandbox::User"] = "root"  # the user _apt can't write into a root-owned cache
        command = [tool, *(f"-o{key}={value}" for key, value in options.items()), *arguments]
        return subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_APT_TIMEOUT_SECONDS,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )


def find_archive(cache: Path, package: str, version: str) -> Path | None:
    """The release archive of a package in the cache, None where it was not fetched."""
    stem = work_folder(cache) / "archives" / f"{package}_{version}.orig"
    return next((path for suffix in _ARCHIVE_SUFFIXES if (path := Path(f"{stem}{suffix}")).exists()), None)


def upstream_version(version: str) -> str:
    """Return a Debian version without its epoch and Debian revision: `1:1.2.13.dfsg-1` gives `1.2.13.dfsg`."""
    return re.sub(r"^\d+:", "", version).rpartition("-")[0] or version


def source_entries(system: Path) -> str:
    """Return deb-src entries (deb822 text) for RELEASE, from the mirrors the system's own entries name."""
    mirrors = dict(_DEFAULT_MIRRORS)
    for uri, suites in _system_entries(system):
        for suite in mirrors:
            if suite in suites:
                mirrors[suite] = uri
    signed = f"Signed-By: {_KEYRING}\n" if Path(_KEYRING).exists() else ""
    return "\n".join(
        f"Types: deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: main\n{signed}" for suite, uri in mirrors.items()
    )


def _system_entries(system: Path) -> Iterable[tuple[str, list[str]]]:
    """Yield (mirror, suites) of every `deb` entry below /etc/apt, in both formats apt reads."""
    one_line = [system / "sources.list", *sorted(system.glob("sources.list.d/*.list"))]
    for path in (path for path in one_line if path.exists()):
        for entry in re.finditer(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)", path.read_text(), re.MULTILINE):
            yield entry[1], [entry[2]]
    for path in sorted(system.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                yield from ((uri, fields.get("Suites", "").split()) for uri in fields.get("URIs", "").split())


def unpack(archive: Path, destination: Path) -> None:
    """Unpack a release archive into the new folder `destination`, without the folder all its files are in.

    Members that would land outside are left out. CorpusError for a file that is no archive.
    """
    if not hasattr(tarfile, "data_filter"):
        raise CorpusError("this Python can't unpack archives safely; use Python 3.11.4 or newer")

    def checked(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        try:
            return tarfile.data_filter(member, path)
        except tarfile.FilterError:
            return None

    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".unpack-") as folder:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter=checked)
        except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            reason = str(error).partition("\n")[0].rstrip(":")
            raise CorpusError(f"{archive} could not be unpacked ({reason}); delete it to fetch it again") from error
        entries = list(Path(folder).iterdir())
        inner = entries[0] if len(entries) == 1 and entries[0].is_dir() else Path(folder)
        inner.rename(destination)
        Path(folder).mkdir(exist_ok=True)
