/* Shifts and rotates by amounts known only at run time, against multiplication, division and bit-by-bit models. */
#include "check.h"

static NOINLINE uint32_t rotate_left(uint32_t x, unsigned n) { return x << (n & 31) | x >> (-n & 31); }
static NOINLINE uint64_t rotate_right(uint64_t x, unsigned n) { return x >> (n & 63) | x << (-n & 63); }
static NOINLINE int32_t arithmetic(int32_t x, unsigned n) { return x >> n; }
static NOINLINE int8_t shift_narrow(int8_t x, unsigned n) { return (int8_t)((uint8_t)x << n); }

static uint32_t rotate_by_bits(uint32_t x, unsigned n) {
    uint32_t result = 0;
    for (unsigned bit = 0; bit < 32; bit++) {
        if (x >> bit & 1) result |= 1u << (bit + n) % 32;
    }
    return result;
}

static int64_t floor_divide(int64_t x, int64_t by) {
    int64_t quotient = x / by;
    return quotient - (x % by < 0);
}

/* A 64-bit shift made of 32-bit halves, as a compiler for a small machine does it. */
static uint64_t shift_by_halves(uint32_t high, uint32_t low, unsigned n) {
    if (n == 0) return (uint64_t)high << 32 | low;
    if (n >= 32) return (uint64_t)(low << (n - 32)) << 32;
    return (uint64_t)(high << n | low >> (32 - n)) << 32 | low << n;
}

int main(void) {
    uint64_t state = 12345;
    for (int round = 0; round < 200; round++) {
        uint32_t x = (uint32_t)next_random(&state);
        uint64_t wide = next_random(&state);
        for (unsigned n = 0; n < 64; n += 1 + round % 5) {
            CHECK(rotate_left(x, n) == rotate_by_bits(x, n % 32));
            CHECK(rotate_right(wide, n) == (n ? wide / ((uint64_t)1 << n) + (wide << (64 - n)) : wide));
            CHECK(shift_by_halves((uint32_t)(wide >> 32), (uint32_t)wide, n) == wide << n);
            if (n < 31) CHECK(arithmetic((int32_t)x, n) == floor_divide((int32_t)x, (int64_t)1 << n));
            if (n < 8) CHECK((uint8_t)shift_narrow((int8_t)x, n) == (x * (1u << n)) % 256);
            note(rotate_left(x, n) + rotate_right(wide, n));
        }
    }
    CHECK(arithmetic(OPAQUE(INT32_MIN), 31) == -1);
    CHECK((OPAQUE(1u) << 31) >> 31 == 1);
    return finish();
}
