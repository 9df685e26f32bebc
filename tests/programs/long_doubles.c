/* long double and complex arithmetic, against integers where these are exact. */
#include <complex.h>
#include <math.h>

#include "check.h"

static NOINLINE long double scale(long double x, int n) {
    while (n > 0) x *= 10, n--;
    while (n < 0) x /= 10, n++;
    return x;
}

static NOINLINE long double mixed(int a, long double b, float c, double d, long double e) { return a * b + c * d - e; }

static NOINLINE double complex power(double complex z, unsigned n) {
    double complex result = 1;
    for (; n; n /= 2, z *= z) {
        if (n & 1) result *= z;
    }
    return result;
}

static NOINLINE float complex rotate(float complex z) { return z * I; }

struct holder { char tag; long double value; short after; };
static NOINLINE struct holder make(int i) { return (struct holder){(char)i, (long double)i / 4, (short)-i}; }

int main(void) {
    uint64_t product = 1;
    for (int n = 0; n < 19; n++, product *= 10) {
        CHECK(scale(1, n) == (long double)product && (uint64_t)scale(7, n) == 7 * product / 1);
        CHECK(scale((long double)product, -n) == 1);
    }
    uint64_t state = 2;
    for (int i = 0; i < 200; i++) {
        int64_t a = (int64_t)next_random(&state) >> 2;
        long double x = (long double)a;
        CHECK((int64_t)x == a && (int64_t)(x + 1) == a + 1 && (int64_t)(-x) == -a);
        CHECK((x > 0) == (a > 0) && (x < 1e10L) == (a < 10000000000) && (double)x == (double)a);
        int p = (int)(a % 1000), q = (int)(a / 1000 % 1000);
        CHECK(mixed(p, q, (float)p, q, 3) == 2.0L * p * q - 3);
        struct holder h = make(p);
        CHECK(h.tag == (char)p && h.value * 4 == p && h.after == (short)-p);
        note((uint64_t)(int64_t)x);
    }
    long re = 1, im = 0;
    for (unsigned n = 0; n < 20; n++) {
        double complex z = power(2 - I, n);
        CHECK(creal(z) == (double)re && cimag(z) == (double)im && conj(z) * z == (double)(re * re + im * im));
        long next = 2 * re + im;
        im = 2 * im - re;
        re = next;
    }
    float complex f = 3 + 4 * I;
    for (int i = 0; i < 9; i++) {
        static const float reals[] = {3, -4, -3, 4};
        CHECK(crealf(f) == reals[i % 4] && cimagf(f) == reals[(i + 3) % 4]);
        f = rotate(f);
    }
    CHECK(sqrtl(1e30L) == 1e15L && cabs(3 + 4 * I) == 5);
    return finish();
}
