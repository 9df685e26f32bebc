"""What a compiler command asks for: a compile that can be tuned, or the reason it goes to the compiler untouched.

`understand` reads a clang command line the way clang's driver does. Options stand in tables; one that no table knows
makes the command pass through, since an option that is not understood may write another file or change the result.

This module is on the path of every command of a build, so it imports nothing but os: dataclasses and re alone would
cost as much time as a cache hit.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SOURCE_SUFFIXES = {
    ".c": "c",
    ".i": "c",
    ".cc": "c++",
    ".cp": "c++",
    ".cpp": "c++",
    ".cxx": "c++",
    ".c++": "c++",
    ".C": "c++",
    ".CPP": "c++",
    ".ii": "c++",
}
PREPROCESSED_SUFFIXES = (".i", ".ii")
ASSEMBLER_SUFFIXES = (".s", ".S", ".sx", ".asm")
OTHER_LANGUAGE_SUFFIXES = (".m", ".mm", ".cu", ".hip", ".f", ".f90", ".ll", ".bc", ".h", ".hh", ".hpp", ".cppm", ".cl")

SIZE_LEVELS = ("-Os", "-Oz")

SEPARATE = {
    **dict.fromkeys(("-I", "-D", "-U", "-F"), "preprocess"),
    **dict.fromkeys(("-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-iprefix"), "preprocess"),
    **dict.fromkeys(("-iwithprefix", "-iwithprefixbefore", "-isystem-after", "-cxx-isystem"), "preprocess"),
    **dict.fromkeys(("-isysroot", "--sysroot", "-B", "-target", "--target", "-arch"), "keep"),
    **dict.fromkeys(("-L", "-l", "-T", "-u", "-z", "-e", "-Xlinker", "-rpath", "--param", "-framework"), "link"),
    "-o": "output",
    "-MF": "depfile",
    "-MT": "target",
    "-MQ": "target",
}
"""Options whose value is the next word, and what they are for."""

JOINED = ("-I", "-D", "-U", "-F", "-L", "-l", "-T", "-u", "-z", "-B", "-MF", "-MT", "-MQ", "-o")
"""Those of them whose value may stand in the same word."""

JOINED_SEPARATE = ("-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-isysroot")
"""Longer ones that may do so too."""

WRITES_DEPFILE = ("-MD", "-MMD")

REFUSED = {
    **dict.fromkeys(("-E", "-M", "-MM", "-fsyntax-only"), "only preprocesses or checks"),
    "-S": "makes assembly",
    "-emit-llvm": "makes IR",
    "-emit-ast": "makes IR",
    "--analyze": "analyses",
    "-x": "-x: language given by option",
    **dict.fromkeys(("-p", "-pg"), "profile or coverage"),
    "-": "reads standard input",
    **dict.fromkeys(("-###", "-v", "--version", "-dumpversion", "-dumpmachine", "--help"), "asks about the compiler"),
}
"""Options that make a command pass through, and the reason to count."""

REFUSED_PREFIXES = {
    "-flto": "LTO",
    "-ffat-lto": "LTO",
    "-fthinlto": "LTO",
    "-funified-lto": "LTO",
    "-fwhole-program-vtables": "LTO",
    "-save-temps": "-save-temps",
    "--save-temps": "-save-temps",
    "-fsanitize": "sanitizer",
    "-fprofile": "profile or coverage",
    "-fcs-profile": "profile or coverage",
    "-fmemory-profile": "profile or coverage",
    "-fcoverage": "profile or coverage",
    "-ftest-coverage": "profile or coverage",
    "-fauto-profile": "profile or coverage",
    "-fxray": "profile or coverage",
    "--coverage": "profile or coverage",
    "-coverage": "profile or coverage",
    "-finstrument": "profile or coverage",
    "-gsplit-dwarf": "split debug info",
    "-gmodules": "modules or PCH",
    "-fmodule": "modules or PCH",
    "-fcxx-modules": "modules or PCH",
    "-fimplicit-module": "modules or PCH",
    "-fprebuilt": "modules or PCH",
    "-fpch": "modules or PCH",
    "-include-pch": "modules or PCH",
    "-print-": "asks about the compiler",
    "--print-": "asks about the compiler",
}
"""The same for options that begin so."""

REFUSED_UNNAMED = (
    "-fplugin",
    "-fpass-plugin",
    "-fembed",
    "-ftime-",
    "-fstack-usage",
    "-fsave-optimization",
    "-foptimization-record",
    "-fno-integrated-as",
    "-fopenmp-targets",
    "-foffload",
    "-fcuda",
    "-fdump",
    "-fcrash",
    "-fproc-stat",
    "-fbasic-block",
    "-fsplit-machine",
    "-fexperimental",
    "-mllvm",
    "-gembed-source",
)
"""Options that begin so change what is generated, or write files beside the object; each is counted by its name."""

WARNING_PREFIXES = ("-W", "-pedantic", "-fdiagnostics", "-fno-diagnostics", "-fcolor", "-fno-color", "-ferror-limit")
WARNING_OPTIONS = ("-w", "-Q", "-Qunused-arguments")
PREPROCESS_PREFIXES = ("-std=", "--std=", "-stdlib=", "-ftemplate-depth", "-fconstexpr")
PREPROCESS_OPTIONS = ("-ansi", "-undef", "-nostdinc", "-nostdinc++", "-nostdlibinc", "-nobuiltininc", "-trigraphs")
KEPT_PREFIXES = ("-f", "-m", "-g", "--target=", "--sysroot=", "--gcc-toolchain=", "--gcc-install-dir=", "-resource-dir")
KEPT_OPTIONS = ("-pthread", "-static", "-shared", "-pie", "-no-pie", "-static-pie", "-no-canonical-prefixes", "-fPIC")
LINK_PREFIXES = ("-Wl,", "-rpath", "-nostdlib", "-nostartfiles", "-nodefaultlibs", "-static-lib", "-fuse-ld")
LINK_OPTIONS = ("-s", "-rdynamic", "-dynamic", "-r")
HARMLESS_ASSEMBLER = ("--noexecstack", "--execstack", "--fatal-warnings", "--no-warn")

UNDERSTOOD_ENVIRONMENT = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "SOURCE_DATE_EPOCH", "COMPILER_PATH")
"""Variables that change what clang makes; they are part of a cache key."""

REFUSED_ENVIRONMENT = ("DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES", "CCC_OVERRIDE_OPTIONS", "CC_PRINT_HEADERS")
"""Variables by which clang writes files or changes its arguments."""

PROBE_FOLDERS = ("CMakeFiles/CMakeTmp", "CMakeFiles/CMakeScratch", "CMakeFiles/ShowIncludes", "meson-private")
PROBE_PARTS = ("/CompilerId", "TryCompile-")
PROBE_NAMES = ("conftest.", "sanitycheck", "testCCompiler.", "testCXXCompiler.", "CMakeCCompilerId.")

MAX_RESPONSE_DEPTH = 8


class Compile:
    """One source that becomes one object, and the words of its command sorted by what they do."""

    __slots__ = (
        "debug",
        "depfile",
        "keep",
        "key_words",
        "level",
        "output",
        "preprocess",
        "source",
        "target",
        "words",
    )

    def __init__(self, words: list[str]) -> None:
        self.words = words
        """the command without the compiler, response files read in"""
        self.source = ""
        """as the command names it"""
        self.output = ""
        self.depfile: str | None = None
        """where -MD or -MMD writes"""
        self.level = ""
        """the -O option that holds"""
        self.debug = False
        self.target: str | None = None
        """the triple that the command names"""
        self.preprocess: list[str] = []
        """options without output, dependency file and -O: what compiles the source to IR, or preprocesses it"""
        self.keep: list[str] = []
        """those of them that mean something when IR is lowered"""
        self.key_words: list[str] = []
        """words that decide what is written: object, diagnostics, dependency file"""

    @property
    def is_preprocessed(self) -> bool:
        return self.source.endswith(PREPROCESSED_SUFFIXES)


def understand(words: Sequence[str], environment: Mapping[str, str]) -> Compile | str:
    """The compile a command asks for, or why it can't be tuned: a short reason, one of few, to be counted."""
    for name in REFUSED_ENVIRONMENT:
        if name in environment:
            return f"environment {name}"
    expanded = _expand(words)
    if isinstance(expanded, str):
        return expanded
    job = Compile(expanded)
    inputs: list[str] = []
    refusal = _sort(job, inputs)
    sources = [word for word in inputs if _suffix(word) in SOURCE_SUFFIXES]
    if "-c" not in expanded and refusal not in REFUSED.values():
        if not inputs:
            return "no input"
        return "compiles and links in one command" if sources else "links"
    if any(word.endswith(ASSEMBLER_SUFFIXES) for word in inputs):
        return "assembler source"
    if refusal is not None:
        return refusal
    if len(inputs) != 1:
        return "several inputs" if inputs else "no input"
    if not sources:
        return "other language"
    job.source = sources[0]
    if _is_probe(job.source):
        return "configure probe"
    if not job.output:
        job.output = _stem(job.source) + ".o"
    if job.output == "-" or job.depfile == "-":
        return "writes to standard output"
    if not _is_plain_file(job.output) or (job.depfile and not _is_plain_file(job.depfile)):
        return "output is no regular file"
    if job.level not in SIZE_LEVELS:
        if environment.get("IRWRIGHT_ALWAYS", "0") in ("", "0"):
            return "not compiled for size"
        job.level = "-Oz"
    return job


