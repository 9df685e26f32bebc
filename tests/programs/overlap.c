/* Copies that overlap or might: memmove, loops over bytes and words, pointers that may and may not alias. */
#include <string.h>

#include "check.h"

static NOINLINE void forward(unsigned char *to, const unsigned char *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
}
static NOINLINE void backward(unsigned char *to, const unsigned char *from, size_t n) {
    while (n--) to[n] = from[n];
}
static NOINLINE void apart(unsigned char *restrict to, const unsigned char *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
}
static NOINLINE int store_load(int *a, short *b, int *c) {
    *a = 1;
    *b = 2;
    *c += 10;
    return *a;
}
static NOINLINE int bytes_alias(int *a, unsigned char *b) {
    *a = 0x01010101;
    b[1] = 7;
    return *a;
}
static NOINLINE void prefix_sums(int *v, const int *w, int n) {
    for (int i = 1; i < n; i++) v[i] = w[i - 1] + w[i];
}
static NOINLINE int reload(const int *limit, int *v, int n) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (i >= *limit) break;
        v[i] = 3;
        count++;
    }
    return count;
}
struct block { unsigned char b[24]; };
static NOINLINE void assign(struct block *a, const struct block *b) { *a = *b; }

int main(void) {
    unsigned char a[80], b[80], start[80];
    for (int i = 0; i < 80; i++) start[i] = (unsigned char)(i * 11 + 3);
    for (int to = 10; to < 40; to += 3) {
        for (int from = 8; from < 42; from += 5) {
            for (size_t n = 0; n < 36; n += 7) {
                unsigned char expected[80];
                memcpy(expected, start, 80);
                for (size_t i = 0; i < n; i++) expected[(size_t)to + i] = start[(size_t)from + i];
                memcpy(a, start, 80);
                memmove(a + to, a + from, n);
                CHECK(!memcmp(a, expected, 80));
                memcpy(b, start, 80);
                (to <= from ? forward : backward)(b + to, b + from, n);
                CHECK(!memcmp(b, expected, 80));
                apart(b, a + 40, n);
                CHECK(!memcmp(b, a + 40, n));
                note(a[to]);
            }
        }
    }
    memcpy(a, start, 80);
    forward(a + 1, a, 50); /* one byte, smeared */
    for (int i = 0; i <= 50; i++) CHECK(a[i] == start[0]);
    memcpy(a, start, 80);
    forward(a + 3, a, 50);
    for (int i = 0; i < 53; i++) CHECK(a[i] == start[i % 3]);
    int x = 5;
    short y = 0;
    CHECK(store_load(&x, &y, &x) == 11 && y == 2);
    CHECK(bytes_alias(&x, (unsigned char *)&x) == 0x01010701);
    int v[20], w[20];
    for (int i = 0; i < 20; i++) v[i] = w[i] = i;
    prefix_sums(v, v, 20);
    prefix_sums(v + 10, w + 10, 0);
    for (int i = 0; i < 20; i++) CHECK(v[i] == i * (i + 1) / 2);
    int limits[8] = {100, 100, 100, 5, 100, 100, 100, 100};
    CHECK(reload(&limits[3], limits, 8) == 4 && limits[3] == 3 && limits[4] == 100);
    struct block blocks[2];
    memcpy(blocks, start, 48);
    assign(&blocks[1], &blocks[0]);
    assign(&blocks[1], &blocks[1]);
    CHECK(!memcmp(&blocks[1], start, 24));
    return finish();
}
