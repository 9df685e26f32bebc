/* Primes, modular arithmetic and transforms over them: sieves, Miller-Rabin, inverses, a number-theoretic transform. */
#include <string.h>

#include "check.h"

enum { LIMIT = 6000 };
static unsigned char composite[LIMIT];

static NOINLINE uint64_t power(uint64_t base, uint64_t n, uint64_t m) {
    uint64_t result = 1;
    for (base %= m; n; n >>= 1, base = (uint64_t)((unsigned __int128)base * base % m))
        if (n & 1) result = (uint64_t)((unsigned __int128)result * base % m);
    return result;
}

static NOINLINE int is_prime(uint64_t n) {
    static const unsigned char bases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    if (n < 2) return 0;
    uint64_t d = n - 1;
    int twos = 0;
    for (; !(d & 1); d >>= 1) twos++;
    for (unsigned i = 0; i < sizeof bases; i++) {
        if (n % bases[i] == 0) return n == bases[i];
        uint64_t x = power(bases[i], d, n);
        if (x == 1 || x == n - 1) continue;
        int k = 1;
        for (; k < twos && x != n - 1; k++) x = (uint64_t)((unsigned __int128)x * x % n);
        if (x != n - 1) return 0;
    }
    return 1;
}

static NOINLINE int64_t euclid(int64_t a, int64_t b, int64_t *x, int64_t *y) {
    if (!b) return *x = 1, *y = 0, a;
    int64_t g = euclid(b, a % b, y, x);
    *y -= a / b * *x;
    return g;
}

enum { PRIME = 998244353 };
static NOINLINE void transform(uint32_t *v, int n, int inverse) {
    for (int i = 1, j = 0; i < n; i++) {
        int bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            uint32_t t = v[i];
            v[i] = v[j];
            v[j] = t;
        }
    }
    for (int length = 2; length <= n; length *= 2) {
        uint64_t w = power(3, (PRIME - 1) / (uint64_t)length, PRIME);
        if (inverse) w = power(w, PRIME - 2, PRIME);
        for (int i = 0; i < n; i += length) {
            uint64_t factor = 1;
            for (int k = 0; k < length / 2; k++) {
                uint32_t a = v[i + k], b = (uint32_t)(v[i + k + length / 2] * factor % PRIME);
                v[i + k] = a + b < PRIME ? a + b : a + b - PRIME;
                v[i + k + length / 2] = a >= b ? a - b : a + PRIME - b;
                factor = factor * w % PRIME;
            }
        }
    }
    if (!inverse) return;
    uint64_t scale = power((uint64_t)n, PRIME - 2, PRIME);
    for (int i = 0; i < n; i++) v[i] = (uint32_t)(v[i] * scale % PRIME);
}

int main(void) {
    int count = 0;
    for (int i = 2; i < LIMIT; i++) {
        if (!composite[i]) {
            count++;
            for (int j = i * i; j < LIMIT && i < 100; j += i) composite[j] = 1;
        }
        CHECK(is_prime((uint64_t)i) == !composite[i]);
    }
    CHECK(count == 783);
    CHECK(is_prime(18446744073709551557u) && !is_prime(18446744073709551555u) && !is_prime(3215031751) && is_prime(2147483647));
    uint64_t state = 44;
    for (int i = 0; i < 200; i++) {
        int64_t a = (int64_t)(next_random(&state) >> 20), b = (int64_t)(next_random(&state) >> 30), x, y, g = euclid(a, b, &x, &y);
        CHECK(a % g == 0 && b % g == 0 && (__int128)a * x + (__int128)b * y == g);
        CHECK(power((uint64_t)a, PRIME - 1, PRIME) == (a % PRIME != 0));
        note((uint64_t)g);
    }
    uint32_t p[128] = {0}, q[128] = {0}, product[128] = {0};
    for (int i = 0; i < 64; i++) p[i] = (uint32_t)(next_random(&state) >> 40), q[i] = (uint32_t)(next_random(&state) >> 44);
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 64; j++) product[i + j] = (uint32_t)((product[i + j] + (uint64_t)p[i] * q[j]) % PRIME);
    transform(p, 128, 0);
    transform(q, 128, 0);
    for (int i = 0; i < 128; i++) p[i] = (uint32_t)((uint64_t)p[i] * q[i] % PRIME);
    transform(p, 128, 1);
    CHECK(!memcmp(p, product, sizeof p));
    return finish();
}