def _sort(job: Compile, inputs: list[str]) -> str | None:
    """Sort the words of a command into a job; the reason to refuse it, if there is one."""
    writes_depfile, depfile, outputs = False, None, ["", ""]
    dependency_words: list[str] = []
    refusal: str | None = None
    words = iter(job.words)
    for word in words:
        if not word.startswith("-"):
            inputs.append(word)
            continue
        kind, value = _kind(word, words)
        if kind == "output":
            job.output = value
        elif kind == "depfile":
            depfile = value
        elif kind == "target":
            dependency_words += (word, value)
        elif kind == "dependency":
            writes_depfile = writes_depfile or word in WRITES_DEPFILE
            dependency_words.append(word)
        elif kind == "level":
            job.level = word
        elif kind == "nothing":
            pass
        elif kind in ("preprocess", "keep", "link", "warning"):
            taken = [word] if value == "" else [word, value]
            job.key_words += taken
            if kind != "link":
                job.preprocess += taken
            if kind == "keep":
                job.keep += taken
                if word.startswith("-g") and word != "-g0":
                    job.debug = True
                if word in ("-target", "--target") or word.startswith("--target="):
                    job.target = value or word.partition("=")[2]
            refusal = refusal or _precompiled(word, value)
        elif refusal is None:
            refusal = kind
    if writes_depfile:
        job.depfile = depfile or _depfile(job.output or (_stem(inputs[0]) if inputs else ""))
        outputs = [*dependency_words, job.output]
        job.key_words += outputs
    job.key_words += [job.level, *inputs]
    return refusal


