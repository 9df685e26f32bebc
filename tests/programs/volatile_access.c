/* Volatile objects and asm barriers: every access happens, in order; counted by reading devices that change. */
#include <signal.h>

#include "check.h"

static volatile int port[4];
static volatile sig_atomic_t signals;
static int trace[64], num_traced;

static void on_signal(int number) { signals = signals + (number == SIGUSR1 ? 1 : 100); }

static NOINLINE int read_thrice(volatile int *p) { return *p + *p + *p; }
static NOINLINE void write_all(volatile int *p, int n) {
    for (int i = 0; i < n; i++) *p = i;
    *p;
}
static NOINLINE int poll(volatile int *p, int limit) {
    int n = 0;
    while (*p != 3 && n < limit) n++;
    return n;
}
static NOINLINE void record(int x) { trace[num_traced++ & 63] = x; }

static NOINLINE int ordered(void) {
    port[0] = 1;
    record(port[0]);
    port[1] = port[0] + 1;
    record(port[1]);
    port[0] = port[1] * 2;
    record(port[0]);
    return port[0] + port[1];
}

static NOINLINE unsigned add_with_asm(unsigned a, unsigned b) {
    unsigned result = a;
    __asm__("" : "+r"(result) : "r"(b) : "memory");
    return result + b;
}

static NOINLINE int barrier(int *shared) {
    *shared = 1;
    __asm__ volatile("" : : "r"(shared) : "memory");
    int first = *shared;
    *shared = 2;
    __asm__ volatile("" : "+m"(*shared));
    return first * 10 + *shared;
}

static NOINLINE uint64_t timing_loop(volatile unsigned *count) {
    uint64_t n = 0;
    for (*count = 0; *count < 100; *count += 1) n += *count;
    return n;
}

int main(void) {
    port[2] = 7;
    CHECK(read_thrice(&port[2]) == 21);
    write_all(&port[3], 10);
    CHECK(port[3] == 9 && poll(&port[3], 50) == 50);
    port[3] = 3;
    CHECK(poll(&port[3], 50) == 0);
    CHECK(ordered() == 6 && trace[0] == 1 && trace[1] == 2 && trace[2] == 4);
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    for (int i = 0; i < 5; i++) {
        raise(i == 3 ? SIGUSR2 : SIGUSR1);
        CHECK(signals == (i < 3 ? i + 1 : i == 3 ? 103 : 104));
    }
    for (unsigned i = 0; i < 50; i++) CHECK(add_with_asm(i * 3, i) == i * 4);
    int shared = 0;
    CHECK(barrier(&shared) == 12);
    volatile unsigned count;
    CHECK(timing_loop(&count) == 4950 && count == 100);
    volatile struct { unsigned a : 3, b : 5; } fields = {0, 0};
    for (unsigned i = 0; i < 40; i++) {
        fields.a = i & 7;
        fields.b = fields.a + i / 2;
        CHECK(fields.b == (((i & 7) + i / 2) & 31) && fields.a == (i & 7));
    }
    note((uint64_t)num_traced);
    return finish();
}
