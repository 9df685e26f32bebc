"""Signatures from textual IR: what clang writes, what attributes and calls tell, and text that is no IR."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from irwright.verify.signatures import INDIRECT, Kind, Signature, indirect_of, signatures_of
from verify_tools import Compile

TEXT = """
struct pair { long x, y; }; struct big { long a[5]; int b; }; struct floats { float x, y, z; };
int plain(char c, unsigned short s, const char *p) { return c + s + *p; }
struct pair two(struct pair p) { return p; }
struct big large(struct big b) { b.b++; return b; }
struct floats three(struct floats f) { return f; }
long double extended(long double x, __int128 y) { return x + (long)y; }
void nothing(void) {}
_Bool flag(_Bool b) { return !b; }
int variadic(const char *, ...); void fill(int *, struct pair *); _Noreturn void stop(int);
__attribute__((const)) int pure(int);
int calls(int (*f)(int, char *), char *p) { int x; struct pair q; fill(&x, &q); if (x == 7) stop(x);
  return f(x, p) + variadic(p, 1.5) + pure(x); }
"""


def kinds(signature: Signature) -> list[str]:
    return [f"{value.kind}{value.bits}" for value in signature.parameters]


def test_what_clang_writes(compile_c: Compile) -> None:
    found = compile_c.signatures(TEXT)
    assert kinds(found["plain"]) == ["int8", "int16", "ptr64"]
    char, short, _ = found["plain"].parameters
    assert (char.extended, char.signed, short.extended, short.signed) == (True, True, True, False)
    assert [value.bits for value in found["two"].results] == [64, 64]
    assert kinds(found["two"]) == ["int64", "int64"]
    address, record = found["large"].parameters
    assert (address.is_result_address, record.in_memory, found["large"].results) == (True, 48, ())
    assert [offset for offset, _, _ in record.fields] == [0, 8, 16, 24, 32, 40]
    assert [value.kind for value in found["three"].results] == [Kind.VECTOR, Kind.FLOAT]
    assert kinds(found["extended"]) == ["x86_fp8080", "int64", "int64"]
    assert found["nothing"] == Signature(parameters=())
    assert found["flag"].results[0].bits == 1
    assert found["variadic"].is_variadic and not found["plain"].is_variadic
    assert found["pure"].is_pure and not found["fill"].is_pure
    assert found["stop"].is_noreturn


def test_what_calls_tell(compile_c: Compile) -> None:
    found = compile_c.signatures(TEXT)
    number, pair = found["fill"].parameters
    assert number.fields == ((0, Kind.INT, 32),)
    assert pair.fields == ((0, Kind.INT, 64), (8, Kind.INT, 64))
    assert kinds(found[INDIRECT]) == ["int32", "ptr64"]


def test_every_function_of_clang_is_read(compile_c: Compile) -> None:
    text = compile_c.ir(TEXT)
    lines = [line for line in text.splitlines() if line.startswith(("define ", "declare "))]
    assert len(signatures_of(text)) == len(lines) + 1  # calls through pointers have one too


LINES = """
%"class.a b" = type { i8, [3 x i32], { ptr, double } }
%deep = type <{ i8, i64 }>
declare noalias noundef align 16 dereferenceable_or_null(8) ptr @"odd name\\22"(i64 noundef range(i64 0, 9)) #1
define internal fastcc zeroext i1 @static(ptr byval(%"class.a b") align 8 %x, <4 x float> %v, ...) unnamed_addr #0 {
declare void @wide(i65, i256)
declare <8 x half> @halves(%deep)
define nonsense
attributes #1 = { nounwind memory(read, inaccessiblemem: none) }
"""


def test_odd_lines() -> None:
    found = signatures_of(LINES)
    assert set(found) == {'odd name"', "static", "halves"}
    assert kinds(found["static"]) == ["ptr64", "vector128"]
    assert found["static"].parameters[0].in_memory == 32
    assert [value.bits for value in found["halves"].parameters] == [8, 64]


@given(st.text(alphabet='define declare @f(i32ptr,%s){}[]<>x4 =type\n"\\!#0', max_size=80))
def test_any_text_is_read(text: str) -> None:
    signatures_of("define " + text + "\ndeclare " + text)


def test_indirect_calls_are_told_apart_by_who_comes_to_them(compile_c: Compile) -> None:
    text = """
    struct r { int a, b; }; typedef int few(int); typedef int many(int, char *, struct r *);
    int one(few *f) { return f(1); }
    int three(many *f, char *p) { struct r r = {1, 2}; return f(2, p, &r); }
    int through(many *f, char *p) { return three(f, p) + 1; }
    many *const table[] = {0}; int both(few *f, char *p) { return one(f) + three(table[0], p); }
    int none(int x) { return x; }
    """
    found = compile_c.signatures(text)
    assert kinds(found[INDIRECT]) == ["int32"]
    assert kinds(found[indirect_of("one")]) == ["int32"]
    assert kinds(found[indirect_of("three")]) == kinds(found[indirect_of("through")]) == ["int32", "ptr64", "ptr64"]
    assert found[indirect_of("three")].parameters[2].fields == ((0, Kind.INT, 32), (4, Kind.INT, 32))
    assert kinds(found[indirect_of("both")]) == ["int32"]
    assert indirect_of("none") not in found


def test_a_callee_may_touch_the_smallest_variable_it_is_ever_given(compile_c: Compile) -> None:
    text = "int fill(void *); int f(void) { long a; int b; char c[12]; return fill(&a) + fill(&b) + fill(c); }"
    assert compile_c.signatures(text)["fill"].parameters[0].fields == ((0, Kind.INT, 32),)


def test_of_what_one_callee_is_given_the_size_of_another_s_is_not_told(compile_c: Compile) -> None:
    """Who comes to both is told no fields: a smaller object would be written past its end."""
    text = """
    struct s { long a, b; };
    int one(int (*f)(void *)) { struct s s = {1, 2}; return f(&s); }
    int two(int (*f)(void *), char *p) { return f(p + 4); }
    int both(int (*f)(void *), char *p) { return one(f) + two(f, p); }
    """
    found = compile_c.signatures(text)
    assert [len(found[indirect_of(name)].parameters[0].fields) for name in ("one", "two", "both")] == [2, 0, 0]
