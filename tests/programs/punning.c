/* The bytes of floats, doubles and structs, read through memcpy and unions, against arithmetic on their values. */
#include <math.h>
#include <string.h>

#include "check.h"

union bits {
    float f;
    uint32_t u;
    uint8_t bytes[4];
    struct { uint16_t low, high; } halves;
};

static NOINLINE uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static NOINLINE float float_of(uint32_t u) {
    union bits b = {.u = u};
    return b.f;
}

static NOINLINE double scale_by_exponent(double x, int by) {
    uint64_t u;
    memcpy(&u, &x, 8);
    u += (uint64_t)by << 52;
    memcpy(&x, &u, 8);
    return x;
}

static double value_of(uint32_t u) {
    int exponent = (int)(u >> 23 & 0xFF);
    double mantissa = (double)(u & 0x7FFFFF);
    double magnitude = exponent ? ldexp(mantissa + 8388608.0, exponent - 150) : ldexp(mantissa, -149);
    return u >> 31 ? -magnitude : magnitude;
}

static NOINLINE uint64_t load_big(const unsigned char *p, int n) {
    uint64_t x = 0;
    for (int i = 0; i < n; i++) x = x << 8 | p[i];
    return x;
}

static NOINLINE float fast_inverse_root(float x) {
    float y = float_of(0x5F3759DFu - (bits_of(x) >> 1));
    y *= 1.5f - 0.5f * x * y * y;
    return y * (1.5f - 0.5f * x * y * y);
}

int main(void) {
    uint64_t state = 31;
    for (int i = 0; i < 1000; i++) {
        uint32_t u = (uint32_t)next_random(&state);
        if ((u >> 23 & 0xFF) == 255) continue;
        CHECK((double)float_of(u) == value_of(u));
        CHECK(bits_of(float_of(u)) == u);
        union bits b = {.f = float_of(u)};
        CHECK(b.halves.low + 65536u * b.halves.high == u);
        CHECK(b.bytes[0] + 256u * b.bytes[1] + 65536u * b.bytes[2] + 16777216u * b.bytes[3] == u);
        b.bytes[3] ^= 0x80;
        CHECK(b.f == -float_of(u));
        double d = (double)(u | 1);
        CHECK(scale_by_exponent(d, i % 40 - 20) == ldexp(d, i % 40 - 20));
        float root = fast_inverse_root((float)(u % 1000000 + 1));
        CHECK(fabs(root * root * (u % 1000000 + 1) - 1) < 1e-4);
        unsigned char bytes[8];
        memcpy(bytes, &d, 8);
        uint64_t little = 0;
        for (int k = 8; k--;) little = little << 8 | bytes[k];
        uint64_t direct;
        memcpy(&direct, &d, 8);
        CHECK(little == direct);
        CHECK(load_big(bytes, 8) == __builtin_bswap64(direct));
        note(direct);
    }
    return finish();
}
