/* Where C fixes an order of effects (comma, logic, conditions, statements, calls in sequence), it is kept. */
#include <string.h>

#include "check.h"

static char trace[128];
static size_t at;
static NOINLINE int t(char c, int x) {
    if (at < sizeof trace - 1) trace[at++] = c;
    return x;
}
static int saw(const char *expected) {
    trace[at] = 0;
    int same = !strcmp(trace, expected);
    if (!same) printf("%s in place of %s\n", trace, expected);
    at = 0;
    return same;
}
static NOINLINE int chain(int a, int b) { return (t('a', a) && t('b', b)) || (t('c', !a), t('d', b)); }
static NOINLINE int question(int a) { return t('a', a) ? t('b', 1) : t('c', 0) ? t('d', 2) : t('e', 3); }
static NOINLINE int loops(int n) {
    int sum = 0;
    for (int i = t('i', 0); t('c', i) < n; i = t('n', i + 1)) {
        if (t('x', i & 1)) continue;
        sum += t('s', i);
        if (t('b', i == 4)) break;
    }
    do sum += t('d', 1);
    while (t('w', sum) < 5);
    return sum;
}
static NOINLINE int pure(int x) { return x * x; }
static NOINLINE int uses(int x) {
    int before = pure(x);
    t('p', 0);
    int same = pure(x);
    t('q', 0);
    return before == same ? t('=', before) : t('#', 0);
}
static NOINLINE int stores(int *p, int *q) {
    *p = t('1', 10);
    *q = t('2', 20);
    int r = *p;
    *p = t('3', 30);
    return r + *q;
}
static NOINLINE int switches(int x) {
    switch (t('s', x)) {
    case 0: t('0', 0); /* fall through */
    case 1: t('1', 0); break;
    default: if (t('?', x > 5)) { case 3: t('3', 0); } else t('!', 0);
    }
    return t('.', x);
}

int main(void) {
    CHECK(chain(1, 1) == 1 && saw("ab") && chain(1, 0) == 0 && saw("abcd") && chain(0, 5) == 1 && saw("acd"));
    CHECK(question(1) == 1 && saw("ab") && question(0) == 3 && saw("ace"));
    CHECK(loops(3) == 5 && saw("icxsbncxncxsbncdwdwdw") && loops(9) == 7 && saw("icxsbncxncxsbncxncxsbdw") && loops(0) == 5 && saw("icdwdwdwdwdw"));
    CHECK(uses(7) == 49 && saw("pq="));
    int a = 0, b = 0;
    CHECK(stores(&a, &b) == 30 && saw("123") && a == 30 && stores(&a, &a) == 50 && saw("123") && a == 30);
    static const char *const expected[] = {"s01.", "s1.", "s?!.", "s3.", "s?!.", "s?!.", "s?3."};
    for (int x = 0; x < 7; x++) CHECK(switches(x) == x && saw(expected[x]));
    int x = 1, y = (x = 5, x++, x + (t('y', 1), x)), z = y > 3 ? x-- : x++;
    CHECK(x == 5 && y == 12 && z == 6 && saw("y"));
    int v[5] = {0}, *p = v;
    *p++ = t('A', 1), *p++ = t('B', 2), *p = t('C', p[-1] + 1), p++;
    CHECK(p == v + 3 && v[2] == 3 && saw("ABC"));
    note(num_checks);
    return finish();
}
