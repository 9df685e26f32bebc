/* Locals whose address goes elsewhere: through calls, globals, structs, arrays, recursion; what may be kept in registers and what not. */
#include "check.h"

static int *global;
static NOINLINE void leak(int *p) { global = p; }
static NOINLINE void poke(void) { if (global) *global += 100; }
static NOINLINE int read_after(int x) {
    int local = x, other = x * 2;
    leak(&local);
    poke();
    int between = local;
    poke();
    global = 0;
    poke();
    return between * 1000 + local + other;
}
struct context { int count; int *where; struct context *outer; };
static NOINLINE void visit(struct context *c, int depth) {
    struct context inner = {depth, &c->count, c};
    if (depth == 0) {
        for (struct context *at = &inner; at; at = at->outer) if (at->where) *at->where += 1;
        return;
    }
    visit(&inner, depth - 1);
    c->count += inner.count * 10;
}
static NOINLINE int swap_through(int **a, int **b) {
    int *t = *a;
    *a = *b;
    *b = t;
    return **a - **b;
}
static NOINLINE int array_element(int i) {
    int v[4] = {1, 2, 3, 4};
    int *p = &v[i & 3], *q = v + 3 - (i & 3);
    *p *= 10;
    *q += 5;
    return v[0] + v[1] * 100 + v[2] * 10000 + v[3] * 1000000;
}
static NOINLINE int conditional(int x) {
    int a = 1, b = 2, *p = x & 1 ? &a : &b, **pp = &p;
    *p = x;
    if (x & 2) *pp = &a;
    **pp += 50;
    return a * 1000 + b;
}
static NOINLINE int dead_stores(int x) {
    volatile int sink;
    int v[3];
    v[0] = 5;
    v[0] = x;
    v[1] = v[0] + 1;
    v[2] = 9;
    leak(&v[2]);
    v[2] = 10;
    poke();
    global = 0;
    sink = v[2];
    return v[0] + v[1] + sink;
}
static NOINLINE const int *stays(int i) { static const int table[] = {7, 8, 9}; return &table[i % 3]; }

int main(void) {
    for (int x = -20; x < 20; x++) {
        CHECK(read_after(x) == (x + 100) * 1000 + x + 200 + 2 * x);
        CHECK(dead_stores(x) == x + x + 1 + 110);
        int a = x & 1 ? x : 1, b = x & 1 ? 2 : x;
        if (x & 1 || x & 2) a += 50;
        else b += 50;
        CHECK(conditional(x) == a * 1000 + b);
        int v[4] = {1, 2, 3, 4};
        v[x & 3] *= 10;
        v[3 - (x & 3)] += 5;
        CHECK(array_element(x) == v[0] + v[1] * 100 + v[2] * 10000 + v[3] * 1000000);
        int one = x, two = 3, *p = &one, *q = &two;
        CHECK(swap_through(&p, &q) == 3 - x && p == &two && q == &one && swap_through(&p, &p) == 0);
        CHECK(*stays(x + 30) == 7 + (x + 30) % 3);
        note((uint64_t)(uint32_t)conditional(x));
    }
    for (int depth = 0; depth < 6; depth++) {
        struct context top = {0, 0, 0};
        visit(&top, depth);
        /* Every level but the innermost is bumped once, then carries ten times the level below. */
        int expected = 0;
        for (int level = 0; level <= depth; level++) {
            int own = level == depth ? 0 : level + 1;
            expected = own + 1 + (level ? expected * 10 : 0);
        }
        CHECK(top.count == expected);
    }
    return finish();
}
