/* SipHash-2-4 against vectors of its reference, and XTEA both ways. */
#include <string.h>

#include "check.h"

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND \
    do { \
        v0 += v1, v2 += v3, v1 = ROTATE(v1, 13) ^ v0, v3 = ROTATE(v3, 16) ^ v2, v0 = ROTATE(v0, 32); \
        v2 += v1, v0 += v3, v1 = ROTATE(v1, 17) ^ v2, v3 = ROTATE(v3, 21) ^ v0, v2 = ROTATE(v2, 32); \
    } while (0)

static NOINLINE uint64_t siphash(const unsigned char *p, size_t n, uint64_t k0, uint64_t k1) {
    uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d, v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
    uint64_t m;
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&m, p, 8);
        v3 ^= m;
        for (int i = 0; i < 2; i++) ROUND;
        v0 ^= m;
    }
    m = (uint64_t)n << 56;
    switch (left) {
    case 7: m |= (uint64_t)p[6] << 48; /* fall through */
    case 6: m |= (uint64_t)p[5] << 40; /* fall through */
    case 5: m |= (uint64_t)p[4] << 32; /* fall through */
    case 4: m |= (uint64_t)p[3] << 24; /* fall through */
    case 3: m |= (uint64_t)p[2] << 16; /* fall through */
    case 2: m |= (uint64_t)p[1] << 8;  /* fall through */
    case 1: m |= p[0];
    }
    v3 ^= m;
    ROUND;
    ROUND;
    v0 ^= m;
    v2 ^= 0xff;
    for (int i = 0; i < 4; i++) ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

static NOINLINE void xtea(uint32_t v[2], const uint32_t k[4], int decrypt) {
    uint32_t delta = 0x9E3779B9, sum = decrypt ? delta * 32 : 0;
    for (int i = 0; i < 32; i++) {
        if (decrypt) {
            v[1] -= ((v[0] << 4 ^ v[0] >> 5) + v[0]) ^ (sum + k[sum >> 11 & 3]);
            sum -= delta;
            v[0] -= ((v[1] << 4 ^ v[1] >> 5) + v[1]) ^ (sum + k[sum & 3]);
        } else {
            v[0] += ((v[1] << 4 ^ v[1] >> 5) + v[1]) ^ (sum + k[sum & 3]);
            sum += delta;
            v[1] += ((v[0] << 4 ^ v[0] >> 5) + v[0]) ^ (sum + k[sum >> 11 & 3]);
        }
    }
}

int main(void) {
    static const uint64_t expected[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
                                        0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
                                        0x93f5f5799a932462};
    unsigned char input[64];
    for (unsigned i = 0; i < 64; i++) input[i] = (unsigned char)i;
    for (size_t n = 0; n < 9; n++) CHECK(siphash(input, n, 0x0706050403020100, 0x0f0e0d0c0b0a0908) == expected[n]);
    CHECK(siphash(input, 15, 0x0706050403020100, 0x0f0e0d0c0b0a0908) == 0xa129ca6149be45e5);
    static const uint32_t key[4] = {0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f};
    uint32_t v[2] = {0x41424344, 0x45464748};
    xtea(v, key, 0);
    CHECK(v[0] == 0x497df3d0 && v[1] == 0x72612cb5);
    for (int i = 0; i < 50; i++) {
        uint32_t before[2] = {v[0], v[1]};
        xtea(v, key, 0);
        CHECK(v[0] != before[0]);
        uint32_t back[2] = {v[0], v[1]};
        xtea(back, key, 1);
        CHECK(back[0] == before[0] && back[1] == before[1]);
        note(v[0]);
    }
    return finish();
}
