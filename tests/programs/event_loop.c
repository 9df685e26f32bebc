/* A discrete event simulation on a heap of callbacks: elevators of state, timers that cancel timers, exact end state. */
#include "check.h"

struct sim;
typedef void (*action)(struct sim *, int);
struct event { int time, order, argument; action run; };
struct sim { struct event heap[256]; int size, order, now, log[8], cancelled; };

static int before(const struct event *a, const struct event *b) { return a->time != b->time ? a->time < b->time : a->order < b->order; }
static NOINLINE int schedule(struct sim *s, int delay, action run, int argument) {
    struct event e = {s->now + delay, s->order++, argument, run};
    int at = s->size++;
    for (; at && before(&e, &s->heap[(at - 1) / 2]); at = (at - 1) / 2) s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = e;
    return e.order;
}
static NOINLINE struct event next(struct sim *s) {
    struct event top = s->heap[0], last = s->heap[--s->size];
    int at = 0, child;
    for (; (child = 2 * at + 1) < s->size; at = child) {
        child += child + 1 < s->size && before(&s->heap[child + 1], &s->heap[child]);
        if (!before(&s->heap[child], &last)) break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return top;
}
static NOINLINE void cancel(struct sim *s, int order) {
    for (int i = 0; i < s->size; i++) {
        if (s->heap[i].order == order) s->heap[i].run = 0, s->cancelled++;
    }
}

static void tick(struct sim *s, int n) {
    s->log[0]++;
    s->log[1] = s->log[1] * 7 % 10007 + s->now;
    if (n > 1) schedule(s, n % 5 + 1, tick, n - 1);
}
static void timeout(struct sim *s, int id) { s->log[2] += id; }
static void request(struct sim *s, int id) {
    int timer = schedule(s, 10, timeout, id);
    s->log[3]++;
    if (id % 3) cancel(s, timer);
    if (id < 40) schedule(s, 2, request, id + 1);
}
static void branch(struct sim *s, int depth) {
    s->log[4] += s->now;
    for (int i = 0; i < 2 && depth > 0; i++) schedule(s, depth + i, branch, depth - 1);
}

static NOINLINE int run(struct sim *s) {
    int steps = 0, last = 0;
    while (s->size) {
        struct event e = next(s);
        if (e.time < last) return -1;
        last = s->now = e.time;
        if (e.run) e.run(s, e.argument);
        steps++;
    }
    return steps;
}

int main(void) {
    static struct sim s;
    schedule(&s, 0, tick, 100);
    CHECK(run(&s) == 100 && s.log[0] == 100);
    int now = 0, hash = 0;
    for (int n = 100; n >= 1; n--) hash = hash * 7 % 10007 + now, now += n % 5 + 1;
    CHECK(s.log[1] == hash);
    int start = s.now;
    schedule(&s, 0, request, 1);
    CHECK(run(&s) == 80 && s.log[3] == 40 && s.now == start + 2 * 39 + 10 && s.cancelled == 27 && s.log[2] == 3 * (13 * 14 / 2));
    s.now = 0;
    schedule(&s, 0, branch, 6);
    CHECK(run(&s) == 127);
    long expected = 0;
    for (int level = 0, at = 0, from = 6; level <= 6; level++, at += from--) {
        /* 2^level nodes, each reached by `level` choices that add 0 or 1 to the fixed delays. */
        expected += ((long)at << level) + (level ? (long)level << (level - 1) : 0);
    }
    CHECK(s.log[4] == expected);
    note((uint64_t)s.log[1]);
    return finish();
}
