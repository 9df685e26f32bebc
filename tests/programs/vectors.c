/* GCC vector types: arithmetic, comparisons, shuffles and conversions lane by lane, against arrays. */
#include <string.h>

#include "check.h"

typedef int v4 __attribute__((vector_size(16)));
typedef unsigned char v16 __attribute__((vector_size(16)));
typedef float f4 __attribute__((vector_size(16)));
typedef long v2 __attribute__((vector_size(16)));
typedef short v8 __attribute__((vector_size(16)));

static NOINLINE v4 arithmetic(v4 a, v4 b) { return (a & 0xFFFF) * (b & 0xFF) - (a >> 3) + (b << 2 & 0xFFFFFF); }
static NOINLINE v4 choose(v4 a, v4 b) { v4 mask = a > b; return (a & mask) | (b & ~mask); }
static NOINLINE v16 bytes(v16 a, v16 b) { return (a ^ b) + (a & 15); }
static NOINLINE f4 floats(f4 a, f4 b) { return a * b + a / (b + 1); }
static NOINLINE v4 swap(v4 a) { return __builtin_shufflevector(a, a, 3, 2, 1, 0); }
static NOINLINE v2 longs(v2 a, v2 b) { return (a > b) - (a == b) * 2; }
static NOINLINE v8 shorts(v8 a, int n) { return a >> n; }
static NOINLINE int sum(v4 a) { return a[0] + a[1] + a[2] + a[3]; }
static NOINLINE v4 set(v4 a, int lane, int x) { a[lane & 3] = x; return a; }
static NOINLINE f4 convert(v4 a) { return __builtin_convertvector(a, f4); }
/* Loops over arrays that may become vectors. */
static NOINLINE void scaled(int *restrict a, const short *restrict b, int n, int k) { for (int i = 0; i < n; i++) a[i] = b[i] * k + (b[i] < 0 ? 1 : a[i] & 7); }
static NOINLINE unsigned reduce(const unsigned char *p, int n) { unsigned m = 0, s = 0; for (int i = 0; i < n; i++) { m = p[i] > m ? p[i] : m; s += p[i] ^ 3; } return m << 20 | s; }

int main(void) {
    uint64_t state = 19;
    for (int round = 0; round < 300; round++) {
        int a[4], b[4], r[4];
        for (int i = 0; i < 4; i++) a[i] = (int)(next_random(&state) >> 34), b[i] = round % 3 ? (int)(next_random(&state) >> 34) : a[i];
        v4 x = {a[0], a[1], a[2], a[3]}, y = {b[0], b[1], b[2], b[3]}, z = arithmetic(x, y), c = choose(x, y), s = swap(x);
        memcpy(r, &z, 16);
        f4 fx = convert(x), fy = {1, 2, 3, 4}, fr = floats(fx, fy);
        for (int i = 0; i < 4; i++) {
            CHECK(r[i] == (a[i] & 0xFFFF) * (b[i] & 0xFF) - (a[i] >> 3) + (int)((unsigned)b[i] << 2 & 0xFFFFFF));
            CHECK(c[i] == (a[i] > b[i] ? a[i] : b[i]) && s[i] == a[3 - i] && fx[i] == (float)a[i]);
            CHECK(fr[i] == (float)a[i] * (float)(i + 1) + (float)a[i] / (float)(i + 2));
            CHECK(set(x, i, -9)[i] == -9 && set(x, i, -9)[i ^ 1] == a[i ^ 1]);
        }
        CHECK(sum(x & 0xFFFFF) == (a[0] & 0xFFFFF) + (a[1] & 0xFFFFF) + (a[2] & 0xFFFFF) + (a[3] & 0xFFFFF));
        v16 p, q;
        memcpy(&p, a, 16), memcpy(&q, b, 16);
        v16 t = bytes(p, q);
        v8 h;
        memcpy(&h, a, 16);
        v8 g = shorts(h, round % 16);
        v2 l, m;
        memcpy(&l, a, 16), memcpy(&m, b, 16);
        v2 d = longs(l, m);
        int right = 1;
        for (int i = 0; i < 16; i++) right &= t[i] == (unsigned char)((p[i] ^ q[i]) + (p[i] & 15)) && g[i / 2] == h[i / 2] >> round % 16;
        for (int i = 0; i < 2; i++) right &= d[i] == (l[i] == m[i] ? 2 : l[i] > m[i] ? -1 : 0);
        CHECK(right);
        note((uint64_t)(unsigned)r[0]);
    }
    int out[37];
    short in[37];
    unsigned char raw[37];
    unsigned most = 0, total = 0;
    for (int i = 0; i < 37; i++) in[i] = (short)(i * 1777 - 20000), out[i] = i, raw[i] = (unsigned char)(i * 29), most = raw[i] > most ? raw[i] : most, total += raw[i] ^ 3u;
    scaled(out, in, 37, -3);
    for (int i = 0; i < 37; i++) CHECK(out[i] == in[i] * -3 + (in[i] < 0 ? 1 : i % 8));
    CHECK(reduce(raw, 37) == (most << 20 | total));
    return finish();
}
