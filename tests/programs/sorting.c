/* Ten ways to sort the same numbers; all must agree, and be stable where they say so. */
#include <string.h>

#include "check.h"

enum { N = 200 };
static uint32_t spare[N];

static NOINLINE void insertion(uint32_t *v, int n) {
    for (int i = 1; i < n; i++) {
        uint32_t x = v[i];
        int j = i;
        for (; j > 0 && v[j - 1] > x; j--) v[j] = v[j - 1];
        v[j] = x;
    }
}
static NOINLINE void merge(uint32_t *v, int n) {
    if (n < 2) return;
    int half = n / 2, i = 0, j = half, k = 0;
    merge(v, half);
    merge(v + half, n - half);
    while (i < half || j < n) spare[k++] = j >= n || (i < half && v[i] <= v[j]) ? v[i++] : v[j++];
    memcpy(v, spare, (size_t)n * sizeof *v);
}
static NOINLINE void quick(uint32_t *v, int n) {
    while (n > 1) {
        uint32_t pivot = v[n / 2];
        int i = 0, j = n - 1;
        while (i <= j) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i <= j) {
                uint32_t t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (j + 1 < n - i) quick(v, j + 1), v += i, n -= i;
        else quick(v + i, n - i), n = j + 1;
    }
}
static NOINLINE void shell(uint32_t *v, int n) {
    static const int gaps[] = {132, 57, 23, 10, 4, 1};
    for (int g = 0; g < 6; g++) {
        int gap = gaps[g];
        for (int i = gap; i < n; i++) {
            uint32_t x = v[i];
            int j = i;
            while (j >= gap && v[j - gap] > x) v[j] = v[j - gap], j -= gap;
            v[j] = x;
        }
    }
}
static NOINLINE void radix(uint32_t *v, int n) {
    for (int shift = 0; shift < 32; shift += 8) {
        int counts[257] = {0};
        for (int i = 0; i < n; i++) counts[(v[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++) counts[i + 1] += counts[i];
        for (int i = 0; i < n; i++) spare[counts[v[i] >> shift & 255]++] = v[i];
        memcpy(v, spare, (size_t)n * sizeof *v);
    }
}
static NOINLINE void comb(uint32_t *v, int n) {
    for (int gap = n, swapped = 1; gap > 1 || swapped;) {
        gap = gap > 1 ? gap * 10 / 13 : 1;
        if (gap < 1) gap = 1;
        swapped = 0;
        for (int i = 0; i + gap < n; i++)
            if (v[i] > v[i + gap]) {
                uint32_t t = v[i];
                v[i] = v[i + gap];
                v[i + gap] = t;
                swapped = 1;
            }
    }
}
static NOINLINE void cocktail(uint32_t *v, int n) {
    for (int low = 0, high = n - 1; low < high;) {
        int last = low;
        for (int i = low; i < high; i++)
            if (v[i] > v[i + 1]) v[i] ^= v[i + 1], v[i + 1] ^= v[i], v[i] ^= v[i + 1], last = i;
        high = last;
        for (int i = high; i > low; i--)
            if (v[i - 1] > v[i]) v[i] ^= v[i - 1], v[i - 1] ^= v[i], v[i] ^= v[i - 1], last = i;
        low = last;
    }
}
static NOINLINE void selection(uint32_t *v, int n) {
    for (int i = 0; i < n; i++) {
        int least = i;
        for (int j = i + 1; j < n; j++) least = v[j] < v[least] ? j : least;
        uint32_t t = v[i];
        v[i] = v[least];
        v[least] = t;
    }
}
static NOINLINE void bitonic(uint32_t *v, int n) {
    uint32_t w[256];
    memset(w, 0xFF, sizeof w);
    memcpy(w, v, (size_t)n * sizeof *v);
    for (int k = 2; k <= 256; k *= 2)
        for (int j = k / 2; j; j /= 2)
            for (int i = 0; i < 256; i++) {
                int other = i ^ j;
                if (other > i && ((i & k) == 0) == (w[i] > w[other])) {
                    uint32_t t = w[i];
                    w[i] = w[other];
                    w[other] = t;
                }
            }
    memcpy(v, w, (size_t)n * sizeof *v);
}

int main(void) {
    void (*const sorts[])(uint32_t *, int) = {merge, quick, shell, radix, comb, cocktail, selection, bitonic};
    uint64_t state = 66;
    for (int n = 0; n <= N; n += 1 + n / 3) {
        uint32_t v[N + 1], expected[N + 1], w[N + 1];
        for (int i = 0; i <= N; i++) v[i] = (uint32_t)next_random(&state) >> (n % 3 * 13);
        memcpy(expected, v, sizeof v);
        insertion(expected, n);
        for (int i = 1; i < n; i++) CHECK(expected[i - 1] <= expected[i]);
        for (unsigned s = 0; s < sizeof sorts / sizeof *sorts; s++) {
            memcpy(w, v, sizeof v);
            sorts[s](w, n);
            CHECK(!memcmp(w, expected, sizeof v));
        }
        note(expected[n / 2]);
    }
    return finish();
}
