/* Much code that is nearly the same: food for function merging and outlining, each copy with its own small difference. */
#include "check.h"

struct state { int a, b, c, d; unsigned checksum; };

#define FUNCTION(name, op1, k1, op2, k2) \
    static NOINLINE int name(struct state *s, const int *v, int n) { \
        for (int i = 0; i < n; i++) { \
            s->a = s->a op1 (v[i] & k1); \
            s->b = s->b + s->a; \
            s->c = (s->c ^ s->b) op2 k2; \
            s->d = s->d * 3 + (s->c & 255); \
            s->d &= 0xFFFFF; \
            s->b &= 0xFFFFF; \
            s->checksum = s->checksum * 31u + (unsigned)s->d; \
        } \
        return s->a + s->d; \
    }
FUNCTION(first, +, 15, &, 0xFFFF)
FUNCTION(second, +, 15, &, 0xFFFF)
FUNCTION(third, +, 31, &, 0xFFFF)
FUNCTION(fourth, -, 15, &, 0xFFFF)
FUNCTION(fifth, +, 15, |, 0x10)
FUNCTION(sixth, ^, 15, &, 0xFFFF)

static NOINLINE int parse_a(const char *s) {
    int sign = 1, x = 0;
    while (*s == ' ') s++;
    if (*s == '-') sign = -1, s++;
    while (*s >= '0' && *s <= '9') x = x * 10 + *s++ - '0';
    return sign * x + 1;
}
static NOINLINE int parse_b(const char *s) {
    int sign = 1, x = 0;
    while (*s == ' ') s++;
    if (*s == '-') sign = -1, s++;
    while (*s >= '0' && *s <= '9') x = x * 10 + *s++ - '0';
    return sign * x + 2;
}
/* The same bits as numbers of other types: alike as machine code, not as programs. */
static NOINLINE unsigned halve_unsigned(unsigned x) { return x / 2 + 7; }
static NOINLINE int halve_signed(int x) { return x / 2 + 7; }
static NOINLINE long wide_shift(long x) { return (x >> 3) + 7; }
static NOINLINE unsigned long wide_unsigned_shift(unsigned long x) { return (x >> 3) + 7; }
static NOINLINE const char *pick_a(int i) { static const char *const t[] = {"x", "y"}; return t[i & 1]; }
static NOINLINE const char *pick_b(int i) { static const char *const t[] = {"x", "z"}; return t[i & 1]; }

static int model(struct state *s, const int *v, int n, int kind) {
    for (int i = 0; i < n; i++) {
        int x = v[i] & (kind == 2 ? 31 : 15);
        s->a = kind == 3 ? s->a - x : kind == 5 ? s->a ^ x : s->a + x;
        s->b += s->a;
        s->c ^= s->b;
        s->c = kind == 4 ? s->c | 16 : s->c & 0xFFFF;
        s->d = (s->d * 3 + s->c % 256 + (s->c < 0 && s->c % 256 ? 256 : 0)) & 0xFFFFF;
        s->b &= 0xFFFFF;
        s->checksum = s->checksum * 31u + (unsigned)s->d;
    }
    return s->a + s->d;
}

int main(void) {
    int (*const functions[])(struct state *, const int *, int) = {first, second, third, fourth, fifth, sixth};
    int v[40];
    uint64_t state = 10;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++) v[i] = (int)(next_random(&state) >> 33);
        for (int f = 0; f < 6; f++) {
            struct state s = {round, 2, 3, 4, 5}, t = s;
            CHECK(functions[f](&s, v, 40) == model(&t, v, 40, f) && s.a == t.a && s.b == t.b && s.c == t.c && s.d == t.d && s.checksum == t.checksum);
            note(s.checksum);
        }
    }
    CHECK(OPAQUE((uintptr_t)functions[0]) != OPAQUE((uintptr_t)functions[1]));
    char text[24];
    for (int x = -50; x < 1000; x += 37) {
        sprintf(text, "  %d,", x);
        CHECK(parse_a(text) == x + 1 && parse_b(text) == x + 2);
        CHECK(halve_signed(x) == (x - x % 2) / 2 + 7 && halve_unsigned((unsigned)x) == ((unsigned)x >> 1) + 7);
        CHECK(wide_shift(x) == (x - ((x % 8 + 8) % 8)) / 8 + 7 && wide_unsigned_shift((unsigned long)(long)x) == (unsigned long)(long)x / 8 + 7);
        CHECK(pick_a(x)[0] == (x & 1 ? 'y' : 'x') && pick_b(x)[0] == (x & 1 ? 'z' : 'x'));
    }
    return finish();
}
