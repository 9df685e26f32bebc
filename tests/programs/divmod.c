/* Division and remainder by constants (which compilers turn into multiplications) against long division bit by bit. */
#include "check.h"

static uint64_t long_division(uint64_t n, uint64_t d, uint64_t *rest) {
    uint64_t quotient = 0, r = 0;
    for (int bit = 63; bit >= 0; bit--) {
        uint64_t carry = r >> 63;
        r = r << 1 | (n >> bit & 1);
        if (carry || r >= d) {
            r -= d;
            quotient |= (uint64_t)1 << bit;
        }
    }
    *rest = r;
    return quotient;
}

#define DIVISORS(X) X(1) X(2) X(3) X(5) X(6) X(7) X(9) X(10) X(11) X(13) X(25) X(60) X(64) X(100) X(125) X(127) \
    X(128) X(255) X(256) X(641) X(1000) X(3600) X(65537) X(1000000) X(2147483647)

#define DEFINE(d) \
    static NOINLINE uint32_t u32_##d(uint32_t x) { return x / d * 3 + x % d; } \
    static NOINLINE int32_t s32_##d(int32_t x) { return x / d ^ x % d; } \
    static NOINLINE uint64_t u64_##d(uint64_t x) { return x / d + (x % d << 40); } \
    static NOINLINE int multiple_##d(uint32_t x) { return x % d == 0; }
DIVISORS(DEFINE)

static int32_t by_magnitude(int32_t x, int32_t d) {
    uint64_t rest, quotient = long_division(x < 0 ? -(uint64_t)x : (uint64_t)x, (uint64_t)d, &rest);
    int32_t q = (int32_t)(x < 0 ? -(int64_t)quotient : (int64_t)quotient);
    int32_t r = (int32_t)(x < 0 ? -(int64_t)rest : (int64_t)rest);
    return q ^ r;
}

#define TRY(d) \
    quotient = long_division((uint32_t)x, d, &rest); \
    CHECK(u32_##d((uint32_t)x) == (uint32_t)(quotient * 3 + rest)); \
    CHECK(multiple_##d((uint32_t)x) == (rest == 0)); \
    CHECK(s32_##d((int32_t)x) == by_magnitude((int32_t)x, d)); \
    quotient = long_division(x, d, &rest); \
    CHECK(u64_##d(x) == quotient + (rest << 40)); \
    note(quotient ^ rest);

int main(void) {
    static const uint64_t corners[] = {0, 1, 2, 9, 10, 99, 127, 128, 255, 0x7FFFFFFF, 0x80000000, 0x80000001,
                                       0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, UINT64_MAX};
    uint64_t state = 99, quotient, rest;
    for (int i = 0; i < 40; i++) {
        uint64_t x = i < (int)(sizeof corners / sizeof *corners) ? corners[i] : next_random(&state) >> i;
        DIVISORS(TRY)
    }
    CHECK(OPAQUE(-7) / 2 == -3 && OPAQUE(-7) % 2 == -1 && OPAQUE(7) / -2 == -3 && OPAQUE(7) % -2 == 1);
    return finish();
}
