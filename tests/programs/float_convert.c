/* Conversions between integers and floats of all widths, against bits put together by hand. */
#include <math.h>
#include <string.h>

#include "check.h"

/* Round an unsigned integer to a float with `precision` bits of mantissa, ties to even: the value as an integer times a power. */
static double round_to(uint64_t x, int precision) {
    if (x == 0) return 0;
    int length = 64 - __builtin_clzll(x), drop = length - precision;
    if (drop <= 0) return ldexp((double)(uint32_t)(x >> 32), 32) + (double)(uint32_t)x;
    uint64_t kept = x >> drop, rest = x & (((uint64_t)1 << drop) - 1), half = (uint64_t)1 << (drop - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return ldexp(ldexp((double)(uint32_t)(kept >> 32), 32) + (double)(uint32_t)kept, drop);
}

static NOINLINE float u64_to_f(uint64_t x) { return (float)x; }
static NOINLINE double u64_to_d(uint64_t x) { return (double)x; }
static NOINLINE float s64_to_f(int64_t x) { return (float)x; }
static NOINLINE double s32_to_d(int32_t x) { return x; }
static NOINLINE float u32_to_f(uint32_t x) { return (float)x; }
static NOINLINE float s16_to_f(int16_t x) { return x; }
static NOINLINE int32_t d_to_s32(double x) { return (int32_t)x; }
static NOINLINE uint32_t d_to_u32(double x) { return (uint32_t)x; }
static NOINLINE int64_t f_to_s64(float x) { return (int64_t)x; }
static NOINLINE uint64_t d_to_u64(double x) { return (uint64_t)x; }
static NOINLINE uint8_t d_to_u8(double x) { return (uint8_t)(int)x; }
static NOINLINE float d_to_f(double x) { return (float)x; }
static NOINLINE int round_trip(int x) { return (int)(float)x == x; }

int main(void) {
    uint64_t state = 1234;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = next_random(&state) >> i % 64;
        if (i % 5 == 0) x = ((uint64_t)1 << i % 64) + (uint64_t)(i / 64) - 3;
        CHECK(u64_to_f(x) == round_to(x, 24) && u64_to_d(x) == round_to(x, 53));
        uint32_t y = (uint32_t)x;
        CHECK(u32_to_f(y) == round_to(y, 24));
        uint64_t magnitude = x >> 1;
        CHECK(s64_to_f((int64_t)magnitude) == round_to(magnitude, 24) && s64_to_f(-(int64_t)magnitude) == -round_to(magnitude, 24));
        CHECK(s32_to_d((int32_t)y) == (y >> 31 ? -round_to(-(uint64_t)(int64_t)(int32_t)y, 53) : round_to(y, 53)));
        int16_t narrow = (int16_t)y;
        CHECK((int)s16_to_f(narrow) == narrow);
        double d = ldexp((double)(y >> 1), -(i % 40)) * (i % 2 ? 1 : -1);
        int64_t whole = (int64_t)((uint64_t)(y >> 1) >> i % 40) * (i % 2 ? 1 : -1);
        CHECK(d_to_s32(d) == whole && f_to_s64((float)whole) == (int64_t)round_to((uint64_t)(whole < 0 ? -whole : whole), 24) * (whole < 0 ? -1 : 1));
        if (d >= 0) CHECK(d_to_u32(d) == (uint32_t)whole && d_to_u64(d * 4294967296.0) >> 32 == (uint64_t)whole);
        CHECK(d_to_u8(d) == (uint8_t)whole);
        CHECK((double)d_to_f((double)y) == round_to(y, 24));
        CHECK(round_trip((int)(y >> 4)) == (round_to(y >> 4, 24) == (double)(y >> 4)));
        note(x ^ (uint64_t)whole);
    }
    CHECK(d_to_u64(9223372036854775808.0) == (uint64_t)1 << 63 && d_to_u32(4294967295.9) == UINT32_MAX && d_to_s32(-2147483648.9) == INT32_MIN);
    return finish();
}
