"""Programs of many kinds: -O0, -O1, -O2 and -Oz of each are the same, a changed one is not."""

from __future__ import annotations

import pytest

from irwright.verify.differ import VerdictKind, compare_objects
from verify_tools import Compile

PROGRAMS = {
    "loop": "int f(unsigned n) { unsigned s = 1; for (unsigned i = 0; i < (n & 31); i++) s = s * 3 + i; return s; }",
    "string": "int f(const char *s) { int n = 0; while (*s) n = n * 31 + *s++; return n; }",
    "struct": """
        struct point { int x, y; long weight; struct point *next; };
        struct point f(const struct point *p, int k) { struct point q = *p; q.x += k; q.weight *= q.y; return q; }
        long g(struct point p) { return p.x + p.y * p.weight; }""",
    "list": """
        struct node { struct node *next; long value; };
        long f(struct node *n) { long s = 0; for (int i = 0; n && i < 20; n = n->next, i++) s += n->value;
            return s; }""",
    "recursion": "int f(int n) { n &= 15; return n < 2 ? n : f(n - 1) + f(n - 2); }",
    "double": "double f(double x, double y) { return x * y - x / (y * y + 1.0); }",
    "float": "float f(float x, int n) { return n > 3 ? x * 0.5f : x - (float)n; }",
    "long double": "long double f(long double x, int n) { return x * n + 0.5L; }",
    "switch": """
        int f(int n) { switch (n) { case 0: return 5; case 1: return 9; case 2: return 100; case 3: return -4;
            case 4: return 77; case 5: return 13; case 6: return 2; default: return n * 2; } }
        const char *g(int n) { switch (n & 3) { case 0: return "zero"; case 1: return "one"; case 2: return "two"; }
            return "many"; }""",
    "static data": """
        static int counter = 3; int total; static const short table[] = {3, 1, 4, 1, 5, 9, 2, 6};
        int f(int n) { counter += table[n & 7]; total += counter; return total; }""",
    "printf": """
        int printf(const char *, ...); int puts(const char *);
        void f(int n, const char *s, double d) { printf("hello\\n"); printf("%s\\n", s);
            printf("%d %5.2f %-4c|%#lx\\n", n, d, 'a' + (n & 7), (long)n); }""",
    "variadic": """
        #include <stdarg.h>
        int vsnprintf(char *, unsigned long, const char *, va_list);
        int f(char *out, const char *format, ...) { va_list a; va_start(a, format);
            int n = vsnprintf(out, 64, "%d-%g-%s", a); va_end(a); return n; }
        int g(char *out, int n) { return f(out, "", n, 2.5, "text"); }""",
    "callback": """
        void qsort(void *, unsigned long, unsigned long, int (*)(const void *, const void *));
        static int order(const void *x, const void *y) { return *(const short *)x - *(const short *)y; }
        void f(short *values) { qsort(values, 12, sizeof *values, order); }
        long g(long (*visit)(long, void *), void *data) { return visit(7, data) + visit(9, 0); }""",
    "allocation": """
        void *malloc(unsigned long); void free(void *); void *memset(void *, int, unsigned long);
        struct cell { struct cell *next; int n; };
        struct cell *f(int n) { struct cell *head = 0; for (int i = 0; i < (n & 7); i++) {
            struct cell *c = malloc(sizeof *c); if (!c) break; c->next = head; c->n = i * n; head = c; } return head; }
        void *g(int n) { void *unused = malloc(100); free(unused); char *p = malloc(40); if (p) memset(p, n, 40);
            return p; }""",
    "thread local": """
        static __thread int mine = 5; __thread long ours; extern __thread int theirs;
        long f(int n) { mine += n + theirs; ours += mine; return ours; }""",
    "wide": "__int128 f(__int128 x, long y) { return x * y + (x >> 3); } long g(__int128 x) { return x / 10; }",
    "narrow": """
        signed char f(signed char x, unsigned short y, _Bool z) { return x + y * z; }
        _Bool g(int x) { return x & 4; } short h(char *p) { return p[1] - p[0]; }""",
    "many arguments": "long f(int a, char b, long c, short d, int e, int g, int h, unsigned char i, double j, long k)"
    " { return a + b * c - d + e * g + h * i + (long)j + k; }",
    "outside": """
        extern int counter; extern int table[]; int ask(int, const char *); void tell(long *);
        int f(int n) { long answer = n; tell(&answer); counter += table[1];
            return ask(n + 1, "question") + (int)answer; }""",
    "pure": """
        __attribute__((pure)) int look(int); __attribute__((const)) int work(int);
        int f(int n) { int x = look(n) + look(n); work(n); return x + work(n) * work(n); }""",
}


