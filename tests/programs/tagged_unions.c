/* Values of several types in one union: boxed pointers, packed words, NaN boxing; arithmetic over all of them. */
#include <math.h>
#include <string.h>

#include "check.h"

enum tag { NIL, INT, REAL, TEXT, PAIR };
struct value { enum tag tag; union { int64_t i; double d; char text[8]; const struct value *pair[2]; }; };
static struct value integer(int64_t i) { return (struct value){.tag = INT, .i = i}; }
static struct value real(double d) { return (struct value){.tag = REAL, .d = d}; }

static NOINLINE struct value add(struct value a, struct value b) {
    if (a.tag == INT && b.tag == INT) return integer((int64_t)((uint64_t)a.i + (uint64_t)b.i));
    if (a.tag == TEXT && b.tag == TEXT) {
        struct value r = a;
        strncat(r.text, b.text, 7 - strlen(r.text));
        return r;
    }
    if ((a.tag == INT || a.tag == REAL) && (b.tag == INT || b.tag == REAL)) return real((a.tag == INT ? (double)a.i : a.d) + (b.tag == INT ? (double)b.i : b.d));
    return (struct value){.tag = NIL};
}
static NOINLINE double total(const struct value *v) {
    switch (v->tag) {
    case INT: return (double)v->i;
    case REAL: return v->d;
    case TEXT: return (double)strlen(v->text);
    case PAIR: return total(v->pair[0]) + total(v->pair[1]);
    case NIL: break;
    }
    return 0;
}

typedef uint64_t boxed;
static NOINLINE boxed box_double(double d) {
    boxed b;
    memcpy(&b, &d, 8);
    return d != d ? 0x7FF8000000000000 : b;
}
static NOINLINE boxed box_int(int32_t i) { return 0xFFFC000000000000 | (uint32_t)i; }
static NOINLINE boxed box_pointer(const void *p) { return 0xFFFE000000000000 | (uint64_t)(uintptr_t)p; }
static NOINLINE int kind(boxed b) { return b >= 0xFFFE000000000000 ? 3 : b >= 0xFFFC000000000000 ? 2 : 1; }
static NOINLINE double unbox(boxed b) {
    double d;
    if (kind(b) == 2) return (int32_t)(uint32_t)b;
    memcpy(&d, &b, 8);
    return d;
}

/* Small tags in the low bits of pointers. */
static NOINLINE uintptr_t tagged(const void *p, unsigned tag) { return (uintptr_t)p | tag; }
static NOINLINE const void *pointer_of(uintptr_t t) { return (const void *)(t & ~(uintptr_t)7); }

int main(void) {
    struct value text = {.tag = TEXT, .text = "abc"}, sum = integer(0);
    for (int i = 0; i < 50; i++) {
        sum = add(sum, i % 5 == 4 ? real(0.5) : integer(i));
        CHECK(sum.tag == (i < 4 ? INT : REAL));
    }
    CHECK(sum.d == 1225 - (4 + 9 + 14 + 19 + 24 + 29 + 34 + 39 + 44 + 49) + 5);
    struct value both = add(text, text), cut = add(both, text);
    CHECK(!strcmp(both.text, "abcabc") && !strcmp(cut.text, "abcabca") && add(text, sum).tag == NIL && add(integer(INT64_MAX), integer(1)).i == INT64_MIN);
    struct value tree[63];
    double expected = 0;
    for (int i = 62; i >= 0; i--) {
        if (i < 31) tree[i] = (struct value){.tag = PAIR, .pair = {&tree[2 * i + 1], &tree[2 * i + 2]}};
        else tree[i] = i % 3 == 0 ? integer(i) : i % 3 == 1 ? real(i / 2.0) : text, expected += i % 3 == 0 ? i : i % 3 == 1 ? i / 2.0 : 3;
    }
    CHECK(total(tree) == expected);
    for (int i = -1000; i < 1000; i += 17) {
        boxed a = box_int(i), b = box_double(i / 8.0), p = box_pointer(&tree[(unsigned)i % 63]);
        CHECK(kind(a) == 2 && kind(b) == 1 && kind(p) == 3 && unbox(a) == i && unbox(b) == i / 8.0);
        CHECK((const void *)(uintptr_t)(p & 0xFFFFFFFFFFFF) == &tree[(unsigned)i % 63]);
        uintptr_t t = tagged(&tree[(unsigned)i % 63], (unsigned)i & 7);
        CHECK(pointer_of(t) == &tree[(unsigned)i % 63] && (t & 7) == ((unsigned)i & 7));
        note(a ^ b);
    }
    CHECK(kind(box_double(NAN)) == 1 && unbox(box_double(-INFINITY)) == -INFINITY && kind(box_double(-0.0)) == 1);
    return finish();
}
