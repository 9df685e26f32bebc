/* Corners of integers that are defined: least values, absolute values by unsigned, averages, comparisons of mixed signs. */
#include <limits.h>

#include "check.h"

static NOINLINE unsigned magnitude(int x) { return x < 0 ? -(unsigned)x : (unsigned)x; }
static NOINLINE int average(int a, int b) { return (a & b) + ((a ^ b) >> 1); }
static NOINLINE unsigned average_unsigned(unsigned a, unsigned b) { return a / 2 + b / 2 + (a & b & 1); }
static NOINLINE int sign(int x) { return (x >> 31) | (int)(-(unsigned)x >> 31); }
static NOINLINE int opposite(int a, int b) { return (a ^ b) < 0; }
static NOINLINE int mixed_less(int a, unsigned b) { return a < 0 || (unsigned)a < b; }
static NOINLINE int naive_mixed(int a, unsigned b) { return (unsigned)a < b; }
static NOINLINE int wraps(unsigned a, unsigned b) { return a + b < a; }
static NOINLINE int in_range(int x, int low, int high) { return (unsigned)x - (unsigned)low <= (unsigned)high - (unsigned)low; }
static NOINLINE int negative_modulo(int x, int m) { return (x % m + m) % m; }
static NOINLINE int is_minimum(int x) { return x == -2147483647 - 1; }
static NOINLINE long widen(int a, int b) { return (long)a * b - (long)b; }
static NOINLINE int power_of_two_divide(int x) { return x / 16 * 16 + x % 16; }
static NOINLINE int select_bits(int a, int b, int c) { return (a & ~c) | (b & c); }
static NOINLINE int minimum(int a, int b) { return b ^ ((a ^ b) & -(a < b)); }

int main(void) {
    static const int v[] = {INT_MIN, INT_MIN + 1, -65536, -1000, -16, -2, -1, 0, 1, 2, 15, 17, 1000, 65535, INT_MAX - 1, INT_MAX};
    enum { N = sizeof v / sizeof *v };
    for (int i = 0; i < N; i++) {
        long a = v[i];
        CHECK(magnitude(v[i]) == (unsigned long)(a < 0 ? -a : a) && power_of_two_divide(v[i]) == v[i] && is_minimum(v[i]) == (i == 0));
        if (i) CHECK(sign(v[i]) == (a > 0) - (a < 0));
        CHECK(negative_modulo(v[i], 7) == ((a % 7) + 7) % 7);
        for (int j = 0; j < N; j++) {
            long b = v[j], sum = a + b;
            CHECK(average(v[i], v[j]) == (sum - (sum % 2 != 0 && sum < 0)) / 2);
            CHECK(average_unsigned((unsigned)v[i], (unsigned)v[j]) == ((unsigned long)(unsigned)v[i] + (unsigned)v[j]) / 2);
            CHECK(opposite(v[i], v[j]) == ((a < 0) != (b < 0)) && minimum(v[i], v[j]) == (a < b ? a : b));
            CHECK(mixed_less(v[i], (unsigned)v[j]) == (a < (long)(unsigned)v[j]) && naive_mixed(v[i], (unsigned)v[j]) == ((long)(unsigned)v[i] < (long)(unsigned)v[j]));
            CHECK(wraps((unsigned)v[i], (unsigned)v[j]) == ((unsigned long)(unsigned)v[i] + (unsigned)v[j] > UINT_MAX));
            CHECK(widen(v[i], v[j]) == (a - 1) * b);
            for (int k = 0; k < N; k += 3) {
                if (j >= i) CHECK(in_range(v[k], v[i], v[j]) == (v[k] >= v[i] && v[k] <= v[j]));
                int expected = 0;
                for (int bit = 0; bit < 31; bit++) expected |= ((v[k] >> bit & 1 ? v[j] : v[i]) >> bit & 1) << bit;
                CHECK((select_bits(v[i], v[j], v[k]) & INT_MAX) == expected);
            }
            note((uint64_t)average(v[i], v[j]));
        }
    }
    return finish();
}
