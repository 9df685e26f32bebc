/* Finding text: Knuth-Morris-Pratt, Horspool, Rabin-Karp, shift-and, wildcards, edit distance; all must agree. */
#include <string.h>

#include "check.h"

static NOINLINE int naive(const char *t, const char *p) {
    for (int i = 0; t[i] || !p[0]; i++) {
        int j = 0;
        while (p[j] && t[i + j] == p[j]) j++;
        if (!p[j]) return i;
    }
    return -1;
}
static NOINLINE int kmp(const char *t, const char *p) {
    int fail[64] = {0}, n = (int)strlen(p), k = 0;
    for (int i = 1; i < n; i++) {
        while (k && p[i] != p[k]) k = fail[k - 1];
        fail[i] = k += p[i] == p[k];
    }
    k = 0;
    for (int i = 0; t[i]; i++) {
        while (k && t[i] != p[k]) k = fail[k - 1];
        k += t[i] == p[k];
        if (k == n) return i - n + 1;
    }
    return -1;
}
static NOINLINE int horspool(const char *t, const char *p) {
    int n = (int)strlen(p), length = (int)strlen(t), skip[256];
    for (int c = 0; c < 256; c++) skip[c] = n;
    for (int i = 0; i < n - 1; i++) skip[(unsigned char)p[i]] = n - 1 - i;
    for (int at = 0; at + n <= length; at += skip[(unsigned char)t[at + n - 1]])
        if (!memcmp(t + at, p, (size_t)n)) return at;
    return -1;
}
static NOINLINE int rabin_karp(const char *t, const char *p) {
    unsigned wanted = 0, hash = 0, power = 1;
    int n = (int)strlen(p);
    for (int i = 0; i < n; i++) {
        if (!t[i]) return -1;
        wanted = wanted * 31 + (unsigned char)p[i];
        hash = hash * 31 + (unsigned char)t[i];
        power *= 31;
    }
    for (int i = 0;; i++) {
        if (hash == wanted && !strncmp(t + i, p, (size_t)n)) return i;
        if (!t[i + n]) return -1;
        hash = hash * 31 + (unsigned char)t[i + n] - power * (unsigned char)t[i];
    }
}
static NOINLINE int shift_and(const char *t, const char *p) {
    uint64_t masks[256] = {0}, state = 0;
    int n = 0;
    for (; p[n]; n++) masks[(unsigned char)p[n]] |= (uint64_t)1 << n;
    for (int i = 0; t[i]; i++) {
        state = (state << 1 | 1) & masks[(unsigned char)t[i]];
        if (state >> (n - 1) & 1) return i - n + 1;
    }
    return -1;
}
static NOINLINE int wild(const char *p, const char *s) {
    if (!*p) return !*s;
    if (*p == '*') return wild(p + 1, s) || (*s && wild(p, s + 1));
    return *s && (*p == '?' || *p == *s) && wild(p + 1, s + 1);
}
static NOINLINE int distance(const char *a, const char *b) {
    int row[40], n = (int)strlen(b);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0]++;
        for (int j = 1; j <= n; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}
static int slow_distance(const char *a, const char *b) {
    if (!*a || !*b) return (int)(strlen(a) + strlen(b));
    if (*a == *b) return slow_distance(a + 1, b + 1);
    int x = slow_distance(a + 1, b), y = slow_distance(a, b + 1), z = slow_distance(a + 1, b + 1);
    return 1 + (x < y ? (x < z ? x : z) : (y < z ? y : z));
}

int main(void) {
    uint64_t state = 88;
    char text[120], part[12];
    for (int round = 0; round < 500; round++) {
        int n = 5 + round % 100, m = 1 + round % 7;
        for (int i = 0; i < n; i++) text[i] = (char)('a' + (next_random(&state) >> 40) % (2u + (unsigned)round % 3));
        for (int i = 0; i < m; i++) part[i] = (char)('a' + (next_random(&state) >> 40) % (2u + (unsigned)round % 3));
        text[n] = part[m] = 0;
        int at = naive(text, part);
        CHECK(kmp(text, part) == at && horspool(text, part) == at && rabin_karp(text, part) == at && shift_and(text, part) == at);
        char pattern[16];
        sprintf(pattern, "*%s*", part);
        CHECK(wild(pattern, text) == (at >= 0));
        text[5 + round % 3] = 0;
        CHECK(distance(text, part) == slow_distance(text, part));
        note((uint64_t)(unsigned)at);
    }
    CHECK(wild("a?c*", "abcd") && !wild("a?c", "ac") && wild("", "") && distance("kitten", "sitting") == 3);
    return finish();
}
