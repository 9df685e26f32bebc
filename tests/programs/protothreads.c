/* Coroutines made of a switch around the whole function: a producer and consumers that wait for each other. */
#include "check.h"

struct thread { int line, i, sum; };
#define BEGIN(t) switch ((t)->line) { case 0:
#define WAIT(t, condition) do { (t)->line = __LINE__; /* fall through */ case __LINE__: if (!(condition)) return 0; } while (0)
#define END(t) } (t)->line = -1; return 1

static int buffer[4], filled, produced, switches;

static NOINLINE int produce(struct thread *t, int count) {
    BEGIN(t);
    for (t->i = 0; t->i < count; t->i++) {
        WAIT(t, filled < 4);
        buffer[filled++] = t->i * t->i;
        produced++;
        if (t->i % 5 == 4) {
            switches++;
            WAIT(t, filled == 0);
        }
    }
    END(t);
}

static NOINLINE int consume(struct thread *t, int odd, int count) {
    BEGIN(t);
    while (t->i < count) {
        WAIT(t, filled > 0 && (buffer[filled - 1] & 1) == odd);
        t->sum += buffer[--filled];
        t->i++;
    }
    END(t);
}

int main(void) {
    struct thread producer = {0, 0, 0}, odd = {0, 0, 0}, even = {0, 0, 0};
    int done = 0, rounds = 0;
    while (done != 7 && rounds < 1000) {
        if (!(done & 1) && produce(&producer, 40)) done |= 1;
        if (!(done & 2) && consume(&odd, 1, 20)) done |= 2;
        if (!(done & 4) && consume(&even, 0, 20)) done |= 4;
        CHECK(filled == produced - odd.i - even.i);
        rounds++;
    }
    int sums[2] = {0, 0};
    for (int i = 0; i < 40; i++) sums[i % 2] += i * i;
    CHECK(done == 7 && filled == 0 && switches == 8);
    CHECK(odd.sum == sums[1] && even.sum == sums[0]);
    CHECK(producer.line == -1 && odd.line == -1 && even.line == -1);
    note((uint64_t)rounds);
    return finish();
}
