/* Big integers in decimal and in binary: factorials, powers, Fibonacci numbers, digits of e and pi, square roots. */
#include <string.h>

#include "check.h"

enum { LIMBS = 40 };
struct big { uint32_t v[LIMBS]; };

static NOINLINE void add(struct big *a, const struct big *b) {
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) a->v[i] = (uint32_t)(carry += (uint64_t)a->v[i] + b->v[i]), carry >>= 32;
}
static NOINLINE uint32_t scale(struct big *a, uint32_t by) {
    uint64_t carry = 0;
    for (int i = 0; i < LIMBS; i++) a->v[i] = (uint32_t)(carry += (uint64_t)a->v[i] * by), carry >>= 32;
    return (uint32_t)carry;
}
static NOINLINE uint32_t divide(struct big *a, uint32_t by) {
    uint64_t rest = 0;
    for (int i = LIMBS; i--;) {
        rest = rest << 32 | a->v[i];
        a->v[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    return (uint32_t)rest;
}
static void print(struct big a, char *out) {
    char reversed[400];
    int n = 0;
    do {
        int zero = 1;
        reversed[n++] = (char)('0' + divide(&a, 10));
        for (int i = 0; i < LIMBS; i++) zero &= !a.v[i];
        if (zero) break;
    } while (n < 399);
    while (n--) *out++ = reversed[n];
    *out = 0;
}

/* The spigot of Rabinowitz and Wagon. */
static NOINLINE void pi_digits(char *out, int count) {
    static int a[400];
    int length = count * 10 / 3 + 2, nines = 0, predigit = -1, made = 0;
    for (int i = 0; i < length; i++) a[i] = 2;
    while (made < count) {
        int q = 0;
        for (int i = length; i > 0; i--) {
            int x = 10 * a[i - 1] + q * i;
            a[i - 1] = x % (2 * i - 1);
            q = x / (2 * i - 1);
        }
        a[0] = q % 10;
        q /= 10;
        if (q == 9) {
            nines++;
            continue;
        }
        if (predigit >= 0) out[made++] = (char)('0' + predigit + q / 10);
        for (; nines > 0 && made < count; nines--) out[made++] = q == 10 ? '0' : '9';
        nines = 0;
        predigit = q == 10 ? 0 : q;
    }
    out[count] = 0;
}

static NOINLINE uint32_t root(uint64_t x) {
    uint64_t r = 0;
    for (uint64_t bit = (uint64_t)1 << 62; bit; bit >>= 2) {
        if (x >= r + bit) x -= r + bit, r = (r >> 1) + bit;
        else r >>= 1;
    }
    return (uint32_t)r;
}

int main(void) {
    char text[400], pi[80];
    struct big f = {{1}};
    for (uint32_t i = 2; i <= 50; i++) CHECK(scale(&f, i) == 0);
    print(f, text);
    CHECK(!strcmp(text, "30414093201713378043612608166064768844377641568960512000000000000"));
    for (uint32_t i = 50; i >= 2; i--) CHECK(divide(&f, i) == 0);
    print(f, text);
    CHECK(!strcmp(text, "1"));
    struct big a = {{0}}, b = {{1}};
    for (int i = 0; i < 300; i++) {
        struct big t = b;
        add(&b, &a);
        a = t;
    }
    print(a, text);
    CHECK(!strcmp(text, "222232244629420445529739893461909967206666939096499764990979600"));
    struct big power = {{1}};
    for (int i = 0; i < 200; i++) scale(&power, 2);
    CHECK(power.v[6] == 256 && power.v[5] == 0);
    print(power, text);
    CHECK(!strcmp(text, "1606938044258990275541962092341162602522202993782792835301376"));
    pi_digits(pi, 60);
    CHECK(!strcmp(pi, "314159265358979323846264338327950288419716939937510582097494"));
    uint64_t state = 3;
    for (int i = 0; i < 500; i++) {
        uint64_t x = next_random(&state) >> i % 64, r = root(x);
        CHECK(r * r <= x && (r == UINT32_MAX || (r + 1) * (r + 1) > x));
        note(r);
    }
    return finish();
}
