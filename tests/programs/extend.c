/* Chains of sign and zero extension through types of all widths, against arithmetic modulo powers of two. */
#include "check.h"

typedef __int128 wide;

static wide model(wide x, int bits, int is_signed) {
    wide modulus = (wide)1 << bits;
    wide r = x % modulus;
    if (r < 0) r += modulus;
    return is_signed && r >= modulus / 2 ? r - modulus : r;
}

static NOINLINE int64_t chain_a(int64_t x) { return (int32_t)(uint16_t)(int8_t)x; }
static NOINLINE int64_t chain_b(int64_t x) { return (int16_t)(uint8_t)(uint32_t)x; }
static NOINLINE uint64_t chain_c(int64_t x) { return (uint32_t)(int16_t)(uint32_t)x; }
static NOINLINE uint64_t chain_d(int64_t x) { return (uint64_t)(int32_t)(uint32_t)(int64_t)(int8_t)x; }
static NOINLINE int64_t chain_e(uint8_t a, int8_t b) { return (int64_t)(a - b) * (uint16_t)b; }
static NOINLINE int compare_e(int8_t a, uint8_t b, uint32_t c) { return (a < b) + 2 * ((uint32_t)a < c) + 4 * ((uint8_t)a < b); }

static NOINLINE int64_t sum_signed(const int8_t *p, int n) {
    int64_t sum = 0;
    for (int8_t i = 0; i < n; i++) sum += p[i];
    return sum;
}

static NOINLINE uint64_t sum_unsigned(const void *p, unsigned n) {
    uint64_t sum = 0;
    for (uint8_t i = 0; i < n; i++) sum = sum * 3 + ((const uint8_t *)p)[i];
    return sum;
}

int main(void) {
    uint64_t state = 7;
    for (int i = 0; i < 1500; i++) {
        int64_t x = i < 600 ? i * 97 - 30000 : (int64_t)next_random(&state);
        CHECK(chain_a(x) == model(model(model(x, 8, 1), 16, 0), 32, 1));
        CHECK(chain_b(x) == model(model(x, 8, 0), 16, 1));
        CHECK(chain_c(x) == (uint64_t)model(model(x, 16, 1), 32, 0));
        CHECK(chain_d(x) == (uint64_t)model(model(x, 8, 1), 64, 0));
        int a = (int)model(x, 8, 0), b = (int)model(x >> 8, 8, 1);
        CHECK(chain_e((uint8_t)x, (int8_t)(x >> 8)) == (int64_t)(a - b) * (int64_t)model(b, 16, 0));
        int sa = (int)model(x, 8, 1), ub = (int)model(x >> 16, 8, 0);
        uint32_t c = (uint32_t)(x >> 24);
        int expected = (sa < ub) + 2 * (model(sa, 32, 0) < (wide)c) + 4 * (model(sa, 8, 0) < ub);
        CHECK(compare_e((int8_t)x, (uint8_t)(x >> 16), c) == expected);
        note((uint64_t)chain_a(x) + chain_c(x));
    }
    int8_t bytes[100];
    int64_t sum = 0;
    uint64_t folded = 0;
    for (int i = 0; i < 100; i++) {
        bytes[i] = (int8_t)(i * 5 - 120 > 127 ? 127 - i : i * 5 - 120);
        sum += bytes[i];
        folded = folded * 3 + (uint64_t)model(bytes[i], 8, 0);
    }
    CHECK(sum_signed(bytes, 100) == sum);
    CHECK(sum_unsigned(bytes, 100) == folded);
    return finish();
}
