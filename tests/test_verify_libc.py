"""The C library under emulation against LLVM, which computes the same calls when it compiles: -O0 calls, -O2 folds."""

from __future__ import annotations

import ctypes
import struct

import pytest

from irwright.verify.differ import compare_objects
from irwright.verify.inputs import long_double_bytes, long_double_value
from irwright.verify.libc import known_names
from irwright.verify.libc_numbers import parse_float, parse_integer
from verify_tools import Compile

HEADERS = "#include <string.h>\n#include <stdlib.h>\n#include <stdio.h>\n#include <ctype.h>\n#include <math.h>\n"

FOLDED = [
    'strlen("hello")',
    'strcmp("abc", "abd") < 0',
    'strncmp("abcdef", "abcxyz", 3)',
    'strchr("hello", 108) - (char *)0 != 0',
    '*strrchr("a/b/c", 47)',
    'strspn("aabbc", "ab")',
    'strcspn("hello, world", ",")',
    'memcmp("abc", "abz", 3) < 0',
    '*(char *)memchr("hello", 101, 5)',
    'atoi("-123")',
    'strtol("0x7f", 0, 16)',
    'strtol("377", 0, 8)',
    "toupper(97)",
    "isdigit(53) != 0",
    "isascii(200)",
    "abs(-5)",
    "labs(-7)",
    '*strstr("hello world", "wor")',
    '*strpbrk("hello", "xyzl")',
    "(int)(sqrt(2.0) * 1e6)",
    "(int)(floor(-2.5) * 10)",
    "(int)(ceil(2.25) * 10)",
    "(int)(pow(3.0, 4.0))",
    "(int)(fabs(-2.75) * 100)",
    "(int)(cos(1.0) * 1e9)",
    "(int)(logf(10.0f) * 1e5f)",
    "(int)(fmod(10.5, 3.0) * 10)",
    "(int)(round(2.5) * 10)",
    "(int)(fmin(2.0, -3.0))",
    "ffs(24)",
]


def test_calls_that_llvm_folds(compile_c: Compile) -> None:
    """One function for each; the results are those that LLVM computed."""
    bodies = "\n".join(f"long f{n}(void) {{ return (long)({text}); }}" for n, text in enumerate(FOLDED))
    original = compile_c(HEADERS + bodies, "-O0")
    verdict = compare_objects(
        original, compile_c(HEADERS + bodies, "-O2"), signatures=compile_c.signatures(HEADERS + bodies), seeds=1
    )
    for function, text in zip(verdict.functions, FOLDED, strict=True):
        assert function.kind == "equal", f"{text}: {function}"


REWRITTEN = """
void a(int n) { printf("%c", n); printf("%%\\n"); printf("x"); }
void b(const char *s, FILE *f) { fprintf(f, "%s", s); fprintf(f, "plain"); fputs("one", f); fputs("c", f); }
int c(char *out, const char *s) { sprintf(out, "%s", s); return (int)strlen(out); }
void d(char *out, int n) { sprintf(out, "number"); snprintf(out + 16, 8, "abc"); strcpy(out + 32, "copied"); }
void *e(size_t n) { void *p = malloc(64); if (p) memset(p, 0, 64); return p; }
double f(double x) { return pow(x, 2.0) + pow(x, 0.5); }
char *g(char *s) { return strcat(s, "tail") + strlen(s); }
int h(const void *x, const void *y) { return memcmp(x, y, 16) == 0; }
char *i(char *to, const char *from) { return stpcpy(to, from); }
void j(const char *s) { puts(""); puts(s); putchar(10); fwrite("abc", 1, 3, stdout); }
"""


@pytest.mark.parametrize("level", ["-O1", "-O2", "-Oz"])
def test_calls_that_llvm_rewrites(compile_c: Compile, level: str) -> None:
    """printf becomes puts, sprintf becomes memcpy, malloc and memset become calloc: the effect is the same."""
    text = HEADERS + REWRITTEN
    verdict = compare_objects(compile_c(text, "-O0"), compile_c(text, level), signatures=compile_c.signatures(text))
    for function in verdict.functions:
        assert function.kind == "equal", function


