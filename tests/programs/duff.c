/* Duff's device and other loops entered in the middle, against memcpy-like loops. */
#include "check.h"

static NOINLINE void duff(short *to, const short *from, int count) {
    int rounds = (count + 7) / 8;
    switch (count % 8) {
    case 0:
        do {
            *to++ = *from++;
    case 7: *to++ = *from++;
    case 6: *to++ = *from++;
    case 5: *to++ = *from++;
    case 4: *to++ = *from++;
    case 3: *to++ = *from++;
    case 2: *to++ = *from++;
    case 1: *to++ = *from++;
        } while (--rounds > 0);
    }
}

/* A search that jumps into the loop after its test. */
static NOINLINE int middle(const int *v, int n, int wanted, int start_inside) {
    int i = 0, steps = 0;
    if (start_inside) goto inside;
    while (i < n) {
        if (v[i] == wanted) return steps * 100 + i;
    inside:
        steps++;
        i += 1 + (steps & 1);
    }
    return -steps;
}

static int middle_model(const int *v, int n, int wanted, int start_inside) {
    int i = 0, steps = 0;
    for (int first = 1;; first = 0) {
        if (!(first && start_inside)) {
            if (i >= n) return -steps;
            if (v[i] == wanted) return steps * 100 + i;
        }
        steps++;
        i += 1 + steps % 2;
    }
}

/* Two loops that share a tail and jump into each other: no natural loop. */
static NOINLINE unsigned irreducible(unsigned x, unsigned n) {
    unsigned sum = 0;
    if (x & 1) goto second;
first:
    sum += x;
    if (n-- == 0) return sum;
    x = x * 5 + 1;
    if (x & 2) goto first;
second:
    sum ^= x << 1;
    if (n-- == 0) return sum + 1;
    x = x / 3 + 7;
    if (x & 4) goto second;
    goto first;
}

static unsigned irreducible_model(unsigned x, unsigned n) {
    unsigned sum = 0;
    int state = x & 1 ? 2 : 1;
    for (;;) {
        if (state == 1) {
            sum += x;
            if (n-- == 0) return sum;
            x = x * 5 + 1;
            state = x & 2 ? 1 : 2;
        } else {
            sum ^= x << 1;
            if (n-- == 0) return sum + 1;
            x = x / 3 + 7;
            state = x & 4 ? 2 : 1;
        }
    }
}

int main(void) {
    short from[70], to[70];
    for (int count = 1; count < 60; count++) {
        for (int i = 0; i < 70; i++) from[i] = (short)(i * 31 + count), to[i] = -1;
        duff(to, from, count);
        for (int i = 0; i < 70; i++) CHECK(to[i] == (i < count ? from[i] : -1));
    }
    int v[20];
    for (int i = 0; i < 20; i++) v[i] = i * i % 23;
    for (int wanted = 0; wanted < 23; wanted++) {
        for (int n = 0; n < 20; n += 3) {
            CHECK(middle(v, n, wanted, 0) == middle_model(v, n, wanted, 0));
            CHECK(middle(v, n, wanted, 1) == middle_model(v, n, wanted, 1));
        }
    }
    for (unsigned x = 0; x < 50; x++) {
        for (unsigned n = 0; n < 40; n += 1 + x % 3) {
            unsigned result = irreducible(x, n);
            CHECK(result == irreducible_model(x, n));
            note(result);
        }
    }
    return finish();
}
