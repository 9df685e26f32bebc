/* The Mersenne twister's first and ten-thousandth outputs, a PCG, a linear feedback register and shuffles. */
#include "check.h"

static uint32_t mt[624];
static unsigned at = 624;

static NOINLINE void seed(uint32_t s) {
    mt[0] = s;
    for (uint32_t i = 1; i < 624; i++) mt[i] = 1812433253u * (mt[i - 1] ^ mt[i - 1] >> 30) + i;
    at = 624;
}

static NOINLINE uint32_t twist(void) {
    if (at >= 624) {
        for (int k = 0; k < 624; k++) {
            uint32_t y = (mt[k] & 0x80000000u) | (mt[(k + 1) % 624] & 0x7fffffffu);
            mt[k] = mt[(k + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
        }
        at = 0;
    }
    uint32_t y = mt[at++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static NOINLINE uint32_t pcg(uint64_t *state, uint64_t increment) {
    uint64_t old = *state;
    *state = old * 6364136223846793005u + (increment | 1);
    uint32_t shifted = (uint32_t)((old >> 18 ^ old) >> 27), turn = (uint32_t)(old >> 59);
    return shifted >> turn | shifted << (-turn & 31);
}

static NOINLINE unsigned lfsr_period(unsigned taps, unsigned start) {
    unsigned x = start, n = 0;
    do {
        x = x >> 1 ^ (-(x & 1) & taps);
        n++;
    } while (x != start);
    return n;
}

static NOINLINE void shuffle(int *v, int n) {
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(((uint64_t)twist() * (uint64_t)(i + 1)) >> 32), t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}

int main(void) {
    seed(5489);
    CHECK(twist() == 3499211612u && twist() == 581869302u && twist() == 3890346734u);
    uint32_t last = 0;
    for (int i = 3; i < 10000; i++) last = twist();
    CHECK(last == 4123659995u);
    uint64_t state = 0;
    pcg(&state, 54u << 1);
    state += 42;
    pcg(&state, 54u << 1);
    static const uint32_t expected[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e};
    for (int i = 0; i < 6; i++) CHECK(pcg(&state, 54u << 1) == expected[i]);
    CHECK(lfsr_period(0xB400, 0xACE1) == 65535 && lfsr_period(0x240, 1) == 1023);
    int v[100];
    long moved = 0;
    for (int i = 0; i < 100; i++) v[i] = i;
    for (int round = 0; round < 20; round++) {
        shuffle(v, 100);
        unsigned char seen[100] = {0};
        for (int i = 0; i < 100; i++) seen[v[i]]++, moved += v[i] != i;
        int once = 1;
        for (int i = 0; i < 100; i++) once &= seen[i] == 1;
        CHECK(once);
    }
    CHECK(moved > 1900);
    note(last);
    return finish();
}
