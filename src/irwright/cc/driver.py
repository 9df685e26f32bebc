"""`irwright cc -- clang ...`: one command of a build, from its words to its exit code.

The plain compiler always has the first word: it writes the object, the dependency file and the diagnostics, and its
exit code is ours. A smaller object then takes the place of the plain one by a rename. Whatever goes wrong on our side
leaves the plain object and one line on stderr. What can't be tuned becomes the compiler by exec.

Start-up is part of every command of a build: what only a tuned compile needs is imported by `_tune`.
"""

from __future__ import annotations

import os
import time

import irwright
from irwright.cc import events, helper
from irwright.cc.arguments import UNDERSTOOD_ENVIRONMENT, Compile, understand
from irwright.cc.cache import DEFAULT_LIMIT_BYTES, Cache, Entry, hash_of, read_includes
from irwright.cc.compilers import Compiler, identify, see_packages, which

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

DEFAULT_BUDGET = "8"
DEFAULT_SEEDS = 8
EXIT_NOT_FOUND = 127
_KEY_FORMAT = b"1"

_SIZE_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def main(words: Sequence[str]) -> int:
    """Run the compiler command `words`; the exit code, unless the process became the compiler."""
    if os.environ.get("IRWRIGHT_DISABLE", "0") not in ("", "0"):
        return _become(words)
    try:
        run = _prepare(words)
    except Exception as error:
        say(f"{type(error).__name__}: {error}: left to the compiler".replace("\n", " "))
        return _become(words)
    return _pass_through(words, run) if isinstance(run, str) else _until_signal(run)


def _prepare(words: Sequence[str]) -> _Run | str:
    """The compile that a command is, or why it passes through."""
    job = understand(words[1:], os.environ)
    if isinstance(job, str):
        return job
    path = which(words[0])
    if path is None:
        return "compiler not found"
    compiler = identify(path, f"{home()}/compilers")
    if compiler.problem:
        if compiler.is_new:
            say(compiler.problem)
        return "no clang with a libLLVM"
    if job.target is not None and not compiler.serves(job.target):
        return "other target"
    return _Run(words, job, compiler)


class _Ended(BaseException):
    """A signal came that ends this process; carries its number."""


def _until_signal(run: _Run) -> int:
    """Run, and end by the signal that comes: with workers, compilers and temporary files gone."""
    import signal

    def end(number: int, _frame: object) -> None:
        for other in ending:
            signal.signal(other, signal.SIG_IGN)  # once is enough: what follows is the cleaning up
        raise _Ended(number)

    ending = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    ending = [number for number in ending if signal.getsignal(number) is not signal.SIG_IGN]  # nohup
    for number in ending:
        signal.signal(number, end)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as some parents leave it, it would hide exit codes
    try:
        return run.run()
    except Exception as error:
        say(f"{run.job.source}: {type(error).__name__}: {error}: left to the compiler".replace("\n", " "))
        return _become(run.words)
    except _Ended as ended:
        number = ended.args[0]
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return 128 + number