@pytest.mark.parametrize("flags", [(), ("-fPIC",), ("-fno-pic", "-mcmodel=small")], ids=["default", "pic", "no-pic"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_all_levels_are_equal(compile_c: Compile, name: str, flags: tuple[str, ...]) -> None:
    text = PROGRAMS[name]
    signatures = compile_c.signatures(text, *flags)
    original = compile_c(text, "-O0", *flags)
    for level in ("-O1", "-O2", "-Oz") if not flags else ("-Oz",):
        verdict = compare_objects(original, compile_c(text, level, *flags), signatures=signatures)
        assert verdict.functions
        for function in verdict.functions:
            assert function.kind is not VerdictKind.DIFFERENT, f"{level}: {function}"
            if not function.reason.startswith("a static function"):
                assert function.kind is VerdictKind.EQUAL, f"{level}: {function}"


CHANGES = [
    ("loop", "* 3", "* 5"),
    ("string", "* 31", "* 33"),
    ("struct", "q.x += k", "q.y += k"),
    ("list", "i < 20", "i < 2"),
    ("recursion", "n < 2", "n < 3"),
    ("double", "+ 1.0", "+ 1.5"),
    ("float", "n > 3", "n >= 3"),
    ("long double", "0.5L", "0.25L"),
    ("switch", "return 77", "return 78"),
    ("switch", '"two"', '"twe"'),
    ("static data", "1, 5", "2, 5"),
    ("printf", "%5.2f", "%5.1f"),
    ("printf", '"hello', '"hallo'),
    ("variadic", "2.5", "2.25"),
    ("callback", "(const short *)x - *", "(const short *)x + *"),
    ("callback", "visit(9, 0)", "visit(8, 0)"),
    ("allocation", "i * n", "i + n"),
    ("allocation", "memset(p, n, 40)", "memset(p, n, 39)"),
    ("thread local", "ours += mine", "ours -= mine"),
    ("wide", ">> 3", ">> 2"),
    ("narrow", "x & 4", "x & 8"),
    ("many arguments", "h * i", "h + i"),
    ("outside", "table[1]", "table[2]"),
    ("outside", '"question"', '"questions"'),
    ("outside", "answer = n", "answer = n + 1"),
    ("pure", "look(n) + look(n)", "look(n) + look(n + 1)"),
]


@pytest.mark.parametrize(("name", "old", "new"), CHANGES)
def test_a_change_is_different(compile_c: Compile, name: str, old: str, new: str) -> None:
    text = PROGRAMS[name]
    assert old in text
    verdict = compile_c.compare(text, text.replace(old, new, 1))
    assert verdict.different >= 1, [str(function) for function in verdict.functions]


THROWING = """
#include <stdexcept>
#include <vector>
int f(std::vector<int> &v, int n) { if (n > 2) throw std::runtime_error("big"); v.push_back(n); return v.at(0); }
struct shape { virtual int sides() const { return 0; } virtual ~shape() {} };
struct square : shape { int sides() const override { return 4; } };
shape *make(bool b) { return b ? new square : new shape; }
int g(int n) { try { std::vector<int> v; return f(v, n); } catch (const std::exception &) { return -1; } }
"""


def test_exceptions_and_classes(compile_c: Compile) -> None:
    try:
        original = compile_c(THROWING, "-O0", language="c++")
    except Exception:
        pytest.skip("no C++ headers")
    signatures = compile_c.signatures(THROWING, language="c++")
    verdict = compare_objects(original, compile_c(THROWING, "-Oz", language="c++"), signatures=signatures, seeds=4)
    assert verdict.different == 0, verdict.first_difference
    assert verdict.equal > 0


INDIRECT_FUNCTION = """
extern int fast;
static int one(void) { return 1; } static int two(void) { return 2; }
static int (*choose(void))(void) { return fast ? one : two; }
int which(void) __attribute__((ifunc("choose")));
int f(void) { return which() + 1; } int g(int n) { return n + 2; }
"""


def test_an_indirect_function_is_inconclusive(compile_c: Compile) -> None:
    data = compile_c(INDIRECT_FUNCTION, "-Oz", "-ffunction-sections")
    verdicts = {v.function: v for v in compare_objects(data, data).functions}
    assert verdicts["f"].reason == "which is an indirect function (ifunc)"
    assert verdicts["g"].kind is VerdictKind.EQUAL


def test_undefined_behaviour_is_no_difference(compile_c: Compile) -> None:
    """At -O0 the stack's content shows, at -Oz something else: a reference or a second layout tells."""
    text = "int f(int n) { int x; if (n > 5) x = 1; return x; }"
    original, candidate = compile_c(text, "-O0"), compile_c(text, "-Oz")
    signatures = compile_c.signatures(text)
    alone = compare_objects(original, candidate, signatures=signatures)
    assert alone.different == 0
    assert "depends on addresses or unwritten memory" in alone.functions[0].reason
    other = "int f(int n) { return n > 5 ? 1 : 77; }"
    verdict = compare_objects(candidate, compile_c(other, "-Oz"), reference=original, signatures=signatures)
    assert verdict.different == 0
    assert verdict.functions[0].reason.startswith("undefined behaviour: -O0")


@pytest.mark.parametrize(
    ("assembly", "reason"),
    [
        ("f: pushq %rbx; movl $7, %ebx; popq %rax; ret", "rbx is not restored"),
        ("f: subq $8, %rsp; movl $7, %eax; popq %rcx; movq (%rsp), %rcx; jmp *%rcx", "rsp is not restored"),
        ("f: ud2", "returned becomes trapped (trap instruction)"),
        ("f: jmp f", "it does not end: over 800000 instructions without a call"),
        ("f: movl $8, %eax; ret", "result 0x7 becomes 0x8"),
        ("f: xorl %eax, %eax; movl (%rax), %eax; ret", "returned becomes fault (null pointer access)"),
        ("f: movl $7, %eax; movl %eax, f(%rip); ret", "returned becomes fault (write to read-only memory)"),
    ],
)
def test_what_code_must_not_do(compile_c: Compile, assembly: str, reason: str) -> None:
    text = "int f(void) { return 7; }"
    candidate = compile_c(f".globl f\n.type f,@function\n{assembly}\n.size f,.-f\n", language="assembler")
    verdict = compare_objects(compile_c(text, "-Oz"), candidate, signatures=compile_c.signatures(text))
    assert verdict.first_difference is not None
    assert verdict.first_difference.reason == f"seed 0: {reason}"
