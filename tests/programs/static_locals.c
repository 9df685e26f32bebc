/* Static locals, shadowed names, per-call state and constant data that only looks variable. */
#include "check.h"

static NOINLINE unsigned counter(void) {
    static unsigned count = 10;
    return count++;
}

static NOINLINE unsigned other_counter(int reset) {
    static unsigned count;
    if (reset) count = 100;
    return ++count;
}

static NOINLINE const int *remember(int x) {
    static int history[8], n;
    history[n++ & 7] = x;
    return history;
}

static NOINLINE int recursive(int n) {
    static int depth, deepest;
    int result = 0;
    if (++depth > deepest) deepest = depth;
    if (n > 1) result = recursive(n - 1) + recursive(n - 2);
    depth--;
    return n <= 1 ? n : depth == 0 ? result * 1000 + deepest : result;
}

/* Never written: may be folded. Written once, in a branch that is taken late: must not be. */
static int never_written = 42;
static int written_late = 1;
static int *points_at_late = &written_late;
static int self_assigned;

static NOINLINE int use_globals(int i) {
    if (i == 7) *points_at_late = 50;
    self_assigned = OPAQUE(self_assigned);
    return never_written + written_late + self_assigned;
}

static NOINLINE uint32_t lcg(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state;
}

static int flag;
static NOINLINE int once(void) {
    static int value;
    if (!flag) {
        flag = 1;
        value = (int)counter() * 2;
    }
    return value;
}

static int shadow = 1;
static NOINLINE int shadows(int n) {
    int sum = shadow;
    for (int shadow = 0; shadow < n; shadow++) {
        static int shadow_sum;
        int inner = shadow;
        {
            int shadow = inner * 2;
            shadow_sum += shadow;
            sum += shadow_sum;
        }
    }
    return sum;
}

int main(void) {
    for (unsigned i = 0; i < 20; i++) {
        CHECK(counter() == 10 + i);
        CHECK(other_counter(i == 5) == (i < 5 ? i + 1 : 101 + i - 5));
        const int *history = remember((int)i);
        for (unsigned k = 0; k <= i && k < 8; k++) CHECK(history[(i - k) & 7] == (int)(i - k));
        CHECK(use_globals((int)i) == 42 + (i < 7 ? 1 : 50));
    }
    CHECK(recursive(10) == 55010 && recursive(3) == 2010);
    CHECK(once() == 60 && once() == 60 && counter() == 31);
    uint32_t expected = 1;
    for (int i = 0; i < 100; i++) {
        expected = expected * 1664525u + 1013904223u;
        CHECK(lcg() == expected);
    }
    CHECK(shadows(3) == 1 + 0 + 2 + 6 && shadows(2) == 1 + 6 + 8);
    note(expected);
    return finish();
}