def home() -> str:
    """The folder of cache and statistics; `toolchain.cache_folder` without its imports."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.abspath(os.environ.get("IRWRIGHT_CACHE") or f"{cache}/irwright") + "/cc"


def say(line: str) -> None:
    """One line to the user."""
    _write_all(2, f"irwright cc: {line}\n".encode(errors="surrogateescape"))


def open_cache() -> Cache | None:
    """The cache as IRWRIGHT_CC_CACHE says: `off`, or how large it may get (`500M`, `4G`)."""
    said = os.environ.get("IRWRIGHT_CC_CACHE", "")
    if said in ("off", "0"):
        return None
    unit = _SIZE_UNITS.get(said[-1:].upper(), 0)
    digits = said[:-1] if unit else said
    limit = int(digits) * (unit or 1) if digits.isdecimal() else DEFAULT_LIMIT_BYTES
    return Cache(f"{home()}/objects", limit)


def _pass_through(words: Sequence[str], reason: str) -> int:
    events.record(f"{home()}/events", "pass", reason=reason)
    _log(f"{reason}: {' '.join(words)}")
    return _become(words)


def _become(words: Sequence[str]) -> int:
    """Replace this process by the compiler."""
    try:
        os.execvp(words[0], list(words))
    except OSError as error:
        say(f"error: {words[0]!r} does not run ({error.strerror}); name a compiler after --")
    return EXIT_NOT_FOUND


def _log(line: str) -> None:
    path = os.environ.get("IRWRIGHT_LOG")
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    except OSError as error:
        say(f"IRWRIGHT_LOG={path} can't be written: {error.strerror}")
        del os.environ["IRWRIGHT_LOG"]


class _Run:
    """One compile that may be tuned."""

    def __init__(self, words: Sequence[str], job: Compile, compiler: Compiler) -> None:
        self.words = list(words)
        self.job = job
        self.compiler = compiler
        self.budget = os.environ.get("IRWRIGHT_BUDGET") or DEFAULT_BUDGET
        said = os.environ.get("IRWRIGHT_VERIFY", "")
        self.verify_seeds = int(said) if said.isdecimal() else DEFAULT_SEEDS
        self.lists_only = os.environ.get("IRWRIGHT_LISTS_ONLY", "0") not in ("", "0")
        self.cache = open_cache()
        self.started = time.time()
        self.leaves_helper = False
        if os.isatty(2) and not any("color" in word for word in job.words):
            # Its stderr will be a pipe, where clang leaves colours out.
            self.words.append("-fcolor-diagnostics")
            job.key_words.append("-fcolor-diagnostics")

    def run(self) -> int:
        manifest_key = key = shared = ""
        preprocessed: bytes | None = None
        includes: list[bytes] | None = None
        if self.cache is not None:
            manifest_key = self._key(b"direct")
            key = self.cache.look_up(manifest_key) or ""
            entry = self.cache.find(key) if key else None
            if entry is not None and self._use(entry):
                return 0
            preprocessed = self._preprocess()
            if preprocessed is not None and b".incbin" not in preprocessed:
                key = self._key(b"preprocessed", preprocessed)
                includes = read_includes(preprocessed)
                entry = self.cache.find(key)
                if entry is not None and self._use(entry):
                    self._note_files(manifest_key, key, includes)
                    return 0
            else:
                key = ""
        code, diagnostics = self._compile_plainly()
        if code != 0:
            return code
        if key and preprocessed is not None and self.job.depfile is not None:
            shared = self._shared_key(preprocessed)
        entry = self._made_elsewhere(shared, diagnostics) or self._tune(diagnostics)
        self._remember(entry, manifest_key, key, shared, includes)
        if self.leaves_helper:
            _load_tuning().leave_helper(home())
        return 0

    def _remember(
        self, entry: Entry | None, manifest_key: str, key: str, shared: str, includes: list[bytes] | None
    ) -> None:
        if entry is not None and self.cache is not None and key:
            self.cache.add(key, entry)
            if shared:
                self.cache.add(shared, Entry(entry.object, b"", None, entry.note))
            self._note_files(manifest_key, key, includes)
            if self.cache.problem:
                events.record(f"{home()}/events", "cache", reason=self.cache.problem)
                _log(f"cache: {self.cache.problem}")

    def _shared_key(self, preprocessed: bytes) -> str:
        """Everything that decides the object alone: targets of one build share sources, but no dependency files."""
        with open(self.job.output, "rb") as file:
            return self._key(b"object", preprocessed, file.read(), [*self.job.preprocess, self.job.level])

    def _made_elsewhere(self, shared: str, diagnostics: bytes) -> Entry | None:
        """What another target made of the same source, put down."""
        entry = self.cache.find(shared) if self.cache is not None and shared else None
        if entry is None or not self._use(entry):
            return None
        dependencies = None
        if self.job.depfile is not None:
            with open(self.job.depfile, "rb") as file:
                dependencies = file.read()
        return Entry(entry.object, diagnostics, dependencies, entry.note)

    def _key(self, kind: bytes, preprocessed: bytes = b"", plain: bytes = b"", words: Sequence[str] = ()) -> str:
        """Everything that decides what this compile makes, beside the files it reads; by these words or the job's."""
        words = "\0".join(words or self.job.key_words)
        known = [f"{name}={os.environ[name]}" for name in UNDERSTOOD_ENVIRONMENT if name in os.environ]
        return hash_of(
            _KEY_FORMAT,
            kind,
            irwright.__version__.encode(),
            tables_stamp(self.compiler.version),
            self.compiler.identity,
            f"{self.budget} {self.verify_seeds}{' lists' if self.lists_only else ''}".encode(),
            words.encode(errors="surrogateescape"),
            "\0".join(known).encode(errors="surrogateescape"),
            os.getcwdb() if self.job.debug else b"",
            _processor() if "=native" in words else b"",
            preprocessed,
            plain,
        )

    def _preprocess(self) -> bytes | None:
        """The source after preprocessing, None where that fails: then the plain compiler says why."""
        job = self.job
        if job.is_preprocessed:
            try:
                with open(job.source, "rb") as file:
                    return file.read()
            except OSError:
                return None
        import subprocess

        command = [self.compiler.command, *job.preprocess, job.level, "-w", "-E", job.source]
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
        return run.stdout if run.returncode == 0 else None

    def _note_files(self, manifest_key: str, key: str, includes: list[bytes] | None) -> None:
        if self.cache is not None and includes is not None:
            files = dict.fromkeys([os.fsencode(self.job.source), *includes])
            self.cache.add_manifest(manifest_key, key, files, before=self.started)

    def _use(self, entry: Entry) -> bool:
        """Put down what the cache holds; False where that fails: then the compiler says what is wrong."""
        try:
            write(self.job.output, entry.object)
            if self.job.depfile is not None and entry.dependencies is not None:
                write(self.job.depfile, entry.dependencies)
        except OSError:
            return False
        _write_all(2, entry.diagnostics)
        plain, _, tuned = entry.note.partition(b" ")
        self._record("hit", plain=int(plain), tuned=int(tuned))
        return True

    def _compile_plainly(self) -> tuple[int, bytes]:
        """Run the command as it is; its exit code, and what it said, which is passed on."""
        import gc
        import subprocess

        gc.disable()  # what is imported stays, and little else is made in this process
        process = subprocess.Popen([self.compiler.command, *self.words[1:]], stderr=subprocess.PIPE)
        try:
            if not helper.find(home()):
                _load_tuning()  # takes as long as a small compile: while that runs
            _, diagnostics = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        _write_all(2, diagnostics)
        return (process.returncode if process.returncode >= 0 else 128 - process.returncode), diagnostics

    def _tune(self, diagnostics: bytes) -> Entry | None:
        """Replace the plain object by a smaller one; what to remember, None where something went wrong."""
        job = self.job
        try:
            answer = self._answer()
            if "failed" in answer:
                return self._failed(answer["failed"])
            facts = answer["facts"]
            made = answer["object"]
            if made is not None:
                write(job.output, made)
            else:
                with open(job.output, "rb") as file:
                    made = file.read()
            dependencies = None
            if job.depfile is not None:
                with open(job.depfile, "rb") as file:
                    dependencies = file.read()
        except Exception as error:
            return self._failed(str(error).partition("\n")[0] or type(error).__name__)
        for line in answer["rejected"]:
            _log(f"{job.source}: rejected: {line}")
        for line in answer["replaced"]:
            _log(f"{job.source}: given the code of -Oz: {line}")
        self._record("tuned" if answer["object"] is not None else "kept", **facts)
        return Entry(made, diagnostics, dependencies, f"{facts['plain']} {facts['tuned']}".encode())

    def _answer(self) -> dict[str, Any]:
        """What tuning finds, done by the helper of this build or here: then a helper is left for the next compile."""
        request = helper.request_of(
            self.job,
            self.compiler,
            budget=self.budget,
            timeout_seconds=max(30.0, 10 * (time.time() - self.started)),
            verify_seeds=self.verify_seeds,
            lists_only=self.lists_only,
            keep=f"{home()}/verify",
        )
        path = helper.find(home())
        answer = helper.ask(path, request) if path else None
        if answer is not None:
            return answer
        self.leaves_helper = True
        return _load_tuning().answer(request)

    def _failed(self, reason: str) -> None:
        say(f"{self.job.source}: {reason}: plain object kept")
        self._record("failed", reason=reason)

    def _record(self, event: str, **facts: str | int | float) -> None:
        output = os.path.abspath(self.job.output)
        seconds = time.time() - self.started
        events.record(f"{home()}/events", event, source=self.job.source, output=output, seconds=seconds, **facts)
        _log(f"{event} {self.job.source} -> {self.job.output} in {seconds:.2f} s {facts}")


