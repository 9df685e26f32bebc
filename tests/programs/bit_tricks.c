/* Counting, reversing and isolating bits: idioms a compiler recognises, against loops over single bits. */
#include "check.h"

static NOINLINE int popcount_swar(uint64_t x) {
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return (int)(x * 0x0101010101010101u >> 56);
}

static NOINLINE int popcount_kernighan(uint64_t x) {
    int count = 0;
    while (x) {
        x &= x - 1;
        count++;
    }
    return count;
}

static NOINLINE uint32_t reverse(uint32_t x) {
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0F0F0F0F) | (x & 0x0F0F0F0F) << 4;
    return x >> 24 | (x >> 8 & 0xFF00) | (x & 0xFF00) << 8 | x << 24;
}

static NOINLINE int leading_zeros(uint32_t x) {
    int n = 0;
    if (!x) return 32;
    while (!(x & 0x80000000u)) {
        x <<= 1;
        n++;
    }
    return n;
}

static NOINLINE int trailing_zeros(uint64_t x) {
    int n = 0;
    for (; n < 64 && !(x & 1); n++) x >>= 1;
    return n;
}

static NOINLINE uint32_t next_power(uint32_t x) {
    x--;
    for (int shift = 1; shift < 32; shift *= 2) x |= x >> shift;
    return x + 1;
}

static NOINLINE int has_zero_byte(uint32_t x) { return ((x - 0x01010101u) & ~x & 0x80808080u) != 0; }
static NOINLINE uint32_t gray(uint32_t x) { return x ^ x >> 1; }
static NOINLINE uint32_t next_same_count(uint32_t x) {
    uint32_t lowest = x & -x, ripple = x + lowest;
    return ((ripple ^ x) >> 2) / lowest | ripple;
}

int main(void) {
    uint64_t state = 3;
    for (int i = 0; i < 600; i++) {
        uint64_t x = next_random(&state) >> i % 64;
        int count = 0, first = 64;
        uint32_t mirrored = 0, small = (uint32_t)x;
        for (int bit = 63; bit >= 0; bit--) {
            count += (int)(x >> bit & 1);
            if (x >> bit & 1) first = bit;
            if (bit < 32 && small >> bit & 1) mirrored |= 1u << (31 - bit);
        }
        CHECK(popcount_swar(x) == count && popcount_kernighan(x) == count && __builtin_popcountll(x) == count);
        CHECK(__builtin_parityll(x) == count % 2);
        CHECK(reverse(small) == mirrored);
        CHECK(trailing_zeros(x) == first);
        if (x) CHECK(__builtin_ctzll(x) == first && __builtin_ffsll((int64_t)x) == first + 1);
        if (small) CHECK(leading_zeros(small) == __builtin_clz(small));
        uint32_t power = next_power(small >> 1);
        if (small >> 1) CHECK((power & (power - 1)) == 0 && power >= small >> 1 && power / 2 < small >> 1);
        int zero = 0;
        for (int byte = 0; byte < 4; byte++) zero |= (small >> 8 * byte & 0xFF) == 0;
        CHECK(has_zero_byte(small) == zero);
        CHECK(__builtin_popcount(gray(small) ^ gray(small + 1)) == 1);
        note((uint64_t)count << 32 | mirrored);
    }
    CHECK(leading_zeros(0) == 32 && trailing_zeros(0) == 64);
    int members = 0;
    for (uint32_t set = 7; set < 1u << 10; set = next_same_count(set)) members++;
    CHECK(members == 10 * 9 * 8 / 6);
    return finish();
}
