/* Saturating arithmetic with overflow builtins, against wider arithmetic and against comparisons before the fact. */
#include "check.h"

static NOINLINE int32_t add32(int32_t a, int32_t b) {
    int32_t sum;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return a < 0 ? INT32_MIN : INT32_MAX;
}

static NOINLINE int32_t mul32(int32_t a, int32_t b) {
    int32_t product;
    if (!__builtin_mul_overflow(a, b, &product)) return product;
    return (a < 0) == (b < 0) ? INT32_MAX : INT32_MIN;
}

static NOINLINE int64_t sub64(int64_t a, int64_t b) {
    if (b > 0 ? a < INT64_MIN + b : a > INT64_MAX + b) return a < 0 ? INT64_MIN : INT64_MAX;
    return a - b;
}

static NOINLINE uint8_t add8(uint8_t a, uint8_t b) {
    uint8_t sum = (uint8_t)(a + b);
    return sum < a ? 255 : sum;
}

static NOINLINE int16_t mul16(int16_t a, int16_t b) {
    int wide = a * b;
    return wide > INT16_MAX ? INT16_MAX : wide < INT16_MIN ? INT16_MIN : (int16_t)wide;
}

static int64_t clamp(__int128 x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : (int64_t)x; }

int main(void) {
    static const int64_t corners[] = {0, 1, -1, 2, -2, 46340, 46341, -46341, 127, 128, 255, 32767, -32768,
                                      INT32_MAX, INT32_MIN, INT32_MAX - 1, INT32_MIN + 1, INT64_MAX, INT64_MIN};
    const int n = sizeof corners / sizeof *corners;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            int64_t a = corners[i], b = corners[j];
            CHECK(sub64(a, b) == clamp((__int128)a - b, INT64_MIN, INT64_MAX));
            int64_t overflowed;
            CHECK(__builtin_mul_overflow(a, b, &overflowed) == (clamp((__int128)a * b, INT64_MIN, INT64_MAX) != (__int128)a * b));
            if (a >= INT32_MIN && a <= INT32_MAX && b >= INT32_MIN && b <= INT32_MAX) {
                CHECK(add32((int32_t)a, (int32_t)b) == clamp((__int128)a + b, INT32_MIN, INT32_MAX));
                CHECK(mul32((int32_t)a, (int32_t)b) == clamp((__int128)a * b, INT32_MIN, INT32_MAX));
                CHECK(mul16((int16_t)a, (int16_t)b) == clamp((__int128)(int16_t)a * (int16_t)b, INT16_MIN, INT16_MAX));
                note((uint32_t)add32((int32_t)a, (int32_t)b));
            }
        }
    }
    for (unsigned a = 0; a < 256; a += 5) {
        for (unsigned b = 0; b < 256; b += 7) CHECK(add8((uint8_t)a, (uint8_t)b) == (a + b > 255 ? 255 : a + b));
    }
    unsigned char narrow;
    CHECK(__builtin_add_overflow(OPAQUE(-1), OPAQUE(1u), &narrow) == 0 && narrow == 0);
    CHECK(__builtin_sub_overflow(OPAQUE(0), OPAQUE(1), &narrow) == 1 && narrow == 255);
    return finish();
}