def _load_tuning() -> ModuleType:
    """The module that tunes in this process."""
    from importlib import import_module

    see_packages()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # starting threads takes longer than what they are for
    return import_module("irwright.cc.serving")


def write(path: str, data: bytes) -> None:
    """Write a file whole or not at all, with the permissions of the one it replaces."""
    temporary = f"{path}.irwright-{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        try:
            os.chmod(temporary, os.stat(path).st_mode & 0o7777)
        except FileNotFoundError:
            pass
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def _write_all(descriptor: int, data: bytes) -> None:
    """Write, unless nobody reads: a closed stderr fails no build."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass


def tables_stamp(version: str) -> bytes:
    """What changes when the tables do that say which plans to try."""
    folder = os.path.dirname(irwright.__file__)
    stamps: list[str] = []
    for major in (version.partition(".")[0], "22"):
        for name in (f"coreset-oz-{major}.json", f"feedback-oz-{major}.npz"):
            try:
                status = os.stat(f"{folder}/data/{name}")
            except OSError:
                continue
            stamps.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return " ".join(stamps).encode()


def _processor() -> bytes:
    """The lines of the first processor that -march=native looks at."""
    try:
        with open("/proc/cpuinfo", "rb") as file:
            lines = file.read(8192).split(b"\n\n")[0].split(b"\n")
    except OSError:
        return b""
    return b"\n".join(line for line in lines if line.startswith((b"model", b"flags", b"Features", b"CPU")))
