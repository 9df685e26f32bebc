/* Loops that compilers know by heart (memset, memcpy, strlen, popcount, sums, dead and invariant work), and near misses. */
#include <string.h>

#include "check.h"

static NOINLINE void fill(unsigned char *p, int n, int x) { for (int i = 0; i < n; i++) p[i] = (unsigned char)x; }
static NOINLINE void fill_words(uint32_t *p, int n, uint32_t x) { for (int i = 0; i < n; i++) p[i] = x; }
static NOINLINE void fill_backward(unsigned char *p, int n) { while (--n >= 0) p[n] = 0xAB; }
static NOINLINE void fill_stride(unsigned char *p, int n) { for (int i = 0; i < n; i += 2) p[i] = 0; }
static NOINLINE void fill_growing(unsigned char *p, int n) { for (int i = 0; i < n; i++) p[i] = (unsigned char)i; }
static NOINLINE void fill_and_count(unsigned char *p, int n, int *count) {
    for (int i = 0; i < n; i++) {
        p[i] = 1;
        *count += p[0];
    }
}
static NOINLINE void copy_words(uint32_t *a, const uint32_t *b, int n) { for (int i = 0; i < n; i++) a[i] = b[i]; }
static NOINLINE void copy_shifted(uint32_t *a, int n) { for (int i = 0; i < n; i++) a[i] = a[i + 1]; }
struct pair { short a; char b; };
static NOINLINE void copy_struct(struct pair *to, const struct pair *from, int n) {
    for (int i = 0; i < n; i++) to[i].a = from[i].a, to[i].b = from[i].b;
}
static NOINLINE unsigned arithmetic_series(unsigned n, unsigned step) {
    unsigned sum = 0;
    for (unsigned i = 0; i < n; i++) sum += i * step + 3;
    return sum;
}
static NOINLINE unsigned quadratic(unsigned n) {
    unsigned sum = 0;
    for (unsigned i = 0; i < n; i++) for (unsigned j = 0; j < i; j++) sum += j;
    return sum;
}
static NOINLINE unsigned power_loop(unsigned n) { unsigned x = 1; while (n--) x *= 3; return x; }
static NOINLINE int bits(uint64_t x) { int n = 0; while (x) n += (int)(x & 1), x >>= 1; return n; }
static NOINLINE int log2_loop(uint32_t x) { int n = -1; while (x) x >>= 1, n++; return n; }
static NOINLINE int digits(uint64_t x) { int n = 1; while (x /= 10) n++; return n; }
static NOINLINE int invariant(const int *v, int n, int a, int b) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += v[i] * (a * b + a / (b | 1)) - (i > 5 ? b : 0);
    return sum;
}
static NOINLINE int last_value(int n) { int x = -1; for (int i = 0; i < n; i++) x = i * 2; return x; }
static NOINLINE int find_last(const char *s, char c) { int at = -1; for (int i = 0; s[i]; i++) if (s[i] == c) at = i; return at; }
static NOINLINE int deleted(int n) { for (volatile int i = 0; i < n;) i = i + 1; for (int i = 0; i < n; i++) { } return n; }

int main(void) {
    unsigned char p[64], expected[64];
    uint32_t w[20], x[20];
    for (int n = 0; n < 40; n++) {
        memset(p, 0x55, sizeof p);
        fill(p, n, n);
        fill_backward(p + n, 10);
        fill_stride(p, n);
        int count = 0, right = 1;
        for (int i = 0; i < 64; i++) {
            expected[i] = (unsigned char)(i < n ? (i % 2 ? n : 0) : i < n + 10 ? 0xAB : 0x55);
            right &= p[i] == expected[i];
        }
        CHECK(right);
        fill_growing(p, n);
        CHECK(n == 0 || (p[n - 1] == n - 1 && p[0] == 0));
        fill_and_count(p, n, &count);
        CHECK(count == n);
        CHECK(arithmetic_series((unsigned)n, 7) == 7u * (unsigned)(n * (n - 1) / 2) + 3u * (unsigned)n);
        CHECK(quadratic((unsigned)n) == (unsigned)(n * (n - 1) * (n - 2) / 6));
        unsigned power = 1;
        for (int i = 0; i < n; i++) power += power << 1;
        CHECK(power_loop((unsigned)n) == power);
        uint64_t y = (uint64_t)power << n;
        CHECK(bits(y) == __builtin_popcountll(y) && log2_loop(power) == 31 - __builtin_clz(power));
        char text[32];
        CHECK(digits(y) == sprintf(text, "%llu", (unsigned long long)y));
        CHECK(last_value(n) == (n ? 2 * n - 2 : -1) && deleted(n) == n);
        note(y);
    }
    fill_words(w, 20, 0x01020304);
    for (uint32_t i = 0; i < 20; i++) x[i] = i * i;
    copy_words(w, x, 10);
    copy_shifted(x, 19);
    for (uint32_t i = 0; i < 19; i++) CHECK(x[i] == (i + 1) * (i + 1) && w[i] == (i < 10 ? i * i : 0x01020304));
    struct pair from[5] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}}, to[5] = {{0, 0}};
    copy_struct(to, from, 4);
    CHECK(to[3].a == 7 && to[3].b == 8 && to[4].a == 0 && find_last("a/b/c", '/') == 3 && find_last("", 'x') == -1);
    int v[12], sum = 0;
    for (int i = 0; i < 12; i++) v[i] = i - 4, sum += (i - 4) * (42 + 1) - (i > 5 ? 7 : 0);
    CHECK(invariant(v, 12, 6, 7) == sum - (12 * 11 / 2 - 48) * (1 - 6 / 7));
    return finish();
}
