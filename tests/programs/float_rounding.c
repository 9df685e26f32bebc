/* Rounding functions and exact sums: floor, ceil, trunc, rint, round, fmod, and an error-free transformation. */
#include <math.h>

#include "check.h"

static NOINLINE double two_sum(double a, double b, double *error) {
    double sum = a + b, virtual_b = sum - a, virtual_a = sum - virtual_b;
    *error = (a - virtual_a) + (b - virtual_b);
    return sum;
}

static NOINLINE double kahan(const double *v, int n) {
    double sum = 0, lost = 0;
    for (int i = 0; i < n; i++) {
        double y = v[i] - lost, t = sum + y;
        lost = (t - sum) - y;
        sum = t;
    }
    return sum;
}

static NOINLINE double plain(const double *v, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += v[i];
    return sum;
}

static NOINLINE double horner(const double *c, int n, double x) {
    double y = 0;
    for (int i = n; i--;) y = y * x + c[i];
    return y;
}

static NOINLINE float float_chain(float x) { return ((x * 3.0f) / 7.0f + 1.0f) * 0.1f - x; }

static NOINLINE double hidden(double x) {
    volatile double y = x;
    return y;
}

int main(void) {
    for (int quarter = -4000; quarter <= 4000; quarter += 3) {
        double x = quarter / 4.0;
        int low = quarter >= 0 ? quarter / 4 : -((3 - quarter) / 4), rest = quarter - 4 * low;
        CHECK(floor(x) == low && ceil(x) == low + (rest > 0) && trunc(x) == (quarter < 0 ? low + (rest > 0) : low));
        CHECK(rint(x) == (rest == 2 ? low + (low & 1) : low + (rest > 2)) && nearbyint(x) == rint(x) && lrint(x) == (long)rint(x));
        CHECK(round(x) == (quarter < 0 ? low + (rest > 2) : low + (rest >= 2)));
        CHECK(fmod(x, 4) == (quarter % 16) / 4.0 && fabs(x) == (x < 0 ? -x : x));
        CHECK(floorf((float)x) == (float)low && (float)(int)x == truncf((float)x));
        note((uint64_t)(int64_t)rint(x));
    }
    uint64_t state = 8;
    double v[64];
    for (int i = 0; i < 64; i++) {
        double a = (double)(int64_t)next_random(&state), b = ldexp((double)(int32_t)next_random(&state), i % 30 - 20), error;
        double sum = two_sum(a, b, &error);
        CHECK((long double)sum + error == (long double)a + b);
        v[i] = i ? 1e-16 : 1; /* each of the small ones is lost by itself, all together are not */
    }
    CHECK(plain(v, 64) == 1 && fabs(kahan(v, 64) - 1 - 63e-16) < 5e-16);
    static const double c[] = {-6, 11, -6, 1};
    for (int x = -20; x < 20; x++) CHECK(horner(c, 4, x) == (double)((x - 1) * (x - 2) * (x - 3)));
    CHECK(hidden(0.1) + hidden(0.2) != 0.3 && (hidden(0.1) + 0.2) + 0.3 != 0.1 + (hidden(0.2) + 0.3));
    float f = float_chain((float)hidden(1));
    float one = 3.0f / (float)hidden(7), two = (one + 1.0f) * (float)hidden(0.1f);
    CHECK(f == two - 1.0f);
    return finish();
}
