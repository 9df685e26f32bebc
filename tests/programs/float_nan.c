/* NaN, infinities and signed zero: comparisons, min and max, sign, classification. No algebra on reals may apply. */
#include <math.h>
#include <string.h>

#include "check.h"

static NOINLINE int compare_bits(double a, double b) {
    return (a < b) | (a <= b) << 1 | (a == b) << 2 | (a >= b) << 3 | (a > b) << 4 | (a != b) << 5 | !(a < b) << 6 | !(a >= b) << 7;
}
static NOINLINE double smaller(double a, double b) { return a < b ? a : b; }
static NOINLINE double clamp(double x) { return x > 1 ? 1 : x < -1 ? -1 : x; }
static NOINLINE double cancel(double x) { return x - x; }
static NOINLINE double add_zero(double x) { return x + 0.0; }
static NOINLINE double times_zero(double x) { return x * 0.0; }
static NOINLINE double self_ratio(double x) { return x / x; }
static NOINLINE int is_nan(double x) { return x != x; }
static NOINLINE double negate(double x) { return 0.0 - x; }

static uint64_t bits(double x) {
    uint64_t u;
    memcpy(&u, &x, 8);
    return u;
}

/* An order of doubles from their bits alone: -1, 0, 1, or 2 where one is NaN. */
static int order(double a, double b) {
    uint64_t x = bits(a), y = bits(b), magnitude = ~((uint64_t)1 << 63);
    if ((x & magnitude) > 0x7FF0000000000000 || (y & magnitude) > 0x7FF0000000000000) return 2;
    int64_t i = x >> 63 ? -(int64_t)(x & magnitude) : (int64_t)x, j = y >> 63 ? -(int64_t)(y & magnitude) : (int64_t)y;
    return (i > j) - (i < j);
}

int main(void) {
    double v[] = {0.0, -0.0, 1, -1, 0.5, 1e-310, -1e-310, 1e308, -1e308, INFINITY, -INFINITY, NAN, 3.5, 2};
    enum { N = sizeof v / sizeof *v };
    for (int i = 0; i < N; i++) {
        double a = OPAQUE(bits(v[i])) == bits(v[i]) ? v[i] : 0;
        for (int j = 0; j < N; j++) {
            double b = v[j];
            int o = order(a, b), less = o == -1, more = o == 1, same = o == 0;
            CHECK(compare_bits(a, b) == (less | (less | same) << 1 | same << 2 | (more | same) << 3 | more << 4 | !same << 5 |
                                         !less << 6 | !(more | same) << 7));
            CHECK(bits(smaller(a, b)) == bits(less ? a : b));
            note((uint64_t)compare_bits(a, b));
        }
        int nan = order(a, a) == 2, infinite = (bits(a) << 1) == 0xFFE0000000000000;
        CHECK(is_nan(a) == nan && !!isnan(a) == nan && !!isinf(a) == infinite);
        CHECK(!!signbit(a) == (int)(bits(a) >> 63));
        CHECK(nan || infinite ? is_nan(cancel(a)) : bits(cancel(a)) == 0);
        CHECK(nan ? is_nan(add_zero(a)) : bits(add_zero(a)) == (i == 1 ? 0 : bits(a)));
        CHECK(nan || infinite ? is_nan(times_zero(a)) : bits(times_zero(a)) == (bits(a) & (uint64_t)1 << 63));
        CHECK(nan || infinite || a == 0 ? is_nan(self_ratio(a)) : self_ratio(a) == 1);
        if (!nan) CHECK(bits(negate(a)) == (a == 0 ? 0 : bits(a) ^ (uint64_t)1 << 63));
        CHECK(nan ? is_nan(clamp(a)) : clamp(a) == (a > 1 ? 1 : a < -1 ? -1 : a));
        CHECK(bits(copysign(a, -1)) >> 63 == 1 && bits(fabs(a)) >> 63 == 0);
    }
    return finish();
}
