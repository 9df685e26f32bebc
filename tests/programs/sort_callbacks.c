/* qsort and bsearch of the library with callbacks of ours, and sorting of our own with the same callbacks. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct record { char name[8]; int key; double weight; };

static int by_key(const void *a, const void *b) {
    int x = ((const struct record *)a)->key, y = ((const struct record *)b)->key;
    return (x > y) - (x < y);
}
static int by_name(const void *a, const void *b) {
    int order = strcmp(((const struct record *)a)->name, ((const struct record *)b)->name);
    return order ? order : by_key(a, b);
}
static int comparisons;
static int by_weight_down(const void *a, const void *b) {
    double x = ((const struct record *)a)->weight, y = ((const struct record *)b)->weight;
    comparisons++;
    return x < y ? 1 : x > y ? -1 : by_key(a, b);
}

static void swap_bytes(char *a, char *b, size_t size) {
    while (size--) {
        char t = *a;
        *a++ = *b;
        *b++ = t;
    }
}

static NOINLINE void heap_sort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *)) {
    char *v = base;
    for (size_t start = n / 2, end = n; end > 1;) {
        if (start > 0) start--;
        else swap_bytes(v, v + --end * size, size);
        for (size_t parent = start;;) {
            size_t child = 2 * parent + 1;
            if (child >= end) break;
            if (child + 1 < end && compare(v + child * size, v + (child + 1) * size) < 0) child++;
            if (compare(v + parent * size, v + child * size) >= 0) break;
            swap_bytes(v + parent * size, v + child * size, size);
            parent = child;
        }
    }
}

int main(void) {
    enum { N = 120 };
    static struct record records[N], copies[N];
    uint64_t state = 41;
    for (int i = 0; i < N; i++) {
        uint64_t r = next_random(&state);
        snprintf(records[i].name, sizeof records[i].name, "%c%c%u", (int)('a' + r % 5), (int)('a' + r / 5 % 3), (unsigned)(r >> 60));
        records[i].key = (int)(r >> 33) % 10000 * 200 + i;
        records[i].weight = (double)(r % 50) / 4;
    }
    int (*const orders[])(const void *, const void *) = {by_key, by_name, by_weight_down};
    for (int o = 0; o < 3; o++) {
        memcpy(copies, records, sizeof records);
        qsort(records, N, sizeof *records, orders[o]);
        heap_sort(copies, N, sizeof *copies, orders[o]);
        CHECK(!memcmp(records, copies, sizeof records));
        for (int i = 1; i < N; i++) CHECK(orders[o](&records[i - 1], &records[i]) < 0);
        for (int i = 0; i < N; i += 7) {
            struct record wanted = records[i];
            const struct record *found = bsearch(&wanted, records, N, sizeof *records, orders[o]);
            CHECK(found == &records[i]);
            wanted.key ^= 0x40000000;
            if (o < 2) CHECK(bsearch(&wanted, records, N, sizeof *records, orders[o]) == NULL);
            note((uint64_t)records[i].key);
        }
    }
    CHECK(comparisons > 2 * N);
    return finish();
}