def _kind(word: str, words: Iterator[str]) -> tuple[str, str]:
    """What an option is for, and its value where that is a word of its own; else the reason to refuse it.

    A value that stands in the option's word is only told for outputs, which are taken apart.
    """
    if word in REFUSED:
        return REFUSED[word], ""
    if word in SEPARATE:
        return SEPARATE[word], next(words, "")
    if word == "-c" or word == "-pipe":
        return "nothing", ""
    if word in WRITES_DEPFILE or word in ("-MP", "-MV"):
        return "dependency", ""
    if word.startswith("-O"):
        return "level", ""
    for prefix, reason in REFUSED_PREFIXES.items():
        if word.startswith(prefix):
            return reason, ""
    if word.startswith(REFUSED_UNNAMED):
        return "option " + word.partition("=")[0], ""
    if word in PREPROCESS_OPTIONS:
        return "preprocess", ""
    if word.startswith(LINK_PREFIXES) or word in LINK_OPTIONS:
        return "link", ""
    if word.startswith("-Wp,"):
        return ("preprocess" if _only_defines(word) else "option -Wp,"), ""
    if word.startswith("-Wa,"):
        return ("keep" if all(part in HARMLESS_ASSEMBLER for part in word.split(",")[1:]) else "option -Wa,"), ""
    if word.startswith(WARNING_PREFIXES) or word in WARNING_OPTIONS:
        return "warning", ""
    if word.startswith(PREPROCESS_PREFIXES + JOINED_SEPARATE):
        return "preprocess", ""
    if word.startswith(KEPT_PREFIXES) or word in KEPT_OPTIONS:
        return "keep", ""
    for option in JOINED:
        if word.startswith(option):
            kind = SEPARATE[option]
            return kind, word[len(option) :] if kind in ("output", "depfile", "target") else ""
    return "option " + word.partition("=")[0], ""