def test_formatting_is_that_of_the_c_library(compile_c: Compile) -> None:
    """Text that printf's model makes, against the C library of this process."""
    library = ctypes.CDLL(None)
    for template, arguments in [
        ("%d|%5d|%-5d|%05d|%+d", (1, 22, 33, 44, 55)),
        ("%u %x %X %#x %o", (7, 255, 255, 255, 8)),
        ("%ld %lu %hd %hhd", (1 << 40, 1 << 41, 70000, 300)),
        ("%.3s|%10s|%-6s|", ("abcdef", "right", "left")),
        ("%c%c %%", (65, 66)),
        ("%*d|%-*d|%.*s", (6, 42, 6, 42, 2, "xyz")),
    ]:
        buffer = ctypes.create_string_buffer(256)
        plain = [ctypes.c_char_p(a.encode()) if isinstance(a, str) else ctypes.c_long(a) for a in arguments]
        library.snprintf(buffer, ctypes.c_size_t(256), ctypes.c_char_p(template.encode()), *plain)
        written = ", ".join(f'"{a}"' if isinstance(a, str) else f"{a}L" for a in arguments)
        calls = HEADERS + f'void f(void) {{ printf("{template}", {written}); }}'
        known = HEADERS + f'void f(void) {{ fputs("{buffer.value.decode()}", stdout); }}'
        verdict = compare_objects(
            compile_c(calls, "-O0"), compile_c(known, "-O0"), signatures=compile_c.signatures(calls), seeds=1
        )
        assert verdict.equal == 1, f"{template}: {verdict.functions[0]}"


@pytest.mark.parametrize("text", [b"12", b" -7x", b"0x1F", b"0b101", b"077", b"", b"+", b"zz", b"0x", b"99999999999"])
@pytest.mark.parametrize("base", [0, 8, 10, 16, 36])
def test_integers_in_text(text: bytes, base: int) -> None:
    if base == 0 and text.startswith(b"0b"):
        pytest.skip("C libraries differ")
    library = ctypes.CDLL(None)
    library.strtol.restype = ctypes.c_long
    buffer = ctypes.create_string_buffer(text)
    end = ctypes.c_char_p()
    value = library.strtol(buffer, ctypes.byref(end), base)
    used = len(text) - len(end.value or b"")
    if base == 36 and text.startswith((b"0x", b"0b")):
        pytest.skip("digits, or a prefix")
    assert parse_integer(text, base) == (value, used)


def test_floats_in_text() -> None:
    assert parse_float(b" 3.5e2x") == (350.0, 6)
    assert parse_float(b"none") == (0.0, 0)


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1e300, 1e-300, 3.141592653589793])
def test_long_doubles(value: float) -> None:
    content = long_double_bytes(value)
    assert long_double_value(content) == value
    native = ctypes.c_longdouble(value)
    assert bytes(native)[:10] == content
    assert struct.calcsize("d") == 8


def test_how_many_functions_are_known() -> None:
    assert len(known_names()) > 500
    assert {"memcpy", "printf", "open", "pthread_mutex_lock", "_Znwm", "sinf", "__aarch64_cas4_acq"} <= known_names()


def test_files_are_of_all_kinds(compile_c: Compile) -> None:
    text = """#include <sys/stat.h>
    int f(const char *path) {
        struct stat s;
        if (stat(path, &s)) return -1;
        return S_ISDIR(s.st_mode) ? 1 : S_ISLNK(s.st_mode) ? 2 : 3 + (s.st_size > 4096);
    }"""
    for before, after in (("? 1", "? 5"), ("? 2", "? 6"), ("> 4096", "< 4096")):
        verdict = compile_c.compare(text, text.replace(before, after))
        assert verdict.different == 1, (before, verdict.functions[0])


def test_what_a_callee_reads_on_the_stack_is_compared(compile_c: Compile) -> None:
    text = """#include <sys/socket.h>
    #include <sys/time.h>
    int f(int fd, int seconds) {
        struct sockaddr_storage name; socklen_t size = 128; struct timeval wait = {seconds, 7};
        if (setsockopt(fd, 1, 20, &wait, sizeof wait)) return -1;
        return getsockname(fd, (struct sockaddr *)&name, &size);
    }"""
    for before, after in (("= 128", "= 127"), ("{seconds, 7}", "{seconds, 8}"), ("{seconds,", "{(unsigned)seconds,")):
        verdict = compile_c.compare(text, text.replace(before, after))
        assert verdict.different == 1, (before, verdict.functions[0])
    assert compile_c.compare(text).equal == 1
