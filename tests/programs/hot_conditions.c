/* Conditions a compiler threads, folds, hoists or turns into selects, evaluated again one by one. */
#include "check.h"

static unsigned calls;
static NOINLINE int called(int value) {
    calls = calls * 3 + 1;
    return value;
}

static NOINLINE int circuits(int a, int b, int c) {
    if (a && called(b) && (c || called(a))) return 1;
    if ((!a || !called(c)) && !(b && called(0))) return 2;
    return a > b ? b > c ? 3 : a > c ? 4 : 5 : a > c ? 6 : b > c ? 7 : 8;
}

static int circuits_model(int a, int b, int c, unsigned *trace) {
    int first = 0;
    if (a) {
        *trace = *trace * 3 + 1;
        if (b) {
            first = c != 0;
            if (!c) *trace = *trace * 3 + 1, first = 1;
        }
    }
    if (first) return 1;
    int second = !a;
    if (a) *trace = *trace * 3 + 1, second = !c;
    if (second) {
        if (b) *trace = *trace * 3 + 1;
        return 2;
    }
    if (a > b) return b > c ? 3 : a > c ? 4 : 5;
    return a > c ? 6 : b > c ? 7 : 8;
}

/* The flag is tested in every round but never changes: a candidate for unswitching. */
static NOINLINE int unswitched(const int *v, int n, int flag, int limit) {
    int sum = 0;
    for (int i = 0; i < n; i++) {
        if (flag) sum += v[i];
        else sum -= v[i] / 2;
        if (limit > 0 && sum > limit) sum = limit;
        if (flag > 5) sum ^= i;
    }
    return sum;
}

static NOINLINE int threaded(int x) {
    int kind;
    if (x < -10) kind = 0;
    else if (x < 0) kind = 1;
    else if (x == 0) kind = 2;
    else kind = 3;
    if (kind == 1 && x > -5) kind = 4;
    int weight = kind == 0 ? 5 : kind == 1 ? 7 : 0;
    if (kind >= 3) weight += x;
    return weight * 10 + kind;
}

static NOINLINE int correlated(int a, int b) {
    if (a == b) return a - b;
    if (a < b) return a == b ? 100 : a > b ? 200 : 1;
    return a <= b ? 300 : 2;
}

static NOINLINE int median(int a, int b, int c) {
    int high = a > b ? a : b, low = a > b ? b : a;
    return c > high ? high : c < low ? low : c;
}

int main(void) {
    unsigned trace = 0;
    for (int a = -2; a < 3; a++) {
        for (int b = -2; b < 3; b++) {
            for (int c = -2; c < 3; c++) {
                CHECK(circuits(a, b, c) == circuits_model(a, b, c, &trace) && calls == trace);
                int m = median(a, b, c);
                CHECK((a >= m) + (b >= m) + (c >= m) >= 2 && (a <= m) + (b <= m) + (c <= m) >= 2);
            }
            CHECK(correlated(a, b) == (a == b ? 0 : a < b ? 1 : 2));
        }
    }
    for (int x = -30; x < 30; x++) {
        int kind = x < -10 ? 0 : x < -4 ? 1 : x < 0 ? 4 : x == 0 ? 2 : 3;
        CHECK(threaded(x) == (kind == 0 ? 50 : kind == 1 ? 71 : kind == 4 ? 10 * x + 4 : kind == 2 ? 2 : 10 * x + 3));
        note((uint64_t)(uint32_t)threaded(x));
    }
    int v[30];
    for (int i = 0; i < 30; i++) v[i] = i * 7 % 19 - 6;
    for (int flag = 0; flag < 8; flag += 1) {
        for (int limit = -1; limit < 40; limit += 13) {
            int sum = 0;
            for (int i = 0; i < 30; i++) {
                sum = flag ? sum + v[i] : sum - v[i] / 2;
                sum = limit > 0 && sum > limit ? limit : sum;
                sum = flag > 5 ? sum ^ i : sum;
            }
            CHECK(unswitched(v, 30, flag, limit) == sum);
        }
    }
    return finish();
}
