/* Loops with odd bounds, steps, exits and counters of several types: the trip count is known by arithmetic. */
#include "check.h"

static NOINLINE int up(int from, int to, int step) {
    int n = 0;
    for (int i = from; i < to; i += step) n++;
    return n;
}

static NOINLINE unsigned down_to_zero(unsigned n, unsigned *last) {
    unsigned count = 0;
    while (n-- > 0) {
        *last = n;
        count++;
    }
    return count;
}

static NOINLINE unsigned wrapping(uint8_t from, uint8_t step) {
    unsigned n = 0;
    uint8_t i = from;
    do {
        i = (uint8_t)(i + step);
        n++;
    } while (i != from);
    return n;
}

static NOINLINE long triangle(int n) {
    long sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = i; j < n; j++) sum += i ^ j;
    return sum;
}

static NOINLINE int two_counters(int n) {
    int i, j, meets = 0;
    for (i = 0, j = n; i != j; i++) {
        if (i > j) return -meets;
        if ((i + j) % 3 == 0) j--;
        meets++;
        if (i == j) break;
    }
    return meets;
}

static NOINLINE uint64_t geometric(uint32_t n) {
    uint64_t sum = 0;
    for (uint32_t i = 1; i && i <= n; i *= 2) sum += i;
    return sum;
}

static NOINLINE int early_exits(const int *v, int n, int limit) {
    int sum = 0;
    for (int i = 0; i < n; i++) {
        if (v[i] < 0) continue;
        if (v[i] == 99) break;
        sum += v[i];
        if (sum > limit) return -i;
    }
    return sum;
}

static NOINLINE uint32_t unsigned_compare(uint32_t from, uint32_t to) {
    uint32_t n = 0;
    for (uint32_t i = from; i - from < to - from; i += 3) n++;
    return n;
}

int main(void) {
    for (int from = -10; from < 10; from += 3) {
        for (int to = -12; to < 40; to += 7) {
            for (int step = 1; step < 9; step++) CHECK(up(from, to, step) == (to > from ? (to - from + step - 1) / step : 0));
        }
    }
    CHECK(up(INT32_MAX - 5, INT32_MAX, 1) == 5 && up(INT32_MIN, INT32_MIN + 3, 2) == 2);
    for (unsigned n = 0; n < 20; n++) {
        unsigned last = 77;
        CHECK(down_to_zero(n, &last) == n && last == (n ? 0 : 77));
        CHECK(geometric(n) == (n ? 2 * ((uint64_t)1 << (31 - __builtin_clz(n))) - 1 : 0));
        long sum = 0;
        for (unsigned pair = 0; pair < n * n; pair++) sum += pair / n <= pair % n ? (long)(pair / n ^ pair % n) : 0;
        CHECK(triangle((int)n) == sum);
        CHECK(unsigned_compare(UINT32_MAX - n, UINT32_MAX - n + 2 * n) == (2 * n + 2) / 3);
        note((uint64_t)(uint32_t)two_counters((int)n));
    }
    CHECK(geometric(UINT32_MAX) == UINT32_MAX);
    for (unsigned step = 1; step < 256; step++) CHECK(wrapping((uint8_t)(step * 3), (uint8_t)step) == 256u / (step & -step));
    static const int v[] = {5, -1, 7, -2, 30, 99, 4};
    CHECK(early_exits(v, 7, 1000) == 42 && early_exits(v, 4, 1000) == 12 && early_exits(v, 7, 11) == -2);
    CHECK(early_exits(v, 0, 0) == 0 && early_exits(v + 6, 1, 3) == 0);
    CHECK(two_counters(0) == 0);
    return finish();
}
