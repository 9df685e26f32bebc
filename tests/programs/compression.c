/* Huffman codes, move-to-front, Burrows-Wheeler, LZ77 and Golomb codes: everything comes back. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { N = 200 };
static unsigned char bits[N * 40];
static int num_bits;
static void put(unsigned x, int n) { while (n--) bits[num_bits++] = x >> n & 1; }

static NOINLINE int huffman(const unsigned char *s, int n, unsigned char *back) {
    int weight[512] = {0}, up[512], left[512], right[512], nodes = 256, root = -1;
    for (int i = 0; i < n; i++) weight[s[i]]++;
    for (int i = 0; i < 512; i++) up[i] = -1;
    for (;;) {
        int x = -1, y = -1;
        for (int i = 0; i < nodes; i++) {
            if (!weight[i] || up[i] >= 0) continue;
            if (x < 0 || weight[i] < weight[x]) y = x, x = i;
            else if (y < 0 || weight[i] < weight[y]) y = i;
        }
        root = x;
        if (y < 0) break;
        weight[nodes] = weight[x] + weight[y];
        left[nodes] = x, right[nodes] = y;
        up[x] = up[y] = nodes++;
    }
    num_bits = 0;
    for (int i = 0; i < n; i++) {
        unsigned code = 0;
        int length = 0;
        for (int at = s[i]; up[at] >= 0; at = up[at]) code |= (unsigned)(right[up[at]] == at) << length++;
        put(code, length);
    }
    int at = root, out = 0;
    if (root < 256) while (out < n) back[out++] = (unsigned char)root;
    for (int i = 0; i < num_bits; i++) {
        at = bits[i] ? right[at] : left[at];
        if (at < 256) back[out++] = (unsigned char)at, at = root;
    }
    return out;
}

static const unsigned char *rotated;
static int rotated_size;
static int compare(const void *a, const void *b) {
    int i = *(const int *)a, j = *(const int *)b;
    for (int k = 0; k < rotated_size; k++) {
        int x = rotated[(i + k) % rotated_size], y = rotated[(j + k) % rotated_size];
        if (x != y) return x - y;
    }
    return i - j;
}
static NOINLINE int wheeler(const unsigned char *s, int n, unsigned char *out) {
    int order[N], first = 0;
    for (int i = 0; i < n; i++) order[i] = i;
    rotated = s, rotated_size = n;
    qsort(order, (size_t)n, sizeof *order, compare);
    for (int i = 0; i < n; i++) {
        out[i] = s[(order[i] + n - 1) % n];
        if (order[i] == 0) first = i;
    }
    return first;
}
static NOINLINE void unwheeler(const unsigned char *s, int n, int at, unsigned char *out) {
    int starts[257] = {0}, next[N];
    for (int i = 0; i < n; i++) starts[s[i] + 1]++;
    for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
    for (int i = 0; i < n; i++) next[starts[s[i]]++] = i;
    for (int i = 0; i < n; i++) at = next[at], out[i] = s[at];
}
static NOINLINE void to_front(unsigned char *s, int n, int decode) {
    unsigned char list[256];
    for (int i = 0; i < 256; i++) list[i] = (unsigned char)i;
    for (int i = 0; i < n; i++) {
        int at = s[i];
        if (!decode) for (at = 0; list[at] != s[i]; at++) continue;
        unsigned char c = list[at];
        memmove(list + 1, list, (size_t)at);
        list[0] = c;
        s[i] = decode ? c : (unsigned char)at;
    }
}
static NOINLINE int lz(const unsigned char *s, int n, unsigned char *out) {
    int size = 0;
    for (int i = 0; i < n;) {
        int best = 0, from = 0;
        for (int j = i > 255 ? i - 255 : 0; j < i; j++) {
            int k = 0;
            while (i + k < n && k < 255 && s[j + k] == s[i + k]) k++;
            if (k > best) best = k, from = i - j;
        }
        out[size++] = (unsigned char)(best > 2 ? best : 0);
        out[size++] = best > 2 ? (unsigned char)from : s[i];
        i += best > 2 ? best : 1;
    }
    return size;
}
static NOINLINE int unlz(const unsigned char *p, int size, unsigned char *out) {
    int n = 0;
    for (int i = 0; i < size; i += 2) {
        if (!p[i]) out[n++] = p[i + 1];
        else for (int k = 0; k < p[i]; k++, n++) out[n] = out[n - p[i + 1]];
    }
    return n;
}

int main(void) {
    uint64_t state = 90;
    for (int round = 0; round < 40; round++) {
        unsigned char s[N], t[N], u[N], packed[2 * N];
        int n = 1 + round * 5;
        for (int i = 0; i < n; i++) s[i] = (unsigned char)(i > 20 && next_random(&state) >> 62 ? s[i - 13] : next_random(&state) >> 56 & (round % 2 ? 255 : 3));
        CHECK(huffman(s, n, t) == n && !memcmp(s, t, (size_t)n) && num_bits <= 8 * n);
        int at = wheeler(s, n, t);
        unwheeler(t, n, at, u);
        CHECK(!memcmp(s, u, (size_t)n));
        memcpy(u, t, (size_t)n);
        to_front(u, n, 0);
        to_front(u, n, 1);
        CHECK(!memcmp(t, u, (size_t)n));
        int size = lz(s, n, packed);
        CHECK(unlz(packed, size, u) == n && !memcmp(s, u, (size_t)n));
        note((uint64_t)(size * 1000 + at));
    }
    return finish();
}
