/* More arguments than registers, of all classes, some unused, some always the same; callers pass them in other orders. */
#include "check.h"

static NOINLINE long integers(long a, int b, short c, signed char d, unsigned e, unsigned short f, unsigned char g, long h, int i,
                              signed char j) {
    return a + 2 * b + 3 * c + 5 * d + 7 * (long)e + 11 * f + 13 * g + 17 * h + 19 * i + 23 * j;
}

static NOINLINE double doubles(float a, double b, float c, double d, double e, float f, double g, double h, double i, float j,
                               double k) {
    return a + 2 * b + 4 * c + 8 * d + 16 * e + 32 * f + 64 * g + 128 * h + 256 * i + 512 * j + 1024 * k;
}

static NOINLINE double mixture(int a, double b, const char *c, float d, long e, long double f, short g, double h, int *i, double j,
                               unsigned k, double l, double m, double n, double o, double p) {
    *i += (int)k;
    return a + b + *c + d + (double)e + (double)f + g + h + j + k + l * 2 + m * 4 + n * 8 + o * 16 + p * 32;
}

/* Dead and constant arguments: candidates for removal. */
static NOINLINE int ignores(int used, int unused, int same, const int *read_only, int also_unused) {
    (void)unused;
    (void)also_unused;
    return used * same + *read_only;
}

static NOINLINE int returns_nothing_useful(int *out, int x) {
    *out = x * 3;
    return x;
}

static NOINLINE long reorder(int a, int b, int c, int d, int e, int f, int g, int h) {
    return integers(h, g, (short)f, (signed char)e, (unsigned)d, (unsigned short)c, (unsigned char)b, a, -a, (signed char)-b);
}

int main(void) {
    uint64_t state = 23;
    for (int round = 0; round < 200; round++) {
        int v[10];
        for (int i = 0; i < 10; i++) v[i] = (int)(next_random(&state) >> 40) % 1000 - 500;
        long expected = v[0] + 2L * v[1] + 3L * (short)v[2] + 5 * (signed char)v[3] + 7L * (unsigned)v[4] + 11L * (unsigned short)v[5] +
                        13 * (unsigned char)v[6] + 17L * v[7] + 19L * v[8] + 23 * (signed char)v[9];
        CHECK(integers(v[0], v[1], (short)v[2], (signed char)v[3], (unsigned)v[4], (unsigned short)v[5], (unsigned char)v[6], v[7],
                       v[8], (signed char)v[9]) == expected);
        CHECK(reorder(v[7], v[6], v[5], v[4], v[3], v[2], v[1], v[0]) ==
              v[0] + 2L * v[1] + 3L * v[2] + 5 * (signed char)v[3] + 7L * (unsigned)v[4] + 11L * (unsigned short)v[5] +
                  13 * (unsigned char)v[6] + 17L * v[7] - 19L * v[7] + 23 * (signed char)-v[6]);
        double sum = 0, weight = 1;
        for (int i = 0; i < 11; i++, weight *= 2) sum += weight * v[i % 10];
        CHECK(doubles((float)v[0], v[1], (float)v[2], v[3], v[4], (float)v[5], v[6], v[7], v[8], (float)v[9], v[0]) == sum);
        int cell = 5;
        double mixed = mixture(v[0], 0.5, "A", 2, v[1], 0.25L, (short)v[2], v[3], &cell, v[4], 9, v[5], v[6], v[7], v[8], v[9]);
        CHECK(mixed == v[0] + 0.5 + 65 + 2 + v[1] + 0.25 + v[2] + v[3] + v[4] + 9 + 2. * v[5] + 4. * v[6] + 8. * v[7] + 16. * v[8] +
                           32. * v[9]);
        CHECK(cell == 14);
        CHECK(ignores(v[0], v[1], 7, &v[2], v[3]) == 7 * v[0] + v[2] && ignores(v[4], 0, 7, &v[5], 1) == 7 * v[4] + v[5]);
        int out;
        returns_nothing_useful(&out, v[6]);
        CHECK(out == 3 * v[6]);
        note((uint64_t)expected);
    }
    return finish();
}
