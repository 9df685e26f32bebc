/* Structs of every size from 1 to 40 bytes and of mixed members, passed, returned, and through pointers to functions. */
#include <string.h>

#include "check.h"

#define SIZES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(11) X(12) X(15) X(16) X(17) X(20) X(24) X(31) X(32) X(33) X(40)

#define DEFINE(n) \
    struct s##n { unsigned char b[n]; }; \
    static NOINLINE struct s##n make##n(unsigned seed) { \
        struct s##n s; \
        for (unsigned i = 0; i < n; i++) s.b[i] = (unsigned char)(seed * 7 + i * 13); \
        return s; \
    } \
    static NOINLINE struct s##n turn##n(struct s##n a, int by, struct s##n b) { \
        struct s##n r = a; \
        for (int i = 0; i < n; i++) r.b[i] = (unsigned char)(a.b[(i + by) % n] ^ b.b[i]); \
        a.b[0] = 0xEE; \
        return r; \
    }
SIZES(DEFINE)

struct mixed { char c; double d; float f; short s; };
struct floats { float x, y, z; };
struct doubles { double x, y; };
struct nested { struct floats f; int tag; };
union either { double d; struct { int lo, hi; } parts; };

static NOINLINE struct mixed mix(struct mixed a, float scale, struct mixed b) {
    struct mixed r = {(char)(a.c + b.c), a.d * scale + b.d, a.f - b.f, (short)(a.s * b.s)};
    return r;
}
static NOINLINE struct floats cross(struct floats a, struct floats b) {
    return (struct floats){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static NOINLINE struct doubles rotate(struct doubles p, int quarter) {
    for (; quarter > 0; quarter--) p = (struct doubles){-p.y, p.x};
    return p;
}
static NOINLINE struct nested tag(struct nested n, int a, int b, int c, int d, int e, int f, struct nested m) {
    n.tag += a + b + c + d + e + f + m.tag;
    n.f.z = m.f.x;
    return n;
}
static NOINLINE union either twist(union either u) {
    int t = u.parts.lo;
    u.parts.lo = u.parts.hi;
    u.parts.hi = t;
    return u;
}

int main(void) {
#define TRY(n) \
    { \
        struct s##n (*volatile turn)(struct s##n, int, struct s##n) = turn##n; \
        struct s##n a = make##n(3), b = make##n(200), r = turn##n(a, 1, b), q = turn(a, n - 1, b); \
        int right = 1; \
        for (int i = 0; i < n; i++) { \
            unsigned one = (unsigned)(3 * 7 + (i + 1) % n * 13), two = (unsigned)(200 * 7 + i * 13); \
            unsigned other = (unsigned)(3 * 7 + (i + n - 1) % n * 13); \
            right &= r.b[i] == ((one ^ two) & 0xFF) && q.b[i] == ((other ^ two) & 0xFF) && a.b[i] == ((21 + i * 13) & 0xFF); \
        } \
        CHECK(right); \
        note(r.b[n / 2]); \
    }
    SIZES(TRY)
    struct mixed a = {1, 2.5, 3.25f, -4}, b = {10, -1, 0.5f, 300}, m = mix(a, 2, b);
    CHECK(m.c == 11 && m.d == 4 && m.f == 2.75f && m.s == -1200);
    struct floats x = {1, 0, 0}, y = {0, 1, 0}, z = cross(x, y);
    CHECK(z.x == 0 && z.y == 0 && z.z == 1);
    for (int quarter = 0; quarter < 9; quarter++) {
        struct doubles p = rotate((struct doubles){3, 4}, quarter);
        static const double xs[] = {3, -4, -3, 4}, ys[] = {4, 3, -4, -3};
        CHECK(p.x == xs[quarter % 4] && p.y == ys[quarter % 4]);
    }
    struct nested n = tag((struct nested){{1, 2, 3}, 5}, 1, 2, 3, 4, 5, 6, (struct nested){{9, 8, 7}, 100});
    CHECK(n.tag == 126 && n.f.x == 1 && n.f.y == 2 && n.f.z == 9);
    union either u = {.parts = {7, -9}};
    u = twist(u);
    CHECK(u.parts.lo == -9 && u.parts.hi == 7);
    return finish();
}