def _only_defines(word: str) -> bool:
    """True if a -Wp, option defines or undefines macros and does nothing else."""
    return all(part.startswith(("-D", "-U")) and len(part) > 2 for part in word.split(",")[1:])


def _precompiled(word: str, value: str) -> str | None:
    """clang takes a precompiled header beside an -include without being told to."""
    name = value if word == "-include" else word[len("-include") :] if word.startswith("-include") else ""
    if name and any(os.path.exists(name + suffix) for suffix in (".pch", ".gch")):
        return "modules or PCH"
    return None


def _expand(words: Sequence[str], depth: int = 0) -> list[str] | str:
    """The words with response files read in."""
    expanded: list[str] = []
    for word in words:
        if not word.startswith("@") or len(word) == 1:
            expanded.append(word)
            continue
        if depth == MAX_RESPONSE_DEPTH:
            return "response file unreadable"
        try:
            with open(word[1:], encoding="utf-8", errors="surrogateescape") as file:
                inner = _expand(_split(file.read()), depth + 1)
        except OSError:
            return "response file unreadable"
        if isinstance(inner, str):
            return inner
        expanded += inner
    return expanded


def _split(text: str) -> list[str]:
    """Words of a response file, by the rules of GNU's libiberty that clang follows."""
    words: list[str] = []
    word: list[str] | None = None
    quote, position = "", 0
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == "\\" and position < len(text):
            word = (word or []) + [text[position]]
            position += 1
        elif quote:
            if letter == quote:
                quote = ""
            else:
                word = (word or []) + [letter]
        elif letter in "'\"":
            quote, word = letter, word or []
        elif letter.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = (word or []) + [letter]
    if word is not None:
        words.append("".join(word))
    return words


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1]


def _stem(source: str) -> str:
    """What clang names an object after when there is no -o: in the current folder."""
    return os.path.splitext(os.path.basename(source))[0]


def _depfile(output: str) -> str:
    return os.path.splitext(output)[0] + ".d"


def _is_plain_file(path: str) -> bool:
    """True for a regular file, and for one that does not exist yet."""
    if path.startswith(("/dev/", "/proc/")):
        return False  # /dev/stdout may lead to a regular file
    return not os.path.exists(path) or os.path.isfile(path)


def _is_probe(source: str) -> bool:
    """True for the little programs by which build systems try what a compiler can do."""
    where = os.path.join(os.getcwd(), source)
    name = os.path.basename(source)
    if name.startswith(PROBE_NAMES):
        return True
    return any(folder in where for folder in PROBE_FOLDERS) or any(part in where for part in PROBE_PARTS)
