/* Recursion that could be a loop: tail calls, mutual recursion, accumulators, calls through pointers. */
#include "check.h"

static NOINLINE unsigned long sum_to(unsigned n, unsigned long accumulated) {
    return n ? sum_to(n - 1, accumulated + n) : accumulated;
}

static NOINLINE unsigned long factorial(unsigned n) { return n < 2 ? 1 : n * factorial(n - 1); }

static int is_odd(unsigned n);
static NOINLINE int is_even(unsigned n) { return n == 0 ? 1 : is_odd(n - 1); }
static NOINLINE int is_odd(unsigned n) { return n == 0 ? 0 : is_even(n - 1); }

static NOINLINE unsigned gcd(unsigned a, unsigned b) { return b ? gcd(b, a % b) : a; }

static NOINLINE uint64_t power(uint64_t base, unsigned n, uint64_t modulus) {
    if (!n) return 1 % modulus;
    uint64_t half = power(base, n / 2, modulus), square = half * half % modulus;
    return n & 1 ? square * base % modulus : square;
}

static NOINLINE unsigned ackermann(unsigned m, unsigned n) {
    if (!m) return n + 1;
    return ackermann(m - 1, n ? ackermann(m, n - 1) : 1);
}

typedef int (*step)(int x, int left, const void *table);
static NOINLINE int finish_walk(int x, int left, const void *table) { return (void)table, x * 10 + left; }
static NOINLINE int halve(int x, int left, const void *table) {
    const step *steps = table;
    return left == 0 ? finish_walk(x, left, table) : steps[(x / 2) & 1](x / 2, left - 1, table);
}
static NOINLINE int triple(int x, int left, const void *table) {
    const step *steps = table;
    return x == 1 ? finish_walk(x, left, table) : steps[(3 * x + 1) & 1](3 * x + 1, left - 1, table);
}

static int walk_model(int x, int left) {
    int odd = x & 1;
    for (;;) {
        if (odd ? x == 1 : left == 0) return x * 10 + left;
        x = odd ? 3 * x + 1 : x / 2;
        left--;
        odd = x & 1;
    }
}

/* The address of a local escapes: such a call is no tail call. */
static NOINLINE int deepest(int n, const int *above) {
    int here = n + (above ? *above : 0);
    return n == 0 ? here : deepest(n - 1, &here);
}

int main(void) {
    for (unsigned n = 0; n < 200; n += 7) {
        CHECK(sum_to(n, 5) == n * (n + 1ul) / 2 + 5);
        CHECK(is_even(n) == (n % 2 == 0) && is_odd(n) == (n % 2 == 1));
        CHECK(deepest((int)n, NULL) == (int)(n * (n + 1) / 2));
        uint64_t product = 1;
        for (unsigned i = 0; i < n; i++) product = product * 3 % 1000003;
        CHECK(power(3, n, 1000003) == product);
        for (unsigned m = 1; m < 60; m += 11) {
            unsigned g = gcd(n, m), common = 0;
            for (unsigned d = 1; d <= m; d++) common = n % d == 0 && m % d == 0 ? d : common;
            CHECK(g == common);
        }
    }
    uint64_t product = 1;
    for (unsigned n = 1; n < 20; n++) CHECK(factorial(n) == (product *= n));
    for (unsigned n = 0; n < 6; n++) CHECK(ackermann(2, n) == 2 * n + 3 && ackermann(3, n) == (8u << n) - 3);
    static const step steps[] = {halve, triple};
    for (int x = 1; x < 300; x++) {
        int end = steps[x & 1](x, 1000, steps);
        CHECK(end == walk_model(x, 1000));
        note((uint64_t)end);
    }
    return finish();
}
