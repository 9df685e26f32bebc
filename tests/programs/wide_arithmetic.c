/* 128-bit arithmetic of the compiler against schoolbook arithmetic on four 32-bit limbs. */
#include "check.h"

typedef unsigned __int128 u128;
typedef __int128 i128;
struct limbs { uint32_t v[4]; };

static struct limbs split(u128 x) {
    struct limbs r;
    for (int i = 0; i < 4; i++) r.v[i] = (uint32_t)(x >> 32 * i);
    return r;
}

static u128 whole(struct limbs x) {
    u128 r = 0;
    for (int i = 4; i--;) r = r << 32 | x.v[i];
    return r;
}

static u128 add(u128 a, u128 b) {
    struct limbs x = split(a), y = split(b), r;
    uint64_t carry = 0;
    for (int i = 0; i < 4; i++) {
        carry += (uint64_t)x.v[i] + y.v[i];
        r.v[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return whole(r);
}

static u128 multiply(u128 a, u128 b) {
    struct limbs x = split(a), y = split(b), r = {{0}};
    for (int i = 0; i < 4; i++) {
        uint64_t carry = 0;
        for (int j = 0; i + j < 4; j++) {
            carry += (uint64_t)x.v[i] * y.v[j] + r.v[i + j];
            r.v[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
    }
    return whole(r);
}

static NOINLINE u128 product(uint64_t a, uint64_t b) { return (u128)a * b; }
static NOINLINE uint64_t high_signed(int64_t a, int64_t b) { return (uint64_t)((i128)a * b >> 64); }
static NOINLINE u128 quotient(u128 a, u128 b) { return a / b; }
static NOINLINE i128 remainder_of(i128 a, i128 b) { return a % b; }
static NOINLINE u128 shifted(u128 a, unsigned n) { return a << n | a >> (-n & 127); }
static NOINLINE int less(i128 a, i128 b) { return a < b; }

int main(void) {
    uint64_t state = 17;
    for (int i = 0; i < 300; i++) {
        u128 a = (u128)next_random(&state) << 64 | next_random(&state), b = (u128)next_random(&state) << 64 | next_random(&state);
        a >>= i % 100;
        b = (b >> (i * 7 % 120)) | 1;
        CHECK(a + b == add(a, b) && a - b == add(a, add(~b, 1)));
        CHECK(a * b == multiply(a, b));
        CHECK(product((uint64_t)a, (uint64_t)b) == multiply((uint64_t)a, (uint64_t)b));
        u128 q = quotient(a, b);
        CHECK(multiply(q, b) <= a && a - multiply(q, b) < b);
        i128 sa = i % 2 ? -(i128)(a >> 1) : (i128)(a >> 1), sb = (i128)(b >> 1 | 1);
        i128 r = remainder_of(sa, sb);
        CHECK((sa < 0 ? r <= 0 && r > -sb : r >= 0 && r < sb) && (sa - r) / sb * sb + r == sa);
        CHECK(less(-sb, sb) && less(sa, sb) == (sa - sb < 0));
        int64_t x = (int64_t)(uint64_t)a, y = (int64_t)(uint64_t)b;
        u128 extended = multiply((u128)(i128)x, (u128)(i128)y);
        CHECK(high_signed(x, y) == (uint64_t)(extended >> 64));
        unsigned n = (unsigned)i % 128;
        struct limbs parts = split(shifted(a, n));
        for (unsigned bit = 0; bit < 128; bit += 9)
            CHECK((parts.v[(bit + n) % 128 / 32] >> (bit + n) % 32 & 1) == (unsigned)(a >> bit & 1));
        note((uint64_t)(q ^ q >> 64) ^ (uint64_t)r);
    }
    return finish();
}
